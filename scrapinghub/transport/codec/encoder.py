"""Python values to JSON text, with the replacements that older releases made for what JSON does not know."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from functools import cache
from typing import Any


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
