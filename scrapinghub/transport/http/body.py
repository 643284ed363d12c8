"""The body of an answer: read as it arrives, unpacked with bounded output, complete only when its framing says so."""

from __future__ import annotations

import http.client
import zlib
from collections.abc import Iterator
from itertools import chain

import requests
import urllib3
from urllib3 import exceptions as urllib3_errors

from scrapinghub.transport.http.connections import HeadedResponse
from scrapinghub.transport.http.gzip import Inflater

READ_SIZE = 256 * 1024


class Body:
    """The body of one answer.

    Args:
        response: An answer of ``requests`` made with ``stream=True`` and not read yet.

    Attributes:
        received: Bytes read from the connection.
        ambiguous: After the end: True if nothing tells a complete body from one that was cut (no length, no chunks, no
            compression: the server just closed the connection).
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
        # Stand-ins (recorded or mocked answers) keep headers that no longer fit their bodies: only what came over a
        # connection is held to its framing.
        original = getattr(response.raw, '_original_response', None)
        self._real = type(original) in (http.client.HTTPResponse, HeadedResponse)
        self._encoding = response.headers.get('Content-Encoding', '').strip().lower()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces of the unpacked body as they arrive.

        A piece is empty where something arrived that unpacks to nothing: whoever waits for an end must notice.

        Raises:
            requests.RequestException: The connection broke, the body ended early, or its compression is damaged.
        """
        pieces = self._raw_pieces()
        if self._encoding in ('', 'identity'):
            yield from pieces
            if self._real and not self._framed():
                self.ambiguous = True
            return
        if self._encoding not in ('gzip', 'x-gzip', 'deflate'):
            raise requests.exceptions.ContentDecodingError(
                f'the answer is compressed with {self._encoding!r}, which was not offered', response=self._response
            )
        first = next(pieces, b'')
        if not self._real and not first.startswith((b'\x1f\x8b', b'\x78')):
            yield first
            yield from pieces
            return
        inflater = Inflater(self._encoding)
        self.compressed = True
        try:
            for packed in chain((first,), pieces):
                for piece in inflater.feed(packed):
                    self._before = self.used, self.checksum
                    self.used += len(piece)
                    self.checksum = inflater.checksum
                    yield piece
                yield b''
        except zlib.error as error:
            raise requests.exceptions.ContentDecodingError(
                f'the compression of the answer is damaged: {error}', response=self._response
            ) from error
        if not inflater.finished and (self.received or (self._real and not self._framed())):
            raise self._broken('the compressed answer ended before its end mark')

    def withdraw(self) -> None:
        """Count the last piece as not used."""
        self.used, self.checksum = self._before

    def begins_like(self, other: Body) -> bool:
        """Return whether this body begins with the bytes that were used of another one.

        Raises:
            requests.RequestException: As in iteration.
        """
        size = checksum = 0
        for piece in self:
            same = piece[: other.used - size]
            checksum = zlib.crc32(same, checksum)
            size += len(same)
            if size == other.used:
                break
        return (size, checksum) == (other.used, other.checksum)

    def _framed(self) -> bool:
        raw = self._response.raw
        return bool(getattr(raw, 'chunked', False)) or self._length() is not None

    def _length(self) -> int | None:
        value = self._response.headers.get('Content-Length', '')
        if getattr(self._response.raw, 'chunked', False) or not (value.isascii() and value.isdigit()):
            return None
        return int(value)

    def _raw_pieces(self) -> Iterator[bytes]:
        raw = self._response.raw
        if raw is None:
            yield self._response.content
            return
        try:
            while True:
                if self._real:
                    # read1 returns what has arrived; read would wait until its size is full.
                    piece = raw.read1(READ_SIZE, decode_content=False)
                elif isinstance(raw, urllib3.BaseHTTPResponse):
                    piece = raw.read(READ_SIZE, decode_content=False)
                else:
                    piece = raw.read(READ_SIZE)
                if not piece:
                    break
                self.received += len(piece)
                yield piece
        except urllib3_errors.ReadTimeoutError as error:
            raise requests.ReadTimeout(error, response=self._response) from error
        except urllib3_errors.SSLError as error:
            raise requests.exceptions.SSLError(error, response=self._response) from error
        except (urllib3_errors.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            # ValueError: urllib3 meets a connection that was closed under it.
            raise self._broken(f'the connection broke: {error}') from error
        length = self._length()
        if self._real and length is not None and self.received < length and self._response.request.method != 'HEAD':
            raise self._broken(f'{self.received} of {length} bytes arrived')

    def _broken(self, text: str) -> requests.exceptions.ChunkedEncodingError:
        return requests.exceptions.ChunkedEncodingError(text, response=self._response)
