"""Spiders on the dash: ``spiders/list.json`` and ``v2/projects/P/spiders``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

from scrapinghub.sandbox.routes._support import dash, parameters
from scrapinghub.sandbox.routes._support.call import Call
from scrapinghub.sandbox.server.response import Response
from scrapinghub.sandbox.store import job_listing, spiders
from scrapinghub.sandbox.store.spiders import Spider

INTERNAL_IDS = 1_000_000
"""Offset of the ids that the dash itself gives to spiders, which differ from the ids of the queue."""
PAGE = 100
MAX_PAGE = 1000
ORDERINGS = ('name', '-last_run')
METHODS = 'GET, PUT, PATCH, HEAD, OPTIONS'


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


def list_pages(call: Call, project: int) -> Response:
    """Return a page of the spiders of a project."""
    args, connection = call.args(), call.store.read()
    ordering = args.get('ordering', 'name')
    if ordering not in ORDERINGS:
        call.fail(400, f'ordering should be one of {", ".join(ORDERINGS)}')
    search = args.get('search', '').casefold()
    page = call.integer('page', minimum=1, default=1) or 1
    size = min(call.integer('page_size', minimum=1, default=PAGE) or PAGE, MAX_PAGE)
    # No spider of the sandbox is archived.
    found = [] if call.flag('archived') else spiders.of_project(connection, project)
    found = sorted((spider for spider in found if search in spider.name.casefold()), key=lambda spider: spider.name)
    if ordering == '-last_run':
        last = {job.spider_id: job.ts for job in job_listing.last_finished(connection, project)}
        found.sort(key=lambda spider: last.get(spider.id, -1), reverse=True)
    shown = found[(page - 1) * size : page * size]
    following = None
    if page * size < len(found):
        query = [pair for pair in args.items(multi=True) if pair[0] not in ('page', 'apikey')]
        following = f'{call.url(call.request.path)}?{urlencode([*query, ("page", page + 1)])}'
    return dash.compact({'count': len(found), 'next': following, 'results': [*map(_shown, shown)]}, METHODS)


def read_spider(call: Call, project: int, number: int) -> Response:
    """Return one spider."""
    spider = spiders.find(call.store.read(), project, number)
    if spider is None:
        raise dash.not_found(METHODS)
    return dash.compact(_shown(spider), METHODS)


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
        if spider is None:
            raise dash.not_found('PATCH, OPTIONS')
        spider = spiders.retag(connection, spider, add, remove, call.store.now())
    return dash.compact(_shown(spider), 'PATCH, OPTIONS')


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
        'project': {'id': spider.project, 'name': dash.project_name(spider.project)},
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


ROUTES: list[tuple[str, tuple[str, ...], Callable[..., Response]]] = [
    ('/api/spiders/list.json', ('GET',), list_spiders),
    ('/api/v2/projects/<int:project>/spiders', ('GET',), list_pages),
    ('/api/v2/projects/<int:project>/spiders/<int:number>', ('GET',), read_spider),
    ('/api/v2/projects/<int:project>/spiders/<int:number>/tags', ('PATCH',), tag_spider),
]
