"""Serve one request that meets a fault."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from typing import NoReturn
from urllib.parse import parse_qsl, urlencode

from werkzeug.wrappers import Request

from scrapinghub.sandbox.faults.effects import Ending, Fault, Framing, Met
from scrapinghub.sandbox.faults.shaping import framed, shape
from scrapinghub.sandbox.server.exchange import Exchange, Gone
from scrapinghub.sandbox.server.http import Reply, reason_of
from scrapinghub.sandbox.server.sending import WHOLE, Sender, announce, head, is_gzipped, pieces, set_headers

#: How long a held request waits before it looks whether its client is still there.
LOOK_SECONDS = 0.05

#: What the load balancer in front of the service says by itself, as recorded; 502 was never recorded.
LOAD_BALANCER = {
    502: 'The server returned an invalid or incomplete response.',
    503: 'No server is available to handle this request.',
    504: "The server didn't respond in time.",
}


def own_answer(fault: Fault) -> Reply:
    """Build the answer that a fault gives instead of the service."""
    status = 200 if fault.status is None else fault.status
    reason = fault.reason or reason_of(status)
    headers = {'Content-Type': 'text/plain; charset=utf-8'}
    if fault.body is not None:
        body = fault.body.encode() if isinstance(fault.body, str) else fault.body
    elif status in LOAD_BALANCER:
        headers = {'Cache-Control': 'no-cache', 'Content-Type': 'text/html'}
        body = f'<html><body><h1>{status} {reason}</h1>\n{LOAD_BALANCER[status]}\n</body></html>\n'.encode()
    else:
        body = f'{reason}\n'.encode()
    set_headers(headers, fault.headers)
    return Reply(status, fault.reason, headers, body)


class Disturbed:
    """One request that meets a fault.

    Args:
        met: The fault.
        exchange: What happens with the request; it is kept up to date.
        connection: The socket.
        application: Answers the request where the fault lets it.
        pause: Waits some seconds.
        closing: Set when the server stops.
        reset: Ends the connection by a reset.
    """

    def __init__(
        self,
        met: Met,
        exchange: Exchange,
        connection: socket.socket,
        *,
        application: Callable[[Request], Reply],
        pause: Callable[[float], object],
        closing: threading.Event,
        reset: Callable[[], NoReturn],
    ) -> None:
        self._met = met
        self._fault = met.fault
        self._exchange = exchange
        self._connection = connection
        self._application = application
        self._pause = pause
        self._closing = closing
        self._reset = reset
        self._struck = False

    def serve(self, *, keep_alive: bool, chunks_allowed: bool) -> bool:
        """Answer, or do not, as the fault wants it.

        Args:
            keep_alive: Whether the client can use the connection further.
            chunks_allowed: Whether the client understands chunks.

        Returns:
            Whether the connection stays.

        Raises:
            Gone: The connection has ended, or is to end without another word.
        """
        fault = self._fault
        if fault.delay:
            self._wait(fault.delay)
        if fault.hold:
            self._hold()
        if fault.drop is not None and not fault.apply:
            self._end(fault.drop)
        reply = self._answer()
        if fault.drop is not None:
            self._end(fault.drop)
        if fault.shapes:
            stays = self._send(reply, keep_alive=keep_alive, chunks_allowed=chunks_allowed)
        else:
            self._met.happened = fault.certain or self._struck
            sender = Sender(
                self._connection,
                self._exchange,
                keep_alive=keep_alive,
                chunks_allowed=chunks_allowed,
                overrides=fault.headers,
            )
            with contextlib.closing(pieces(reply, self._exchange.request)) as body:
                sender.send(reply, body)
            stays = sender.keep_alive
        return stays and not fault.hangup

    def _answer(self) -> Reply:
        fault = self._fault
        if fault.answers and not fault.apply:
            return own_answer(fault)
        reply = self._application(self._request())
        if not fault.apply:
            return reply
        # A stream does its work when it is read.
        for _ in pieces(replace(reply, compress=False), self._exchange.request):
            pass
        return own_answer(fault) if fault.answers else reply

    def _request(self) -> Request:
        """Return the request without the parameters that are to be ignored."""
        request = self._exchange.request
        if not self._fault.ignore:
            return request
        pairs = parse_qsl(request.environ['QUERY_STRING'], keep_blank_values=True)
        kept = [(name, value) for name, value in pairs if name not in self._fault.ignore]
        if len(kept) == len(pairs):
            return request
        self._struck = True
        return Request({**request.environ, 'QUERY_STRING': urlencode(kept)})

    def _send(self, reply: Reply, *, keep_alive: bool, chunks_allowed: bool) -> bool:
        fault, request = self._fault, self._exchange.request
        gzipped = is_gzipped(reply, request)
        body = b''.join(pieces(replace(reply, compress=False), request))
        headers = dict(reply.headers)
        content_type = next((value for name, value in headers.items() if name.lower() == 'content-type'), '')
        shaped = shape(body, content_type, fault, gzipped=gzipped)
        wire = shaped.wire
        framing: Framing = fault.framing or ('length' if len(wire) <= WHOLE else 'chunked')
        if framing == 'chunked' and not chunks_allowed:
            framing = 'close'
        if gzipped:
            headers['Content-Encoding'] = 'gzip'
        if framing == 'length':
            headers['Content-Length'] = str(len(wire))
        elif framing == 'chunked':
            headers['Transfer-Encoding'] = 'chunked'
        else:
            keep_alive = False
        announce(headers, keep_alive=keep_alive, chunks_allowed=chunks_allowed)
        set_headers(headers, fault.headers)
        # With a length, or nothing, to end the body, a cut behind its last byte takes nothing away.
        cuts = shaped.cut is not None and (shaped.cut < len(wire) or framing == 'chunked')
        self._met.happened = fault.certain or self._struck or shaped.happened or cuts
        self._exchange.status = reply.status
        self._deliver(head(reply.status, reply.reason, headers))
        if request.method != 'HEAD':
            self._send_body(wire, framing, shaped.cut if cuts else None, shaped.stall)
        self._exchange.complete = True
        return keep_alive

    def _send_body(self, wire: bytes, framing: Framing, cut: int | None, stall: int | None) -> None:
        stops = {place for place in (cut, stall) if place is not None}
        # A place before the first byte is a stop too.
        for sent, piece in chain([(0, b'')], framed(wire, framing, self._fault.chunk, stops)):
            self._deliver(piece)
            self._exchange.body_bytes = sent
            if sent == stall:
                self._hold()
            if sent == cut:
                self._end(self._fault.ending)
        if framing == 'chunked':
            self._deliver(b'0\r\n\r\n')

    def _deliver(self, data: bytes) -> None:
        step = self._fault.trickle
        if step is None:
            self._connection.sendall(data)
            return
        for start in range(0, len(data), step):
            self._connection.sendall(data[start : start + step])
            self._wait(self._fault.pause)

    def _wait(self, seconds: float) -> None:
        if seconds:
            self._pause(seconds)
        if self._closing.is_set():
            raise Gone

    def _hold(self) -> None:
        """Wait until the fault is released, the client has gone, or the server stops."""
        self._met.held.set()
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection, selectors.EVENT_READ)
            while not self._met.released.wait(LOOK_SECONDS):
                if self._closing.is_set():
                    raise Gone
                if selector.select(0) and not self._connection.recv(1, socket.MSG_PEEK):
                    raise Gone

    def _end(self, how: Ending) -> NoReturn:
        if how == 'reset':
            self._reset()
        raise Gone
