"""Routes of ``/activity``: events of projects."""

from __future__ import annotations

from typing import Any

from scrapinghub.sandbox.routes._support import parameters
from scrapinghub.sandbox.routes._support.call import Call
from scrapinghub.sandbox.routes._support.formats import Style, records_response
from scrapinghub.sandbox.routes._support.posted_records import parse_lines
from scrapinghub.sandbox.routes._support.services import storage_empty
from scrapinghub.sandbox.server.response import Response
from scrapinghub.sandbox.store import activity

STYLE = Style(msgpack=False)


def post(call: Call, project: int) -> Response:
    """Store posted events."""
    events: list[dict[str, Any]] = []
    for number, event in parse_lines(call):
        if not isinstance(event, dict):
            call.fail(400, f'Error parsing data, line {number}: an event must be an object')
        events.append(event)
    try:
        with call.store.write() as connection:
            activity.append(connection, project, events, call.store.now())
    except ValueError as error:
        call.fail(400, f'Error parsing data, {error}')
    return storage_empty()


def read(call: Call, project: int) -> Response:
    """Return the events of a project, newest first."""
    options = parameters.read_options(call)
    pages = activity.pages(call.store, [project], options)
    return records_response(call, options.apply(pages), STYLE, project=project)


def read_projects(call: Call) -> Response:
    """Return the events of several projects together, newest first."""
    projects = [call.parse_integer('p', text) for text in call.args().getlist('p')]
    if not projects:
        call.fail(400, 'p is needed: the id of a project; repeat it for several')
    for project in projects:
        call.require_project(project)
    options = parameters.read_options(call)
    pages = activity.pages(call.store, projects, options, call.integer('pcount'))
    return records_response(call, options.apply(pages), STYLE, project=0, project_of=lambda row: int(row[0]))


ROUTES = [
    ('/activity/projects', ('GET',), read_projects),
    ('/activity/<int:project>', ('GET',), read),
    ('/activity/<int:project>', ('POST',), post),
]
