"""A client for the Scrapy Cloud HTTP API.

The public names are here, and are loaded when they are used: importing the package costs next to nothing, also where it
is imported without being used, as by a plugin of pytest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scrapinghub import client as client
    from scrapinghub import exceptions as exceptions
    from scrapinghub import hubstorage as hubstorage
    from scrapinghub import legacy as legacy
    from scrapinghub.client import ScrapinghubClient
    from scrapinghub.exceptions import (
        APIError,
        BadRequest,
        DownloadConflict,
        DownloadIncomplete,
        DuplicateJobError,
        Forbidden,
        NotFound,
        SchemaMismatch,
        ScrapinghubAPIError,
        ServerError,
        StreamInterrupted,
        Unauthorized,
        UploadError,
        ValueTooLarge,
        WaitTimeout,
    )
    from scrapinghub.hubstorage import HubstorageClient
    from scrapinghub.legacy import Connection
    from scrapinghub.legacy import Job as Job
    from scrapinghub.legacy import JobSet as JobSet
    from scrapinghub.legacy import Project as Project
    from scrapinghub.legacy import RequestProxyMixin as RequestProxyMixin

__version__ = '3.1.0'

__all__ = [
    'APIError',
    'BadRequest',
    'Connection',
    'DownloadConflict',
    'DownloadIncomplete',
    'DuplicateJobError',
    'Forbidden',
    'HubstorageClient',
    'NotFound',
    'SchemaMismatch',
    'ScrapinghubAPIError',
    'ScrapinghubClient',
    'ServerError',
    'StreamInterrupted',
    'Unauthorized',
    'UploadError',
    'ValueTooLarge',
    'WaitTimeout',
]

_MODULES = ('client', 'exceptions', 'hubstorage', 'legacy')

_NAMES = {
    'scrapinghub.client': ('ScrapinghubClient',),
    'scrapinghub.exceptions': (
        'APIError',
        'BadRequest',
        'DownloadConflict',
        'DownloadIncomplete',
        'DuplicateJobError',
        'Forbidden',
        'NotFound',
        'SchemaMismatch',
        'ScrapinghubAPIError',
        'ServerError',
        'StreamInterrupted',
        'Unauthorized',
        'UploadError',
        'ValueTooLarge',
        'WaitTimeout',
    ),
    'scrapinghub.hubstorage': ('HubstorageClient',),
    'scrapinghub.legacy': ('Connection', 'Job', 'JobSet', 'Project', 'RequestProxyMixin'),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name, or a module of the package, when it is used first."""
    if name in _MODULES:
        return import_module(f'scrapinghub.{name}')
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES, '__version__', *_HOMES})
