"""A local Scrapy Cloud: what the service's HTTP APIs answer, from a server on this machine.

It needs the extra ``sandbox`` (``pip install "scrapinghub[sandbox]"``) and uses nothing of the rest of the package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scrapinghub.sandbox.cloud import Sandbox

__all__ = ['Sandbox']


def __getattr__(name: str) -> Any:
    """Load the sandbox when it is used first: importing this package alone must stay cheap for the pytest plugin."""
    if name != 'Sandbox':
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    try:
        from scrapinghub.sandbox.cloud import Sandbox
    except ModuleNotFoundError as error:
        if error.name not in ('werkzeug', 'msgpack'):
            raise
        raise ImportError(
            f'the sandbox needs {error.name}: install it with pip install "scrapinghub[sandbox]"', name=error.name
        ) from error
    return Sandbox
