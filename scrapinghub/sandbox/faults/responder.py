"""Respond to one request as a fault describes it."""

from __future__ import annotations

import selectors
import socket
from dataclasses import replace
from itertools import chain
from typing import NoReturn
from urllib.parse import parse_qsl, urlencode

from werkzeug.wrappers import Request

from scrapinghub.sandbox.faults.body import DamagedBody, damage, frame
from scrapinghub.sandbox.faults.definition import AppliedFault, Ending, Fault, Framing
from scrapinghub.sandbox.server.connection import Connection
from scrapinghub.sandbox.server.exchange import ConnectionEnded
from scrapinghub.sandbox.server.response import Response, reason_of
from scrapinghub.sandbox.server.response_writer import (
    MAX_BUFFERED,
    body_chunks,
    head,
    is_gzipped,
    send_response,
    set_connection_header,
    set_headers,
)

#: A held request checks this often whether its client is still connected.
POLL_SECONDS = 0.05

#: What the load balancer in front of the service responds, as recorded; 502 was never recorded.
LOAD_BALANCER = {
    502: 'The server returned an invalid or incomplete response.',
    503: 'No server is available to handle this request.',
    504: "The server didn't respond in time.",
}


def fault_response(fault: Fault) -> Response:
    """Return the response of a fault that responds in place of the service."""
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
    return Response(status, fault.reason, headers, body)


class FaultResponder:
    """Respond to one request to which a fault applies.

    Args:
        applied: The fault.
        connection: The connection of the request.
    """

    def __init__(self, applied: AppliedFault, connection: Connection) -> None:
        self._applied = applied
        self._fault = applied.fault
        self._connection = connection
        self._exchange = connection.exchange
        self._removed_parameters = False

    def respond(self) -> None:
        """Respond, or end the connection, as the fault describes.

        Raises:
            ConnectionEnded: The connection ended, or must end without further data.
        """
        fault = self._fault
        if fault.delay:
            self._connection.wait(fault.delay)
        if fault.hold:
            self._hold()
        if fault.drop is not None and not fault.apply:
            self._end(fault.drop)
        response = self._response()
        if fault.drop is not None:
            self._end(fault.drop)
        if fault.changes_transfer:
            self._send(response)
        else:
            self._applied.happened = fault.always_has_effect or self._removed_parameters
            send_response(self._connection, response, fault.headers)
        if fault.hangup:
            self._connection.keep_alive = False

    def _response(self) -> Response:
        fault = self._fault
        if fault.responds and not fault.apply:
            return fault_response(fault)
        response = self._connection.application(self._request())
        if not fault.apply:
            return response
        # A streamed response does its work while it is read.
        for _ in body_chunks(replace(response, compress=False), self._exchange.request):
            pass
        return fault_response(fault) if fault.responds else response

    def _request(self) -> Request:
        """Return the request without the parameters to ignore."""
        request = self._exchange.request
        if not self._fault.ignore:
            return request
        pairs = parse_qsl(request.environ['QUERY_STRING'], keep_blank_values=True)
        kept = [(name, value) for name, value in pairs if name not in self._fault.ignore]
        if len(kept) == len(pairs):
            return request
        self._removed_parameters = True
        return Request({**request.environ, 'QUERY_STRING': urlencode(kept)})

    def _send(self, response: Response) -> None:
        """Send a response whose body is damaged, or transferred in another way."""
        fault, request, connection = self._fault, self._exchange.request, self._connection
        gzipped = is_gzipped(response, request)
        body = b''.join(body_chunks(replace(response, compress=False), request))
        headers = dict(response.headers)
        content_type = next((value for name, value in headers.items() if name.lower() == 'content-type'), '')
        damaged = damage(body, content_type, fault, gzipped=gzipped)
        framing = self._framing(len(damaged.data))
        if gzipped:
            headers['Content-Encoding'] = 'gzip'
        if framing == 'length':
            headers['Content-Length'] = str(len(damaged.data))
        elif framing == 'chunked':
            headers['Transfer-Encoding'] = 'chunked'
        else:
            connection.keep_alive = False
        set_connection_header(headers, connection)
        set_headers(headers, fault.headers)
        # A cut after the last byte has an effect only where the end of the body is marked by a last chunk.
        if damaged.cut is not None and damaged.cut >= len(damaged.data) and framing != 'chunked':
            damaged.cut = None
        effects = (fault.always_has_effect, self._removed_parameters, damaged.changed, damaged.cut is not None)
        self._applied.happened = any(effects)
        self._exchange.status = response.status
        self._send_bytes(head(response.status, response.reason, headers))
        if request.method != 'HEAD':
            self._send_body(damaged, framing)
        self._exchange.complete = True

    def _framing(self, length: int) -> Framing:
        framing: Framing = self._fault.framing or ('length' if length <= MAX_BUFFERED else 'chunked')
        return 'close' if framing == 'chunked' and not self._connection.chunks_allowed else framing

    def _send_body(self, damaged: DamagedBody, framing: Framing) -> None:
        stops = {offset for offset in (damaged.cut, damaged.stall) if offset is not None}
        # Start with an empty part: an offset of 0 is a stop too.
        for sent, part in chain([(0, b'')], frame(damaged.data, framing, self._fault.chunk, stops)):
            self._send_bytes(part)
            self._exchange.body_bytes = sent
            if sent == damaged.stall:
                self._hold()
            if sent == damaged.cut:
                self._end(self._fault.ending)
        if framing == 'chunked':
            self._send_bytes(b'0\r\n\r\n')

    def _send_bytes(self, data: bytes) -> None:
        step = self._fault.trickle
        if step is None:
            self._connection.socket.sendall(data)
            return
        for start in range(0, len(data), step):
            self._connection.socket.sendall(data[start : start + step])
            self._connection.wait(self._fault.pause)

    def _hold(self) -> None:
        """Wait until the fault is released, the client disconnects, or the server stops."""
        self._applied.held.set()
        client = self._connection.socket
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ)
            while not self._applied.released.wait(POLL_SECONDS):
                if self._connection.closing.is_set():
                    raise ConnectionEnded
                if selector.select(0) and not client.recv(1, socket.MSG_PEEK):
                    raise ConnectionEnded

    def _end(self, ending: Ending) -> NoReturn:
        if ending == 'reset':
            self._connection.reset()
        raise ConnectionEnded
