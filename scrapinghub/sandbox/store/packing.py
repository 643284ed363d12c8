"""Stored form of a record: one MessagePack value, decoded from strict JSON."""

from __future__ import annotations

from typing import Any

import msgpack

#: Head bytes of MessagePack maps: up to 15 pairs in the byte itself, then with a 16-bit and a 32-bit number.
FIXMAP, FIXMAP_END, MAP16, MAP32 = 0x80, 0x8F, 0xDE, 0xDF
EMPTY_MAP = b'\x80'


def pack(value: Any) -> bytes:
    """Encode a JSON value, in the smallest forms.

    Raises:
        ValueError: It holds an integer beyond 64 bits, or text without a UTF-8 form.
    """
    try:
        packed = msgpack.packb(value)
    except OverflowError as error:
        raise ValueError('an integer must be between -2**63 and 2**64 - 1') from error
    except UnicodeEncodeError as error:
        raise ValueError('text holds a lone surrogate') from error
    # Without a stream to write to, packb returns what it made.
    assert isinstance(packed, bytes)
    return packed


def unpack(data: bytes) -> Any:
    """Decode what :func:`pack` made."""
    return msgpack.unpackb(data)


def is_map(data: bytes) -> bool:
    """Return whether a packed value is a map."""
    return FIXMAP <= data[0] <= FIXMAP_END or data[0] in (MAP16, MAP32)


def extend_map(data: bytes, pairs: bytes, added: int) -> bytes:
    """Append packed pairs to a packed map without decoding it; a name may then appear twice.

    Args:
        data: A packed map.
        pairs: Packed names and values, concatenated.
        added: How many pairs these are.
    """
    head = data[0]
    if head <= FIXMAP_END:
        size, start = head - FIXMAP, 1
    else:
        start = 3 if head == MAP16 else 5
        size = int.from_bytes(data[1:start], 'big')
    size += added
    if size <= FIXMAP_END - FIXMAP:
        new = bytes((FIXMAP + size,))
    elif size <= 0xFFFF:
        new = bytes((MAP16,)) + size.to_bytes(2, 'big')
    else:
        new = bytes((MAP32,)) + size.to_bytes(4, 'big')
    return new + data[start:] + pairs
