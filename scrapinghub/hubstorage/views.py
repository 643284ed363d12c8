"""The older clients over the transport and the writers of a new client: they raise its errors."""

from __future__ import annotations

from typing import Any

import requests

from scrapinghub import hubstorage, legacy
from scrapinghub.exceptions import APIError, BadRequest, NotFound, ScrapinghubAPIError, ServerError, Unauthorized
from scrapinghub.transport.http.retries import Attempts
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.uploads.uploader import Uploader

__all__ = ['Connection', 'HubstorageClient', 'connection_over', 'hsclient_over']


class HubstorageClient(hubstorage.HubstorageClient):
    """A low-level client that raises the errors of :mod:`scrapinghub.client.exceptions`."""

    def translate_error(self, error: requests.RequestException, attempts: Attempts | None = None) -> Exception:
        """Return the exception that this client raises for a failure.

        Args:
            error: The failure.
            attempts: The retry loop that gave up.
        """
        return self.transport.translate_error(error, attempts)


class Connection(legacy.Connection):
    """A legacy client that raises the errors of :mod:`scrapinghub.client.exceptions`."""

    def _request(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super()._request(*args, **kwargs)
        except APIError as error:
            raise _translated(error) from None
        except requests.RequestException as error:
            raise self.transport.translate_error(error) from None


_CLASSES: dict[str, type[ScrapinghubAPIError]] = {
    APIError.ERR_NOT_FOUND: NotFound,
    APIError.ERR_BAD_REQUEST: BadRequest,
    APIError.ERR_AUTH_ERROR: Unauthorized,
    APIError.ERR_SERVER_ERROR: ServerError,
}
_KEEP_THEIR_CAUSE = (APIError.ERR_AUTH_ERROR, APIError.ERR_SERVER_ERROR)


def _translated(error: APIError) -> Exception:
    kind = error.kind
    if kind == APIError.ERR_VALUE_ERROR:
        return ValueError(str(error))
    return _CLASSES.get(kind, ScrapinghubAPIError)(str(error), error if kind in _KEEP_THEIR_CAUSE else None)


def hsclient_over(transport: Transport, uploader: Uploader) -> HubstorageClient:
    """Return a low-level client that shares a transport and its writers."""
    return HubstorageClient.over(transport, uploader)


def connection_over(transport: Transport) -> Connection:
    """Return a legacy client that shares a transport."""
    return Connection.over(transport)
