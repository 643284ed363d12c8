"""The items that a job scraped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from scrapinghub.client._support.parameters import Time, encode_pairs, parse_number
from scrapinghub.client._support.record_families import Family, parse_parameters, parse_record_number
from scrapinghub.client._support.records import Filters, KeyedRecords, Names, RelativePath, RequestsParams
from scrapinghub.client._support.validation import parse_path
from scrapinghub.exceptions import DecodeError
from scrapinghub.transport.streams.cursor import KeysetCursor
from scrapinghub.transport.streams.stream import RecordStream, ResumableIterator

__all__ = ['Items']

Item = dict[str, Any]


class Items(KeyedRecords[Item]):
    """The items that a job scraped: ``job.items``.

    Safe to share between threads; an iterator is not.

    HTTP API: https://docs.zyte.com/scrapy-cloud/usage/reference/http/items.html

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

    _family = Family('items', has_offset=True)

    def field_coverage(self) -> dict[str, float]:
        """Return the share of items that have each field, from the statistics of the job.

        Returns:
            Shares from 0 to 1 by field; empty for a job without items.

        Example:
            >>> job.items.field_coverage()
            {'name': 1.0}
        """
        stats = self.stats()
        total = (stats.get('totals') or {}).get('input_values') or 0
        return {name: count / total for name, count in (stats.get('counts') or {}).items()} if total else {}

    def list_iter(
        self,
        chunksize: int = 1000,
        _path: RelativePath = None,
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
    ) -> Iterator[list[Item]]:
        """Iterate over the items in lists, with one request for each list.

        Args:
            chunksize: Maximum number of items in a list.
            _path: See :meth:`iter`, also for the parameters that are not described here.
            start: Number of the first item.
            count: Maximum number of items in all lists.
            requests_params: Options of ``requests``.
            filter: Only matching items.
            meta: Further fields of the service.
            startts: Only items stored at or after this time.
            endts: Only items stored before this time.
            nodata: Return only the fields named by ``meta``.
            **params: Further parameters of the service.

        Yields:
            A list of items. A job without items yields one empty list.

        Raises:
            ValueError: ``chunksize`` is less than 1.
            StreamInterrupted: The connection broke and could not be resumed. Iterating again continues.

        Example:
            >>> [len(items) for items in job.items.list_iter(chunksize=2)]
            [2]
        """
        if not parse_number('chunksize', chunksize):
            raise ValueError(f'chunksize should be at least 1, got {chunksize!r}')
        for name in ('startafter', 'start_after', 'offset', 'index'):
            if params.get(name) is not None:
                raise TypeError(f'list_iter does not take {name!r}: use start')
        named = {'filter': filter, 'meta': meta, 'startts': startts, 'endts': endts, 'nodata': nodata}
        values = parse_parameters(self._family, self.key, named, params)
        segments = parse_path(_path)
        meta_names = values.pop('meta', [])
        strip = '_key' not in meta_names
        accept = self._family.accept(self._client.transport.use_msgpack, {})
        values['meta'] = [*meta_names, '_key'] if strip else meta_names

        def request(number: int, size: int) -> RecordStream[Item]:
            cursor = KeysetCursor(encode_pairs({'start': f'{self.key}/{number}', **values}), size, strip=strip)
            return self._open(cursor, segments, values, accept, requests_params)

        first, limit = parse_number('start', start) or 0, parse_number('count', count)
        return ResumableIterator(_Lists(request, chunksize, first, limit))


class _Lists:
    """The lists of a ``list_iter``; each iteration is a run.

    Args:
        request: Returns the stream of a number of items, beginning at a number.
        size: Maximum number of items in a list.
        start: Number of the first item.
        count: Maximum number of items; None for all.

    Attributes:
        unfinished: Whether there may be another run.
    """

    def __init__(
        self, request: Callable[[int, int], RecordStream[Item]], size: int, start: int, count: int | None
    ) -> None:
        self.unfinished = count != 0
        self._request = request
        self._size = size
        self._next_number = start
        self._remaining = count
        self._stream: RecordStream[Item] | None = None
        self._items: list[Item] = []
        self._delivered = False

    def __iter__(self) -> Iterator[list[Item]]:
        """Yield the lists that have not been delivered."""
        while self.unfinished and self._fetch():
            items = self._items
            next_number, remaining, unfinished = self._after(items)
            # No call between here and the yield: an interruption finds the list delivered and recorded, or neither.
            self._next_number, self._remaining = next_number, remaining
            self._stream = None
            self._delivered = True
            self.unfinished = unfinished
            yield items
        self.unfinished = False

    @property
    def _list_size(self) -> int:
        return self._size if self._remaining is None else min(self._size, self._remaining)

    def _fetch(self) -> bool:
        """Complete the current list; return False if no list follows."""
        if self._stream is None:
            self._items = []
            self._stream = self._request(self._next_number, self._list_size)
        # If the stream fails, the list keeps what has arrived, and the stream continues after it.
        self._items.extend(self._stream)
        return self.unfinished and (bool(self._items) or not self._delivered)

    def _after(self, items: list[Item]) -> tuple[int, int | None, bool]:
        """Return the number of the next item, how many items remain, and whether another list may follow."""
        remaining = None if self._remaining is None else self._remaining - len(items)
        if len(items) < self._list_size or remaining == 0:
            return self._next_number, remaining, False
        last_key = None if self._stream is None else self._stream.last_key
        if last_key is None:
            raise DecodeError('list_iter: the items have no keys, so the next list is unknown')
        return int(parse_record_number(last_key)) + 1, remaining, True

    def close(self) -> None:
        """Release the connection, and deliver no further list."""
        self.unfinished = False
        if self._stream is not None:
            self._stream.close()
