"""Records as the service sent them: lines of JSON and MessagePack values as bytes, without objects made of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgpack

from scrapinghub.transport.codec.decoders import FAILURES, MAX_RECORD_BYTES, PIECE_SIZE, MsgpackDecoder
from scrapinghub.transport.codec.json_decoders import JsonLinesDecoder

# The first and the last byte of an object.
_OBJECT = {(b'{', b'}')}


class RawLinesDecoder(JsonLinesDecoder):
    """Returns lines of JSON as bytes. Lines that do not look like objects are parsed, to check them."""

    def __init__(self, max_record: int = MAX_RECORD_BYTES) -> None:
        super().__init__(max_record)
        self._decode_line = None
        self.lazy = True

    def _decode_block(self, block: bytes) -> list[Any]:
        lines = block.removesuffix(b'\n').split(b'\n')
        # Objects are not parsed: the framing of the response says that they have arrived whole.
        if {(line[:1], line[-1:]) for line in lines} == _OBJECT and _is_utf8(block):
            return lines
        records: list[Any] = []
        try:
            # On an error, extend keeps the lines before it.
            records.extend(_checked(line) for line in lines if line.strip())
        except (ValueError, RecursionError) as error:
            self._fail(f'not a line of JSON: {error}', error)
        return records


def _is_utf8(block: bytes) -> bool:
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def _checked(line: bytes) -> bytes:
    json.loads(line.decode())
    return line


class RawMsgpackDecoder(MsgpackDecoder):
    """Returns MessagePack values as bytes."""

    _nil = b'\xc0'

    def __init__(self, max_record: int = MAX_RECORD_BYTES) -> None:
        super().__init__(max_record)
        self._decode = None
        # The bytes of an incomplete value, and where they begin in all that the unpacker was fed.
        self._rest = b''
        self._begin = 0

    def iterate(self, data: bytes) -> Iterator[Any]:
        """Return an iterator over the values that ``data`` completes."""
        if len(data) > PIECE_SIZE:
            return super().iterate(data)
        super().iterate(data)
        if self.error is not None:
            return iter(())
        records: list[bytes] = []
        data, begin = self._rest + data, self._begin
        skip, tell, position = self._unpacker.skip, self._unpacker.tell, 0
        try:
            while True:
                skip()
                end = tell() - begin
                records.append(data[position:end])
                position = end
        except msgpack.exceptions.OutOfData:
            pass
        except self.failures as failure:
            self.recover(failure)
        self._rest, self._begin = data[position:], begin + position
        return iter(records)


def count_lines(block: bytes) -> int:
    """Return the number of lines of a block; several times as fast as ``bytes.count`` of Python 3.11."""
    return len(block) - len(block.replace(b'\n', b''))


def raw_field(record: bytes, name: str, default: Any) -> Any:
    """Return a field of a record.

    Args:
        record: A line of JSON, or a MessagePack value.
        name: Name of the field.
        default: What to return if the record does not have it.

    Raises:
        TypeError: The record is not an object.
    """
    try:
        is_json = record.lstrip()[:1] == b'{'
        value = json.loads(record) if is_json else msgpack.unpackb(record, strict_map_key=False)
    except FAILURES as error:
        raise TypeError(f'the record cannot be decoded: {error}') from error
    return dict.get(value, name, default)
