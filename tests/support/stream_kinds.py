"""Every kind of stream, over a storage with a few records of each family."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scrapinghub.transport import codec
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.streams.cursor import Cursor, KeysetCursor, Pairs, text_order
from scrapinghub.transport.streams.cursors_without_keys import (
    DedupeCursor,
    NewestFirstCursor,
    PendingKeysCursor,
    SkipCursor,
    SortedCursor,
)
from scrapinghub.transport.streams.job_pages import JobPages
from scrapinghub.transport.streams.source import Source
from scrapinghub.transport.streams.stream import RecordStream
from support.storage import JOB, Storage


@dataclass(frozen=True)
class Kind:
    """One kind of stream.

    Attributes:
        cursor: Makes its cursor; its argument is the count.
        path: Where it reads.
        truth: What it delivers, whole.
        accepts: Content types that it may ask for.
    """

    cursor: Callable[[int | None], Cursor]
    path: tuple[str, ...]
    truth: Callable[[Storage], list[Any]]
    accepts: tuple[str, ...] = (codec.JSON_LINES, codec.MSGPACK)


COLLECTION_KEYS = ('a/b', 'b', 'k1', 'k10', 'k2', 'z 1', 'é', 'ü', '\U0001f600', '\uffee')
KEYED: Pairs = [('meta', '_key')]
KEYS = ['a/b', 'k1', 'k10', 'é', 'none', 'z 1']
INDEXES = [0, 2, 3, 9]


def sample_storage(**options: Any) -> Storage:
    """Return a storage with a few records of every kind."""
    items = [{'n': number, 'text': 'é\u2028"x' * (number % 4)} for number in range(12)]
    storage = Storage(
        {'collections': {key: {'value': {'of': key}} for key in COLLECTION_KEYS}},
        events=[{'event': 'e', 'n': number // 2} for number in range(12, 0, -1)],
        jobs=[{'key': f'1/{number % 3}/{number}', 'state': 'finished'} for number in range(12, 0, -1)],
        batches=[{'id': f'b{number}', 'requests': [['fp', None]] * (number % 3 + 1)} for number in range(8)],
        options=options,
    )
    storage.items = items
    return storage


def _scan(storage: Storage) -> list[Any]:
    records = storage.records['collections']
    return [{**records[key], '_key': key} for key in sorted(records, key=text_order)]


KINDS: dict[str, Kind] = {
    'items': Kind(lambda count: KeysetCursor(KEYED, count), ('items', '1'), lambda s: s.items),
    'items from a number': Kind(
        lambda count: KeysetCursor([*KEYED, ('start', f'{JOB}/4')], count), ('items', '1'), lambda s: s.items[4:]
    ),
    'items by index': Kind(
        lambda count: PendingKeysCursor(
            KEYED, 'index', INDEXES, count, name_of=lambda key: key.rpartition('/')[2], strip=True
        ),
        ('items', '1'),
        lambda s: [s.items[number] for number in INDEXES],
    ),
    'logs': Kind(
        lambda count: SkipCursor([], count, seek=lambda place: [('start', f'{JOB}/{place}')]),
        ('logs', '1'),
        lambda s: s.items,
    ),
    'samples': Kind(
        lambda count: SkipCursor([], count),
        ('samples', '1'),
        lambda s: [[number, item] for number, item in enumerate(s.items)],
    ),
    'collection': Kind(
        lambda count: KeysetCursor(KEYED, count, order=text_order, strip=False), ('collections', '1'), _scan
    ),
    'collection by order': Kind(lambda count: SortedCursor(KEYED, count), ('collections', '1'), _scan),
    'collection by keys': Kind(
        lambda count: PendingKeysCursor(KEYED, 'key', KEYS, count),
        ('collections', '1'),
        lambda s: [record for record in _scan(s) if record['_key'] in KEYS],
    ),
    'activity': Kind(
        lambda count: NewestFirstCursor([], count), ('activity', '1'), lambda s: s.events, (codec.JSON_LINES,)
    ),
    'jobs': Kind(lambda count: JobPages([], count), ('jobs', '1'), lambda s: s.jobs, (codec.JSON_LINES,)),
    'all jobs': Kind(
        lambda count: JobPages([], count, everything=True), ('jobs', '1'), lambda s: s.jobs, (codec.JSON_LINES,)
    ),
    'jobs by key': Kind(
        lambda count: DedupeCursor([], count, field='key'), ('jobs', '1'), lambda s: s.jobs, (codec.JSON_LINES,)
    ),
    'frontier': Kind(
        lambda count: DedupeCursor(
            [('mincount', 9)], count, field='id', weight=lambda batch: len(batch.get('requests', ())), enough=9
        ),
        ('hcf', '1'),
        lambda s: s.batches[:5],
        (codec.JSON_LINES,),
    ),
}
KIND_AND_ACCEPT = [
    (name, accept)
    for name, kind in KINDS.items()
    for accept in kind.accepts
    if (name, accept) != ('logs', codec.JSON_LINES)
]


def stream_of(
    transport: Transport, name: str, accept: str = codec.JSON_LINES, count: int | None = None
) -> RecordStream[Any]:
    """Return a stream of one of the kinds."""
    kind = KINDS[name]
    call = Call('GET', transport.url(kind.path), accept=accept)
    return RecordStream(Source(transport, call), kind.cursor(count))


def exact(records: list[Any]) -> list[str]:
    """Return records in a form that can be compared without regard to the order of their fields."""
    return [json.dumps(record, sort_keys=True) for record in records]
