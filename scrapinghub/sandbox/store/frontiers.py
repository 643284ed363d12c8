"""Frontiers in the store: slots with a queue of request batches and the fingerprints ever seen.

Functions over a connection; those that write must run inside a write transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from scrapinghub.sandbox.store.database import Store
from scrapinghub.sandbox.store.packing import pack, unpack
from scrapinghub.sandbox.store.reading import Page, ReadOptions, fetch

SCHEMA = """
CREATE TABLE IF NOT EXISTS slots (
    id INTEGER PRIMARY KEY,
    project INTEGER NOT NULL,
    frontier TEXT NOT NULL,
    slot TEXT NOT NULL,
    last_post INTEGER NOT NULL DEFAULT 0,
    UNIQUE (project, frontier, slot)
);
CREATE TABLE IF NOT EXISTS fingerprints (
    slot INTEGER NOT NULL,
    fp BLOB NOT NULL,
    ts INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (slot, fp)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (
    slot INTEGER NOT NULL,
    id TEXT NOT NULL,
    requests INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (slot, id)
) WITHOUT ROWID;
"""
#: Maximum number of requests in a batch.
BATCH = 100
#: Batches of one post and priority that share the first part of their ids: one without a suffix, then 00 to 99.
FAMILY = 101
#: Bits of the counter below the time in the first part of a batch id.
COUNTER_BITS = 20
PRIORITIES = range(256)


@dataclass(frozen=True)
class Request:
    """One request to queue.

    Attributes:
        fp: Its fingerprint, encoded.
        qdata: Data that are stored with it in the queue.
        fdata: Data that are stored with its fingerprint.
        priority: Requests with lower values are returned first.
    """

    fp: bytes
    qdata: Any = None
    fdata: Any = None
    priority: int = 0


def frontiers(connection: sqlite3.Connection, project: int) -> list[str]:
    """Return the names of the frontiers that have slots, sorted."""
    rows = connection.execute(
        'SELECT DISTINCT frontier FROM slots WHERE project = ? ORDER BY frontier', (project,)
    ).fetchall()
    return [name for (name,) in rows]


def slots(connection: sqlite3.Connection, project: int, frontier: str) -> list[str]:
    """Return the names of a frontier's slots, sorted."""
    rows = connection.execute(
        'SELECT slot FROM slots WHERE project = ? AND frontier = ? ORDER BY slot', (project, frontier)
    ).fetchall()
    return [name for (name,) in rows]


def find(connection: sqlite3.Connection, project: int, frontier: str, slot: str) -> int | None:
    """Return the id of a slot, ``None`` when there is none."""
    row = connection.execute(
        'SELECT id FROM slots WHERE project = ? AND frontier = ? AND slot = ?', (project, frontier, slot)
    ).fetchone()
    return None if row is None else int(row[0])


def add(
    connection: sqlite3.Connection, project: int, frontier: str, slot: str, requests: Sequence[Request], now: int
) -> int:
    """Queue the requests whose fingerprints the slot has not seen, in new batches; return how many these are."""
    if not requests:
        return 0
    connection.execute(
        'INSERT OR IGNORE INTO slots (project, frontier, slot) VALUES (?, ?, ?)', (project, frontier, slot)
    )
    number, last = connection.execute(
        'SELECT id, last_post FROM slots WHERE project = ? AND frontier = ? AND slot = ?', (project, frontier, slot)
    ).fetchone()
    by_priority: dict[int, list[Request]] = {}
    count = 0
    for request in requests:
        inserted = connection.execute(
            'INSERT OR IGNORE INTO fingerprints (slot, fp, ts, data) VALUES (?, ?, ?, ?)',
            (number, request.fp, now, pack(request.fdata)),
        ).rowcount
        if inserted:
            count += 1
            by_priority.setdefault(request.priority, []).append(request)
    # Ids grow with time, and also when two posts meet in one millisecond or the clock is set back.
    stamp = max(now << COUNTER_BITS, last)
    for priority, group in sorted(by_priority.items()):
        for place, start in enumerate(range(0, len(group), BATCH)):
            if place % FAMILY == 0:
                stamp += 1
            suffix = f'{place % FAMILY - 1:02d}' if place % FAMILY else ''
            batch = group[start : start + BATCH]
            connection.execute(
                'INSERT INTO batches (slot, id, requests, data) VALUES (?, ?, ?, ?)',
                (
                    number,
                    f'{priority:02x}{stamp:016x}{suffix}',
                    len(batch),
                    pack([[request.fp.decode(), request.qdata] for request in batch]),
                ),
            )
    connection.execute('UPDATE slots SET last_post = ? WHERE id = ?', (stamp, number))
    return count


def batches(store: Store, slot: int, options: ReadOptions, mincount: int | None) -> Iterator[Page]:
    """Read the queue in the order of batch ids, until at least ``mincount`` requests are there."""
    after = ''
    queued = 0
    while mincount is None or queued < mincount:
        rows = fetch(
            store.read().execute(
                'SELECT id, requests, data FROM batches WHERE slot = ? AND id > ? ORDER BY id LIMIT ?',
                (slot, after, options.page_rows),
            )
        )
        if not rows:
            return
        page: Page = []
        for key, requests, data in rows:
            if mincount is not None and queued >= mincount:
                break
            queued += requests
            page.append((key.encode(), 0, pack({'id': key, 'requests': unpack(data)})))
        yield page
        after = rows[-1][0]


def queue_size(connection: sqlite3.Connection, slot: int, start: str, most: int) -> tuple[int, str | None]:
    """Count the queued requests of at most ``most`` batches from an id on; return also the id of the next batch."""
    rows = connection.execute(
        'SELECT id, requests FROM batches WHERE slot = ? AND id >= ? ORDER BY id LIMIT ?', (slot, start, most + 1)
    ).fetchall()
    following = rows[most][0] if len(rows) > most else None
    return sum(requests for _, requests in rows[:most]), following


def delete_batches(connection: sqlite3.Connection, slot: int, ids: Iterable[str]) -> None:
    """Remove batches from the queue; their fingerprints stay known, absent batches are fine."""
    connection.executemany('DELETE FROM batches WHERE slot = ? AND id = ?', [(slot, key) for key in ids])


def delete_slot(connection: sqlite3.Connection, project: int, frontier: str, slot: str) -> None:
    """Remove a slot with its queue and its fingerprints; an absent one is fine."""
    number = find(connection, project, frontier, slot)
    if number is not None:
        connection.execute('DELETE FROM batches WHERE slot = ?', (number,))
        connection.execute('DELETE FROM fingerprints WHERE slot = ?', (number,))
        connection.execute('DELETE FROM slots WHERE id = ?', (number,))


def fingerprints(store: Store, slot: int, options: ReadOptions, first: bytes) -> Iterator[Page]:
    """Read the fingerprints of a slot from one on, in byte order."""
    times, bounds = options.times()
    comparison = '>='
    while True:
        rows = fetch(
            store.read().execute(
                f'SELECT fp, ts, fp FROM fingerprints WHERE slot = ? AND fp {comparison} ?{times} ORDER BY fp LIMIT ?',
                (slot, first, *bounds, options.page_rows),
            )
        )
        if not rows:
            return
        yield [(fp, ts, pack({'fp': fp.decode()})) for fp, ts, _ in rows]
        first, comparison = rows[-1][0], '>'
