"""The life cycle of jobs: create, start, update, cancel, delete; their metadata and tokens.

Functions over a connection inside a write transaction, so that a request is applied completely or not at all.
Times are milliseconds since the epoch.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from scrapinghub.sandbox.store import activity, settings, spiders
from scrapinghub.sandbox.store.jobs import DEFAULT_PRIORITY, SELECT, STATES, Job, from_row, tag_list
from scrapinghub.sandbox.store.projects import project_ids
from scrapinghub.sandbox.store.validation import InvalidValue, storable

DEFAULT_UNITS = 1
MAX_UNITS = 2**31

_ACTOR = {'pending': 'scheduled_by', 'running': 'started_by', 'finished': 'completed_by', 'deleted': 'deleted_by'}
_EVENT = {'pending': 'job:scheduled', 'running': 'job:started', 'finished': 'job:completed', 'deleted': 'job:deleted'}
_FIXED = ('project', 'spider', 'state', 'key', '_key', 'auth')
"""Fields that are not metadata: a client may repeat them but not change them."""


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b'=').decode()


def _new_token(key: str) -> str:
    """Make a JWT that names the job. It is checked by comparison with the stored one, so its secret is not stored."""
    claims = [{'typ': 'JWT', 'alg': 'HS256'}, {'aud': f'job:{key}'}]
    signed = '.'.join(_encoded(json.dumps(claim, separators=(',', ':')).encode()) for claim in claims)
    signature = hmac.new(secrets.token_bytes(32), signed.encode(), hashlib.sha256).digest()
    return f'{signed}.{_encoded(signature)}'


def _check_state(state: object) -> str:
    if not isinstance(state, str) or state not in STATES:
        raise InvalidValue(f'state should be one of {", ".join(STATES)}')
    return state


def _is_integer(value: object, low: int, high: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _check_meta(meta: Mapping[str, Any]) -> None:
    """Check the fields that the queue itself uses."""
    if not _is_integer(meta.get('priority', DEFAULT_PRIORITY), 0, 4):
        raise InvalidValue('priority should be an integer from 0 to 4')
    if not _is_integer(meta.get('units', DEFAULT_UNITS), 1, MAX_UNITS):
        raise InvalidValue('units should be a positive integer')
    tags = meta.get('tags')
    if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        raise InvalidValue('tags should be an array of strings')


def _own_fields(job: Job, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata among some fields; repeating a fixed field is harmless, changing it is an error."""
    present = {**job.metadata, 'key': job.key, '_key': job.key, 'auth': job.token}
    for name in _FIXED:
        if name in fields and fields[name] != present[name]:
            raise InvalidValue(f'{name} of a job cannot be changed this way')
    return {name: value for name, value in fields.items() if name not in _FIXED}


def _save(connection: sqlite3.Connection, job: Job, meta: dict[str, Any]) -> None:
    _check_meta(meta)
    connection.execute(
        'UPDATE jobs SET meta = ?, priority = ?, units = ? WHERE id = ?',
        (json.dumps(meta), meta.get('priority', DEFAULT_PRIORITY), meta.get('units', DEFAULT_UNITS), job.id),
    )
    if tag_list(meta) != job.tags:
        connection.execute('DELETE FROM job_tags WHERE job = ?', (job.id,))
        _index_tags(connection, job.id, meta)


def _index_tags(connection: sqlite3.Connection, job_id: int, meta: Mapping[str, Any]) -> None:
    connection.executemany(
        'INSERT OR IGNORE INTO job_tags (job, tag) VALUES (?, ?)',
        # A query cannot name a tag without a UTF-8 form, so the index omits it.
        [(job_id, tag) for tag in tag_list(meta) if storable(tag)],
    )


def _next_entry(connection: sqlite3.Connection) -> int:
    return int(connection.execute('SELECT COALESCE(MAX(entered), 0) + 1 FROM jobs').fetchone()[0])


def _log(connection: sqlite3.Connection, job: Job, event: str, user: str, now: int) -> None:
    activity.append(connection, job.project, [{'event': event, 'job': job.key, 'user': user}], now)


def _text_of(unique: object) -> str | None:
    """Return the de-duplication key as text that the database can hold."""
    if unique is None:
        return None
    if isinstance(unique, str) and storable(unique):
        return unique
    return json.dumps(unique, sort_keys=True)


def create(
    connection: sqlite3.Connection,
    project: int,
    spider: object,
    fields: Mapping[str, Any],
    *,
    state: object = 'pending',
    unique: object = None,
    user: str,
    now: int,
) -> Job | None:
    """Create a job in any state.

    Args:
        connection: A connection inside a write transaction.
        project: The project's id.
        spider: The spider's name; the spider is created when it is new.
        fields: Metadata of the job.
        state: The state in which it begins.
        unique: De-duplication key, None for no de-duplication.
        user: Name of the user.
        now: The service's time.

    Returns:
        The job, or None when an active job has the same unique key. A job number is consumed in both cases.

    Raises:
        InvalidValue: Something in the request cannot be accepted; the transaction must be rolled back.
    """
    state = _check_state(state)
    fixed = {'project': project, 'spider': spider, 'state': state}
    for name in _FIXED:
        if name in fields and (name not in fixed or fields[name] != fixed[name]):
            raise InvalidValue(f'{name} of a new job cannot be given as metadata')
    spider_id = spiders.ensure_spider(connection, project, spider, now)
    number = spiders.next_job_number(connection, project, spider_id)
    unique_key = _text_of(unique)
    if unique_key is not None and _is_active(connection, project, unique_key):
        return None
    meta = {name: value for name, value in fields.items() if name not in _FIXED}
    meta.setdefault('priority', DEFAULT_PRIORITY)
    meta.setdefault('units', _default_units(connection, project))
    meta.update({_ACTOR[state]: user, f'{state}_time': now})
    _check_meta(meta)
    token = _new_token(f'{project}/{spider_id}/{number}') if state == 'running' else None
    cursor = connection.execute(
        'INSERT INTO jobs (project, spider, job, state, ts, entered, priority, units, unique_key, token, meta) '
        'VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
        (
            project, spider_id, number, state, now, _next_entry(connection), meta['priority'], meta['units'],
            unique_key, token, json.dumps(meta),
        ),
    )  # fmt: skip
    row_id = cursor.lastrowid
    assert row_id is not None
    _index_tags(connection, row_id, meta)
    job = Job(row_id, project, spider_id, number, str(spider), state, now, token, meta)
    _log(connection, job, _EVENT[state], user, now)
    return job


def _default_units(connection: sqlite3.Connection, project: int) -> int:
    units = settings.read_all(connection, project).get('default_job_units')
    return units if _is_integer(units, 1, MAX_UNITS) else DEFAULT_UNITS


def _is_active(connection: sqlite3.Connection, project: int, unique_key: str) -> bool:
    row = connection.execute(
        "SELECT 1 FROM jobs WHERE project = ? AND unique_key = ? AND state IN ('pending', 'running') LIMIT 1",
        (project, unique_key),
    ).fetchone()
    return row is not None


def _enter(
    connection: sqlite3.Connection, job: Job, state: str, meta: dict[str, Any], event: str, user: str, now: int
) -> Job:
    """Move a job into another state: set user, time and token, store it, and record the event."""
    meta = {**meta, _ACTOR[state]: user, f'{state}_time': now}
    token = _new_token(job.key) if state == 'running' else None
    _save(connection, job, meta)
    connection.execute(
        'UPDATE jobs SET state = ?, ts = ?, entered = ?, token = ? WHERE id = ?',
        (state, now, _next_entry(connection), token, job.id),
    )
    _log(connection, job, event, user, now)
    return Job(job.id, job.project, job.spider_id, job.number, job.spider, state, now, token, meta)


def update(connection: sqlite3.Connection, job: Job, fields: Mapping[str, Any], *, user: str, now: int) -> str:
    """Move a job into another state and store metadata with it.

    When the job already has this state, only the other fields are stored.

    Args:
        connection: A connection inside a write transaction.
        job: The job as it is.
        fields: Metadata, and optionally ``state``.
        user: Name of the user.
        now: The service's time.

    Returns:
        The state before.
    """
    state = _check_state(fields.get('state', job.state))
    others = {name: value for name, value in fields.items() if name != 'state'}
    meta = {**job.meta, **_own_fields(job, others)}
    if state == job.state:
        _save(connection, job, meta)
    else:
        _enter(connection, job, state, meta, _EVENT[state], user, now)
    return job.state


def merge_metadata(connection: sqlite3.Connection, job: Job, fields: Mapping[str, Any]) -> None:
    """Store metadata; fields that are not named stay."""
    _save(connection, job, {**job.meta, **_own_fields(job, fields)})


def remove_field(connection: sqlite3.Connection, job: Job, name: str) -> None:
    """Delete one field of the metadata; an absent one is fine."""
    if name in _FIXED:
        raise InvalidValue(f'{name} of a job cannot be deleted')
    if name in job.meta:
        _save(connection, job, {field: value for field, value in job.meta.items() if field != name})


def delete_record(connection: sqlite3.Connection, job: Job) -> None:
    """Delete a job; its number is not used again."""
    connection.execute('DELETE FROM job_tags WHERE job = ?', (job.id,))
    connection.execute('DELETE FROM jobs WHERE id = ?', (job.id,))


def start_next(
    connection: sqlite3.Connection, project: int, fields: Mapping[str, Any], *, user: str, now: int
) -> Job | None:
    """Take the next pending job, higher priorities first, older ones first among equals, and start it.

    Args:
        connection: A connection inside a write transaction.
        project: The project's id.
        fields: Metadata to store; ``botgroup`` names the bot group of the caller.
        user: Name of the user.
        now: The service's time.

    Returns:
        The job, now running, or None when there is nothing that this caller may start.
    """
    if not _may_start(connection, project, fields.get('botgroup')):
        return None
    pending = next_pending(connection, project)
    if pending is None:
        return None
    return start(connection, pending, {**fields, '_shub_worker': 'kumo'}, user=user, now=now)


def next_pending(connection: sqlite3.Connection, project: int | None = None) -> Job | None:
    """Return the pending job with the highest priority, of one project or of all; None if there is none."""
    condition, values = ('', ()) if project is None else ('AND j.project = ? ', (project,))
    row = connection.execute(
        SELECT + f"WHERE j.state = 'pending' {condition}ORDER BY j.priority DESC, j.ts, j.entered LIMIT 1", values
    ).fetchone()
    return None if row is None else from_row(row)


def start(connection: sqlite3.Connection, job: Job, fields: Mapping[str, Any], *, user: str, now: int) -> Job:
    """Start a pending job; the arguments are those of :func:`start_next`."""
    meta = {**job.meta, **_own_fields(job, fields)}
    return _enter(connection, job, 'running', meta, _EVENT['running'], user, now)


def _may_start(connection: sqlite3.Connection, project: int, botgroup: object) -> bool:
    """Return whether a caller of this bot group may start a job of the project now."""
    if botgroup is None:
        return True
    groups = settings.read_all(connection, project).get('botgroups')
    if not groups or not isinstance(groups, list):
        return False
    if not isinstance(botgroup, str) or not storable(botgroup) or botgroup not in groups:
        return False
    limit = settings.max_running(connection, botgroup)
    if limit is None:
        return True
    running = sum(
        connection.execute("SELECT COUNT(*) FROM jobs WHERE project = ? AND state = 'running'", (member,)).fetchone()[0]
        for member in project_ids(connection)
        if botgroup in (settings.read_all(connection, member).get('botgroups') or [])
    )
    return bool(running < limit)


def cancel(connection: sqlite3.Connection, jobs: Iterable[Job], *, user: str, now: int) -> int:
    """Cancel jobs: a pending job finishes immediately, a running job is only marked.

    Returns:
        How many jobs were affected; finished and deleted ones are not.
    """
    affected = 0
    for job in jobs:
        if job.state == 'pending':
            meta = {**job.meta, 'cancelled_by': user, 'close_reason': 'cancelled'}
            _enter(connection, job, 'finished', meta, 'job:cancelled', user, now)
        elif job.state == 'running':
            if 'cancelled_by' not in job.meta:
                _save(connection, job, {**job.meta, 'cancelled_by': user})
                _log(connection, job, 'job:cancelled', user, now)
        else:
            continue
        affected += 1
    return affected


def cancel_next(connection: sqlite3.Connection, project: int, count: int, *, user: str, now: int) -> int:
    """Cancel up to ``count`` jobs of a project: pending ones before running ones, the oldest first."""
    chosen: list[Job] = []
    for state in ('pending', 'running'):
        rows = connection.execute(
            SELECT + 'WHERE j.project = ? AND j.state = ? ORDER BY j.ts, j.entered LIMIT ?',
            (project, state, count - len(chosen)),
        ).fetchall()
        chosen += map(from_row, rows)
    return cancel(connection, chosen, user=user, now=now)
