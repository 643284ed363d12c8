"""Routes of ``/hcf``: the frontiers."""

from __future__ import annotations

import itertools
from typing import Any

from scrapinghub.sandbox.routes.posting import packed, posted, text_key
from scrapinghub.sandbox.server.formats import CONTENT_TYPES, Style, records_reply
from scrapinghub.sandbox.server.http import Call, Reply, storage_empty, storage_value
from scrapinghub.sandbox.store import frontiers as frontierstore
from scrapinghub.sandbox.store.frontiers import PRIORITIES, Request
from scrapinghub.sandbox.store.reading import Window

STYLE = Style(msgpack=False)
LINES = f'{CONTENT_TYPES["jl"]}; charset=UTF-8'
#: ``q/count`` looks at so many batches before it names the id to go on from.
COUNT_BATCHES = 1000


def list_frontiers(call: Call, project: int) -> Reply:
    """Answer the names of the frontiers."""
    return storage_value(frontierstore.frontiers(call.store.read(), project))


def list_slots(call: Call, project: int, frontier: str) -> Reply:
    """Answer the names of a frontier's slots."""
    return storage_value(frontierstore.slots(call.store.read(), project, frontier))


def add(call: Call, project: int, frontier: str, slot: str) -> Reply:
    """Queue the posted requests that are new, all of them or none."""
    requests = [_request(call, number, value) for number, value in posted(call)]
    with call.store.write() as connection:
        newcount = frontierstore.add(connection, project, frontier, slot, requests, call.store.now())
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
    packed(call, number, [qdata, fdata])
    return Request(text_key(call, number, value['fp'], 'fp'), qdata, fdata, priority)


def read_queue(call: Call, project: int, frontier: str, slot: str) -> Reply:
    """Answer the batches at the head of the queue; they stay there."""
    mincount = call.integer('mincount')
    window = Window.of(call)
    number = frontierstore.find(call.store.read(), project, frontier, slot)
    if number is None:
        return _empty_queue()
    pages = window.apply(frontierstore.batches(call.store, number, window, mincount))
    first = next(pages, None)
    if first is None:
        return _empty_queue()
    reply = records_reply(call, itertools.chain((first,), pages), STYLE, project=project)
    reply.headers['Vary'] = 'Accept-Encoding, User-Agent'
    return reply


def _empty_queue() -> Reply:
    """Answer an empty queue: recorded without compression, unlike any other empty stream."""
    return storage_empty(LINES)


def delete_batches(call: Call, project: int, frontier: str, slot: str) -> Reply:
    """Delete the batches whose ids are posted, one or an array of them on each line."""
    ids: list[str] = []
    for number, value in posted(call):
        several = value if isinstance(value, list) else (value,)
        ids.extend(text_key(call, number, key, 'a batch id').decode() for key in several)
    with call.store.write() as connection:
        found = frontierstore.find(connection, project, frontier, slot)
        if found is not None:
            frontierstore.delete_batches(connection, found, ids)
    return storage_empty(None)


def count_queue(call: Call, project: int, frontier: str, slot: str) -> Reply:
    """Answer how many requests are queued in the batches looked at, and where to go on."""
    number = frontierstore.find(call.store.read(), project, frontier, slot)
    if number is None:
        return storage_value({'count': 0})
    count, following = frontierstore.queue_size(call.store.read(), number, call.args().get('start', ''), COUNT_BATCHES)
    return storage_value({'count': count} if following is None else {'count': count, 'nextstart': following})


def read_fingerprints(call: Call, project: int, frontier: str, slot: str) -> Reply:
    """Answer the fingerprints that the slot has seen."""
    window = Window.of(call)
    args = call.args()
    first = args.get('start', '').encode()
    after = args.get('startafter')
    if after is not None:
        first = max(first, after.encode() + b'\0')
    number = frontierstore.find(call.store.read(), project, frontier, slot)
    pages = iter(()) if number is None else frontierstore.fingerprints(call.store, number, window, first)
    return records_reply(call, window.apply(pages), STYLE, project=project)


def delete_slot(call: Call, project: int, frontier: str, slot: str) -> Reply:
    """Delete a slot; an absent one is fine."""
    with call.store.write() as connection:
        frontierstore.delete_slot(connection, project, frontier, slot)
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
