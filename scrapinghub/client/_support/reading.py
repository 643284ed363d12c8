"""What every family of records needs to read: options of requests, paths below a key, hints on errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import six

from scrapinghub.config.credentials import Credentials
from scrapinghub.exceptions import BadRequest, ScrapinghubAPIError
from scrapinghub.transport.http.call import Call, checked_options
from scrapinghub.transport.http.paths import Path
from scrapinghub.transport.http.retries import MAYBE_APPLIED_HINT, Attempts
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.streams.cursor import Plan
from scrapinghub.transport.streams.stream import RecordStream, Source

if TYPE_CHECKING:
    import requests

Hint = Callable[[ScrapinghubAPIError], 'str | None']

# What of a request a caller may choose for one call, as the HTTP library names it.
_FIELDS = ('auth', 'headers', 'timeout')
_OPTIONS = ('cert', 'cookies', 'proxies', 'verify')

FILTER_SYNTAX = (
    'A filter is ["field", "operator", [argument, …]]: a tuple, a list, or that as JSON text; several in a list must '
    'all hold. Operators are =, !=, >, >=, <, <=, contains, icontains, haselement and hasnotelement.'
)


def call_fields(requests_params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the fields of a :class:`Call` for what a user wants of the HTTP library.

    Args:
        requests_params: Any of ``auth``, ``cert``, ``cookies``, ``headers``, ``proxies``, ``timeout`` (seconds) and
            ``verify``, with the meaning that ``requests`` gives them; None for none.

    Returns:
        Keyword arguments of :class:`Call`.

    Raises:
        TypeError: It is no mapping, or holds something else.
        ValueError: ``verify`` is neither a boolean nor a path.

    Example:
        >>> call_fields({'timeout': 5})
        {'timeout': 5}
    """
    if requests_params is None:
        return {}
    allowed = sorted((*_FIELDS, *_OPTIONS))
    if not isinstance(requests_params, Mapping):
        raise TypeError(f'requests_params should be a dict with any of {", ".join(allowed)}, got {requests_params!r}')
    unknown = [repr(name) for name in requests_params if name not in allowed]
    if unknown:
        raise TypeError(f'requests_params cannot hold {", ".join(unknown)}, only {", ".join(allowed)}')
    fields: dict[str, Any] = {name: requests_params[name] for name in _FIELDS if name in requests_params}
    auth = fields.get('auth')
    if isinstance(auth, (tuple, list)):
        fields['auth'] = Credentials(*auth)
    options = checked_options({name: requests_params[name] for name in _OPTIONS if name in requests_params})
    return {**fields, 'options': options} if options else fields


def below(path: str | int | Sequence[Any] | None) -> tuple[str, ...]:
    """Return the segments of a path below a key.

    Args:
        path: A number, text with slashes between segments, a sequence of segments, or None.

    Returns:
        The segments; none for None.
    """
    if path is None:
        return ()
    if isinstance(path, (str, bytes)):
        return tuple(segment for segment in six.ensure_text(path).split('/') if segment)
    if isinstance(path, int) and not isinstance(path, bool):
        return (str(path),)
    if isinstance(path, Iterable):
        return tuple(segment for part in path for segment in below(part))
    raise TypeError(f'a path below the key should be a number, a text or a tuple of them, got {path!r}')


def names(value: str | bytes | Iterable[str | bytes] | None) -> list[str]:
    """Return one or several names as a list of texts.

    Args:
        value: A name, an iterable of names, or None.

    Returns:
        The names; none for None.

    Example:
        >>> names('_key')
        ['_key']
    """
    if value is None:
        return []
    if isinstance(value, (str, bytes)):
        return [six.ensure_text(value)]
    return [six.ensure_text(name) for name in value]


def read(
    transport: Transport,
    path: Path,
    plan: Plan,
    *,
    accept: str,
    requests_params: Mapping[str, Any] | None = None,
    hint: Hint | None = None,
) -> RecordStream[Any]:
    """Return the stream of records below a path; the first request goes out at the first ``next()``.

    Args:
        transport: The way to the wire.
        path: Path on the storage server.
        plan: What to ask for, and how to go on.
        accept: Content type to ask for.
        requests_params: Options of the HTTP library.
        hint: Says what helps after an error, or None.

    Returns:
        The stream.
    """
    call = Call('GET', transport.url(path), accept=accept, **call_fields(requests_params))
    return RecordStream(transport, call, plan, None if hint is None else _Hinted(transport, hint))


class _Hinted(Source):
    def __init__(self, transport: Transport, hint: Hint) -> None:
        super().__init__(transport)
        self._hint = hint

    def explain(self, error: requests.RequestException, attempts: Attempts, plan: Plan) -> Exception:
        ours = super().explain(error, attempts, plan)
        if isinstance(ours, ScrapinghubAPIError):
            ours.add_hint(self._hint(ours))
        return ours


@contextmanager
def hinting(hint: Hint) -> Iterator[None]:
    """Add a line of help to errors that pass.

    Args:
        hint: Says what helps after an error, or None.
    """
    try:
        yield
    except ScrapinghubAPIError as error:
        error.add_hint(hint(error))
        raise


@contextmanager
def uncertain(told: str) -> Iterator[None]:
    """Say how to find out whether a request whose answer was lost was carried out.

    Args:
        told: What to look at, in place of the general advice.
    """
    try:
        yield
    except ScrapinghubAPIError as error:
        if error.maybe_applied:
            error.hint = (error.hint or MAYBE_APPLIED_HINT).replace(MAYBE_APPLIED_HINT, told)
        raise


def filter_hint(filters: Sequence[str]) -> Hint:
    """Return what helps after a 400 to a read with filters: the filters, and how they are written.

    Args:
        filters: The filters, as JSON texts.
    """

    def hint(error: ScrapinghubAPIError) -> str | None:
        if not filters or not isinstance(error, BadRequest):
            return None
        return f'The request was filtered by {" and ".join(filters)}. {FILTER_SYNTAX}'

    return hint
