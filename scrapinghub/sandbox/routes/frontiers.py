"""Routes of ``/hcf``: the frontiers."""

from __future__ import annotations

import itertools
from typing import Any

from scrapinghub.sandbox.routes._support import parameters
from scrapinghub.sandbox.routes._support.call import Call
from scrapinghub.sandbox.routes._support.formats import CONTENT_TYPES, Style, records_response
from scrapinghub.sandbox.routes._support.posted_records import pack_value, parse_lines, text_key
from scrapinghub.sandbox.routes._support.services import storage_empty, storage_value
from scrapinghub.sandbox.server.response import Response
from scrapinghub.sandbox.store import frontiers
from scrapinghub.sandbox.store.frontiers import PRIORITIES, Request

STYLE = Style(msgpack=False)
LINES = f'{CONTENT_TYPES["jl"]}; charset=UTF-8'
#: ``q/count`` scans this many batches before it returns the id at which to continue.
COUNT_BATCHES = 1000


def list_frontiers(call: Call, project: int) -> Response:
    """Return the names of the frontiers."""
    return storage_value(frontiers.frontiers(call.store.read(), project))


def list_slots(call: Call, project: int, frontier: str) -> Response:
    """Return the names of a frontier's slots."""
    return storage_value(frontiers.slots(call.store.read(), project, frontier))


def add(call: Call, project: int, frontier: str, slot: str) -> Response:
    """Queue the posted requests that are new, all of them or none."""
    requests = [_request(call, number, value) for number, value in parse_lines(call)]
    with call.store.write() as connection:
        newcount = frontiers.add(connection, project, frontier, slot, requests, call.store.now())
    return storage_value({'newcount': newcount})


def _request(call: Call, number: int, value: Any) -> Request:
    if not isinstance(value, dict) or 'fp' not in value:
        call.fail(400, f'Error parsing data, line {number}: an object with fp is needed')
    priority = value.get('p')
    if priority is None:
        priority = 0
    if not isinstance(priority, int) or isinstance(priority, bool) or priority not in PRIORITIES:
        call.fail(400, f'Error parsing data, line {number}: p must be an integer from 0 to {PRIORITIES[-1]}')
    qdata, fdata = value.get('qdata'), value.get('fdata')
    pack_value(call, number, [qdata, fdata])
    return Request(text_key(call, number, value['fp'], 'fp'), qdata, fdata, priority)


def read_queue(call: Call, project: int, frontier: str, slot: str) -> Response:
    """Return the batches at the head of the queue, and keep them in the queue."""
    mincount = call.integer('mincount')
    options = parameters.read_options(call)
    number = frontiers.find(call.store.read(), project, frontier, slot)
    if number is None:
        return _empty_queue()
    pages = options.apply(frontiers.batches(call.store, number, options, mincount))
    first = next(pages, None)
    if first is None:
        return _empty_queue()
    response = records_response(call, itertools.chain((first,), pages), STYLE, project=project)
    response.headers['Vary'] = 'Accept-Encoding, User-Agent'
    return response


def _empty_queue() -> Response:
    """Return an empty queue: recorded without compression, unlike other empty streams."""
    return storage_empty(LINES)


def delete_batches(call: Call, project: int, frontier: str, slot: str) -> Response:
    """Delete the batches whose ids are parse_lines, one or an array of them on each line."""
    ids: list[str] = []
    for number, value in parse_lines(call):
        several = value if isinstance(value, list) else (value,)
        ids.extend(text_key(call, number, key, 'a batch id').decode() for key in several)
    with call.store.write() as connection:
        found = frontiers.find(connection, project, frontier, slot)
        if found is not None:
            frontiers.delete_batches(connection, found, ids)
    return storage_empty(None)


def count_queue(call: Call, project: int, frontier: str, slot: str) -> Response:
    """Return how many requests are queued in the scanned batches, and the id at which to continue."""
    number = frontiers.find(call.store.read(), project, frontier, slot)
    if number is None:
        return storage_value({'count': 0})
    count, following = frontiers.queue_size(call.store.read(), number, call.args().get('start', ''), COUNT_BATCHES)
    return storage_value({'count': count} if following is None else {'count': count, 'nextstart': following})


def read_fingerprints(call: Call, project: int, frontier: str, slot: str) -> Response:
    """Return the fingerprints that the slot has seen."""
    options = parameters.read_options(call)
    args = call.args()
    first = args.get('start', '').encode()
    after = args.get('startafter')
    if after is not None:
        first = max(first, after.encode() + b'\0')
    number = frontiers.find(call.store.read(), project, frontier, slot)
    pages = iter(()) if number is None else frontiers.fingerprints(call.store, number, options, first)
    return records_response(call, options.apply(pages), STYLE, project=project)


def delete_slot(call: Call, project: int, frontier: str, slot: str) -> Response:
    """Delete a slot; an absent one is fine."""
    with call.store.write() as connection:
        frontiers.delete_slot(connection, project, frontier, slot)
    return storage_empty(None)


_SLOT = '/hcf/<int:project>/<frontier>/s/<slot>'
ROUTES = [
    ('/hcf/<int:project>/list', ('GET',), list_frontiers),
    ('/hcf/<int:project>/<frontier>/list', ('GET',), list_slots),
    (_SLOT, ('POST',), add),
    (_SLOT, ('DELETE',), delete_slot),
    (f'{_SLOT}/q', ('GET',), read_queue),
    (f'{_SLOT}/q/deleted', ('POST',), delete_batches),
    (f'{_SLOT}/q/count', ('GET',), count_queue),
    (f'{_SLOT}/f', ('GET',), read_fingerprints),
]
