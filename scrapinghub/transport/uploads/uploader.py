"""Batch writers of a client: one for each URL, or one of its own for who asks for that."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from scrapinghub.config.credentials import Credentials
from scrapinghub.exceptions import UploadError
from scrapinghub.transport.http.call import UNSET, Unset
from scrapinghub.transport.http.paths import Path
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.uploads.lane import Callback, WriterOptions
from scrapinghub.transport.uploads.workers import Engine
from scrapinghub.transport.uploads.writer import Writer

if TYPE_CHECKING:
    from scrapinghub.transport.uploads.spool import Spool

__all__ = ['Uploader', 'Writer', 'WriterOptions']

logger = logging.getLogger(__name__)


class Uploader:
    """The writers of one client.

    Args:
        transport: The way to the wire.
        spool: File that keeps records which are not stored, so that they survive ``kill -9``; None for none.
        max_outage: Seconds that an outage may last before its records are given up; None for 30 hours.

    Attributes:
        closed: Whether no more writers can be made.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        spool: str | os.PathLike[str] | None = None,
        max_outage: float | None = None,
    ) -> None:
        if max_outage is not None and (isinstance(max_outage, bool) or max_outage < 0):
            raise ValueError(f'max_outage should be a number of seconds of at least 0, got {max_outage!r}')
        self.closed = False
        self._transport = transport
        self._told = False
        opened = None if spool is None else _open_spool(spool, transport)
        self._engine = Engine(transport, spool=opened, max_outage=max_outage)
        self._shared: dict[str, Writer] = {}
        # What each URL was asked to begin at, for writers that follow a closed one.
        self._starts: dict[str, int] = {}
        self._own: weakref.WeakSet[Writer] = weakref.WeakSet()
        # Writers that an earlier process left, and nobody has asked for yet.
        self._recovered: set[str] = set()
        with self._engine.lock:
            self._recover()
        self._finalizer = weakref.finalize(self, self._engine.abandon)
        self._finalizer.atexit = False

    def __repr__(self) -> str:
        return f'<Uploader with {len(self.writers)} open writers>'

    def _recover(self) -> None:
        spool = self._engine.spool
        for journaled in spool.journaled() if spool is not None else ():
            options = dict(journaled.options)
            shared = options.pop('shared')
            assert spool is not None
            if not journaled.texts and not shared:
                spool.remove_writer(journaled.id)
                continue
            lane = self._engine.make_lane(
                journaled.url,
                WriterOptions(**options),
                start=journaled.start,
                shared=shared,
                journaled=journaled,
            )
            if shared:
                self._shared[journaled.url] = Writer(self._engine, lane, self)
                self._recovered.add(journaled.url)

    @property
    def writers(self) -> list[Writer]:
        """The open writers."""
        return [writer for writer in (*self._shared.values(), *self._own) if not writer.closed]

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
            start: Number of the first record; a function is called only if a writer is made. A shared writer that
                follows a closed one with the same ``start`` goes on with its numbers.
            auth: Credentials instead of the client's own.
            callback: Called with the answer to each batch, and with None for one that is given up.
            shared: Whether there is one open writer for the URL, which is returned again and again.
            kind: Class of a new writer.

        Returns:
            The writer. A closed one whose records were refused remains the writer of its URL until they are taken back:
            another one would write over the gap.

        Raises:
            AssertionError: The uploader is closed.
            ValueError: The open writer of the URL began at another number.
            UploadError: A closed writer of the URL was still sending, and its records were refused.
        """
        url, in_url = split_credentials(self._full_url(path))
        own_auth = in_url if isinstance(auth, Unset) or auth is None else auth
        while True:
            self._check_open()
            if shared:
                with self._engine.lock:
                    found = self._open_writer(url, start, own_auth, callback)
                if found is not None:
                    return found
                self._wait_for_closed_writer(url)
            # Outside of the lock: it may ask the server.
            first = start if isinstance(start, int) else start()
            with self._engine.lock:
                self._check_open()
                if shared and self._has_open_writer(url):
                    continue
                before = self._shared.get(url) if shared else None
                if before is not None and isinstance(start, int) and self._starts.get(url) == start:
                    first = before.next_number
                lane = self._engine.make_lane(
                    url, options, start=first, auth=own_auth, callback=callback, shared=shared
                )
                made = kind(self._engine, lane, self)
                if shared:
                    self._shared[url] = made
                    self._starts[url] = start if isinstance(start, int) else first
                else:
                    self._own.add(made)
                return made

    def _full_url(self, path: Path) -> str:
        return path if isinstance(path, str) and '://' in path else self._transport.url(path)

    def _check_open(self) -> None:
        if self.closed:
            raise AssertionError('Can not create new writers when closed')

    def _has_open_writer(self, url: str) -> bool:
        return url in self._shared and (not self._shared[url].closed or self._shared[url].failed)

    def _wait_for_closed_writer(self, url: str) -> None:
        before = self._shared.get(url)
        if before is not None and not before.itemsq.empty():
            # What it still sends may be refused, and then nothing goes over the gap.
            before.flush()

    def _open_writer(self, url: str, start: int | Callable[[], int], auth: Any, callback: Any) -> Writer | None:
        if not self._has_open_writer(url):
            return None
        writer = self._shared[url]
        if writer.closed:
            return writer
        if url in self._recovered:
            self._recovered.remove(url)
            self._starts[url] = start if isinstance(start, int) else writer.next_number
            writer.adopt(auth, callback)
        elif isinstance(start, int) and start not in (0, self._starts[url], writer.next_number):
            raise ValueError(
                f'the open writer for {writer} began at {self._starts[url]} and has come to {writer.next_number}: '
                f'close it before starting at {start}'
            )
        return writer

    def flush(self, timeout: float | None = None) -> None:
        """Wait until everything written so far, by all writers, is stored.

        Args:
            timeout: Seconds to wait; None to wait as long as an outage may last.

        Raises:
            UploadError: Records were refused, or the time is over; the error holds those of the first such writer, and
                ``others`` has the errors of the rest.
        """
        settled = self._settle(timeout)
        self._raise_failures(None if settled else f'not stored within {timeout} seconds')

    def _settle(self, timeout: float | None) -> bool:
        engine = self._engine
        with engine.lock:
            lanes = list(engine.lanes)
            for lane in lanes:
                lane.flush_to = lane.buffer.next_number
                if lane.sendable:
                    engine.notice(lane)
        return engine.wait_until_settled(lanes, timeout)

    def _raise_failures(self, why: str | None) -> None:
        with self._engine.lock:
            failed = [lane for lane in self._engine.lanes if lane.failed or (why and lane.unflushed)]
            errors: list[UploadError] = []
            for lane in failed:
                error = lane.error(None if lane.failed else why)
                error.__cause__ = lane.cause
                errors.append(error)
        if errors:
            first = errors[0]
            first.others = tuple(errors[1:])
            if first.others:
                first.hint = f'{first.hint}\nThere are {len(first.others)} more such writers, see `others`.'
            raise first

    def close(self, timeout: float | None = None) -> bool:
        """Take no more records, send what there is, and end the threads.

        Args:
            timeout: Seconds to wait; None to wait as long as an outage may last.

        Returns:
            Whether everything is stored. What is not can be taken back from its writer, or stays in the spool.

        Raises:
            UploadError: Records were refused; raised once, a second call returns False.
        """
        engine = self._engine
        deadline = None if timeout is None else self._transport.clock.monotonic() + timeout
        self.closed = True
        with engine.lock:
            for writer in self.writers:
                writer.close(block=False)
            engine.hurry()
        settled = self._settle(timeout)
        engine.stop(None if deadline is None else max(0.0, deadline - self._transport.clock.monotonic()))
        with engine.lock:
            undelivered = {lane.shown_url: lane.undelivered for lane in engine.lanes if lane.undelivered}
        if undelivered and not self._told:
            self._told = True
            if settled:
                self._raise_failures(None)
            for url, count in undelivered.items():
                logger.error('%d records for %s were not stored within %s seconds', count, url, timeout)
        return not undelivered


def _open_spool(path: str | os.PathLike[str], transport: Transport) -> Spool:
    # It loads SQLite, which few programs need.
    from scrapinghub.transport.uploads.spool import Spool

    return Spool(path, endpoint=transport.endpoints.storage)


def split_credentials(url: str) -> tuple[str, Credentials | None]:
    """Take user and password out of a URL, so that it can be shown, logged and written down.

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
