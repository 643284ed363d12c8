"""The job queue, ``/jobq``: push, start, update, cancel, and all ways of listing jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scrapinghub.sandbox.routes._support import parameters
from scrapinghub.sandbox.routes._support.call import Call
from scrapinghub.sandbox.routes._support.services import queue_lines, queue_value
from scrapinghub.sandbox.server.response import Response
from scrapinghub.sandbox.store import job_lifecycle, job_listing, jobs
from scrapinghub.sandbox.store.job_listing import JobFilter
from scrapinghub.sandbox.store.jobs import Job
from scrapinghub.sandbox.store.validation import InvalidValue

CANCEL_LIMIT = 1000
"""Most keys in one cancel request."""
SUMMARY_LENGTH = 5


def push(call: Call, project: int) -> Response:
    """Create one job for each line."""
    answers: list[dict[str, Any]] = []
    with parameters.reject_invalid(call), call.store.write() as connection:
        for request in parameters.objects(call):
            fields = dict(request)
            job = job_lifecycle.create(
                connection,
                project,
                fields.pop('spider', None),
                fields,
                state=fields.pop('state', 'pending'),
                unique=fields.pop('unique', None),
                user=call.identity.user,
                now=call.store.now(),
            )
            if job is None:
                answers.append({'request': request, 'error': f'Active job exists with key {request["unique"]}'})
            else:
                answers.append({'key': job.key, 'auth': job.token})
    return queue_lines(answers)


def startjob(call: Call, project: int) -> Response:
    """Start the next pending job."""
    fields = parameters.one_object(call)
    if 'state' in fields:
        call.fail(400, 'startjob takes metadata, not a state')
    with parameters.reject_invalid(call), call.store.write() as connection:
        job = job_lifecycle.start_next(connection, project, fields, user=call.identity.user, now=call.store.now())
    if job is None:
        return queue_value(None)
    return queue_value({**job.metadata, 'key': job.key, 'auth': job.token})


def update(call: Call, project: int) -> Response:
    """Change states and metadata of jobs, or of all jobs of a spider."""
    answers: list[dict[str, Any]] = []
    with parameters.reject_invalid(call), call.store.write() as connection:
        for line in parameters.objects(call):
            fields = dict(line)
            key = fields.pop('key', None)
            numbers, spider = jobs.parse_key(key), jobs.parse_key(key, parts=2)
            if (numbers or spider or (None,))[0] != project:
                raise InvalidValue(f'key should be a job key or a spider key of project {project}, as {project}/1/2')
            user, now = call.identity.user, call.store.now()
            if spider is not None:
                # The jobs are read one state after the other; a list keeps those that move on from being met twice.
                members = list(jobs.of_spider(connection, *spider))
                answers += [
                    {'key': job.key, 'prevstate': job_lifecycle.update(connection, job, fields, user=user, now=now)}
                    for job in members
                ]
            elif (single := jobs.find(connection, key)) is not None:
                prevstate = job_lifecycle.update(connection, single, fields, user=user, now=now)
                answers.append({'prevstate': prevstate, 'key': single.key})
    return queue_lines(answers)


def cancel_one(call: Call, project: int, spider: int, number: int) -> Response:
    """Cancel one job."""
    return _cancelled(call, [f'{project}/{spider}/{number}'])


def cancel_many(call: Call, project: int) -> Response:
    """Cancel the jobs named in the body, or ``count`` jobs."""
    count = call.integer('count', minimum=1)
    if count is not None:
        if call.body().strip():
            call.fail(400, 'keys and count cannot be given together')
        with call.store.write() as connection:
            affected = job_lifecycle.cancel_next(
                connection, project, count, user=call.identity.user, now=call.store.now()
            )
        return queue_value({'count': affected})
    entries = call.json_value()
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        call.fail(400, 'the body should be a JSON array of objects, as [{"key": "1/2/3"}]')
    if len(entries) > CANCEL_LIMIT:
        call.fail(400, f'at most {CANCEL_LIMIT} jobs can be cancelled in one request')
    keys = [entry.get('key') for entry in entries]
    if not all(isinstance(key, str) for key in keys):
        call.fail(400, 'each entry should have a key, as {"key": "1/2/3"}')
    checked = parameters.job_keys(call, 'key', keys, project)
    return _cancelled(call, list(checked or ()))


def _cancelled(call: Call, keys: list[str]) -> Response:
    with call.store.write() as connection:
        found = (jobs.find(connection, key) for key in dict.fromkeys(keys))
        chosen = [job for job in found if job is not None]
        affected = job_lifecycle.cancel(connection, chosen, user=call.identity.user, now=call.store.now())
    return queue_value({'count': affected})


def list_jobs(call: Call, project: int) -> Response:
    """List jobs, the newest first."""
    which = parameters.queue_filter(call, project)
    count = min(call.integer('count', default=job_listing.PAGE) or 0, job_listing.PAGE)
    connection = call.store.read()
    found = job_listing.page(connection, which, start=call.integer('start') or 0, count=count)
    return queue_lines(_shown(call, found))


def count_jobs(call: Call, project: int) -> Response:
    """Count jobs."""
    return queue_value(job_listing.total(call.store.read(), parameters.queue_filter(call, project)))


def summary(call: Call, project: int, spider: int | None = None, state: str | None = None) -> Response:
    """Return the number of jobs in each state and the newest of them."""
    start, count = call.integer('start') or 0, call.integer('count', default=SUMMARY_LENGTH) or 0
    connection = call.store.read()
    lines = []
    for name in jobs.LIVING if state is None else (parameters.state(call, state),):
        which = JobFilter(project, states=(name,), spider_id=spider)
        newest = job_listing.page(connection, which, start=start, count=min(count, job_listing.PAGE))
        lines.append({'count': job_listing.total(connection, which), 'summary': _shown(call, newest), 'name': name})
    return queue_lines(lines)


def jobsummary(call: Call, project: int) -> Response:
    """Return the jobs with the given keys, in the order of the keys."""
    keys = parameters.job_keys(call, 'key', call.args().getlist('key'), project)
    found = (jobs.find(call.store.read(), key) for key in keys or ())
    return queue_lines(_shown(call, [job for job in found if job is not None]))


def _shown(call: Call, found: list[Job]) -> list[dict[str, Any]]:
    fields = call.args().getlist('jobmeta')
    return job_listing.summaries(call.store.read(), found, now=call.store.now(), fields=fields)


ROUTES: list[tuple[str, tuple[str, ...], Callable[..., Response]]] = [
    ('/jobq/<int:project>/push', ('POST',), push),
    ('/jobq/<int:project>/startjob', ('POST',), startjob),
    ('/jobq/<int:project>/update', ('POST',), update),
    ('/jobq/<int:project>/cancel', ('POST',), cancel_many),
    ('/jobq/<int:project>/<int:spider>/<int:number>/cancel', ('POST',), cancel_one),
    ('/jobq/<int:project>/list', ('GET',), list_jobs),
    ('/jobq/<int:project>/count', ('GET',), count_jobs),
    ('/jobq/<int:project>/summary', ('GET',), summary),
    ('/jobq/<int:project>/summary/<state>', ('GET',), summary),
    ('/jobq/<int:project>/<int:spider>/summary', ('GET',), summary),
    ('/jobq/<int:project>/<int:spider>/summary/<state>', ('GET',), summary),
    ('/jobq/<int:project>/jobsummary', ('GET',), jobsummary),
]
