"""Read the end of the data of a job, and what is added until the job is finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import takewhile
from typing import Any

from scrapinghub.client._support.record_families import parse_record_number
from scrapinghub.client._support.resource import Client
from scrapinghub.client._support.waiting import JobStates, Poller, is_transient_error
from scrapinghub.exceptions import ScrapinghubAPIError
from scrapinghub.transport.streams.stream import RecordStream

# With pauses of this length, what a job adds is returned soon enough.
LONGEST_PAUSE = 10.0
FIRST_WINDOW = 1000

# Opens a stream of records that carry their keys: from a number on, or after a key.
Open = Callable[[Mapping[str, Any]], RecordStream[Any]]


def read_tail(open_stream: Open, total: int, number: int, *, filtered: bool) -> list[Any]:
    """Return the last records of a job, the oldest first; each has its key.

    Args:
        open_stream: Opens a stream.
        total: Number of records that the job has.
        number: Maximum number of records to return.
        filtered: Whether the stream leaves out records. The records are then read backwards, in windows that double.
    """
    if not filtered:
        return list(open_stream({'start': max(0, total - number), 'count': number}))
    found: list[Any] = []
    end, window = total, max(number, FIRST_WINDOW)
    while end > 0 and len(found) < number:
        start = max(0, end - window)
        with open_stream({'start': start}) as stream:
            found[:0] = takewhile(lambda record: _number(record) < end, stream)  # noqa: B023 - used in this round
        end, window = start, window * 2
    return found[len(found) - number :] if number < len(found) else found


def _number(record: Mapping[str, Any]) -> int:
    return int(parse_record_number(record['_key']))


class Following:
    """Reads the records of a job as they are stored; one iteration of it is a run of a :class:`ResumableIterator`.

    Args:
        client: Sends the requests.
        job_key: Key of the job.
        open_stream: Opens a stream of records that have their keys.
        begin: Returns the parameters that select the first record, or records to return first.
        keep_key: Whether to leave the keys in the records.
    """

    def __init__(
        self,
        client: Client,
        job_key: str,
        open_stream: Open,
        begin: Callable[[], Mapping[str, Any] | list[Any]],
        *,
        keep_key: bool,
    ) -> None:
        self.unfinished = True
        self._states = JobStates(job_key, client, Poller(client.transport.clock, longest=LONGEST_PAUSE))
        self._open = open_stream
        self._begin: Callable[[], Mapping[str, Any] | list[Any]] | None = begin
        self._position: Mapping[str, Any] = {}
        self._first: list[Any] = []
        self._keep_key = keep_key
        self._last_key: str | None = None
        self._stream: RecordStream[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        while self.unfinished:
            # What is stored before the job finishes is read by a stream that is opened afterwards.
            finished = self._states.is_final()
            before = self._last_key
            try:
                # The service may not know a new job yet.
                if self._states.state is not None:
                    yield from self._read()
            except ScrapinghubAPIError as error:
                if not is_transient_error(error):
                    raise
                self._states.poller.warn('reading the data of a job', error)
                finished = False
            if finished:
                break
            if self._last_key != before:
                self._states.poller.restart()
            self._states.poller.pause()
        self.unfinished = False

    def _read(self) -> Iterator[Any]:
        """Yield the records after the last one."""
        if self._begin is not None:
            found = self._begin()
            self._first, self._position = (found, {}) if isinstance(found, list) else ([], found)
            self._begin = None
        while self._first:
            record = self._first[0]
            key = record['_key']
            if not self._keep_key:
                record = {name: value for name, value in record.items() if name != '_key'}
            del self._first[0]
            self._last_key = key
            yield record
        position = self._position if self._last_key is None else {'startafter': self._last_key}
        self._stream = self._open(position)
        for record in self._stream:
            key = record['_key'] if self._keep_key else record.pop('_key')
            # No call from here to the yield: an interruption finds the record delivered and counted, or neither.
            self._last_key = key
            yield record

    def close(self) -> None:
        """Release the connection, and end the iteration."""
        self.unfinished = False
        if self._stream is not None:
            self._stream.close()
