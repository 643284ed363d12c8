"""The writer that a program uses: it encodes and numbers records, and waits; the worker pool sends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from scrapinghub.exceptions import ValueTooLarge
from scrapinghub.transport.codec import encode_json
from scrapinghub.transport.uploads import process_exit
from scrapinghub.transport.uploads.batch import Taken
from scrapinghub.transport.uploads.deadlines import seconds_while_handling
from scrapinghub.transport.uploads.failures import not_stored, shorten, upload_error
from scrapinghub.transport.uploads.pool import WorkerPool
from scrapinghub.transport.uploads.queue import WriteQueue

if TYPE_CHECKING:
    from typing_extensions import Self

    from scrapinghub.transport.uploads.options import WriterOptions

# What `record_type` accepts. Options are stored as JSON, so it is a name.
RECORD_TYPES: dict[str, tuple[type, ...]] = {'dict': (dict,), 'list': (list, tuple)}


class Writer:
    """Write records to one URL in batches, in order. Safe to use from many threads.

    A batch is sent when it is full, when the interval has passed, on :meth:`flush` and on :meth:`close`. The end of a
    ``with`` block closes the writer; if an exception ends the block, it waits at most 30 seconds, 10 after Ctrl-C.

    If the service refuses records, or cannot be reached for too long, the writer keeps them: :meth:`write`,
    :meth:`flush` and :meth:`close` raise :class:`~scrapinghub.exceptions.UploadError`, which holds the records, until
    :meth:`take_back` is called. Where records have keys, good ones around a refused one are stored; where they are
    numbered, nothing is sent after the refused one.

    Args:
        pool: Sends what the queue holds.
        queue: The state of the writer.

    Attributes:
        queue: The state of the writer.
    """

    def __init__(self, pool: WorkerPool, queue: WriteQueue) -> None:
        self._pool = pool
        self.queue = queue

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.close_after_error()

    def __str__(self) -> str:
        return self.queue.shown_url

    def __repr__(self) -> str:
        return f'<Writer {self.queue.shown_url} at {self.queue.next_number}>'

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError('a writer cannot be copied: create one with the copy of its client')

    @property
    def url(self) -> str:
        """Address of the records."""
        return self.queue.url

    @property
    def offset(self) -> int:
        """Number of the first record that is not stored."""
        return self.queue.offset

    @property
    def next_number(self) -> int:
        """Number of the next record."""
        return self.queue.next_number

    @property
    def closed(self) -> bool:
        """Whether the writer takes no more records."""
        return self.queue.closed

    @property
    def full(self) -> bool:
        """Whether the next :meth:`write` waits for room."""
        return self.queue.full and not self.queue.failed

    def write(self, record: Any) -> int:
        """Queue a record; block while the queue is full.

        The record is encoded at once: changing the object afterwards has no effect.

        Args:
            record: A value that JSON can represent; dates and other objects are converted. For collections also a
                list of records: all of them are queued, or none.

        Returns:
            The number of the record; of the first one for a list.

        Raises:
            TypeError: The record has the wrong type.
            ValueTooLarge: The JSON text is larger than ``maxitemsize``; nothing is queued.
            ValueError: The record holds NaN or an infinity.
            UploadError: The writer holds records that were refused; this one is not queued.
            AssertionError: The writer is closed.
        """
        queue = self.queue
        if queue.options.record_type:
            record = _check_type(record, queue.options)
        if queue.options.lists and isinstance(record, list):
            texts = [encode_json(each) for each in record]
            for text in texts:
                self._check_size(text)
            return self._queue(texts)
        text = encode_json(record)
        if len(text) > queue.maxitemsize or not text.isascii():
            self._check_size(text)
        with self._pool.lock:
            # The usual case, kept short: a spider calls this for every item.
            number = queue.append_quietly(text)
            if number is not None:
                return number
        return self._queue([text])

    def _check_size(self, text: str) -> None:
        limit = self.queue.maxitemsize
        if len(text.encode()) > limit:
            raise ValueTooLarge(f'Value exceeds max encoded size of {format_size(limit)}: {shorten(text)!r}')

    def _queue(self, texts: Sequence[str]) -> int:
        queue, pool = self.queue, self._pool
        numbers: list[int] = []

        def add() -> bool:
            if queue.failed:
                raise upload_error(queue) from None
            if queue.closed:
                raise AssertionError('attempting writes to a closed writer')
            if queue.full and pool.can_wait:
                return False
            numbers.append(self._add(texts))
            return True

        pool.wait_until(queue, add)
        if not numbers:
            # The pool was stopped; nothing makes room any more.
            raise AssertionError('attempting writes to a closed writer')
        if pool.exiting and not pool.in_sender:
            process_exit.finish_late(pool)
        return numbers[0]

    def _add(self, texts: Sequence[str]) -> int:
        queue, pool = self.queue, self._pool
        number = queue.extend(texts)
        if pool.spool is not None:
            try:
                pool.spool.synchronize(queue)
            except Exception as error:
                if queue.withdraw(number, len(texts)):
                    pool.spool.forget(queue, number)
                    raise
                # A signal handler wrote a record, and all records before it to the journal.
                if not pool.spool.caused(error):
                    raise
        if texts:
            pool.announce(queue)
        return number

    def flush(self, timeout: float | None = None) -> None:
        """Wait until everything written so far is stored.

        Args:
            timeout: Maximum time to wait, in seconds. By default as long as the writer sends records again after
                failures.

        Raises:
            UploadError: Records were refused, or the time is up; the error holds all records that are not stored.
            RuntimeError: Called by a callback, in the thread that sends.
        """
        queue, pool = self.queue, self._pool
        # First: the records of a log handler about its own requests must not be due at once.
        pool.check_can_flush()
        with pool.lock:
            pool.flush(queue)
        flushed = pool.wait_until_flushed([queue], timeout)
        self._raise_failure(None if flushed else not_stored(timeout))

    def check(self) -> None:
        """Raise the error of the writer if records were refused; does not wait.

        Raises:
            UploadError: Records were refused; the error holds all records that are not stored.
        """
        self._raise_failure()

    def _raise_failure(self, reason: str | None = None) -> None:
        queue = self.queue
        with self._pool.lock:
            if queue.failed or reason:
                raise upload_error(queue, reason) from None

    def close(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take no more records, and wait until all are stored.

        Args:
            block: Whether to wait. The records are sent in any case.
            timeout: Maximum time to wait, in seconds. By default as long as the writer sends records again after
                failures, but 10 seconds while Ctrl-C is handled; what is not stored then is reported at the end of the
                client, and not raised.

        Returns:
            Whether all records are stored. Others are sent later, as long as the client is not closed.

        Raises:
            UploadError: Records were refused; the error holds all records that are not stored.
        """
        return self._close(block, timeout)

    def close_after_error(self) -> None:
        """Close at the end of a block that an exception ends: wait no longer than 30 seconds, 10 after Ctrl-C.

        That is the time for all nested blocks together. What is not stored is reported at the end of the client.
        """
        self._close(timeout=None, any_error=True)

    def _close(self, block: bool = True, timeout: float | None = None, *, any_error: bool = False) -> bool:
        queue, pool = self.queue, self._pool
        limit = None if timeout is not None else seconds_while_handling(pool.clock, any_error=any_error)
        if limit is not None:
            process_exit.limit_exit(pool, limit)
        with pool.lock:
            queue.closed = True
            queue.watched = False
            pool.flush(queue)
            queue.notify()
            if not block:
                return not queue.undelivered
        pool.check_can_flush()
        flushed = pool.wait_until_flushed([queue], timeout if limit is None else limit)
        if limit is None:
            self._raise_failure()
        elif queue.failed:
            # An error would take the place of the exception that is handled.
            return False
        if flushed and pool.spool is not None:
            pool.spool.remove_empty([queue], pool.lock)
        return flushed

    def take_back(self) -> list[Any]:
        """Return all records that are not stored, in order, and forget them; the writer can be used again.

        Numbered records: the next one gets the number of the first of those taken back. Waits for a request that is
        being sent, because it may still succeed. If this method raises, the writer keeps the records.

        Returns:
            The records, decoded from JSON.

        Raises:
            OSError: The spool cannot be written.
            RuntimeError: Called by a callback, in the thread that sends.
        """
        queue, pool = self.queue, self._pool
        taken = Taken()

        def take() -> bool:
            if queue.in_flight:
                if pool.in_sender:
                    raise RuntimeError('take_back() waits for the thread that sends: it cannot call it itself')
                return False
            queue.take(taken)
            if pool.spool is not None and pool.spool.usable:
                pool.spool.synchronize(queue)
            return True

        try:
            while taken.records is None:
                pool.wait_until(queue, take, after_stop=True)
            return taken.records
        except BaseException:
            # Also if a signal handler raises: from here on there is no call before the records are safe.
            if taken.records is not None:
                queue.returned = (*queue.returned, taken)
                queue.watched = False
            raise

    def adopt(self, auth: Any, callback: Any) -> None:
        """Continue a writer of an earlier process: send again what was refused without the credentials."""
        queue, pool = self.queue, self._pool
        with pool.lock:
            queue.callback = callback
            if auth is not None:
                queue.auth = auth
                queue.halted = False
                pool.flush(queue)


def _check_type(record: Any, options: WriterOptions) -> Any:
    kind = options.record_type
    if isinstance(record, RECORD_TYPES[kind]):
        return record
    if kind == 'dict' and isinstance(record, Mapping):
        # It would be stored as text.
        return dict(record)
    shown = f'{type(record).__name__} {record!r:.200}'
    raise TypeError(f'a record of {options.label} should be a {kind}, got {shown}')


def format_size(size: float) -> str:
    """Return a number of bytes in the unit that fits it, rounded.

    Example:
        >>> format_size(1048576)
        '1 MiB'
    """
    for unit in ('B', 'KiB', 'MiB'):
        if abs(size) < 1024:
            return f'{size:.0f} {unit}'
        size /= 1024
    return f'{size:.0f} GiB'
