"""HTTP/1.1 over sockets and threads, with connections that stay open.

The server knows nothing of Scrapy Cloud. It reads a request, asks :attr:`Server.interceptor` what should go otherwise
with it, lets the application answer, sends the answer and tells :attr:`Server.observer` what happened.
"""

from __future__ import annotations

import contextlib
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

from scrapinghub.sandbox.faults.disturbing import Disturbed
from scrapinghub.sandbox.faults.effects import Met
from scrapinghub.sandbox.server.exchange import Exchange, Gone
from scrapinghub.sandbox.server.http import Reply, reason_of
from scrapinghub.sandbox.server.receiving import LONGEST_LINE, Unreadable, build_request, read_body
from scrapinghub.sandbox.server.sending import Sender, head, pieces

logger = logging.getLogger(__name__)

LOOPBACK = '127.0.0.1'
CLOSE_SECONDS = 5.0
ACCEPT_AGAIN_SECONDS = 0.05

Application = Callable[[Request], Reply]
Interceptor = Callable[[Request], Met | None]
Observer = Callable[[Exchange], None]


class Server:
    """An HTTP server on the loopback interface, ready when the constructor returns.

    Args:
        application: Answers a request.
        port: Port to listen on; 0 takes a free one.
        after_request: Called in the request's thread when its answer has been sent.

    Attributes:
        port: The port.
        interceptor: Asked before each request, in the request's thread; may be replaced at any time.
        observer: Told of each request when it has been read, and when it is over, in the request's thread; may be
            replaced at any time.
        pause: Waits some seconds for a fault; may be replaced, so that nobody has to wait.
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
        # The thread waits in accept: one more connection lets it see that it should end.
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.port), 1.0):
            pass
        self._thread.join(CLOSE_SECONDS)
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
                # Out of file descriptors, say. Do not spin.
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
        except (OSError, Gone):
            # The other side, or a fault, has ended the connection.
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
        if not self.parse_request():
            return
        try:
            body = read_body(self.rfile, self.headers)
        except Unreadable as error:
            self.send_error(error.status, str(error))
            return
        request = build_request(
            self.command, self.path, self.request_version, self.headers.items(), body, self.listener.server_port
        )
        exchange = Exchange(request, self.connection_number, time.monotonic())
        self._tell(exchange)
        try:
            self._exchange(exchange)
        finally:
            self.listener.owner.after_request()
            exchange.duration = time.monotonic() - exchange.started
            exchange.over = True
            self._tell(exchange)

    def _tell(self, exchange: Exchange) -> None:
        observer = self.listener.owner.observer
        if observer is not None:
            observer(exchange)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is not even HTTP, and end the connection."""
        self.close_connection = True
        body = f'{message or reason_of(code)}\n'.encode('utf-8', 'replace')
        headers = {'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': str(len(body)), 'Connection': 'close'}
        self.connection.sendall(head(code, None, headers) + body)

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug(format, *args)

    def _exchange(self, exchange: Exchange) -> None:
        owner = self.listener.owner
        exchange.met = owner.interceptor(exchange.request) if owner.interceptor is not None else None
        keep_alive = not self.close_connection and not owner.closing.is_set()
        chunks_allowed = self.request_version != 'HTTP/1.0'
        if exchange.met is not None:
            disturbed = Disturbed(
                exchange.met,
                exchange,
                self.connection,
                application=owner.application,
                pause=owner.pause,
                closing=owner.closing,
                reset=self._reset,
            )
            self.close_connection = not disturbed.serve(keep_alive=keep_alive, chunks_allowed=chunks_allowed)
            return
        reply = owner.application(exchange.request)
        sender = Sender(self.connection, exchange, keep_alive=keep_alive, chunks_allowed=chunks_allowed)
        with contextlib.closing(pieces(reply, exchange.request)) as body:
            sender.send(reply, body)
        self.close_connection = not sender.keep_alive

    def _reset(self) -> NoReturn:
        """End the connection by a reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        # Closing the socket object would wait for the file made from it, and say a proper good-bye first.
        os.close(self.connection.detach())
        raise Gone
