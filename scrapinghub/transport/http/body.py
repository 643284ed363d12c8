"""A response as it arrives: its head, read completely and within limits, and its body.

``http.client`` takes the end of the connection for the end of the headers: a cut there would pass for a response of
good status, without a length and without a body. And it reads lines as long as bytes keep arriving: slow headers, many
informational responses, or endless lines after the last chunk would block a call for ever. :class:`HeadedResponse`
detects both. :class:`Body` unpacks with bounded output, and is complete only when its framing says so.
"""

from __future__ import annotations

import http.client
import io
import math
import re
import sys
import time
import zlib
from collections.abc import Iterator
from typing import Any

import requests
import urllib3
from urllib3 import exceptions as urllib3_errors

from scrapinghub.redaction import redact, redact_bytes, secret_bytes
from scrapinghub.transport.http.gzip import Inflater, zlib_library

# A head, a whole value, or one record of a stream may take this many time-outs: slow bytes must not block a call for
# ever.
BODY_TIMEOUTS = 5
# Lines that follow one another may have so many bytes together; the head of a response has some hundreds.
MAX_LINES_BYTES = 1024 * 1024
# What no number or cookie in a header holds: Python raises errors for integers of 4300 digits, and for floats of 309.
_HUGE_VALUE = re.compile(r'\d{300}|.{4097}', re.DOTALL).search
_SMALLEST_HUGE = 300
# The first empty line: where a head ends.
_END_OF_HEAD = re.compile(rb'\n\r?\n').search
# A status other than 1xx, whose head is followed by the body and not by another head.
_FINAL_STATUS = re.compile(rb'HTTP/1\.[01] [2-5]').match
# Headers that are used, and not only shown.
_NEEDED_UNCHANGED = (b'location:', b'set-cookie:')
READ_SIZE = 256 * 1024
_COMPRESSED = (b'\x1f\x8b', b'\x78')


class _WholeLines(io.BufferedReader):
    """The bytes of a connection; a line that ends with the connection and not with a line feed is an error.

    Attributes:
        time_limit: Seconds that lines which follow one another, with no other data in between, may take together.
        deadline: When this time is over; None before the first line.
        size: Number of bytes of these lines.
    """

    # An empty line in place of the status line, or after the last chunk, is left to http.client.
    needs_line = False
    first: io.BufferedReader | None = None
    time_limit = math.inf
    deadline: float | None = None
    size = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next line.

        Raises:
            http.client.IncompleteRead: The connection ended inside it, or before it where one has to follow.
            http.client.HTTPException: The lines have too many bytes.
            TimeoutError: They take too long, although bytes keep arriving.
        """
        if self.deadline is None:
            self.deadline, self.size = time.monotonic() + self.time_limit, 0
        limit = sys.maxsize if size is None or size < 0 else size
        line = b''
        while not line.endswith(b'\n') and len(line) < limit:
            # One wait for bytes at a time: the line of the buffer itself would wait for the line feed.
            held = self.peek(1)
            if not held and (line or self.needs_line):
                raise http.client.IncompleteRead(_without_secrets(line))
            if not held:
                return line
            line += super().read(min(held.find(b'\n') + 1 or len(held), limit - len(line)))
            if time.monotonic() > self.deadline:
                raise TimeoutError(f'the head of the response did not arrive within {self.time_limit:.0f} seconds')
        self.size += len(line)
        if self.size > MAX_LINES_BYTES:
            raise http.client.HTTPException(f'its head has more than {MAX_LINES_BYTES} bytes')
        return _without_secrets(line) if any(map(line.__contains__, secret_bytes)) else line

    def read(self, size: int | None = -1, /) -> bytes:
        """Return data, and restart the limits of the lines that follow."""
        self.deadline = None
        return super().read(size)

    def read1(self, size: int = -1, /) -> bytes:
        """Return data that has arrived, and restart the limits of the lines that follow."""
        self.deadline = None
        return super().read1(size)


def _without_secrets(lines: bytes) -> bytes:
    """Return lines of a head without credentials that the server sends back: they become part of errors and logs."""
    return b''.join(
        line if line.lower().startswith(_NEEDED_UNCHANGED) else redact_bytes(line)
        for line in lines.splitlines(keepends=True)
    )


class HeadedResponse(http.client.HTTPResponse):
    """A response whose status line and headers have arrived completely."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        # Stand-ins for a socket need no limit.
        timeout = sock.gettimeout() if hasattr(sock, 'gettimeout') else None
        self._time_limit = math.inf if timeout is None else BODY_TIMEOUTS * timeout

    def begin(self) -> None:
        """Read the status line and the headers."""
        if type(self.fp) is not io.BufferedReader:
            return super().begin()
        # The buffer made by http.client is still empty. It is kept, because it closes the connection when it is freed.
        stream = _WholeLines(self.fp.raw)
        stream.first = self.fp
        stream.time_limit = self._time_limit
        self.fp = stream
        held = stream.peek(1)
        end = _END_OF_HEAD(held) if _FINAL_STATUS(held) else None
        if end is None:
            stream.needs_line = bool(held)
            super().begin()
            stream.needs_line = False
        else:
            # The whole head has arrived, so that none of its lines can be cut or late.
            head = io.BufferedReader.read(stream, end.end())
            if any(map(head.__contains__, secret_bytes)):
                head = _without_secrets(head)
            self.fp = io.BufferedReader(io.BytesIO(head))
            try:
                super().begin()
            finally:
                self.fp = stream
        if self.headers.get('Transfer-Encoding') not in (None, 'chunked'):
            self._read_transfer_encoding()
        lengths = ','.join(self.headers.get_all('Content-Length', ()))
        if ',' in lengths and len({length.strip() for length in lengths.split(',')}) > 1:
            # urllib3 raises an error for it, too, but leaves the response open.
            raise http.client.HTTPException(f'it has several values of Content-Length: {lengths[:80]}')
        # The body may be read much later.
        stream.deadline = None
        if (stream.size if end is None else end.end()) > _SMALLEST_HUGE:
            self._check_huge_values()

    def _read_transfer_encoding(self) -> None:
        # http.client compares the whole value, and urllib3 its parts: the sizes of chunks would be read as data.
        values = self.headers.get_all('Transfer-Encoding', ())
        codings = [coding.strip().lower() for coding in ','.join(values).split(',')]
        known = [coding for coding in codings if coding not in ('', 'identity')]
        if known not in ([], ['chunked']):
            raise http.client.HTTPException(f'its Transfer-Encoding is {redact(", ".join(known))!r}, and not chunked')
        del self.headers['Transfer-Encoding']
        if known and not self.chunked:
            self.chunked, self.chunk_left, self.length = True, None, None
            self.will_close = self._check_close()  # type: ignore[attr-defined]
        if known:
            self.headers['Transfer-Encoding'] = 'chunked'

    def _check_huge_values(self) -> None:
        for name in ('Content-Length', 'Set-Cookie'):
            if any(map(_HUGE_VALUE, self.headers.get_all(name, ()))):
                if name == 'Content-Length':
                    raise http.client.HTTPException(f'its {name} is too long')
                # Browsers ignore such cookies, too.
                del self.headers[name]

    def _read_status(self) -> tuple[str, int, str]:
        # http.client takes each status but 100 for the final one: the real response would be that of the next request.
        version, status, reason = super()._read_status()  # type: ignore[misc]
        while 100 <= status < 200:
            if status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                raise http.client.HTTPException('it switches to another protocol (101), which was not requested')
            http.client.parse_headers(self.fp)
            version, status, reason = super()._read_status()  # type: ignore[misc]
        return version, status, reason

    def flush(self) -> None:
        """Do nothing: nothing is ever written to a response.

        The close of ``http.client`` calls it. Called after an interruption had closed the connection, a buffer would
        raise a ``ValueError`` in place of the interruption.
        """


class Body:
    """The body of one response.

    Args:
        response: A response of ``requests`` made with ``stream=True`` and not read yet.

    Attributes:
        received: Bytes read from the connection.
        ambiguous: After the end: True if the framing does not distinguish a complete body from one that was cut (no
            length, no chunks: the server just closed the connection).
        compressed: Whether the pieces are unpacked: damage may show only after some of them were used.
        used: Of a compressed body, how many bytes the pieces hold that were used.
        checksum: CRC-32 of those bytes.
    """

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self.received = 0
        self.ambiguous = False
        self.compressed = False
        self.used = 0
        self.checksum = 0
        self._before = 0, 0
        # Stand-ins (recorded or mocked responses) keep headers that no longer fit their bodies: only what came over a
        # connection is held to its framing.
        original = getattr(response.raw, '_original_response', None)
        self._real = type(original) in (http.client.HTTPResponse, HeadedResponse)
        chunked = bool(getattr(response.raw, 'chunked', False))
        length = response.headers.get('Content-Length', '')
        counts = self._real and not chunked and response.request.method != 'HEAD'
        self._length = int(length) if counts and length.isascii() and length.isdigit() else None
        self._framed = not self._real or chunked or self._length is not None

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces of the unpacked body as they arrive.

        A piece is empty where something arrived that unpacks to nothing: whoever waits for an end must notice.

        Raises:
            requests.RequestException: The connection broke, the body ended early, or its compression is damaged.
        """
        encoding = self._response.headers.get('Content-Encoding', '').strip().lower()
        if encoding not in ('', 'identity', 'gzip', 'x-gzip', 'deflate'):
            text = f'the response is compressed with {encoding!r}, which was not offered'
            raise requests.exceptions.ContentDecodingError(text, response=self._response)
        piece = self._receive()
        if encoding in ('', 'identity') or (not piece.startswith(_COMPRESSED) and self._may_be_plain):
            while piece:
                yield piece
                piece = self._receive()
        else:
            self.compressed = True
            inflater = Inflater(encoding)
            while piece:
                before = self.used
                try:
                    for unpacked in inflater.feed(piece):
                        self._before = self.used, self.checksum
                        self.used += len(unpacked)
                        self.checksum = inflater.checksum
                        yield unpacked
                except zlib.error as error:
                    text = f'the compression of the response is damaged: {error}'
                    raise requests.exceptions.ContentDecodingError(text, response=self._response) from error
                if self.used == before:
                    yield b''
                piece = self._receive()
            if not inflater.finished and (self.received or not self._framed):
                raise self._broken('the compressed response ended before its end mark')
        self.ambiguous = not self._framed

    @property
    def _may_be_plain(self) -> bool:
        """Whether a body may be plain although its headers say otherwise: stand-ins, and pages of errors."""
        return not self._real or self._response.status_code >= 400

    def withdraw(self) -> None:
        """Count the last piece as not used."""
        self.used, self.checksum = self._before

    def begins_like(self, other: Body) -> bool:
        """Return whether this body begins with the bytes that were used of another one.

        Raises:
            requests.RequestException: As in iteration.
        """
        size = checksum = 0
        crc32 = zlib_library().crc32
        for piece in self:
            same = piece[: other.used - size]
            checksum = crc32(same, checksum)
            size += len(same)
            if size == other.used:
                break
        return (size, checksum) == (other.used, other.checksum)

    def _receive(self) -> bytes:
        """Return the bytes that have arrived; none at the end."""
        raw = self._response.raw
        if raw is None:
            piece = b'' if self.received else self._response.content
        else:
            try:
                if self._real:
                    # read1 returns what has arrived; read would wait until its size is full.
                    piece = raw.read1(READ_SIZE, decode_content=False)
                elif isinstance(raw, urllib3.BaseHTTPResponse):
                    piece = raw.read(READ_SIZE, decode_content=False)
                else:
                    piece = raw.read(READ_SIZE)
            except urllib3_errors.ReadTimeoutError as error:
                raise requests.ReadTimeout(error, response=self._response) from error
            except urllib3_errors.SSLError as error:
                raise requests.exceptions.SSLError(error, response=self._response) from error
            except (urllib3_errors.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
                # ValueError: urllib3 meets a connection that was closed under it.
                raise self._broken(f'the connection broke: {error}') from error
        self.received += len(piece)
        if not piece and self._length is not None and self.received < self._length:
            raise self._broken(f'{self.received} of {self._length} bytes arrived')
        return piece

    def _broken(self, text: str) -> requests.exceptions.ChunkedEncodingError:
        return requests.exceptions.ChunkedEncodingError(text, response=self._response)
