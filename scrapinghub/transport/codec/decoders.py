"""Bytes to records, incremental and without I/O: the decoders in general, MessagePack, and the choice of a decoder.

A decoder is fed a body part by part and returns the records that they complete. Something that it cannot decode is
kept in ``error`` and ends it; the records before are returned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from itertools import chain, islice
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


def malformed(message: str, cause: Exception | None) -> Malformed:
    """Return an error without the data that its cause refers to.

    The data may hold credentials that a server sent back, and tools such as Dask pickle the causes of an error.
    """
    error = Malformed(message)
    error.__cause__ = cause
    if isinstance(cause, json.JSONDecodeError):
        cause.doc = ''
    elif isinstance(cause, UnicodeDecodeError):
        cause.object = b''
    return error


def too_large(limit: int) -> Malformed:
    """Return the error for a record that is larger than the limit, in bytes."""
    return Malformed(f'a record is larger than {limit} bytes; raise this limit with client.transport.max_record')


# What an iterator over records may raise where it cannot decode. TypeError: MessagePack has a list or a map as the key
# of a map.
FAILURES = (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException)


class Decoder:
    """Turns one body into records.

    Args:
        max_record: Maximum size of a record, in bytes.

    Attributes:
        error: What cannot be decoded; None as long as everything can.
        failures: What an iterator from :meth:`iterate` may raise.
        lazy: Whether such an iterator decodes a record when it is requested. That is faster than a list of all of them:
            the first records of a long list have left the caches of the processor before they are used.
        is_one_value: Whether a body is one value, so that it is decoded as a whole.
    """

    error: Malformed | None = None
    failures: tuple[type[Exception], ...] = FAILURES
    lazy = False
    is_one_value = False

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
        self.error = malformed(message, cause)

    def _fail_size(self, cause: Exception | None = None) -> None:
        self.error = too_large(self._max_record)
        self.error.__cause__ = cause


# How much is decoded at once.
PIECE_SIZE = 1024 * 1024
# A length that lies makes the unpacker reserve room for that many elements: 8 MiB at this limit.
_MAX_ELEMENTS = 1024 * 1024


class MsgpackDecoder(Decoder):
    """Decodes concatenated MessagePack values.

    With ``msgspec``, ``msgpack`` finds where each value ends, and ``msgspec`` decodes it if it has only text as keys of
    maps, and no bytes or extension types. ``msgpack`` decodes all others, and those that arrive in several parts: the
    result is the same.

    Attributes:
        smallest_part: ``msgpack`` decodes all values of smaller parts of a body, in bytes: preparing takes longer.
    """

    lazy = True
    smallest_part = 8 * 1024
    _nil: bytes | None = None

    def __init__(self, max_record: int = MAX_RECORD_BYTES) -> None:
        super().__init__(max_record)
        self._decode, failure = _value_decoder()
        if max_record < PIECE_SIZE:
            # Such a limit applies within a part, too.
            self._decode = None
        self.failures = (*FAILURES, failure)
        self._new_unpacker = partial(
            msgpack.Unpacker,
            raw=False,
            strict_map_key=False,
            # What is reserved at once.
            read_size=64 * 1024,
            # The buffer holds an incomplete record beside the part that continues it.
            max_buffer_size=max_record + PIECE_SIZE,
            max_str_len=max_record,
            max_bin_len=max_record,
            max_ext_len=max_record,
            max_array_len=_MAX_ELEMENTS,
            max_map_len=_MAX_ELEMENTS,
        )
        self._unpacker = self._new_unpacker()
        # How many bytes the unpacker was fed.
        self._fed = 0
        # The values of a part for msgspec, those that are not decoded, and the bytes after them.
        self._values: list[bytes] = []
        self._left: Iterator[bytes] = iter(())
        self._rest = b''

    def _restart(self, data: bytes) -> None:
        self._unpacker = self._new_unpacker()
        self._unpacker.feed(data)
        self._fed = len(data)

    def iterate(self, data: bytes) -> Iterator[Any]:
        """Return an iterator over the values that ``data`` completes."""
        if self.error is not None:
            return iter(())
        if len(data) > PIECE_SIZE:
            parts = (data[start : start + PIECE_SIZE] for start in range(0, len(data), PIECE_SIZE))
            return chain.from_iterable(map(self.iterate, parts))
        if self._decode is not None and len(data) >= self.smallest_part:
            return self._iterate_with_msgspec(data, self._decode)
        try:
            self._unpacker.feed(data)
        except msgpack.exceptions.BufferFull as error:
            self._fail_size(error)
            return iter(())
        self._fed += len(data)
        unpacker: Iterator[Any] = self._unpacker
        return unpacker

    def _iterate_with_msgspec(self, data: bytes, decode: Callable[[bytes], Any]) -> Iterator[Any]:
        first: tuple[Any, ...] = ()
        if self._fed:
            # A value may have begun in an earlier part.
            try:
                self._unpacker.feed(data)
                first = tuple(islice(self._unpacker, 1))
            except msgpack.exceptions.BufferFull as error:
                self._fail_size(error)
                return iter(())
            except self.failures as failure:
                return self.recover(failure)
            self._fed += len(data)
            if not first:
                return iter(())
            data = data[len(data) - (self._fed - self._unpacker.tell()) :]
        self._values, self._rest = self._split(data)
        self._left = iter(self._values)
        self._restart(self._rest)
        return chain(first, map(decode, self._left), self._iterate_rest())

    def _split(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Return the complete values of a part, and the rest."""
        values: list[bytes] = []
        unpacker = self._new_unpacker()
        unpacker.feed(data)
        skip, tell, begin = unpacker.skip, unpacker.tell, 0
        try:
            while True:
                skip()
                end = tell()
                values.append(data[begin:end])
                begin = end
        except FAILURES:
            # The rest is incomplete or damaged; the unpacker finds out which.
            return values, data[begin:]

    def _iterate_rest(self) -> Iterator[Any]:
        self._values = []
        yield from self._unpacker

    def recover(self, failure: Exception) -> Iterator[Any]:
        """Return the values from the one that ``msgspec`` refused; none after a damaged one, which sets ``error``."""
        records: list[Any] = []
        if self._values:
            refused = len(self._values) - length_hint(self._left) - 1
            self._restart(b''.join((*self._values[refused:], self._rest)))
            self._values = []
            try:
                # On an error, extend keeps the records before it.
                records.extend(self._unpacker)
                return iter(records)
            except FAILURES as error:
                failure = error
        message = str(failure) or type(failure).__name__
        if f'({self._max_record})' in message:
            # The unpacker reports a length beyond the limit when it reads it.
            self._fail_size(failure)
        else:
            self._fail(f'not MessagePack: {message}', failure)
        return iter(records)

    def finish(self) -> list[Any]:
        """Return nothing: a value is complete with its last byte; set ``error`` if one is not."""
        # The unpacker does not say whether it is inside a value. One more nil is a value only between values; elsewhere
        # it becomes a part of something, or of nothing.
        if self.error is None and self.feed(b'\xc0') != [self._nil]:
            self._fail('the body ends inside a MessagePack value')
        return []


@cache
def _value_decoder() -> tuple[Callable[[bytes], Any] | None, type[Exception]]:
    """Return a fast decoder of a value that agrees with ``msgpack`` or raises, and the error that it raises."""
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


# A response of such a type is decoded as the type that was requested.
_UNKNOWN = frozenset({'', 'application/octet-stream', 'text/plain'})


def decoder_for(
    content_type: str | None,
    *,
    asked: str,
    max_record: int = MAX_RECORD_BYTES,
    max_json: int | None = None,
    spread: bool = False,
    kinds: Mapping[str, type[Decoder]],
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
    if decoder.is_one_value:
        of_one_value: Any = decoder
        return of_one_value(max_record if max_json is None else max_json, spread=spread)  # type: ignore[no-any-return]
    return decoder(max_record)
