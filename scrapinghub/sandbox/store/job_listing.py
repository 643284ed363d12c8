"""Lists of jobs: filters, pages, counts and summaries.

Reading functions over a connection. Rows are selected, counted and skipped by an index, so that a client may read a
long history in pages.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from scrapinghub.sandbox.store import records, spiders
from scrapinghub.sandbox.store.jobs import LIVING, SELECT, Job, find, from_row, parse_key

PAGE = 1000
"""Most jobs in one answer."""
DEFAULT_FIELDS = ('pending_time', 'running_time', 'finished_time', 'close_reason', 'version')
"""Metadata that a summary has by default, with tags and counters."""


@dataclass(frozen=True)
class JobFilter:
    """Which jobs of a project are meant.

    Attributes:
        project: The project's id.
        states: States that match.
        spider: A spider's name.
        spider_id: A spider's id.
        keys: Exactly these jobs; ``None`` for no such limit.
        has_tags: A job must have one of these, if there are any.
        lacks_tags: A job must have none of these.
        startts: Only jobs that entered their state at or after this time.
        endts: Only jobs that entered their state before this time; without effect unless it is later than ``startts``.
        stop: Only jobs newer than the job with this key; a key that does not exist is no limit.
    """

    project: int
    states: tuple[str, ...] = ('finished',)
    spider: str | None = None
    spider_id: int | None = None
    keys: tuple[str, ...] | None = None
    has_tags: tuple[str, ...] = ()
    lacks_tags: tuple[str, ...] = ()
    startts: int | None = None
    endts: int | None = None
    stop: str | None = None


def _tagged(tags: Sequence[str]) -> str:
    marks = ', '.join('?' * len(tags))
    return f'EXISTS (SELECT 1 FROM job_tags t WHERE t.job = jobs.id AND t.tag IN ({marks}))'


def _conditions(connection: sqlite3.Connection, which: JobFilter) -> tuple[str, list[Any]] | None:
    """Return the conditions of a filter without the state; None when nothing can match."""
    clauses = ['project = ?']
    values: list[Any] = [which.project]
    if which.spider is not None or which.spider_id is not None:
        spider = which.spider_id
        if which.spider is not None:
            named = spiders.spider_id(connection, which.project, which.spider)
            spider = named if which.spider_id in (None, named) else None
        if spider is None:
            return None
        clauses.append('spider = ?')
        values.append(spider)
    if which.keys is not None:
        found = (find(connection, key) for key in which.keys)
        # Row ids are our own integers; written out, they need no bound on the number of SQL variables.
        clauses.append('id IN (' + ', '.join(str(job.id) for job in found if job is not None) + ')')
    if which.has_tags:
        clauses.append(_tagged(which.has_tags))
        values += which.has_tags
    if which.lacks_tags:
        clauses.append('NOT ' + _tagged(which.lacks_tags))
        values += which.lacks_tags
    if which.startts is not None:
        clauses.append('ts >= ?')
        values.append(which.startts)
    # A recorded request with endts before startts was answered as if it had none.
    if which.endts is not None and (which.startts is None or which.endts > which.startts):
        clauses.append('ts < ?')
        values.append(which.endts)
    last = _place(connection, which.stop)
    if last is not None:
        clauses.append('(ts, entered) > (?, ?)')
        values += last
    return ' AND '.join(clauses), values


def _place(connection: sqlite3.Connection, key: str | None) -> tuple[int, int] | None:
    numbers = parse_key(key)
    if numbers is None:
        return None
    row: tuple[int, int] | None = connection.execute(
        'SELECT ts, entered FROM jobs WHERE project = ? AND spider = ? AND job = ?', numbers
    ).fetchone()
    return row


def row_ids(connection: sqlite3.Connection, which: JobFilter, *, start: int = 0, count: int = -1) -> list[int]:
    """Return the row ids of matching jobs, the newest first by the time of entering their state.

    Args:
        connection: A connection.
        which: The filter.
        start: How many to skip.
        count: At most that many; -1 for all.
    """
    conditions = _conditions(connection, which)
    if conditions is None or not which.states:
        return []
    where, values = conditions
    # One ordered index scan for each state; SQLite merges them and stops at the limit.
    scans = ' UNION ALL '.join(f'SELECT ts, entered, id FROM jobs WHERE {where} AND state = ?' for _ in which.states)
    parameters: list[Any] = []
    for state in which.states:
        parameters += [*values, state]
    rows = connection.execute(f'{scans} ORDER BY 1 DESC, 2 DESC LIMIT ? OFFSET ?', [*parameters, count, start])
    return [row[2] for row in rows.fetchall()]


def by_row_id(connection: sqlite3.Connection, ids: Sequence[int]) -> list[Job]:
    """Return the jobs with these row ids in this order, without those that were removed meanwhile."""
    if not ids:
        return []
    rows = connection.execute(f'{SELECT} WHERE j.id IN ({", ".join(map(str, ids))})').fetchall()
    found = {row[0]: from_row(row) for row in rows}
    return [found[row_id] for row_id in ids if row_id in found]


def page(connection: sqlite3.Connection, which: JobFilter, *, start: int = 0, count: int = PAGE) -> list[Job]:
    """Return matching jobs, the newest first by the time of entering their state.

    Args:
        connection: A connection.
        which: The filter.
        start: How many to skip.
        count: At most that many.
    """
    return by_row_id(connection, row_ids(connection, which, start=start, count=count))


def total(connection: sqlite3.Connection, which: JobFilter) -> int:
    """Count the matching jobs."""
    conditions = _conditions(connection, which)
    if conditions is None:
        return 0
    where, values = conditions
    query = f'SELECT COUNT(*) FROM jobs WHERE {where} AND state = ?'
    return sum(int(connection.execute(query, [*values, state]).fetchone()[0]) for state in which.states)


def last_finished(
    connection: sqlite3.Connection, project: int, *, spider: int | None = None, first: int = 0, count: int = -1
) -> list[Job]:
    """Return the most recent finished job of each spider that has one, by spider id.

    Args:
        connection: A connection.
        project: The project's id.
        spider: Only this spider.
        first: Only spiders from this id on.
        count: At most that many; -1 for all.
    """
    only = '' if spider is None else 'AND s.id = :spider'
    newest = (
        "SELECT id FROM jobs WHERE project = s.project AND spider = s.id AND state = 'finished' "
        'ORDER BY ts DESC, entered DESC LIMIT 1'
    )
    rows = connection.execute(
        f'{SELECT} WHERE s.project = :project AND s.id >= :first {only} AND j.id = ({newest}) '
        'ORDER BY s.id LIMIT :count',
        {'project': project, 'first': first, 'spider': spider, 'count': count},
    ).fetchall()
    return [from_row(row) for row in rows]


def state_counts(connection: sqlite3.Connection, project: int) -> dict[str, int]:
    """Count the living jobs of a project by state."""
    return {state: total(connection, JobFilter(project, states=(state,))) for state in LIVING}


def running_units(connection: sqlite3.Connection, project: int) -> int:
    """Add up the units of the running jobs of a project."""
    row = connection.execute(
        "SELECT COALESCE(SUM(units), 0) FROM jobs WHERE project = ? AND state = 'running'", (project,)
    ).fetchone()
    return int(row[0])


def summaries(
    connection: sqlite3.Connection, jobs: Collection[Job], *, now: int, fields: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Return the summaries of jobs.

    Args:
        connection: A connection.
        jobs: The jobs.
        now: The service's time.
        fields: Metadata to return instead of the default fields.
    """
    return [summary(job, records.counters(connection, job.key), now=now, fields=fields) for job in jobs]


def summary(job: Job, counters: dict[str, int], *, now: int, fields: Collection[str] = ()) -> dict[str, Any]:
    """Return the summary of one job.

    Args:
        job: The job.
        counters: What the job has stored: ``items``, ``logs``, ``pages``, ``errors``; those that are not zero.
        now: The service's time.
        fields: Metadata to return instead of the default fields.
    """
    known = {**counters, **job.metadata, 'key': job.key}
    short: dict[str, Any] = {'key': job.key, 'state': job.state, 'elapsed': now - job.ts}
    if not fields:
        short['spider'] = job.spider
    short['ts'] = job.ts
    if job.tags:
        short['tags'] = job.meta['tags']
    for name in fields or (*DEFAULT_FIELDS, *counters):
        if name in known:
            short.setdefault(name, known[name])
    return short
