"""The page at ``/`` for browsers, which shows the data of the projects."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from werkzeug.wrappers import Request

from scrapinghub.sandbox.server.local_client import LocalCallError, LocalClient, segment
from scrapinghub.sandbox.server.response import Response
from scrapinghub.sandbox.server.routing import Route
from scrapinghub.sandbox.store.jobs import parse_key
from scrapinghub.sandbox.web.layout import page
from scrapinghub.sandbox.web.markup import Child, Markup, join, table, tag
from scrapinghub.sandbox.web.site import plain_text
from scrapinghub.sandbox.web.tables import (
    STATES,
    badge,
    collection_table,
    comment_table,
    compact,
    counted,
    event_table,
    frontier_table,
    job_table,
    latest,
    link,
    log_table,
    moment,
    periodic_table,
    record_table,
    request_table,
    sample_table,
    section,
    spider_table,
    state_links,
)

#: Numbers of rows: jobs of a project on the overview, jobs on a page of jobs, and so on.
JOBS = 25
JOBS_PAGE = 100
EVENTS = 12
RECORDS = 50
LINES = 100
QUEUED = 500


class Page:
    """The page of one sandbox.

    Args:
        client: A client of the Scrapy Cloud API of the sandbox.
    """

    def __init__(self, client: LocalClient) -> None:
        self._client = client

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [('/', ('GET',), self.show), ('/p/<path:key>', ('GET',), self.redirect)]

    def show(self, request: Request) -> Response:
        """Return the overview, or the details that the query names."""
        if 'text/html' not in request.headers.get('Accept', ''):
            return plain_text(501, f'The sandbox does not know GET {request.path}; it serves a page for browsers there')
        query = request.args
        try:
            if 'job' in query:
                return job_page(self._client, query['job'])
            if 'collection' in query:
                return collection_page(
                    self._client, query.get('project', ''), query.get('type', ''), query['collection']
                )
            if 'slot' in query:
                return slot_page(self._client, query.get('project', ''), query.get('frontier', ''), query['slot'])
            if 'project' in query:
                return jobs_page(
                    self._client,
                    query['project'],
                    state=query.get('state'),
                    spider=query.get('spider'),
                    start=query.get('start', 0, type=int),
                )
        except LocalCallError as error:
            return missing(str(error))
        return self._overview()

    def redirect(self, request: Request, key: str) -> Response:
        """Redirect the URL of a job or project in the web interface of Scrapy Cloud to its page here."""
        parts = key.split('/')
        query = {'job': '/'.join(parts[:3])} if len(parts) >= 3 else {'project': parts[0]}
        return Response(302, headers={'Location': f'/?{urlencode(query)}'})

    def _overview(self) -> Response:
        projects = self._client.value('/api/scrapyd/listprojects.json')['projects']
        if not projects:
            hint = 'There is no project yet. A project is created when a program uses its id.'
            return page('Scrapy Cloud sandbox', tag('section', tag('p', hint, class_='empty')))
        return page('Scrapy Cloud sandbox', *(self._project(project) for project in projects))

    def _project(self, project: int) -> Markup:
        totals = {state: self._client.value(f'/jobq/{project}/count', state=state) for state in STATES}
        jobs = self._client.lines(f'/jobq/{project}/list', state=list(STATES), count=JOBS)
        spiders = self._client.value('/api/spiders/list.json', project=project)['spiders']
        events = self._client.lines(f'/activity/{project}', count=EVENTS, meta='_ts')
        collections = self._client.lines(f'/collections/{project}/list')
        periodic = self._client.value(f'/api/projects/{project}/periodicjobs', count=EVENTS)['results']
        more = sum(totals.values()) - len(jobs)
        return join(
            tag('h2', f'Project {project}'),
            section(
                'Jobs', job_table(jobs), join(state_links(project, totals), f'; the latest {JOBS}' if more else '')
            ),
            tag(
                'div',
                section('Spiders', spider_table(self._client, project, spiders)),
                section('Collections', collection_table(self._client, project, collections)),
                section('Frontiers', frontier_table(self._client, project)),
                section('Periodic jobs', periodic_table(periodic)),
                class_='several',
            ),
            section('Activity', event_table(events), 'newest first'),
        )


def jobs_page(client: LocalClient, project: str, *, state: str | None, spider: str | None, start: int) -> Response:
    """List the jobs of a project, newest first, in pages."""
    only = {} if spider is None else {'spider': spider}
    path = f'/jobq/{segment(project)}'
    totals = {name: client.value(f'{path}/count', state=name, **only) for name in STATES}
    states = [state] if state is not None else list(STATES)
    total = sum(totals.get(name, 0) for name in states)
    start = max(0, start)
    jobs = client.lines(f'{path}/list', state=states, start=start, count=JOBS_PAGE, **only)
    shown = f'{start + 1} to {start + len(jobs)} of {total}, newest first' if jobs else ''
    query = {'project': project, **only, **({} if state is None else {'state': state})}
    newer = link('newer', **query, start=max(0, start - JOBS_PAGE)) if start else None
    older = link('older', **query, start=start + JOBS_PAGE) if start + len(jobs) < total and jobs else None
    kind = '' if state is None else f'{state} '
    title = f'{kind}jobs of spider {spider}' if spider is not None else f'{kind}jobs'
    return page(
        f'Jobs of project {project}',
        tag('h2', title[0].upper() + title[1:]),
        tag('p', 'in project ', tag('a', project, href='/'), ': ', state_links(project, totals, **only)),
        section('Jobs', job_table(jobs), shown),
        tag('nav', newer, older),
    )


def job_page(client: LocalClient, key: str) -> Response:
    """Show one job and its latest records."""
    if parse_key(key) is None:
        return missing(f'{key} is not a job key. A job key is project/spider/number, such as 123/1/2.')
    found = client.lines(f'/jobs/{key}')
    if not found:
        return missing(f'There is no job {key}.')
    meta = found[0]
    facts: list[tuple[Child, ...]] = [
        (name, moment(value) if name.endswith('_time') else compact(value)) for name, value in sorted(meta.items())
    ]
    state = str(meta['state'])
    items = tail(client, key, 'items', RECORDS)
    logs = tail(client, key, 'logs', LINES)
    requests = tail(client, key, 'requests', RECORDS)
    samples = client.lines(f'/samples/{key}')
    return page(
        f'Job {key}',
        tag('h2', f'Job {key} ', badge(state, state)),
        tag('p', f'{meta["spider"]} in project ', tag('a', key.partition('/')[0], href='/')),
        section('Metadata', table(('field', 'value'), facts, 'No metadata.')),
        section('Items', record_table(items[1]), latest(*items)),
        section('Comments', comment_table(client.value(f'/api/comments/{key}'))),
        section('Log', log_table(logs[1]), latest(*logs)),
        section('Requests', request_table(requests[1]), latest(*requests)),
        section('Samples', sample_table(samples[-RECORDS:]), latest(len(samples), samples[-RECORDS:])),
    )


def tail(client: LocalClient, key: str, kind: str, count: int) -> tuple[int, list[tuple[int, Any]]]:
    """Return how many records a job has, and the last of them with their numbers, the newest first."""
    total = client.value(f'/{kind}/{key}/stats')['totals']['input_values']
    # Numbers need not be without gaps, so the count alone does not say where the last ones are.
    first = max(0, total - count)
    lines = client.lines(f'/{kind}/{key}', start=f'{key}/{first}', meta='_key')[-count:]
    return total, [(int(str(line.pop('_key')).rpartition('/')[2]), line) for line in reversed(lines)]


def collection_page(client: LocalClient, project: str, kind: str, name: str) -> Response:
    """Show the first records of a collection."""
    path = f'/collections/{segment(project)}/{segment(kind)}/{segment(name)}'
    total = counted(client.value(f'{path}/count'))
    records = client.lines(path, count=LINES, meta=['_key', '_ts'])
    rows: list[tuple[Child, ...]] = [
        (tag('code', str(record.pop('_key')), class_='name'), moment(record.pop('_ts')), compact(record))
        for record in records
    ]
    return page(
        f'Collection {name}',
        tag('h2', f'Collection {name} ', badge(kind, 'tag')),
        tag('p', 'in project ', tag('a', project, href='/')),
        section(
            'Records',
            table(('key', 'stored (UTC)', 'record'), rows, 'No records.'),
            total if str(len(rows)) == total else f'{total}, the first {len(rows)} shown',
        ),
    )


def slot_page(client: LocalClient, project: str, frontier: str, slot: str) -> Response:
    """Show the first batches of a slot's queue."""
    path = f'/hcf/{segment(project)}/{segment(frontier)}/s/{segment(slot)}'
    total = counted(client.value(f'{path}/q/count'))
    batches = client.lines(f'{path}/q', mincount=QUEUED)
    requests = sum(len(batch['requests']) for batch in batches)
    rows: list[tuple[Child, ...]] = [
        (tag('code', batch['id'], class_='name'), len(batch['requests']), compact(batch['requests']))
        for batch in batches
    ]
    return page(
        f'Slot {slot}',
        tag('h2', f'Frontier {frontier}, slot {slot}'),
        tag('p', 'in project ', tag('a', project, href='/')),
        section(
            'Queue',
            table(('batch', 'requests#', 'fingerprint and data of each'), rows, 'No batches.'),
            f'{total} requests' if str(requests) == total else f'{total} requests, the first {requests} shown',
        ),
    )


def missing(message: str) -> Response:
    """Return the page for something that does not exist."""
    return page('Not found', tag('section', tag('p', message, class_='empty')), status=404)
