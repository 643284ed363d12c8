"""Write a response to a connection: head, compression, length or chunks."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Generator, Iterator, Mapping
from email.utils import formatdate
from http import HTTPStatus
from types import MappingProxyType

from werkzeug.wrappers import Request

from scrapinghub.sandbox.server.connection import Connection
from scrapinghub.sandbox.server.response import Response, reason_of

#: A body up to this many bytes is sent with a Content-Length, a longer one in chunks.
MAX_BUFFERED = 64 * 1024


def head(status: int, reason: str | None, headers: Mapping[str, str]) -> bytes:
    """Return the status line and the headers of a response as bytes."""
    lines = [f'HTTP/1.1 {status} {reason or reason_of(status)}', f'Date: {formatdate(usegmt=True)}']
    lines += [f'{name}: {value}' for name, value in headers.items()]
    return ('\r\n'.join(lines) + '\r\n\r\n').encode('latin-1', 'replace')


def set_headers(headers: dict[str, str], changes: Mapping[str, str | None]) -> None:
    """Set some headers, or remove those that map to ``None``; names are compared without case."""
    for name, value in changes.items():
        for known in [known for known in headers if known.lower() == name.lower()]:
            del headers[known]
        if value is not None:
            headers[name] = value


def set_connection_header(headers: dict[str, str], connection: Connection) -> None:
    """Set the Connection header where it differs from the default of the client's protocol version."""
    if not connection.keep_alive:
        headers['Connection'] = 'close'
    elif not connection.chunks_allowed:
        headers['Connection'] = 'keep-alive'


def is_gzipped(response: Response, request: Request) -> bool:
    """Return whether a response is sent compressed."""
    return response.compress and request.accept_encodings.quality('gzip') > 0


def body_chunks(response: Response, request: Request) -> Generator[bytes, None, None]:
    """Yield the body as it is transferred, while it is produced."""
    body = (response.body,) if isinstance(response.body, bytes) else response.body
    if not is_gzipped(response, request):
        yield from body
        return
    compressor = zlib.compressobj(1, zlib.DEFLATED, 31)
    for chunk in body:
        compressed = compressor.compress(chunk)
        if compressed:
            yield compressed
    yield compressor.flush()


def send_response(
    connection: Connection, response: Response, overrides: Mapping[str, str | None] = MappingProxyType({})
) -> None:
    """Send a response, and update the connection and its exchange.

    Args:
        connection: The connection.
        response: The response.
        overrides: Headers to set, or to remove where they map to ``None``, also those of the framing.
    """
    with contextlib.closing(body_chunks(response, connection.exchange.request)) as body:
        _ResponseWriter(connection, overrides).send(response, body)


class _ResponseWriter:
    def __init__(self, connection: Connection, overrides: Mapping[str, str | None]) -> None:
        self._connection = connection
        self._exchange = connection.exchange
        self._overrides = overrides
        self._chunked = False
        self._buffer = bytearray()

    def send(self, response: Response, body: Iterator[bytes]) -> None:
        start, whole = _read_ahead(body)
        self._buffer += self._head(response, len(start) if whole else None)
        self._exchange.status = response.status
        if self._exchange.request.method != 'HEAD':
            self._send_chunk(start)
            for chunk in body:
                self._send_chunk(chunk)
            if self._chunked:
                self._buffer += b'0\r\n\r\n'
        self._flush()
        self._exchange.complete = True

    def _head(self, response: Response, length: int | None) -> bytes:
        headers = dict(response.headers)
        if is_gzipped(response, self._exchange.request):
            headers['Content-Encoding'] = 'gzip'
        if response.status == HTTPStatus.NO_CONTENT:
            # This status has no body, so no length either.
            pass
        elif length is not None:
            headers['Content-Length'] = str(length)
        elif self._connection.chunks_allowed:
            headers['Transfer-Encoding'] = 'chunked'
            self._chunked = True
        else:
            self._connection.keep_alive = False
        set_connection_header(headers, self._connection)
        set_headers(headers, self._overrides)
        return head(response.status, response.reason, headers)

    def _send_chunk(self, chunk: bytes) -> None:
        if not chunk:
            return
        if self._chunked:
            self._buffer += b'%x\r\n%b\r\n' % (len(chunk), chunk)
        else:
            self._buffer += chunk
        self._flush()
        self._exchange.body_bytes += len(chunk)

    def _flush(self) -> None:
        if self._buffer:
            self._connection.socket.sendall(self._buffer)
            self._buffer.clear()


def _read_ahead(body: Iterator[bytes]) -> tuple[bytes, bool]:
    """Return the beginning of a body, and whether that is the whole body."""
    parts: list[bytes] = []
    size = 0
    for chunk in body:
        parts.append(chunk)
        size += len(chunk)
        if size > MAX_BUFFERED:
            return b''.join(parts), False
    return b''.join(parts), True
