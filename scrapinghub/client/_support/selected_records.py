"""The records of all jobs of a selection, job by job."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from scrapinghub.client._support.export_methods import BATCH_SIZE, Batches, Downloads, InferringTables, check_filters
from scrapinghub.client._support.json_lines import Blocks, OpenStreams, add_field, name_taken
from scrapinghub.client._support.lists import listed
from scrapinghub.client._support.parameters import parse_number, suggests_names
from scrapinghub.client._support.record_families import POSITIONS
from scrapinghub.client._support.record_source import GAPS, RecordSource, read_state
from scrapinghub.client._support.records import Records
from scrapinghub.client._support.resource import Client
from scrapinghub.client._support.validation import parse_names
from scrapinghub.exceptions import NotFound
from scrapinghub.export.progress import Progress, make_report
from scrapinghub.export.read_ahead import read_ahead
from scrapinghub.transport.codec import count_lines
from scrapinghub.transport.streams.stream import RecordStream, ResumableIterator

if TYPE_CHECKING:
    import pyarrow as pa

    from scrapinghub.client._support.partitions import RecordPartition
    from scrapinghub.export.part_file import Notes

__all__ = ['SelectedRecords']

R = TypeVar('R')


class SelectedRecords(Downloads, InferringTables, Generic[R]):
    """The items, log entries or requests of all jobs of a selection: ``selection.items`` and the like.

    A read lists the jobs first, and then reads them one after the other, the job that changed its state last first.
    The filters are those of the records of one job. ``count`` limits the records of all jobs together; ``start``,
    ``startafter``, ``offset`` and ``index`` are numbers of records and apply to each job.

    Args:
        client: Sends the requests.
        family: Class of the records of one job.
        list_keys: Returns the keys of the jobs.
        selection: The filter of the selection, as a dict.
        description: The selection, for people.
        deleted: Whether the selection holds deleted jobs.
    """

    def __init__(
        self,
        client: Client,
        family: type[Records[R]],
        list_keys: Callable[[], Sequence[str]],
        selection: Mapping[str, Any],
        description: str,
        *,
        deleted: bool,
    ) -> None:
        self._client = client
        self._family = family
        self._list_keys = list_keys
        self._selection = selection
        self._description = description
        self._deleted = deleted
        # Any job will do to check arguments.
        self._example = family(None, client, f'{selection["project_id"]}/0/0')

    def __repr__(self) -> str:
        return f'<{self._family.__name__} of {self._description}>'

    @suggests_names
    def iter(self, job_key: str | None = None, *, progress: Progress = False, **filters: Any) -> Iterator[R]:
        """Iterate over the records of all jobs, job by job.

        Args:
            job_key: Name of a field to add, such as ``'_job'``: the key of the job that a record belongs to.
            progress: Whether to show a progress bar (needs the extra ``progress``), or a function that is called with
                ``(done, total)``; ``total`` is None if it is unknown.
            **filters: Filters as of the records of one job.

        Yields:
            A record.

        Raises:
            NotFound: A job was deleted after the jobs were listed; the error names it.
            StreamInterrupted: The connection broke and could not be resumed. Iterating again continues after the last
                record.
            TypeError: A filter is unknown.
            ValueError: A record has a field with the name ``job_key``.

        Example:
            >>> for item in project.jobs.select(spider='spider1').items.iter(job_key='_job'):
            ...     print(item['_job'], item['name'])
            123/1/2 first
            123/1/2 second
        """
        self._check_filters(filters)
        name = _parse_job_key(job_key)

        def open_stream(key: str, left: int | None) -> RecordStream[R]:
            records = self._family(None, self._client, key)
            convert = None if name is None else _adder(name, key)
            return records._stream({**filters, 'count': left}, convert)

        runs = JobByJob(self._list_keys, open_stream, self._check_job, parse_number('count', filters.get('count')))
        if progress is not False:
            runs.report = make_report(progress, self._name, lambda: self._total(runs.keys or (), filters))
        return ResumableIterator(runs)

    list = listed(iter)

    @suggests_names
    def partitions(
        self, schema: pa.Schema | None = None, *, with_credentials: bool = False, **filters: Any
    ) -> builtins.list[RecordPartition[R]]:
        """Divide the records by job, for several threads, processes or machines.

        Lists the jobs, and requests the statistics of each. Together the partitions are the records that the statistics
        report, in the order of :meth:`iter`. The ``key`` of a partition is that of its job.

        Args:
            schema: Arrow schema of the tables of each partition. Without it, each partition infers the types from its
                own records, so they can differ between partitions.
            with_credentials: Whether a pickled partition holds the credentials; by default it reads with those of the
                process that uses it.
            **filters: Filters as of the records of one job. They cannot say where to begin or how many records to
                read.

        Returns:
            A partition for each job.

        Raises:
            TypeError: A filter is unknown, or says where to begin.

        Example:
            >>> parts = project.jobs.select(spider='spider1').items.partitions()
            >>> [(part.key, part.count) for part in parts]
            [('123/1/3', 0), ('123/1/2', 2), ('123/1/1', 0)]
        """
        check_filters(filters, self._example.iter, *POSITIONS)
        jobs: Any = (self._family(None, self._client, key) for key in self._list_keys())
        options = {'with_credentials': with_credentials, **filters}
        return [part for job in jobs for part in job.partitions(1, schema, **options)]

    @property
    def _name(self) -> str:
        return f'{self._example._family.name}/{self._selection["project_id"]}'

    def _check_filters(self, filters: Mapping[str, Any]) -> None:
        check_filters(filters, self._example.iter, also=('job_key',))
        given = {name: value for name, value in filters.items() if name != 'job_key'}
        for name in ('start', 'startafter'):
            parse_number(name, given.get(name))
        self._example._parse_filters(given)

    def _check_job(self, key: str) -> None:
        check_state(read_state(self._client, key), key, deleted=self._deleted)

    def _total(self, keys: Sequence[str], filters: Mapping[str, Any]) -> int | None:
        """Return the number of records that a read returns; None if it is not known beforehand."""
        total = 0
        for key in keys:
            number = self._family(None, self._client, key)._total({**filters, 'count': None})
            if number is None:
                return None
            total += number
        count = parse_number('count', filters.get('count'))
        return total if count is None else min(count, total)

    def _batches(self, filters: Mapping[str, Any], progress: Progress, size: int = BATCH_SIZE) -> Batches:
        meta = parse_names(filters.get('meta'))
        stream: Any = self.iter(**{**filters, 'meta': [*meta, '_key']}, progress=progress)
        return Batches(stream, size, strip='_key' not in meta)

    def _source(self, filters: Mapping[str, Any], max_workers: int) -> SelectionSource[R]:
        return SelectionSource(self, filters, max_workers)


class JobByJob(Generic[R]):
    """Reads jobs one after the other; one iteration of it is a run of a :class:`ResumableIterator`.

    Args:
        list_keys: Returns the keys of the jobs.
        open_stream: Opens the stream of a job, with a maximum number of records.
        check_job: Called with the key of a job that was read; raises if the job was deleted.
        count: Maximum number of records; None for all.

    Attributes:
        unfinished: Whether there may be another run.
        keys: Keys of the jobs; None until they are listed.
        report: Called with the number of records delivered.
    """

    def __init__(
        self,
        list_keys: Callable[[], Sequence[str]],
        open_stream: Callable[[str, int | None], RecordStream[R]],
        check_job: Callable[[str], object],
        count: int | None,
    ) -> None:
        self.unfinished = count != 0
        self.keys: Sequence[str] | None = None
        self.report: Callable[[int], object] | None = None
        self._list_keys = list_keys
        self._open_stream = open_stream
        self._check_job = check_job
        self._count = count
        self._delivered = 0
        self._position = 0
        self._stream: RecordStream[R] | None = None

    def __iter__(self) -> Iterator[R]:
        """Yield the records that have not been delivered."""
        if self.keys is None:
            self.keys = self._list_keys()
        while self.unfinished and self._position < len(self.keys) and self._delivered != self._count:
            stream = self._stream = self._stream or self._open(self.keys[self._position])
            # There is no call between a record and its delivery: an interruption loses none.
            yield from stream
            if self.unfinished:
                self._check_job(self.keys[self._position])
            delivered = self._delivered + stream.delivered
            self._delivered, self._position, self._stream = delivered, self._position + 1, None
        self.unfinished = False

    def _open(self, key: str) -> RecordStream[R]:
        before, report = self._delivered, self.report
        stream = self._open_stream(key, None if self._count is None else self._count - before)
        if self._position:
            stream.continues_other()
        if report is not None:
            stream.on_progress = lambda done: report(before + done)
        return stream

    def close(self) -> None:
        """Release the connection, and deliver no further record."""
        self.unfinished = False
        if self._stream is not None:
            self._stream.close()


class SelectionSource(Generic[R]):
    """The records of a selection as the source of a download; see :class:`scrapinghub.export.download.Source`.

    The first note of a download holds the jobs. The number of records of each job is noted when they are stored, so
    that another process knows to which job a record belongs.

    Args:
        records: The records.
        filters: Arguments of the read.
        max_workers: Maximum number of jobs that are read at the same time.
    """

    keyed = False

    def __init__(self, records: SelectedRecords[R], filters: Mapping[str, Any], max_workers: int) -> None:
        self._records = records
        self._filters = {name: value for name, value in filters.items() if name != 'job_key'}
        self._job_key = _parse_job_key(filters.get('job_key'))
        self._count = parse_number('count', filters.get('count'))
        # What remains of a count is known when the jobs before have been read.
        self._max_workers = max_workers if self._count is None else 1
        self._keys: Sequence[str] = ()
        example = RecordSource(records._example, self._filters)
        self.name = records._name
        self.formats = example.formats
        self.arguments: Mapping[str, Any] = {
            **example.arguments,
            'job_key': self._job_key,
            'jobs': dict(records._selection),
        }

    def total(self) -> int | None:
        """Return the number of records, as far as it is known."""
        return self._records._total(self._keys, self._filters)

    def blocks(self, position: int, last_key: str | None, notes: Notes) -> Blocks:
        """Yield JSON lines from a position on, which is the one of the last record stored, if there is one."""
        recorded = notes.read()
        counts: builtins.list[int]
        if not recorded:
            notes.add(builtins.list(self._records._list_keys()))
            self._keys, counts = notes.read()[0], []
        else:
            self._keys, counts = recorded[0], [note for note in recorded[1:] if isinstance(note, int)]
            # After a power cut, the notes may be ahead of the records.
            if sum(counts) > position + 1:
                while sum(counts) > position + 1:
                    counts.pop()
                notes.cut(1)
                for count in counts:
                    notes.add(count)
        return self._read(position, counts, notes, resumes=bool(recorded))

    def _read(self, position: int, counts: Sequence[int], notes: Notes, *, resumes: bool) -> Blocks:
        streams = OpenStreams()
        opened: dict[int, _JobSource] = {}
        # About the first job, which is stored in part.
        noted = notes.read()[-1] == GAPS
        first = begin = 0
        while first < len(counts) and begin + counts[first] <= position:
            begin += counts[first]
            first += 1

        def sources() -> Iterator[Callable[[], Iterator[bytes]]]:
            for index in range(first, len(self._keys)):
                if begin == self._count:
                    return
                left = None if self._count is None else self._count - begin
                count = counts[index] if index < len(counts) else left
                skip = max(0, position - begin) if index == first else 0
                filters = {**self._filters, 'count': count}
                source = opened[index] = _JobSource(self._records, self._keys[index], filters, streams)
                yield partial(self._read_job, source, skip, numbered=not noted)

        with closing(read_ahead(sources(), self._max_workers, streams.stop)) as jobs:
            for index, blocks in enumerate(jobs, first):
                source = opened.pop(index)
                number = skip = max(0, position - begin)
                for block in blocks:
                    if source.has_gaps and not noted:
                        notes.add(GAPS)
                        noted = True
                    number += count_lines(block)
                    yield block
                if resumes and number == skip and begin <= position:
                    from scrapinghub.export.download import Gone

                    # The record at this position was stored before.
                    raise Gone(source.name)
                if index >= len(counts):
                    notes.add(number)
                begin += number
                noted = False

    def _read_job(self, source: _JobSource, skip: int, *, numbered: bool) -> Iterator[bytes]:
        blocks = source.read(skip, numbered=numbered)
        return blocks if self._job_key is None else add_field(blocks, self._job_key, source.job_key)


class _JobSource(RecordSource):
    """The records of one job of a selection."""

    def __init__(
        self, records: SelectedRecords[Any], key: str, filters: Mapping[str, Any], streams: OpenStreams
    ) -> None:
        super().__init__(records._family(None, records._client, key), filters, streams=streams)
        self.job_key = key
        self._deleted = records._deleted

    def _check(self, number: int) -> None:
        state = self._read_state()
        check_state(state, self._records.key, deleted=self._deleted)
        if self._is_whole:
            self._compare(number, state)


def check_state(state: Any, key: str, *, deleted: bool) -> None:
    """Raise ``NotFound`` if a job has vanished since it was listed.

    Args:
        state: State of the job; None if it does not exist.
        key: Key of the job.
        deleted: Whether a deleted job is expected.
    """
    if state is None or (state == 'deleted' and not deleted):
        raise NotFound(f'job {key} was deleted after the jobs of the selection were listed')


def _parse_job_key(name: str | None) -> str | None:
    if name is not None and not isinstance(name, str):
        raise TypeError(f'job_key should be the name of a field to add, or None, got {name!r}')
    if name in ('', '_key'):
        raise ValueError(f'job_key should be the name of a new field, such as "_job", got {name!r}')
    return name


def _adder(name: str, key: str) -> Callable[[Any], Any]:
    """Return a function that adds a field to a record."""

    def add(record: Any) -> Any:
        if name in record:
            raise name_taken(name, key)
        return {name: key, **record}

    return add
