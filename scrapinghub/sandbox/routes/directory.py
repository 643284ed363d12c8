"""Ids, last jobs of spiders, project summaries, settings and bot groups: ``/ids /spiders /projects /botgroups``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scrapinghub.sandbox.routes._support import parameters
from scrapinghub.sandbox.routes._support.call import Call
from scrapinghub.sandbox.routes._support.services import queue_empty, queue_lines, queue_value
from scrapinghub.sandbox.server.response import Response
from scrapinghub.sandbox.store import job_listing, jobs, settings, spiders
from scrapinghub.sandbox.store.projects import project_ids
from scrapinghub.sandbox.store.validation import MAX_ID

STORED = 'text/plain; charset=utf-8'
"""Content type of the empty answer to a write of settings, as recorded."""


def spider_id(call: Call, project: int, name: str) -> Response:
    """Return the id of a spider, null when there is none; ``create`` makes one."""
    known = spiders.spider_id(call.store.read(), project, name)
    if known is None and call.flag('create'):
        with parameters.reject_invalid(call), call.store.write() as connection:
            known = spiders.ensure_spider(connection, project, name, call.store.now())
    return queue_value(known)


def last_jobs(call: Call, project: int, spider: int | None = None) -> Response:
    """Return the most recent finished job of each spider."""
    count = call.integer('count', default=job_listing.PAGE) or 0
    first = max(_spider_number(call, 'start', project), _spider_number(call, 'startafter', project) + 1)
    connection = call.store.read()
    found = job_listing.last_finished(
        connection, project, spider=spider, first=first, count=min(count, job_listing.PAGE)
    )
    return queue_lines(
        job_listing.summaries(connection, found, now=call.store.now(), fields=call.args().getlist('jobmeta'))
    )


def _spider_number(call: Call, name: str, project: int) -> int:
    """Read a spider's place in the order of spiders: its id, its key, or the key of one of its jobs."""
    given = call.args().get(name)
    if given is None:
        return -1
    for parts in (1, 2, 3):
        numbers = jobs.parse_key(given, parts)
        if numbers is not None and (parts == 1 or numbers[0] == project):
            return numbers[0 if parts == 1 else 1]
    call.fail(400, f'{name} should be a spider id, a spider key or a job key of project {project}')


def all_summaries(call: Call) -> Response:
    """Count the jobs of every project."""
    counted = parameters.states(call, ())
    connection = call.store.read()
    return queue_value([_counts(call, project, counted) for project in project_ids(connection)])


def _counts(call: Call, project: int, counted: tuple[str, ...] = ()) -> dict[str, Any]:
    counts = job_listing.state_counts(call.store.read(), project)
    shown = {state: counts[state] for state in counts if not counted or state in counted}
    return {'project': project, 'has_capacity': True, **shown}


def project_summary(call: Call, project: int) -> Response:
    """Count the jobs and running units of one project."""
    units = job_listing.running_units(call.store.read(), project)
    return queue_value({**_counts(call, project), 'running_units_count': units, 'pending_units_max': None})


def read_settings(call: Call, project: int) -> Response:
    """Return all settings."""
    return queue_value(settings.read_all(call.store.read(), project))


def read_setting(call: Call, project: int, name: str) -> Response:
    """Return one setting, null when there is none."""
    return queue_value(settings.read_all(call.store.read(), project).get(name))


def write_settings(call: Call, project: int) -> Response:
    """Merge settings."""
    values = parameters.one_object(call)
    with parameters.reject_invalid(call), call.store.write() as connection:
        settings.merge(connection, project, values)
    return queue_empty(STORED)


def delete_setting(call: Call, project: int, name: str) -> Response:
    """Delete one setting; an absent one is fine."""
    with call.store.write() as connection:
        settings.delete(connection, project, name)
    return queue_empty(STORED)


def delete_botgroup(call: Call, name: str) -> Response:
    """Forget a bot group; an absent one is fine."""
    with call.store.write() as connection:
        settings.delete_botgroup(connection, name)
    return queue_value(None)


def set_max_running(call: Call, name: str) -> Response:
    """Limit the running jobs of a bot group; null is no limit."""
    limit = call.json_value()
    if limit is not None and not (isinstance(limit, int) and not isinstance(limit, bool) and 0 <= limit <= MAX_ID):
        call.fail(400, 'max_running should be null or an integer from 0')
    with call.store.write() as connection:
        settings.set_max_running(connection, name, limit)
    return queue_value(None)


ROUTES: list[tuple[str, tuple[str, ...], Callable[..., Response]]] = [
    ('/ids/<int:project>/spider/<path:name>', ('GET',), spider_id),
    ('/spiders/<int:project>/lastjobsummary', ('GET',), last_jobs),
    ('/spiders/<int:project>/<int:spider>/lastjobsummary', ('GET',), last_jobs),
    ('/projects/jobsummaries', ('GET',), all_summaries),
    ('/projects/<int:project>/jobsummary', ('GET',), project_summary),
    ('/projects/<int:project>/settings', ('GET',), read_settings),
    ('/projects/<int:project>/settings', ('POST',), write_settings),
    ('/projects/<int:project>/settings/<path:name>', ('GET',), read_setting),
    ('/projects/<int:project>/settings/<path:name>', ('DELETE',), delete_setting),
    ('/botgroups/<name>', ('DELETE',), delete_botgroup),
    ('/botgroups/<name>/max_running', ('POST',), set_max_running),
]
