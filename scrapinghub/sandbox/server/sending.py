"""From an answer to the bytes of a connection: head, compression, length or chunks."""

from __future__ import annotations

import socket
import zlib
from collections.abc import Generator, Iterator, Mapping
from email.utils import formatdate
from types import MappingProxyType

from werkzeug.wrappers import Request

from scrapinghub.sandbox.server.exchange import Exchange
from scrapinghub.sandbox.server.http import Reply, reason_of

#: An answer that is at most this long is sent with its length.
WHOLE = 64 * 1024


def head(status: int, reason: str | None, headers: Mapping[str, str]) -> bytes:
    """Write the head of an answer."""
    lines = [f'HTTP/1.1 {status} {reason or reason_of(status)}', f'Date: {formatdate(usegmt=True)}']
    lines += [f'{name}: {value}' for name, value in headers.items()]
    return ('\r\n'.join(lines) + '\r\n\r\n').encode('latin-1', 'replace')


def set_headers(headers: dict[str, str], changes: Mapping[str, str | None]) -> None:
    """Set some headers, or remove them, whatever their spelling."""
    for name, value in changes.items():
        for known in [known for known in headers if known.lower() == name.lower()]:
            del headers[known]
        if value is not None:
            headers[name] = value


def announce(headers: dict[str, str], *, keep_alive: bool, chunks_allowed: bool) -> None:
    """Say what becomes of the connection, where the client would otherwise think something else.

    Args:
        headers: The headers of the answer.
        keep_alive: Whether the connection stays.
        chunks_allowed: Whether the client speaks HTTP/1.1, where connections stay.
    """
    if not keep_alive:
        headers['Connection'] = 'close'
    elif not chunks_allowed:
        headers['Connection'] = 'keep-alive'


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
        keep_alive: Whether the client can use the connection further.
        chunks_allowed: Whether the client understands chunks.
        overrides: Headers that a fault sets, or removes, whatever they should be.
    """

    def __init__(
        self,
        connection: socket.socket,
        exchange: Exchange,
        *,
        keep_alive: bool,
        chunks_allowed: bool,
        overrides: Mapping[str, str | None] = MappingProxyType({}),
    ) -> None:
        self._connection = connection
        self._exchange = exchange
        self._chunks_allowed = chunks_allowed
        self._overrides = overrides
        self._chunked = False
        self._buffer = bytearray()
        self.keep_alive = keep_alive

    def send(self, reply: Reply, body: Iterator[bytes]) -> None:
        """Send head and body; what was sent is in the exchange, and ``keep_alive`` tells whether the connection stays.

        Args:
            reply: Status and headers.
            body: The pieces of the body as it travels.
        """
        start, whole = _ahead(body)
        self._buffer += self._head(reply, len(start) if whole else None)
        self._exchange.status = reply.status
        if self._exchange.request.method != 'HEAD':
            self._send_piece(start)
            for piece in body:
                self._send_piece(piece)
            if self._chunked:
                self._buffer += b'0\r\n\r\n'
        self._flush()
        self._exchange.complete = True

    def _head(self, reply: Reply, length: int | None) -> bytes:
        headers = dict(reply.headers)
        if is_gzipped(reply, self._exchange.request):
            headers['Content-Encoding'] = 'gzip'
        if length is not None:
            headers['Content-Length'] = str(length)
        elif self._chunks_allowed:
            headers['Transfer-Encoding'] = 'chunked'
            self._chunked = True
        else:
            self.keep_alive = False
        announce(headers, keep_alive=self.keep_alive, chunks_allowed=self._chunks_allowed)
        set_headers(headers, self._overrides)
        return head(reply.status, reply.reason, headers)

    def _send_piece(self, piece: bytes) -> None:
        if not piece:
            return
        if self._chunked:
            self._buffer += b'%x\r\n%b\r\n' % (len(piece), piece)
        else:
            self._buffer += piece
        self._flush()
        self._exchange.body_bytes += len(piece)

    def _flush(self) -> None:
        if self._buffer:
            self._connection.sendall(self._buffer)
            self._buffer.clear()


def _ahead(body: Iterator[bytes]) -> tuple[bytes, bool]:
    """Take the beginning of a body; tell whether that was all."""
    parts: list[bytes] = []
    size = 0
    for piece in body:
        parts.append(piece)
        size += len(piece)
        if size > WHOLE:
            return b''.join(parts), False
    return b''.join(parts), True
