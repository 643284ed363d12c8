"""Downloads, tables, progress and the end of the records of a job."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import chain, pairwise
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
from scrapinghub.client._support.json_lines import Blocks, OpenStreams, cut_keys, describe_ages, join_lines, skip_lines
from scrapinghub.client._support.parameters import encode_pairs, merge_parameters, parse_number, suggests_names
from scrapinghub.client._support.record_families import (
    Family,
    choose_cursor,
    parse_parameters,
    reads_all,
    seek_position,
)
from scrapinghub.client._support.resource import Client
from scrapinghub.client._support.validation import expect, parse_name, parse_names
from scrapinghub.config.validation import Expected
from scrapinghub.exceptions import DownloadIncomplete
from scrapinghub.export.progress import Progress
from scrapinghub.export.read_ahead import read_ahead
from scrapinghub.transport import codec
from scrapinghub.transport.streams.cursor import Cursor, KeysetCursor, RangeCursor
from scrapinghub.transport.streams.cursors_without_keys import SkipCursor
from scrapinghub.transport.streams.stream import RecordStream, ResumableIterator

if TYPE_CHECKING:
    from scrapinghub.client.shapes import Stats
    from scrapinghub.export.part_file import Notes

R = TypeVar('R')

# Parameters that select a range of records: partitions, follow() and tail() set the range themselves.
POSITIONS = ('count', 'index', 'offset', 'start', 'startafter')
# How much of a job one connection reads at a time if there are several: large beside the latency of a request, small
# enough to be held in memory.
_CHUNK_BYTES = 4 * 1024 * 1024
_CHUNKS_PER_WORKER = 2
_SMALLEST_CHUNK = 250


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
        raise NotImplementedError

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

    def _source(self, filters: Mapping[str, Any], max_workers: int) -> RecordSource:
        return RecordSource(self, filters, max_workers)


class RecordSource:
    """The records of a job as the source of a download; see :class:`scrapinghub.export.download.Source`.

    Args:
        records: The records.
        filters: Arguments of the read.
        max_workers: Maximum number of connections.
        streams: Gets the stream of a read over one connection, so that another thread can stop it.
    """

    keyed = False

    def __init__(
        self,
        records: ExportedRecords[Any],
        filters: Mapping[str, Any],
        max_workers: int = 1,
        streams: OpenStreams | None = None,
    ) -> None:
        values = records._parse_filters(filters)
        self._records = records
        self._requests_params = values.pop('requests_params', None)
        self.arguments: Mapping[str, Any] = {**values, **describe_ages(filters)}
        self._count = parse_number('count', values.pop('count', None))
        self._values = values
        self._max_workers = max_workers
        self._streams = streams
        self.name = '/'.join(records._path)
        self.formats = _formats(records._family)
        self.total: Callable[[], int | None] = lambda: records._total(filters)

    def blocks(self, position: int, last_key: str | None, notes: Notes) -> Blocks:
        """Yield JSON lines from a position on, then check their number."""
        number = position
        with closing(self._read_chunks(position) if self._is_divisible else self._read(position)) as blocks:
            for block in blocks:
                number += block.count(b'\n')
                yield block
        if number > position or position == 0:
            self._check(number)

    def _read(self, position: int) -> Blocks:
        records, skip, count = self._records, position, self._count
        seek = seek_position(records.key, self._values)
        keyed = False
        cursor: Cursor
        if seek is not None:
            skip, left = 0, None if count is None else count - position
            cursor = SkipCursor(seek(position), left, seek=lambda further: seek(position + further))
        else:
            # A stream of records with keys resumes, whatever the filter.
            keyed = records._family.has_keys
            cursor = choose_cursor(records._family, records.key, dict(self._values), count, depth=0, accept=codec.ANY)
        stream = records._open(cursor, (), self._values, codec.ANY, self._requests_params, raw=True)
        if self._streams is not None:
            self._streams.add(stream)
        lines = join_lines(stream, skip)
        return cut_keys(lines) if keyed and not self._wants_keys else lines

    @property
    def _wants_keys(self) -> bool:
        return '_key' in self._values.get('meta', ())

    @property
    def _is_divisible(self) -> bool:
        """Whether several connections may read a chunk each."""
        divisible = self._count is None and self._values.keys().isdisjoint(POSITIONS)
        return divisible and self._max_workers > 1 and self._records._family.has_stats

    def _read_chunks(self, position: int) -> Blocks:
        totals = self._records.stats().get('totals') or {}
        total = int(totals.get('input_values') or 0)
        first, skip = (position, 0) if reads_all(self._values) else (0, position)
        size = self._chunk_size(total, int(totals.get('input_bytes') or 0))
        bounds = [*range(first, total, size), max(first, total)]
        # The last chunk holds what was added after the call for the statistics.
        chunks = [*pairwise(bounds), (bounds[-1], None)]
        streams = OpenStreams()
        sources = (partial(self._read_range, start, stop, streams) for start, stop in chunks)
        with closing(read_ahead(sources, self._max_workers, streams.stop)) as results:
            yield from skip_lines(chain.from_iterable(results), skip)

    def _chunk_size(self, records: int, size: int) -> int:
        """Return the number of records of a chunk, for a job with so many records and bytes."""
        share = records // (_CHUNKS_PER_WORKER * self._max_workers) + 1
        in_memory = _CHUNK_BYTES * records // max(size, 1)
        return max(_SMALLEST_CHUNK, min(share, in_memory))

    def _read_range(self, start: int, stop: int | None, streams: OpenStreams | None = None) -> Blocks:
        values = {**self._values, 'requests_params': self._requests_params}
        stream = self._records._open_range(start, stop, values, raw=True)
        if streams is not None:
            streams.add(stream)
        lines = join_lines(stream)
        return lines if self._wants_keys else cut_keys(lines)

    def _check(self, number: int) -> None:
        """Check the number of records after the last one."""
        if self._is_whole:
            self._compare(number, self._read_state())

    @property
    def _is_whole(self) -> bool:
        return self._count is None and reads_all(self._values)

    def _compare(self, number: int, state: Any) -> None:
        """Compare the number of records with the statistics of a finished job."""
        expected = self.total() if state == 'finished' else None
        if expected is not None and expected != number:
            raise DownloadIncomplete(
                f'{self.name} has {expected} records according to its statistics, and {number} were read'
            )

    def _read_state(self) -> Any:
        return read_state(self._records._client, self._records.key)


def read_state(client: Client, job_key: str) -> Any:
    """Return the state of a job; None if there is no such job."""
    return client.transport.get(('jobs', *job_key.split('/'), 'state'), expects=codec.JSON).value


def _formats(family: Family) -> Sequence[str]:
    """Return the names of the file formats that suit the records."""
    from scrapinghub.export.formats import LINES, LOG_ENTRIES, OBJECTS

    if not family.has_keys:
        return LINES
    return LOG_ENTRIES if family.has_log_lines else OBJECTS


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
