"""Record streams of the low-level client: the one mechanism, asked through the client's ``request``."""

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
from scrapinghub.transport.http.retries import Attempts, RetrySettings, steady_policy
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.streams.cursor import Pairs, Plan
from scrapinghub.transport.streams.cursors import AfterKey, ByPosition, Remaining
from scrapinghub.transport.streams.prefixes import scan_plan
from scrapinghub.transport.streams.stream import Source

if TYPE_CHECKING:
    from scrapinghub.hubstorage.client import HubstorageClient

MAX_RETRIES: int = 180
RETRY_INTERVAL: float = 60


def stream_attempts(
    transport: Transport, settings: RetrySettings, call: Call, delivered: int, limits: tuple[int, float]
) -> Attempts:
    """Return the retry loop of a stream.

    Args:
        transport: Sends the requests.
        settings: The limits of the client.
        call: The request.
        delivered: Number of records delivered.
        limits: ``MAX_RETRIES`` and ``RETRY_INTERVAL`` of the resource: they count if they were changed.
    """
    if not delivered:
        return transport.attempts(call, settings.for_call)
    if limits != (MAX_RETRIES, RETRY_INTERVAL):
        return transport.attempts(call, partial(steady_policy, *limits))
    return transport.attempts(call, settings.for_stream)


class ClientSource(Source):
    """Asks through a low-level client, and raises what that raises.

    Args:
        client: The client.
        auth: Credentials.
        options: Further keyword arguments of its ``request``.
        limits: ``MAX_RETRIES`` and ``RETRY_INTERVAL`` of the resource.
        decoder: Makes a decoder of one's own, from the size of the largest record.
    """

    def __init__(
        self,
        client: HubstorageClient,
        auth: Any,
        options: Mapping[str, Any],
        limits: tuple[int, float],
        decoder: Callable[[int], codec.Decoder] | None = None,
    ) -> None:
        super().__init__(client.transport)
        self._client = client
        self._auth = auth
        self._options = options
        self._limits = limits
        self._make_decoder = decoder

    def open(self, call: Call, number: int) -> requests.Response:
        """Return an answer of good status, its body not read."""
        options = dict(self._options)
        headers = dict(options.pop('headers', None) or {})
        if call.accept != codec.ANY:
            headers.setdefault('Accept', call.accept)
        if headers:
            options['headers'] = headers
        try:
            with one_loop():
                response = self._client.request(
                    is_idempotent=True,
                    method=call.method,
                    url=call.url,
                    auth=self._auth,
                    params=as_dict(call.params),
                    stream=True,
                    **options,
                )
        except ScrapinghubAPIError as error:
            # A view has translated it; the loop of the stream knows the errors of requests.
            if isinstance(error.http_error, requests.RequestException):
                raise error.http_error from None
            raise
        return readable(response)

    def attempts(self, call: Call, delivered: int) -> Attempts:
        """Return the retry loop: by the class attributes of the resource, if they were changed."""
        client = self._client
        return stream_attempts(client.transport, client.retry_settings, call, delivered, self._limits)

    def decoder(self, call: Call, response: requests.Response) -> codec.Decoder:
        """Return a new decoder for an answer."""
        decoder = super().decoder(call, response)
        if self._make_decoder is None:
            return decoder
        return self._make_decoder(self._client.transport.max_record)

    def explain(self, error: requests.RequestException, attempts: Attempts, plan: Plan) -> Exception:
        """Return the exception that the user gets for a failure."""
        if self._client.translate_error(error, attempts) is not error:
            return super().explain(error, attempts, plan)
        if isinstance(error.__cause__, codec.Malformed):
            after = '' if plan.last_key is None else f' (the one after key {plan.last_key})'
            return DecodeError(f'record number {plan.delivered + 1}{after} cannot be decoded: {error}', error)
        return error


def readable(response: requests.Response) -> requests.Response:
    """Return an answer whose body can be read from its ``raw``, also if a program's own way of sending has read it."""
    if vars(response).get('_content', False) is not False:
        set_body(response, response.content)
    return response


def as_dict(params: Any) -> dict[str, Any]:
    """Return query pairs as a dict, with a list for what is repeated."""
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


def plan_for(family: str, key: str, below: str | None, apiparams: Mapping[str, Any], *, packed: bool) -> Plan:
    """Return how a read goes on after its connection broke.

    Args:
        family: ``items``, ``logs``, ``requests`` or ``collections``.
        key: Key of the job or collection.
        below: Path below the key, or None.
        apiparams: Query parameters.
        packed: Whether MessagePack is asked for.
    """
    values = dict(apiparams)
    count = _number(values)
    pairs = as_pairs(values)
    if family == 'collections':
        return _collection_plan(values, count)
    if below is not None:
        # A single record comes without its key, whatever is asked for.
        return ByPosition(pairs, count)
    if 'index' in values:
        wanted = [str(value) for value in _several(values.pop('index'))]
        if family != 'logs' or not packed:
            return Remaining(as_pairs(values), 'index', wanted, count, name_of=_last_part)
    if family == 'logs' and packed:
        # The service leaves the key out there.
        return ByPosition(pairs, count, seek=_seek(key, values))
    return AfterKey(pairs, count, strip=False)


def _collection_plan(values: dict[str, Any], count: int | None) -> Plan:
    wanted = values.pop('key', None)
    keys = None if wanted is None else map(str, _several(wanted))
    return scan_plan(as_pairs(values), count, keys=keys)


def _number(values: dict[str, Any]) -> int | None:
    """Take the count out of parameters, if it is one number."""
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
