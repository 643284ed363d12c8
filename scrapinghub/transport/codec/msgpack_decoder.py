"""Decode MessagePack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain, islice
from operator import length_hint
from typing import Any

import msgpack

from scrapinghub.transport.codec.decoder import FAILURES, MAX_RECORD_BYTES, Decoder

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
        self._unpacker = self._new_unpacker()

    def _new_unpacker(self) -> msgpack.Unpacker:
        limit = self._max_record
        return msgpack.Unpacker(
            raw=False,
            strict_map_key=False,
            # What is reserved at once.
            read_size=64 * 1024,
            # The buffer holds an incomplete record beside the piece that continues it.
            max_buffer_size=limit + PIECE_SIZE,
            max_str_len=limit,
            max_bin_len=limit,
            max_ext_len=limit,
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
        return self._iterate(data)

    def _iterate(self, data: bytes) -> Iterator[Any]:
        """Return an iterator over the values that a piece completes."""
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


class FastMsgpackDecoder(MsgpackDecoder):
    """The same with ``msgspec``, for records that have only text as keys of maps, and no bytes or extension types.

    ``msgpack`` finds where each record ends; ``msgspec`` decodes it. It refuses all other records, which ``msgpack``
    decodes then, and so it does with a record that arrives in several pieces: the result is the same.
    """

    def __init__(self, max_record: int = MAX_RECORD_BYTES) -> None:
        super().__init__(max_record)
        decode, failure = _record_decoder()
        assert decode is not None
        self._decode = decode
        self.failures = (*FAILURES, failure)
        # How many bytes the unpacker was fed: those of the last piece that complete no record.
        self._fed = 0
        # The records of a piece, and those that are not decoded.
        self._records: list[bytes] = []
        self._left: Iterator[bytes] = iter(())
        self._rest = b''

    def _iterate(self, data: bytes) -> Iterator[Any]:
        first: tuple[Any, ...] = ()
        if self._fed:
            try:
                first = tuple(islice(super()._iterate(data), 1))
            except self.failures as failure:
                return super().recover(failure)
            self._fed += len(data)
            if not first:
                return iter(())
            data = data[len(data) - (self._fed - self._unpacker.tell()) :]
        self._records, self._rest = self._split(data)
        self._left = iter(self._records)
        self._restart(self._rest)
        return chain(first, map(self._decode, self._left), self._iterate_rest())

    def _split(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Return the complete records of a piece, and the rest."""
        records: list[bytes] = []
        unpacker = self._new_unpacker()
        unpacker.feed(data)
        skip, tell, begin = unpacker.skip, unpacker.tell, 0
        try:
            while True:
                skip()
                end = tell()
                records.append(data[begin:end])
                begin = end
        except FAILURES:
            # The rest is incomplete or damaged; the unpacker finds out which.
            return records, data[begin:]

    def _restart(self, data: bytes) -> None:
        self._unpacker, self._fed = self._new_unpacker(), len(data)
        self._unpacker.feed(data)

    def _iterate_rest(self) -> Iterator[Any]:
        self._records = []
        yield from self._unpacker

    def recover(self, failure: Exception) -> Iterator[Any]:
        """Return the records from the one that failed, as ``msgpack`` decodes them."""
        if not self._records:
            return super().recover(failure)
        failed = len(self._records) - length_hint(self._left) - 1
        self._restart(b''.join((*self._records[failed:], self._rest)))
        self._records = []
        records: list[Any] = []
        try:
            # On an error, extend keeps the records before it.
            records.extend(self._unpacker)
        except FAILURES as error:
            super().recover(error)
        return iter(records)


@cache
def _record_decoder() -> tuple[Callable[[bytes], Any] | None, type[Exception]]:
    """Return a fast decoder of a record that agrees with ``msgpack`` or raises, and the error that it raises."""
    try:
        import msgspec  # the extra ``fast``, not loaded before the first response
    except ImportError:
        return None, ValueError
    scalar = None | bool | int | float | str
    value: Any = scalar
    # Deeper values are rare, and left to msgpack.
    for _ in range(6):
        value = scalar | list[value] | dict[str, value]
    return msgspec.msgpack.Decoder(value).decode, msgspec.MsgspecError


def new_msgpack_decoder(max_record: int) -> MsgpackDecoder:
    """Return the faster decoder if ``msgspec`` is installed."""
    # Smaller limits than a piece apply within a record.
    fast = max_record >= PIECE_SIZE and _record_decoder()[0] is not None
    return FastMsgpackDecoder(max_record) if fast else MsgpackDecoder(max_record)
