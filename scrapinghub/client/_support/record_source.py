"""The records of a job as the source of a download."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

from scrapinghub.client._support.json_lines import (
    Blocks,
    NumberedLines,
    OpenStreams,
    cut_keys,
    describe_ages,
    join_lines,
    skip_lines,
)
from scrapinghub.client._support.parameters import parse_number
from scrapinghub.client._support.record_families import (
    POSITIONS,
    Family,
    choose_cursor,
    first_number,
    reads_all,
    start_at,
)
from scrapinghub.client._support.resource import Client
from scrapinghub.exceptions import DownloadIncomplete
from scrapinghub.export.read_ahead import read_ahead
from scrapinghub.transport import codec
from scrapinghub.transport.codec import count_lines
from scrapinghub.transport.http.call import Call

if TYPE_CHECKING:
    from scrapinghub.client._support.record_exports import ExportedRecords
    from scrapinghub.export.part_file import Notes
    from scrapinghub.transport.streams.stream import RecordStream

# How much of a job one connection reads at a time if there are several: large beside the latency of a request, small
# enough to be held in memory.
_CHUNK_BYTES = 4 * 1024 * 1024
_CHUNKS_PER_WORKER = 2
_SMALLEST_CHUNK = 250
# The note of a download whose records have other numbers than their positions: it cannot continue at a number.
GAPS = 'gaps'


class RecordSource:
    """The records of a job as the source of a download; see :class:`scrapinghub.export.download.Source`.

    Args:
        records: The records.
        filters: Arguments of the read.
        max_workers: Maximum number of connections.
        streams: Gets the stream of a read over one connection, so that another thread can stop it.

    Attributes:
        has_gaps: Whether a record has another number than its position, as far as was read.
    """

    keyed = False
    has_gaps = False

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
        """Yield JSON lines from a position on, then check their number; note whether positions are numbers."""
        noted = GAPS in notes.read()
        for block in self.read(position, numbered=not noted):
            if self.has_gaps and not noted:
                notes.add(GAPS)
                noted = True
            yield block

    def read(self, position: int, *, numbered: bool) -> Blocks:
        """Yield JSON lines from a position on, then check their number.

        Args:
            position: Number of records to leave out.
            numbered: Whether the records that are left out have the numbers that follow the first one.
        """
        number = position
        read = self._read_chunks if self._is_divisible else self._read
        with closing(read(position, numbered=numbered)) as blocks:
            for block in blocks:
                number += count_lines(block)
                yield block
        if number > position or position == 0:
            self._check(number)

    def _read(self, position: int, *, numbered: bool) -> Blocks:
        records, values, skip, count = self._records, dict(self._values), position, self._count
        first = first_number(records.key, values) if numbered else None
        if first is not None:
            values = start_at(records.key, values, first + position)
            skip, count = 0, None if count is None else count - position
        cursor = choose_cursor(records._family, records.key, values, count, depth=0, accept=codec.ANY)
        stream = records._open(cursor, (), self._values, codec.ANY, self._requests_params, raw=True)
        if self._streams is not None:
            self._streams.add(stream)
        if records._family.has_keys and first is not None:
            return self._read_numbered(stream, first + position, resumes=position > 0)
        lines = join_lines(stream, skip)
        return cut_keys(lines) if records._family.has_keys and not self._wants_keys else lines

    def _read_numbered(
        self, stream: RecordStream[bytes], start: int, stop: int | None = None, *, resumes: bool
    ) -> Blocks:
        """Yield the lines of records with keys; set ``has_gaps`` before a record that has another number than expected.

        Args:
            stream: The records.
            start: Number of the first one.
            stop: Number after the last one; None if it is not known.
            resumes: Whether the first record was stored before.

        Raises:
            Gone: That record is not there.
        """
        from scrapinghub.export.download import Gone

        def find_gap(number: int) -> None:
            if resumes and number == start:
                raise Gone(self.name)
            self.has_gaps = True

        numbers = NumberedLines(self._records.key, start, find_gap, keep_keys=self._wants_keys)
        yield from join_lines(stream, convert=numbers.take)
        if resumes and numbers.following == start:
            raise Gone(self.name)
        if stop is not None and numbers.following != stop:
            self.has_gaps = True

    @property
    def _wants_keys(self) -> bool:
        return '_key' in self._values.get('meta', ())

    @property
    def _is_divisible(self) -> bool:
        """Whether several connections may read a chunk each."""
        divisible = self._count is None and self._values.keys().isdisjoint(POSITIONS)
        return divisible and self._max_workers > 1 and self._records._family.has_stats

    def _read_chunks(self, position: int, *, numbered: bool) -> Blocks:
        totals = self._records.stats().get('totals') or {}
        total = int(totals.get('input_values') or 0)
        numbered = numbered and reads_all(self._values)
        first, skip = (position, 0) if numbered else (0, position)
        size = self._chunk_size(total, int(totals.get('input_bytes') or 0))
        bounds = [*range(first, total, size), max(first, total)]
        # The last chunk holds what was added after the call for the statistics.
        chunks = [*pairwise(bounds), (bounds[-1], None)]
        streams = OpenStreams()
        sources = (
            partial(self._read_range, start, stop, streams, resumes=numbered and 0 < start == first)
            for start, stop in chunks
        )
        with closing(read_ahead(sources, self._max_workers, streams.stop)) as results:
            yield from skip_lines(chain.from_iterable(results), skip)

    def _chunk_size(self, records: int, size: int) -> int:
        """Return the number of records of a chunk, for a job with so many records and bytes."""
        share = records // (_CHUNKS_PER_WORKER * self._max_workers) + 1
        in_memory = _CHUNK_BYTES * records // max(size, 1)
        return max(_SMALLEST_CHUNK, min(share, in_memory))

    def _read_range(
        self, start: int, stop: int | None, streams: OpenStreams | None = None, *, resumes: bool = False
    ) -> Blocks:
        values = {**self._values, 'requests_params': self._requests_params}
        stream = self._records._open_range(start, stop, values, raw=True)
        if streams is not None:
            streams.add(stream)
        if reads_all(self._values):
            return self._read_numbered(stream, start, stop, resumes=resumes)
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
    """Return the state of a job whose records were read; None if there is no such job."""
    transport = client.transport
    call = Call('GET', transport.url(('jobs', *job_key.split('/'), 'state')), expects=codec.JSON)
    return transport.fetch(call, transport.retries.for_stream).value


def _formats(family: Family) -> Sequence[str]:
    """Return the names of the file formats that suit the records."""
    from scrapinghub.export.formats import LINES, LOG_ENTRIES, OBJECTS

    if not family.has_keys:
        return LINES
    return LOG_ENTRIES if family.has_log_lines else OBJECTS
