"""The state of one writer: the records that are not stored yet, and when to send them. No threads, no I/O.

The lock of the worker pool guards all of it. The lock is reentrant, because signal handlers and finalizers write, too:
wherever a method calls something, they may run another method of the same queue, and a signal handler may raise.
CPython runs signal handlers only after calls and at backward jumps. Each method therefore computes first, and then
changes the state by assignments without a call in between; whatever follows can be repeated or left out.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from scrapinghub.transport.uploads.batch import BATCH_BYTES, Batch, Taken, fit_into_request

if TYPE_CHECKING:
    import requests

    from scrapinghub.transport.http.retries import Attempts
    from scrapinghub.transport.uploads.options import Callback, WriterOptions

# A thousand records can have a gibibyte: the queue is bounded by size as well as by number.
QUEUE_BYTES = 8 * BATCH_BYTES


class WriteQueue:
    """The records of one writer, in order.

    Args:
        url: Address of the records.
        options: Limits and kind of the writer.
        start: Number of the first record.
        auth: Credentials instead of the client's, or None.
        callback: Called with the response to each batch, and with None for a batch that is not sent again.

    Attributes:
        offset: Number of the first record that is not stored.
        next_number: Number of the next record.
        records: JSON texts by number, from ``offset`` to ``next_number``. May hold others, which do not count.
        held_bytes: Characters of all of them.
        refused: Records with keys that the service refused, by number.
        halted: Whether nothing is sent until the records are taken back.
        refused_alone: Whether the service refused one record for itself.
        error: Why records are refused or not sent yet; None if all is well.
        closed: Whether the queue takes no more records.
        flush_to: Records before this number are due now.
        interval_start: Time from which ``interval`` counts; None to count from now on.
        retry_at: Time of the next attempt after a failure; None if the last attempt succeeded.
        sender: Whoever sends the current batch; None if there is none.
        in_flight: Number of records of the current batch.
        watched: Whether a worker knows that there are records, so that another one changes nothing.
        generation: Changes when records are removed without being stored: numbers are used again.
        answers: Responses for the callback, each with the number of the first record of the batch.
        reporting: The first of these numbers while a thread passes it to the callback; None otherwise.
        waiters: Functions that :meth:`notify` calls once; they end the wait of a thread.
        returned: Results of an interrupted :meth:`take`, to be put back.
        recovered: Whether the records were written by an earlier process.
    """

    def __init__(
        self, url: str, options: WriterOptions, *, start: int = 0, auth: Any = None, callback: Callback | None = None
    ) -> None:
        self.url = url
        self.shown_url = url.partition('?')[0]
        self.host = urlsplit(url).netloc
        self.options = options
        self.start = start
        self.auth = auth
        self.callback = callback
        self.interval = options.interval
        self.content_encoding = options.content_encoding
        self.maxitemsize = options.maxitemsize
        self.qsize = options.qsize or 2 * options.size
        self.resize(options.size)
        self.offset = self.next_number = self.flush_to = start
        self.records: dict[int, str] = {}
        self.held_bytes = 0
        self.refused: dict[int, str] = {}
        self.halted = self.refused_alone = False
        self.error: Exception | None = None
        self.closed = False
        self.interval_start: float | None = None
        self.retry_at: float | None = None
        self.sender: object = None
        self.in_flight = 0
        self.watched = False
        self.generation = 0
        self.answers: deque[tuple[int, requests.Response | None]] = deque()
        self.reporting: int | None = None
        self.waiters: list[Callable[[], None]] = []
        self.returned: tuple[Taken, ...] = ()
        self.recovered = False
        # Sizes of the next batches, after a refused one was divided.
        self._parts: tuple[int, ...] = ()
        self._attempts: Attempts | None = None
        self._repeat = 0
        self._dropped_to = start

    def resize(self, size: int) -> None:
        """Set the maximum number of records in a request."""
        self.enough = min(size, self.qsize)
        self.size = size

    def __repr__(self) -> str:
        return f'<WriteQueue {self.shown_url} at {self.offset}, {self.undelivered} records>'

    @property
    def sendable(self) -> bool:
        """Whether records are, or will be, sent."""
        return self.next_number > self.offset and not self.halted

    @property
    def failed(self) -> bool:
        """Whether records were refused, and are kept until they are taken back."""
        return self.halted or bool(self.refused)

    @property
    def flush_pending(self) -> bool:
        """Whether records that were flushed are not sent yet."""
        return self.flush_to > self.offset and not self.halted

    @property
    def undelivered(self) -> int:
        """Number of records that are not stored."""
        return self.next_number - self.offset + len(self.refused)

    @property
    def full(self) -> bool:
        """Whether the next record has to wait."""
        return self.next_number - self.offset >= self.qsize or self.held_bytes >= QUEUE_BYTES

    @property
    def ready(self) -> bool:
        """Whether there are enough records for a full batch."""
        return self.next_number - self.offset >= self.enough or self.held_bytes >= BATCH_BYTES

    # Adding

    def append_quietly(self, text: str) -> int | None:
        """Add a record if no worker needs to know of it.

        Args:
            text: The record as JSON.

        Returns:
            Its number; None if it was not added.
        """
        size = len(text)
        number = self.next_number
        limit = self.qsize if self.in_flight else self.enough - 1
        if not self.watched or number >= self.offset + limit or self.held_bytes + size >= BATCH_BYTES:
            return None
        self.records[number] = text
        self.next_number = number + 1
        self.held_bytes += size
        return number

    def extend(self, texts: Sequence[str]) -> int:
        """Add records.

        Args:
            texts: The records as JSON.

        Returns:
            The number of the first one.
        """
        size, count = sum(map(len, texts)), len(texts)
        while True:
            number = self.next_number
            added = dict(zip(range(number, number + count), texts, strict=True))
            if number == self.next_number:  # otherwise a signal handler wrote a record meanwhile
                self.records |= added
                self.next_number = number + count
                self.held_bytes += size
                return number

    def withdraw(self, number: int, count: int) -> bool:
        """Remove records that were added last.

        Args:
            number: Number of the first one.
            count: How many they are.

        Returns:
            False if others follow them, or some of them have been sent, so that nothing is removed.
        """
        size = sum(len(self.records.get(each, '')) for each in range(number, number + count))
        if self.next_number != number + count or self.offset > number:
            return False
        self.next_number = number
        self.held_bytes -= size
        return True

    def texts(self) -> list[str]:
        """Return the records from ``offset`` on as JSON."""
        records = self.records
        return [records[number] for number in range(self.offset, self.next_number)]

    def is_flushed(self, number: int, generation: int) -> bool:
        """Return whether a flush is complete: the records are stored or refused, and the callback has been called.

        Args:
            number: Number after the last record to wait for.
            generation: ``generation`` when the flush began.
        """
        if self.reporting is not None and self.reporting < number:
            return False
        if self.answers and self.answers[0][0] < number:
            return False
        return not self.sendable or self.offset >= number or self.generation != generation

    # Sending

    def begin(self, sender: object, make_attempts: Callable[[], Attempts], *, flushed_only: bool = False) -> Batch:
        """Return the next batch; there is no other one until this one is stored, postponed, divided or rejected.

        Args:
            sender: Whoever sends it.
            make_attempts: Makes the retry loop of a batch that was not sent before.
            flushed_only: Whether to send only what a flush asked for.

        Returns:
            At least one record.
        """
        attempts = self._attempts or make_attempts()
        end = min(self.offset + (self._repeat or self.size), self.next_number)
        if not self._repeat:
            # A repeated batch has to be the same: the response counts its records.
            end = min(end, self.offset + self._parts[0]) if self._parts else end
            end = min(end, self.flush_to) if flushed_only else end
        records, offset = self.records, self.offset
        texts = fit_into_request([records[number] for number in range(offset, end)])
        batch = Batch(offset, texts, attempts)
        count = len(texts)
        self._attempts = attempts
        self._repeat = self.in_flight = count
        self.sender = sender
        return batch

    def store(self, batch: Batch, response: requests.Response | None, now: float) -> None:
        """Remove a batch that is stored.

        Args:
            batch: The batch.
            response: The response, for the callback.
            now: Time on the clock of the pool.
        """
        self._answer(batch, response)
        self._advance(batch, now)

    def postpone(self, error: Exception, pause: float, now: float) -> None:
        """Send the current batch again.

        Args:
            error: Why the attempt failed.
            pause: Seconds until the next attempt.
            now: Time on the clock of the pool.
        """
        self.error = error
        self.retry_at = now + pause
        self.sender = None
        self.in_flight = 0

    def divide(self, batch: Batch, _now: float) -> None:
        """Send a refused batch again in two parts, of which the first is sent first."""
        count = len(batch.texts)
        half = count // 2
        parts = (half, count - half, *self._parts_after(count))
        self._parts = parts
        self._attempts = self.retry_at = self.sender = None
        self._repeat = self.in_flight = 0

    def reject(self, batch: Batch, error: Exception, alone: bool, now: float) -> None:
        """Keep a batch that the service refused, or that failed for too long, until it is taken back.

        Records with keys behind a single refused one are sent; otherwise nothing is sent any more.

        Args:
            batch: The batch.
            error: Why.
            alone: Whether it is one record that is refused for itself.
            now: Time on the clock of the pool.
        """
        self._answer(batch, None)
        self.refused_alone = alone
        if alone and self.options.keyed:
            for number, text in enumerate(batch.texts, batch.offset):
                self.refused[number] = text
            self.error = error
            self._advance(batch, now)
            return
        self.error = error
        self.halted = True
        self.watched = False
        self._attempts = self.retry_at = self.sender = None
        self._repeat = self.in_flight = 0

    def _answer(self, batch: Batch, response: requests.Response | None) -> None:
        if self.callback is not None:
            self.answers.append((batch.offset, response))

    def _advance(self, batch: Batch, now: float) -> None:
        end = batch.end
        size = sum(map(len, batch.texts))
        parts = self._parts_after(len(batch.texts))
        self.offset = end
        self.held_bytes -= size
        self.interval_start = now
        self._parts = parts
        self._attempts = self.retry_at = self.sender = None
        self._repeat = self.in_flight = 0
        if not self.refused:
            self.error = None
        if self.next_number <= end:
            self.watched = self.recovered = False
        for number in range(self._dropped_to, self.offset):
            self.records.pop(number, None)
        self._dropped_to = end

    def _parts_after(self, count: int) -> tuple[int, ...]:
        if not self._parts:
            return ()
        rest = self._parts[0] - count
        return (rest, *self._parts[1:]) if rest > 0 else self._parts[1:]

    # Taking back

    def take(self, taken: Taken) -> None:
        """Remove all records that are not stored; the next one gets the number of the first of them.

        Args:
            taken: Receives them. If the caller does not return them in the end, it adds this object to ``returned``.
        """
        texts, refused = self.texts(), dict(self.refused)
        records = [json.loads(text) for text in (*refused.values(), *texts)]
        nothing: dict[int, str] = {}
        none_refused: dict[int, str] = {}
        if len(texts) != self.next_number - self.offset:  # a signal handler wrote a record meanwhile
            return self.take(taken)
        taken.texts, taken.refused = texts, refused
        taken.error, taken.halted, taken.refused_alone = self.error, self.halted, self.refused_alone
        taken.records = records
        self.records, self.refused = nothing, none_refused
        self.next_number = self.flush_to = self._dropped_to = self.offset
        self.held_bytes = 0
        self.halted = self.watched = self.recovered = False
        self._attempts = self.retry_at = self.error = None
        self._repeat = 0
        self._parts = ()
        self.generation += 1
        return None

    def restore(self) -> None:
        """Put back what an interrupted :meth:`take` removed, before the records that were written since."""
        returned = self.returned
        before = [text for taken in returned for text in taken.texts]
        refused = {number: text for taken in returned for number, text in taken.refused.items()}
        since = self.texts()
        # Those that are being sent keep their numbers.
        texts = [*since, *before] if self.in_flight else [*before, *since]
        records = dict(enumerate(texts, self.offset))
        size = sum(map(len, texts))
        failed = next((taken for taken in returned if taken.halted or taken.refused), None)
        if len(since) != self.next_number - self.offset or self.returned is not returned:
            return self.restore()
        self.returned = ()
        self.records = records
        self.next_number = self.offset + len(texts)
        self.held_bytes = size
        self.refused = {**refused, **self.refused}
        self.generation += 1
        self.watched = False
        if failed is not None and not self.in_flight:
            self.halted, self.error, self.refused_alone = failed.halted, failed.error, failed.refused_alone
        return None

    def reset(self) -> None:
        """Forget all records, because another process sends them, and continue with the next number."""
        self.offset = self._dropped_to = self.next_number
        self.records = {}
        self.refused = {}
        self.answers.clear()
        self.waiters = []
        self.returned = ()
        self.held_bytes = self.in_flight = self._repeat = 0
        self.halted = self.recovered = self.watched = False
        self.error = self._attempts = self.retry_at = self.sender = self.reporting = None
        self._parts = ()

    def notify(self) -> None:
        """End the waits for a change of this queue."""
        waiters = self.waiters
        self.waiters = []
        for waiter in waiters:
            waiter()
