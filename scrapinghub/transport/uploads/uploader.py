"""The batch writers of a client: one for each URL, or a separate one where the caller asks for it."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from scrapinghub.config.credentials import Credentials
from scrapinghub.transport.http.call import UNSET, Unset
from scrapinghub.transport.http.gzip import zlib_library
from scrapinghub.transport.http.paths import Path
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.uploads import process_exit
from scrapinghub.transport.uploads.deadlines import seconds_while_handling
from scrapinghub.transport.uploads.failures import describe_losses, not_stored, upload_error
from scrapinghub.transport.uploads.options import Callback, WriterOptions
from scrapinghub.transport.uploads.pool import WorkerPool
from scrapinghub.transport.uploads.queue import WriteQueue
from scrapinghub.transport.uploads.writer import Writer

if TYPE_CHECKING:
    from scrapinghub.transport.uploads.spool import Spool

__all__ = ['Uploader', 'Writer', 'WriterOptions']

logger = logging.getLogger(__name__)


class Uploader:
    """The batch writers of one client.

    Args:
        transport: Sends requests.
        spool: File in which records survive the end of the process until they are stored; None for none.
        max_outage: Seconds for which a batch is sent again after failures; None for 30 hours.

    Attributes:
        closed: Whether no more writers can be created.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        spool: str | os.PathLike[str] | None = None,
        max_outage: float | None = None,
    ) -> None:
        if max_outage is not None and (isinstance(max_outage, bool) or max_outage < 0):
            raise ValueError(f'max_outage must be a number of seconds of at least 0, got {max_outage!r}')
        self.closed = False
        self._transport = transport
        self._failure_raised = False
        opened = None if spool is None else _open_spool(spool, transport)
        self._pool = WorkerPool(transport, spool=opened, max_outage=max_outage)
        self._shared: dict[str, Writer | None] = {}
        # The number at which the program asked each URL to begin, for writers that follow a closed one.
        self._starts: dict[str, int] = {}
        self._separate: weakref.WeakSet[Writer] = weakref.WeakSet()
        self._used = False
        # URLs of writers of an earlier process that the program has not asked for yet.
        self._recovered: set[str] = set()
        if opened is not None:
            self._recover(opened)
        self._finalizer = weakref.finalize(self, self._pool.abandon)
        self._finalizer.atexit = False

    def __repr__(self) -> str:
        return f'<Uploader with {len(self.writers)} open writers>'

    def _recover(self, spool: Spool) -> None:
        for journaled in spool.recover():
            options = dict(journaled.options)
            shared = options.pop('shared')
            if not journaled.texts and not shared:
                with self._pool.lock:  # the records of other writers are being sent
                    spool.remove(journaled.id)
                continue
            queue = WriteQueue(journaled.url, WriterOptions(**options), start=journaled.start)
            queue.extend(journaled.texts)
            queue.flush_to = queue.next_number
            queue.recovered = True
            self._pool.register(queue, shared=shared, journaled=journaled)
            if shared:
                self._shared[journaled.url] = Writer(self._pool, queue)
                self._recovered.add(journaled.url)

    @property
    def writers(self) -> list[Writer]:
        """The open writers."""
        writers = [*self._shared.values(), *self._separate]
        return [writer for writer in writers if writer is not None and not writer.closed]

    def writer(
        self,
        path: Path,
        options: WriterOptions,
        *,
        start: int | Callable[[], int] = 0,
        auth: Any = UNSET,
        callback: Callback | None = None,
        shared: bool = True,
        kind: type[Writer] = Writer,
    ) -> Writer:
        """Return a writer for a URL.

        Args:
            path: Path on the storage server, or a full URL.
            options: Limits and kind of the writer.
            start: Number of the first record; a function is called only if a writer is created. A shared writer that
                follows a closed one with the same ``start`` continues its numbers.
            auth: Credentials instead of the client's.
            callback: Called with the response to each batch, and with None for a batch that is not sent again.
            shared: Whether all callers get the same open writer of the URL.
            kind: Class of a new writer.

        Returns:
            The writer. A closed one whose records were refused remains the writer of its URL until they are taken back:
            another one would leave a gap.

        Raises:
            AssertionError: The uploader is closed.
            ValueError: The open writer of the URL began at another number.
            UploadError: A closed writer of the URL was still sending, and its records were refused.
        """
        url, in_url = split_credentials(self._full_url(path))
        # A fork while a worker imports it would leave the lock of the import to the child for ever.
        zlib_library()
        self._used = True
        own_auth = in_url if isinstance(auth, Unset) or auth is None else auth
        if isinstance(own_auth, (tuple, list)) and not isinstance(own_auth, Credentials):
            # A plain pair would be readable in a traceback that shows local variables.
            own_auth = Credentials(*own_auth)
        while True:
            if self.closed:
                raise AssertionError('Can not create new writers when closed')
            if not shared:
                first = start if isinstance(start, int) else start()
                queue = WriteQueue(url, options, start=first, auth=own_auth, callback=callback)
                self._pool.register(queue, shared=False)
                separate = kind(self._pool, queue)
                self._separate.add(separate)
                return separate
            before = self._shared.setdefault(url, None)
            if before is not None:
                if not before.closed or before.queue.failed:
                    return self._reuse(before, start, own_auth, callback)
                # What it still sends may be refused; then nothing is sent after the gap.
                before.flush()
            # May send a request.
            first = start if isinstance(start, int) else start()
            if before is not None and isinstance(start, int) and self._starts.get(url) == start:
                first = before.next_number
            queue = WriteQueue(url, options, start=first, auth=own_auth, callback=callback)
            writer = kind(self._pool, queue)
            asked = start if isinstance(start, int) else first
            self._pool.register(queue, shared=True)
            if self._shared[url] is before:  # otherwise another thread or a signal handler created one meanwhile
                self._starts[url] = asked
                self._shared[url] = writer
                return writer

    def _full_url(self, path: Path) -> str:
        return path if isinstance(path, str) and '://' in path else self._transport.url(path)

    def _reuse(self, writer: Writer, start: int | Callable[[], int], auth: Any, callback: Callback | None) -> Writer:
        if writer.closed:
            return writer
        url = writer.url
        if url in self._recovered:
            self._recovered.discard(url)
            self._starts[url] = start if isinstance(start, int) else writer.next_number
            writer.adopt(auth, callback)
        elif isinstance(start, int) and start not in (0, self._starts[url], writer.next_number):
            raise ValueError(
                f'the open writer for {writer} began at {self._starts[url]} and is at {writer.next_number}: '
                f'close it before starting at {start}'
            )
        return writer

    def flush(self, timeout: float | None = None, *, under: Path | None = None) -> None:
        """Wait until everything written so far is stored.

        Args:
            timeout: Maximum time to wait, in seconds. By default as long as writers send records again after failures.
            under: Path or URL: only records for it and for what is below it. By default those of all writers.

        Raises:
            UploadError: Records were refused, or the time is up; the error holds those of the first such writer, and
                ``others`` has the errors of the others.
        """
        base = '' if under is None else self._full_url(under)
        flushed = self._flush(timeout, base)
        self._raise_failures(None if flushed else not_stored(timeout), base)

    def _flush(self, timeout: float | None, base: str = '') -> bool:
        pool = self._pool
        pool.check_can_flush()
        with pool.lock:
            # A signal handler may create a writer meanwhile.
            queues = [queue for queue in list(pool.queues) if _is_under(queue.url, base)]
            for queue in queues:
                pool.flush(queue)
        return pool.wait_until_flushed(queues, timeout)

    def _raise_failures(self, reason: str | None, base: str = '') -> None:
        with self._pool.lock:
            errors = [
                upload_error(queue, None if queue.failed else reason)
                for queue in list(self._pool.queues)
                if _is_under(queue.url, base) and (queue.failed or (reason and queue.flush_to > queue.offset))
            ]
        if errors:
            first = errors[0]
            first.others = tuple(errors[1:])
            if first.others:
                first.hint = f'{first.hint}\n{len(first.others)} more writers failed, see `others`.'
            raise first from None

    def close(self, timeout: float | None = None) -> bool:
        """Take no more records, send those that are queued, and end the threads.

        Without a writer and a spool this does nothing, and writers can still be created.

        Args:
            timeout: Maximum time to wait, in seconds. By default as long as writers send records again after failures,
                but 10 seconds while Ctrl-C is handled; what is not stored then is reported, and not raised.

        Returns:
            Whether everything is stored. Other records can be taken back from their writers, or stay in the spool.

        Raises:
            UploadError: Records were refused; raised once, a second call returns False.
        """
        return self._close(timeout)

    def close_after_error(self) -> None:
        """Close at the end of a block that an exception ends: wait no longer than 30 seconds, 10 after Ctrl-C.

        That is the time for all nested blocks together. What is not stored is reported.
        """
        self._close(None, any_error=True)

    def _close(self, timeout: float | None, *, any_error: bool = False) -> bool:
        pool, clock = self._pool, self._transport.clock
        if pool.spool is None and not self._used:
            return True
        limit = seconds_while_handling(clock, any_error=any_error) if timeout is None else None
        if limit is not None:
            process_exit.limit_exit(pool, limit)
        seconds = limit if timeout is None else timeout
        deadline = None if seconds is None else clock.monotonic() + seconds
        self.closed = True
        for writer in self.writers:
            writer.close(block=False)
        flushed = self._flush(seconds)
        pool.stop(None if deadline is None else max(0.0, deadline - clock.monotonic()))
        with pool.lock:
            undelivered = {queue.shown_url: queue.undelivered for queue in list(pool.queues) if queue.undelivered}
        if undelivered and not self._failure_raised:
            self._failure_raised = True
            if limit is not None:
                # An error would take the place of the exception that is handled.
                process_exit.report(describe_losses(list(pool.queues), pool.spool and pool.spool.path))
                return False
            if flushed:
                self._raise_failures(None)
            for url, count in undelivered.items():
                logger.error('%d records for %s were not stored within %s seconds', count, url, timeout)
        return not undelivered


def _open_spool(path: str | os.PathLike[str], transport: Transport) -> Spool:
    # It loads SQLite, which few programs need.
    from scrapinghub.transport.uploads.spool import Spool

    return Spool(path, endpoint=transport.endpoints.storage)


def _is_under(url: str, base: str) -> bool:
    return not base or url == base or url.startswith(f'{base}/')


def split_credentials(url: str) -> tuple[str, Credentials | None]:
    """Split user and password from a URL, so that it can be shown, logged and stored.

    Args:
        url: A full URL.

    Returns:
        The URL without them, and the credentials; None if it has none.

    Raises:
        ValueError: The credentials are part of the query.
    """
    parts = urlsplit(url)
    if any(name.lower() in ('apikey', 'jobauth') for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise ValueError('credentials are given as `auth`: those in the query of a URL would be shown with it')
    user, at, host = parts.netloc.rpartition('@')
    if not at:
        return url, None
    name, _, password = user.partition(':')
    credentials = Credentials(unquote(name), unquote(password))
    return urlunsplit((parts.scheme, host, parts.path, parts.query, parts.fragment)), credentials
