"""The items that a job scraped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from scrapinghub.client._support.lists import listed
from scrapinghub.client._support.parameters import Time, number, pairs
from scrapinghub.client._support.reading import below
from scrapinghub.client._support.records import Below, Filters, Names, Records, RequestsParams, number_in
from scrapinghub.exceptions import DecodeError
from scrapinghub.transport.streams.cursor import Plan
from scrapinghub.transport.streams.cursors import AfterKey
from scrapinghub.transport.streams.stream import Ending, Resumable

__all__ = ['Items']

Item = dict[str, Any]
ItemList = list[Item]


class Items(Records[Item]):
    """The items that a job scraped: ``job.items``.

    Safe to share between threads; an iterator is not.

    Args:
        cls: Ignored; kept for programs that pass it.
        client: The client.
        key: Key of the job.

    Attributes:
        key: Key of the job.

    Example:
        >>> [item['name'] for item in job.items.iter()]
        ['first', 'second']
    """

    _family = 'items'

    def iter(
        self,
        _path: Below = None,
        count: int | None = None,
        requests_params: RequestsParams = None,
        *,
        start: int | str | None = None,
        startafter: str | None = None,
        offset: int | None = None,
        index: int | Iterable[int] | None = None,
        filter: Filters = None,
        meta: Names = None,
        startts: Time = None,
        endts: Time = None,
        nodata: bool | None = None,
        **params: Any,
    ) -> Iterator[Item]:
        """Iterate over the items of this job, in the order in which they were written.

        Items are streamed: the first one comes when it has arrived, and memory does not grow with the job.

        Args:
            _path: What to read below the job instead of all items: the number of one.
            count: Stop after this many items.
            requests_params: Options of the HTTP library for this call: ``timeout`` (seconds), ``headers``, ``proxies``
                and the like.
            start: Begin at this item: its number or its key.
            startafter: Begin after the item with this key.
            offset: Skip this many items.
            index: Only the items with these numbers.
            filter: Only matching items: a condition ``(field, operator, [argument, …])``, or a list of them.
            meta: Names of further fields of the service: ``_key``, ``_ts``.
            startts: Only items stored at or after this time, in milliseconds since the epoch.
            endts: Only items stored before this time, in milliseconds since the epoch.
            nodata: Return the fields of ``meta`` alone.
            **params: Further parameters of the service.

        Yields:
            An item as a dict, without ``_key`` unless ``meta`` asks for it.

        Raises:
            BadRequest: The service does not understand a parameter.
            StreamInterrupted: The connection broke and could not be resumed; iterating again goes on.

        Example:
            >>> [item['name'] for item in job.items.iter(filter=('name', 'contains', ['ir']))]
            ['first']
        """
        named = {
            'start': start,
            'startafter': startafter,
            'offset': offset,
            'index': index,
            'filter': filter,
            'meta': meta,
            'startts': startts,
            'endts': endts,
            'nodata': nodata,
        }
        return self._read(_path, count, requests_params, named, params)

    list = listed(iter)

    def _values(self, named: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
        values = super()._values(named, params)
        self._offset_to_start(values)
        return values

    def list_iter(
        self,
        chunksize: int = 1000,
        _path: Below = None,
        *,
        start: int = 0,
        count: int | None = None,
        requests_params: RequestsParams = None,
        filter: Filters = None,
        meta: Names = None,
        startts: Time = None,
        endts: Time = None,
        nodata: bool | None = None,
        **params: Any,
    ) -> Iterator[ItemList]:
        """Iterate over the items of this job in lists, each of them one request.

        Args:
            chunksize: Most items in a list.
            _path: As for :meth:`iter`.
            start: Number of the first item.
            count: Stop after this many items.
            requests_params: As for :meth:`iter`.
            filter: As for :meth:`iter`.
            meta: As for :meth:`iter`.
            startts: As for :meth:`iter`.
            endts: As for :meth:`iter`.
            nodata: As for :meth:`iter`.
            **params: Further parameters of the service.

        Yields:
            A list of items; one empty list if there is none at all.

        Raises:
            ValueError: ``chunksize`` is less than 1.
            StreamInterrupted: The connection broke and could not be resumed; iterating again goes on.

        Example:
            >>> [len(items) for items in job.items.list_iter(chunksize=2)]
            [2]
        """
        if not number('chunksize', chunksize):
            raise ValueError(f'chunksize should be at least 1, got {chunksize!r}')
        for name in ('startafter', 'start_after', 'offset', 'index'):
            if params.get(name) is not None:
                raise TypeError(f'list_iter does not take {name!r}: it begins at number start')
        named = {'filter': filter, 'meta': meta, 'startts': startts, 'endts': endts, 'nodata': nodata}
        values = self._values(named, params)
        segments = below(_path)
        meta_names = values.pop('meta', [])
        strip = '_key' not in meta_names
        values['meta'] = [*meta_names, '_key'] if strip else meta_names

        def ask(place: int, size: int) -> tuple[Plan, Iterator[Item]]:
            plan = AfterKey(pairs({'start': self._key_of(place), **values}), size, strip=strip)
            return plan, self._stream(plan, segments, values, requests_params)

        return Resumable(_Chunks(ask, chunksize, number('start', start) or 0, number('count', count)).deliver)


class _Chunks:
    """The progress of a ``list_iter``.

    Args:
        ask: Returns the plan and the stream for a number of items from a number on.
        size: Most items in a list.
        start: Number of the first item.
        count: Stop after this many items; None for all.
    """

    def __init__(
        self, ask: Callable[[int, int], tuple[Plan, Iterator[Item]]], size: int, start: int, count: int | None
    ) -> None:
        self._ask = ask
        self._size = size
        self._place = start
        self._left = count
        self._asked: tuple[Plan, Iterator[Item]] | None = None
        self._chunk: ItemList = []
        self._delivered = False
        self._ended = count == 0

    def deliver(self, ending: Ending) -> Iterator[ItemList]:
        """Yield the lists that have not been delivered."""
        with ending:
            while not self._ended and self._fetch():
                chunk = self._chunk
                place, left, ended = self._after(chunk)
                # No call from here on: an interruption finds the list either delivered and noted, or neither.
                self._place, self._left, self._ended = place, left, ended
                self._asked = None
                self._delivered = True
                yield chunk

    @property
    def _wanted(self) -> int:
        return self._size if self._left is None else min(self._size, self._left)

    def _fetch(self) -> bool:
        """Complete the present list; return False if nothing follows the lists before."""
        if self._asked is None:
            self._chunk = []
            self._asked = self._ask(self._place, self._wanted)
        # What has come stays in the list if the stream fails, and the stream goes on after it.
        self._chunk.extend(self._asked[1])
        return bool(self._chunk) or not self._delivered

    def _after(self, chunk: ItemList) -> tuple[int, int | None, bool]:
        """Return where the next list begins, how many items are left, and whether there is no next list."""
        left = None if self._left is None else self._left - len(chunk)
        if len(chunk) < self._wanted or left == 0:
            return self._place, left, True
        assert self._asked is not None
        last_key = self._asked[0].last_key
        if last_key is None:
            raise DecodeError('the items came without the keys that were asked for, so that the next list is not known')
        return int(number_in(last_key)) + 1, left, False
