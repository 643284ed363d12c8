"""Project activity: events that clients post and events that the platform writes by itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from scrapinghub.sandbox.routes.posting import posted
from scrapinghub.sandbox.server.formats import Page, Style, records_reply
from scrapinghub.sandbox.server.http import Call, Reply, storage_empty
from scrapinghub.sandbox.store.database import Store
from scrapinghub.sandbox.store.packing import pack
from scrapinghub.sandbox.store.reading import Window, fetch

SCHEMA = """
CREATE TABLE IF NOT EXISTS activity (
    id INTEGER PRIMARY KEY,
    project INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    data BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS activity_by_project ON activity (project, id);
"""
STYLE = Style(msgpack=False)


def append(connection: sqlite3.Connection, project: int, events: list[dict[str, Any]], now: int) -> None:
    """Add events to a project's activity, the last one being the newest. Call it inside a write transaction.

    Args:
        connection: A connection.
        project: The project's id.
        events: The events.
        now: The service's time.

    Raises:
        ValueError: An event cannot be stored.
    """
    connection.executemany(
        'INSERT INTO activity (project, ts, data) VALUES (?, ?, ?)', [(project, now, pack(event)) for event in events]
    )


def post(call: Call, project: int) -> Reply:
    """Store posted events."""
    events: list[dict[str, Any]] = []
    for number, event in posted(call):
        if not isinstance(event, dict):
            call.fail(400, f'Error parsing data, line {number}: an event must be an object')
        events.append(event)
    try:
        with call.store.write() as connection:
            append(connection, project, events, call.store.now())
    except ValueError as error:
        call.fail(400, f'Error parsing data, {error}')
    return storage_empty()


def read(call: Call, project: int) -> Reply:
    """Answer the events of a project, newest first."""
    window = Window.of(call)
    pages = _pages(call.store, [project], window)
    return records_reply(call, window.apply(pages), STYLE, project=project)


def read_projects(call: Call) -> Reply:
    """Answer the events of several projects together, newest first."""
    projects = [call.parse_integer('p', text) for text in call.args().getlist('p')]
    if not projects:
        call.fail(400, 'p is needed: the id of a project; repeat it for several')
    for project in projects:
        call.require_project(project)
    window = Window.of(call)
    pages = _pages(call.store, projects, window)
    most = call.integer('pcount')
    if most is not None:
        pages = _at_most(pages, dict.fromkeys(projects, most), window)
    return records_reply(call, window.apply(pages), STYLE, project=0, project_of=lambda row: int(row[0]))


def _pages(store: Store, projects: list[int], window: Window) -> Iterator[Page]:
    """Read events from the newest to the oldest; the key of a row is the project's id."""
    times, bounds = window.times()
    marks = ', '.join('?' * len(projects))
    before = 2**63 - 1
    while True:
        rows = fetch(
            store.read().execute(
                f'SELECT id, ts, project, data FROM activity WHERE project IN ({marks}) AND id < ?{times} '
                'ORDER BY id DESC LIMIT ?',
                [*projects, before, *bounds, window.page_rows],
            )
        )
        if not rows:
            return
        before = rows[-1][0]
        yield [(b'%d' % project, ts, data) for _, ts, project, data in rows]


def _at_most(pages: Iterable[Page], left: dict[int, int], window: Window) -> Iterator[Page]:
    """Keep so many events of each project, counting those that the filters let pass."""
    for page in pages:
        if not any(left.values()):
            return
        kept = []
        for row in window.matching(page):
            project = int(row[0])
            if left[project]:
                left[project] -= 1
                kept.append(row)
        yield kept


ROUTES = [
    ('/activity/projects', ('GET',), read_projects),
    ('/activity/<int:project>', ('GET',), read),
    ('/activity/<int:project>', ('POST',), post),
]
