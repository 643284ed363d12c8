"""Items and log of a job on the dash: ``items.*`` and ``log.*``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from scrapinghub.sandbox.routes import dash_form as dashform
from scrapinghub.sandbox.server.formats import Page, Style, records_reply
from scrapinghub.sandbox.server.http import Call, Reply
from scrapinghub.sandbox.store import job_listing as joblist
from scrapinghub.sandbox.store import jobs, records, spiders
from scrapinghub.sandbox.store.jobs import Job
from scrapinghub.sandbox.store.packing import unpack
from scrapinghub.sandbox.store.reading import Window
from scrapinghub.sandbox.store.record_kinds import ITEMS, LOGS, Kind

PAGE = 100
"""Most records in one answer of a ``.json`` call."""
LEVELS = {'DEBUG': 10, 'INFO': 20, 'WARNING': 30, 'ERROR': 40, 'CRITICAL': 50}
_NAMES = {number: name for name, number in LEVELS.items()}


def _job(call: Call) -> Job:
    """Return the job named, or the last finished one of the spider named."""
    project = dashform.project(call)
    form = dashform.form(call)
    connection = call.store.read()
    if form.get('job'):
        job = jobs.find(connection, form['job'])
    else:
        spider = spiders.spider_id(connection, project, dashform.text(call, 'spider'))
        last = [] if spider is None else joblist.last_finished(connection, project, spider=spider)
        job = last[0] if last else None
    if job is None or job.project != project:
        call.fail(404)
    return job


def _pages(call: Call, kind: Kind, limit: int | None, predicate: Callable[[Any], bool] | None = None) -> Iterator[Page]:
    """Read the records between ``offset`` and ``count``; a negative count asks for the latest."""
    job = _job(call)
    count = dashform.integer(call, 'count', minimum=-(2**62))
    offset = dashform.integer(call, 'offset') or 0
    scope = (job.project, job.spider_id, job.number)
    if count is not None and count < 0:
        every = Window(predicate=predicate)
        total = sum(len(page) for page in every.apply(records.pages(call.store, kind, scope, every)))
        offset, count = max(0, total + count), -count
    if limit is not None:
        count = limit if count is None else min(count, limit)
    window = Window(count=count, offset=offset, predicate=predicate)
    return window.apply(records.pages(call.store, kind, scope, window))


def items(form: str, limit: int | None, call: Call) -> Reply:
    """Answer the items of a job."""
    pages = _pages(call, ITEMS, limit)
    reply = records_reply(call, pages, Style(msgpack=False), project=dashform.project(call), default=form)
    # The same writing as on the storage server, under the headers of the dash.
    headers = {name: value for name, value in reply.headers.items() if name.startswith('Content-')}
    return Reply(headers={**headers, 'Vary': 'Cookie'}, body=reply.body)


def _level(call: Call) -> int:
    given = dashform.form(call).get('level', '0')
    return LEVELS[given] if given in LEVELS else call.parse_integer('level', given)


def _log(call: Call, limit: int | None) -> Iterator[dict[str, Any]]:
    level = _level(call)
    # The parameters are looked at before the first byte of the answer is sent.
    pages = _pages(call, LOGS, limit, lambda line: bool(line['level'] >= level))
    return (
        {'logLevel': line['level'], 'message': line['message'], 'time': line['time']}
        for page in pages
        for line in (unpack(row[2]) for row in page)
    )


def log_json(call: Call) -> Reply:
    """Answer at most 100 log lines as one array."""
    return dashform.spaced(list(_log(call, PAGE)))


def log_lines(call: Call) -> Reply:
    """Answer log lines as JSON lines."""
    return dashform.lines(json.dumps(line).encode() + b'\n' for line in _log(call, None))


def log_text(call: Call) -> Reply:
    """Answer log lines as text."""
    return Reply(
        headers={'Content-Type': 'text/plain; charset=utf-8', 'Vary': 'Cookie'},
        body=map(_text, _log(call, None)),
    )


def _text(line: dict[str, Any]) -> bytes:
    moment, level = dashform.iso(line['time']) or line['time'], line['logLevel']
    return f'{moment} {_NAMES.get(level, level)} {line["message"]}\n'.encode()


ROUTES: list[tuple[str, tuple[str, ...], Callable[..., Reply]]] = [
    ('/api/items.json', ('GET',), partial(items, 'json', PAGE)),
    ('/api/items.jl', ('GET',), partial(items, 'jl', None)),
    ('/api/items.csv', ('GET',), partial(items, 'csv', None)),
    ('/api/log.json', ('GET',), log_json),
    ('/api/log.jl', ('GET',), log_lines),
    ('/api/log.txt', ('GET',), log_text),
]
