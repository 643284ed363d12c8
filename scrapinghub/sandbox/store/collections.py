"""Collections in the store: named sets of records by key, of four types.

Functions over a connection; writers must run inside a write transaction. Records of cached types (``cs``, ``vcs``)
expire a month after they were written. Of versioned types (``vs``, ``vcs``) only the latest copy is stored, because no
route returns an earlier one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from scrapinghub.sandbox.store.database import Store
from scrapinghub.sandbox.store.reading import Page, ReadOptions, Row, fetch

SCHEMA = """
CREATE TABLE IF NOT EXISTS collections (
    id INTEGER PRIMARY KEY,
    project INTEGER NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    dropped INTEGER NOT NULL DEFAULT 0,
    UNIQUE (project, name, type)
);
CREATE TABLE IF NOT EXISTS collection_records (
    collection INTEGER NOT NULL,
    key BLOB NOT NULL,
    ts INTEGER NOT NULL,
    expires INTEGER,
    data BLOB NOT NULL,
    PRIMARY KEY (collection, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS collection_expiry ON collection_records (collection, expires) WHERE expires IS NOT NULL;
"""
#: The types, in the order of listings.
TYPES = ('s', 'vs', 'cs', 'vcs')
MONTH_MS = 30 * 24 * 3600 * 1000
_FRESH = '(expires IS NULL OR expires > ?)'


def is_cached(kind: str) -> bool:
    """Return whether records of this type expire."""
    return kind in ('cs', 'vcs')


def find(connection: sqlite3.Connection, project: int, kind: str, name: str) -> int | None:
    """Return the id of a collection, also of a dropped one; ``None`` when it was never used."""
    row = connection.execute(
        'SELECT id FROM collections WHERE project = ? AND name = ? AND type = ?', (project, name, kind)
    ).fetchone()
    return None if row is None else int(row[0])


def listing(connection: sqlite3.Connection, project: int) -> list[tuple[str, str]]:
    """Return type and name of each collection, by name, then in the order of :data:`TYPES`."""
    rows = connection.execute(
        'SELECT type, name FROM collections WHERE project = ? AND NOT dropped', (project,)
    ).fetchall()
    return sorted(rows, key=lambda row: (row[1].encode(), TYPES.index(row[0])))


def write(
    connection: sqlite3.Connection,
    project: int,
    kind: str,
    name: str,
    records: Sequence[tuple[bytes, bytes]],
    now: int,
) -> None:
    """Store records, in place of those with the same keys, and create the collection.

    Args:
        connection: A connection inside a write transaction.
        project: The project's id.
        kind: The collection's type.
        name: The collection's name.
        records: Key and packed record.
        now: The service's time.
    """
    if not records:
        return
    connection.execute(
        'INSERT INTO collections (project, name, type) VALUES (?, ?, ?) '
        'ON CONFLICT (project, name, type) DO UPDATE SET dropped = 0',
        (project, name, kind),
    )
    collection = find(connection, project, kind, name)
    expires = None
    if is_cached(kind):
        expires = now + MONTH_MS
        connection.execute('DELETE FROM collection_records WHERE collection = ? AND expires <= ?', (collection, now))
    connection.executemany(
        'INSERT OR REPLACE INTO collection_records (collection, key, ts, expires, data) VALUES (?, ?, ?, ?, ?)',
        [(collection, key, now, expires, data) for key, data in records],
    )


def get(connection: sqlite3.Connection, collection: int, key: bytes, now: int) -> tuple[int, bytes] | None:
    """Return the time of storing and the packed form of one record, ``None`` when it is not there."""
    row: tuple[int, bytes] | None = connection.execute(
        f'SELECT ts, data FROM collection_records WHERE collection = ? AND key = ? AND {_FRESH}', (collection, key, now)
    ).fetchone()
    return row


def delete(connection: sqlite3.Connection, collection: int, keys: Iterable[bytes]) -> None:
    """Delete the records with these keys, where they exist."""
    connection.executemany(
        'DELETE FROM collection_records WHERE collection = ? AND key = ?', [(collection, key) for key in keys]
    )


def drop(connection: sqlite3.Connection, project: int, name: str) -> None:
    """Delete the collections of every type of a name."""
    named = 'SELECT id FROM collections WHERE project = ? AND name = ?'
    connection.execute(f'DELETE FROM collection_records WHERE collection IN ({named})', (project, name))
    connection.execute('UPDATE collections SET dropped = 1 WHERE project = ? AND name = ?', (project, name))


def is_used(connection: sqlite3.Connection, project: int, name: str) -> bool:
    """Return whether a name has a collection of any type that is not dropped."""
    row = connection.execute(
        'SELECT 1 FROM collections WHERE project = ? AND name = ? AND NOT dropped LIMIT 1', (project, name)
    ).fetchone()
    return row is not None


def rename(connection: sqlite3.Connection, project: int, name: str, new_name: str) -> None:
    """Rename the collections of every type of a name to a name that is not used."""
    connection.execute('DELETE FROM collections WHERE project = ? AND name = ?', (project, new_name))
    connection.execute('UPDATE collections SET name = ? WHERE project = ? AND name = ?', (new_name, project, name))


@dataclass(frozen=True)
class Selection:
    """Which records of a collection to read; all conditions must match.

    Attributes:
        keys: Only these keys; ``None`` for any.
        prefixes: Only keys with one of these prefixes; empty for any.
        per_prefix: At most this many records of each prefix.
        start: Only this key and later ones.
        after: Only keys after this one.
        options: Times, filters and size of pages.
    """

    keys: frozenset[bytes] | None = None
    prefixes: tuple[bytes, ...] = ()
    per_prefix: int | None = None
    start: bytes = b''
    after: bytes | None = None
    options: ReadOptions = field(default_factory=ReadOptions)

    @property
    def first(self) -> bytes:
        """The smallest key that can match."""
        # The next string in byte order is the same with a zero byte.
        return self.start if self.after is None else max(self.start, self.after + b'\0')


def pages(store: Store, collection: int, selection: Selection) -> Iterator[Page]:
    """Read the selected records in ascending order of their keys, before filters, offset and count.

    No transaction stays open between pages.
    """
    limiter = _PrefixLimit(selection)
    if selection.keys is not None:
        for key in sorted(selection.keys):
            if key >= selection.first and _matches(key, selection.prefixes):
                times, bounds = selection.options.times()
                row = (
                    store.read()
                    .execute(
                        f'SELECT ts, data FROM collection_records WHERE collection = ? AND key = ? AND {_FRESH}{times}',
                        (collection, key, store.now(), *bounds),
                    )
                    .fetchone()
                )
                if row is not None:
                    yield limiter.limit([(key, *row)])
        return
    for prefix in _outermost(selection.prefixes):
        for page in _range(store, collection, selection, max(selection.first, prefix), _after_prefix(prefix)):
            yield limiter.limit(page)
            if limiter.is_exhausted(prefix):
                break


def _range(store: Store, collection: int, selection: Selection, first: bytes, end: bytes | None) -> Iterator[Page]:
    times, bounds = selection.options.times()
    above, upper = ('', []) if end is None else (' AND key < ?', [end])
    comparison = '>='
    while True:
        query = (
            f'SELECT key, ts, data FROM collection_records WHERE collection = ? AND key {comparison} ?{above} '
            f'AND {_FRESH}{times} ORDER BY key LIMIT ?'
        )
        page = fetch(
            store.read().execute(query, (collection, first, *upper, store.now(), *bounds, selection.options.page_rows))
        )
        if not page:
            return
        yield page
        first, comparison = page[-1][0], '>'


class _PrefixLimit:
    """Keep a number of records of each prefix, counting those that match the filters."""

    def __init__(self, selection: Selection) -> None:
        self._window = selection.options
        self._left = None
        if selection.per_prefix is not None:
            self._left = dict.fromkeys(selection.prefixes or (b'',), selection.per_prefix)

    def limit(self, page: Page) -> Page:
        if self._left is None:
            return page
        return [row for row in self._window.matching(page) if self._take(row)]

    def _take(self, row: Row) -> bool:
        left = self._left or {}
        open_ones = [prefix for prefix, room in left.items() if room and row[0].startswith(prefix)]
        for prefix in open_ones:
            left[prefix] -= 1
        return bool(open_ones)

    def is_exhausted(self, outer: bytes) -> bool:
        """Return whether no more records of a prefix and its extensions are wanted."""
        return self._left is not None and not any(
            room for prefix, room in self._left.items() if prefix.startswith(outer)
        )


def _matches(key: bytes, prefixes: tuple[bytes, ...]) -> bool:
    return not prefixes or key.startswith(prefixes)


def _outermost(prefixes: tuple[bytes, ...]) -> list[bytes]:
    """Leave out prefixes that extend another one, so that their ranges of keys do not overlap."""
    kept: list[bytes] = []
    for prefix in sorted(prefixes or (b'',)):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return kept


def _after_prefix(prefix: bytes) -> bytes | None:
    """Return the least key that is greater than all keys with a prefix, ``None`` when there is none."""
    stripped = prefix.rstrip(b'\xff')
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else None
