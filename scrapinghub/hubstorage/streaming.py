"""Record streams of the low-level client: those of the transport, requested through the client's ``request``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import requests

from scrapinghub.exceptions import DecodeError, ScrapinghubAPIError
from scrapinghub.hubstorage.retrier import one_loop
from scrapinghub.transport import codec
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.responses import set_body
from scrapinghub.transport.http.retries import Attempts, Policy, RetrySettings, steady_policy
from scrapinghub.transport.streams.cursor import Cursor, KeysetCursor, Pairs
from scrapinghub.transport.streams.cursors_without_keys import PendingKeysCursor, SkipCursor
from scrapinghub.transport.streams.prefixes import scan_cursor
from scrapinghub.transport.streams.source import Source

if TYPE_CHECKING:
    from scrapinghub.hubstorage.client import HubstorageClient

MAX_RETRIES: int = 180
RETRY_INTERVAL: float = 60


def stream_policy(settings: RetrySettings, delivered: int, limits: tuple[int, float]) -> Callable[[], Policy]:
    """Return what makes the retry policy of a stream.

    Args:
        settings: The limits of the client.
        delivered: Number of records delivered.
        limits: ``MAX_RETRIES`` and ``RETRY_INTERVAL`` of the resource: they count if they were changed.
    """
    if not delivered:
        return settings.for_call
    return partial(steady_policy, *limits) if limits != (MAX_RETRIES, RETRY_INTERVAL) else settings.for_stream


class ClientSource(Source):
    """Requests through a low-level client, and raises the errors of that.

    Args:
        client: The client.
        call: What to request.
        auth: Credentials.
        options: Further keyword arguments of its ``request``.
        limits: ``MAX_RETRIES`` and ``RETRY_INTERVAL`` of the resource.
        raw: Whether to deliver records as the bytes that the service sent.
    """

    def __init__(
        self,
        client: HubstorageClient,
        call: Call,
        auth: Any,
        options: Mapping[str, Any],
        limits: tuple[int, float],
        *,
        raw: bool = False,
    ) -> None:
        super().__init__(client.transport, call, raw=raw)
        self._client = client
        self._auth = auth
        self._options = options
        self._limits = limits

    def open(self, params: Pairs, number: int) -> requests.Response:
        """Return a response of good status, its body not read."""
        options = dict(self._options)
        headers = dict(options.pop('headers', None) or {})
        if self.call.accept != codec.ANY:
            headers.setdefault('Accept', self.call.accept)
        if headers:
            options['headers'] = headers
        try:
            with one_loop():
                response = self._client.request(
                    is_idempotent=True,
                    method=self.call.method,
                    url=self.call.url,
                    auth=self._auth,
                    params=as_dict(params),
                    stream=True,
                    **options,
                )
        except ScrapinghubAPIError as error:
            # A view has translated it; the loop of the stream knows the errors of requests.
            if isinstance(error.http_error, requests.RequestException):
                raise error.http_error from None
            raise
        return readable(response)

    def attempts(self, delivered: int, since: float) -> Attempts:
        """Return a new retry loop: by the class attributes of the resource, if they were changed."""
        policy = stream_policy(self._client.retry_settings, delivered, self._limits)
        return self.transport.attempts(self.call, policy, since)

    def explain(self, error: requests.RequestException, attempts: Attempts, cursor: Cursor) -> Exception:
        """Return the exception that the user gets for a failure."""
        if self._client.translate_error(error, attempts) is not error:
            return super().explain(error, attempts, cursor)
        if isinstance(error.__cause__, codec.Malformed):
            after = '' if cursor.last_key is None else f' (the one after key {cursor.last_key})'
            return DecodeError(f'record number {cursor.delivered + 1}{after} cannot be decoded: {error}', error)
        return error


def readable(response: requests.Response) -> requests.Response:
    """Return a response whose body can be read from ``raw``, even if a replaced ``request`` has read it."""
    if vars(response).get('_content', False) is not False:
        set_body(response, response.content)
    return response


def as_dict(params: Any) -> dict[str, Any]:
    """Return query pairs as a dict, with a list for repeated names."""
    found: dict[str, Any] = {}
    for name, value in params or ():
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found


def as_pairs(params: Mapping[str, Any]) -> Pairs:
    """Return query parameters as pairs: collections repeated, None left out."""
    return [(name, value) for name, values in params.items() for value in _several(values) if value is not None]


def _several(values: Any) -> Iterable[Any]:
    return [values] if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable) else values


def cursor_for(family: str, key: str, below: str | None, apiparams: Mapping[str, Any], *, packed: bool) -> Cursor:
    """Return the cursor of a read.

    Args:
        family: ``items``, ``logs``, ``requests`` or ``collections``.
        key: Key of the job or collection.
        below: Path below the key, or None.
        apiparams: Query parameters.
        packed: Whether MessagePack is requested.
    """
    values = dict(apiparams)
    count = _number(values)
    pairs = as_pairs(values)
    if family == 'collections':
        return _collection_cursor(values, count)
    if below is not None:
        # A single record has no key, even if it is requested.
        return SkipCursor(pairs, count)
    if 'index' in values:
        wanted = [str(value) for value in _several(values.pop('index'))]
        if family != 'logs' or not packed:
            return PendingKeysCursor(as_pairs(values), 'index', wanted, count, name_of=_last_part)
    if family == 'logs' and packed:
        # The service sends no keys there.
        return SkipCursor(pairs, count, seek=_seek(key, values))
    return KeysetCursor(pairs, count, strip=False)


def _collection_cursor(values: dict[str, Any], count: int | None) -> Cursor:
    wanted = values.pop('key', None)
    keys = None if wanted is None else map(str, _several(wanted))
    return scan_cursor(as_pairs(values), count, keys=keys)


def _number(values: dict[str, Any]) -> int | None:
    """Remove the count from parameters and return it, if it is one number."""
    counts = [value for value in _several(values.get('count')) if value is not None]
    if len(counts) != 1 or not re.fullmatch('[0-9]+', str(counts[0])):
        return None
    del values['count']
    return int(counts[0])


def _last_part(key: str) -> str:
    return key.rpartition('/')[2]


def _seek(key: str, values: Mapping[str, Any]) -> Callable[[int], Pairs] | None:
    given = {name for name, value in values.items() if value is not None}
    if given != {'meta'}:
        return None
    rest = as_pairs(values)
    return lambda position: [*rest, ('start', f'{key}/{position}')]
