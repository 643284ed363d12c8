"""Projects, spiders, deployed code and reports on the dash; and its calls that the sandbox does not imitate."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from scrapinghub.sandbox.routes._support import dash, parameters
from scrapinghub.sandbox.routes._support.call import Call
from scrapinghub.sandbox.server.response import Response
from scrapinghub.sandbox.store import deployments, jobs, spiders
from scrapinghub.sandbox.store.projects import project_ids
from scrapinghub.sandbox.store.spiders import Spider

INTERNAL_IDS = 1_000_000
"""What the dash's own ids of spiders begin with, so that they are never taken for the queue's ids."""
REPORT_TYPES = ('text/plain', 'text/x-rst')


def list_projects(call: Call) -> Response:
    """List the projects."""
    return dash.spaced({'projects': project_ids(call.store.read()), 'status': 'ok'})


def list_spiders(call: Call) -> Response:
    """List the spiders of a project."""
    project = dash.project(call)
    wanted = dash.form(call).getlist('spider')
    shown = [
        {'version': spider.version, 'tags': spider.tags, 'id': spider.name, 'type': 'manual'}
        for spider in spiders.of_project(call.store.read(), project)
        if not wanted or spider.name in wanted
    ]
    return dash.spaced({'spiders': shown, 'status': 'ok'})


def read_spider(call: Call, project: int, number: int) -> Response:
    """Return one spider."""
    spider = spiders.find(call.store.read(), project, number)
    if spider is None:
        return _no_spider('GET, PUT, PATCH, HEAD, OPTIONS')
    return dash.compact(_shown(spider), 'GET, PUT, PATCH, HEAD, OPTIONS')


def tag_spider(call: Call, project: int, number: int) -> Response:
    """Add and remove tags of one spider."""
    body = parameters.one_object(call)
    add, remove = ([] if body.get(name) is None else body[name] for name in ('add', 'remove'))
    wrong = {
        name: ['Expected a list of strings.']
        for name, tags in (('add', add), ('remove', remove))
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags)
    }
    if not wrong and not add and not remove:
        wrong = {'non_field_errors': ['At least one of "add" or "remove" arguments must not be empty']}
    if wrong:
        return dash.compact(wrong, 'PATCH, OPTIONS', 400)
    with call.store.write() as connection:
        spider = spiders.find(connection, project, number)
        if spider is not None:
            spider = spiders.retag(connection, spider, add, remove, call.store.now())
    return _no_spider('PATCH, OPTIONS') if spider is None else dash.compact(_shown(spider), 'PATCH, OPTIONS')


def _no_spider(allow: str) -> Response:
    return dash.compact({'detail': 'Not found.'}, allow, 404)


def _shown(spider: Spider) -> dict[str, Any]:
    return {
        'default_kumo_units': None,
        'tags': spider.tags,
        'settings': {},
        'id': INTERNAL_IDS + spider.id,
        'name': spider.name,
        'jobq_id': spider.id,
        'stats': {},
        'type': 'manual',
        'archived': False,
        'deleted': False,
        'version': spider.version,
        'created_at': _moment(spider.created),
        'modified_at': _moment(spider.modified),
        'project': {'id': spider.project, 'name': f'Project {spider.project}'},
        'avg_item_count': None,
        'avg_response_count': None,
        'avg_runtime': None,
        'fields_count': {},
        'first_run': None,
        'last_error_count': None,
        'last_item_count': None,
        'last_job_id': None,
        'last_outcome': None,
        'last_response_count': None,
        'last_run': None,
    }


def _moment(milliseconds: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=milliseconds)
    return moment.strftime('%Y-%m-%dT%H:%M:%S.%fZ')


def add_egg(call: Call) -> Response:
    """Store an egg under its name; an earlier version goes."""
    project = dash.project(call)
    name, version = dash.text(call, 'name'), dash.text(call, 'version')
    content = dash.uploaded(call, 'egg').read()
    with call.store.write() as connection:
        deployments.add_egg(connection, project, name, version, content)
    return dash.spaced({'status': 'ok', 'egg': {'name': name, 'version': version}})


def list_eggs(call: Call) -> Response:
    """List the eggs of a project by name."""
    eggs = deployments.eggs(call.store.read(), dash.project(call))
    return dash.spaced({'status': 'ok', 'eggs': [{'name': name, 'version': version} for name, version in eggs]})


def delete_egg(call: Call) -> Response:
    """Delete an egg; an absent one is fine."""
    project, name = dash.project(call), dash.text(call, 'name')
    with call.store.write() as connection:
        deployments.delete_egg(connection, project, name)
    return dash.spaced({'status': 'ok'})


def add_version(call: Call) -> Response:
    """Take deployed code: its version is remembered, the code itself is never run."""
    project, version = dash.project(call), dash.text(call, 'version')
    dash.uploaded(call, 'egg')
    with call.store.write() as connection:
        deployments.set_version(connection, project, version)
        known = len(spiders.of_project(connection, project))
    return dash.spaced({'status': 'ok', 'project': project, 'version': version, 'spiders': known})


def add_report(call: Call) -> Response:
    """Store a report of a job under its key."""
    project, key = dash.project(call), dash.text(call, 'key')
    job = jobs.find(call.store.read(), dash.text(call, 'job'))
    if job is None or job.project != project:
        call.fail(400, f'job should be the key of a job of project {project}')
    content_type = dash.form(call).get('content_type', REPORT_TYPES[0])
    if content_type not in REPORT_TYPES:
        call.fail(400, f'content_type should be one of {", ".join(REPORT_TYPES)}')
    content = dash.uploaded(call, 'content').read()
    with call.store.write() as connection:
        deployments.add_report(connection, job.key, key, content_type, content)
    return dash.spaced({'status': 'ok'})


def not_imitated(call: Call, path: str = '') -> Response:
    """Refuse a call of Portia or of comments by its name."""
    name = call.request.path.removeprefix('/api/')
    call.fail(501, f'{name} is not part of the sandbox: it imitates neither Portia nor comments')


ROUTES: list[tuple[str, tuple[str, ...], Callable[..., Response]]] = [
    ('/api/scrapyd/listprojects.json', ('GET',), list_projects),
    ('/api/scrapyd/addversion.json', ('POST',), add_version),
    ('/api/spiders/list.json', ('GET',), list_spiders),
    ('/api/v2/projects/<int:project>/spiders/<int:number>', ('GET',), read_spider),
    ('/api/v2/projects/<int:project>/spiders/<int:number>/tags', ('PATCH',), tag_spider),
    ('/api/eggs/add.json', ('POST',), add_egg),
    ('/api/eggs/list.json', ('GET',), list_eggs),
    ('/api/eggs/delete.json', ('POST',), delete_egg),
    ('/api/reports/add.json', ('POST',), add_report),
    ('/api/as/project-slybot.zip', ('GET',), not_imitated),
    ('/api/as/spider-properties.json', ('GET', 'POST'), not_imitated),
    ('/api/comments/<path:path>', ('GET', 'POST', 'PUT', 'DELETE'), not_imitated),
]
