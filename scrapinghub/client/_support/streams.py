"""Open record streams, and explain their errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from scrapinghub.client._support.validation import expect_field
from scrapinghub.config.credentials import Credentials
from scrapinghub.exceptions import BadRequest, DecodeError, ScrapinghubAPIError
from scrapinghub.transport import codec
from scrapinghub.transport.http.call import Call, checked_options
from scrapinghub.transport.http.paths import Path
from scrapinghub.transport.http.retries import MAYBE_APPLIED_HINT
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.streams.cursor import Cursor, Pairs
from scrapinghub.transport.streams.source import Source
from scrapinghub.transport.streams.stream import RecordStream

Explain = Callable[[ScrapinghubAPIError], 'str | None']

FILTER_SYNTAX = (
    'A filter is (field, operator, argument). Several filters in a list must all match. Operators are =, !=, >, >=, <, '
    '<=, contains, icontains, haselement and hasnotelement.'
)

# Options of a request that a caller may set for one call, by their names in requests.
_CALL_FIELDS = ('auth', 'headers', 'timeout')
_REQUESTS_OPTIONS = ('cert', 'cookies', 'proxies', 'verify')


def read_stream(
    transport: Transport,
    path: Path,
    cursor: Cursor,
    accept: str,
    *,
    requests_params: Mapping[str, Any] | None = None,
    explain: Explain | None = None,
    max_record: int = 0,
    convert: Callable[[Any], Any] | None = None,
    eager: bool = False,
    raw: bool = False,
) -> RecordStream[Any]:
    """Return the stream of the records at a path.

    Args:
        transport: Sends the requests.
        path: Path on the storage server.
        cursor: What to request, and how to resume.
        accept: Content type to request.
        requests_params: Options of ``requests``.
        explain: Returns a hint for an error, or None.
        max_record: Maximum size of a record, in bytes, if it is larger than that of the transport.
        convert: Called with each record; the stream delivers what it returns.
        eager: Send the first request now; otherwise the first ``next()`` sends it.
        raw: Whether to deliver records as the bytes that the service sent.

    Returns:
        The stream.
    """
    fields = {} if requests_params is None else parse_requests_params(requests_params)
    call = Call('GET', transport.url(path), accept=accept, max_record=max_record, **fields)
    stream: RecordStream[Any] = RecordStream(Source(transport, call, explain, raw=raw), cursor, convert)
    if eager:
        stream.start()
    return stream


def count_records(
    transport: Transport,
    path: tuple[str, ...],
    requests: Iterable[Pairs],
    progress: Callable[[int, str], object] | None = None,
) -> int:
    """Return the number of records at a path, which the service may count in several responses.

    Args:
        transport: Sends the requests.
        path: Path of the count on the storage server.
        requests: Parameters of the requests.
        progress: Called after each response but the last, with the number so far and where the next one begins.

    Raises:
        DecodeError: A response has no number, or the count would not end.
    """
    operation = f'GET {"/".join(path)}'
    total = 0
    for pairs in requests:
        start: Any = None
        while True:
            response = transport.get(path, pairs, expects=codec.JSON).value
            total += expect_field(response, 'count', int, operation)
            next_start = response.get('nextstart')
            if not next_start:
                break
            if not isinstance(next_start, str) or next_start == start:
                raise DecodeError(f'{operation}: the count continues at {next_start!r} again, and would not end')
            start = next_start
            pairs = [*(pair for pair in pairs if pair[0] != 'start'), ('start', start)]
            if progress is not None:
                progress(total, next_start)
    return total


def parse_requests_params(requests_params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a :class:`Call` for options of ``requests``.

    Args:
        requests_params: Any of ``auth``, ``cert``, ``cookies``, ``headers``, ``proxies``, ``timeout`` (seconds) and
            ``verify``, with the meaning that they have in ``requests``.

    Returns:
        Keyword arguments of :class:`Call`.

    Raises:
        TypeError: The argument is not a mapping, or holds other options.
        ValueError: ``verify`` is neither a boolean nor a path.

    Example:
        >>> parse_requests_params({'timeout': 5})
        {'timeout': 5}
    """
    allowed = sorted((*_CALL_FIELDS, *_REQUESTS_OPTIONS))
    if not isinstance(requests_params, Mapping):
        raise TypeError(f'requests_params should be a dict with any of {", ".join(allowed)}, got {requests_params!r}')
    unknown = [repr(name) for name in requests_params if name not in allowed]
    if unknown:
        raise TypeError(f'requests_params cannot hold {", ".join(unknown)}, only {", ".join(allowed)}')
    fields: dict[str, Any] = {name: requests_params[name] for name in _CALL_FIELDS if name in requests_params}
    auth = fields.get('auth')
    if isinstance(auth, (tuple, list)):
        fields['auth'] = Credentials(*auth)
    options = checked_options({name: requests_params[name] for name in _REQUESTS_OPTIONS if name in requests_params})
    return {**fields, 'options': options} if options else fields


@contextmanager
def explain_errors(explain: Explain) -> Iterator[None]:
    """Add a hint to errors that are raised inside the ``with`` block.

    Args:
        explain: Returns a hint for an error, or None.
    """
    try:
        yield
    except ScrapinghubAPIError as error:
        error.add_hint(explain(error))
        raise


@contextmanager
def explain_lost_response(advice: str) -> Iterator[None]:
    """Say how to find out whether a request was applied whose response was lost.

    Args:
        advice: What to look at, in place of the general advice.
    """
    try:
        yield
    except ScrapinghubAPIError as error:
        if error.maybe_applied:
            error.hint = (error.hint or MAYBE_APPLIED_HINT).replace(MAYBE_APPLIED_HINT, advice)
        raise


def explain_filters(filters: Sequence[str]) -> Explain | None:
    """Return a function that explains a refused filter; None without filters.

    Args:
        filters: The filters of the request, as JSON texts.
    """
    if not filters:
        return None

    def explain(error: ScrapinghubAPIError) -> str | None:
        if not isinstance(error, BadRequest):
            return None
        return f'The request was filtered by {" and ".join(filters)}. {FILTER_SYNTAX}'

    return explain
