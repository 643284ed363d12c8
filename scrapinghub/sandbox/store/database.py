"""The store of the sandbox: one SQLite file in WAL mode, shared by all request threads.

Readers never block the writer and the writer never blocks readers, as long as no read transaction stays open: families
read in pages and fetch each page to its end.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

BUSY_SECONDS = 30.0


def now_ms() -> int:
    """Return the current time in milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


class Store:
    """A SQLite database with one connection for each thread that uses it.

    Safe to share between threads. A connection borrowed by a thread goes back to a pool when the thread calls
    :meth:`release`.

    Args:
        path: File to keep the data in; ``None`` takes a file in a temporary folder that is removed by :meth:`close`.
        clock: Source of the service's time, in milliseconds since the epoch.
        schemas: SQL scripts of ``CREATE ... IF NOT EXISTS`` statements, one for each family.
    """

    def __init__(
        self, path: str | None = None, *, clock: Callable[[], int] = now_ms, schemas: Iterable[str] = ()
    ) -> None:
        self._clock = clock
        self._folder = tempfile.mkdtemp(prefix='scrapinghub-sandbox-') if path is None else None
        self.path = str(path) if self._folder is None else str(Path(self._folder, 'sandbox.db'))
        self._local = threading.local()
        self._idle: list[sqlite3.Connection] = []
        self._all: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._writer: int | None = None
        self._closed = False
        try:
            # One transaction: thirty of them would cost more than all the rest of a start.
            self.read().executescript('BEGIN IMMEDIATE;\n' + '\n'.join(schemas) + '\nCOMMIT;')
        except sqlite3.Error:
            self.close()
            raise

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    def now(self) -> int:
        """Return the service's time in milliseconds since the epoch."""
        return self._clock()

    def read(self) -> sqlite3.Connection:
        """Return this thread's connection, in autocommit mode.

        Fetch every result to its end: a cursor left in the middle keeps a read transaction open.
        """
        connection: sqlite3.Connection | None = getattr(self._local, 'connection', None)
        if connection is None:
            connection = self._borrow()
            self._local.connection = connection
        return connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Hold the one write transaction: committed at the end of the block, rolled back on any exception.

        Raises:
            RuntimeError: This thread is already inside a write transaction.
        """
        thread = threading.get_ident()
        if self._writer == thread:
            raise RuntimeError('a write transaction is already open in this thread; pass its connection on instead')
        with self._writing:
            self._writer = thread
            try:
                connection = self.read()
                connection.execute('BEGIN IMMEDIATE')
                try:
                    yield connection
                except BaseException:
                    connection.execute('ROLLBACK')
                    raise
                connection.execute('COMMIT')
            finally:
                self._writer = None

    def release(self) -> None:
        """Give this thread's connection back to the pool."""
        connection: sqlite3.Connection | None = getattr(self._local, 'connection', None)
        if connection is None:
            return
        self._local.connection = None
        with self._guard:
            self._idle.append(connection)

    def reset(self) -> None:
        """Empty every table."""
        with self.write() as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (name,) in tables:
                connection.execute(f'DELETE FROM "{name}"')

    def close(self) -> None:
        """Close all connections, remove a temporary file. Further use raises :class:`sqlite3.ProgrammingError`.

        No other thread may be using the store.
        """
        with self._guard:
            self._closed = True
            connections, self._all, self._idle = self._all, [], []
        for connection in connections:
            connection.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _borrow(self) -> sqlite3.Connection:
        with self._guard:
            if self._closed:
                raise sqlite3.ProgrammingError('the store is closed')
            if self._idle:
                return self._idle.pop()
        # A connection serves one thread at a time, yet may pass from thread to thread through the pool.
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        with self._guard:
            self._all.append(connection)
        connection.execute('PRAGMA journal_mode = WAL')
        connection.execute('PRAGMA synchronous = OFF' if self._folder is not None else 'PRAGMA synchronous = NORMAL')
        connection.execute('PRAGMA temp_store = MEMORY')
        return connection
