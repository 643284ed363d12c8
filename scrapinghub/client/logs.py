"""The log of a job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from scrapinghub.client._support.lists import listed
from scrapinghub.client._support.parameters import RECORD_PARAMETERS, Time
from scrapinghub.client._support.partitions import PartitionedRecords
from scrapinghub.client._support.record_families import Family
from scrapinghub.client._support.records import Filters, Names, Records, RelativePath, RequestsParams
from scrapinghub.client._support.validation import encode_filters, parse_level, parse_time
from scrapinghub.client.shapes import LogRecord
from scrapinghub.client.utils import LogLevel
from scrapinghub.export.progress import Progress

__all__ = ['Logs']


class Logs(Records[LogRecord], PartitionedRecords[LogRecord]):
    """The log of a job: ``job.logs``.

    HTTP API: https://docs.zyte.com/scrapy-cloud/usage/reference/http/logs.html

    Safe to share between threads; an iterator is not.

    Args:
        cls: Ignored; kept for programs that pass it.
        client: The client.
        key: Key of the job.

    Attributes:
        key: Key of the job.

    Example:
        >>> job.logs.info('Spider opened')
        >>> job.logs.flush()
        >>> [entry['message'] for entry in job.logs.iter()]
        ['Spider opened']
    """

    _family = Family(
        'logs',
        has_offset=True,
        has_msgpack_keys=False,
        has_log_lines=True,
        parameters=RECORD_PARAMETERS | {'index', 'level'},
    )

    def iter(
        self,
        _path: RelativePath = None,
        count: int | None = None,
        requests_params: RequestsParams = None,
        *,
        level: str | int | None = None,
        start: int | str | None = None,
        startafter: str | None = None,
        offset: int | None = None,
        index: int | Iterable[int] | None = None,
        filter: Filters = None,
        meta: Names = None,
        startts: Time = None,
        endts: Time = None,
        nodata: bool | None = None,
        progress: Progress = False,
        **params: Any,
    ) -> Iterator[LogRecord]:
        """Iterate over the log entries in the order in which they were written.

        Entries are streamed: each one is returned as soon as it arrives, and memory does not grow with the log.

        Args:
            _path: Path below the job to read instead of all entries: the number of one.
            count: Maximum number of entries.
            requests_params: Options of ``requests`` for this call: ``timeout`` (seconds), ``headers``,
                ``proxies``, ...
            level: Only entries of this level and above: a number, or ``'DEBUG'``, ``'INFO'``, ``'WARNING'``,
                ``'ERROR'``, ``'CRITICAL'`` or ``'SILENT'``.
            start: Number or key of the first entry.
            startafter: Key of the entry before the first one.
            offset: Number of entries to skip.
            index: Numbers of the entries to return.
            filter: Only matching entries: a condition ``(field, operator, argument)``, or a list of them.
            meta: Further fields of the service to return: ``_key``, ``_ts``.
            startts: Only entries stored at or after this time: milliseconds since the epoch, a ``datetime`` with a
                time zone, or a ``timedelta`` (that long ago).
            endts: Only entries stored before this time.
            nodata: Return only the fields named by ``meta``.
            progress: Whether to show a progress bar (needs the extra ``progress``), or a function that is called with
                ``(done, total)``; ``total`` is None if it is unknown.
            **params: Further parameters of the service.

        Yields:
            A dict with ``time`` (milliseconds since the epoch), ``level`` (a number) and ``message``.

        Raises:
            ValueError: The level is unknown.
            BadRequest: The service does not accept a parameter.
            StreamInterrupted: The connection broke and could not be resumed. Iterating again continues after the last
                entry.

        Example:
            >>> [entry['message'] for entry in job.logs.iter(level='INFO', count=1)]
            ['Spider opened']
        """
        named = {
            'start': start,
            'startafter': startafter,
            'offset': offset,
            'index': index,
            'filter': _add_level(filter, level),
            'meta': meta,
            'startts': startts,
            'endts': endts,
            'nodata': nodata,
        }
        return self._read(_path, count, requests_params, named, params, progress)

    list = listed(iter)

    def _parse_filters(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        given = dict(filters)
        level = given.pop('level', None)
        return super()._parse_filters({**given, 'filter': _add_level(given.get('filter'), level)})

    def log(self, message: str, level: int | str = LogLevel.INFO, ts: Time = None, **other: Any) -> None:
        """Queue a log entry for storing. It is sent within 15 seconds, or by :meth:`flush`.

        Args:
            message: The message.
            level: A level of :mod:`logging`: its number or its name.
            ts: Time of the entry: milliseconds since the epoch or a datetime; now by default.
            **other: Further fields of the entry. ``appendmode=True`` in the first call of this object begins after
                the stored entries, instead of overwriting them.

        Raises:
            ValueError: The level is unknown.
            ValueTooLarge: The JSON text of the entry is larger than 1 MiB.
            UploadError: Earlier entries could not be stored; the error holds them.

        Example:
            >>> job.logs.log('Spider opened', level=20)
        """
        if self._writer is None and other.get('appendmode') and self._find_writer() is None:
            self._append()
        now = parse_time('ts', ts) if ts else int(self._client.transport.clock.time() * 1000)
        entry: Any = {'message': message, 'level': parse_level(level), 'time': now, **other}
        self.write(entry)

    def debug(self, message: str, **other: Any) -> None:
        """Queue an entry of level DEBUG.

        Args:
            message: The message.
            **other: Further arguments of :meth:`log`.

        Example:
            >>> job.logs.debug('page 3 is empty')
        """
        self.log(message, LogLevel.DEBUG, **other)

    def info(self, message: str, **other: Any) -> None:
        """Queue an entry of level INFO.

        Args:
            message: The message.
            **other: Further arguments of :meth:`log`.

        Example:
            >>> job.logs.info('Spider opened', ts=1482233733870)
        """
        self.log(message, LogLevel.INFO, **other)

    def warning(self, message: str, **other: Any) -> None:
        """Queue an entry of level WARNING.

        Args:
            message: The message.
            **other: Further arguments of :meth:`log`.

        Example:
            >>> job.logs.warning('no price')
        """
        self.log(message, LogLevel.WARNING, **other)

    def warn(self, message: str, **other: Any) -> None:
        """Queue an entry of level WARNING, like :meth:`warning`.

        Args:
            message: The message.
            **other: Further arguments of :meth:`log`.

        Example:
            >>> job.logs.warn('no price')
        """
        self.log(message, LogLevel.WARNING, **other)

    def error(self, message: str, **other: Any) -> None:
        """Queue an entry of level ERROR.

        Args:
            message: The message.
            **other: Further arguments of :meth:`log`.

        Example:
            >>> job.logs.error('the site refuses requests')
        """
        self.log(message, LogLevel.ERROR, **other)

    def batch_write_start(self) -> int:
        """Return the number at which a new writer of this log begins.

        Returns:
            The number of stored entries if this object appends; otherwise 0.

        Example:
            >>> job.logs.batch_write_start()
            0
        """
        return self._count_stored() if self._appending else 0


def _add_level(filters: Filters, level: str | int | None) -> Filters:
    """Add the filter of a level."""
    return filters if level is None else [*encode_filters(filters), ('level', '>=', parse_level(level))]
