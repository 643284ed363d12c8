"""Bytes to records and back: JSON, JSON lines and MessagePack. Pure and incremental, no I/O.

A decoder is fed pieces of a body and gives back the records that they complete, as a list or, where that is faster, one
at a time. What it cannot decode is kept in ``error`` and ends it; the records before are handed on.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from functools import cache
from operator import length_hint
from typing import Any

import msgpack

MAX_RECORD_BYTES = 16 * 1024 * 1024

# Sent as ``Accept`` where the service chooses the format: JSON lines for records, JSON for values.
ANY = '*/*'
JSON = 'application/json'
JSON_LINES = 'application/x-jsonlines'
MSGPACK = 'application/x-msgpack'


class Malformed(ValueError):
    """A piece of a body is not what its format promises."""


# What an iterator over records may raise where it cannot decode; TypeError: a list or a map stands where a map of
# MessagePack has a key.
FAILURES = (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException)


class Decoder:
    """Turns the pieces of one body into records.

    Attributes:
        error: What cannot be decoded, once it has been met.
        failures: What the iterator of :meth:`iterate` may raise.
        one_by_one: Whether it is worth taking records from :meth:`iterate`, which decodes each when it is asked for;
            they are plain values then. A list of decoded records costs more the longer it is: what was decoded first
            has left the caches of the processor before it is used.
    """

    error: Malformed | None = None
    failures: tuple[type[Exception], ...] = FAILURES
    one_by_one = False

    def feed(self, data: bytes) -> list[Any]:
        """Return the records that ``data`` completes; none once ``error`` is set."""
        raise NotImplementedError

    def iterate(self, data: bytes) -> Iterator[Any]:
        """Return an iterator over the same records, to be exhausted before the next piece is fed.

        It is one of the interpreter's own, without a function in Python for each record, and so cannot set ``error``:
        where it cannot decode it raises one of ``failures``, and :meth:`recover` says how to go on.
        """
        return iter(self.feed(data))

    def recover(self, failure: Exception) -> Iterator[Any]:
        """Return an iterator over the records that can be had after a failure of :meth:`iterate`; it does not fail."""
        raise failure

    def finish(self) -> list[Any]:
        """Return what the end of the body completes; set ``error`` if it ends inside a record."""
        raise NotImplementedError


class JsonLinesDecoder(Decoder):
    r"""Decode one JSON value a line; lines end with the byte ``\n`` only, empty ones are skipped.

    Args:
        max_record: Largest line, in bytes.
    """

    def __init__(self, max_record: int = MAX_RECORD_BYTES) -> None:
        self._max_record = max_record
        self._decode_line, failure = _line_decoder()
        self.failures = (*FAILURES, failure)
        self.one_by_one = self._decode_line is not None
        self._lines: list[bytes] = []
        self._left: Iterator[bytes] = iter(())
        self._parts: list[bytes] = []
        self._held = 0

    def feed(self, data: bytes) -> list[Any]:
        """Return the records of all lines that ``data`` completes."""
        block = self._complete(data)
        return self._decode_block(block) if block else []

    def iterate(self, data: bytes) -> Iterator[Any]:
        """Return an iterator over the records of all lines that ``data`` completes."""
        block = self._complete(data)
        if not block:
            return iter(())
        if self._decode_line is None:
            return iter(self._decode_block(block))
        lines = block.split(b'\n')
        if not lines[-1]:
            lines.pop()
        self._lines, self._left = lines, iter(lines)
        # The decoder's own way to take lines accepts several values on one, and a value that goes over several.
        return map(self._decode_line, self._left)

    def recover(self, failure: Exception) -> Iterator[Any]:
        """Return an iterator over the rest of the lines, from the one that failed on.

        The fast decoder refuses some of what the standard library accepts: NaN, lone surrogates, deep nesting.
        """
        failed = len(self._lines) - length_hint(self._left) - 1
        return iter(self._decode_plainly(b'\n'.join(self._lines[failed:])))

    def _complete(self, data: bytes) -> bytes:
        """Return the lines that ``data`` completes; hold the beginning of the next one."""
        if self.error is not None:
            return b''
        end = data.rfind(b'\n') + 1
        if not end:
            self._hold(data)
            return b''
        block = data[:end]
        if self._parts:
            block = b''.join((*self._parts, block))
            self._parts.clear()
            self._held = 0
        if end < len(data):
            self._hold(data[end:])
        return block

    def finish(self) -> list[Any]:
        """Return the last record, if the body does not end with a line feed."""
        if self.error is not None or not self._parts:
            return []
        block = b''.join(self._parts)
        self._parts.clear()
        return self._decode_block(block)

    def _hold(self, data: bytes) -> None:
        self._parts.append(data)
        self._held += len(data)
        if self._held > self._max_record:
            self._parts.clear()
            self.error = Malformed(f'a record is larger than {self._max_record} bytes')

    def _decode_block(self, block: bytes) -> list[Any]:
        """Return the records of whole lines."""
        if self._decode_line is None:
            return self._decode_plainly(block)
        lines = block.split(b'\n')
        if not lines[-1]:
            lines.pop()
        try:
            return list(map(self._decode_line, lines))
        except self.failures:
            return self._decode_plainly(block)

    def _decode_plainly(self, block: bytes) -> list[Any]:
        """Return the records of whole lines as the standard library reads them."""
        records: list[Any] = []
        try:
            _decode_block_in_one_scan(block, records)
        except (ValueError, RecursionError) as error:
            # ``records`` holds what came before the bad line.
            self.error = Malformed(f'not a line of JSON: {error}')
            self.error.__cause__ = error
        return records


def _decode_block_in_one_scan(block: bytes, records: list[Any]) -> None:
    """Append the values of a block of lines: decoded to text once, and scanned from value to value."""
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
        # Blank lines, no last line feed, white space around a value, or damage: rare, and told apart slowly.
        records.clear()
        _decode_line_by_line(block, records)


@cache
def _scanner() -> Callable[[str, int], tuple[Any, int]]:
    """Return the scanner inside the decoder of the standard library; the type stubs do not know it."""
    scan: Callable[[str, int], tuple[Any, int]] = vars(json.JSONDecoder())['scan_once']
    return scan


def _decode_line_by_line(block: bytes, records: list[Any]) -> None:
    # On a bad line ``extend`` keeps what came before it.
    records.extend(json.loads(line.decode()) for line in block.split(b'\n') if line.strip())


@cache
def _line_decoder() -> tuple[Callable[[bytes], Any] | None, type[Exception]]:
    """Return a decoder of lines that is faster than the standard library and agrees with it, or raises; and what."""
    try:
        import msgspec  # the extra ``fast``, not loaded before the first JSON answer
    except ImportError:
        return None, ValueError
    return msgspec.json.Decoder().decode, msgspec.MsgspecError


# How much is decoded at once.
PIECE_SIZE = 1024 * 1024
# A lying length makes the unpacker reserve room for that many elements: 8 MiB at this limit.
_MAX_ELEMENTS = 1024 * 1024


class MsgpackDecoder(Decoder):
    """Decode concatenated MessagePack values.

    Args:
        max_record: Largest value, in bytes.
    """

    one_by_one = True

    def __init__(self, max_record: int = MAX_RECORD_BYTES) -> None:
        self._max_record = max_record
        self._unfinished = 0
        # The buffer holds an unfinished record beside the piece that continues it.
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

    def feed(self, data: bytes) -> list[Any]:
        """Return the values that ``data`` completes."""
        records: list[Any] = []
        for start in range(0, len(data), PIECE_SIZE):
            if self.error is None:
                self._take_part(data[start : start + PIECE_SIZE], records)
        return records

    def _take_part(self, data: bytes, records: list[Any]) -> None:
        before = len(records)
        self._take(data, records)
        # The elements of an unfinished list have left the buffer of the unpacker: it does not limit their number.
        self._unfinished = self._unfinished + len(data) if len(records) == before else 0
        if self._unfinished > self._max_record and self.error is None:
            self.error = Malformed(f'a record is larger than {self._max_record} bytes')

    def iterate(self, data: bytes) -> Iterator[Any]:
        """Return an iterator over the values that ``data`` completes."""
        if self.error is not None or len(data) > PIECE_SIZE:
            return iter(self.feed(data))
        try:
            self._unpacker.feed(data)
        except msgpack.exceptions.BufferFull as error:
            self._fail(f'a record is larger than {self._max_record} bytes', error)
            return iter(())
        unpacker: Iterator[Any] = self._unpacker
        return unpacker

    def recover(self, failure: Exception) -> Iterator[Any]:
        """Return an empty iterator: nothing can be had after a value that is damaged."""
        self._fail(f'not MessagePack: {str(failure) or type(failure).__name__}', failure)
        return iter(())

    def _take(self, data: bytes, records: list[Any]) -> None:
        source = self.iterate(data)
        try:
            # On an error ``extend`` keeps what came before it.
            records.extend(source)
        except self.failures as failure:
            self.recover(failure)

    def finish(self) -> list[Any]:
        """Return nothing: a value is complete with its last byte; set ``error`` if one is not."""
        if self.error is None:
            # The unpacker does not tell whether it is inside a value. One nil more is the value nil only between
            # values; elsewhere it becomes a part of something, or of nothing.
            tail: list[Any] = []
            self._take(b'\xc0', tail)
            if tail != [None]:
                self.error = Malformed('the body ends inside a MessagePack value')
        return []

    def _fail(self, message: str, cause: Exception) -> None:
        self.error = Malformed(message)
        self.error.__cause__ = cause


class JsonDecoder(Decoder):
    """Decode a body that is one JSON value; the elements of an array are its records.

    Args:
        max_record: Largest body, in bytes.
        spread: Whether the elements of an array are records of their own.
    """

    def __init__(self, max_record: int = MAX_RECORD_BYTES, *, spread: bool = False) -> None:
        self._max_record = max_record
        self._spread = spread
        self._parts: list[bytes] = []
        self._held = 0

    def feed(self, data: bytes) -> list[Any]:
        """Keep ``data``; the value is complete only at the end."""
        self._held += len(data)
        if self._held > self._max_record and self.error is None:
            self._parts.clear()
            self.error = Malformed(f'the value is larger than {self._max_record} bytes')
        if self.error is None:
            self._parts.append(data)
        return []

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
    """Decode one JSON value.

    Raises:
        Malformed: The bytes are not JSON.
    """
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise Malformed(f'not JSON: {error}') from error


def decoder_for(
    content_type: str | None,
    *,
    asked: str,
    max_record: int = MAX_RECORD_BYTES,
    max_json: int | None = None,
    spread: bool = False,
) -> Decoder:
    """Return a new decoder for an answer.

    Args:
        content_type: Header of the answer; None or a type that says nothing (``text/plain``) means what was asked for.
        asked: Content type that was asked for.
        max_record: Largest record, in bytes.
        max_json: Largest body that is one JSON value, in bytes; as ``max_record`` if None.
        spread: Whether the elements of a JSON array are records of their own, as in a stream.

    Returns:
        A decoder.

    Raises:
        Malformed: The type is one that no call asks for, such as ``text/html``.
    """
    max_json = max_record if max_json is None else max_json
    kind = (content_type or '').partition(';')[0].strip().lower()
    if kind == MSGPACK or kind == 'application/msgpack':
        return MsgpackDecoder(max_record)
    if kind in (ANY, JSON_LINES, 'application/jsonlines', 'application/x-ndjson'):
        return JsonLinesDecoder(max_record)
    if kind == JSON:
        return JsonDecoder(max_json, spread=spread)
    if kind == 'text/plain':
        return JsonDecoder(max_json) if asked == JSON else JsonLinesDecoder(max_record)
    if kind in ('', 'application/octet-stream'):
        return decoder_for(asked, asked=asked, max_record=max_record, max_json=max_json, spread=spread)
    raise Malformed(f'the answer is {kind}, not records')


def encode_json(value: Any) -> str:
    """Return one value as JSON text, with what JSON does not know replaced by :func:`jsondefault`.

    Raises:
        ValueError: The value holds NaN or an infinity, or refers to itself.
    """
    try:
        return _encode(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'cannot be sent as JSON: {error}') from error


def encode_lines(values: Iterable[Any]) -> bytes:
    """Return values as JSON lines, without a final line feed."""
    return '\n'.join(map(encode_json, values)).encode()


EPOCH = datetime(1970, 1, 1)


def jsondefault(value: Any) -> Any:
    """Return what stands for a value that JSON does not know.

    Args:
        value: A datetime becomes milliseconds since the epoch (a zone-aware one is converted to UTC first); any other
            object becomes its ``str()``.

    Returns:
        A float or a string.

    Example:
        >>> from datetime import datetime
        >>> jsondefault(datetime(2016, 10, 18, 1, 2, 3, 456000))
        1476752523456.0
    """
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            value = value.astimezone(timezone.utc).replace(tzinfo=None)
        delta = value - EPOCH
        return float(delta.days * 86_400_000 + delta.seconds * 1000) + float(delta.microseconds // 1000)
    if isinstance(value, (bytes, bytearray, set, frozenset)):
        _warn_once()
    return str(value)


@cache
def _warn_once() -> None:
    warnings.warn(
        'bytes and sets are not JSON values and are stored as their str(): decode bytes, and make lists of sets, '
        'before writing them (this is said once)',
        stacklevel=4,
    )


def _make_encode() -> Callable[[Any], str]:
    """Return what ``JSONEncoder.encode`` does, without the encoder that it builds anew, and the cycles it remembers."""
    plain = json.JSONEncoder(allow_nan=False, default=jsondefault)
    make = vars(json.encoder)['c_make_encoder']
    if make is None:
        return plain.encode
    escape = json.encoder.encode_basestring_ascii
    # No memory of containers (a cycle is too deep instead): one encoder then serves all threads.
    chunks = make(None, jsondefault, escape, None, plain.key_separator, plain.item_separator, False, False, False)
    join = ''.join

    def encode(value: Any) -> str:
        return join(chunks(value, 0))

    return encode


_encode = _make_encode()
