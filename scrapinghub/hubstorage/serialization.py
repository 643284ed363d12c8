"""JSON, JSON lines and MessagePack, by the names of older releases; the work is done in the transport."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from scrapinghub.transport.codec import EPOCH, MsgpackDecoder, encode_json, jsondefault

__all__ = [
    'ADAYINSECONDS',
    'EPOCH',
    'MSGPACK_AVAILABLE',
    'jldecode',
    'jlencode',
    'jsondefault',
    'jsonencode',
    'mpdecode',
]

ADAYINSECONDS = 86400
# The library is a dependency now.
MSGPACK_AVAILABLE = True


def jlencode(iterable: Any) -> str:
    r"""Return values as JSON lines, without a final line feed.

    Args:
        iterable: The values; a dict or a string is one value.

    Example:
        >>> jlencode([{'a': 1}, 'b'])
        '{"a": 1}\n"b"'
    """
    values = [iterable] if isinstance(iterable, (dict, str)) else iterable
    return '\n'.join(map(encode_json, values))


def jldecode(lineiterable: Iterable[str | bytes]) -> Iterator[Any]:
    """Yield the values of lines of JSON."""
    return map(json.loads, lineiterable)


def mpdecode(iterable: Iterable[bytes]) -> Iterator[Any]:
    """Yield the values of MessagePack that arrives in chunks.

    Raises:
        ValueError: The chunks are not MessagePack, or end inside a value.
    """
    decoder = MsgpackDecoder()
    for piece in iterable:
        yield from decoder.feed(piece)
        if decoder.error is not None:
            raise decoder.error
    yield from decoder.finish()
    if decoder.error is not None:
        raise decoder.error


def jsonencode(o: Any) -> str:
    """Return a value as JSON text; datetimes become milliseconds since the epoch, other objects their ``str()``.

    Raises:
        ValueError: It holds NaN or an infinity.
    """
    return encode_json(o)
