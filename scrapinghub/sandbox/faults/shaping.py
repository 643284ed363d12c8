"""The bytes of an answer that is not to arrive as it should: where records end, what is cut, corrupted or stalled."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import msgpack

from scrapinghub.sandbox.faults.effects import At, Fault, Framing, Place


@dataclass
class Shape:
    """A body as it travels, and what happens on its way.

    Attributes:
        wire: The body as it travels, without framing.
        cut: After how many of its bytes the connection ends.
        stall: After how many of its bytes nothing more comes until the fault is released.
        happened: Whether the fault makes any difference to the body.
    """

    wire: bytes
    cut: int | None
    stall: int | None
    happened: bool


def record_ends(body: bytes, content_type: str) -> list[int]:
    """Return where each record of a body ends.

    Args:
        body: The body, not compressed.
        content_type: What it is: JSON lines, MessagePack, or anything else, which is one record.
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
            # A fault's own body may be no MessagePack at all.
            ends.append(len(body))
        return ends
    if kind in ('application/x-jsonlines', 'text/csv'):
        ends = [place + 1 for place, byte in enumerate(body) if byte == 0x0A]
        if body and not body.endswith(b'\n'):
            ends.append(len(body))
        return ends
    return [len(body)] if body else []


def place_in_text(place: At, body: bytes, content_type: str) -> int:
    """Return the number of bytes before a place, the whole length for one behind the end."""
    if place.text is not None:
        return min(place.text, len(body))
    ends = record_ends(body, content_type)
    wanted = place.record or 0
    number = int(wanted * len(ends)) if isinstance(wanted, float) else wanted
    starts = [0, *ends]
    if number >= len(ends):
        return len(body)
    start, end = starts[number], ends[number]
    # A line's end mark is no part of the record: a body that ends before it is whole.
    last = end - 1 if body[end - 1 : end] != b'\n' else end - 2
    return max(start, min(start + place.plus, last))


def shape(body: bytes, content_type: str, fault: Fault, *, gzipped: bool) -> Shape:
    """Apply a fault to a whole body.

    Args:
        body: The body as the service means it, not compressed.
        content_type: What it is.
        fault: What goes otherwise.
        gzipped: Whether it travels compressed.
    """
    happened = False
    if isinstance(fault.truncate, At):
        length = place_in_text(fault.truncate, body, content_type)
        happened = length < len(body)
        body = body[:length]
    marks = {
        place: place_in_text(place, body, content_type)
        for place in (fault.cut, fault.stall, fault.corrupt)
        if isinstance(place, At)
    }
    wire, offsets = pack(body, sorted(set(marks.values()))) if gzipped else (body, None)

    def on_wire(place: Place) -> int:
        if isinstance(place, At):
            return marks[place] if offsets is None else offsets[marks[place]]
        return int(place * len(wire)) if isinstance(place, float) else min(place, len(wire))

    if fault.truncate is not None and not isinstance(fault.truncate, At):
        length = on_wire(fault.truncate)
        happened = length < len(wire)
        wire = wire[:length]
    if fault.corrupt is not None and (spot := on_wire(fault.corrupt)) < len(wire):
        happened = True
        wire = wire[:spot] + bytes([wire[spot] ^ 0xFF]) + wire[spot + 1 :]
    cut = None if fault.cut is None else on_wire(fault.cut)
    stall = None if fault.stall is None else on_wire(fault.stall)
    return Shape(wire, cut, stall, happened)


def pack(body: bytes, marks: list[int]) -> tuple[bytes, dict[int, int]]:
    """Compress a body, flushed at some places.

    Returns:
        The gzip stream, and for each place the length of the stream up to it.
    """
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    wire = bytearray()
    offsets: dict[int, int] = {}
    start = 0
    for mark in marks:
        wire += packer.compress(body[start:mark]) + packer.flush(zlib.Z_SYNC_FLUSH)
        offsets[mark] = len(wire)
        start = mark
    wire += packer.compress(body[start:]) + packer.flush()
    return bytes(wire), offsets


def framed(wire: bytes, framing: Framing, chunk: int, stops: set[int]) -> Iterator[tuple[int, bytes]]:
    """Yield a body with its framing, in pieces that end at the given stops.

    Args:
        wire: The body.
        framing: How it is delimited; only chunks add anything.
        chunk: Bytes in a chunk.
        stops: Numbers of bytes of the body after which a piece must end.

    Yields:
        How many bytes of the body have come by the end of this piece, and the piece.
    """
    size = chunk if framing == 'chunked' else max(1, len(wire))
    edges = set(range(0, len(wire), size)) | {len(wire)}
    for start, end in pairwise(sorted(edges | {stop for stop in stops if 0 < stop < len(wire)})):
        piece = wire[start:end]
        if framing == 'chunked':
            if start in edges:
                piece = b'%x\r\n' % min(size, len(wire) - start) + piece
            if end in edges:
                piece += b'\r\n'
        yield end, piece
