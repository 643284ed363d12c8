"""Bytes to records: JSON, JSON lines and MessagePack. Incremental, without I/O.

A decoder is fed the pieces of a body and returns the records that they complete. Something that it cannot decode is
kept in ``error`` and ends it; the records before are returned.

:data:`DECODERS` maps content types to decoders, both for requests (``Accept``) and for responses (``Content-Type``). A
new content type is one entry there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import chain
from operator import length_hint
from typing import Any

import msgpack

# The service accepts records of 1 MiB of JSON. Such a record can have 2.3 MiB as MessagePack, and 3 MiB with escaped
# text. Its objects can need 70 times as much memory.
MAX_RECORD_BYTES = 4 * 1024 * 1024
# For values that hold many records: a batch of a frontier, or a summary of all jobs.
MAX_VALUE_BYTES = 64 * 1024 * 1024

# Sent as ``Accept`` where the service chooses the format: JSON lines for records, JSON for values.
ANY = '*/*'
JSON = 'application/json'
JSON_LINES = 'application/x-jsonlines'
MSGPACK = 'application/x-msgpack'


class Malformed(ValueError):
    """A body does not hold what its content type says."""


def too_large(limit: int) -> Malformed:
    """Return the error for a record that is larger than the limit, in bytes."""
    return Malformed(f'a record is larger than {limit} bytes; raise this limit with client.transport.max_record')


# What an iterator over records may raise where it cannot decode. TypeError: MessagePack has a list or a map as the key
# of a map.
FAILURES = (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException)


class Decoder:
    """Turns the pieces of one body into records.

    Args:
        max_record: Maximum size of a record, in bytes.

    Attributes:
        error: What cannot be decoded; None as long as everything can.
        failures: What an iterator from :meth:`iterate` may raise.
        lazy: Whether such an iterator decodes a record when it is requested. That is faster than a list of all of them:
            the first records of a long list have left the caches of the processor before they are used.
    """

    error: Malformed | None = None
    failures: tuple[type[Exception], ...] = FAILURES
    lazy = False

    def __init__(self, max_record: int = MAX_RECORD_BYTES) -> None:
        self._max_record = max_record
        self._incomplete = 0

    def iterate(self, data: bytes) -> Iterator[Any]:
        """Return an iterator over the records that ``data`` completes; exhaust it before the next call.

        The iterator is implemented in C, so that it costs a record nothing. It cannot set ``error``: where it cannot
        decode, it raises one of ``failures``, and :meth:`recover` returns the rest.
        """
        raise NotImplementedError

    def recover(self, failure: Exception) -> Iterator[Any]:
        """Return the records that can be decoded after a failure of an iterator from :meth:`iterate`."""
        raise failure

    def feed(self, data: bytes) -> list[Any]:
        """Return the records that ``data`` completes; none once ``error`` is set."""
        records: list[Any] = []
        try:
            # On an error, extend keeps the records before it.
            records.extend(self.iterate(data))
        except self.failures as failure:
            records.extend(self.recover(failure))
        # The elements of an incomplete list of MessagePack leave the buffer of the unpacker, which does not limit their
        # number.
        self._incomplete = 0 if records else self._incomplete + len(data)
        if self._incomplete > self._max_record and self.error is None:
            self._fail_size()
        return records

    def finish(self) -> list[Any]:
        """Return the records that the end of the body completes; set ``error`` if it ends inside a record."""
        raise NotImplementedError

    def _fail(self, message: str, cause: Exception | None = None) -> None:
        self.error = Malformed(message)
        self.error.__cause__ = cause

    def _fail_size(self, cause: Exception | None = None) -> None:
        self.error = too_large(self._max_record)
        self.error.__cause__ = cause


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


class JsonDecoder(Decoder):
    """Decodes a body that is one JSON value.

    Args:
        max_record: Maximum size of the body, in bytes.
        spread: Whether the elements of an array are the records.
    """

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
        raise Malformed(f'not JSON: {error}') from error


DECODERS: dict[str, type[Decoder]] = {
    MSGPACK: MsgpackDecoder,
    'application/msgpack': MsgpackDecoder,
    ANY: JsonLinesDecoder,
    JSON_LINES: JsonLinesDecoder,
    'application/jsonlines': JsonLinesDecoder,
    'application/x-ndjson': JsonLinesDecoder,
    JSON: JsonDecoder,
}
"""The values of ``Accept`` and the content types of responses, with their decoders."""

# A response of such a type is decoded as the type that was requested.
_UNKNOWN = frozenset({'', 'application/octet-stream', 'text/plain'})


def decoder_for(
    content_type: str | None,
    *,
    asked: str,
    max_record: int = MAX_RECORD_BYTES,
    max_json: int | None = None,
    spread: bool = False,
    kinds: Mapping[str, type[Decoder]] = DECODERS,
) -> Decoder:
    """Return a new decoder for a response.

    Args:
        content_type: The header of the response, or None. Without a type, and with a general one such as
            ``text/plain``, the response is taken for what was requested.
        asked: Content type that was requested.
        max_record: Maximum size of a record, in bytes.
        max_json: Maximum size of a body that is one JSON value, in bytes; ``max_record`` by default.
        spread: Whether the elements of a JSON array are the records, as in a stream.
        kinds: The decoder classes to choose from, by content type.

    Returns:
        A decoder.

    Raises:
        Malformed: The response has a type that no call requests, such as ``text/html``.
    """
    kind = (content_type or '').partition(';')[0].strip().lower()
    if kind == 'text/plain' and asked == MSGPACK:
        # A program that stands in for the service, and does not know the format.
        asked = JSON_LINES
    decoder = kinds.get(asked if kind in _UNKNOWN else kind)
    if decoder is None:
        raise Malformed(f'the response is {kind}, not records')
    if decoder is JsonDecoder:
        return JsonDecoder(max_record if max_json is None else max_json, spread=spread)
    return decoder(max_record)
