"""Job data in the store: items, log lines, requests and samples, numbered from 0 in each job.

Functions over a connection. The row id of a record combines the id of its stream and its number in one integer, so
that a stream is stored contiguously and read in order.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from scrapinghub.sandbox.store.database import Store
from scrapinghub.sandbox.store.packing import unpack
from scrapinghub.sandbox.store.reading import Page, ReadOptions, fetch
from scrapinghub.sandbox.store.record_kinds import Kind

SCHEMA = """
CREATE TABLE IF NOT EXISTS streams (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    project INTEGER NOT NULL,
    spider INTEGER NOT NULL,
    job INTEGER NOT NULL,
    records INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    UNIQUE (project, spider, job, kind)
);
CREATE TABLE IF NOT EXISTS records (id INTEGER PRIMARY KEY, ts INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS record_fields (
    stream INTEGER NOT NULL,
    name TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (stream, name)
) WITHOUT ROWID;
"""
#: Numbers of records are below this.
NUMBERS = 2**32
#: Log lines from this level on are errors.
ERROR_LEVEL = 40

JobId = tuple[int, int, int]


@dataclass(frozen=True)
class Position:
    """The first record of a read: a job of the project and a number in it."""

    spider: int
    job: int
    number: int


START = Position(0, 0, 0)


def write(
    connection: sqlite3.Connection, kind: Kind, job: JobId, start: int, records: Sequence[tuple[Any, bytes]], now: int
) -> None:
    """Store records under the numbers from ``start`` on, over any that are there. Call it inside a write transaction.

    Args:
        connection: A connection.
        kind: What they are.
        job: The job's project, spider and number.
        start: Number of the first one.
        records: Each record, and its packed form.
        now: The service's time.

    Raises:
        ValueError: The numbers are too large to be stored.
    """
    if start + len(records) > NUMBERS:
        raise ValueError(f'record numbers must be below {NUMBERS}')
    if not records:
        return
    connection.execute(
        'INSERT OR IGNORE INTO streams (project, spider, job, kind) VALUES (?, ?, ?, ?)', (*job, kind.name)
    )
    row = connection.execute(
        'SELECT id FROM streams WHERE project = ? AND spider = ? AND job = ? AND kind = ?', (*job, kind.name)
    ).fetchone()
    stream: int = row[0]
    first = stream * NUMBERS + start
    replaced = connection.execute(
        'SELECT data FROM records WHERE id >= ? AND id < ?', (first, first + len(records))
    ).fetchall()
    connection.executemany(
        'INSERT OR REPLACE INTO records (id, ts, data) VALUES (?, ?, ?)',
        [(first + place, now, packed) for place, (_, packed) in enumerate(records)],
    )
    counts: Counter[str] = Counter()
    size = 0
    for record, packed in records:
        size += kind.size(record, packed)
        if kind.fields is not None:
            counts.update(kind.fields(record))
    for (packed,) in replaced:
        record = unpack(packed)
        size -= kind.size(record, packed)
        if kind.fields is not None:
            counts.subtract(kind.fields(record))
    connection.execute(
        'UPDATE streams SET records = records + ?, bytes = bytes + ? WHERE id = ?',
        (len(records) - len(replaced), size, stream),
    )
    connection.executemany(
        'INSERT INTO record_fields (stream, name, count) VALUES (?, ?, ?) '
        'ON CONFLICT (stream, name) DO UPDATE SET count = count + excluded.count',
        [(stream, name, count) for name, count in counts.items() if count],
    )


def purge(connection: sqlite3.Connection, job: JobId) -> None:
    """Remove all data of a job. Call it inside a write transaction."""
    streams = connection.execute('SELECT id FROM streams WHERE project = ? AND spider = ? AND job = ?', job).fetchall()
    for (stream,) in streams:
        low = stream * NUMBERS
        connection.execute('DELETE FROM records WHERE id >= ? AND id < ?', (low, low + NUMBERS))
        connection.execute('DELETE FROM record_fields WHERE stream = ?', (stream,))
        connection.execute('DELETE FROM streams WHERE id = ?', (stream,))


def counters(connection: sqlite3.Connection, key: str) -> dict[str, int]:
    """Count a job's data for listings of jobs: ``items``, ``logs``, ``pages``, ``errors``, those that are not zero."""
    job = tuple(int(part) for part in key.split('/'))
    totals = dict(
        connection.execute(
            'SELECT kind, records FROM streams WHERE project = ? AND spider = ? AND job = ?', job
        ).fetchall()
    )
    found = {'items': totals.get('items', 0), 'logs': totals.get('logs', 0), 'pages': totals.get('requests', 0)}
    if found['logs']:
        (found['errors'],) = connection.execute(
            'SELECT COALESCE(SUM(f.count), 0) FROM streams s JOIN record_fields f ON f.stream = s.id '
            "WHERE s.project = ? AND s.spider = ? AND s.job = ? AND s.kind = 'logs' AND CAST(f.name AS INTEGER) >= ?",
            (*job, ERROR_LEVEL),
        ).fetchone()
    return {name: count for name, count in found.items() if count}


def stats(connection: sqlite3.Connection, kind: Kind, job: JobId, *, hidden: bool) -> dict[str, Any]:
    """Return the statistics of one kind of a job's data.

    Args:
        connection: A connection.
        kind: Which data.
        job: The job's project, spider and number.
        hidden: Whether fields are listed whose names begin with an underscore.
    """
    row = connection.execute(
        'SELECT id, records, bytes FROM streams WHERE project = ? AND spider = ? AND job = ? AND kind = ?',
        (*job, kind.name),
    ).fetchone()
    stream, records, size = row if row is not None else (0, 0, 0)
    counts = connection.execute(
        'SELECT name, count FROM record_fields WHERE stream = ? AND count > 0 ORDER BY name', (stream,)
    ).fetchall()
    return {
        'counts': {name: count for name, count in counts if hidden or not name.startswith('_')},
        'totals': {'input_bytes': size, 'input_values': records},
    }


def get(connection: sqlite3.Connection, kind: Kind, job: JobId, number: int) -> tuple[int, bytes] | None:
    """Return the time of storing and the packed form of one record, ``None`` when it is not there."""
    if number >= NUMBERS:
        return None
    row: tuple[int, bytes] | None = connection.execute(
        'SELECT r.ts, r.data FROM streams s JOIN records r ON r.id = s.id * ? + ? '
        'WHERE s.project = ? AND s.spider = ? AND s.job = ? AND s.kind = ?',
        (NUMBERS, number, *job, kind.name),
    ).fetchone()
    return row


def pages(
    store: Store,
    kind: Kind,
    scope: tuple[int, int | None, int | None],
    options: ReadOptions,
    *,
    start: Position = START,
    numbers: Sequence[int] = (),
) -> Iterator[Page]:
    """Read the records of a project, a spider or a job in ascending order of their keys.

    No transaction stays open between pages; records that are written meanwhile at later positions are returned.

    Args:
        store: The data.
        kind: Which data.
        scope: Project, spider and job; ``None`` for all.
        options: Narrows the times and the size of pages.
        start: The first record.
        numbers: Only records with these numbers.
    """
    for stream, spider, job in _streams(store, kind, scope, start):
        first = start.number if (spider, job) == (start.spider, start.job) else 0
        prefix = b'%d/%d/%d/' % (scope[0], spider, job)
        yield from _stream_pages(store, stream, prefix, first, options, sorted(set(numbers)))


def _streams(
    store: Store, kind: Kind, scope: tuple[int, int | None, int | None], start: Position
) -> Iterator[tuple[int, int, int]]:
    """Find the streams of a scope, one query for each, as jobs may appear meanwhile."""
    project, spider, job = scope
    only, values = '', []
    for column, value in (('spider', spider), ('job', job)):
        if value is not None:
            only += f' AND {column} = ?'
            values.append(value)
    at: tuple[int, int] = (start.spider, start.job)
    comparison = '>='
    while True:
        row = (
            store.read()
            .execute(
                'SELECT id, spider, job FROM streams '
                f'WHERE project = ? AND (spider, job) {comparison} (?, ?) AND kind = ?{only} '
                'ORDER BY spider, job LIMIT 1',
                (project, *at, kind.name, *values),
            )
            .fetchone()
        )
        if row is None:
            return
        yield row
        at, comparison = (row[1], row[2]), '>'


def _stream_pages(
    store: Store, stream: int, prefix: bytes, first: int, options: ReadOptions, numbers: list[int]
) -> Iterator[Page]:
    base = stream * NUMBERS
    times, bounds = options.times()
    if numbers:
        for number in numbers:
            if first <= number < NUMBERS:
                row = (
                    store.read()
                    .execute(f'SELECT ts, data FROM records WHERE id = ?{times}', (base + number, *bounds))
                    .fetchone()
                )
                if row is not None:
                    yield [(b'%b%d' % (prefix, number), *row)]
        return
    query = f'SELECT id - {base}, ts, data FROM records WHERE id >= ? AND id < ?{times} ORDER BY id LIMIT ?'
    while first < NUMBERS:
        rows = fetch(store.read().execute(query, (base + first, base + NUMBERS, *bounds, options.page_rows)))
        if not rows:
            return
        first = rows[-1][0] + 1
        yield [(b'%b%d' % (prefix, number), ts, data) for number, ts, data in rows]
