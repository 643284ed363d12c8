"""Paths: each segment is encoded once, so that any name arrives unchanged."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias
from urllib.parse import quote

# The port of an address that names none.
PORTS = {'http': 80, 'https': 443}

# A tuple of segments, which are encoded, or a text, which is sent unchanged.
Path: TypeAlias = 'str | tuple[str | int, ...]'


@lru_cache(maxsize=1024, typed=True)
def encode_segment(segment: str | int) -> str:
    """Return one segment of a path, percent-encoded.

    Raises:
        ValueError: The segment is empty, ``.`` or ``..``, which HTTP libraries resolve even when they are encoded; or
            it holds half of a surrogate pair.

    Example:
        >>> encode_segment('site#1')
        'site%231'
    """
    text = str(segment)
    if text in ('', '.', '..'):
        raise ValueError(f'{text!r} cannot be part of a path: the address would be another one')
    try:
        return quote(text, safe='')
    except UnicodeEncodeError as error:
        raise ValueError(f'{text!r} cannot be part of a path: it is not valid text') from error
