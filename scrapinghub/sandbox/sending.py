"""From an answer to the bytes of a connection: head, compression, length or chunks, and faults on the way."""

from __future__ import annotations

import socket
import zlib
from collections.abc import Generator, Iterator, Mapping
from email.utils import formatdate

from werkzeug.wrappers import Request

from scrapinghub.sandbox.exchange import Exchange, Fault
from scrapinghub.sandbox.http import Reply, reason_of

#: An answer that is at most this long is sent with its length.
WHOLE = 64 * 1024


def head(status: int, reason: str | None, headers: Mapping[str, str]) -> bytes:
    """Write the head of an answer."""
    lines = [f'HTTP/1.1 {status} {reason or reason_of(status)}', f'Date: {formatdate(usegmt=True)}']
    lines += [f'{name}: {value}' for name, value in headers.items()]
    return ('\r\n'.join(lines) + '\r\n\r\n').encode('latin-1', 'replace')


def is_gzipped(reply: Reply, request: Request) -> bool:
    """Tell whether an answer travels compressed."""
    return reply.compress and request.accept_encodings.quality('gzip') > 0


def pieces(reply: Reply, request: Request) -> Generator[bytes, None, None]:
    """Yield the body as it travels, while it is produced."""
    body = (reply.body,) if isinstance(reply.body, bytes) else reply.body
    if not is_gzipped(reply, request):
        yield from body
        return
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    for piece in body:
        packed = packer.compress(piece)
        if packed:
            yield packed
    yield packer.flush()


class Sender:
    """Send one answer.

    Args:
        connection: The socket.
        exchange: What happens with the request; it is kept up to date.
        fault: What goes otherwise.
        keep_alive: Whether the client can use the connection further.
        chunks_allowed: Whether the client understands chunks.
    """

    def __init__(
        self, connection: socket.socket, exchange: Exchange, fault: Fault, *, keep_alive: bool, chunks_allowed: bool
    ) -> None:
        self._connection = connection
        self._exchange = exchange
        self._fault = fault
        self._chunks_allowed = chunks_allowed
        self._chunked = False
        self._buffer = bytearray()
        self.keep_alive = keep_alive and fault.cut_after is None

    def send(self, reply: Reply, body: Iterator[bytes]) -> None:
        """Send head and body; what was sent is in the exchange, and ``keep_alive`` tells whether the connection stays.

        Args:
            reply: Status and headers.
            body: The pieces of the body as it travels.
        """
        start, whole = _ahead(body, everything=self._fault.framing == 'length')
        self._buffer += self._head(reply, len(start), whole)
        self._exchange.status = reply.status
        if self._exchange.request.method == 'HEAD':
            self._flush()
        elif self._fault.cut_after is not None:
            self._send_until(self._fault.cut_after, start, body)
            return
        else:
            self._send_piece(start)
            for piece in body:
                self._send_piece(piece)
            self._finish()
        self._exchange.complete = True

    def _head(self, reply: Reply, length: int, whole: bool) -> bytes:
        framing = self._fault.framing or ('length' if whole else 'chunked')
        if framing == 'chunked' and not self._chunks_allowed:
            framing = 'close'
        headers = dict(reply.headers)
        if is_gzipped(reply, self._exchange.request):
            headers['Content-Encoding'] = 'gzip'
        if framing == 'length':
            headers['Content-Length'] = str(length)
        elif framing == 'chunked':
            headers['Transfer-Encoding'] = 'chunked'
            self._chunked = True
        else:
            self.keep_alive = False
        if not self.keep_alive and self._fault.cut_after is None:
            headers['Connection'] = 'close'
        return head(reply.status, reply.reason, headers)

    def _send_piece(self, piece: bytes, sent: int | None = None) -> None:
        """Send a piece, or only the first bytes of it."""
        if not piece:
            return
        part = piece if sent is None else piece[:sent]
        if self._chunked:
            self._buffer += b'%x\r\n' % len(piece)
        self._buffer += part
        if self._chunked and len(part) == len(piece):
            self._buffer += b'\r\n'
        self._flush()
        self._exchange.body_bytes += len(part)

    def _send_until(self, room: int, start: bytes, body: Iterator[bytes]) -> None:
        piece: bytes | None = start
        while piece is not None:
            if room == 0 or len(piece) > room:
                break
            self._send_piece(piece)
            room -= len(piece)
            piece = next(body, None)
        if piece is None and room:
            self._finish()
            self._exchange.complete = True
        elif piece is not None and room:
            self._send_piece(piece, room)
        else:
            # Without room nothing of the next piece may show, not even the size of its chunk.
            self._flush()

    def _finish(self) -> None:
        if self._chunked:
            self._buffer += b'0\r\n\r\n'
        self._flush()

    def _flush(self) -> None:
        if self._buffer:
            self._connection.sendall(self._buffer)
            self._buffer.clear()


def _ahead(body: Iterator[bytes], *, everything: bool) -> tuple[bytes, bool]:
    """Take the beginning of a body; tell whether that was all."""
    parts: list[bytes] = []
    size = 0
    for piece in body:
        parts.append(piece)
        size += len(piece)
        if size > WHOLE and not everything:
            return b''.join(parts), False
    return b''.join(parts), True
