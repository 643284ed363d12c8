"""The journal of an uploader: records that were written and are not stored yet, in a SQLite file.

A record that was added survives ``kill -9``: it has left the process. It need not survive a power cut, so nothing waits
for the disk. No credentials are ever written.
"""

from __future__ import annotations

import json
import os
import sqlite3
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scrapinghub.transport.http.paths import PORTS

VERSION = 1
_SCHEMA = (
    'CREATE TABLE writer (id INTEGER PRIMARY KEY, url TEXT NOT NULL, options TEXT NOT NULL, next INTEGER NOT NULL)',
    'CREATE TABLE record (writer INTEGER, number INTEGER, text TEXT, PRIMARY KEY (writer, number)) WITHOUT ROWID',
)
# Came later than the others: a file may be without it.
_OWNER = 'CREATE TABLE IF NOT EXISTS owner (endpoint TEXT NOT NULL)'

# Connections of the parent process: closing one after a fork would touch files that the parent uses.
_of_the_parent: list[sqlite3.Connection] = []


@dataclass(frozen=True)
class Journaled:
    """What the journal knows of one writer of an earlier process.

    Attributes:
        id: Number of the writer in the journal.
        url: Where its records go.
        options: As they were given to :meth:`Spool.add_writer`.
        start: Number of the first of ``texts``, and of the next record if there are none.
        texts: JSON texts of the records that were not stored, in order.
    """

    id: int
    url: str
    options: dict[str, Any]
    start: int
    texts: list[str]


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
        self._forked = False
        try:
            with self._errors():
                self._prepare(None if endpoint is None else _plain(endpoint))
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

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._errors():
            self._connection.execute('BEGIN')
            try:
                yield
            except BaseException:
                self._connection.execute('ROLLBACK')
                raise
            self._connection.execute('COMMIT')

    @property
    def usable(self) -> bool:
        """Whether the journal can be written: it is open, and belongs to this process."""
        return self._finalizer.alive and not self._forked

    def journaled(self) -> list[Journaled]:
        """Return the writers of an earlier process."""
        with self._errors():
            writers = self._connection.execute('SELECT id, url, options, next FROM writer ORDER BY id').fetchall()
            return [self._journaled(*row) for row in writers]

    def _journaled(self, writer: int, url: str, options: str, following: int) -> Journaled:
        rows = self._connection.execute(
            'SELECT number, text FROM record WHERE writer = ? ORDER BY number', (writer,)
        ).fetchall()
        return Journaled(writer, url, json.loads(options), rows[0][0] if rows else following, [row[1] for row in rows])

    def add_writer(self, url: str, options: dict[str, Any], start: int) -> int:
        """Add a writer.

        Args:
            url: Where its records go.
            options: What a later process needs to know to send them; no credentials.
            start: Number of its first record.

        Returns:
            Its number in the journal.
        """
        with self._errors():
            added = self._connection.execute(
                'INSERT INTO writer (url, options, next) VALUES (?, ?, ?)', (url, json.dumps(options), start)
            ).lastrowid
        assert added is not None
        return added

    def renumber(self, writer: int, start: int, texts: Sequence[str]) -> None:
        """Give the records of a writer numbers that follow one another.

        Args:
            writer: Its number in the journal.
            start: Number of its first record.
            texts: The JSON texts of all its records.
        """
        with self._transaction():
            self._connection.execute('DELETE FROM record WHERE writer = ?', (writer,))
            self._connection.executemany(
                'INSERT INTO record VALUES (?, ?, ?)', [(writer, start + n, text) for n, text in enumerate(texts)]
            )

    def add(self, writer: int, number: int, text: str) -> None:
        """Add a record; when this returns, it survives the process."""
        with self._errors():
            self._connection.execute('INSERT INTO record VALUES (?, ?, ?)', (writer, number, text))

    def stored(self, writer: int, first: int, after: int) -> None:
        """Drop the records from number ``first`` up to, not including, ``after``: they are stored."""
        with self._transaction():
            self._connection.execute(
                'DELETE FROM record WHERE writer = ? AND number >= ? AND number < ?', (writer, first, after)
            )
            self._connection.execute('UPDATE writer SET next = ? WHERE id = ?', (after, writer))

    def taken_back(self, writer: int, following: int) -> None:
        """Drop all records of a writer; its next one has the number ``following``."""
        with self._transaction():
            self._connection.execute('DELETE FROM record WHERE writer = ?', (writer,))
            self._connection.execute('UPDATE writer SET next = ? WHERE id = ?', (following, writer))

    def remove_writer(self, writer: int) -> None:
        """Drop a writer and all that it has."""
        with self._transaction():
            self._connection.execute('DELETE FROM record WHERE writer = ?', (writer,))
            self._connection.execute('DELETE FROM writer WHERE id = ?', (writer,))

    def close(self) -> None:
        """Release the file."""
        if not self._forked:
            self._finalizer()

    def disown(self) -> None:
        """Leave the file to the parent, after a fork: the child neither writes nor closes it."""
        self._finalizer.detach()
        self._forked = True
        _of_the_parent.append(self._connection)


def _plain(url: str) -> str:
    """Return a URL in the one of its spellings that is compared, without credentials."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition('@')[2].lower().removesuffix(f':{PORTS.get(parts.scheme)}')
    return f'{parts.scheme}://{host}{parts.path.rstrip("/")}'
