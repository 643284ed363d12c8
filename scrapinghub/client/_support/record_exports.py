"""Downloads, tables, progress and the end of the records of a job."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from scrapinghub.client._support.export_methods import (
    BATCH_SIZE,
    Batches,
    Downloads,
    InferringTables,
    check_filters,
    report_progress,
)
from scrapinghub.client._support.following import Following, read_tail
from scrapinghub.client._support.parameters import encode_pairs, merge_parameters, parse_number, suggests_names
from scrapinghub.client._support.record_families import POSITIONS, Family, parse_parameters, reads_all
from scrapinghub.client._support.resource import Client
from scrapinghub.client._support.validation import expect, parse_name, parse_names
from scrapinghub.config.validation import Expected
from scrapinghub.export.progress import Progress
from scrapinghub.transport import codec
from scrapinghub.transport.streams.cursor import Cursor, KeysetCursor, RangeCursor
from scrapinghub.transport.streams.stream import RecordStream, ResumableIterator

if TYPE_CHECKING:
    from scrapinghub.client.shapes import Stats

R = TypeVar('R')


class ExportedRecords(Downloads, Generic[R]):
    """What :class:`~scrapinghub.client._support.records.Records` adds to reading and writing.

    A class that uses it has the attributes below.
    """

    key: str
    _client: Client
    _family: ClassVar[Family]
    _path: tuple[str, ...]
    iter: Callable[..., Any]

    def get(self, key: int | str, *, meta: str | Iterable[str] | None = None, **params: Any) -> R | None:
        """Return one record.

        Args:
            key: Number of the record, or its key as ``meta='_key'`` returns it.
            meta: Further fields of the service to return: ``_key``, ``_ts``.
            **params: Further parameters of the service.

        Returns:
            The record; None if the response of the service is empty.

        Raises:
            NotFound: The record or the job does not exist.

        Example:
            >>> job.items.get(1)
            {'name': 'second'}
        """
        number = parse_name('key', key).removeprefix(f'{self.key}/')
        values = parse_parameters(self._family, self.key, {'meta': meta}, params)
        transport = self._client.transport
        accept = self._family.accept(transport.use_msgpack, values)
        record: R | None = transport.get((*self._path, number), encode_pairs(values), accept=accept).value
        return record

    def stats(self, *, all: bool | int | None = None, **params: Any) -> Stats:
        """Return the number of records, and how often each field occurs in them.

        Args:
            all: Count the fields whose names begin with ``_``, too.
            **params: Further parameters of the service.

        Returns:
            ``counts`` by field, and ``totals`` with ``input_values`` (number of records) and ``input_bytes``.

        Raises:
            NotImplementedError: The service keeps no statistics of samples.

        Example:
            >>> job.items.stats()['totals']['input_values']
            2
        """
        if not self._family.has_stats:
            raise NotImplementedError('Resource does not expose stats') from Expected(f'{self._family.name} have none')
        path = (*self._path, 'stats')
        pairs = encode_pairs(merge_parameters({'all': all}, params))
        stats: Stats = self._client.transport.get(path, pairs, expects=codec.JSON).value
        expect(stats, dict, f'GET {"/".join(path)}')
        return stats

    def _total(self, filters: Mapping[str, Any]) -> int | None:
        """Return the number of records that a read returns; None if it is not known beforehand."""
        count = parse_number('count', filters.get('count'))
        if not self._family.has_stats or not reads_all({**filters, 'count': None}):
            return None
        total = self._count_in_stats()
        return total if count is None else min(count, total)

    def _parse_filters(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a read for the arguments of :meth:`iter`."""
        return parse_parameters(self._family, self.key, filters, {})

    def _open(self, *args: Any, **options: Any) -> RecordStream[Any]:
        """Return the stream of a cursor."""
        raise NotImplementedError

    def _open_range(
        self, start: int, stop: int | None, values: Mapping[str, Any], *, exact: bool = False, raw: bool = False
    ) -> RecordStream[Any]:
        """Return the stream of the records with the numbers from ``start`` to before ``stop``.

        Args:
            start: Number of the first record.
            stop: Number after the last one; None for all that follow.
            values: Parameters of the read, without those that say where it begins or ends.
            exact: Whether all numbers of the range have to be there.
            raw: Whether to deliver JSON texts, with their keys.
        """
        values = dict(values)
        requests_params = values.pop('requests_params', None)
        meta = values.get('meta', [])
        strip = '_key' not in meta
        key = f'{self.key}/{start}'
        pairs = encode_pairs({**values, 'start': key, 'meta': [*meta, '_key'] if strip else meta})
        cursor: Cursor
        if stop is None:
            cursor = KeysetCursor(pairs, strip=strip)
        else:
            # More cannot match a filter, which the service applies before the count.
            cursor = RangeCursor(pairs, f'{self.key}/{stop}', stop - start, exact=exact, strip=strip)
        accept = codec.ANY if raw else self._family.accept(self._client.transport.use_msgpack, {'meta': ['_key']})
        return self._open(cursor, (), values, accept, requests_params, raw=raw)

    def _count_in_stats(self) -> int:
        return int((self.stats().get('totals') or {}).get('input_values') or 0)

    def _report(self, stream: RecordStream[R], progress: Progress, filters: Mapping[str, Any]) -> RecordStream[R]:
        return report_progress(stream, progress, '/'.join(self._path), lambda: self._total(filters))


class TabularRecords(ExportedRecords[R], InferringTables):
    """The same for records that are objects with keys: items, logs and requests."""

    def _batches(self, filters: Mapping[str, Any], progress: Progress, size: int = BATCH_SIZE) -> Batches:
        meta = parse_names(filters.get('meta'))
        if self._family.has_msgpack_keys or not reads_all({**filters, 'count': None}):
            stream = self.iter(**{**filters, 'meta': [*meta, '_key']})
            strip, key_by_index = '_key' not in meta, None
        else:
            # The records are numbered from 0, and cheaper to read without their keys.
            stream = self.iter(**filters)
            strip, key_by_index = False, lambda index: f'{self.key}/{index}'
        return Batches(self._report(stream, progress, filters), size, strip=strip, key_by_index=key_by_index)

    @suggests_names
    def tail(self, n: int, **filters: Any) -> builtins.list[R]:
        """Return the last records.

        Args:
            n: Maximum number of records.
            **filters: Filters as of :meth:`iter`: ``filter``, ``startts``, ``endts``, ``meta`` and the like.

        Returns:
            The records, the oldest first.

        Raises:
            TypeError: A filter is unknown, or says where to begin.
            ValueError: ``n`` is negative.

        Example:
            >>> job.items.tail(1)
            [{'name': 'second'}]
        """
        number = self._check_tail('n', n, filters)
        if number is None:
            raise ValueError('n should be a number of records, got None')
        found = self._tail(number, filters, self._count_in_stats()) if number else []
        if '_key' not in parse_names(filters.get('meta')):
            for record in found:
                del record['_key']
        return found

    def _check_tail(self, name: str, number: int | None, filters: Mapping[str, Any]) -> int | None:
        check_filters(filters, self.iter, *POSITIONS)
        return parse_number(name, number)

    def _tail(self, n: int, filters: Mapping[str, Any], total: int) -> builtins.list[Any]:
        """Return the last of the first ``total`` records, with their keys."""
        if n == 0:
            return []
        return read_tail(self._open_from(filters), total, n, filtered=not reads_all(filters))

    @suggests_names
    def follow(self, tail: int | None = None, **filters: Any) -> Iterator[R]:
        """Iterate over the records that are stored, and over those that are added until the job is finished.

        Waits for a job that is pending. Polls after 1 second, later every 10 seconds while nothing is added. Transient
        errors do not end the iteration.

        Args:
            tail: Begin with the last records, this many; with the first record by default.
            **filters: Filters as of :meth:`iter`: ``filter``, ``startts``, ``endts``, ``meta`` and the like.

        Yields:
            A record; each record once.

        Raises:
            NotFound: The job does not exist.
            TypeError: A filter is unknown, or says where to begin.

        Example:
            >>> [item['name'] for item in job.items.follow(tail=1)]
            ['second']
        """
        number = self._check_tail('tail', tail, filters)

        def begin() -> Mapping[str, Any] | builtins.list[Any]:
            if number is None:
                return {}
            total = self._count_in_stats()
            # Without a record to begin with, begin after those that are stored.
            return self._tail(number, filters, total) or {'start': total}

        keep_key = '_key' in parse_names(filters.get('meta'))
        following = Following(self._client, self.key, self._open_from(filters), begin, keep_key=keep_key)
        return ResumableIterator(following)

    def _open_from(self, filters: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], RecordStream[Any]]:
        """Return a function that opens a stream of records with their keys from a position on."""
        meta = [*parse_names(filters.get('meta')), '_key']
        return lambda position: self.iter(**{**filters, **position, 'meta': meta})
