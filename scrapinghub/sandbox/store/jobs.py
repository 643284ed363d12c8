"""The table of jobs, and how to find jobs in it.

Reading functions over a connection; functions that change jobs are in `job_lifecycle`.
Times are milliseconds since the epoch.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scrapinghub.sandbox.store.validation import MAX_ID

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY,
    project INTEGER NOT NULL,
    spider INTEGER NOT NULL,
    job INTEGER NOT NULL,
    state TEXT NOT NULL,
    ts INTEGER NOT NULL,
    entered INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    units INTEGER NOT NULL,
    unique_key TEXT,
    token TEXT,
    meta TEXT NOT NULL,
    UNIQUE (project, spider, job)
);
CREATE UNIQUE INDEX IF NOT EXISTS jobs_by_entry ON jobs (entered);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (project, state, ts, entered);
CREATE INDEX IF NOT EXISTS jobs_by_spider ON jobs (project, spider, state, ts, entered);
CREATE INDEX IF NOT EXISTS jobs_to_start ON jobs (project, priority DESC, ts, entered) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS jobs_by_unique_key ON jobs (project, unique_key, state) WHERE unique_key IS NOT NULL;
CREATE TABLE IF NOT EXISTS job_tags (
    job INTEGER NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (job, tag)
) WITHOUT ROWID;
"""

STATES = ('pending', 'running', 'finished', 'deleted')
LIVING = STATES[:3]
"""The states in which a job is listed and takes part in updates of its whole spider."""

DEFAULT_PRIORITY = 2


@dataclass(frozen=True)
class Job:
    """One row of the job table."""

    id: int
    project: int
    spider_id: int
    number: int
    spider: str
    state: str
    ts: int
    token: str | None
    meta: dict[str, Any]
    """Everything but project, spider and state."""

    @property
    def key(self) -> str:
        """The job key, ``P/S/J``."""
        return f'{self.project}/{self.spider_id}/{self.number}'

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata as the service shows it."""
        return {'project': self.project, 'spider': self.spider, 'state': self.state, **self.meta}

    @property
    def tags(self) -> list[str]:
        """The tags, or nothing when the field holds something else."""
        return tag_list(self.meta)


def tag_list(meta: Mapping[str, Any]) -> list[str]:
    """Return the strings among the tags of some metadata."""
    tags = meta.get('tags')
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def parse_key(key: object, parts: int = 3) -> tuple[int, ...] | None:
    """Split a key into its numbers; None when it is no key of that many parts.

    Example:
        >>> parse_key('1/2/3')
        (1, 2, 3)
        >>> parse_key('1/2', parts=2)
        (1, 2)
    """
    if not isinstance(key, str) or not key.isascii():
        return None
    pieces = key.split('/')
    if len(pieces) != parts or not all(piece.isdigit() and len(piece) < 20 for piece in pieces):
        return None
    numbers = tuple(int(piece) for piece in pieces)
    return numbers if max(numbers) <= MAX_ID else None


SELECT = """
SELECT j.id, j.project, j.spider, j.job, s.name, j.state, j.ts, j.token, j.meta
FROM jobs j JOIN spiders s ON s.project = j.project AND s.id = j.spider
"""


def from_row(row: tuple[Any, ...]) -> Job:
    """Build a job from a row of `SELECT`."""
    row_id, project, spider_id, number, spider, state, ts, token, meta = row
    return Job(row_id, project, spider_id, number, spider, state, ts, token, json.loads(meta))


def fetch(connection: sqlite3.Connection, project: int, spider: int, number: int) -> Job | None:
    """Return the job with these numbers, deleted ones too, or None."""
    row = connection.execute(
        SELECT + 'WHERE j.project = ? AND j.spider = ? AND j.job = ?', (project, spider, number)
    ).fetchone()
    return None if row is None else from_row(row)


def find(connection: sqlite3.Connection, key: object) -> Job | None:
    """Return the job with this key, deleted ones too, or None."""
    numbers = parse_key(key)
    return None if numbers is None else fetch(connection, *numbers)


def of_spider(connection: sqlite3.Connection, project: int, spider: int) -> Iterator[Job]:
    """Return the living jobs of a spider: pending, running, finished, each by time of entering that state."""
    for state in LIVING:
        rows = connection.execute(
            SELECT + 'WHERE j.project = ? AND j.spider = ? AND j.state = ? ORDER BY j.ts, j.entered',
            (project, spider, state),
        ).fetchall()
        yield from map(from_row, rows)


def after(
    connection: sqlite3.Connection, project: int, place: tuple[int, int], *, spider: int | None = None, count: int
) -> list[Job]:
    """Return jobs of a project by job key, deleted ones too.

    Args:
        connection: A connection.
        project: The project's id.
        place: Spider id and job number after which to begin.
        spider: Only the jobs of this spider.
        count: At most that many.
    """
    only = '' if spider is None else 'AND j.spider = :spider'
    rows = connection.execute(
        f'{SELECT} WHERE j.project = :project AND (j.spider, j.job) > (:after_spider, :after_job) {only} '
        'ORDER BY j.spider, j.job LIMIT :count',
        {'project': project, 'spider': spider, 'after_spider': place[0], 'after_job': place[1], 'count': count},
    ).fetchall()
    return [from_row(row) for row in rows]


def job_state(connection: sqlite3.Connection, key: str) -> str | None:
    """Return the state of a job, None when there is no such job."""
    numbers = parse_key(key)
    if numbers is None:
        return None
    row = connection.execute('SELECT state FROM jobs WHERE project = ? AND spider = ? AND job = ?', numbers).fetchone()
    return None if row is None else str(row[0])


def job_token(connection: sqlite3.Connection, key: str) -> str | None:
    """Return the token of a running job, None in every other case."""
    job = find(connection, key)
    return job.token if job is not None and job.state == 'running' else None
