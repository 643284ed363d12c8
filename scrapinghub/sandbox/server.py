"""HTTP/1.1 over sockets and threads: connections that stay open, answers with a length or in chunks, gzip.

The server knows nothing of Scrapy Cloud. It reads a request, asks :attr:`Server.interceptor` what should go otherwise with
it, lets the application answer, sends the answer and tells :attr:`Server.observer` what happened.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import socket
import string
import struct
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Literal, NoReturn
from urllib.parse import quote, unquote_to_bytes, urlsplit

from werkzeug.wrappers import Request

from scrapinghub.sandbox.http import MAX_BODY, Reply, reason_of

logger = logging.getLogger(__name__)

#: Key of the WSGI environment that holds the path as it was sent, still percent-encoded.
RAW_PATH = 'scrapinghub.raw_path'
#: An answer that is at most this long is sent with its length.
WHOLE = 64 * 1024
#: What is read and thrown away of a body that is too large, so that the client gets to read the answer.
DRAIN = 256 * 1024 * 1024
CLOSE_SECONDS = 5.0


@dataclass
class Fault:
    """What goes otherwise with one request. The default of every attribute is: nothing.

    Attributes:
        answer: Sent instead of asking the application, which then never sees the request.
        delay: Seconds to wait before anything else.
        reset: Reset the connection ``'before'`` the application sees the request, or ``'after'`` it has answered.
        cut_after: End the connection after this many bytes of the body as it travels (compressed if it is; the framing
            of chunks not counted), before a final chunk. A shorter body is sent whole, and then the connection ends.
        framing: How the body is delimited: ``'length'``, ``'chunked'``, or ``'close'`` (by the end of the connection).
        ending: How a cut ends the connection: ``'close'`` in order, or ``'reset'``.
    """

    answer: Reply | None = None
    delay: float = 0.0
    reset: Literal['before', 'after'] | None = None
    cut_after: int | None = None
    framing: Literal['length', 'chunked', 'close'] | None = None
    ending: Literal['close', 'reset'] = 'close'


@dataclass
class Exchange:
    """What happened with one request.

    Attributes:
        request: The request; its headers hold credentials.
        connection: Number of the TCP connection, counted from 1.
        started: When the request was read, in seconds of the monotonic clock.
        duration: Seconds until the answer was sent or abandoned.
        status: HTTP status sent, ``None`` when none was.
        body_bytes: Bytes of the answer's body that were sent, as they travelled.
        complete: Whether the answer was sent whole.
        fault: What was made to go otherwise.
    """

    request: Request
    connection: int
    started: float
    duration: float = 0.0
    status: int | None = None
    body_bytes: int = 0
    complete: bool = False
    fault: Fault | None = None


Application = Callable[[Request], Reply]
Interceptor = Callable[[Request], 'Fault | None']
Observer = Callable[[Exchange], None]


class Server:
    """An HTTP server on the loopback interface, ready when the constructor returns.

    Args:
        application: Answers a request.
        port: Port to listen on; 0 takes a free one.
        after_request: Called in the request's thread when its answer has been sent.

    Attributes:
        port: The port.
        interceptor: Asked before each request; may be replaced at any time.
        observer: Told after each request; may be replaced at any time.
    """

    def __init__(
        self, application: Application, *, port: int = 0, after_request: Callable[[], None] = lambda: None
    ) -> None:
        self.application = application
        self.after_request = after_request
        self.interceptor: Interceptor | None = None
        self.observer: Observer | None = None
        self.closing = threading.Event()
        self._listener = _Listener(self, port)
        self.port: int = self._listener.server_address[1]
        self._thread = threading.Thread(
            target=self._listener.serve_forever, kwargs={'poll_interval': 0.05}, name='sandbox', daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening, end all connections and their threads."""
        if self.closing.is_set():
            return
        self.closing.set()
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()
        self._listener.end_connections()


class _Listener(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True

    def __init__(self, owner: Server, port: int) -> None:
        self.owner = owner
        self._guard = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._count = 0
        super().__init__(('127.0.0.1', port), _Handler)

    def server_bind(self) -> None:
        # The base class would look up the host's full name, which may take seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = '127.0.0.1', self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), name='sandbox-connection', daemon=True
        )
        with self._guard:
            self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def number(self) -> int:
        with self._guard:
            self._count += 1
            return self._count

    def end_connections(self) -> None:
        with self._guard:
            connections = dict(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + CLOSE_SECONDS
        for thread in connections.values():
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.error('a connection ended with an error', exc_info=True)


class BadRequest(Exception):
    """The request cannot be read; the connection ends after the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Gone(Exception):
    """The client or a fault ended the connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    rbufsize = 64 * 1024
    server: _Listener

    def setup(self) -> None:
        super().setup()
        self.connection_number = self.server.number()

    def handle(self) -> None:
        with contextlib.suppress(OSError, Gone):
            super().handle()

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
            return
        self.requestline, self.request_version, self.command = '', '', ''
        if len(self.raw_requestline) > 65536:
            self.send_error(414)
            return
        if not self.parse_request():
            return
        try:
            request = self._request()
        except BadRequest as error:
            self.send_error(error.status, str(error))
            return
        exchange = Exchange(request, self.connection_number, time.monotonic())
        try:
            self._exchange(exchange)
        finally:
            self.server.owner.after_request()
            exchange.duration = time.monotonic() - exchange.started
            observer = self.server.owner.observer
            if observer is not None:
                observer(exchange)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is not even HTTP, and end the connection."""
        self.close_connection = True
        body = f'{message or reason_of(code)}\n'.encode('utf-8', 'replace')
        head = self._head(code, None, {'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': str(len(body))})
        self.wfile.write(head + body)

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug(format, *args)

    def _request(self) -> Request:
        target = self.path
        if not target.startswith('/'):
            parts = urlsplit(target)
            target = (parts.path or '/') + (f'?{parts.query}' if parts.query else '')
        path, _, query = target.partition('?')
        # http.server hands bytes over as Latin-1; whatever was not percent-encoded becomes so.
        path = quote(path.partition('#')[0].encode('latin-1'), safe=string.punctuation)
        body = self._read_body()
        environ: dict[str, Any] = {
            'REQUEST_METHOD': self.command,
            'SCRIPT_NAME': '',
            'PATH_INFO': unquote_to_bytes(path).decode('latin-1'),
            'QUERY_STRING': query.partition('#')[0],
            'CONTENT_TYPE': self.headers.get('Content-Type', ''),
            'CONTENT_LENGTH': str(len(body)),
            'SERVER_NAME': '127.0.0.1',
            'SERVER_PORT': str(self.server.server_port),
            'SERVER_PROTOCOL': self.request_version,
            'REMOTE_ADDR': self.client_address[0],
            'wsgi.version': (1, 0),
            'wsgi.url_scheme': 'http',
            'wsgi.input': io.BytesIO(body),
            'wsgi.errors': io.StringIO(),
            'wsgi.multithread': True,
            'wsgi.multiprocess': False,
            'wsgi.run_once': False,
            RAW_PATH: path,
        }
        for name, value in self.headers.items():
            key = name.upper().replace('-', '_')
            if key in ('CONTENT_TYPE', 'CONTENT_LENGTH'):
                continue
            key = f'HTTP_{key}'
            environ[key] = f'{environ[key]},{value}' if key in environ else value
        return Request(environ)

    def _read_body(self) -> bytes:
        coding = self.headers.get('Transfer-Encoding')
        length = self.headers.get('Content-Length')
        if coding is not None:
            if coding.strip().lower() != 'chunked' or length is not None:
                raise BadRequest(400, 'Transfer-Encoding must be chunked, and without Content-Length')
            return self._read_chunks()
        if length is None:
            return b''
        if not (length.isascii() and length.isdecimal()):
            raise BadRequest(400, 'Content-Length must be a number')
        size = int(length)
        if size > MAX_BODY:
            self._drain(min(size, DRAIN))
            raise BadRequest(413, f'Request body too large - max {MAX_BODY} bytes')
        return self._read_exactly(size)

    def _read_chunks(self) -> bytes:
        parts: list[bytes] = []
        total = 0
        while True:
            head = self.rfile.readline(1024).partition(b';')[0].strip()
            try:
                size = int(head, 16)
            except ValueError as error:
                raise BadRequest(400, 'broken chunk in the request body') from error
            if size <= 0:
                break
            total += size
            if total > MAX_BODY:
                raise BadRequest(413, f'Request body too large - max {MAX_BODY} bytes')
            parts.append(self._read_exactly(size))
            if self.rfile.readline(3).strip():
                raise BadRequest(400, 'broken chunk in the request body')
        while self.rfile.readline(65537).strip():
            pass
        return b''.join(parts)

    def _read_exactly(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) < size:
            raise Gone
        return data

    def _drain(self, size: int) -> None:
        while size > 0:
            data = self.rfile.read(min(size, WHOLE))
            if not data:
                raise Gone
            size -= len(data)

    def _exchange(self, exchange: Exchange) -> None:
        interceptor = self.server.owner.interceptor
        fault = exchange.fault = interceptor(exchange.request) if interceptor is not None else None
        if fault is None:
            fault = Fault()
        if fault.delay > 0 and self.server.owner.closing.wait(fault.delay):
            raise Gone
        if fault.reset == 'before':
            self._reset()
        reply = self.server.owner.application(exchange.request) if fault.answer is None else fault.answer
        chunks = _packed(reply, exchange.request)
        try:
            if fault.reset == 'after':
                next(chunks, b'')
                self._reset()
            self._send(exchange, reply, chunks, fault)
        finally:
            chunks.close()

    def _send(self, exchange: Exchange, reply: Reply, chunks: Iterator[bytes], fault: Fault) -> None:
        start, whole = _ahead(chunks, everything=fault.framing == 'length')
        framing = fault.framing or ('length' if whole else 'chunked')
        if framing == 'chunked' and self.request_version == 'HTTP/1.0':
            framing = 'close'
        headers = dict(reply.headers)
        if _is_gzipped(reply, exchange.request):
            headers['Content-Encoding'] = 'gzip'
        if framing == 'length':
            headers['Content-Length'] = str(len(start))
        elif framing == 'chunked':
            headers['Transfer-Encoding'] = 'chunked'
        if framing == 'close' or fault.cut_after is not None or self.server.owner.closing.is_set():
            self.close_connection = True
        if self.close_connection and fault.cut_after is None:
            headers['Connection'] = 'close'
        exchange.status = reply.status
        buffer = bytearray(self._head(reply.status, reply.reason, headers))
        if self.command == 'HEAD':
            self.connection.sendall(buffer)
            exchange.complete = True
            return
        room = fault.cut_after
        for data in _chain(start, chunks):
            part = data if room is None else data[:room]
            if part:
                if framing == 'chunked':
                    buffer += b'%x\r\n' % len(data)
                buffer += part
                if framing == 'chunked' and len(part) == len(data):
                    buffer += b'\r\n'
                self.connection.sendall(buffer)
                buffer.clear()
                exchange.body_bytes += len(part)
            if room is not None:
                room -= len(part)
                if room == 0:
                    break
        if room == 0:
            self._cut(buffer, fault)
        if framing == 'chunked':
            buffer += b'0\r\n\r\n'
        if buffer:
            self.connection.sendall(buffer)
        exchange.complete = True

    def _head(self, status: int, reason: str | None, headers: dict[str, str]) -> bytes:
        lines = [f'HTTP/1.1 {status} {reason or reason_of(status)}', f'Date: {self.date_time_string()}']
        lines += [f'{name}: {value}' for name, value in headers.items()]
        return ('\r\n'.join(lines) + '\r\n\r\n').encode('latin-1', 'replace')

    def _cut(self, buffer: bytearray, fault: Fault) -> NoReturn:
        if buffer:
            self.connection.sendall(buffer)
        if fault.ending == 'reset':
            self._reset()
        self.close_connection = True
        raise Gone

    def _reset(self) -> NoReturn:
        """End the connection by a reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        # Closing the socket object would wait for the file made from it and say a proper good-bye first.
        os.close(self.connection.detach())
        raise Gone


def _is_gzipped(reply: Reply, request: Request) -> bool:
    return reply.compress and request.accept_encodings.quality('gzip') > 0


def _pieces(reply: Reply) -> Iterator[bytes]:
    if isinstance(reply.body, bytes):
        yield reply.body
    else:
        yield from reply.body


def _packed(reply: Reply, request: Request) -> Generator[bytes, None, None]:
    """Yield the body as it travels."""
    if not _is_gzipped(reply, request):
        yield from _pieces(reply)
        return
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    for piece in _pieces(reply):
        packed = packer.compress(piece)
        if packed:
            yield packed
    yield packer.flush()


def _ahead(chunks: Iterator[bytes], *, everything: bool) -> tuple[bytes, bool]:
    """Take the beginning of a body; tell whether that was all."""
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > WHOLE and not everything:
            return b''.join(parts), False
    return b''.join(parts), True


def _chain(start: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    if start:
        yield start
    yield from rest
