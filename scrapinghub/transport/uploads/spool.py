"""The journal of an uploader: records that were written and are not stored yet, in a SQLite file.

A record that was added survives ``kill -9``: it has left the process. It need not survive a power cut, so nothing waits
for the disk. No credentials are ever written.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from scrapinghub.transport.http.paths import PORTS

if TYPE_CHECKING:
    from scrapinghub.transport.uploads.queue import WriteQueue

logger = logging.getLogger(__name__)

VERSION = 1
_SCHEMA = (
    'CREATE TABLE writer (id INTEGER PRIMARY KEY, url TEXT NOT NULL, options TEXT NOT NULL, next INTEGER NOT NULL)',
    'CREATE TABLE record (writer INTEGER, number INTEGER, text TEXT, PRIMARY KEY (writer, number)) WITHOUT ROWID',
)
# Came later than the others: a file may be without it.
_OWNER = 'CREATE TABLE IF NOT EXISTS owner (endpoint TEXT NOT NULL)'

Statement = tuple[str, Sequence[Sequence[Any]]]

_INSERT_WRITER = 'INSERT OR REPLACE INTO writer (id, url, options, next) VALUES (?, ?, ?, ?)'
_SET_NEXT = 'UPDATE writer SET next = ? WHERE id = ?'
_DELETE_WRITER = 'DELETE FROM writer WHERE id = ?'
_INSERT = 'INSERT OR REPLACE INTO record VALUES (?, ?, ?)'
_DELETE = 'DELETE FROM record WHERE writer = ? AND number >= ? AND number < ?'
_DELETE_ALL = 'DELETE FROM record WHERE writer = ?'

# Connections of the parent process: closing one after a fork would touch files that the parent uses.
_of_the_parent: list[sqlite3.Connection] = []


@dataclass(frozen=True)
class JournaledWriter:
    """What the journal holds of one writer of an earlier process.

    Attributes:
        id: Number of the writer in the journal.
        url: Address of its records.
        options: Properties of the writer, and whether it is ``shared``.
        start: Number of the first record, or of the next one if there are none.
        texts: The records that were not stored, as JSON, in order.
    """

    id: int
    url: str
    options: dict[str, Any]
    start: int
    texts: list[str]


@dataclass
class _Marks:
    """What the journal is known to hold of a queue.

    Attributes:
        writer: Number of the writer in the journal.
        options: Properties of the writer, as JSON.
        registered: Whether the writer is in the journal.
        generation: ``generation`` of the queue; None if the records of the writer are to be replaced.
        first: Records before this number are removed, apart from refused ones.
        last: Records before this number are in the journal.
    """

    writer: int
    options: str
    registered: bool = False
    generation: int | None = None
    first: int = 0
    last: int = 0


class Spool:
    """The journal; one object, in one process, at a time may hold a file. Not safe to use from several threads at once.

    Args:
        path: The file, made if it does not exist; its folder must exist.
        endpoint: Base URL that its client writes to: a file is for one. None to leave that open.

    Raises:
        RuntimeError: Another process, or another client of this one, holds the file.
        ValueError: The file is something else, or was made for another endpoint.
        OSError: The file cannot be opened or written.
    """

    def __init__(self, path: str | os.PathLike[str], *, endpoint: str | None = None) -> None:
        self.path = Path(path)
        self._create()
        with self._errors():
            self._connection = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        self._finalizer = weakref.finalize(self, self._connection.close)
        # Programs may write at the exit, too; the end of the process closes the file.
        self._finalizer.atexit = False
        self._marks: dict[WriteQueue, _Marks] = {}
        self._epoch = 0
        self._forked = False
        try:
            with self._errors():
                self._prepare(None if endpoint is None else _plain(endpoint))
                [last] = self._connection.execute('SELECT coalesce(max(id), 0) FROM writer').fetchone()
                self._numbers = count(last + 1)
        except BaseException:
            self.close()
            raise

    def _create(self) -> None:
        # Records may be private: nobody else reads them. SQLite makes its further files with the same rights.
        # A file that exists is not opened here: closing it again would drop the locks that this process has on it.
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def _prepare(self, endpoint: str | None) -> None:
        execute = self._connection.execute
        # The lock is the operating system's: it ends with the process, however that ends.
        execute('PRAGMA locking_mode = EXCLUSIVE')
        execute('PRAGMA journal_mode = WAL')
        # A commit hands the record to the operating system; only a checkpoint waits for the disk.
        execute('PRAGMA synchronous = NORMAL')
        execute('BEGIN EXCLUSIVE')
        try:
            [version] = execute('PRAGMA user_version').fetchone()
            [tables] = execute('SELECT count(*) FROM sqlite_master').fetchone()
            if not version and not tables:
                for statement in _SCHEMA:
                    execute(statement)
                execute(f'PRAGMA user_version = {VERSION}')
            elif version != VERSION:
                raise ValueError(f'{self.path} is not a spool of this version of scrapinghub: use another file')
            if endpoint is not None:
                self._claim(endpoint)
        except BaseException:
            execute('ROLLBACK')
            raise
        execute('COMMIT')

    def _claim(self, endpoint: str) -> None:
        # What another service is owed, and this client's credentials, must not meet.
        execute = self._connection.execute
        execute(_OWNER)
        owner = execute('SELECT endpoint FROM owner').fetchone()
        if owner is None:
            urls = [_plain(url) for [url] in execute('SELECT url FROM writer')]
            # A file of before says by what it holds whose it is: with records for elsewhere it stays anybody's.
            if all(url.startswith(f'{endpoint}/') for url in urls):
                execute('INSERT INTO owner VALUES (?)', (endpoint,))
        elif owner[0] != endpoint:
            raise ValueError(
                f'the spool {self.path} was made for {owner[0]}, and this client writes to {endpoint}: open it with a '
                f'client of {owner[0]}, which sends what is left, and use another file here'
            )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if 'locked' in str(error):
                raise RuntimeError(
                    f'the spool {self.path} is in use: one client of one process at a time may hold it'
                ) from error
            raise OSError(f'the spool {self.path} cannot be used: {error}') from error
        except sqlite3.DatabaseError as error:
            raise ValueError(f'{self.path} is not a spool, or is damaged: {error}') from error

    @property
    def usable(self) -> bool:
        """Whether the journal can be written: it is open, and belongs to this process."""
        return self._finalizer.alive and not self._forked

    def recover(self) -> list[JournaledWriter]:
        """Return the writers of an earlier process."""
        with self._errors():
            writers = self._connection.execute('SELECT id, url, options, next FROM writer ORDER BY id').fetchall()
            return [self._journaled(*row) for row in writers]

    def _journaled(self, writer: int, url: str, options: str, following: int) -> JournaledWriter:
        rows = self._connection.execute(
            'SELECT number, text FROM record WHERE writer = ? ORDER BY number', (writer,)
        ).fetchall()
        start = rows[0][0] if rows else following
        return JournaledWriter(writer, url, json.loads(options), start, [row[1] for row in rows])

    def register(self, queue: WriteQueue, *, shared: bool, journaled: JournaledWriter | None = None) -> None:
        """Keep the records of a queue from now on.

        Args:
            queue: The queue.
            shared: Whether there is one writer for the URL.
            journaled: The writer of an earlier process that the queue continues, or None.

        Raises:
            OSError: The journal cannot be written.
        """
        options = json.dumps({**queue.options.as_dict(), 'shared': shared})
        if journaled is None:
            self._marks[queue] = _Marks(next(self._numbers), options)
        else:
            # Its records are written again: refused ones with keys leave gaps between the numbers.
            self._marks[queue] = _Marks(journaled.id, options, registered=True)
            self.synchronize(queue)

    def synchronize(self, queue: WriteQueue) -> None:
        """Bring the journal in line with a queue: when this returns, all its records survive the process.

        May be interrupted anywhere, also by a signal handler that calls it, and then repeated: it compares the queue
        with what the journal is known to hold.

        Args:
            queue: The queue.

        Raises:
            OSError: The journal cannot be written; nothing of it is changed then.
            RuntimeError: The journal is closed, or belongs to a parent process.
        """
        if not self.usable:
            raise RuntimeError(
                f'the spool {self.path} belongs to the process that opened it, and only until its client is closed: '
                'create a client with a spool of its own in each process'
            )
        marks = self._marks.get(queue)
        while marks is not None:
            self._epoch = epoch = self._epoch + 1
            statements, after = _changes(queue, marks)
            if not statements:
                return
            self._execute(statements, epoch)
            if self._epoch == epoch:
                marks.registered, marks.generation, marks.first, marks.last = after

    def forget(self, queue: WriteQueue, number: int) -> None:
        """Note that the records of a queue from a number on were withdrawn: others get their numbers."""
        marks = self._marks.get(queue)
        if marks is not None:
            marks.last = min(marks.last, number)

    @staticmethod
    def caused(error: Exception) -> bool:
        """Return whether an error is one of the journal, and not one that a signal handler raised meanwhile."""
        return isinstance(error.__cause__, sqlite3.Error)

    def remove_empty(self, queues: Iterable[WriteQueue], lock: threading.RLock) -> None:
        """Remove writers that get no more records, and whose records are all stored.

        It is no failure of the caller if the journal cannot be written: that is logged.

        Args:
            queues: The queues.
            lock: The lock of the pool.
        """
        try:
            with lock:
                for queue in queues:
                    marks = self._marks.get(queue)
                    if marks is not None and marks.registered and self.usable and not queue.undelivered:
                        self.remove(marks.writer)
                        self._marks.pop(queue, None)
        except OSError as error:
            logger.warning('the spool cannot be written, and may send stored records again: %s', error)

    def remove(self, writer: int) -> None:
        """Remove a writer of an earlier process."""
        self._epoch = epoch = self._epoch + 1
        self._execute([(_DELETE_ALL, [(writer,)]), (_DELETE_WRITER, [(writer,)])], epoch)

    def _execute(self, statements: list[Statement], epoch: int) -> None:
        """Execute statements in one transaction, unless a signal handler executes others meanwhile."""
        connection = self._connection
        try:
            with self._errors():
                if connection.in_transaction:
                    connection.execute('ROLLBACK')
                several = sum(len(rows) for _, rows in statements) > 1
                if several and self._epoch == epoch:
                    connection.execute('BEGIN')
                for sql, rows in statements:
                    if self._epoch == epoch:
                        connection.executemany(sql, rows)
                if connection.in_transaction and self._epoch == epoch:
                    connection.execute('COMMIT')
        except BaseException:
            if connection.in_transaction:
                connection.execute('ROLLBACK')
            raise

    def close(self) -> None:
        """Release the file."""
        if not self._forked:
            self._finalizer()

    def leave_to_parent(self) -> None:
        """Leave the file to the parent process, after a fork: the child neither writes nor closes it."""
        self._finalizer.detach()
        self._forked = True
        _of_the_parent.append(self._connection)


def _plain(url: str) -> str:
    """Return a URL in the one of its spellings that is compared, without credentials."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition('@')[2].lower().removesuffix(f':{PORTS.get(parts.scheme)}')
    return f'{parts.scheme}://{host}{parts.path.rstrip("/")}'


def _changes(queue: WriteQueue, marks: _Marks) -> tuple[list[Statement], tuple[bool, int, int, int]]:
    """Return the statements that bring the journal in line with a queue, and the marks after them."""
    writer = marks.writer
    generation, offset, end = queue.generation, queue.offset, queue.next_number
    first, last = max(marks.first, queue.start), max(marks.last, offset)
    statements: list[Statement] = []
    replaced = generation != marks.generation
    # A write that Ctrl-C interrupted can be sent and refused before it was journaled.
    refused = [(writer, *each) for each in list(queue.refused.items()) if replaced or each[0] >= marks.last]
    if not marks.registered:
        statements.append((_INSERT_WRITER, [(writer, queue.url, marks.options, offset)]))
    elif replaced:
        statements += [(_DELETE_ALL, [(writer,)]), (_SET_NEXT, [(offset, writer)])]
        last = offset
    elif first < offset:
        statements.append((_SET_NEXT, [(offset, writer)]))
        for number in sorted([*queue.refused, offset]):
            if first < number:
                statements.append((_DELETE, [(writer, first, number)]))
            first = max(first, number + 1)
    if refused:
        statements.append((_INSERT, refused))
    if last < end:
        records = queue.records
        # A signal handler that flushes may have had some of them sent and dropped meanwhile.
        present = [(writer, number, records[number]) for number in range(last, end) if number in records]
        statements.append((_INSERT, present))
    return statements, (True, generation, offset, max(last, end))
