"""From errors of ``requests`` to the exceptions of the library, and what a failed request concerned."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

import requests

from scrapinghub.config.endpoints import Endpoints
from scrapinghub.exceptions import (
    BadRequest,
    BodyBroken,
    ConnectionFailed,
    ConnectTimedOut,
    EncodingBroken,
    Forbidden,
    NetworkError,
    NotFound,
    ProxyFailed,
    ReadTimedOut,
    ScrapinghubAPIError,
    ServerError,
    TLSFailed,
    Unauthorized,
    ValueTooLarge,
)
from scrapinghub.redaction import strip_credentials
from scrapinghub.transport.http.network_errors import describe, hint_for
from scrapinghub.transport.http.retries import Attempts

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

# Paths of job data, and the name of what is below a job there.
_OF_PROJECT = {'periodicjobs': 'periodic job', 'spiders': 'spider'}
_JOB_DATA = {
    'comments': 'item',
    'items': 'item',
    'logs': 'log entry',
    'requests': 'request',
    'samples': 'sample',
    'jobs': 'metadata field',
}
_LONGEST_NAME = 100


def class_for_status(status: int) -> type[ScrapinghubAPIError]:
    """Return the exception class for an HTTP status of 400 or more."""
    if 500 <= status <= 599:
        return ServerError
    return _CLASS_BY_STATUS.get(status, ScrapinghubAPIError)


def from_http_error(error: requests.RequestException) -> ScrapinghubAPIError:
    """Return the exception of the library for an error of ``requests``; the caller raises it ``from None``.

    Args:
        error: A status error with its response, or a network error.
    """
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return class_for_status(error.response.status_code)(http_error=error)
    for theirs, ours in _CLASS_BY_NETWORK_ERROR:
        if isinstance(error, theirs):
            return ours(http_error=error)
    return ScrapinghubAPIError(http_error=error)


def translate(
    error: requests.RequestException,
    attempts: Attempts | None,
    endpoints: Endpoints,
    timeout: float | None,
    credentials_hint: str | None,
) -> ScrapinghubAPIError:
    """Return the exception of the library for a failure, with its context and help.

    Args:
        error: The failure.
        attempts: The retry loop that gave up, if there was one.
        endpoints: The base URLs.
        timeout: The time-out of the client, in seconds.
        credentials_hint: Help for a refusal of the credentials.
    """
    ours = from_http_error(error)
    if isinstance(ours, NetworkError):
        number = 1 if attempts is None else attempts.number
        where = f'{ours.method} {ours.url}: ' if ours.url else ''
        ours.message = f'{where}{describe(error)}' + (f' ({number} attempts)' if number > 1 else '')
        ours.args = (ours.message,)
        ours.add_hint(hint_for(error, timeout))
    else:
        ours.context = context_of(ours, endpoints)
    if attempts is not None:
        ours.maybe_applied = attempts.maybe_applied
        ours.add_hint(attempts.hint)
    if isinstance(ours, Unauthorized):
        ours.add_hint(credentials_hint)
    return ours


def with_request(
    error: ScrapinghubAPIError, response: requests.Response, problem: str | None = None
) -> ScrapinghubAPIError:
    """Add the status, method and URL of a response to an error, and return it; with a problem also the context."""
    source = ScrapinghubAPIError('', requests.HTTPError(response=response))
    error.status_code, error.method, error.url = source.status_code, source.method, source.url
    if problem is not None:
        error.context = f'{source.method} {source.url}: {problem}'
    return error


def context_of(error: ScrapinghubAPIError, endpoints: Endpoints, project: object = None) -> str | None:
    """Return which request failed and what it concerned, as one line; None if there was no response.

    Args:
        error: A status error.
        endpoints: The base URLs, which the line leaves out.
        project: Id of the project, if the path does not hold it.
    """
    if error.status_code is None or error.url is None:
        return None
    # The longest first: one of them may be the beginning of another.
    bases = sorted({f'{strip_credentials(base)}/' for base in vars(endpoints).values()}, key=len, reverse=True)
    base = next((base for base in bases if error.url.startswith(base)), '')
    path = error.url[len(base) :]
    subject, owner = _subject([unquote(part) for part in path.split('/') if part])
    if owner is None and project is not None:
        subject, owner = f'project {project}', str(project)
    explanation = _explanation(error, subject, owner)
    return f'{error.method} {path}' + (f': {explanation}' if explanation else '')


def _explanation(error: ScrapinghubAPIError, subject: str | None, project: str | None) -> str:
    access = f'no access to project {project}' if project else 'no access to it'
    if isinstance(error, NotFound):
        return f'there is no {subject}, or {access}' if subject else 'nothing was found'
    if isinstance(error, Forbidden):
        return access
    if error.status_code is None or error.status_code < 400:
        # The dash reports errors with status 200.
        return subject or ''
    return f'HTTP {error.status_code}' + (f' for {subject}' if subject else '')


def _subject(path: Sequence[str]) -> tuple[str | None, str | None]:
    """Return what a path addresses and the project that it belongs to; None for what is unknown."""
    if path[:1] == ['v2']:
        path = path[1:]
    family, *names = [name[:_LONGEST_NAME] for name in path] or ['']
    if not names or not names[0].isdigit():
        return None, None
    project = names[0]
    subject = f'project {project}'
    if family in _JOB_DATA and len(names) > 1:
        subject = f'job {"/".join(names[:3])}' if len(names) > 2 else f'spider {"/".join(names)}'
        if len(names) > 3 and names[3] != 'stats':
            subject = f'{_JOB_DATA[family]} {names[3]} in {subject}'
    elif family == 'collections' and len(names) > 2:
        subject = f'collection {names[2]} in project {project}'
        if len(names) == 4 and names[3] not in ('count', 'deleted'):
            subject = f'key {names[3]} in {subject}'
    elif family == 'projects' and len(names) > 2 and names[1] in _OF_PROJECT:
        subject = f'{_OF_PROJECT[names[1]]} {names[2]} in project {project}'
    elif family == 'hcf' and len(names) > 1:
        subject = f'frontier {names[1]} in project {project}'
    return subject, project
