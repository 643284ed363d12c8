"""Routes of job data: ``/items``, ``/logs``, ``/requests``, ``/samples``."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from scrapinghub.sandbox.routes._support import parameters
from scrapinghub.sandbox.routes._support.call import Call
from scrapinghub.sandbox.routes._support.formats import Style, records_response
from scrapinghub.sandbox.routes._support.posted_records import parse_lines
from scrapinghub.sandbox.routes._support.services import storage_empty, storage_value
from scrapinghub.sandbox.server.response import Response
from scrapinghub.sandbox.store import jobs, records, spiders
from scrapinghub.sandbox.store.packing import pack, unpack
from scrapinghub.sandbox.store.reading import Page, Row
from scrapinghub.sandbox.store.record_kinds import ITEMS, KINDS, LOGS, REQUESTS, SAMPLES, Kind

CONTENT_RANGE = re.compile(r'items\s+([0-9]{1,18})-[0-9]*/(?:\*|[0-9]+)')
STYLES = {
    ITEMS.name: Style(),
    LOGS.name: Style(key_first=True, final_newline=False, msgpack_key=False),
    REQUESTS.name: Style(key_first=True, final_newline=False, msgpack=False),
    SAMPLES.name: Style(final_newline=False),
}
#: How the values of one field are written.
FIELD_STYLE = Style()


def write(kind: Kind, call: Call, project: int, spider: int, job: int) -> Response:
    """Store the posted records, all of them or none."""
    start = _start(call)
    kept = [_kept(call, kind, number, value) for number, value in parse_lines(call)]
    with call.store.write() as connection:
        state = jobs.job_state(connection, f'{project}/{spider}/{job}')
        if state is None:
            call.fail(404)
        if state == 'deleted':
            call.fail(400, f'Job {project}/{spider}/{job} is deleted')
        try:
            records.write(connection, kind, (project, spider, job), start, kept, call.store.now())
        except ValueError as error:
            call.fail(400, f'Error parsing data, {error}')
    return storage_empty()


def _start(call: Call) -> int:
    start = call.integer('start')
    if start is not None:
        return start
    header = call.request.headers.get('Content-Range')
    if header is None:
        return 0
    match = CONTENT_RANGE.fullmatch(header.strip())
    if match is None:
        call.fail(400, 'Invalid Content-Range, it must look like "items 500-/*"')
    return int(match[1])


def _kept(call: Call, kind: Kind, number: int, value: Any) -> tuple[Any, bytes]:
    try:
        record = kind.keep(value)
        return record, pack(record)
    except ValueError as error:
        call.fail(400, f'Error parsing data, line {number}: {error}')


def read(kind: Kind, call: Call, project: int, spider: int | None = None, job: int | None = None) -> Response:
    """Return the records of a project, a spider or a job."""
    _require(call, project, spider, job)
    options = parameters.read_options(call)
    numbers = [call.parse_integer('index', text) for text in call.args().getlist('index')]
    pages = records.pages(
        call.store, kind, (project, spider, job), options, start=_start_position(call, project), numbers=numbers
    )
    return records_response(call, options.apply(pages), STYLES[kind.name], project=project)


def _require(call: Call, project: int, spider: int | None, job: int | None) -> None:
    connection = call.store.read()
    if job is not None:
        if jobs.job_state(connection, f'{project}/{spider}/{job}') is None:
            call.fail(404)
    elif spider is not None and spiders.find(connection, project, spider) is None:
        call.fail(404)


def _start_position(call: Call, project: int) -> records.Position:
    """Return the position at which to start: the later of ``start`` and ``startafter``."""
    positions = [(0, 0, 0)]
    for name, step in (('start', 0), ('startafter', 1)):
        key = call.args().get(name)
        if key is None:
            continue
        parts = key.split('/')
        if len(parts) != 4:
            call.fail(400, f'Invalid value for {name}: a key like {project}/1/2/0 is needed')
        numbers = [call.parse_integer(name, part) for part in parts]
        if numbers[0] != project:
            call.fail(400, f'Invalid value for {name}: it names another project')
        positions.append((numbers[1], numbers[2], numbers[3] + step))
    return records.Position(*max(positions))


def read_one(kind: Kind, call: Call, project: int, spider: int, job: int, number: int) -> Response:
    """Return one record; an empty response, as for a read past the end, when it does not exist."""
    row = _one(kind, call, project, spider, job, number)
    return records_response(call, [[row]] if row else [], STYLES[kind.name], project=project)


def read_field(kind: Kind, call: Call, project: int, spider: int, job: int, number: int, field: str) -> Response:
    """Return one field of one record, by default as text; an empty response when it does not exist."""
    values: list[Page] = []
    row = _one(kind, call, project, spider, job, number)
    if row is not None:
        record = unpack(row[2])
        if isinstance(record, dict) and field in record:
            values = [[(b'', row[1], pack(record[field]))]]
    return records_response(call, values, FIELD_STYLE, project=project, default='text')


def _one(kind: Kind, call: Call, project: int, spider: int, job: int, number: int) -> Row | None:
    _require(call, project, spider, job)
    found = records.get(call.store.read(), kind, (project, spider, job), number)
    return None if found is None else (f'{project}/{spider}/{job}/{number}'.encode(), *found)


def read_stats(kind: Kind, call: Call, project: int, spider: int, job: int) -> Response:
    """Return the statistics of the data of a job."""
    _require(call, project, spider, job)
    hidden = call.flag('all')
    return storage_value(records.stats(call.store.read(), kind, (project, spider, job), hidden=hidden))


def _routes(kind: Kind) -> list[tuple[str, tuple[str, ...], Callable[..., Response]]]:
    job = f'/{kind.name}/<int:project>/<int:spider>/<int:job>'
    routes: list[tuple[str, tuple[str, ...], Callable[..., Response]]] = [
        (f'/{kind.name}/<int:project>', ('GET',), partial(read, kind)),
        (f'/{kind.name}/<int:project>/<int:spider>', ('GET',), partial(read, kind)),
        (job, ('GET',), partial(read, kind)),
        (job, ('POST',), partial(write, kind)),
        (f'{job}/<int:number>', ('GET',), partial(read_one, kind)),
        (f'{job}/<int:number>/<field>', ('GET',), partial(read_field, kind)),
    ]
    if kind is not SAMPLES:
        routes.append((f'{job}/stats', ('GET',), partial(read_stats, kind)))
    return routes


ROUTES = [route for kind in KINDS.values() for route in _routes(kind)]
