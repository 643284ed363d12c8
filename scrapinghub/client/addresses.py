"""Base URLs of the service: from arguments, environment or defaults."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from scrapinghub.transport.session import Endpoints

STORAGE = 'https://storage.scrapinghub.com'
DASH = 'https://app.zyte.com/api'


def find_endpoints(storage: str | None, jobq: str | None, dash: str | None) -> Endpoints:
    """Return the base URLs to use: of the argument, of the environment, or the default; empty counts as not given.

    Args:
        storage: Argument ``endpoint``.
        jobq: Argument ``jobq_endpoint``; without it and ``SHUB_JOBQ`` the storage URL serves.
        dash: Argument ``dash_endpoint``.

    Returns:
        The URLs, without trailing slashes.

    Raises:
        ValueError: One of them is no http or https URL.
    """
    storage_url = _address(storage, 'endpoint', 'SHUB_STORAGE', STORAGE)
    return Endpoints(
        storage=storage_url,
        jobq=_address(jobq, 'jobq_endpoint', 'SHUB_JOBQ', storage_url),
        dash=_address(dash, 'dash_endpoint', 'SHUB_APIURL', DASH),
    )


def _address(given: object, argument: str, variable: str, default: str) -> str:
    text, origin = given, f'the argument {argument}'
    if not text:
        text, origin = os.environ.get(variable), f'the environment variable {variable}'
    if not text:
        return default
    address = text.strip().rstrip('/') if isinstance(text, str) else ''
    if not _is_address(address):
        # The text is not shown: a key that was given in the wrong place must not appear.
        del given, text, address
        raise ValueError(f'{origin} should be an http or https URL without a query, such as {default}/')
    return address


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return parts.scheme in ('http', 'https') and has_host and not parts.query and not parts.fragment and ' ' not in text
