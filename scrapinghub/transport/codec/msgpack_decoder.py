"""Decode MessagePack."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgpack

from scrapinghub.transport.codec.decoder import MAX_RECORD_BYTES, Decoder

# How much is decoded at once.
PIECE_SIZE = 1024 * 1024
# A length that lies makes the unpacker reserve room for that many elements: 8 MiB at this limit.
_MAX_ELEMENTS = 1024 * 1024


class MsgpackDecoder(Decoder):
    """Decodes concatenated MessagePack values."""

    lazy = True
    _nil: bytes | None = None

    def __init__(self, max_record: int = MAX_RECORD_BYTES) -> None:
        super().__init__(max_record)
        # The buffer holds an incomplete record beside the piece that continues it.
        self._unpacker = msgpack.Unpacker(
            raw=False,
            strict_map_key=False,
            max_buffer_size=max_record + PIECE_SIZE,
            max_str_len=max_record,
            max_bin_len=max_record,
            max_ext_len=max_record,
            max_array_len=_MAX_ELEMENTS,
            max_map_len=_MAX_ELEMENTS,
        )

    def iterate(self, data: bytes) -> Iterator[Any]:
        """Return an iterator over the values that ``data`` completes."""
        if self.error is not None:
            return iter(())
        if len(data) > PIECE_SIZE:
            parts = (data[start : start + PIECE_SIZE] for start in range(0, len(data), PIECE_SIZE))
            return chain.from_iterable(map(self.iterate, parts))
        try:
            self._unpacker.feed(data)
        except msgpack.exceptions.BufferFull as error:
            self._fail_size(error)
            return iter(())
        unpacker: Iterator[Any] = self._unpacker
        return unpacker

    def recover(self, failure: Exception) -> Iterator[Any]:
        """Return an empty iterator: nothing after a damaged value can be decoded."""
        message = str(failure) or type(failure).__name__
        if f'({self._max_record})' in message:
            # The unpacker reports a length beyond the limit when it reads it.
            self._fail_size(failure)
        else:
            self._fail(f'not MessagePack: {message}', failure)
        return iter(())

    def finish(self) -> list[Any]:
        """Return nothing: a value is complete with its last byte; set ``error`` if one is not."""
        # The unpacker does not say whether it is inside a value. One more nil is a value only between values; elsewhere
        # it becomes a part of something, or of nothing.
        if self.error is None and self.feed(b'\xc0') != [self._nil]:
            self._fail('the body ends inside a MessagePack value')
        return []
