"""A storage server that keeps what writers send, and meets the faults that a test plans."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from scrapinghub.config.credentials import Credentials
from scrapinghub.config.endpoints import Endpoints
from scrapinghub.transport.http.transport import Transport
from support.scripted_server import Reply, Request, Server, reply

Fault = Callable[['Post'], 'Reply | None']

OK = {'content_type': 'text/plain; charset=UTF-8'}


@dataclass(frozen=True)
class Post:
    """One batch as it arrived."""

    path: str
    start: int
    records: list[Any]
    request: Request = field(repr=False)

    @property
    def numbers(self) -> range:
        return range(self.start, self.start + len(self.records))


@dataclass
class Storage:
    """What a service keeps.

    Attributes:
        before: Asked first; its answer is sent instead, and nothing is stored.
        after: Asked when the batch is stored; its answer is sent instead of the good one.
        posts: All batches, refused ones too.
        numbered: Records by path and number.
        keyed: Records by path and ``_key``, and how often each was sent.
    """

    before: Fault = lambda post: None
    after: Fault = lambda post: None
    posts: list[Post] = field(default_factory=list)
    numbered: dict[str, dict[int, Any]] = field(default_factory=dict)
    keyed: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def respond(self, request: Request) -> Reply:
        body = request.body
        if len(body) < int(request.headers['content-length']):
            return lost_answer()  # the client was killed meanwhile
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
            self.numbered.setdefault(post.path, {}).update(zip(post.numbers, records, strict=True))
            for record in records:
                if isinstance(record, dict) and '_key' in record:
                    self.keyed.setdefault(post.path, {})[record['_key']] = record
        return self.after(post) or reply(content_type='text/plain; charset=UTF-8')

    def stored(self, path: str) -> list[Any]:
        """Return the records under a path in order, and check that no number is missing."""
        found = self.numbered.get(path, {})
        assert sorted(found) == list(range(len(found)))
        return [found[number] for number in sorted(found)]

    @contextmanager
    def serving(self) -> Iterator[Server]:
        """Serve until the end of the ``with`` statement."""
        with Server(self.respond) as server:
            yield server


def failing(times: int, answer: Callable[[], Reply]) -> Fault:
    """Return a fault that is met so many times."""
    left = [times]

    def fault(post: Post) -> Reply | None:
        left[0] -= 1
        return answer() if left[0] >= 0 else None

    return fault


def lost_answer() -> Reply:
    """Close the connection instead of answering."""
    return Reply(b'', close=True)


def in_real_time(server: Server) -> Transport:
    """Return a transport on the clock of the machine, for what several threads do at once."""
    return Transport(Credentials('key'), Endpoints(server.url, server.url, server.url), user_agent='test', timeout=20)
