"""Scheduling jobs and handling them in bulk: ``run.json`` and ``jobs/*`` of the dash."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from scrapinghub.sandbox.routes._support import dash, parameters
from scrapinghub.sandbox.routes._support.call import Call
from scrapinghub.sandbox.server.response import Response
from scrapinghub.sandbox.store import deployments, job_lifecycle, job_listing, jobs, records, spiders
from scrapinghub.sandbox.store.job_listing import JobFilter
from scrapinghub.sandbox.store.jobs import Job

PAGE = 100
"""Most records in one answer of a ``.json`` call."""
MAX_UNITS = 6

_RUN_FIELDS = frozenset(
    (
        'project', 'spider', 'jobq_id', 'units', 'priority', 'add_tag', 'job_settings', 'meta', 'environment',
        'cmd_args', 'apikey',
    )
)  # fmt: skip


def run(call: Call) -> Response:
    """Schedule a job; the same spider with the same arguments is refused while an earlier one is active."""
    project = dash.project(call)
    form = dash.form(call)
    arguments = {name: value for name, value in form.items() if name not in _RUN_FIELDS}
    fields = dash.json_object(call, 'meta') or {}
    state = fields.pop('state', 'pending')
    for name in ('job_settings', 'environment'):
        given = dash.json_object(call, name)
        if given is not None:
            fields[name] = given
    for name in ('units', 'priority'):
        number = dash.integer(call, name)
        if number is not None:
            fields[name] = number
    if 'units' in form and not 1 <= fields['units'] <= MAX_UNITS:
        call.fail(400, f'units should be from 1 to {MAX_UNITS}')
    if 'cmd_args' in form:
        fields['cmd_args'] = form['cmd_args']
    if arguments:
        fields['spider_args'] = arguments
    if 'add_tag' in form or 'tags' not in fields:
        fields['tags'] = list(dict.fromkeys(form.getlist('add_tag')))
    fields |= {
        'spider_type': 'manual',
        'api_url': call.url('api/'),
        'portia_url': call.url('portia/'),
        'portia_stack_version': 'latest',
    }
    spider = _spider_name(call, project)
    with parameters.reject_invalid(call), call.store.write() as connection:
        version = deployments.version(connection, project)
        if version is not None:
            fields.setdefault('version', version)
        job = job_lifecycle.create(
            connection,
            project,
            spider,
            fields,
            state=state,
            unique='run.json ' + json.dumps([spider, arguments, form.get('cmd_args')], sort_keys=True),
            user=call.identity.user,
            now=call.store.now(),
        )
    if job is None:
        # Only after the transaction: the refused job has used up its number.
        return dash.compact({'message': f'{spider} already scheduled', 'status': 'error'}, 'POST, OPTIONS', 400)
    return dash.compact({'status': 'ok', 'jobid': job.key}, 'POST, OPTIONS')


def _spider_name(call: Call, project: int) -> str:
    number = dash.integer(call, 'jobq_id')
    if number is None or dash.form(call).get('spider'):
        return dash.text(call, 'spider')
    spider = spiders.find(call.store.read(), project, number)
    if spider is None:
        call.fail(400, f'no spider of project {project} has jobq_id {number}')
    return spider.name


def _filter(call: Call) -> JobFilter:
    project = dash.project(call)
    form = dash.form(call)
    states = tuple(dict.fromkeys(parameters.state(call, name) for name in form.getlist('state')))
    return JobFilter(
        project,
        states=states or jobs.LIVING,
        spider=form.get('spider'),
        keys=parameters.job_keys(call, 'job', form.getlist('job'), project),
        has_tags=tuple(form.getlist('has_tag')),
        lacks_tags=tuple(form.getlist('lacks_tag')),
    )


def list_json(call: Call) -> Response:
    """List jobs, the newest first, at most 100."""
    ids, total = _chosen(call, PAGE)
    return dash.spaced(
        {'status': 'ok', 'count': len(ids), 'total': total, 'jobs': [_record(call, job) for job in _jobs(call, ids)]}
    )


def list_lines(call: Call) -> Response:
    """List jobs, the newest first, after a line with their number."""
    ids, total = _chosen(call, None)

    def content() -> Iterator[bytes]:
        yield json.dumps({'status': 'ok', 'count': len(ids), 'total': total}).encode() + b'\n'
        for job in _jobs(call, ids):
            yield json.dumps(_record(call, job)).encode() + b'\n'

    return dash.lines(content())


def _chosen(call: Call, limit: int | None) -> tuple[list[int], int]:
    """Return the rows of the jobs to show, and how many match in all."""
    which = _filter(call)
    # Jobs are sorted newest first, so a negative count, which selects the latest, equals a positive one.
    count = dash.integer(call, 'count', minimum=-(2**62))
    wanted = [number for number in (limit, None if count is None else abs(count)) if number is not None]
    connection = call.store.read()
    start = dash.integer(call, 'offset') or 0
    ids = job_listing.row_ids(connection, which, start=start, count=min(wanted, default=-1))
    return ids, job_listing.total(connection, which)


def _jobs(call: Call, ids: list[int]) -> Iterator[Job]:
    for place in range(0, len(ids), PAGE):
        yield from job_listing.by_row_id(call.store.read(), ids[place : place + PAGE])


def _record(call: Call, job: Job) -> dict[str, Any]:
    meta = job.meta
    counters = records.counters(call.store.read(), job.key)
    record = {
        'id': job.key,
        'spider': job.spider,
        'state': job.state,
        'spider_type': meta.get('spider_type', 'manual'),
        'started_time': dash.iso(meta.get('running_time')),
        'updated_time': dash.iso(job.ts),
        'elapsed': call.store.now() - job.ts,
        'priority': meta.get('priority', jobs.DEFAULT_PRIORITY),
        'version': meta.get('version'),
        'tags': job.tags,
        'items_scraped': counters.get('items', 0),
        'responses_received': counters.get('pages', 0),
        'errors_count': counters.get('errors', 0),
        'logs': counters.get('logs', 0),
    }
    if job.state == 'finished':
        record['close_reason'] = meta.get('close_reason')
    if meta.get('spider_args'):
        record['spider_args'] = meta['spider_args']
    return record


def count(call: Call) -> Response:
    """Count jobs."""
    return dash.spaced({'status': 'ok', 'total': job_listing.total(call.store.read(), _filter(call))})


def update(call: Call) -> Response:
    """Add and remove tags of all jobs that match."""
    form = dash.form(call)
    add, remove = form.getlist('add_tag'), form.getlist('remove_tag')
    which = _filter(call)
    with call.store.write() as connection:
        ids = job_listing.row_ids(connection, which)
        for job in _jobs(call, ids):
            tags = spiders.retagged(job.tags, add, remove)
            if tags != job.tags:
                job_lifecycle.merge_metadata(connection, job, {'tags': tags})
    return dash.spaced({'count': len(ids), 'status': 'ok'})


def stop(call: Call) -> Response:
    """Cancel jobs."""
    which = _named(call)
    with call.store.write() as connection:
        found = list(_jobs(call, job_listing.row_ids(connection, which)))
        job_lifecycle.cancel(connection, found, user=call.identity.user, now=call.store.now())
    return dash.spaced({'status': 'ok'})


def delete(call: Call) -> Response:
    """Move jobs to the deleted state."""
    which = _named(call)
    with call.store.write() as connection:
        found = list(_jobs(call, job_listing.row_ids(connection, which)))
        for job in found:
            job_lifecycle.update(connection, job, {'state': 'deleted'}, user=call.identity.user, now=call.store.now())
    return dash.spaced({'status': 'ok', 'count': len(found)})


def _named(call: Call) -> JobFilter:
    """Read the filter of a call that must name its jobs: a forgotten parameter must not hit a whole project."""
    which = _filter(call)
    if which.keys is None:
        call.fail(400, 'parameter job is required')
    return which


ROUTES: list[tuple[str, tuple[str, ...], Callable[..., Response]]] = [
    ('/api/run.json', ('POST',), run),
    ('/api/schedule.json', ('POST',), run),
    ('/api/jobs/list.json', ('GET',), list_json),
    ('/api/jobs/list.jl', ('GET',), list_lines),
    ('/api/jobs/count.json', ('GET',), count),
    ('/api/jobs/update.json', ('POST',), update),
    ('/api/jobs/stop.json', ('POST',), stop),
    ('/api/jobs/delete.json', ('POST',), delete),
]
