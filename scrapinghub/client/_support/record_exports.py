"""Downloads, tables, progress and the end of the records of a job."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from scrapinghub.client._support.exports import (
    BATCH_SIZE,
    Batches,
    Downloads,
    Tables,
    check_filters,
    join_lines,
    report_progress,
)
from scrapinghub.client._support.families import Family, seek_position
from scrapinghub.client._support.following import Following, read_tail
from scrapinghub.client._support.parameters import encode_pairs, parse_number
from scrapinghub.client._support.resource import Client
from scrapinghub.client._support.streams import explain_filters, read_stream
from scrapinghub.client._support.validation import parse_names
from scrapinghub.exceptions import DownloadIncomplete
from scrapinghub.export.progress import Progress
from scrapinghub.transport import codec
from scrapinghub.transport.streams.cursors import SkipCursor
from scrapinghub.transport.streams.stream import RecordStream, ResumableIterator

if TYPE_CHECKING:
    from scrapinghub.client.shapes import Stats
    from scrapinghub.export.part_file import Notes

R = TypeVar('R')

# Parameters that change the fields of records, and not which records are read.
_FIELD_PARAMETERS = frozenset({'meta', 'nodata', 'requests_params'})
# Parameters that say where a read begins or ends: following and the last records have a position of their own.
_POSITIONS = ('count', 'index', 'offset', 'start', 'startafter')


class ExportedRecords(Downloads, Generic[R]):
    """What :class:`~scrapinghub.client._support.records.Records` adds to reading and writing.

    A class that uses it has the attributes below.
    """

    key: str
    _client: Client
    _family: ClassVar[Family]
    _path: tuple[str, ...]
    iter: Callable[..., Any]
    stats: Callable[..., Stats]

    def _total(self, filters: Mapping[str, Any]) -> int | None:
        """Return the number of records that a read returns; None if it is not known beforehand."""
        given = {name for name, value in filters.items() if value is not None} - _FIELD_PARAMETERS
        if not self._family.has_stats or given - {'count'}:
            return None
        total = self._count_in_stats()
        count = parse_number('count', filters.get('count'))
        return total if count is None else min(count, total)

    def _parse_filters(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a read for the arguments of :meth:`iter`."""
        raise NotImplementedError

    def _count_in_stats(self) -> int:
        return int((self.stats().get('totals') or {}).get('input_values') or 0)

    def _report(self, stream: RecordStream[R], progress: Progress, filters: Mapping[str, Any]) -> RecordStream[R]:
        return report_progress(stream, progress, '/'.join(self._path), lambda: self._total(filters))

    def _source(self, filters: Mapping[str, Any]) -> RecordSource:
        values = self._parse_filters(filters)
        return RecordSource(self._client, self._family, self.key, values, lambda: self._total(filters))


class RecordSource:
    """The records of a job as the source of a download; see :class:`scrapinghub.export.download.Source`.

    Args:
        client: Sends the requests.
        family: The kind of records.
        job_key: Key of the job.
        values: Parameters of the read.
        total: Returns the number of records, None if it is not known beforehand.
    """

    keyed = False

    def __init__(
        self,
        client: Client,
        family: Family,
        job_key: str,
        values: dict[str, Any],
        total: Callable[[], int | None],
    ) -> None:
        self._client = client
        self._job_key = job_key
        self._path = (family.name, *job_key.split('/'))
        self._requests_params = values.pop('requests_params', None)
        self.arguments: Mapping[str, Any] = dict(values)
        self._count = parse_number('count', values.pop('count', None))
        self._values = values
        self.name = '/'.join(self._path)
        self.formats = _formats(family)
        self.total = total

    def blocks(self, position: int, last_key: str | None, notes: Notes) -> Iterator[bytes]:
        """Yield JSON lines from a position on, then check their number."""
        number = position
        for block in self._lines(position):
            number += block.count(b'\n')
            yield block
        if number > position or position == 0:
            self._check(number)

    def _lines(self, position: int) -> Iterator[bytes]:
        skip, count = position, self._count
        seek = seek_position(self._job_key, self._values)
        if seek is None:
            cursor = SkipCursor(encode_pairs(self._values), count)
        else:
            skip, left = 0, None if count is None else count - position
            cursor = SkipCursor(seek(position), left, seek=lambda further: seek(position + further))
        stream = read_stream(
            self._client.transport,
            self._path,
            cursor,
            codec.ANY,
            requests_params=self._requests_params,
            explain=explain_filters(self._values['filter']) if 'filter' in self._values else None,
            raw=True,
        )
        return join_lines(stream, skip)

    def _check(self, number: int) -> None:
        """Compare the number of records with the statistics of a finished job, unless a part of them is read."""
        if not self._is_whole or self._read_state() != 'finished':
            return
        expected = self.total()
        if expected is not None and expected != number:
            raise DownloadIncomplete(
                f'{self.name} has {expected} records according to its statistics, and {number} were read'
            )

    @property
    def _is_whole(self) -> bool:
        return _FIELD_PARAMETERS.issuperset(self._values) and self._count is None

    def _read_state(self) -> Any:
        return read_state(self._client, self._job_key)


def read_state(client: Client, job_key: str) -> Any:
    """Return the state of a job; None if there is no such job."""
    return client.transport.get(('jobs', *job_key.split('/'), 'state'), expects=codec.JSON).value


def _formats(family: Family) -> Sequence[str]:
    """Return the names of the file formats that suit the records."""
    from scrapinghub.export.formats import LINES, LOG_ENTRIES, OBJECTS

    if not family.has_keys:
        return LINES
    return LOG_ENTRIES if family.has_log_lines else OBJECTS


class TabularRecords(ExportedRecords[R], Tables):
    """The same for records that are objects with keys: items, logs and requests."""

    def _batches(self, filters: Mapping[str, Any], progress: Progress, size: int = BATCH_SIZE) -> Batches:
        meta = parse_names(filters.get('meta'))
        given = {name for name, value in filters.items() if value is not None} - _FIELD_PARAMETERS
        if given - {'count'} or self._family.has_msgpack_keys:
            stream = self.iter(**{**filters, 'meta': [*meta, '_key']})
            strip, key_by_index = '_key' not in meta, None
        else:
            # The records are numbered from 0, and cheaper to read without their keys.
            stream = self.iter(**filters)
            strip, key_by_index = False, lambda index: f'{self.key}/{index}'
        return Batches(self._report(stream, progress, filters), size, strip=strip, key_by_index=key_by_index)

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
        found = self._tail(number, filters, self._count_in_stats()) if number else []
        if '_key' not in parse_names(filters.get('meta')):
            for record in found:
                del record['_key']
        return found

    def _check_tail(self, name: str, number: int | None, filters: Mapping[str, Any]) -> int | None:
        check_filters(filters, self.iter, *_POSITIONS)
        return parse_number(name, number)

    def _tail(self, n: int, filters: Mapping[str, Any], total: int) -> builtins.list[Any]:
        """Return the last of the first ``total`` records, with their keys."""
        if n == 0:
            return []
        given = {name for name, value in filters.items() if value is not None} - _FIELD_PARAMETERS
        return read_tail(self._open_from(filters), total, n, filtered=bool(given))

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
