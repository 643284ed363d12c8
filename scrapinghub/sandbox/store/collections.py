"""Collections in the store: named sets of records by key, of four types.

Functions over a connection. Cached types (``cs``, ``vcs``) forget a record a month after it was written; versioned ones
(``vs``, ``vcs``) keep the two copies before the present one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from scrapinghub.sandbox.server.formats import Page, Row
from scrapinghub.sandbox.store.database import Store
from scrapinghub.sandbox.store.reading import Window, fetch

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
CREATE TABLE IF NOT EXISTS collection_versions (
    id INTEGER PRIMARY KEY,
    collection INTEGER NOT NULL,
    key BLOB NOT NULL,
    ts INTEGER NOT NULL,
    expires INTEGER,
    data BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS collection_version_keys ON collection_versions (collection, key, id);
"""
#: The types, in the order of listings.
TYPES = ('s', 'vs', 'cs', 'vcs')
#: Versions kept of a record of a versioned type, the present one included.
VERSIONS = 3
MONTH_MS = 30 * 24 * 3600 * 1000
_FRESH = '(expires IS NULL OR expires > ?)'


def is_cached(kind: str) -> bool:
    """Tell whether records of this type expire."""
    return kind in ('cs', 'vcs')


def is_versioned(kind: str) -> bool:
    """Tell whether older copies of a record of this type are kept."""
    return kind in ('vs', 'vcs')


def find(connection: sqlite3.Connection, project: int, kind: str, name: str) -> int | None:
    """Return the id of a collection, a dropped one too; ``None`` when it was never used."""
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
    """Store records over those of the same keys, creating the collection. Call it inside a write transaction.

    Args:
        connection: A connection.
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
    expires = now + MONTH_MS if is_cached(kind) else None
    if is_cached(kind):
        for table in ('collection_records', 'collection_versions'):
            connection.execute(f'DELETE FROM {table} WHERE collection = ? AND expires <= ?', (collection, now))
    if is_versioned(kind):
        # One by one: a key may come twice in one post, and each copy is a version.
        for key, data in records:
            _keep_version(connection, collection, key)
            _store(connection, [(collection, key, now, expires, data)])
    else:
        _store(connection, [(collection, key, now, expires, data) for key, data in records])


def _store(connection: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> None:
    connection.executemany(
        'INSERT OR REPLACE INTO collection_records (collection, key, ts, expires, data) VALUES (?, ?, ?, ?, ?)', rows
    )


def _keep_version(connection: sqlite3.Connection, collection: int | None, key: bytes) -> None:
    connection.execute(
        'INSERT INTO collection_versions (collection, key, ts, expires, data) '
        'SELECT collection, key, ts, expires, data FROM collection_records WHERE collection = ? AND key = ?',
        (collection, key),
    )
    connection.execute(
        'DELETE FROM collection_versions WHERE collection = ? AND key = ? AND id NOT IN (SELECT id FROM '
        'collection_versions WHERE collection = ? AND key = ? ORDER BY id DESC LIMIT ?)',
        (collection, key, collection, key, VERSIONS - 1),
    )


def get(connection: sqlite3.Connection, collection: int, key: bytes, now: int) -> tuple[int, bytes] | None:
    """Return the time of storing and the packed form of one record, ``None`` when it is not there."""
    row: tuple[int, bytes] | None = connection.execute(
        f'SELECT ts, data FROM collection_records WHERE collection = ? AND key = ? AND {_FRESH}', (collection, key, now)
    ).fetchone()
    return row


def versions(connection: sqlite3.Connection, collection: int, key: bytes, now: int) -> list[tuple[int, bytes]]:
    """Return all kept copies of a record, the present one first."""
    present = get(connection, collection, key, now)
    older = connection.execute(
        f'SELECT ts, data FROM collection_versions WHERE collection = ? AND key = ? AND {_FRESH} ORDER BY id DESC',
        (collection, key, now),
    ).fetchall()
    return [] if present is None else [present, *older]


def delete(connection: sqlite3.Connection, collection: int, keys: Iterable[bytes]) -> None:
    """Remove records with all their versions; absent ones are fine. Call it inside a write transaction."""
    rows = [(collection, key) for key in keys]
    for table in ('collection_records', 'collection_versions'):
        connection.executemany(f'DELETE FROM {table} WHERE collection = ? AND key = ?', rows)


def drop(connection: sqlite3.Connection, project: int, name: str) -> None:
    """Remove the collections of every type of a name. Call it inside a write transaction."""
    named = 'SELECT id FROM collections WHERE project = ? AND name = ?'
    for table in ('collection_records', 'collection_versions'):
        connection.execute(f'DELETE FROM {table} WHERE collection IN ({named})', (project, name))
    connection.execute('UPDATE collections SET dropped = 1 WHERE project = ? AND name = ?', (project, name))


def is_used(connection: sqlite3.Connection, project: int, name: str) -> bool:
    """Tell whether a name has a collection of any type that is not dropped."""
    row = connection.execute(
        'SELECT 1 FROM collections WHERE project = ? AND name = ? AND NOT dropped LIMIT 1', (project, name)
    ).fetchone()
    return row is not None


def rename(connection: sqlite3.Connection, project: int, name: str, new_name: str) -> None:
    """Rename the collections of every type of a name to one that is not used. Call it inside a write transaction."""
    connection.execute('DELETE FROM collections WHERE project = ? AND name = ?', (project, new_name))
    connection.execute('UPDATE collections SET name = ? WHERE project = ? AND name = ?', (new_name, project, name))


@dataclass(frozen=True)
class Selection:
    """Which records of a collection are meant; the conditions are AND.

    Attributes:
        keys: Only these keys; ``None`` for any.
        prefixes: Only keys with one of these beginnings; none for any.
        per_prefix: At most so many records of each beginning.
        start: Only keys from this one on.
        after: Only keys after this one.
        window: Narrows times, and holds the filters.
    """

    keys: frozenset[bytes] | None = None
    prefixes: tuple[bytes, ...] = ()
    per_prefix: int | None = None
    start: bytes = b''
    after: bytes | None = None
    window: Window = field(default_factory=Window)

    @property
    def first(self) -> bytes:
        """The least key that may be meant."""
        # The next string in byte order is the same with a zero byte.
        return self.start if self.after is None else max(self.start, self.after + b'\0')


def pages(store: Store, collection: int, selection: Selection) -> Iterator[Page]:
    """Read the records selected in ascending order of their keys, before filters, offset and count.

    No transaction stays open between pages.
    """
    limit = _PrefixLimit(selection)
    if selection.keys is not None:
        for key in sorted(selection.keys):
            if key >= selection.first and _matches(key, selection.prefixes):
                times, bounds = selection.window.times()
                row = (
                    store.read()
                    .execute(
                        f'SELECT ts, data FROM collection_records WHERE collection = ? AND key = ? AND {_FRESH}{times}',
                        (collection, key, store.now(), *bounds),
                    )
                    .fetchone()
                )
                if row is not None:
                    yield limit.admitted([(key, *row)])
        return
    for prefix in _outermost(selection.prefixes):
        for page in _range(store, collection, selection, max(selection.first, prefix), _after_prefix(prefix)):
            yield limit.admitted(page)
            if limit.is_used_up(prefix):
                break


def _range(store: Store, collection: int, selection: Selection, first: bytes, end: bytes | None) -> Iterator[Page]:
    times, bounds = selection.window.times()
    above, upper = ('', []) if end is None else (' AND key < ?', [end])
    comparison = '>='
    while True:
        query = (
            f'SELECT key, ts, data FROM collection_records WHERE collection = ? AND key {comparison} ?{above} '
            f'AND {_FRESH}{times} ORDER BY key LIMIT ?'
        )
        page = fetch(
            store.read().execute(query, (collection, first, *upper, store.now(), *bounds, selection.window.page_rows))
        )
        if not page:
            return
        yield page
        first, comparison = page[-1][0], '>'


class _PrefixLimit:
    """Keep at most so many records of each prefix, counting those that the filters let pass."""

    def __init__(self, selection: Selection) -> None:
        self._window = selection.window
        self._left = None
        if selection.per_prefix is not None:
            self._left = dict.fromkeys(selection.prefixes or (b'',), selection.per_prefix)

    def admitted(self, page: Page) -> Page:
        if self._left is None:
            return page
        return [row for row in self._window.matching(page) if self._take(row)]

    def _take(self, row: Row) -> bool:
        left = self._left or {}
        open_ones = [prefix for prefix, room in left.items() if room and row[0].startswith(prefix)]
        for prefix in open_ones:
            left[prefix] -= 1
        return bool(open_ones)

    def is_used_up(self, outer: bytes) -> bool:
        """Tell whether nothing more can come of a prefix and those that extend it."""
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
