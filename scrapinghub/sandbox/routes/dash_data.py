"""Items and log of a job on the dash: ``items.*`` and ``log.*``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from scrapinghub.sandbox.routes._support import dash
from scrapinghub.sandbox.routes._support.call import Call
from scrapinghub.sandbox.routes._support.formats import Style, records_response
from scrapinghub.sandbox.server.response import Response
from scrapinghub.sandbox.store import job_listing, jobs, records, spiders
from scrapinghub.sandbox.store.jobs import Job
from scrapinghub.sandbox.store.packing import unpack
from scrapinghub.sandbox.store.reading import Page, ReadOptions
from scrapinghub.sandbox.store.record_kinds import ITEMS, LOGS, Kind

PAGE = 100
"""Most records in one answer of a ``.json`` call."""
LEVELS = {'DEBUG': 10, 'INFO': 20, 'WARNING': 30, 'ERROR': 40, 'CRITICAL': 50}
_NAMES = {number: name for name, number in LEVELS.items()}


def _job(call: Call) -> Job:
    """Return the job named, or the last finished one of the spider named."""
    project = dash.project(call)
    form = dash.form(call)
    connection = call.store.read()
    if form.get('job'):
        job = jobs.find(connection, form['job'])
    else:
        spider = spiders.spider_id(connection, project, dash.text(call, 'spider'))
        last = [] if spider is None else job_listing.last_finished(connection, project, spider=spider)
        job = last[0] if last else None
    if job is None or job.project != project:
        call.fail(404)
    return job


def _pages(call: Call, kind: Kind, limit: int | None, predicate: Callable[[Any], bool] | None = None) -> Iterator[Page]:
    """Read the records between ``offset`` and ``count``; a negative count selects the latest."""
    job = _job(call)
    count = dash.integer(call, 'count', minimum=-(2**62))
    offset = dash.integer(call, 'offset') or 0
    scope = (job.project, job.spider_id, job.number)
    if count is not None and count < 0:
        every = ReadOptions(predicate=predicate)
        total = sum(len(page) for page in every.apply(records.pages(call.store, kind, scope, every)))
        offset, count = max(0, total + count), -count
    if limit is not None:
        count = limit if count is None else min(count, limit)
    options = ReadOptions(count=count, offset=offset, predicate=predicate)
    return options.apply(records.pages(call.store, kind, scope, options))


def items(form: str, limit: int | None, call: Call) -> Response:
    """Return the items of a job."""
    pages = _pages(call, ITEMS, limit)
    response = records_response(call, pages, Style(msgpack=False), project=dash.project(call), default=form)
    # The same writing as on the storage server, under the headers of the dash.
    headers = {name: value for name, value in response.headers.items() if name.startswith('Content-')}
    return Response(headers={**headers, 'Vary': 'Cookie'}, body=response.body)


def _level(call: Call) -> int:
    given = dash.form(call).get('level', '0')
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


def log_json(call: Call) -> Response:
    """Return at most 100 log lines as one array."""
    return dash.spaced(list(_log(call, PAGE)))


def log_lines(call: Call) -> Response:
    """Return log lines as JSON lines."""
    return dash.lines(json.dumps(line).encode() + b'\n' for line in _log(call, None))


def log_text(call: Call) -> Response:
    """Return log lines as text."""
    return Response(
        headers={'Content-Type': 'text/plain; charset=utf-8', 'Vary': 'Cookie'},
        body=map(_text, _log(call, None)),
    )


def _text(line: dict[str, Any]) -> bytes:
    moment, level = dash.iso(line['time']) or line['time'], line['logLevel']
    return f'{moment} {_NAMES.get(level, level)} {line["message"]}\n'.encode()


ROUTES: list[tuple[str, tuple[str, ...], Callable[..., Response]]] = [
    ('/api/items.json', ('GET',), partial(items, 'json', PAGE)),
    ('/api/items.jl', ('GET',), partial(items, 'jl', None)),
    ('/api/items.csv', ('GET',), partial(items, 'csv', None)),
    ('/api/log.json', ('GET',), log_json),
    ('/api/log.jl', ('GET',), log_lines),
    ('/api/log.txt', ('GET',), log_text),
]
