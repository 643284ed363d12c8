"""The tables of the page, and the elements in them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

from scrapinghub.sandbox.server.local_client import LocalClient, segment
from scrapinghub.sandbox.store.jobs import parse_key
from scrapinghub.sandbox.web.markup import Child, Markup, join, table, tag

MAX_TEXT = 400
STATES = ('pending', 'running', 'finished')
LEVELS = {10: 'DEBUG', 20: 'INFO', 30: 'WARNING', 40: 'ERROR', 50: 'CRITICAL'}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def section(title: str, content: Markup, note: str = '') -> Markup:
    """Build a section with its heading."""
    return tag('section', tag('h3', title, ' ', tag('small', note) if note else None), content)


def state_links(project: object, totals: dict[str, int], **query: str) -> Markup:
    """Link the lists of all jobs, and of the jobs in each state."""
    links = [link(f'{sum(totals.values())} in all', project=project, **query)]
    links += [link(f'{count} {state}', project=project, state=state, **query) for state, count in totals.items()]
    return Markup(', '.join(links))


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


def periodic_table(periodic_jobs: list[dict[str, Any]]) -> Markup:
    """Show the periodic jobs of a project."""
    rows: list[tuple[Child, ...]] = []
    for periodic in periodic_jobs:
        paused = periodic['disabled']
        rows.append((
            periodic['id'],
            tag('code', periodic['cron']),
            ', '.join(str(task['name']) for task in periodic['tasks']),
            badge('paused', 'pending') if paused else badge('active', 'running'),
            join(*(badge(str(name), 'tag') for name in periodic['addtags'])),
            periodic['description'],
        ))  # fmt: skip
    return table(('id#', 'cron (UTC)', 'starts', 'state', 'tags', 'description'), rows, 'No periodic jobs.')


def comment_table(comments: dict[str, list[dict[str, Any]]]) -> Markup:
    """Show the comments of a job, except archived ones."""
    rows: list[tuple[Child, ...]] = [
        (target, comment['created'], comment['author'], compact(comment['text']))
        for target, several in comments.items()
        for comment in several
        if comment['archived'] is None
    ]
    return table(('item', 'time (UTC)', 'author', 'comment'), rows, 'No comments.')
