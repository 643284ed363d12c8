"""One writer as the upload threads see it: what it holds, when it is due, and what a failure means for it.

A lane is guarded by the lock of its engine (see :mod:`scrapinghub.transport.uploads.uploader`); the worker that has
taken a batch from it owns its ``attempts`` until the batch is settled.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import requests

from scrapinghub.config.credentials import Credentials
from scrapinghub.exceptions import ScrapinghubAPIError, UploadError, strip_credentials
from scrapinghub.transport.http.call import UNSET, Call
from scrapinghub.transport.http.retries import Attempts
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.uploads.buffer import Buffer

if TYPE_CHECKING:
    from scrapinghub.transport.uploads.spool import Journaled, Spool

MAX_ITEM_BYTES = 1024 * 1024
# Levels above it cost several times the time of the JSON text itself, for a tenth of its size.
GZIP_LEVEL = 1

Callback = Callable[['requests.Response | None'], None]


@dataclass(frozen=True)
class WriterOptions:
    """What an endpoint family fixes for its writers.

    Attributes:
        size: Most records in a post.
        interval: Seconds after which records are sent although the batch is not full.
        qsize: Most records held, above which ``write`` blocks; None for twice ``size``.
        content_encoding: ``gzip`` or ``identity``.
        maxitemsize: Largest record, in bytes of JSON text.
        keyed: Whether records go by a key of their own, so that a refused batch may be divided; else by number.
        lists: Whether ``write`` takes a list for several records.
    """

    size: int = 1000
    interval: float = 15.0
    qsize: int | None = None
    content_encoding: str = 'gzip'
    maxitemsize: int = MAX_ITEM_BYTES
    keyed: bool = False
    lists: bool = False

    def __post_init__(self) -> None:
        for name in ('size', 'qsize', 'maxitemsize'):
            value = getattr(self, name)
            if not (value is None and name == 'qsize') and (not isinstance(value, int) or value < 1):
                raise ValueError(f'{name} should be an integer of at least 1, got {value!r}')
        if self.interval < 0:
            raise ValueError(f'interval should be a number of seconds of at least 0, got {self.interval!r}')
        if self.content_encoding not in ('gzip', 'identity'):
            raise ValueError(f"content_encoding should be 'gzip' or 'identity', got {self.content_encoding!r}")


@dataclass
class Batch:
    """Some records on their way.

    Attributes:
        lane: Where they come from.
        offset: Number of the first of them.
        texts: Their JSON texts.
        attempts: The retry loop of this batch.
    """

    lane: Lane
    offset: int
    texts: list[str] = field(repr=False)
    attempts: Attempts = field(repr=False)

    def post(self, transport: Transport, timeout: float | None = None) -> requests.Response:
        """Send the batch once.

        Args:
            transport: The way to the wire.
            timeout: Seconds instead of the client's own.

        Returns:
            The complete answer, whose status is a success.

        Raises:
            requests.RequestException: It was refused, or no answer arrived.
        """
        lane = self.lane
        body = '\n'.join([*self.texts, '']).encode()
        if lane.content_encoding == 'gzip':
            body = _gzip(body)
        call = Call(
            'POST',
            lane.url,
            params={'start': self.offset},
            data=body,
            # Named in the plain case too, as the service has always been told.
            headers={'Content-Encoding': lane.content_encoding},
            auth=UNSET if lane.auth is None else lane.auth,
            timeout=UNSET if timeout is None else timeout,
        )
        return transport.complete(call, self.attempts.number)


def _gzip(body: bytes) -> bytes:
    # wbits 31: a gzip header without time or name. zlib lets other threads run meanwhile.
    compressor = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)
    return compressor.compress(body) + compressor.flush()


class Lane:
    """The state of one writer.

    Args:
        url: Where the records go.
        options: Limits and kind of the writer.
        start: Number of the first record.
        auth: Credentials instead of the client's own, or None.
        callback: Called with the answer to each batch, and with None for one that is given up.
        shared: Whether there is one writer for the URL.
        changed: Notified of whatever a waiting thread may wait for; its lock guards the lane.
        spool: The journal, or None.
        journaled: What the journal holds from an earlier process.

    Attributes:
        buffer: The records that are not stored.
        enough: Number of records that make a whole batch.
        closed: Whether the writer takes no more records.
        in_flight: Number of records in the post under way; 0 if there is none.
        cause: Why records are held back or set aside; None if all is well.
        held: Whether nothing is sent until the records are taken back.
        flush_to: All records up to this number, not including it, are due now.
        retry_at: When an outage allows the next attempt; None if there is no outage.
        checkpoint: When the interval began.
        taken: How often records were taken back.
        noticed: Whether the engine knows that a batch is ready.
        recovered: Whether the records come from an earlier process.
    """

    def __init__(
        self,
        url: str,
        options: WriterOptions,
        *,
        start: int,
        auth: Any,
        callback: Callback | None,
        shared: bool,
        changed: threading.Condition,
        spool: Spool | None,
        journaled: Journaled | None = None,
    ) -> None:
        self.url = url
        self.shown_url = strip_credentials(url) or url
        self.interval = options.interval
        self.qsize = options.qsize or 2 * options.size
        self.size = options.size
        self.content_encoding = options.content_encoding
        self.maxitemsize = options.maxitemsize
        self.keyed = options.keyed
        self.lists = options.lists
        self.shared = shared
        self.start = start
        self.auth = auth
        self.callback = callback
        self.changed = changed
        self.buffer = Buffer(start)
        self.closed = False
        self.in_flight = 0
        self.cause: Exception | None = None
        self.held = False
        self.flush_to = start
        self.retry_at: float | None = None
        self.checkpoint = 0.0
        self.taken = 0
        self.noticed = False
        self.recovered = journaled is not None
        self._attempts: Attempts | None = None
        self._spool = spool
        self._journaled_as: int | None = None
        if spool is not None:
            self._journaled_options = {**asdict(options), 'shared': shared}
        if journaled is not None:
            self._recover(journaled)

    @property
    def size(self) -> int:
        """Most records in a post."""
        return self._size

    @size.setter
    def size(self, size: int) -> None:
        self._size = size
        self.enough = min(size, self.qsize)

    @property
    def auth(self) -> Any:
        """Credentials of this writer; None for the client's own."""
        return self._auth

    @auth.setter
    def auth(self, auth: Any) -> None:
        # A plain pair would be readable in a traceback that shows locals.
        plain = isinstance(auth, (tuple, list)) and not isinstance(auth, Credentials)
        self._auth = Credentials(*auth) if plain else auth

    def __repr__(self) -> str:
        return f'<Lane {self.shown_url} at {self.buffer.offset}, {len(self.buffer)} held>'

    # What is held

    @property
    def undelivered(self) -> int:
        """Number of records that are not stored."""
        return len(self.buffer) + len(self.buffer.refused)

    @property
    def sendable(self) -> bool:
        """Whether there is something that is, or will be, sent."""
        return len(self.buffer) > 0 and not self.held

    @property
    def failed(self) -> bool:
        """Whether records are held back or set aside until they are taken back."""
        return self.held or bool(self.buffer.refused)

    @property
    def unflushed(self) -> bool:
        """Whether records that were to be sent at once are not stored."""
        return self.flush_to > self.buffer.offset

    @property
    def full(self) -> bool:
        """Whether the next record has to wait."""
        return self.buffer.full(self.qsize)

    @property
    def ready(self) -> bool:
        """Whether a whole batch is held."""
        return self.buffer.ready(self.enough)

    def add(self, text: str) -> int:
        """Put a record into the journal and the buffer.

        Args:
            text: Its JSON text.

        Returns:
            Its number.
        """
        if self._spool is not None:
            self._journal(self._spool, text)
        return self.buffer.append(text)

    def _journal(self, spool: Spool, text: str) -> None:
        if not spool.usable:
            raise RuntimeError(
                f'the spool {spool.path} belongs to the process that opened it, and only until its client is closed: '
                'make a client with a spool of its own in each process'
            )
        if self._journaled_as is None:
            self._journaled_as = spool.add_writer(self.url, self._journaled_options, self.buffer.next_number)
        spool.add(self._journaled_as, self.buffer.next_number, text)

    def _recover(self, journaled: Journaled) -> None:
        assert self._spool is not None
        self._journaled_as = journaled.id
        if self.keyed:
            # Records that were set aside leave gaps between the numbers, which mean nothing here.
            self._spool.renumber(journaled.id, self.start, journaled.texts)
        for text in journaled.texts:
            self.buffer.append(text)
        self.flush_to = self.buffer.next_number

    # When it is due

    def due(self, now: float, *, urgent: bool) -> float | None:
        """Return when the next batch is to be sent.

        Args:
            now: Time on the engine's clock.
            urgent: Whether to send what there is, whatever the interval.

        Returns:
            A time, which may be past; None if there is nothing to send.
        """
        if self.in_flight or not self.sendable:
            return None
        if self.retry_at is not None:
            return self.retry_at
        if urgent or self.closed or self.unflushed or self.ready:
            return now
        return self.checkpoint + self.interval

    @property
    def in_outage(self) -> bool:
        """Whether the last attempt failed in a way that may pass."""
        return self.retry_at is not None

    def blocks(self, other: Lane) -> bool:
        """Return whether ``other`` has to wait, lest an older value is stored over a newer one of the same key."""
        if other is self or other.url != self.url or not self.sendable:
            return False
        return bool(self.in_flight) or self.in_outage or (self.recovered and not other.recovered)

    # A batch

    def begin(self, new_attempts: Callable[[], Attempts]) -> Batch:
        """Take the next batch; the lane gives no other one until this one is settled.

        Args:
            new_attempts: Makes the retry loop of a batch that was not tried before.

        Returns:
            The batch.
        """
        if self._attempts is None:
            self._attempts = new_attempts()
            self._again = 0
        # A repeat has to be the same batch: more records would not be wrong, but the answer might count them.
        texts = self.buffer.batch(self._again or self.size)
        self._again = self.in_flight = len(texts)
        self.noticed = False
        return Batch(self, self.buffer.offset, texts, self._attempts)

    def stored(self, batch: Batch, now: float) -> OSError | None:
        """Say that a batch is stored.

        Args:
            batch: The batch.
            now: Time on the engine's clock.

        Returns:
            Why the journal could not be told, if it could not: a later process may then send these records again, to
            the same number or key.
        """
        self._settle(now)
        after = batch.offset + len(batch.texts)
        self.buffer.stored(len(batch.texts))
        if not self.sendable:
            self.recovered = False
        # Where records go by number, all before are stored, too; where they go by key, some may have been set aside.
        first = batch.offset if self.keyed else 0
        try:
            self._forget(lambda spool, writer: spool.stored(writer, first, after))
        except OSError as error:
            return error
        return None

    def postpone(self, error: Exception, until: float) -> None:
        """Say that a batch met a failure that may pass.

        Args:
            error: The failure, as an error of ours.
            until: When to try again.
        """
        self.in_flight = 0
        self.cause = error
        self.retry_at = until
        self.changed.notify_all()

    def release(self) -> None:
        """Say that it is not known what became of the batch: it is sent again."""
        self.in_flight = 0
        self.changed.notify_all()

    def refuse(self, batch: Batch, error: Exception, *, divide: bool, now: float) -> None:
        """Say that a batch was refused, or given up.

        Args:
            batch: The batch.
            error: Why, as an error of ours.
            divide: Whether one of its records alone may be the reason: then it is found, and set aside.
            now: Time on the engine's clock.
        """
        if divide and not self.buffer.refuse(len(batch.texts)):
            self._settle(now)
            return
        self._settle(now)
        self.cause = error
        self.held = not divide

    def _settle(self, now: float) -> None:
        self.in_flight = 0
        self._attempts = None
        self.retry_at = None
        if not self.failed:
            self.cause = None
        self.checkpoint = now
        self.changed.notify_all()

    def _forget(self, drop: Callable[[Spool, int], None]) -> None:
        """Tell the journal, if there is one."""
        if self._spool is not None and self._journaled_as is not None and self._spool.usable:
            drop(self._spool, self._journaled_as)

    # Giving up

    def take_back(self) -> list[Any]:
        """Empty the lane.

        Returns:
            Every record that is not stored, in order.
        """
        texts = self.buffer.take()
        self.taken += 1
        self._settle(self.checkpoint)
        self.held = self.recovered = False
        self.cause = None
        self.flush_to = self.buffer.offset
        self._forget(lambda spool, writer: spool.taken_back(writer, self.buffer.offset))
        return [json.loads(text) for text in texts]

    def leave_journal(self) -> None:
        """Remove the writer from the journal: all is stored, and nothing follows."""
        if not self.undelivered:
            self._forget(lambda spool, writer: spool.remove_writer(writer))
            self._journaled_as = None

    def disown(self, changed: threading.Condition) -> None:
        """Start anew in a forked child: what is held is the parent's, and it sends it.

        Args:
            changed: A new condition; the old one may be locked by a thread that is not there.
        """
        self.changed = changed
        self.buffer.disown()
        self.in_flight = 0
        self.held = self.recovered = self.noticed = False
        self.cause = self._attempts = self.retry_at = None

    def retry_with(self, auth: Any) -> None:
        """Take other credentials, and try again what was refused without them."""
        self.auth = auth
        self.held = False

    def error(self, why: str | None = None) -> UploadError:
        """Return the error that holds the records that are not stored.

        Args:
            why: What happened; the service's refusal if it is missing.

        Returns:
            The error; the caller raises it ``from`` :attr:`cause`.
        """
        records = [json.loads(text) for text in self.buffer.peek()]
        where = '' if self.keyed else f', from number {self.buffer.offset} on'
        hint = f'{len(records)} records for {self.shown_url} are not stored{where}. '
        if self.failed:
            hint += 'This error holds them; writer.take_back() returns them and lets the writer go on.'
        else:
            hint += 'This error holds them, and the writer goes on trying; writer.take_back() stops that.'
        if not isinstance(self.cause, ScrapinghubAPIError):
            error = UploadError(why or str(self.cause), records=records)
            error.url, error.hint = self.shown_url, hint
            return error
        error = UploadError.caused_by(self.cause, records=records, url=self.shown_url, hint=hint)
        if why:
            error.hint = f'{why}: {hint}'
        return error
