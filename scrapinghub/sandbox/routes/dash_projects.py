"""Projects, spiders, deployed code and reports on the dash; and its calls that the sandbox does not imitate."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from scrapinghub.sandbox.routes import dash_form as dashform
from scrapinghub.sandbox.routes import params
from scrapinghub.sandbox.server.http import Call, Reply
from scrapinghub.sandbox.store import jobs, spiders
from scrapinghub.sandbox.store.projects import project_ids
from scrapinghub.sandbox.store.spiders import Spider

SCHEMA = """
CREATE TABLE IF NOT EXISTS eggs (
    project INTEGER NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (project, name)
);
CREATE TABLE IF NOT EXISTS reports (
    job TEXT NOT NULL,
    key TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (job, key)
);
"""

INTERNAL_IDS = 1_000_000
"""What the dash's own ids of spiders begin with, so that they are never taken for the queue's ids."""
REPORT_TYPES = ('text/plain', 'text/x-rst')


def list_projects(call: Call) -> Reply:
    """List the projects."""
    return dashform.spaced({'projects': project_ids(call.store.read()), 'status': 'ok'})


def list_spiders(call: Call) -> Reply:
    """List the spiders of a project."""
    project = dashform.project(call)
    wanted = dashform.form(call).getlist('spider')
    shown = [
        {'version': spider.version, 'tags': spider.tags, 'id': spider.name, 'type': 'manual'}
        for spider in spiders.of_project(call.store.read(), project)
        if not wanted or spider.name in wanted
    ]
    return dashform.spaced({'spiders': shown, 'status': 'ok'})


def read_spider(call: Call, project: int, number: int) -> Reply:
    """Show one spider."""
    spider = spiders.find(call.store.read(), project, number)
    if spider is None:
        return _no_spider('GET, PUT, PATCH, HEAD, OPTIONS')
    return dashform.compact(_shown(spider), 'GET, PUT, PATCH, HEAD, OPTIONS')


def tag_spider(call: Call, project: int, number: int) -> Reply:
    """Add and remove tags of one spider."""
    body = params.one_object(call)
    add, remove = ([] if body.get(name) is None else body[name] for name in ('add', 'remove'))
    wrong = {
        name: ['Expected a list of strings.']
        for name, tags in (('add', add), ('remove', remove))
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags)
    }
    if not wrong and not add and not remove:
        wrong = {'non_field_errors': ['At least one of "add" or "remove" arguments must not be empty']}
    if wrong:
        return dashform.compact(wrong, 'PATCH, OPTIONS', 400)
    with call.store.write() as connection:
        spider = spiders.find(connection, project, number)
        if spider is not None:
            spider = spiders.retag(connection, spider, add, remove, call.store.now())
    return _no_spider('PATCH, OPTIONS') if spider is None else dashform.compact(_shown(spider), 'PATCH, OPTIONS')


def _no_spider(allow: str) -> Reply:
    return dashform.compact({'detail': 'Not found.'}, allow, 404)


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


def add_egg(call: Call) -> Reply:
    """Store an egg under its name; an earlier version goes."""
    project = dashform.project(call)
    name, version = dashform.text(call, 'name'), dashform.text(call, 'version')
    content = dashform.uploaded(call, 'egg').read()
    with call.store.write() as connection:
        connection.execute('INSERT OR REPLACE INTO eggs VALUES (?, ?, ?, ?)', (project, name, version, content))
    return dashform.spaced({'status': 'ok', 'egg': {'name': name, 'version': version}})


def list_eggs(call: Call) -> Reply:
    """List the eggs of a project by name."""
    rows = call.store.read().execute(
        'SELECT name, version FROM eggs WHERE project = ? ORDER BY name', (dashform.project(call),)
    )
    return dashform.spaced({'status': 'ok', 'eggs': [{'name': name, 'version': version} for name, version in rows]})


def delete_egg(call: Call) -> Reply:
    """Delete an egg; an absent one is fine."""
    project, name = dashform.project(call), dashform.text(call, 'name')
    with call.store.write() as connection:
        connection.execute('DELETE FROM eggs WHERE project = ? AND name = ?', (project, name))
    return dashform.spaced({'status': 'ok'})


def add_version(call: Call) -> Reply:
    """Take deployed code: its version is remembered, the code itself is never run."""
    project, version = dashform.project(call), dashform.text(call, 'version')
    dashform.uploaded(call, 'egg')
    with call.store.write() as connection:
        spiders.set_version(connection, project, version)
        known = len(spiders.of_project(connection, project))
    return dashform.spaced({'status': 'ok', 'project': project, 'version': version, 'spiders': known})


def add_report(call: Call) -> Reply:
    """Store a report of a job under its key."""
    project, key = dashform.project(call), dashform.text(call, 'key')
    job = jobs.find(call.store.read(), dashform.text(call, 'job'))
    if job is None or job.project != project:
        call.fail(400, f'job should be the key of a job of project {project}')
    content_type = dashform.form(call).get('content_type', REPORT_TYPES[0])
    if content_type not in REPORT_TYPES:
        call.fail(400, f'content_type should be one of {", ".join(REPORT_TYPES)}')
    content = dashform.uploaded(call, 'content').read()
    with call.store.write() as connection:
        connection.execute('INSERT OR REPLACE INTO reports VALUES (?, ?, ?, ?)', (job.key, key, content_type, content))
    return dashform.spaced({'status': 'ok'})


def not_imitated(call: Call, path: str = '') -> Reply:
    """Refuse a call of Portia or of comments by its name."""
    name = call.request.path.removeprefix('/api/')
    call.fail(501, f'{name} is not part of the sandbox: it imitates neither Portia nor comments')


ROUTES: list[tuple[str, tuple[str, ...], Callable[..., Reply]]] = [
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
