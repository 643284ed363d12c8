"""An ideal storage server, which honours every parameter, over data in memory; and ways to break its answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from scrapinghub.transport import codec
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.streams.cursor import Cursor, KeysetCursor, Pairs, text_order
from scrapinghub.transport.streams.cursors import (
    DedupeCursor,
    NewestFirstCursor,
    PendingKeysCursor,
    SkipCursor,
    SortedCursor,
)
from scrapinghub.transport.streams.job_pages import JobPages
from scrapinghub.transport.streams.responses import Source
from scrapinghub.transport.streams.stream import RecordStream
from support.scripted_server import Reply, Request, records_reply, reply

JOB = '1/2/3'


@dataclass
class Storage:
    """Data, and the answers to requests for them.

    Attributes:
        items: Records of a job, numbered from 0.
        collection: Records by key.
        events: Activity, newest first.
        jobs: Job summaries, newest first.
        batches: Frontier batches.
        options: How answers are framed: arguments of :func:`reply`.
        faults: What becomes of the next answers: a function from the good answer to another one, or None.
    """

    items: list[dict[str, Any]] = field(default_factory=list)
    collection: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    batches: list[dict[str, Any]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    faults: list[Callable[[Reply], Reply] | None] = field(default_factory=list)

    def respond(self, request: Request) -> Reply:
        kind = request.segments[0]
        records = getattr(self, f'_{kind}')(request)
        count = request.get('count')
        if count is not None:
            records = records[: int(count)]
        answer = records_reply(request, records, **self.options)
        fault = self.faults.pop(0) if self.faults else None
        return fault(answer) if fault is not None else answer

    def _items(self, request: Request) -> list[dict[str, Any]]:
        numbers = range(len(self.items))
        if (after := request.get('startafter')) is not None:
            assert request.get('start') is None
            numbers = range(int(after.split('/')[3]) + 1, len(self.items))
        elif (start := request.get('start')) is not None:
            numbers = range(int(start.split('/')[3]), len(self.items))
        wanted = set(map(int, request.all('index')))
        chosen = [number for number in numbers if not wanted or number in wanted]
        keyed = '_key' in request.all('meta')
        return [{**self.items[number], **({'_key': f'{JOB}/{number}'} if keyed else {})} for number in chosen]

    def _logs(self, request: Request) -> list[dict[str, Any]]:
        start = request.get('start')
        return self.items[int(start.split('/')[3]) if start else 0 :]

    def _samples(self, request: Request) -> list[list[Any]]:
        return [[number, item] for number, item in enumerate(self.items)]

    def _collections(self, request: Request) -> list[dict[str, Any]]:
        keys = sorted(self.collection, key=text_order)
        wanted = request.all('key')
        after = request.get('startafter')
        prefix = request.get('prefix') or ''
        return [
            {'value': self.collection[key], '_key': key}
            for key in keys
            if (not wanted or key in wanted)
            and (after is None or text_order(key) > text_order(after))
            and key.startswith(prefix)
        ]

    def _activity(self, request: Request) -> list[dict[str, Any]]:
        return self.events

    def _jobs(self, request: Request) -> list[dict[str, Any]]:
        return self.jobs[int(request.get('start') or 0) :]

    def _hcf(self, request: Request) -> list[dict[str, Any]]:
        enough = int(request.get('mincount') or 10**9)
        chosen, weight = [], 0
        for batch in self.batches:
            if weight >= enough:
                break
            chosen.append(batch)
            weight += len(batch['requests'])
        return chosen


def cut(size: int, *, reset: bool = False) -> Callable[[Reply], Reply]:
    """Return the fault that sends only the first bytes of what follows the headers."""

    def broken(answer: Reply) -> Reply:
        head, mark, payload = answer.data.partition(b'\r\n\r\n')
        return Reply(head + mark + payload[:size], close=True, reset=reset)

    return broken


def cut_part(part: float) -> Callable[[Reply], Reply]:
    """Return the fault that sends only a part of what follows the headers, from 0 to 1."""

    def broken(answer: Reply) -> Reply:
        return cut(int(len(answer.data.partition(b'\r\n\r\n')[2]) * part))(answer)

    return broken


def instead(status: int) -> Callable[[Reply], Reply]:
    """Return the fault that answers with another status."""
    return lambda answer: reply(b'<h1>no</h1>', status=status, content_type='text/html')


def silence(answer: Reply) -> Reply:
    """Close the connection without an answer."""
    return Reply(b'', close=True)


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
    return Storage(
        items=items,
        collection={key: {'of': key} for key in COLLECTION_KEYS},
        events=[{'event': 'e', 'n': number // 2} for number in range(12, 0, -1)],
        jobs=[{'key': f'1/{number % 3}/{number}', 'state': 'finished'} for number in range(12, 0, -1)],
        batches=[{'id': f'b{number}', 'requests': [['fp', None]] * (number % 3 + 1)} for number in range(8)],
        options=options,
    )


def _scan(storage: Storage) -> list[Any]:
    return [{'value': storage.collection[key], '_key': key} for key in sorted(storage.collection, key=text_order)]


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
