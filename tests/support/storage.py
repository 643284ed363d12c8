"""A storage server in memory, which honours every parameter, and fails as a test plans."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from scrapinghub import ScrapinghubClient
from support.clocks import ManualClock
from support.scripted_server import KEY, Reply, Request, Server, payload_size, records_reply, reply

JOB = '1/2/3'

Row = tuple[str, Any]
Fault = Callable[['Post'], 'Reply | None']


@dataclass(frozen=True)
class Post:
    """A batch of records that was sent."""

    path: str
    start: int
    records: list[Any]
    request: Request = field(repr=False)

    @property
    def numbers(self) -> range:
        return range(self.start, self.start + len(self.records))


@dataclass
class Storage:
    """Records, and the responses to requests that read and write them.

    Attributes:
        records: Records by family (the first segment of the path) and key, in order.
        events: Activity, newest first.
        jobs: Job summaries, newest first.
        batches: Frontier batches.
        options: Arguments of :func:`reply` for every response.
        faults: Applied to the next reads: a function from the good response to another one, or None.
        replies: The good responses to reads so far.
        before: Called with each batch; a reply is sent instead, and nothing is stored.
        after: Called when a batch is stored; a reply is sent instead of the good one.
        posts: All batches, also those that were refused.
    """

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    batches: list[dict[str, Any]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    faults: list[Callable[[Reply], Reply] | None] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    before: Fault = lambda post: None
    after: Fault = lambda post: None
    posts: list[Post] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def items(self) -> list[Any]:
        """The items of the job, numbered from 0."""
        return list(self.records['items'].values())

    @items.setter
    def items(self, items: list[Any]) -> None:
        self.records['items'] = self.records['logs'] = {f'{JOB}/{number}': item for number, item in enumerate(items)}
        self.records['samples'] = {f'{JOB}/{number}': [number, item] for number, item in enumerate(items)}

    def respond(self, request: Request) -> Reply:
        """Answer a request."""
        return self._write(request) if request.method == 'POST' else self._read(request)

    # Reads

    def _read(self, request: Request) -> Reply:
        family = request.segments[0]
        if family in self.records:
            rows = [self._row(key, record, request) for key, record in self.select(request)]
        elif family in ('activity', 'hcf', 'jobs'):
            rows = getattr(self, f'_{family}')(request)
        else:
            return reply(b'Not Found\n', status=404, content_type=None)
        good = records_reply(request, rows[: _count(request)], **self.options)
        self.replies.append(good)
        fault = self.faults.pop(0) if self.faults else None
        return good if fault is None else fault(good)

    def select(self, request: Request) -> list[Row]:
        """Return the keys and records that match the parameters, without a limit."""
        family = request.segments[0]
        order = _text_order if family == 'collections' else _number_order
        rows = sorted(self.records[family].items(), key=lambda row: order(row[0]))
        start, after = request.get('start'), request.get('startafter')
        assert start is None or after is None
        if start is not None:
            rows = [row for row in rows if order(row[0]) >= order(start)]
        if after is not None:
            rows = [row for row in rows if order(row[0]) > order(after)]
        if request.all('key'):
            rows = [row for row in rows if row[0] in request.all('key')]
        if request.all('index'):
            rows = [row for row in rows if row[0].rpartition('/')[2] in request.all('index')]
        if request.all('prefix'):
            rows = [row for row in rows if row[0].startswith(tuple(request.all('prefix')))]
        return rows

    def _row(self, key: str, record: Any, request: Request) -> Any:
        family = request.segments[0]
        # The service returns no keys of samples, nor of logs in MessagePack.
        packed = 'msgpack' in request.headers.get('accept', '')
        without_key = family == 'samples' or (family == 'logs' and packed)
        return record if without_key or '_key' not in request.all('meta') else {**record, '_key': key}

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

    # Writes

    def _write(self, request: Request) -> Reply:
        body = request.body
        if len(body) < int(request.headers['content-length']):
            return lost_answer()  # the client was killed
        if request.headers['content-encoding'] == 'gzip':
            body = gzip.decompress(body)
        assert body.endswith(b'\n')
        records = [json.loads(line) for line in body[:-1].split(b'\n')]
        post = Post(request.path, int(request.get('start') or -1), records, request)
        with self.lock:
            self.posts.append(post)
        answer = self.before(post)
        if answer is not None:
            return answer
        with self.lock:
            family, parent = _split(post.path)
            for number, record in zip(post.numbers, records, strict=True):
                key = record.get('_key') if isinstance(record, dict) else None
                self.records.setdefault(family, {})[f'{parent}/{number}' if key is None else key] = record
        return self.after(post) or reply(content_type='text/plain; charset=UTF-8')

    def stored(self, path: str) -> list[Any]:
        """Return the numbered records under a path in order, and check that no number is missing."""
        family, parent = _split(path)
        found = {key: record for key, record in self.records.get(family, {}).items() if key.startswith(f'{parent}/')}
        return [found[f'{parent}/{number}'] for number in range(len(found))]

    # Servers and clients

    @contextmanager
    def serving(self) -> Iterator[Server]:
        """Serve until the end of the ``with`` statement."""
        with Server(self.respond) as server:
            yield server

    @contextmanager
    def opened(self, **options: Any) -> Iterator[tuple[Server, ScrapinghubClient]]:
        """Serve, and yield the server with a client that never waits."""
        with Server(self.respond) as server, ScrapinghubClient(KEY, endpoint=server.url, **options) as client:
            client.transport.clock = ManualClock()
            yield server, client

    def size_of(self, read: Callable[[], object]) -> int:
        """Return the number of bytes in the body of the response to the first read."""
        read()
        return payload_size(self.replies[0])


def _split(path: str) -> tuple[str, str]:
    family, _, parent = path.strip('/').partition('/')
    return family, parent


def _count(request: Request) -> int | None:
    count = request.get('count')
    return None if count is None else int(count)


def _text_order(key: str) -> Any:
    return key.encode()


def _number_order(key: str) -> Any:
    return [int(part) for part in key.split('/')]


# Faults


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


def cuts(*sizes: int, reset: bool = False) -> list[Callable[[Reply], Reply] | None]:
    """Return faults that cut the bodies of the next responses after these numbers of bytes."""
    return [cut(size, reset=reset) for size in sizes]


def failing(times: int, answer: Callable[[], Reply]) -> Fault:
    """Return a fault of the next batches."""
    left = [times]

    def fault(post: Post) -> Reply | None:
        left[0] -= 1
        return answer() if left[0] >= 0 else None

    return fault


def lost_answer() -> Reply:
    """Close the connection without an answer."""
    return Reply(b'', close=True)
