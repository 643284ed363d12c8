"""Project activity: events that clients post and events that the platform records.

Functions over a connection; writers must run inside a write transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from scrapinghub.sandbox.store.database import Store
from scrapinghub.sandbox.store.packing import pack
from scrapinghub.sandbox.store.reading import Page, ReadOptions, fetch

SCHEMA = """
CREATE TABLE IF NOT EXISTS activity (
    id INTEGER PRIMARY KEY,
    project INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    data BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS activity_by_project ON activity (project, id);
"""


def append(connection: sqlite3.Connection, project: int, events: Iterable[dict[str, Any]], now: int) -> None:
    """Add events to the activity of a project, the last one being the newest.

    Args:
        connection: A connection inside a write transaction.
        project: The project's id.
        events: The events.
        now: The service's time.

    Raises:
        ValueError: An event cannot be stored.
    """
    connection.executemany(
        'INSERT INTO activity (project, ts, data) VALUES (?, ?, ?)', [(project, now, pack(event)) for event in events]
    )


def pages(
    store: Store, projects: Sequence[int], options: ReadOptions, per_project: int | None = None
) -> Iterator[Page]:
    """Read the events of some projects, newest first, before filters, offset and count.

    Args:
        store: The data.
        projects: Ids of the projects.
        options: Which events to read.
        per_project: At most this many events of each project, counting those that match the filters.

    Yields:
        Pages whose row keys are the ids of the projects.
    """
    remaining = None if per_project is None else dict.fromkeys(projects, per_project)
    times, bounds = options.times()
    marks = ', '.join('?' * len(projects))
    before = 2**63 - 1
    while remaining is None or any(remaining.values()):
        rows = fetch(
            store.read().execute(
                f'SELECT id, ts, project, data FROM activity WHERE project IN ({marks}) AND id < ?{times} '
                'ORDER BY id DESC LIMIT ?',
                [*projects, before, *bounds, options.page_rows],
            )
        )
        if not rows:
            return
        before = rows[-1][0]
        page: Page = [(b'%d' % project, ts, data) for _, ts, project, data in rows]
        yield page if remaining is None else _limit(options.matching(page), remaining)


def _limit(page: Page, remaining: dict[int, int]) -> Page:
    """Return the rows for whose projects more events may be returned, and count them."""
    kept = []
    for row in page:
        project = int(row[0])
        if remaining[project]:
            remaining[project] -= 1
            kept.append(row)
    return kept
