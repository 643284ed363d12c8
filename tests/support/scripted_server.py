"""Small servers over raw sockets: they send what HTTP libraries would never send, and count what reaches them."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgpack

from scrapinghub import ScrapinghubClient

JSON_LINES = 'application/x-jsonlines; charset=UTF-8'
MSGPACK = 'application/x-msgpack; charset=UTF-8'
JSON = 'application/json'
KEY = 'c0ffee' * 5 + '42'
REASONS = {200: 'OK', 302: 'Found', 400: 'Bad Request', 401: 'Unauthorized', 404: 'Not Found'}


@dataclass(frozen=True)
class Request:
    """A request as it arrived."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def segments(self) -> list[str]:
        """The decoded segments of the path."""
        return [unquote(part, errors='strict') for part in self.path.split('/')[1:]]

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)

    def get(self, name: str) -> str | None:
        """The last value of a parameter."""
        return dict(self.query).get(name)

    def all(self, name: str) -> list[str]:
        """All values of a parameter."""
        return [value for key, value in self.query if key == name]


@dataclass
class Reply:
    """What goes back: bytes of a whole answer, and what becomes of the connection.

    Attributes:
        data: The answer from its status line on.
        pieces: Further bytes, each sent by itself.
        close: Close the connection afterwards.
        reset: Close it with a reset.
        hold: Wait for this event before closing, with the connection open and silent.
    """

    data: bytes
    pieces: Iterable[bytes] = ()
    close: bool = False
    reset: bool = False
    hold: threading.Event | None = None


def pack(body: bytes, encoding: str | None) -> bytes:
    """Compress a body."""
    if encoding is None:
        return body
    if encoding == 'gzip':
        return gzip.compress(body, 6, mtime=0)
    if encoding == 'deflate':
        return zlib.compress(body)
    assert encoding == 'raw'
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


def reply(
    body: bytes = b'',
    *,
    status: int = 200,
    content_type: str | None = JSON_LINES,
    encoding: str | None = None,
    framing: str = 'length',
    chunk: int = 64,
    cut: int | None = None,
    reset: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Build an answer.

    Args:
        body: The body before compression.
        status: HTTP status.
        content_type: Header of the same name; None for none.
        encoding: ``gzip``, ``deflate``, ``raw`` (deflate without header) or None.
        framing: ``length``, ``chunked`` or ``close``.
        chunk: Size of a chunk.
        cut: Send only so many bytes of what follows the headers, then close.
        reset: Close with a reset instead.
        headers: Further headers.
    """
    packed = pack(body, encoding)
    lines = [f'HTTP/1.1 {status} {REASONS.get(status, "Some Reason")}']
    if content_type is not None:
        lines.append(f'Content-Type: {content_type}')
    if encoding is not None:
        lines.append(f'Content-Encoding: {"deflate" if encoding == "raw" else encoding}')
    payload = packed
    if framing == 'length':
        lines.append(f'Content-Length: {len(packed)}')
    elif framing == 'chunked':
        lines.append('Transfer-Encoding: chunked')
        payload = chunked(packed[start : start + chunk] for start in range(0, len(packed), chunk))
    else:
        lines.append('Connection: close')
    lines += [f'{name}: {value}' for name, value in (headers or {}).items()]
    head = '\r\n'.join(lines).encode('latin-1') + b'\r\n\r\n'
    if cut is not None:
        payload = payload[:cut]
    return Reply(head + payload, close=framing == 'close' or cut is not None, reset=reset)


def payload_size(answer: Reply) -> int:
    """Return the number of bytes that follow the headers."""
    return len(answer.data.partition(b'\r\n\r\n')[2])


def chunked(pieces: Iterable[bytes]) -> bytes:
    """Frame pieces as the chunks of a complete body."""
    return b''.join(b'%x\r\n%s\r\n' % (len(piece), piece) for piece in pieces) + b'0\r\n\r\n'


def lines_of(records: Iterable[Any]) -> bytes:
    """Return records as JSON lines."""
    return b''.join(json.dumps(record).encode() + b'\n' for record in records)


def records_reply(request: Request, records: Iterable[Any], **options: Any) -> Reply:
    """Answer with records, in MessagePack if it was asked for."""
    if 'msgpack' in request.headers.get('accept', ''):
        body = b''.join(map(msgpack.packb, records))
        return reply(body, content_type=MSGPACK, **options)
    return reply(lines_of(records), **options)


def json_reply(text: str, **options: Any) -> Reply:
    """Return an answer of the queue server or the dash."""
    return reply(text.encode(), content_type=JSON, **options)


def lines_reply(*records: Any) -> Reply:
    """Return an answer of JSON lines."""
    return reply(lines_of(records))


@dataclass
class Server:
    """A server on a free port of the loopback interface, to be used in a ``with`` statement.

    Args:
        respond: Makes the answer to a request. It runs in the thread of the connection.

    Attributes:
        requests: The requests that arrived, in their order.
        connections: Number of connections that were opened.
        closed: Number of connections that have ended.
        errors: What ``respond`` raised; leaving the ``with`` statement raises the first of them.
    """

    respond: Callable[[Request], Reply | bytes]
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    closed: int = 0
    errors: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(('127.0.0.1', 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._change = threading.Condition()
        self._stopped = False

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self.port}'

    def __enter__(self) -> Server:
        self._thread = threading.Thread(target=self._accept, name='test server', daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self.errors and error is None:
            raise self.errors[0]

    def stop(self) -> None:
        """Refuse further connections, and end those that are open."""
        with self._change:
            self._stopped = True
            sockets = list(self._sockets)
        # Closing a listener does not wake the thread that waits in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def wait_until(self, condition: Callable[[], bool], timeout: float = 10) -> bool:
        """Wait until a condition on the counters holds; return whether it does."""
        with self._change:
            return self._change.wait_for(condition, timeout)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._change:
                if self._stopped:
                    connection.close()
                    return
                self.connections += 1
                self._sockets.add(connection)
                number = self.connections
                self._change.notify_all()
            thread = threading.Thread(target=self._serve, args=(connection, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            with connection, connection.makefile('rb') as stream:
                while (request := read_request(stream, number)) is not None:
                    with self._change:
                        self.requests.append(request)
                        self._change.notify_all()
                    answer = self.respond(request)
                    if isinstance(answer, bytes):
                        answer = Reply(answer)
                    connection.sendall(answer.data)
                    for piece in answer.pieces:
                        connection.sendall(piece)
                    if answer.hold is not None:
                        answer.hold.wait(20)
                    if answer.reset:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                    if answer.close or answer.reset:
                        return
        except OSError:
            pass  # the client has gone
        except BaseException as error:  # noqa: BLE001 - raised at the end of the test
            self.errors.append(error)
        finally:
            with self._change:
                self._sockets.discard(connection)
                self.closed += 1
                self._change.notify_all()


def read_request(stream: Any, connection: int) -> Request | None:
    """Read one request; None at the end of the connection."""
    line = stream.readline().decode('latin-1').split()
    if len(line) < 2:
        return None
    headers: dict[str, str] = {}
    while header := stream.readline().decode('latin-1').strip():
        name, _, value = header.partition(':')
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get('content-length', 0)))
    return Request(line[0], line[1], headers, body, connection)


class Wire(Server):
    """Answers by path; an unknown path is 404.

    Args:
        answers: Replies by ``'METHOD /path'``, or by ``'/path'`` for any method.
    """

    def __init__(self, answers: Mapping[str, Reply]) -> None:
        super().__init__(self.answer)
        self.answers = dict(answers)

    def __enter__(self) -> Wire:
        super().__enter__()
        return self

    def answer(self, request: Request) -> Reply:
        """Return the answer to a request."""
        for name in (f'{request.method} {request.path}', request.path):
            if name in self.answers:
                return self.answers[name]
        return reply(b'Not Found\n', status=404, content_type=None)

    @property
    def asked(self) -> list[str]:
        """What was asked so far: method and target of each request."""
        return [f'{request.method} {request.target}' for request in self.requests]

    @property
    def bodies(self) -> list[str]:
        """The bodies of the requests so far."""
        return [request.body.decode() for request in self.requests]

    def client(self, **options: Any) -> ScrapinghubClient:
        """Return a client for this service that never repeats a request."""
        return ScrapinghubClient(
            options.pop('auth', KEY), f'{self.url}/api/', **{'endpoint': self.url, 'max_retries': 0, **options}
        )
