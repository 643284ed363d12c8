"""The exceptions of the library: one tree, and one table from HTTP status to class.

::

    ScrapinghubAPIError
    ├── BadRequest             400, and what the dash calls a bad request
    ├── Unauthorized           401
    ├── Forbidden              403
    ├── NotFound               404
    ├── ValueTooLarge          413, or refused before sending; also a ValueError
    ├── DuplicateJobError      the same job is already waiting or running
    ├── ServerError            500-599
    ├── NetworkError           no complete answer arrived
    │   ├── ConnectionFailed   also requests.ConnectionError
    │   ├── ConnectTimedOut    also requests.ConnectTimeout
    │   ├── ReadTimedOut       also requests.ReadTimeout
    │   ├── TLSFailed          also requests.exceptions.SSLError
    │   ├── ProxyFailed        also requests.exceptions.ProxyError
    │   ├── BodyBroken         also requests.exceptions.ChunkedEncodingError
    │   └── EncodingBroken     also requests.exceptions.ContentDecodingError
    ├── UnexpectedRedirect     the answer points elsewhere, and following would be wrong
    ├── DecodeError            the answer is complete but is not what was asked for; also a ValueError
    ├── StreamInterrupted      a stream broke and could not be resumed
    └── UploadError            a writer could not deliver records; it holds them

    APIError                   of the legacy client, see scrapinghub.legacy
"""

from __future__ import annotations

from typing import Any, TypeVar
from urllib.parse import unquote_plus, urlsplit, urlunsplit

import requests

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


def strip_credentials(url: str | None) -> str | None:
    """Return a URL without user, password, query or fragment, so that it may be shown.

    Args:
        url: Any URL, or None.

    Returns:
        The URL up to its path; None for None, and for what is no URL.
    """
    if not url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return urlunsplit((parts.scheme, parts.netloc.rpartition('@')[2], parts.path, '', ''))


def strip_secrets(url: str) -> str:
    """Return a URL as errors of ``requests`` tell it, with its query, but without user, password and API key.

    Args:
        url: The URL of an answer.
    """
    parts = urlsplit(url)
    pairs = [pair for pair in parts.query.split('&') if unquote_plus(pair.partition('=')[0]).lower() != 'apikey']
    return urlunsplit((parts.scheme, parts.netloc.rpartition('@')[2], parts.path, '&'.join(pairs), ''))


class ScrapinghubAPIError(Exception):
    """Base class of every error that the service or the way to it causes.

    ``str()`` begins with the words of the server, unchanged; a hint of ours, where there is one, follows on a line of
    its own.

    Args:
        message: What went wrong; taken from ``http_error`` if it is missing.
        http_error: The error of the HTTP library behind this one.

    Attributes:
        http_error: As given, or None.
        status_code: HTTP status of the answer, None if there was none.
        method: HTTP method of the request, None if unknown.
        url: URL of the request without credentials and query, None if unknown.
        maybe_applied: True if the request was not repeated because the service may already have carried it out.
        hint: A line of help, or None.
    """

    maybe_applied: bool = False
    hint: str | None = None

    def __init__(self, message: str | None = None, http_error: Exception | None = None) -> None:
        self.http_error = http_error
        response = getattr(http_error, 'response', None)
        request = getattr(http_error, 'request', None) or getattr(response, 'request', None)
        self.status_code: int | None = getattr(response, 'status_code', None)
        self.method: str | None = getattr(request, 'method', None)
        self.url: str | None = strip_credentials(getattr(request, 'url', None))
        if not message and http_error is not None:
            message = message_of(http_error)
        self.message = message
        super().__init__(message)

    def __str__(self) -> str:
        text = str(self.message)
        if not self.hint:
            return text
        # The service ends many of its texts with a line feed.
        return f'{text}{self.hint}' if text.endswith('\n') else f'{text}\n{self.hint}'

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
    """Make the shell of an unpickled error; its attributes follow as the pickled state."""
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
    """The thing that was asked for does not exist (HTTP 404, or a name that the service does not know)."""


class ValueTooLarge(ScrapinghubAPIError, ValueError):
    """A record is larger than the service accepts (HTTP 413, or found before sending)."""


class DuplicateJobError(ScrapinghubAPIError):
    """The same job is already waiting or running."""


class ServerError(ScrapinghubAPIError):
    """The service failed (HTTP 500-599)."""


class NetworkError(ScrapinghubAPIError):
    """No complete answer arrived; each subclass is also the class of ``requests`` that it was."""


class ConnectionFailed(NetworkError, requests.ConnectionError):
    """The connection could not be opened, or was closed before an answer came."""


class ConnectTimedOut(NetworkError, requests.ConnectTimeout):
    """The connection was not opened within the time-out."""


class ReadTimedOut(NetworkError, requests.ReadTimeout):
    """The service did not answer within the time-out, or an answer stopped arriving."""


class TLSFailed(NetworkError, requests.exceptions.SSLError):
    """The encrypted connection could not be made: most often a certificate that is not trusted."""


class ProxyFailed(NetworkError, requests.exceptions.ProxyError):
    """The proxy could not be reached or refused."""


class BodyBroken(NetworkError, requests.exceptions.ChunkedEncodingError):
    """The answer ended before it was complete."""


class EncodingBroken(NetworkError, requests.exceptions.ContentDecodingError):
    """The compression of the answer is damaged."""


class UnexpectedRedirect(ScrapinghubAPIError):
    """The service redirects to where a request with credentials must not follow."""


class DecodeError(ScrapinghubAPIError, ValueError):
    """An answer is complete but cannot be decoded, or is of another type than the call owes."""


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
    """A download has another number of records than the statistics of the job."""


class StreamInterrupted(ScrapinghubAPIError):
    """A stream broke and could not be resumed within its budget.

    Raised combined with the class of its last cause, so that ``except ServerError`` and
    ``except requests.ConnectionError`` see it too. Iterating again goes on after the last record delivered.

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
        told = f'The stream ended early after {delivered} records{where} and could not be resumed.'
        error.hint = told if delivered else 'No record came before.'
        error.add_hint(cause.hint)
        return error

    def __reduce__(self) -> tuple[Any, ...]:
        return _reduce_combined(self, StreamInterrupted)


Combined = TypeVar('Combined', bound=ScrapinghubAPIError)

_combined_classes: dict[tuple[type[ScrapinghubAPIError], type[ScrapinghubAPIError]], type[Any]] = {}


def _combine(ours: type[Combined], cause: type[ScrapinghubAPIError], message: str | None) -> Combined:
    """Make the shell of an error that is an ``ours`` and of the class of its cause."""
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
        records: The records that are not stored, in the order in which they were written, as JSON gives them back.
        url: Where they should have gone.
        others: Where several writers failed at once, the errors of the other ones.
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
            cause: Why, already one of this tree.
            records: What is not stored.
            url: Where it should have gone, without credentials.
            hint: What became of the records.

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


_CLASS_BY_STATUS: dict[int, type[ScrapinghubAPIError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    413: ValueTooLarge,
}

# In the order in which they are tried: the classes of requests inherit from one another.
_CLASS_BY_NETWORK_ERROR: tuple[tuple[type[Exception], type[NetworkError]], ...] = (
    (requests.ConnectTimeout, ConnectTimedOut),
    (requests.Timeout, ReadTimedOut),
    (requests.exceptions.SSLError, TLSFailed),
    (requests.exceptions.ProxyError, ProxyFailed),
    (requests.exceptions.ChunkedEncodingError, BodyBroken),
    (requests.exceptions.ContentDecodingError, EncodingBroken),
    (requests.ConnectionError, ConnectionFailed),
)


def class_for_status(status: int) -> type[ScrapinghubAPIError]:
    """Return the exception class for an HTTP status of 400 or more."""
    if 500 <= status <= 599:
        return ServerError
    return _CLASS_BY_STATUS.get(status, ScrapinghubAPIError)


def from_http_error(error: requests.RequestException) -> ScrapinghubAPIError:
    """Translate an error of ``requests`` into one of this tree; the caller raises it ``from`` the original.

    Args:
        error: A status error with its response, or a network error.

    Returns:
        The exception to raise.
    """
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return class_for_status(error.response.status_code)(http_error=error)
    for theirs, ours in _CLASS_BY_NETWORK_ERROR:
        if isinstance(error, theirs):
            return ours(http_error=error)
    return ScrapinghubAPIError(http_error=error)


def message_of(error: Exception) -> str:
    """Return the server's own words for an HTTP error, or the text of the error.

    Args:
        error: Usually an error of ``requests`` with a ``response``.

    Returns:
        The ``message`` of a JSON object; else the body, if it is not empty and no JSON object; else the text of the
        error.
    """
    response: requests.Response | None = getattr(error, 'response', None)
    # The answer of any other error of requests broke off: there is nothing to read, or no end to it.
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
            return response.text if response.encoding else response.content.decode('utf-8', 'replace')
    return str(error)
