"""Base URLs of the services: from arguments, environment or defaults."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from scrapinghub.redaction import Hidden, strip_credentials

STORAGE = 'https://storage.scrapinghub.com'
DASH = 'https://app.zyte.com/api'


@dataclass(frozen=True, repr=False)
class Endpoints:
    """Base URLs of the three services, without trailing slashes.

    Attributes:
        storage: Storage server.
        jobq: Job queue.
        dash: Dash.
    """

    storage: str
    jobq: str
    dash: str

    def __repr__(self) -> str:
        shown = ', '.join(f'{name}={strip_credentials(url)!r}' for name, url in vars(self).items())
        return f'Endpoints({shown})'


def find_endpoints(given: Hidden) -> Endpoints:
    """Return the base URLs: from the argument, the environment, or the default. An empty value counts as not given.

    Args:
        given: The arguments ``endpoint``, ``jobq_endpoint`` and ``dash_endpoint`` as a tuple, hidden: they may hold a
            key by mistake. The default of the job queue is the storage URL.

    Returns:
        The URLs, without trailing slashes.

    Raises:
        ValueError: One of them is not an http or https URL.
    """
    storage = _address(Hidden(given.value[0]), 'endpoint', 'SHUB_STORAGE', STORAGE)
    return Endpoints(
        storage=storage,
        jobq=_address(Hidden(given.value[1]), 'jobq_endpoint', 'SHUB_JOBQ', storage),
        dash=_address(Hidden(given.value[2]), 'dash_endpoint', 'SHUB_APIURL', DASH),
    )


def _address(given: Hidden, argument: str, variable: str, default: str) -> str:
    origin = f'the argument {argument}'
    if not given.value:
        given, origin = Hidden(os.environ.get(variable)), f'the environment variable {variable}'
    if not given.value:
        return default
    if not _is_address(given):
        raise ValueError(f'{origin} should be an http or https URL without a query, such as {default}/')
    return str(given.value).strip().rstrip('/')


def _is_address(given: Hidden) -> bool:
    if not isinstance(given.value, str):
        return False
    try:
        parts = urlsplit(given.value.strip())
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    plain = not parts.query and not parts.fragment and not set(given.value.strip()) & set(' \t\n')
    return parts.scheme in ('http', 'https') and has_host and plain
