"""Users, projects, deployed code and reports on the dash; and its calls that the sandbox does not support."""

from __future__ import annotations

from collections.abc import Callable

from scrapinghub.sandbox.routes._support import dash
from scrapinghub.sandbox.routes._support.call import Call
from scrapinghub.sandbox.server.response import Response
from scrapinghub.sandbox.store import deployments, jobs, settings, spiders
from scrapinghub.sandbox.store.projects import project_ids

REPORT_TYPES = ('text/plain', 'text/x-rst')


def read_user(call: Call) -> Response:
    """Return the user of the API key."""
    user = call.identity.user
    return dash.compact({'id': 1, 'username': user, 'email': f'{user}@sandbox.example'}, 'GET, HEAD, OPTIONS')


def list_projects(call: Call) -> Response:
    """List the projects."""
    return dash.spaced({'projects': project_ids(call.store.read()), 'status': 'ok'})


def read_project(call: Call, project: int) -> Response:
    """Return one project."""
    version = deployments.version(call.store.read(), project)
    return dash.compact({'id': project, 'name': dash.project_name(project), 'version': version}, 'GET, HEAD, OPTIONS')


def read_settings(call: Call) -> Response:
    """Return the settings of a project in the form that tools for deployment read."""
    project = dash.project(call)
    return dash.spaced(
        {
            'status': 'ok',
            'project_settings': settings.read_all(call.store.read(), project),
            'organization_settings': {},
            'enabled_addons': [],
        }
    )


def add_egg(call: Call) -> Response:
    """Store an egg under its name, in place of an earlier version."""
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
    """Delete an egg, if it exists."""
    project, name = dash.project(call), dash.text(call, 'name')
    with call.store.write() as connection:
        deployments.delete_egg(connection, project, name)
    return dash.spaced({'status': 'ok'})


def add_version(call: Call) -> Response:
    """Store the version of deployed code; the code itself is not stored."""
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


def unsupported(call: Call) -> Response:
    """Refuse a call of Portia."""
    call.fail(501, f'{call.request.path.removeprefix("/api/")} is not supported: the sandbox does not include Portia')


ROUTES: list[tuple[str, tuple[str, ...], Callable[..., Response]]] = [
    ('/api/v2/users/me', ('GET',), read_user),
    ('/api/v2/projects/<int:project>', ('GET',), read_project),
    ('/api/scrapyd/listprojects.json', ('GET',), list_projects),
    ('/api/scrapyd/addversion.json', ('POST',), add_version),
    ('/api/settings/get.json', ('GET',), read_settings),
    ('/api/eggs/add.json', ('POST',), add_egg),
    ('/api/eggs/list.json', ('GET',), list_eggs),
    ('/api/eggs/delete.json', ('POST',), delete_egg),
    ('/api/reports/add.json', ('POST',), add_report),
    ('/api/as/project-slybot.zip', ('GET',), unsupported),
    ('/api/as/spider-properties.json', ('GET', 'POST'), unsupported),
]
