"""Read head and body of a request strictly, and build the request object."""

from __future__ import annotations

import io
import re
import string
from collections.abc import Iterable
from email.message import Message
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

from werkzeug.wrappers import Request

from scrapinghub.sandbox.server.exchange import ConnectionEnded

#: Largest request body in bytes, compressed or not.
MAX_BODY = 64 * 1024 * 1024
#: Key of the WSGI environment that holds the path as it was sent, still percent-encoded.
RAW_PATH = 'scrapinghub.raw_path'
#: Of a body that is too large, this many bytes are read and discarded, so that the client reads the response.
DRAIN = 256 * 1024 * 1024
PIECE = 64 * 1024
LONGEST_LINE = 64 * 1024
MAX_HEADERS = 100
#: A header line. A space before the colon, a continuation line or a bare CR could hide the length of the body from this
#: server or from a proxy, so that the body would be read as the next request.
HEADER_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*\r?\n")
TOO_LARGE = f'Request body too large - max {MAX_BODY} bytes'


class BadRequest(Exception):
    """The request cannot be read; the connection is closed after the response.

    Attributes:
        status: HTTP status of the response.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def read_header_lines(stream: io.BufferedIOBase) -> bytes:
    """Read the header lines of a request, with the empty line that ends them.

    Raises:
        BadRequest: A line is invalid or too long, or there are too many of them.
        ConnectionEnded: The client closed the connection inside the head.
    """
    lines: list[bytes] = []
    while len(lines) <= MAX_HEADERS:
        line = stream.readline(LONGEST_LINE + 1)
        lines.append(line)
        if line in (b'\r\n', b'\n'):
            return b''.join(lines)
        if len(line) > LONGEST_LINE:
            raise BadRequest(431, 'Header line too long')
        if not line.endswith(b'\n'):
            raise ConnectionEnded
        if HEADER_LINE.fullmatch(line) is None:
            raise BadRequest(400, 'Invalid header line')
    raise BadRequest(431, 'Too many headers')


def read_body(stream: io.BufferedIOBase, headers: Message) -> bytes:
    """Read the body of a request after its head.

    Args:
        stream: The connection.
        headers: The headers of the request.

    Raises:
        BadRequest: The body is too large, or its framing is broken.
        ConnectionEnded: The client closed the connection inside the body.
    """
    coding, length = (_only(headers, name) for name in ('Transfer-Encoding', 'Content-Length'))
    if coding is not None:
        if coding.strip().lower() != 'chunked' or length is not None:
            raise BadRequest(400, 'Transfer-Encoding must be chunked, and without Content-Length')
        return _read_chunks(stream)
    if length is None:
        return b''
    if not (length.isascii() and length.isdecimal()):
        raise BadRequest(400, 'Content-Length must be a number')
    if len(length) > 18:
        # Python refuses to convert thousands of digits, and no client sends a body of this length.
        raise BadRequest(413, TOO_LARGE)
    size = int(length)
    if size > MAX_BODY:
        _drain(stream, min(size, DRAIN))
        raise BadRequest(413, TOO_LARGE)
    return _read_exactly(stream, size)


def _only(headers: Message, name: str) -> str | None:
    """Return the value of a header that frames the body; different values are an error."""
    values = {str(value).strip() for value in headers.get_all(name, ())}
    if len(values) > 1:
        raise BadRequest(400, f'{name} must have one value')
    return next(iter(values), None)


def _read_chunks(stream: io.BufferedIOBase) -> bytes:
    parts: list[bytes] = []
    total = 0
    while size := _chunk_size(stream.readline(LONGEST_LINE)):
        total += size
        if size > DRAIN or total > DRAIN:
            raise BadRequest(413, TOO_LARGE)
        if total > MAX_BODY:
            parts.clear()
            _drain(stream, size)
        else:
            parts.append(_read_exactly(stream, size))
        if stream.readline(3) not in (b'\r\n', b'\n'):
            raise BadRequest(400, 'broken chunk in the request body')
    while stream.readline(LONGEST_LINE).strip():
        pass
    if total > MAX_BODY:
        raise BadRequest(413, TOO_LARGE)
    return b''.join(parts)


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b';')[0].strip()
    if not line:
        raise ConnectionEnded
    if not digits or digits.strip(b'0123456789abcdefABCDEF') or len(digits) > 16:
        raise BadRequest(400, 'broken chunk in the request body')
    return int(digits, 16)


def _read_exactly(stream: io.BufferedIOBase, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise ConnectionEnded
    return data


def _drain(stream: io.BufferedIOBase, size: int) -> None:
    while size > 0:
        data = stream.read(min(size, PIECE))
        if not data:
            raise ConnectionEnded
        size -= len(data)


def build_request(
    method: str, target: str, version: str, headers: Iterable[tuple[str, str]], body: bytes, port: int
) -> Request:
    """Build a request.

    Args:
        method: The method.
        target: The request target, its bytes decoded as Latin-1.
        version: The protocol's version, as sent.
        headers: Names and values.
        body: The body, without its framing.
        port: Port on which the server listens.

    Raises:
        BadRequest: The target is not a path or a URL.
    """
    if not target.startswith('/'):
        try:
            parts = urlsplit(target)
        except ValueError as error:
            raise BadRequest(400, 'Invalid request target') from error
        target = (parts.path or '/') + (f'?{parts.query}' if parts.query else '')
    path, _, query = target.partition('#')[0].partition('?')
    # Encode what the client did not encode.
    path = quote(path.encode('latin-1'), safe=string.punctuation)
    environ: dict[str, Any] = {
        'REQUEST_METHOD': method,
        'SCRIPT_NAME': '',
        'PATH_INFO': unquote_to_bytes(path).decode('latin-1'),
        'QUERY_STRING': query,
        'SERVER_NAME': '127.0.0.1',
        'SERVER_PORT': str(port),
        'SERVER_PROTOCOL': version,
        'wsgi.version': (1, 0),
        'wsgi.url_scheme': 'http',
        'wsgi.input': io.BytesIO(body),
        # Without this Werkzeug reads no body that has no Content-Length.
        'wsgi.input_terminated': True,
        'wsgi.errors': io.StringIO(),
        'wsgi.multithread': True,
        'wsgi.multiprocess': False,
        'wsgi.run_once': False,
        RAW_PATH: path,
    }
    for name, value in headers:
        key = name.upper().replace('-', '_')
        if key != 'CONTENT_TYPE':
            key = f'HTTP_{key}'
        environ[key] = f'{environ[key]},{value}' if key in environ else value
    environ['CONTENT_LENGTH'] = str(len(body))
    return Request(environ)
