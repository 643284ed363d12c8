"""The page at ``/`` for browsers, which shows the data of the projects."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
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

#: Numbers of rows: jobs of a project on the overview, jobs on a page of jobs, and so on.
JOBS = 25
JOBS_PAGE = 100
EVENTS = 12
RECORDS = 50
LINES = 100
QUEUED = 500
MAX_TEXT = 400
STATES = ('pending', 'running', 'finished')
LEVELS = {10: 'DEBUG', 20: 'INFO', 30: 'WARNING', 40: 'ERROR', 50: 'CRITICAL'}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Page:
    """The page of one sandbox.

    Args:
        client: A client of the Scrapy Cloud API of the sandbox.
    """

    def __init__(self, client: LocalClient) -> None:
        self._client = client

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [('/', ('GET',), self.show)]

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
                class_='several',
            ),
            section('Activity', event_table(events), 'newest first'),
        )


def section(title: str, content: Markup, note: str = '') -> Markup:
    """Build a section with its heading."""
    return tag('section', tag('h3', title, ' ', tag('small', note) if note else None), content)


def state_links(project: object, totals: dict[str, int], **query: str) -> Markup:
    """Link the lists of all jobs, and of the jobs in each state."""
    links = [link(f'{sum(totals.values())} in all', project=project, **query)]
    links += [link(f'{count} {state}', project=project, state=state, **query) for state, count in totals.items()]
    return Markup(', '.join(links))


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


def link(text: str, **query: Any) -> Markup:
    """Build a link to another page."""
    return tag('a', text, href=f'/?{urlencode(query)}')


def badge(text: str, kind: str) -> Markup:
    """Build a badge."""
    return tag('span', text, class_=f'badge {kind}')


def moment(value: object) -> Markup | str:
    """Show a timestamp in UTC."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 253_402_300_800_000:
        return '' if value is None else compact(value)
    time = EPOCH + timedelta(milliseconds=value)
    return tag('time', f'{time:%Y-%m-%d %H:%M:%S}', datetime=time.isoformat(), title=f'{value} ms, UTC')


def span(start: object, end: object) -> str:
    """Show the time between two moments."""
    if not isinstance(start, int) or not isinstance(end, int) or end < start:
        return ''
    return str(timedelta(seconds=(end - start) // 1000))


def compact(value: Any) -> Markup:
    """Show a JSON value, the beginning of a long one."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return tag('code', text if len(text) <= MAX_TEXT else f'{text[:MAX_TEXT]}… ({len(text)} characters)')


def counted(count: dict[str, Any]) -> str:
    """Show the result of a count, with a plus sign when only some of the records were counted."""
    return f'{count["count"]}+' if 'nextstart' in count else str(count['count'])


def job_table(jobs: list[dict[str, Any]]) -> Markup:
    """Show jobs."""
    rows: list[tuple[Child, ...]] = []
    for job in jobs:
        reason = job.get('close_reason')
        good = reason in (None, 'finished')
        rows.append((
            tag('span', link(job['key'], job=job['key']), class_='key'),
            job.get('spider', ''),
            join(badge(job['state'], job['state']), None if good else join(' ', badge(str(reason), 'bad'))),
            job.get('items', 0),
            job.get('pages', 0),
            job.get('logs', 0),
            badge(str(job['errors']), 'bad') if 'errors' in job else 0,
            moment(job['ts']),
            span(job.get('running_time'), job.get('finished_time')),
            join(*(badge(str(name), 'tag') for name in job.get('tags') or [])),
        ))  # fmt: skip
    numbers = ('items#', 'requests#', 'log lines#', 'errors#')
    return table(('job', 'spider', 'state', *numbers, 'since (UTC)', 'ran for', 'tags'), rows, 'No jobs.')


def spider_table(client: LocalClient, project: int, spiders: list[dict[str, Any]]) -> Markup:
    """Show the spiders of a project."""
    rows: list[tuple[Child, ...]] = [
        (
            link(spider['id'], project=project, spider=spider['id']),
            client.value(f'/ids/{project}/spider/{segment(spider["id"])}'),
            *(client.value(f'/jobq/{project}/count', spider=spider['id'], state=state) for state in STATES),
            join(*(badge(str(name), 'tag') for name in spider['tags'])),
        )
        for spider in spiders
    ]
    return table(('spider', 'id#', 'pending#', 'running#', 'finished#', 'tags'), rows, 'No spiders.')


def collection_table(client: LocalClient, project: int, collections: list[dict[str, str]]) -> Markup:
    """Show the collections of a project."""
    rows: list[tuple[Child, ...]] = []
    for entry in collections:
        kind, name = entry['type'], entry['name']
        count = client.value(f'/collections/{project}/{kind}/{segment(name)}/count')
        rows.append((link(name, project=project, type=kind, collection=name), kind, counted(count)))
    return table(('collection', 'type', 'records#'), rows, 'No collections.')


def frontier_table(client: LocalClient, project: int) -> Markup:
    """Show the slots of a project's frontiers."""
    rows: list[tuple[Child, ...]] = []
    for frontier in client.value(f'/hcf/{project}/list'):
        for slot in client.value(f'/hcf/{project}/{segment(frontier)}/list'):
            count = client.value(f'/hcf/{project}/{segment(frontier)}/s/{segment(slot)}/q/count')
            rows.append((frontier, link(slot, project=project, frontier=frontier, slot=slot), counted(count)))
    return table(('frontier', 'slot', 'requests queued#'), rows, 'No frontiers.')


def event_table(events: list[dict[str, Any]]) -> Markup:
    """Show the activity of a project."""
    rows: list[tuple[Child, ...]] = []
    for event in events:
        when, what, job = event.pop('_ts', None), event.pop('event', ''), event.pop('job', None)
        known = isinstance(job, str) and parse_key(job) is not None
        rows.append((
            moment(when),
            what if isinstance(what, str) else compact(what),
            link(str(job), job=job) if known else (None if job is None else compact(job)),
            compact(event) if event else None,
        ))  # fmt: skip
    return table(('time (UTC)', 'event', 'job', 'more'), rows, 'No events.')


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


def latest(total: int, records: list[Any]) -> str:
    """Describe how many records exist and how many are shown."""
    if not total:
        return ''
    return f'{total}, the latest {len(records)} shown' if len(records) < total else f'{total}'


def record_table(records: list[tuple[int, Any]]) -> Markup:
    """Show numbered records."""
    rows: list[tuple[Child, ...]] = [(number, compact(record)) for number, record in records]
    return table(('number#', 'item'), rows, 'No items.')


def log_table(lines: list[tuple[int, Any]]) -> Markup:
    """Show log lines."""
    rows: list[tuple[Child, ...]] = []
    for number, line in lines:
        level = int(line.get('level', 0))
        name = LEVELS.get(level, str(level))
        style = 'bad' if level >= 40 else 'pending' if level >= 30 else 'finished'
        rows.append((number, moment(line.get('time')), badge(name, style), compact(line.get('message', ''))))
    return table(('line#', 'time (UTC)', 'level', 'message'), rows, 'No log lines.')


def request_table(requests: list[tuple[int, Any]]) -> Markup:
    """Show requests."""
    rows: list[tuple[Child, ...]] = [
        (
            number,
            moment(request.get('time')),
            request.get('method'),
            tag('code', str(request.get('url'))),
            request.get('status'),
            request.get('rs'),
            request.get('duration'),
            request.get('parent'),
        )
        for number, request in requests
    ]
    headings = ('number#', 'time (UTC)', 'method', 'URL', 'status#', 'bytes#', 'ms#', 'parent#')
    return table(headings, rows, 'No requests.')


def sample_table(samples: list[Any]) -> Markup:
    """Show samples."""
    rows: list[tuple[Child, ...]] = [
        (moment(sample[0] if sample else None), compact(sample[1:])) for sample in reversed(samples)
    ]
    return table(('time (UTC)', 'values'), rows, 'No samples.')


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
