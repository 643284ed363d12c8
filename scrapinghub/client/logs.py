"""The log of a job."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from scrapinghub.client._support.lists import listed
from scrapinghub.client._support.parameters import Time, pairs
from scrapinghub.client._support.records import Below, Filters, Names, Records, RequestsParams
from scrapinghub.client.shapes import LogRecord
from scrapinghub.client.utils import LogLevel
from scrapinghub.config.validation import Expected
from scrapinghub.transport import codec
from scrapinghub.transport.codec import encode_json
from scrapinghub.transport.streams.cursor import Pairs, Plan
from scrapinghub.transport.streams.cursors import ByPosition

__all__ = ['Logs']

# With these alone, the record at a position has a number that is known.
_PLACING = frozenset({'start', 'startafter', 'meta', 'nodata'})

_LEVELS = f'The levels are {", ".join(LogLevel.__members__)}, or their numbers.'


class Logs(Records[LogRecord]):
    """The log of a job: ``job.logs``.

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
        >>> [line['message'] for line in job.logs.iter()]
        ['Spider opened']
    """

    _family = 'logs'

    def iter(
        self,
        _path: Below = None,
        count: int | None = None,
        requests_params: RequestsParams = None,
        *,
        level: str | None = None,
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
    ) -> Iterator[LogRecord]:
        """Iterate over the log lines of this job, in the order in which they were written.

        Lines are streamed: the first one comes when it has arrived, and memory does not grow with the log.

        Args:
            _path: What to read below the job instead of all lines: the number of one.
            count: Stop after this many lines.
            requests_params: Options of the HTTP library for this call: ``timeout`` (seconds), ``headers``, ``proxies``
                and the like.
            level: Only lines of this level and above: ``'DEBUG'``, ``'INFO'``, ``'WARNING'``, ``'ERROR'``,
                ``'CRITICAL'`` or ``'SILENT'``.
            start: Begin at this line: its number or its key.
            startafter: Begin after the line with this key.
            offset: Skip this many lines.
            index: Only the lines with these numbers.
            filter: Only matching lines: a condition ``(field, operator, [argument, …])``, or a list of them; together
                with ``level`` a list.
            meta: Names of further fields of the service: ``_key``, ``_ts``.
            startts: Only lines stored at or after this time, in milliseconds since the epoch.
            endts: Only lines stored before this time, in milliseconds since the epoch.
            nodata: Return the fields of ``meta`` alone.
            **params: Further parameters of the service.

        Yields:
            A dict with ``time`` (milliseconds since the epoch), ``level`` (a number) and ``message``.

        Raises:
            ValueError: The level is unknown.
            BadRequest: The service does not understand a parameter.
            StreamInterrupted: The connection broke and could not be resumed; iterating again goes on.

        Example:
            >>> [line['message'] for line in job.logs.iter(level='INFO', count=1)]
            ['Spider opened']
        """
        named = {
            'start': start,
            'startafter': startafter,
            'offset': offset,
            'index': index,
            'filter': _with_level(filter, level),
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

    def _accept(self, values: Mapping[str, Any]) -> str:
        # The service leaves the key out of MessagePack, whatever is asked for.
        return codec.ANY if '_key' in values.get('meta', ()) else super()._accept(values)

    def _keyed_plan(self, values: dict[str, Any], count: int | None, *, strip: bool) -> Plan:
        keyless = strip and self._accept({}) == codec.MSGPACK
        if not keyless or values.get('index') == []:
            return super()._keyed_plan(values, count, strip=strip)
        return ByPosition(pairs(values), count, seek=self._seek(values), strip='_key')

    def _seek(self, values: Mapping[str, Any]) -> Callable[[int], Pairs] | None:
        """Return what asks for the lines from a position on; None if their numbers are not known."""
        if not _PLACING.issuperset(values) or ('start' in values and 'startafter' in values):
            return None
        first = 0
        for name, step in (('start', 0), ('startafter', 1)):
            if name in values:
                job, _, place = str(values[name]).rpartition('/')
                if job != self.key or not place.isdecimal():
                    return None
                first = int(place) + step
        rest = pairs({name: value for name, value in values.items() if name not in ('start', 'startafter')})

        def seek(position: int) -> Pairs:
            return [*rest, ('start', self._key_of(first + position))]

        return seek

    # Writing

    def log(self, message: str, level: int | str = LogLevel.INFO, ts: int | None = None, **other: Any) -> None:
        """Queue a log line for storing; it leaves within 15 seconds, or with :meth:`flush`.

        Args:
            message: The text.
            level: A number or a name, see :class:`~scrapinghub.client.utils.LogLevel`.
            ts: When it happened, in milliseconds since the epoch; now, if it is missing.
            **other: Further fields; the service may not keep them. With ``appendmode=True`` in the first line that is
                written, the log continues after the lines that are stored.

        Raises:
            ValueError: The level is unknown.
            ValueTooLarge: The line is larger than 1 MiB.
            UploadError: Earlier lines could not be stored; the error holds them.

        Example:
            >>> job.logs.log('Spider opened', level=20)
        """
        if self._writer is None and other.get('appendmode') and self._open_writer() is None:
            self._append()
        now = ts or int(self._client.transport.clock.time() * 1000)
        line: Any = {'message': message, 'level': _level_number(level), 'time': now, **other}
        self.write(line)

    def debug(self, message: str, **other: Any) -> None:
        """Queue a line of level DEBUG, see :meth:`log`."""
        self.log(message, LogLevel.DEBUG, **other)

    def info(self, message: str, **other: Any) -> None:
        """Queue a line of level INFO, see :meth:`log`."""
        self.log(message, LogLevel.INFO, **other)

    def warning(self, message: str, **other: Any) -> None:
        """Queue a line of level WARNING, see :meth:`log`."""
        self.log(message, LogLevel.WARNING, **other)

    def warn(self, message: str, **other: Any) -> None:
        """Queue a line of level WARNING, see :meth:`log`."""
        self.log(message, LogLevel.WARNING, **other)

    def error(self, message: str, **other: Any) -> None:
        """Queue a line of level ERROR, see :meth:`log`."""
        self.log(message, LogLevel.ERROR, **other)

    def batch_write_start(self) -> int:
        """Return the number at which a new writer of this log would begin.

        Returns:
            The number of lines that are stored, if this object appends; else 0.
        """
        return self._stored() if self._appending else 0


def _with_level(conditions: Filters, level: str | None) -> Filters:
    """Return filters with one for a level."""
    if level is None:
        return conditions
    if not isinstance(level, str):
        raise TypeError(f"level should be a name such as 'INFO', got {level!r}")
    if level not in LogLevel.__members__:
        raise ValueError(f'Unknown log level: {level}') from Expected(_LEVELS)
    if conditions is not None and not isinstance(conditions, list):
        raise TypeError(f'filter should be a list when level is given, got {conditions!r}')
    return [*(conditions or []), encode_json(['level', '>=', [int(LogLevel[level])]])]


def _level_number(level: int | str) -> int:
    if isinstance(level, str) and level in LogLevel.__members__:
        return int(LogLevel[level])
    try:
        return int(level)
    except (TypeError, ValueError):
        raise ValueError(f'Unknown log level: {level}') from Expected(_LEVELS)
