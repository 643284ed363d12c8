"""HTTP/1.1 over sockets and threads, with connections that stay open.

The server knows nothing of Scrapy Cloud. It reads a request, passes it to the application, sends the response, and
reports the exchange to :attr:`Server.observer`. :attr:`Server.interceptor` may choose another way to respond.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, NoReturn

from werkzeug.wrappers import Request

from scrapinghub.sandbox.server.connection import Application, Connection
from scrapinghub.sandbox.server.exchange import ConnectionEnded, Exchange
from scrapinghub.sandbox.server.request_reader import (
    LONGEST_LINE,
    BadRequest,
    build_request,
    read_body,
    read_header_lines,
)
from scrapinghub.sandbox.server.response import reason_of
from scrapinghub.sandbox.server.response_writer import head, send_response

logger = logging.getLogger(__name__)

LOOPBACK = '127.0.0.1'
CLOSE_SECONDS = 5.0
ACCEPT_AGAIN_SECONDS = 0.05

Responder = Callable[[Connection], None]
Interceptor = Callable[[Exchange], Responder | None]
Observer = Callable[[Exchange], None]


class Server:
    """An HTTP server on the loopback interface, ready when the constructor returns.

    Args:
        application: Handles a request.
        port: Port to listen on; 0 selects a free one.
        after_request: Called in the thread of a request after its response was sent.

    Attributes:
        port: The port.
        interceptor: Called for each request, in the thread of the request; returns what responds to it in place of
            the application, or ``None``. May be replaced at any time.
        observer: Called for each request when it was read and when it is finished, in the thread of the request. May
            be replaced at any time.
        pause: Waits some seconds for a fault. Replace it to skip the waiting.
    """

    def __init__(
        self, application: Application, *, port: int = 0, after_request: Callable[[], None] = lambda: None
    ) -> None:
        self.application = application
        self.after_request = after_request
        self.interceptor: Interceptor | None = None
        self.observer: Observer | None = None
        self.closing = threading.Event()
        self.pause: Callable[[float], object] = self.closing.wait
        self._listener = _Listener(self, port)
        self.port: int = self._listener.server_address[1]
        self._thread = threading.Thread(target=self._listener.accept_connections, name='sandbox', daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, end all connections and their threads. A second call does nothing."""
        if self.closing.is_set():
            return
        self.closing.set()
        # The thread blocks in accept: one more connection wakes it up.
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.port), 1.0):
            pass
        self._thread.join(CLOSE_SECONDS)
        self._listener.server_close()
        self._listener.end_connections()


def respond(connection: Connection) -> None:
    """Let the application handle the request, and send its response."""
    send_response(connection, connection.application(connection.exchange.request))


class _Listener(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True

    def __init__(self, owner: Server, port: int) -> None:
        self.owner = owner
        self._guard = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._count = 0
        super().__init__((LOOPBACK, port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer would look up the host's full name here, which may take seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]

    def accept_connections(self) -> None:
        closing = self.owner.closing
        while not closing.is_set():
            try:
                connection, address = self.socket.accept()
            except OSError:
                # For example, no file descriptor is free. Do not spin.
                closing.wait(ACCEPT_AGAIN_SECONDS)
                continue
            if closing.is_set():
                connection.close()
            else:
                self.process_request(connection, address)

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


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    rbufsize = 64 * 1024

    def setup(self) -> None:
        super().setup()
        assert isinstance(self.server, _Listener)
        self.listener = self.server
        self.connection_number = self.listener.number()

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ConnectionEnded):
            # The client, or a fault, ended the connection.
            pass
        except Exception:
            logger.exception('a connection ended with an error')

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(LONGEST_LINE + 1)
        if not self.raw_requestline:
            self.close_connection = True
            return
        self.requestline, self.request_version, self.command = '', '', ''
        if len(self.raw_requestline) > LONGEST_LINE:
            self.send_error(414)
            return
        try:
            request = self._read_request()
        except BadRequest as error:
            self.send_error(error.status, str(error))
            return
        if request is None:
            return
        exchange = Exchange(request, self.connection_number, time.monotonic())
        self._report(exchange)
        try:
            self._respond(exchange)
        finally:
            self.listener.owner.after_request()
            exchange.duration = time.monotonic() - exchange.started
            exchange.over = True
            self._report(exchange)

    def _read_request(self) -> Request | None:
        """Return the request, ``None`` when its first line was refused."""
        stream = self.rfile
        self.rfile = io.BytesIO(read_header_lines(stream))
        try:
            if not self.parse_request():
                return None
        finally:
            self.rfile = stream
        body = read_body(stream, self.headers)
        return build_request(
            self.command, self.path, self.request_version, self.headers.items(), body, self.listener.server_port
        )

    def _report(self, exchange: Exchange) -> None:
        observer = self.listener.owner.observer
        if observer is not None:
            observer(exchange)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Respond to a request that is not valid HTTP, and close the connection."""
        self.close_connection = True
        body = f'{message or reason_of(code)}\n'.encode('utf-8', 'replace')
        headers = {'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': str(len(body)), 'Connection': 'close'}
        self.connection.sendall(head(code, None, headers) + body)

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug(format, *args)

    def _respond(self, exchange: Exchange) -> None:
        owner = self.listener.owner
        responder = owner.interceptor(exchange) if owner.interceptor is not None else None
        connection = Connection(
            self.connection,
            exchange,
            owner.application,
            keep_alive=not self.close_connection and not owner.closing.is_set(),
            chunks_allowed=self.request_version != 'HTTP/1.0',
            pause=owner.pause,
            closing=owner.closing,
            reset=self._reset,
        )
        (responder or respond)(connection)
        self.close_connection = not connection.keep_alive

    def _reset(self) -> NoReturn:
        """End the connection with a reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        # Closing the socket object would wait for the file made from it, and close the connection in the normal way.
        os.close(self.connection.detach())
        raise ConnectionEnded
