"""The writer that a program holds: it encodes, numbers and waits; the engine sends."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from scrapinghub.exceptions import ValueTooLarge
from scrapinghub.transport.codec import encode_json
from scrapinghub.transport.uploads.buffer import BATCH_BYTES
from scrapinghub.transport.uploads.lane import Lane

if TYPE_CHECKING:
    from scrapinghub.transport.uploads.uploader import Uploader


class Sender(Protocol):
    """What a writer needs from the engine behind it."""

    lock: threading.RLock

    def notice(self, lane: Lane) -> None:
        """Take notice of a lane that has something to send; called with the lock held."""
        ...

    def wait(self, lane: Lane) -> bool:
        """Wait, for a second at most, until something changes in a lane; called with the lock held.

        Returns:
            False, at once, if no other thread can send: the caller has to, by :meth:`assist`.
        """
        ...

    def assist(self) -> None:
        """Send what is due in the present thread; called without the lock."""
        ...

    def wait_until_settled(self, lanes: Iterable[Lane], timeout: float | None) -> bool:
        """Wait until the records that lanes were asked to flush are stored or refused."""
        ...

    @property
    def sending(self) -> bool:
        """Whether the present thread is the one that sends."""
        ...

    exiting: bool

    def settle_late(self) -> None:
        """Send what was written while the interpreter exits."""
        ...


class Writer:
    """Write records to one URL, in batches, in order; safe to use from many threads.

    Made by an :class:`~scrapinghub.transport.uploads.uploader.Uploader`. Records leave when a batch is full, when
    the interval is over, on :meth:`flush` and on :meth:`close`.

    A writer whose records were refused, or could not be delivered for too long, holds them: :meth:`write`,
    :meth:`flush` and :meth:`close` then raise :class:`~scrapinghub.exceptions.UploadError`, which has the records,
    until :meth:`take_back` is called. Where records go by key, good ones around a refused one are stored; where they go
    by number, nothing is sent over the gap.

    Args:
        sender: The engine.
        lane: The state.
        uploader: Who made it.

    Attributes:
        ERRMSG_DATA_TRUNCATION_LEN: Characters of a record that the error about its size shows.
    """

    ERRMSG_DATA_TRUNCATION_LEN = 1024

    def __init__(self, sender: Sender, lane: Lane, uploader: Uploader) -> None:
        self._sender = sender
        self._lane = lane
        # Weak: the uploader, and the client with it, ends when the program drops it, not when the last record is sent.
        self._uploader = weakref.ref(uploader)

    def __str__(self) -> str:
        return self._lane.shown_url

    def __repr__(self) -> str:
        return f'<Writer {self._lane.shown_url} at {self._lane.buffer.next_number}>'

    # Writing

    def write(self, record: Any) -> int:
        """Queue a record; block while the queue is full.

        The record is encoded at once: changing the object afterwards changes nothing.

        Args:
            record: Anything that JSON knows, datetimes and whatever has a ``str()``. For collections also a list of
                records: all of them are queued, or none.

        Returns:
            The number of the record; of the first one for a list.

        Raises:
            ValueTooLarge: Its JSON text is larger than ``maxitemsize``; nothing is sent and no number used.
            ValueError: It holds NaN or an infinity.
            UploadError: The writer holds records that were refused; this one was not taken.
            AssertionError: The writer is closed.
        """
        lane = self._lane
        if lane.lists and isinstance(record, list):
            if len(record) != 1:
                return self._write_list(record)
            [record] = record
        text = encode_json(record)
        if len(text) > lane.maxitemsize or not text.isascii():
            self._check_size(text)
        buffer = lane.buffer
        with self._sender.lock:
            # The plain case, kept short: a spider comes here for every item.
            held = len(buffer.texts)
            if 0 < held < lane.enough - 1 and buffer.held_bytes < BATCH_BYTES and not (lane.closed or lane.cause):
                return lane.add(text)
        number = self._write_text(text)
        if self._sender.exiting:
            self._sender.settle_late()
        return number

    def _write_text(self, text: str, *, whatever: bool = False) -> int:
        lane, sender = self._lane, self._sender
        while True:
            with sender.lock:
                if lane.failed:
                    if whatever and not lane.closed:
                        return self._add(text)
                    raise lane.error() from lane.cause
                if lane.closed:
                    raise AssertionError('attempting writes to a closed writer')
                # The thread that sends would wait for itself, for instance in a handler of the log lines it writes.
                if not lane.full or sender.sending:
                    return self._add(text)
                if sender.wait(lane):
                    continue
            sender.assist()

    def _write_list(self, records: list[Any]) -> int:
        texts = [encode_json(record) for record in records]
        for text in texts:
            self._check_size(text)
        number = self._lane.buffer.next_number
        for position, text in enumerate(texts):
            # Once begun, a list is queued to its end: half of one would be hard to take up again.
            added = self._write_text(text, whatever=position > 0)
            number = number if position else added
        if self._sender.exiting:
            self._sender.settle_late()
        return number

    def _add(self, text: str) -> int:
        lane = self._lane
        number = lane.add(text)
        if not lane.noticed and not lane.in_flight and (number == lane.buffer.offset or lane.ready):
            self._sender.notice(lane)
        return number

    def _check_size(self, text: str) -> None:
        limit = self._lane.maxitemsize
        if len(text.encode()) > limit:
            shown = text[: self.ERRMSG_DATA_TRUNCATION_LEN] + '...'
            raise ValueTooLarge(f'Value exceeds max encoded size of {sizeof_fmt(limit)}: {shown!r}')

    # Waiting

    def flush(self, timeout: float | None = None) -> None:
        """Wait until everything written so far is stored.

        Args:
            timeout: Seconds to wait; None to wait as long as an outage may last.

        Raises:
            UploadError: Records were refused, or the time is over; the error holds all records that are not stored.
            RuntimeError: Called from a callback, that is by the thread that sends.
        """
        with self._sender.lock:
            self._ask_for_all()
        if not self._sender.wait_until_settled([self._lane], timeout):
            with self._sender.lock:
                raise self._lane.error(f'not stored within {timeout} seconds') from self._lane.cause
        self._raise_failure()

    def close(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take no more records, and wait until all are stored.

        Args:
            block: Whether to wait; if not, what is held is sent all the same.
            timeout: Seconds to wait; None to wait as long as an outage may last.

        Returns:
            Whether everything is stored. What is not is sent later, as long as the client is not closed.

        Raises:
            UploadError: Records were refused; the error holds all records that are not stored.
        """
        lane = self._lane
        with self._sender.lock:
            lane.closed = True
            self._ask_for_all()
            lane.changed.notify_all()
            if not block:
                return not lane.undelivered
        settled = self._sender.wait_until_settled([lane], timeout)
        self._raise_failure()
        if settled:
            with self._sender.lock:
                lane.leave_journal()
        return settled

    def _ask_for_all(self) -> None:
        lane = self._lane
        lane.flush_to = lane.buffer.next_number
        if lane.sendable:
            self._sender.notice(lane)

    def _raise_failure(self) -> None:
        with self._sender.lock:
            if self._lane.failed:
                raise self._lane.error() from self._lane.cause

    def take_back(self) -> list[Any]:
        """Return every record that is not stored, in order, and forget it; the writer can go on.

        Where records go by number, the next one takes the number of the first of those taken back. Waits for a post
        that is under way, since it may still arrive.

        Returns:
            The records, as JSON gives them back.
        """
        lane, sender = self._lane, self._sender
        while True:
            with sender.lock:
                if not lane.in_flight:
                    return lane.take_back()
                if sender.sending:
                    raise RuntimeError('records cannot be taken back by the thread that sends them')
                sender.wait(lane)

    def adopt(self, auth: Any, callback: Any) -> None:
        """Take over a writer that an earlier process left: what was refused without the credentials is tried again."""
        with self._sender.lock:
            self._lane.callback = callback
            if auth is not None:
                self._lane.retry_with(auth)
                self._ask_for_all()

    # The names that programs expect on a writer

    @property
    def url(self) -> str:
        """Where the records go."""
        return self._lane.url

    @property
    def offset(self) -> int:
        """Number of the first record that is not stored."""
        return self._lane.buffer.offset

    @property
    def next_number(self) -> int:
        """Number of the record that is written next."""
        return self._lane.buffer.next_number

    @property
    def closed(self) -> bool:
        """Whether the writer takes no more records."""
        return self._lane.closed

    @property
    def failed(self) -> bool:
        """Whether records were refused, and not taken back since."""
        return self._lane.failed

    @property
    def full(self) -> bool:
        """Whether the next :meth:`write` waits for room."""
        return self._lane.full and not self._lane.failed

    @property
    def flushme(self) -> bool:
        """Whether records wait to be flushed."""
        return self._lane.unflushed

    @property
    def checkpoint(self) -> float:
        """When the interval began, on a monotonic clock."""
        return self._lane.checkpoint

    @property
    def uploader(self) -> Uploader | None:
        """Who made this writer; None if it is gone."""
        return self._uploader()

    @property
    def itemsq(self) -> Queued:
        """What is held, with the ``qsize()`` of a queue."""
        return Queued(self._lane)

    @property
    def size(self) -> int:
        """Most records in a post."""
        return self._lane.size

    @size.setter
    def size(self, size: int) -> None:
        self._lane.size = size

    @property
    def interval(self) -> float:
        """Seconds after which records are sent although the batch is not full."""
        return self._lane.interval

    @interval.setter
    def interval(self, interval: float) -> None:
        self._lane.interval = interval

    @property
    def maxitemsize(self) -> int:
        """Largest record, in bytes of JSON text."""
        return self._lane.maxitemsize

    @maxitemsize.setter
    def maxitemsize(self, maxitemsize: int) -> None:
        self._lane.maxitemsize = maxitemsize

    @property
    def content_encoding(self) -> str:
        """How bodies are sent: ``gzip`` or ``identity``."""
        return self._lane.content_encoding

    @content_encoding.setter
    def content_encoding(self, content_encoding: str) -> None:
        self._lane.content_encoding = content_encoding

    @property
    def auth(self) -> Any:
        """Credentials of this writer; None for the client's own."""
        return self._lane.auth

    @auth.setter
    def auth(self, auth: Any) -> None:
        self._lane.auth = auth

    @property
    def callback(self) -> Any:
        """Called with the answer to each batch, and with None for one that is given up."""
        return self._lane.callback

    @callback.setter
    def callback(self, callback: Any) -> None:
        self._lane.callback = callback


class Queued:
    """What a writer holds, with the methods of a queue that tell its length.

    Args:
        lane: The state of the writer.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.maxsize = lane.qsize

    def qsize(self) -> int:
        """Return how many records are held."""
        return len(self._lane.buffer)

    def empty(self) -> bool:
        """Return whether no record is held."""
        return not self.qsize()

    def full(self) -> bool:
        """Return whether the next write has to wait."""
        return self._lane.full


def sizeof_fmt(size: float) -> str:
    """Return a number of bytes in the unit that fits it, rounded.

    Example:
        >>> sizeof_fmt(1048576)
        '1 MiB'
    """
    for unit in ('B', 'KiB', 'MiB'):
        if abs(size) < 1024:
            return f'{size:.0f} {unit}'
        size /= 1024
    return f'{size:.0f} GiB'
