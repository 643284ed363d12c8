"""The body of a response: read as it arrives, unpacked with bounded output, complete only when its framing says so."""

from __future__ import annotations

import http.client
import zlib
from collections.abc import Iterator

import requests
import urllib3
from urllib3 import exceptions as urllib3_errors

from scrapinghub.transport.http.connections import HeadedResponse
from scrapinghub.transport.http.gzip import Inflater, zlib_library

READ_SIZE = 256 * 1024
_COMPRESSED = (b'\x1f\x8b', b'\x78')


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
