"""Parts of the records of a job or collection, which other threads, processes or machines read."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from scrapinghub.client._support.export_methods import (
    BATCH_SIZE,
    Batches,
    Downloads,
    Tables,
    check_filters,
    report_progress,
)
from scrapinghub.client._support.json_lines import Blocks, skip_lines
from scrapinghub.client._support.lists import listed
from scrapinghub.client._support.parameters import parse_number, suggests_names
from scrapinghub.client._support.pickling import PickledRecords
from scrapinghub.client._support.record_exports import TabularRecords
from scrapinghub.client._support.record_families import POSITIONS, reads_all
from scrapinghub.client._support.record_source import RecordSource
from scrapinghub.client._support.validation import parse_names
from scrapinghub.exceptions import DownloadIncomplete
from scrapinghub.export.progress import Progress
from scrapinghub.transport.streams.cursor import text_order
from scrapinghub.transport.streams.stream import RecordStream

if TYPE_CHECKING:
    import pyarrow as pa
    from typing_extensions import Self

    from scrapinghub.export.download import Source

R = TypeVar('R')


class Partition(Downloads, Tables, Generic[R]):
    """A part of the records of a job or collection.

    Partitions are small and can be pickled. A copy from a pickle reads with the credentials that it finds where it is
    used, as :class:`~scrapinghub.client.ScrapinghubClient` does without an argument, unless the partition was made with
    ``with_credentials=True``.

    Args:
        records: The items, log entries or requests of the job, or the collection.
        schema: Arrow schema of the tables.
        filters: Filters of the reads.
        with_credentials: Whether a pickle holds the credentials.

    Attributes:
        key: Key of the job or collection.

    Example:
        >>> first, second = job.items.partitions(2)
        >>> first.list(), second.list()
        ([{'name': 'first'}], [{'name': 'second'}])
    """

    def __init__(
        self, records: Any, schema: pa.Schema | None, filters: Mapping[str, Any], *, with_credentials: bool
    ) -> None:
        # The records; after unpickling, what they are loaded from.
        self._origin: Any = records
        self._with_credentials = with_credentials
        self.key: str = records.key
        self._default_schema = schema
        self._check_filters(filters)
        # Times such as "two days ago" are resolved once, for all partitions.
        self._filters: dict[str, Any] = records._parse_filters(filters)

    @property
    def schema(self) -> pa.Schema | None:
        """Arrow schema of the tables; None if each partition infers the types from its own records."""
        return self._default_schema

    @property
    def _records(self) -> Any:
        if isinstance(self._origin, PickledRecords):
            self._origin = self._origin.load()
        return self._origin

    def __getstate__(self) -> dict[str, Any]:
        origin = self._origin
        if not self._with_credentials and not isinstance(origin, PickledRecords):
            origin = PickledRecords(origin)
        return {**vars(self), '_origin': origin}

    def __copy__(self) -> Self:
        # A partition does not change.
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __repr__(self) -> str:
        return f'<{type(self).__name__} {self.key}, {self._describe()}>'

    def _describe(self) -> str:
        raise NotImplementedError

    @suggests_names
    def iter(self, *, progress: Progress = False, **filters: Any) -> Iterator[R]:
        """Iterate over the records of this part, in order.

        Args:
            progress: Whether to show a progress bar (needs the extra ``progress``), or a function that is called with
                ``(done, total)``; ``total`` is None if it is unknown.
            **filters: Filters as of the ``iter`` of the records, in addition to those that were given to
                ``partitions()``: the conditions of ``filter`` and the names in ``meta`` are joined. They cannot say
                where to begin or how many records to read.

        Yields:
            A record.

        Raises:
            RuntimeError: The partition was pickled, and there are no credentials where it is used.
            StreamInterrupted: The connection broke and could not be resumed, or records are missing. Iterating again
                continues after the last record.
            TypeError: A filter is unknown, says where to begin, or was given to ``partitions()``, too.

        Example:
            >>> [item['name'] for part in job.items.partitions(2) for item in part.iter()]
            ['first', 'second']
        """
        self._check_filters(filters)
        stream = self._open(self._merge(filters))
        return report_progress(stream, progress, self.key, partial(self._total, filters))

    list = listed(iter)

    def _merge(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a read, in the form of the service."""
        values: dict[str, Any] = self._records._parse_filters(filters)
        for name in self._filters.keys() & values.keys():
            if name not in ('filter', 'meta'):
                raise TypeError(f'{name!r} was given to partitions(): it cannot be changed')
            values[name] = [*dict.fromkeys([*self._filters[name], *values[name]])]
        return {**self._filters, **values}

    def _open(self, values: Mapping[str, Any]) -> RecordStream[Any]:
        raise NotImplementedError

    def _total(self, filters: Mapping[str, Any]) -> int | None:
        return None

    # Whether the keys of the records are no fields of the tables.
    _strips_keys = True

    def _batches(self, filters: Mapping[str, Any], progress: Progress, size: int = BATCH_SIZE) -> Batches:
        meta = self._merge(filters).get('meta', [])
        stream: Any = self.iter(**{**filters, 'meta': [*meta, '_key']}, progress=progress)
        return Batches(stream, size, strip=self._strips_keys and '_key' not in meta)


class RecordPartition(Partition[R]):
    """The records of a job from a number to before another one.

    Args:
        records: The items, log entries or requests of the job.
        schema: Arrow schema of the tables.
        filters: Filters of the reads.
        start: Number of the first record.
        stop: Number after the last one.
        with_credentials: Whether a pickle holds the credentials.

    Attributes:
        start: As given.
        stop: As given.
    """

    def __init__(
        self,
        records: PartitionedRecords[R],
        schema: pa.Schema | None,
        filters: Mapping[str, Any],
        start: int,
        stop: int,
        *,
        with_credentials: bool,
    ) -> None:
        super().__init__(records, schema, filters, with_credentials=with_credentials)
        self.start, self.stop = start, stop

    @property
    def count(self) -> int:
        """Number of records, before filters."""
        return self.stop - self.start

    def _describe(self) -> str:
        return f'records {self.start} to {self.stop - 1}' if self.count else 'no records'

    def _check_filters(self, filters: Mapping[str, Any]) -> None:
        check_filters(filters, self._records.iter, *POSITIONS)

    def _open(self, values: Mapping[str, Any]) -> RecordStream[Any]:
        stream: RecordStream[Any] = self._records._open_range(self.start, self.stop, values, exact=reads_all(values))
        return stream

    def _total(self, filters: Mapping[str, Any]) -> int | None:
        return self.count if reads_all(self._merge(filters)) else None

    def _source(self, filters: Mapping[str, Any], max_workers: int) -> Source:
        return _RangeSource(self, self._records, self._merge(filters))


class _RangeSource(RecordSource):
    """The records of a partition as the source of a download."""

    def __init__(
        self, partition: RecordPartition[Any], records: PartitionedRecords[Any], values: Mapping[str, Any]
    ) -> None:
        super().__init__(records, values)
        self._start, self._stop = partition.start, partition.stop
        self.total = lambda: partition.count if reads_all(values) else None
        self.arguments = {**self.arguments, 'range': [self._start, self._stop]}

    def _read(self, position: int, *, numbered: bool) -> Blocks:
        if reads_all(self._values):
            return self._read_range(self._start + position, self._stop, resumes=position > 0)
        return skip_lines(self._read_range(self._start, self._stop), position)

    def _check(self, number: int) -> None:
        expected = self.total()
        if expected is not None and expected != number:
            raise DownloadIncomplete(
                f'{self.name} should have {expected} records from number {self._start} on, and {number} were read'
            )


class CollectionPartition(Partition[R]):
    """The records of a collection with a prefix, or from a key to before another one.

    Args:
        records: The collection.
        schema: Arrow schema of the tables.
        filters: Filters of the reads.
        prefix: What the keys begin with; None for a range of keys.
        start: First key of a range; None for the first one of the collection.
        stop: First key after the range; None if the last one of the collection belongs to it.
        with_credentials: Whether a pickle holds the credentials.

    Attributes:
        prefix: As given.
        start: As given.
        stop: As given.
    """

    _strips_keys = False

    def __init__(
        self,
        records: Any,
        schema: pa.Schema | None,
        filters: Mapping[str, Any],
        *,
        prefix: str | None = None,
        start: str | None = None,
        stop: str | None = None,
        with_credentials: bool,
    ) -> None:
        super().__init__(records, schema, filters, with_credentials=with_credentials)
        self.prefix, self.start, self.stop = prefix, start, stop

    @property
    def count(self) -> None:
        """None: a collection keeps no number of records."""

    def _describe(self) -> str:
        if self.prefix is not None:
            return f'prefix {self.prefix!r}'
        return f'keys from {self.start!r} to before {self.stop!r}'

    def _check_filters(self, filters: Mapping[str, Any]) -> None:
        check_filters(filters, self._records.iter, 'count', 'key', 'prefix', 'prefixcount', 'start', 'startafter')

    def _merge(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        bounds = {'prefix': self.prefix, 'start': self.start}
        return {**super()._merge(filters), **{name: value for name, value in bounds.items() if value is not None}}

    def _open(self, values: Mapping[str, Any]) -> RecordStream[Any]:
        stream: RecordStream[Any] = self._records._open_scan(values, stop=self.stop)
        return stream

    def _source(self, filters: Mapping[str, Any], max_workers: int) -> Source:
        source: Source = self._records._source(self._merge(filters), max_workers, stop=self.stop)
        return source


class PartitionedRecords(TabularRecords[R]):
    """The method ``partitions`` of items, logs and requests."""

    @suggests_names
    def partitions(
        self, n: int, schema: pa.Schema | None = None, *, with_credentials: bool = False, **filters: Any
    ) -> builtins.list[RecordPartition[R]]:
        """Divide the records for several threads, processes or machines.

        Together the partitions are the records that the statistics report at this call, in order. Records that are
        added later belong to none.

        Args:
            n: Number of partitions. They differ by one record at most; some are empty if there are fewer records.
            schema: Arrow schema of the tables of each partition, such as ``job.items.schema()``. Without it, each
                partition infers the types from its own records, so they can differ between partitions.
            with_credentials: Whether a pickled partition holds the credentials. By default it does not, since the
                arguments of tasks appear in dashboards and logs, and reads with those of the process that uses it.
            **filters: Filters as of :meth:`iter`. They cannot say where to begin or how many records to read.

        Returns:
            The partitions, each with ``iter``, ``list``, ``count``, ``to_arrow``, ``iter_arrow``, ``to_pandas`` and
            ``download``.

        Raises:
            TypeError: A filter is unknown, or says where to begin.
            ValueError: ``n`` is less than 1.

        Example:
            >>> [part.list() for part in job.items.partitions(2)]
            [[{'name': 'first'}], [{'name': 'second'}]]
        """
        number = parse_number('n', n)
        if not number:
            raise ValueError(f'n should be at least 1, got {n!r}')
        check_filters(filters, self.iter, *POSITIONS)
        total = self._count_in_stats()
        bounds = [total * index // number for index in range(number + 1)]
        return [
            RecordPartition(self, schema, filters, start, stop, with_credentials=with_credentials)
            for start, stop in pairwise(bounds)
        ]


def parse_bounds(prefixes: Any, ranges: Any) -> builtins.list[dict[str, Any]]:
    """Return the arguments of :class:`CollectionPartition` for prefixes or ranges of keys.

    Args:
        prefixes: Prefixes; None if ranges are given.
        ranges: Pairs of keys; None if prefixes are given.

    Raises:
        TypeError: Both or none of them are given, or a range is not a pair of keys.
        ValueError: A range is empty, or two of them overlap.

    Example:
        >>> parse_bounds(None, [(None, 'm')])
        [{'start': None, 'stop': 'm'}]
    """
    if (prefixes is None) == (ranges is None):
        raise TypeError("give prefixes, or ranges of keys such as [(None, 'm'), ('m', None)]")
    if ranges is None:
        names = parse_names(prefixes)
        for before, after in pairwise(sorted(names)):
            if after.startswith(before):
                raise ValueError(f'the prefixes {before!r} and {after!r} overlap: a record would be in both')
        return [{'prefix': name} for name in names]
    pairs = [_parse_range(pair) for pair in ranges]
    for (_, stop), (start, _) in pairwise(sorted(pairs, key=lambda pair: text_order(pair[0] or ''))):
        if stop is None or text_order(start or '') < text_order(stop):
            raise ValueError(f'the ranges overlap: one ends before {stop!r}, and the next one begins at {start!r}')
    return [{'start': start, 'stop': stop} for start, stop in pairs]


def _parse_range(pair: Any) -> tuple[str | None, str | None]:
    is_pair = isinstance(pair, (tuple, list)) and len(pair) == 2
    if not is_pair or not all(key is None or isinstance(key, str) for key in pair):
        raise TypeError(f"a range should be a pair of keys such as ('a', 'm') or ('m', None), got {pair!r}")
    start, stop = pair
    if stop is not None and text_order(start or '') >= text_order(stop):
        raise ValueError(f'a range should begin before its end, got {pair!r}')
    return start, stop
