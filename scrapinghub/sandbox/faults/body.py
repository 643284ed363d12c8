"""Damage the body of a response: find where records end, truncate, corrupt, cut and stall."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import msgpack

from scrapinghub.sandbox.faults.definition import At, Fault, Framing, Position


@dataclass
class DamagedBody:
    """A body as it is transferred, and where its transfer is interrupted.

    Attributes:
        data: The bytes to transfer, compressed if the response is, without framing.
        cut: The connection ends after this many bytes; ``None`` for no cut.
        stall: The transfer pauses after this many bytes until the fault is released; ``None`` for no pause.
        changed: Whether the bytes differ from those of the service.
    """

    data: bytes
    cut: int | None
    stall: int | None
    changed: bool


def record_ends(body: bytes, content_type: str) -> list[int]:
    """Return the offset at which each record of a body ends.

    Args:
        body: The body, not compressed.
        content_type: The content type: JSON lines, MessagePack, or anything else, which is one record.
    """
    kind = content_type.partition(';')[0].strip().lower()
    if kind == 'application/x-msgpack':
        unpacker = msgpack.Unpacker(strict_map_key=False, max_buffer_size=0)
        unpacker.feed(body)
        ends = []
        try:
            while unpacker.tell() < len(body):
                unpacker.skip()
                ends.append(unpacker.tell())
        except (ValueError, msgpack.OutOfData):
            # The body of a fault may have the wrong content type.
            ends.append(len(body))
        return ends
    if kind in ('application/x-jsonlines', 'text/csv'):
        ends = [offset + 1 for offset, byte in enumerate(body) if byte == 0x0A]
        if body and not body.endswith(b'\n'):
            ends.append(len(body))
        return ends
    return [len(body)] if body else []


def offset_of(position: At, body: bytes, content_type: str) -> int:
    """Return the offset of a position, the length of the body for one after its end."""
    if position.text is not None:
        return min(position.text, len(body))
    ends = record_ends(body, content_type)
    wanted = position.record or 0
    number = int(wanted * len(ends)) if isinstance(wanted, float) else wanted
    starts = [0, *ends]
    if number >= len(ends):
        return len(body)
    start, end = starts[number], ends[number]
    # The newline is not part of the record: a body that ends before it is complete.
    last = end - 1 if body[end - 1 : end] != b'\n' else end - 2
    return max(start, min(start + position.plus, last))


def damage(body: bytes, content_type: str, fault: Fault, *, gzipped: bool) -> DamagedBody:
    """Apply a fault to a body.

    Args:
        body: The body of the service, not compressed.
        content_type: Its content type.
        fault: The fault.
        gzipped: Whether it is transferred compressed.
    """
    changed = False
    if isinstance(fault.truncate, At):
        length = offset_of(fault.truncate, body, content_type)
        changed = length < len(body)
        body = body[:length]
    marks = {
        position: offset_of(position, body, content_type)
        for position in (fault.cut, fault.stall, fault.corrupt)
        if isinstance(position, At)
    }
    data, offsets = compress(body, sorted(set(marks.values()))) if gzipped else (body, None)

    def transferred(position: Position) -> int:
        if isinstance(position, At):
            return marks[position] if offsets is None else offsets[marks[position]]
        return int(position * len(data)) if isinstance(position, float) else min(position, len(data))

    if fault.truncate is not None and not isinstance(fault.truncate, At):
        length = transferred(fault.truncate)
        changed = length < len(data)
        data = data[:length]
    if fault.corrupt is not None and (offset := transferred(fault.corrupt)) < len(data):
        changed = True
        data = data[:offset] + bytes([data[offset] ^ 0xFF]) + data[offset + 1 :]
    cut = None if fault.cut is None else transferred(fault.cut)
    stall = None if fault.stall is None else transferred(fault.stall)
    return DamagedBody(data, cut, stall, changed)


def compress(body: bytes, marks: list[int]) -> tuple[bytes, dict[int, int]]:
    """Compress a body, and flush the stream at some offsets.

    Returns:
        The gzip stream, and for each offset the length of the stream up to it.
    """
    compressor = zlib.compressobj(1, zlib.DEFLATED, 31)
    stream = bytearray()
    offsets: dict[int, int] = {}
    start = 0
    for mark in marks:
        stream += compressor.compress(body[start:mark]) + compressor.flush(zlib.Z_SYNC_FLUSH)
        offsets[mark] = len(stream)
        start = mark
    stream += compressor.compress(body[start:]) + compressor.flush()
    return bytes(stream), offsets


def frame(data: bytes, framing: Framing, chunk: int, stops: set[int]) -> Iterator[tuple[int, bytes]]:
    """Yield a body with its framing, in parts that end at the given stops.

    Args:
        data: The body.
        framing: How it is delimited; only chunks add bytes.
        chunk: Bytes in a chunk.
        stops: Offsets in the body at which a part must end.

    Yields:
        The offset in the body at the end of the part, and the part.
    """
    size = chunk if framing == 'chunked' else max(1, len(data))
    edges = set(range(0, len(data), size)) | {len(data)}
    for start, end in pairwise(sorted(edges | {stop for stop in stops if 0 < stop < len(data)})):
        part = data[start:end]
        if framing == 'chunked':
            if start in edges:
                part = b'%x\r\n' % min(size, len(data) - start) + part
            if end in edges:
                part += b'\r\n'
        yield end, part
