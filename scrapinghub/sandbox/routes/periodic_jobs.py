"""Routes of ``projects/P/periodicjobs`` on the dash."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from scrapinghub.sandbox.routes._support import dash, parameters
from scrapinghub.sandbox.routes._support.call import Call
from scrapinghub.sandbox.server.response import Response
from scrapinghub.sandbox.store import periodic_jobs, spiders
from scrapinghub.sandbox.store.cron import Cron
from scrapinghub.sandbox.store.jobs import DEFAULT_PRIORITY
from scrapinghub.sandbox.store.periodic_jobs import SCRIPT, PeriodicJob
from scrapinghub.sandbox.store.validation import InvalidValue, storable

PAGE = 100
"""Default number of periodic jobs in one response."""
REQUIRED = ('cron', 'tasks')
LIST_METHODS = 'GET, POST, HEAD, OPTIONS'
METHODS = 'GET, PATCH, DELETE, HEAD, OPTIONS'


def list_all(call: Call, project: int) -> Response:
    """Return a page of periodic jobs."""
    offset, count = call.integer('offset') or 0, call.integer('count', minimum=1, default=PAGE) or PAGE
    connection = call.store.read()
    total = periodic_jobs.total(connection, project)
    found = periodic_jobs.of_project(connection, project, offset=offset, count=count)
    following = None
    if offset + count < total:
        following = f'{call.url(call.request.path)}?count={count}&offset={offset + count}'
    results = [_shown(call, periodic) for periodic in found]
    return dash.compact({'count': total, 'next': following, 'results': results}, LIST_METHODS)


def _shown(call: Call, periodic: PeriodicJob) -> dict[str, Any]:
    connection = call.store.read()
    tasks = []
    for task in periodic.tasks:
        spider = spiders.spider_id(connection, periodic.project, task['name'])
        tasks.append({**task, 'jobq_id': f'{periodic.project}/{spider}'})
    scripts = all(task['name'].startswith(SCRIPT) for task in periodic.tasks)
    return {
        'id': periodic.id,
        'disabled': periodic.disabled,
        'project': periodic.project,
        'tasks': tasks,
        'addtags': periodic.addtags,
        'type': 'script' if scripts else 'spider',
        'description': periodic.description,
        'cron': periodic.cron,
    }


def create(call: Call, project: int) -> Response:
    """Create a periodic job."""
    fields = {'addtags': [], 'description': '', 'disabled': False}
    body = parameters.one_object(call)
    errors = {name: ['This field is required'] for name in REQUIRED if name not in body}
    given, wrong = _checked(body)
    if errors or wrong:
        return dash.compact({**wrong, **errors}, LIST_METHODS, 400)
    with call.store.write() as connection:
        number = periodic_jobs.create(connection, project, fields | given, call.store.now())
    return dash.compact(_shown(call, _find(call, project, number)), LIST_METHODS, 201)


def _checked(body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return the valid fields of a body, and the errors of the others; unknown fields are ignored."""
    fields: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for name, check in CHECKS.items():
        if name in body:
            try:
                fields[name] = check(body[name])
            except InvalidValue as error:
                errors[name] = [str(error)]
    return fields, errors


def _cron(value: Any) -> str:
    text = _text(value)
    Cron.parse(text)
    return text


def _text(value: Any) -> str:
    if not isinstance(value, str) or not storable(value):
        raise InvalidValue('Expected a string')
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidValue('Expected true or false')
    return value


def _tags(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise InvalidValue('Expected an array of strings')
    return list(dict.fromkeys(map(_text, value)))


def _tasks(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value:
        raise InvalidValue('Expected a non-empty array of tasks')
    return [_task(task) for task in value]


def _task(task: Any) -> dict[str, Any]:
    if not isinstance(task, dict):
        raise InvalidValue('A task must be an object')
    name = task.get('name')
    if not isinstance(name, str) or name in ('', SCRIPT) or not storable(name):
        raise InvalidValue('The name of a task must be the name of a spider or script')
    priority = _given(task, 'priority', DEFAULT_PRIORITY)
    if not isinstance(priority, int) or isinstance(priority, bool) or not 0 <= priority <= 4:
        raise InvalidValue('The priority of a task must be an integer from 0 to 4')
    arguments = _given(task, 'spider_args', {})
    if not isinstance(arguments, dict) or any(isinstance(one, dict | list) for one in arguments.values()):
        raise InvalidValue('The spider_args of a task must be an object of strings')
    script_args = _given(task, 'script_args', '')
    if not isinstance(script_args, str):
        raise InvalidValue('The script_args of a task must be a string')
    return {'name': name, 'priority': priority, 'spider_args': arguments, 'script_args': script_args}


def _given(task: Mapping[str, Any], name: str, default: Any) -> Any:
    return default if task.get(name) is None else task[name]


CHECKS: dict[str, Callable[[Any], Any]] = {
    'cron': _cron,
    'tasks': _tasks,
    'addtags': _tags,
    'description': _text,
    'disabled': _flag,
}


def read(call: Call, project: int, number: int) -> Response:
    """Return one periodic job."""
    return dash.compact(_shown(call, _find(call, project, number)), METHODS)


def _find(call: Call, project: int, number: int) -> PeriodicJob:
    periodic = periodic_jobs.find(call.store.read(), project, number)
    if periodic is None:
        raise dash.not_found(METHODS)
    return periodic


def update(call: Call, project: int, number: int) -> Response:
    """Change the given fields of a periodic job."""
    _find(call, project, number)
    fields, errors = _checked(parameters.one_object(call))
    if errors:
        return dash.compact(errors, METHODS, 400)
    with call.store.write() as connection:
        periodic_jobs.update(connection, project, number, fields, call.store.now())
    return dash.compact(_shown(call, _find(call, project, number)), METHODS)


def delete(call: Call, project: int, number: int) -> Response:
    """Delete a periodic job."""
    _find(call, project, number)
    with call.store.write() as connection:
        periodic_jobs.delete(connection, number)
    return Response(204, headers={'Allow': METHODS})


ROUTES: list[tuple[str, tuple[str, ...], Callable[..., Response]]] = []
# The second path was used by clients of 2016 to 2018.
for _base in ('/api/projects/<int:project>/periodicjobs', '/api/v2/projects/<int:project>/periodicjobs'):
    ROUTES += [
        (_base, ('GET',), list_all),
        (_base, ('POST',), create),
        (f'{_base}/<int:number>', ('GET',), read),
        (f'{_base}/<int:number>', ('PATCH',), update),
        (f'{_base}/<int:number>', ('DELETE',), delete),
    ]
