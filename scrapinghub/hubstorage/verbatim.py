"""Records as they were sent: JSON texts and MessagePack bytes, each checked, and each with the key of its record."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from scrapinghub.transport import codec


class JsonText(str):
    """The JSON text of a record."""

    value: Any

    @classmethod
    def checked(cls, line: bytes) -> JsonText:
        """Return the text of a line.

        Raises:
            ValueError: It is not JSON.
        """
        text = cls(line.decode())
        text.value = json.loads(text)
        return text

    def get(self, name: str) -> Any:
        """Return a field of the record."""
        return self.value.get(name)


class JsonTextDecoder(codec.JsonLinesDecoder):
    """Deliver lines of JSON as they came."""

    def __init__(self, max_record: int = codec.MAX_RECORD_BYTES) -> None:
        super().__init__(max_record)
        self.one_by_one = False

    def _decode_block(self, block: bytes) -> list[Any]:
        records: list[Any] = []
        try:
            # On a bad line ``extend`` keeps what came before it.
            records.extend(JsonText.checked(line) for line in block.split(b'\n') if line.strip())
        except (ValueError, RecursionError) as error:
            self.error = codec.Malformed(f'not a line of JSON: {error}')
            self.error.__cause__ = error
        return records


class Packed(bytes):
    """The MessagePack of a record."""

    value: Any

    def get(self, name: str) -> Any:
        """Return a field of the record."""
        return self.value.get(name)


class PackedDecoder(codec.MsgpackDecoder):
    """Deliver MessagePack values as they came, one at a time.

    Args:
        max_record: Largest value, in bytes.
    """

    one_by_one = False

    def __init__(self, max_record: int = codec.MAX_RECORD_BYTES) -> None:
        super().__init__(max_record)
        self._rest = b''
        self._begin = 0

    def _take(self, data: bytes, records: list[Any]) -> None:
        slices = _Slices(self._rest + data, self._begin)
        super()._take(data, slices)
        self._rest, self._begin = slices.rest, slices.begin
        records += slices

    def finish(self) -> list[Any]:
        """Return nothing: a value is complete with its last byte; set ``error`` if one is not."""
        if self.error is None:
            # As in the class above: one nil more is a value of its own only between values.
            tail: list[Any] = []
            self._take(b'\xc0', tail)
            if tail != [b'\xc0']:
                self.error = codec.Malformed('the body ends inside a MessagePack value')
        return []


class _Slices(list[Any]):
    """Takes the bytes of the values that an unpacker delivers.

    Args:
        data: The bytes that it has been fed and has not delivered.
        begin: Where they begin in all that it has been fed.
    """

    def __init__(self, data: bytes, begin: int) -> None:
        super().__init__()
        self._data = data
        self._place = 0
        self.begin = begin

    @property
    def rest(self) -> bytes:
        """What belongs to no value yet."""
        return self._data[self._place :]

    def extend(self, unpacker: Iterable[Any]) -> None:
        """Append the bytes of each value."""
        tell = unpacker.tell  # type: ignore[attr-defined]
        for value in unpacker:
            end = tell()
            record = Packed(self._data[self._place : self._place + end - self.begin])
            record.value = value
            self.append(record)
            self._place += end - self.begin
            self.begin = end
