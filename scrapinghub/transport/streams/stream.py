"""Record streams: they survive broken connections, and deliver every record once or raise.

:class:`RecordStream` is what the user iterates over. Behind it a :class:`Reader` makes *runs*: each run requests
responses and delivers their records until the end or an error. All state is in the cursor, so that the next run
continues where the last one stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, repeat, takewhile
from operator import attrgetter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import requests

from scrapinghub.exceptions import DecodeError
from scrapinghub.transport.streams.cursor import Cursor, Mismatch
from scrapinghub.transport.streams.recovery import Recovery
from scrapinghub.transport.streams.source import ResponseReader, Source

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar('T')
T_co = TypeVar('T_co', covariant=True)


class Runs(Protocol[T_co]):
    """What a :class:`ResumableIterator` iterates over: each iteration is a run.

    Attributes:
        unfinished: Whether there may be another run; the last step of a complete run sets it to False.
    """

    unfinished: bool

    def __iter__(self) -> Iterator[T_co]:
        """Continue where the last run stopped; a generator function."""
        ...

    def close(self) -> None:
        """Release what the runs hold, and end them."""
        ...


class ClosableIterator(Iterator[T]):
    """An iterator that can be closed, and is a context manager that does so."""

    def close(self) -> None:
        """End the iteration, and release what it holds."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class ResumableIterator(ClosableIterator[T]):
    """An iterator that continues after an error or Ctrl-C: it never ends in silence.

    Args:
        runs: The runs. They do not refer to the iterator: one that is dropped releases its connection at once.
    """

    def __init__(self, runs: Runs[T]) -> None:
        self._runs = runs
        # No Python code runs between two runs: chain would end in silence if an interruption met it there.
        self._iterator = chain.from_iterable(takewhile(attrgetter('unfinished'), repeat(runs)))

    def __iter__(self) -> Iterator[T]:
        """Return the iterator behind this object, always the same one."""
        return self._iterator

    def __next__(self) -> T:
        """Return the next record."""
        return next(self._iterator)

    def close(self) -> None:
        """Release the connection and end the iteration."""
        self._runs.close()


class RecordStream(ResumableIterator[T]):
    """An iterator over the records of one call.

    The first request is sent at the first ``next()``, or by :meth:`start`. After an error or Ctrl-C, iterating again
    continues after the last record delivered. Do not share a stream between threads.

    Args:
        source: How to request and decode.
        cursor: What to request, and how to continue.
        convert: Called with each record; the stream delivers what it returns.

    Attributes:
        on_progress: Called with the number of records delivered after each batch; None for no call.
    """

    def __init__(self, source: Source, cursor: Cursor, convert: Callable[[Any], T] | None = None) -> None:
        self._source = source
        self._cursor = cursor
        self._reader = Reader(source, cursor, convert)
        super().__init__(self._reader)

    def start(self) -> None:
        """Send the first request now."""
        self._reader.start()

    def continues_other(self) -> None:
        """Use the retry budget of a stream that has returned records: other streams return those before."""
        self._source.continues_other = True

    def stop(self) -> None:
        """Send no further request, not even a retry. Another thread may call this; the iteration then ends early."""
        self._reader.unfinished = False

    @property
    def delivered(self) -> int:
        """Number of records delivered."""
        return self._cursor.delivered

    @property
    def last_key(self) -> Any:
        """Key of the last record delivered; None if there is none, or if the records have no keys."""
        return self._cursor.last_key

    @property
    def on_progress(self) -> Callable[[int], object] | None:
        """See above."""
        return self._source.on_progress

    @on_progress.setter
    def on_progress(self, callback: Callable[[int], object] | None) -> None:
        self._source.on_progress = callback

    def __repr__(self) -> str:
        return f'<{type(self).__name__} {self._source.name}, {self.delivered} records>'


class Reader(Generic[T]):
    """Reads the records of a stream; each iteration is a run.

    Args:
        source: How to request and decode.
        cursor: What to request, and how to continue.
        convert: See :class:`RecordStream`.

    Attributes:
        unfinished: Whether there may be another run.
    """

    def __init__(self, source: Source, cursor: Cursor, convert: Callable[[Any], T] | None = None) -> None:
        self.unfinished = True
        self._source = source
        self._cursor = cursor
        cursor.raw = source.raw
        self._convert = convert
        self._recovery: Recovery | None = None
        self._response: ResponseReader | None = None
        # A response that was requested before its run.
        self._started: ResponseReader | None = None

    def __iter__(self) -> Iterator[T]:
        """Deliver the records that were not delivered before."""
        self._renew_budget()
        cursor, convert = self._cursor, self._convert
        field, take_key, remember = cursor.field, cursor.take_key, cursor.remember
        while (response := self._next_response()) is not None:
            try:
                for records in response:
                    delivered = cursor.delivered
                    try:
                        for record in records:
                            if take_key is None:
                                key = record
                            else:
                                try:
                                    key = take_key(record, field, None)
                                except TypeError:
                                    response.reject(record)
                                    break
                                if type(key) is not str and key is not None:
                                    response.reject({field: key})
                                    break
                                if remember is not None:
                                    remember(key)
                            if convert is not None:
                                record = self._convert_record(record, key)
                            delivered += 1
                            # No call from here to the yield: an interruption finds the record delivered and counted, or
                            # neither.
                            cursor.last = key
                            cursor.delivered = delivered
                            yield record
                    except response.failures as failure:
                        response.recover(failure)
                self._end(response)
            except Mismatch as error:
                self._get_recovery().mismatch(error)
            except requests.RequestException as error:
                self._get_recovery().failed(error, response.requested_at, response)
            finally:
                response.release()

    def _convert_record(self, record: Any, key: Any) -> T:
        assert self._convert is not None
        try:
            return self._convert(record)
        except DecodeError:
            # The next run continues after a record that does not fit the type of the user.
            cursor = self._cursor
            cursor.last, cursor.delivered = key, cursor.delivered + 1
            raise

    def _renew_budget(self) -> None:
        if self._recovery is not None:
            self._recovery.restart()

    def start(self) -> None:
        """Request the first response."""
        if self._started is None:
            self._started = self._next_response()

    def close(self) -> None:
        """Release the connection, and let no further record through."""
        self.unfinished = False
        for response in (self._started, self._response):
            if response is not None:
                response.close()

    def _next_response(self) -> ResponseReader | None:
        """Return the response to the next request; None at the end."""
        response, self._started = self._started, None
        while response is None and self.unfinished:
            recovery = self._recovery
            requested_at = self._source.transport.clock.monotonic()
            try:
                if recovery is not None:
                    recovery.verify()
                params = self._cursor.next_request()
                if params is None:
                    self.unfinished = False
                    return None
                response = ResponseReader(
                    self._source,
                    self._cursor,
                    self._source.open(params, 1 if recovery is None else recovery.attempt),
                    params,
                    requested_at=requested_at,
                    withheld=None if recovery is None else recovery.withheld,
                    lazy=self._convert is None,
                )
            except Mismatch as error:
                raise self._get_recovery().lost(error) from None
            except requests.RequestException as error:
                self._get_recovery().failed(error, requested_at)
        self._response = response
        return response

    def _end(self, response: ResponseReader) -> None:
        """Note that a response has ended."""
        # If there has been no failure, a response with a length is not in doubt.
        certain = self._recovery is None and not response.body.ambiguous
        if self.unfinished and (certain or self._get_recovery().trusts(response)):
            self._cursor.complete()

    def _get_recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = Recovery(self._source, self._cursor)
        return self._recovery
