"""The exceptions of the library: one tree.

::

    ScrapinghubAPIError
    ├── BadRequest             400, and what the dash calls a bad request
    ├── Unauthorized           401
    ├── Forbidden              403
    ├── NotFound               404
    ├── ValueTooLarge          413, or refused before sending; also a ValueError
    ├── DuplicateJobError      the same job is already pending or running
    ├── ServerError            500-599
    ├── NetworkError           no complete response arrived
    │   ├── ConnectionFailed   also requests.ConnectionError
    │   ├── ConnectTimedOut    also requests.ConnectTimeout
    │   ├── ReadTimedOut       also requests.ReadTimeout
    │   ├── TLSFailed          also requests.exceptions.SSLError
    │   ├── ProxyFailed        also requests.exceptions.ProxyError
    │   ├── BodyBroken         also requests.exceptions.ChunkedEncodingError
    │   └── EncodingBroken     also requests.exceptions.ContentDecodingError
    ├── UnexpectedRedirect     a redirect that must not be followed
    ├── DecodeError            the response is complete but cannot be decoded; also a ValueError
    ├── StreamInterrupted      a stream broke and could not be resumed
    └── UploadError            a writer could not deliver records; it holds them

    APIError                   of the legacy client, see scrapinghub.legacy
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeVar

import requests

from scrapinghub.redaction import redact, strip_credentials

__all__ = [
    'APIError',
    'BadRequest',
    'BodyBroken',
    'ConnectTimedOut',
    'ConnectionFailed',
    'DecodeError',
    'DownloadConflict',
    'DownloadIncomplete',
    'DuplicateJobError',
    'EncodingBroken',
    'Forbidden',
    'NetworkError',
    'NotFound',
    'ProxyFailed',
    'ReadTimedOut',
    'SchemaMismatch',
    'ScrapinghubAPIError',
    'ServerError',
    'StreamInterrupted',
    'TLSFailed',
    'Unauthorized',
    'UnexpectedRedirect',
    'UploadError',
    'ValueTooLarge',
    'WaitTimeout',
]


class ScrapinghubAPIError(Exception):
    """Base class of all errors of requests.

    The first line of ``str()`` is the message of the server, unchanged; lines about the request and with help follow.

    Args:
        message: The message; taken from ``http_error`` if it is missing.
        http_error: The error of the HTTP library that caused this one.

    Attributes:
        message: The message, without the lines that follow it.
        http_error: As given, or None.
        original: The exception that caused this one: usually ``http_error``; None if there is none.
        status_code: HTTP status of the response, None if there was none.
        method: HTTP method of the request, None if unknown.
        url: URL of the request without credentials and query, None if unknown.
        context: Which request failed and what it concerned, as one line; None if unknown.
        maybe_applied: True if the request was not repeated because the service may already have carried it out.
        hint: Lines of help, or None.
    """

    maybe_applied: bool = False
    context: str | None = None
    hint: str | None = None

    def __init__(self, message: str | None = None, http_error: Exception | None = None) -> None:
        self.http_error = http_error
        self.original = http_error
        response = getattr(http_error, 'response', None)
        request = getattr(http_error, 'request', None) or getattr(response, 'request', None)
        self.status_code: int | None = getattr(response, 'status_code', None)
        self.method: str | None = getattr(request, 'method', None)
        self.url: str | None = strip_credentials(getattr(request, 'url', None))
        if not message and http_error is not None:
            message = message_of(http_error)
        self.message = redact(message) if isinstance(message, str) else message
        super().__init__(self.message)

    def __str__(self) -> str:
        text = str(self.message)
        lines = [line for line in (self.context, self.hint) if line]
        if not lines:
            return text
        # The service ends many of its messages with a line feed.
        return '\n'.join([text.removesuffix('\n'), *lines])

    def add_hint(self, hint: str | None) -> None:
        """Add a line of help.

        Args:
            hint: The line; None adds nothing.
        """
        if hint:
            self.hint = f'{self.hint}\n{hint}' if self.hint else hint

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message), self.__dict__


def _rebuild(cls: type[ScrapinghubAPIError], message: str | None) -> ScrapinghubAPIError:
    """Make an error without attributes, which follow as the pickled state."""
    error = cls.__new__(cls, message)
    error.args = (message,)
    return error


class BadRequest(ScrapinghubAPIError):
    """The service does not accept the request (HTTP 400, or ``badrequest`` from the dash)."""


class Unauthorized(ScrapinghubAPIError):
    """The credentials are missing or wrong (HTTP 401)."""


class Forbidden(ScrapinghubAPIError):
    """The credentials are right and do not allow this (HTTP 403)."""


class NotFound(ScrapinghubAPIError):
    """The resource does not exist (HTTP 404, or a name that the service does not know)."""


class ValueTooLarge(ScrapinghubAPIError, ValueError):
    """A record is larger than the service accepts (HTTP 413, or found before sending)."""


class DuplicateJobError(ScrapinghubAPIError):
    """The same job is already pending or running."""


class ServerError(ScrapinghubAPIError):
    """The service failed (HTTP 500-599)."""


class NetworkError(ScrapinghubAPIError):
    """No complete response arrived; each subclass is also the matching class of ``requests``."""


class ConnectionFailed(NetworkError, requests.ConnectionError):
    """The connection could not be opened, or was closed before a response arrived."""


class ConnectTimedOut(NetworkError, requests.ConnectTimeout):
    """The connection was not opened within the time-out."""


class ReadTimedOut(NetworkError, requests.ReadTimeout):
    """The service did not respond within the time-out, or a response stopped arriving."""


class TLSFailed(NetworkError, requests.exceptions.SSLError):
    """The encrypted connection could not be made: most often a certificate that is not trusted."""


class ProxyFailed(NetworkError, requests.exceptions.ProxyError):
    """The proxy could not be reached or refused."""


class BodyBroken(NetworkError, requests.exceptions.ChunkedEncodingError):
    """The response ended before it was complete."""


class EncodingBroken(NetworkError, requests.exceptions.ContentDecodingError):
    """The compression of the response is damaged."""


class UnexpectedRedirect(ScrapinghubAPIError):
    """The service redirects to an address where a request with credentials must not be sent."""


class DecodeError(ScrapinghubAPIError, ValueError):
    """A response is complete but cannot be decoded, or is not of a type that the call can return.

    Attributes:
        key: Key of the record that does not fit the type which the caller asks for; None for other errors.
        field: Path of the field of this record; None if it is not known.
    """

    key: str | None = None
    field: str | None = None


class SchemaMismatch(ScrapinghubAPIError, ValueError):
    """A record does not fit the given schema.

    Attributes:
        key: Key of the record; None if it is not known.
        field: Name of the field that does not fit; None if it is not known.
    """

    key: str | None = None
    field: str | None = None


class WaitTimeout(ScrapinghubAPIError, TimeoutError):
    """Jobs did not finish in the given time."""


class DownloadConflict(ScrapinghubAPIError):
    """Another process downloads to the same path, or an unfinished download of something else is there."""


class DownloadIncomplete(ScrapinghubAPIError):
    """A download has another number of records than the statistics of the job, or than before."""


class StreamInterrupted(ScrapinghubAPIError):
    """A stream broke and could not be resumed within its budget.

    Raised combined with the class of its last cause, so that ``except ServerError`` and
    ``except requests.ConnectionError`` see it too. Iterating again continues after the last record delivered.

    Attributes:
        last_key: Key of the last record delivered; None if none was, or if the records have no keys.
        delivered: Number of records delivered.
    """

    last_key: Any = None
    delivered: int = 0

    @classmethod
    def caused_by(cls, cause: ScrapinghubAPIError, *, delivered: int, last_key: Any) -> StreamInterrupted:
        """Build the error of a stream that gives up.

        Args:
            cause: The failure of the last attempt, already one of this tree.
            delivered: Number of records delivered before.
            last_key: Key of the last of them, or None.

        Returns:
            An error that is a ``StreamInterrupted`` and of the class of ``cause``.
        """
        error = _combine(StreamInterrupted, type(cause), cause.message)
        error.__dict__.update(cause.__dict__)
        error.delivered = delivered
        error.last_key = last_key
        where = f' (last key: {last_key})' if last_key is not None else ''
        ended = f'The stream ended early after {delivered} records{where} and could not be resumed.'
        error.hint = ended if delivered else 'No record was received before.'
        error.add_hint(cause.hint)
        return error

    def __reduce__(self) -> tuple[Any, ...]:
        return _reduce_combined(self, StreamInterrupted)


Combined = TypeVar('Combined', bound=ScrapinghubAPIError)

_combined_classes: dict[tuple[type[ScrapinghubAPIError], type[ScrapinghubAPIError]], type[Any]] = {}


def _combine(ours: type[Combined], cause: type[ScrapinghubAPIError], message: str | None) -> Combined:
    """Make an error without attributes that is an ``ours`` and of the class of its cause."""
    cls = ours if issubclass(ours, cause) else _combined_class(ours, cause)
    error = cls.__new__(cls, message)
    error.args = (message,)
    return error


def _combined_class(ours: type[Combined], cause: type[ScrapinghubAPIError]) -> type[Combined]:
    if (ours, cause) not in _combined_classes:
        made = type(ours.__name__, (ours, cause), {'__module__': __name__, '__doc__': ours.__doc__})
        _combined_classes[ours, cause] = made
    return _combined_classes[ours, cause]


def _reduce_combined(error: ScrapinghubAPIError, ours: type[ScrapinghubAPIError]) -> tuple[Any, ...]:
    others = [base for base in type(error).__mro__[1:] if issubclass(base, ScrapinghubAPIError)]
    cause = next((base for base in others if not issubclass(base, ours)), ScrapinghubAPIError)
    return _combine, (ours, cause, error.message), error.__dict__


class UploadError(ScrapinghubAPIError):
    """A writer could not deliver records.

    Raised combined with the class of its cause where there is one, so that ``except Unauthorized`` sees it too.

    Attributes:
        records: The records that are not stored, in the order in which they were written, as JSON decodes them.
        url: The address that they were written to.
        others: The errors of other writers that failed at the same time.
    """

    records: list[Any]
    others: tuple[UploadError, ...] = ()

    def __init__(
        self,
        message: str | None = None,
        http_error: Exception | None = None,
        *,
        records: list[Any] | None = None,
    ) -> None:
        super().__init__(message, http_error)
        self.records = records if records is not None else []

    @classmethod
    def caused_by(cls, cause: ScrapinghubAPIError, *, records: list[Any], url: str, hint: str) -> UploadError:
        """Build the error of a writer that gives up.

        Args:
            cause: The reason, already one of this tree.
            records: The records that are not stored.
            url: The address that they were written to, without credentials.
            hint: What happened to the records.

        Returns:
            An error that is an ``UploadError`` and of the class of ``cause``.
        """
        error = _combine(UploadError, type(cause), cause.message)
        error.__dict__.update(cause.__dict__)
        error.records = records
        error.url = url
        error.hint = hint
        error.add_hint(cause.hint)
        return error

    def __reduce__(self) -> tuple[Any, ...]:
        return _reduce_combined(self, UploadError)


class APIError(Exception):
    """Error of the legacy client, ``scrapinghub.legacy.Connection``.

    Args:
        message: What went wrong.
        _type: One of the ``ERR_…`` constants; ``ERR_DEFAULT`` if None.
    """

    ERR_DEFAULT = 'err_default'
    ERR_NOT_FOUND = 'err_not_found'
    ERR_VALUE_ERROR = 'err_value_error'
    ERR_BAD_REQUEST = 'err_bad_request'
    ERR_AUTH_ERROR = 'err_auth_error'
    ERR_SERVER_ERROR = 'err_server_error'

    def __init__(self, message: str, _type: str | None = None) -> None:
        super().__init__(message)
        self._type = _type or self.ERR_DEFAULT

    @property
    def kind(self) -> str:
        """One of the ``ERR_…`` constants."""
        return self._type


def message_of(error: Exception) -> str:
    """Return the message of the server for an HTTP error, or the text of the error.

    Args:
        error: Usually an error of ``requests`` with a ``response``.

    Returns:
        The ``message`` of a JSON object; else the body, if it is not empty and no JSON object; else the text of the
        error.
    """
    response: requests.Response | None = getattr(error, 'response', None)
    # The response of any other error of requests broke off: its body is incomplete, or was never read.
    broke_off = isinstance(error, requests.RequestException) and not isinstance(error, requests.HTTPError)
    if response is not None and not broke_off:
        try:
            body = response.json()
        except (ValueError, RecursionError):
            body = None
        if isinstance(body, dict):
            if body.get('message'):
                return str(body['message'])
        elif response.content:
            # Without a charset requests would guess one, slowly and often wrongly.
            text = ''
            with suppress(LookupError, ValueError):  # the server may name one that cannot decode bytes
                text = response.content.decode(response.encoding or 'utf-8', 'replace')
            return text or response.content.decode('utf-8', 'replace')
    return str(error)
