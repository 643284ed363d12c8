"""Unpack gzip and deflate as they arrive, in pieces of limited size.

The frame of a gzip member is removed here and not by ``zlib``: the checksum of what was unpacked is needed in any case,
and would be computed twice.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any

# An unpacked piece is decoded as a whole, see PART_SIZE of the streams.
UNPACKED_SIZE = 32 * 1024
# With each piece zlib copies the rest of its input: that must not be much.
_INPUT_SIZE = 16 * 1024

_MAGIC = b'\x1f\x8b'
_FIXED_HEADER = struct.Struct('<2sBB6x')
_EXTRA_LENGTH = struct.Struct('<H')
_TRAILER = struct.Struct('<II')
_HEADER_CHECKSUM, _EXTRA, _NAME, _COMMENT, _RESERVED = 2, 4, 8, 16, 0xE0
# No name and no comment in a header is that long.
_MAX_HEADER = 128 * 1024


@cache
def zlib_library() -> Any:
    """Return ``isal.isal_zlib`` if it is installed, which is several times as fast, else ``zlib``."""
    try:
        from isal import isal_zlib  # not loaded before the first compressed body
    except ImportError:
        return zlib
    return isal_zlib


class Inflater:
    """Unpacks a gzip or deflate stream piece by piece; several members may follow one another.

    Args:
        encoding: The ``Content-Encoding`` of the body.

    Attributes:
        finished: Whether the end mark of the stream has arrived, and nothing has followed it.
        checksum: CRC-32 of what has been unpacked from the beginning.
    """

    def __init__(self, encoding: str) -> None:
        # Some servers send deflate without its header.
        self._may_be_bare = encoding == 'deflate'
        self._zlib = zlib_library()
        # The type of what zlib makes has no public name.
        self._inflate: Any = None
        self._gzip = False
        # The beginning of a header or a trailer.
        self._held = b''
        # The last piece of a gzip member, until its trailer has been checked: damage is seldom far from the wrong
        # checksum that shows it.
        self._kept = b''
        self._member = 0
        self._size = 0
        self._first = True
        self.checksum = 0
        self.finished = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what ``data`` unpacks to, in pieces of limited size.

        Raises:
            zlib.error: The stream is damaged.
        """
        for start in range(0, len(data), _INPUT_SIZE):
            rest: bytes | None = data[start : start + _INPUT_SIZE]
            while rest is not None:
                piece = b''
                if self._inflate is None:
                    rest = self._open_member(self._held + rest)
                elif self._inflate.eof:
                    rest = self._close_member(self._held + rest)
                    if self.finished:
                        piece, self._kept = self._kept, b''
                else:
                    piece, rest = self._unpack(rest)
                if piece:
                    yield piece

    def _unpack(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Return the next piece of a member, and the input that is left; None if more is needed."""
        inflate = self._inflate
        try:
            piece = inflate.decompress(data, UNPACKED_SIZE)
        except self._zlib.error as error:
            raise zlib.error(str(error)) from error
        if piece:
            crc32 = self._zlib.crc32
            self._size += len(piece)
            self.checksum = crc32(piece, self.checksum)
            # There is hardly ever more than one member.
            self._member = self.checksum if self._first else crc32(piece, self._member)
        if inflate.eof:
            if not self._gzip:
                return piece, inflate.unused_data
            self._kept = piece
            return b'', inflate.unused_data
        # A full piece may leave output inside zlib that needs no more input.
        needs_more = not inflate.unconsumed_tail and len(piece) < UNPACKED_SIZE
        return piece, None if needs_more else inflate.unconsumed_tail

    def _open_member(self, data: bytes) -> bytes | None:
        """Begin a member; return what follows its header, or None until the header is complete."""
        if self.finished:
            # Zeros may pad the last member.
            data = data.lstrip(b'\0')
        if data:
            self.finished = False
        self._held = b''
        self._gzip = data.startswith(_MAGIC)
        begin = _header_size(data) if self._gzip else 0
        if len(data) < len(_MAGIC) or (self._gzip and not begin):
            self._held = data
            return None
        bare = self._gzip or (self._may_be_bare and not _is_zlib_header(data))
        self._may_be_bare = False
        self._member = self._size = 0
        self._inflate = self._zlib.decompressobj(-zlib.MAX_WBITS if bare else zlib.MAX_WBITS)
        return data[begin:]

    def _close_member(self, data: bytes) -> bytes | None:
        """End a member; return what follows it, or None if nothing does or the trailer is not complete."""
        self._held = b''
        if self._gzip:
            if len(data) < _TRAILER.size:
                self._held = data
                return None
            checksum, size = _TRAILER.unpack_from(data)
            if checksum != self._member:
                raise zlib.error('the checksum of the data is another one')
            if size != self._size & 0xFFFFFFFF:
                raise zlib.error('the length of the data is another one')
            data = data[_TRAILER.size :]
        self._inflate = None
        self._first = False
        self.finished = True
        return data or None


def _is_zlib_header(data: bytes) -> bool:
    return data[0] & 15 == zlib.DEFLATED and not int.from_bytes(data[:2], 'big') % 31


def _header_size(data: bytes) -> int:
    """Return the size of the header of a gzip member; 0 if not all of it has arrived.

    Raises:
        zlib.error: It is of no known form.
    """
    if len(data) < _FIXED_HEADER.size:
        return 0
    _, method, flags = _FIXED_HEADER.unpack_from(data)
    if method != zlib.DEFLATED or flags & _RESERVED:
        raise zlib.error('the header of the data is not known')
    end = _FIXED_HEADER.size
    if flags & _EXTRA:
        if len(data) < end + _EXTRA_LENGTH.size:
            return 0
        end += _EXTRA_LENGTH.size + _EXTRA_LENGTH.unpack_from(data, end)[0]
    for text in (_NAME, _COMMENT):
        if flags & text:
            end = data.find(b'\0', end) + 1
            if not end:
                break
    if end and flags & _HEADER_CHECKSUM:
        end += 2
    if (not end or end > len(data)) and len(data) > _MAX_HEADER:
        raise zlib.error('the header of the data has no end')
    return end if end <= len(data) else 0
