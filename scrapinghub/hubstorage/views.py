"""The older clients as views of a :class:`~scrapinghub.ScrapinghubClient`: its transport, its writers, its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests

from scrapinghub import hubstorage, legacy
from scrapinghub.exceptions import APIError, BadRequest, NotFound, ScrapinghubAPIError, ServerError, Unauthorized
from scrapinghub.transport.http.retries import Attempts

if TYPE_CHECKING:
    from scrapinghub.client import ScrapinghubClient

__all__ = ['Connection', 'HubstorageClient', 'connection_of', 'hsclient_of']


class HubstorageClient(hubstorage.HubstorageClient):
    """A low-level client that raises the errors of :mod:`scrapinghub.client.exceptions`."""

    def explain(self, error: requests.RequestException, attempts: Attempts | None = None) -> Exception:
        """Return the exception that this client raises for a failure.

        Args:
            error: The failure.
            attempts: The retry loop that gave up.
        """
        return self.transport.explain(error, attempts)


class Connection(legacy.Connection):
    """A legacy client that raises the errors of :mod:`scrapinghub.client.exceptions`."""

    def _request(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super()._request(*args, **kwargs)
        except APIError as error:
            raise _translated(error) from error
        except requests.RequestException as error:
            raise self.transport.explain(error) from error


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


def hsclient_of(client: ScrapinghubClient) -> HubstorageClient:
    """Return the low-level client that shares the transport and the writers of a client."""
    return HubstorageClient.over(client.transport, client.uploader)


def connection_of(client: ScrapinghubClient) -> Connection:
    """Return the legacy client that shares the transport of a client."""
    return Connection.over(client.transport)
