"""Periodic jobs: their definitions, and the jobs that they start.

Functions over a connection; writers must run inside a write transaction.
"""

from __future__ import annotations

import heapq
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scrapinghub.sandbox.store import deployments, job_lifecycle, spiders
from scrapinghub.sandbox.store.cron import Cron

SCHEMA = """
CREATE TABLE IF NOT EXISTS periodic_jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project INTEGER NOT NULL,
    cron TEXT NOT NULL,
    tasks TEXT NOT NULL,
    addtags TEXT NOT NULL,
    description TEXT NOT NULL,
    disabled INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS periodic_jobs_by_project ON periodic_jobs (project, id);
CREATE TABLE IF NOT EXISTS periodic_runs (
    periodic_job INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    PRIMARY KEY (periodic_job, minute)
) WITHOUT ROWID;
"""
#: The user of the jobs that periodic jobs start, and of their events, as recorded.
USER = 'periodicjobs'
#: Names of scripts begin with this prefix.
SCRIPT = 'py:'
MINUTE_MS = 60_000
_COLUMNS = 'id, project, cron, tasks, addtags, description, disabled'


@dataclass(frozen=True)
class PeriodicJob:
    """One periodic job.

    Attributes:
        id: Its id.
        project: The project's id.
        cron: The cron expression.
        tasks: The jobs to start: name, priority, spider_args and script_args of each.
        addtags: Tags of these jobs.
        description: Any text.
        disabled: Whether it is paused.
    """

    id: int
    project: int
    cron: str
    tasks: list[dict[str, Any]]
    addtags: list[str]
    description: str
    disabled: bool


def _from_row(row: tuple[Any, ...]) -> PeriodicJob:
    number, project, cron, tasks, addtags, description, disabled = row
    return PeriodicJob(number, project, cron, json.loads(tasks), json.loads(addtags), description, bool(disabled))


def of_project(connection: sqlite3.Connection, project: int, *, offset: int = 0, count: int = -1) -> list[PeriodicJob]:
    """Return periodic jobs of a project by id.

    Args:
        connection: A connection.
        project: The project's id.
        offset: Number of periodic jobs to skip.
        count: At most this many; -1 for all.
    """
    query = f'SELECT {_COLUMNS} FROM periodic_jobs WHERE project = ? ORDER BY id LIMIT ? OFFSET ?'
    return [_from_row(row) for row in connection.execute(query, (project, count, offset)).fetchall()]


def total(connection: sqlite3.Connection, project: int) -> int:
    """Count the periodic jobs of a project."""
    return int(connection.execute('SELECT COUNT(*) FROM periodic_jobs WHERE project = ?', (project,)).fetchone()[0])


def find(connection: sqlite3.Connection, project: int, number: int) -> PeriodicJob | None:
    """Return the periodic job with this id, None when the project has none."""
    query = f'SELECT {_COLUMNS} FROM periodic_jobs WHERE project = ? AND id = ?'
    row = connection.execute(query, (project, number)).fetchone()
    return None if row is None else _from_row(row)


def create(connection: sqlite3.Connection, project: int, fields: Mapping[str, Any], now: int) -> int:
    """Create a periodic job, and the spiders of its tasks, and return its id.

    Args:
        connection: A connection inside a write transaction.
        project: The project's id.
        fields: Valid values of the attributes of :class:`PeriodicJob` other than ``id`` and ``project``.
        now: The service's time.
    """
    cursor = connection.execute(
        'INSERT INTO periodic_jobs (project, cron, tasks, addtags, description, disabled) '
        "VALUES (?, '', '[]', '[]', '', 0)",
        (project,),
    )
    number = cursor.lastrowid
    assert number is not None
    update(connection, project, number, fields, now)
    return number


def update(connection: sqlite3.Connection, project: int, number: int, fields: Mapping[str, Any], now: int) -> None:
    """Change some attributes of a periodic job; see :func:`create`."""
    for task in fields.get('tasks', ()):
        spiders.ensure_spider(connection, project, task['name'], now)
    for name, value in fields.items():
        stored = json.dumps(value) if isinstance(value, list) else value
        connection.execute(
            f'UPDATE periodic_jobs SET {name} = ? WHERE project = ? AND id = ?', (stored, project, number)
        )


def delete(connection: sqlite3.Connection, number: int) -> None:
    """Delete a periodic job; the jobs that it started remain."""
    connection.execute('DELETE FROM periodic_runs WHERE periodic_job = ?', (number,))
    connection.execute('DELETE FROM periodic_jobs WHERE id = ?', (number,))


def has_active(connection: sqlite3.Connection) -> bool:
    """Return whether a project has a periodic job that is not paused."""
    return connection.execute('SELECT 1 FROM periodic_jobs WHERE NOT disabled LIMIT 1').fetchone() is not None


def run_due(connection: sqlite3.Connection, after: int, until: int) -> None:
    """Start the jobs of every minute after ``after``, up to ``until``, unless that minute was run before.

    Args:
        connection: A connection inside a write transaction.
        after: Minutes since the epoch.
        until: Minutes since the epoch.
    """
    rows = connection.execute(f'SELECT {_COLUMNS} FROM periodic_jobs WHERE NOT disabled').fetchall()
    due = heapq.merge(
        *(_due(periodic, after, until) for periodic in map(_from_row, rows)), key=lambda pair: (pair[0], pair[1].id)
    )
    for minute, periodic in due:
        added = connection.execute(
            'INSERT OR IGNORE INTO periodic_runs (periodic_job, minute) VALUES (?, ?)', (periodic.id, minute)
        ).rowcount
        if added:
            _start_jobs(connection, periodic, minute * MINUTE_MS)


def _due(periodic: PeriodicJob, after: int, until: int) -> Iterator[tuple[int, PeriodicJob]]:
    for minute in Cron.parse(periodic.cron).minutes(after, until):
        yield minute, periodic


def _start_jobs(connection: sqlite3.Connection, periodic: PeriodicJob, now: int) -> None:
    version = deployments.version(connection, periodic.project)
    for task in periodic.tasks:
        fields: dict[str, Any] = {
            'priority': task['priority'],
            'tags': periodic.addtags,
            'spider_type': 'script' if task['name'].startswith(SCRIPT) else 'manual',
        }
        if task['spider_args']:
            fields['spider_args'] = {name: str(value) for name, value in task['spider_args'].items()}
        if task['script_args']:
            fields['cmd_args'] = task['script_args']
        if version is not None:
            fields['version'] = version
        job_lifecycle.create(connection, periodic.project, task['name'], fields, user=USER, now=now)
