"""A local Scrapy Cloud: what the service's HTTP APIs answer, from a server on this machine.

It needs the extra ``sandbox`` (``pip install "scrapinghub[sandbox]"``) and uses nothing of the rest of the package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scrapinghub.sandbox.cloud import Sandbox
    from scrapinghub.sandbox.faults.definition import At, Fault
    from scrapinghub.sandbox.faults.schedule import Schedule

__all__ = ['At', 'Fault', 'Sandbox', 'Schedule']

_HOMES = {'At': 'faults.definition', 'Fault': 'faults.definition', 'Sandbox': 'cloud', 'Schedule': 'faults.schedule'}


def __getattr__(name: str) -> Any:
    """Load a name when it is used first: importing this package alone must stay cheap for the pytest plugin."""
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    try:
        value = getattr(import_module(f'{__name__}.{_HOMES[name]}'), name)
    except ModuleNotFoundError as error:
        library = str(error.name).partition('.')[0]
        if library not in ('werkzeug', 'msgpack'):
            raise
        raise ImportError(
            f'the sandbox needs {library}: install it with pip install "scrapinghub[sandbox]"', name=library
        ) from error
    globals()[name] = value
    return value
