"""A storage server that answers reads from prepared records and may break any of its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from scrapinghub import ScrapinghubClient
from support.clocks import ManualClock
from support.scripted_server import Reply, Request, Server, payload_size, records_reply, reply
from support.wire import KEY

JOB = '1/2/3'


@dataclass
class Shelf:
    """Records of one family, served as the service serves them.

    Attributes:
        family: First segment of the path.
        records: Records by key, in order.
        encoding: Content-Encoding of answers.
        framing: ``length`` or ``chunked``.
        cuts: Bytes after which the body of the next answers breaks off; later answers are whole.
        reset: Break off with a reset.
    """

    family: str
    records: dict[str, Any]
    encoding: str | None = None
    framing: str = 'length'
    cuts: list[int] = field(default_factory=list)
    reset: bool = False
    answers: list[Reply] = field(default_factory=list)

    def respond(self, request: Request) -> Reply:
        """Answer a read."""
        if request.segments[0] != self.family:
            return reply(b'Not Found\n', status=404, content_type=None)
        binary = 'msgpack' in request.headers.get('accept', '') and self.family != 'requests'
        rows = [self._row(key, record, request, binary) for key, record in self._asked(request)]
        options: dict[str, Any] = {'encoding': self.encoding, 'framing': self.framing, 'chunk': 16}
        if self.cuts:
            options.update(cut=self.cuts.pop(0), reset=self.reset)
        answer = records_reply(request, rows, **options)
        self.answers.append(answer)
        return answer

    def _row(self, key: str, record: Any, request: Request, binary: bool) -> Any:
        hidden = self.family == 'samples' or (self.family == 'logs' and binary)
        return record if hidden or '_key' not in request.all('meta') else {**record, '_key': key}

    def _asked(self, request: Request) -> list[tuple[str, Any]]:
        rows = list(self.records.items())
        start, after, count = request.get('start'), request.get('startafter'), request.get('count')
        if start is not None:
            rows = [row for row in rows if self._order(row[0]) >= self._order(start)]
        if after is not None:
            rows = [row for row in rows if self._order(row[0]) > self._order(after)]
        for name, of in (('key', str), ('index', lambda key: key.rpartition('/')[2])):
            if request.all(name):
                rows = [row for row in rows if of(row[0]) in request.all(name)]
        return rows if count is None else rows[: int(count)]

    def _order(self, key: str) -> Any:
        return key.encode() if self.family == 'collections' else [int(part) for part in key.split('/')]

    @contextmanager
    def opened(self, **options: Any) -> Iterator[tuple[Server, ScrapinghubClient]]:
        """Serve, and yield the server with a client that never waits."""
        with Server(self.respond) as server, ScrapinghubClient(KEY, endpoint=server.url, **options) as client:
            client.transport.clock = ManualClock()
            yield server, client

    def size_of(self, read: Callable[[], object]) -> int:
        """Return how many bytes the body of the answer to a read has."""
        read()
        return payload_size(self.answers[0])
