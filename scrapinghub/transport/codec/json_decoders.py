"""Decode JSON and JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from operator import length_hint
from typing import Any

from scrapinghub.transport.codec.decoders import (
    FAILURES,
    MAX_RECORD_BYTES,
    Decoder,
    Malformed,
    malformed,
)


class JsonLinesDecoder(Decoder):
    r"""Decodes one JSON value per line. Lines end with the byte ``\n`` only; empty lines are skipped."""

    def __init__(self, max_record: int = MAX_RECORD_BYTES) -> None:
        super().__init__(max_record)
        self._decode_line, failure = _line_decoder()
        self.failures = (*FAILURES, failure)
        self.lazy = self._decode_line is not None
        self._lines: list[bytes] = []
        self._left: Iterator[bytes] = iter(())
        self._parts: list[bytes] = []
        self._held = 0

    def iterate(self, data: bytes) -> Iterator[Any]:
        """Return an iterator over the records of the lines that ``data`` completes."""
        block = self._complete(data)
        if not block:
            return iter(())
        if self._decode_line is None:
            return iter(self._decode_block(block))
        self._lines = block.split(b'\n')
        if not self._lines[-1]:
            self._lines.pop()
        self._left = iter(self._lines)
        # The decoder's own way to take lines accepts several values on one, and a value that goes over several.
        return map(self._decode_line, self._left)

    def recover(self, failure: Exception) -> Iterator[Any]:
        """Return the records from the line that failed.

        The fast decoder refuses some of what the standard library accepts: NaN, lone surrogates, deep nesting.
        """
        failed = len(self._lines) - length_hint(self._left) - 1
        return iter(self._decode_block(b'\n'.join(self._lines[failed:])))

    def finish(self) -> list[Any]:
        """Return the last record if the body does not end with a line feed."""
        return [] if self.error is not None or not self._parts else self.feed(b'\n')

    def _complete(self, data: bytes) -> bytes:
        """Return the lines that ``data`` completes; keep the beginning of the next one."""
        if self.error is not None:
            return b''
        end = data.rfind(b'\n') + 1
        block = data[:end]
        if self._parts and end:
            if not self._fits(block.index(b'\n')):
                return b''
            block = b''.join((*self._parts, block))
            self._parts.clear()
            self._held = 0
        if end < len(data):
            self._parts.append(data[end:])
            self._held += len(data) - end
            self._fits(0)
        return block

    def _fits(self, more: int) -> bool:
        """Return whether the line that is kept may have so many more bytes; set ``error`` if not."""
        if self._held + more <= self._max_record:
            return True
        self._parts.clear()
        self._fail_size()
        return False

    def _decode_block(self, block: bytes) -> list[Any]:
        """Return the records of whole lines as the standard library decodes them."""
        records: list[Any] = []
        try:
            _decode_in_one_scan(block, records)
        except (ValueError, RecursionError) as error:
            # ``records`` holds what precedes the bad line.
            self._fail(f'not a line of JSON: {error}', error)
        return records


def _decode_in_one_scan(block: bytes, records: list[Any]) -> None:
    """Append the values of a block of lines: decode it to text once, and scan it from value to value."""
    try:
        text = block.decode()
    except UnicodeDecodeError:
        return _decode_line_by_line(block, records)
    append, scan = records.append, _scanner()
    position, end = 0, len(text)
    try:
        while position < end:
            value, position = scan(text, position)
            if text[position] != '\n':
                break
            append(value)
            position += 1
    except (StopIteration, ValueError, IndexError, RecursionError):
        position = -1
    if position < end or len(records) != text.count('\n'):
        # Blank lines, no last line feed, white space around a value, or damage: rare, and distinguished slowly.
        records.clear()
        _decode_line_by_line(block, records)


@cache
def _scanner() -> Callable[[str, int], tuple[Any, int]]:
    """Return the scanner inside the decoder of the standard library; the type stubs do not know it."""
    scan: Callable[[str, int], tuple[Any, int]] = vars(json.JSONDecoder())['scan_once']
    return scan


def _decode_line_by_line(block: bytes, records: list[Any]) -> None:
    # On a bad line, extend keeps the records before it.
    records.extend(json.loads(line.decode()) for line in block.split(b'\n') if line.strip())


@cache
def _line_decoder() -> tuple[Callable[[bytes], Any] | None, type[Exception]]:
    """Return a fast decoder of a line that agrees with the standard library or raises, and the error that it raises."""
    try:
        import msgspec  # the extra ``fast``, not loaded before the first JSON response
    except ImportError:
        return None, ValueError
    return msgspec.json.Decoder().decode, msgspec.MsgspecError


class JsonDecoder(Decoder):
    """Decodes a body that is one JSON value.

    Args:
        max_record: Maximum size of the body, in bytes.
        spread: Whether the elements of an array are the records.
    """

    is_one_value = True

    def __init__(self, max_record: int = MAX_RECORD_BYTES, *, spread: bool = False) -> None:
        super().__init__(max_record)
        self._spread = spread
        self._parts: list[bytes] = []
        self._held = 0

    def iterate(self, data: bytes) -> Iterator[Any]:
        """Keep ``data``: the value is complete only at the end."""
        self._held += len(data)
        if self._held > self._max_record and self.error is None:
            self._parts.clear()
            self._fail(f'the value is larger than {self._max_record} bytes')
        if self.error is None:
            self._parts.append(data)
        return iter(())

    def finish(self) -> list[Any]:
        """Return the value as a list of one, or its elements; an empty body has none."""
        body = b''.join(self._parts)
        self._parts.clear()
        if self.error is not None or not body.strip():
            return []
        try:
            value = decode_json(body)
        except Malformed as error:
            # Mocks label lines as one value.
            lines = JsonLinesDecoder(self._max_record)
            records = lines.feed(body) + lines.finish()
            if lines.error is not None or b'\n' not in body.strip():
                self.error = error
                return []
            return records
        return value if self._spread and isinstance(value, list) else [value]


def decode_json(body: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        Malformed: The bytes are not JSON.
    """
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise malformed(f'not JSON: {error}', error) from error
