"""Addresses: each name in a path is encoded once, so that it reaches exactly its thing."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias
from urllib.parse import quote

# Where an address that names no port leads.
PORTS = {'http': 80, 'https': 443}

Path: TypeAlias = 'str | tuple[str | int, ...]'


def encode_path(path: Path) -> str:
    """Return the text of a path.

    Args:
        path: A tuple of segments, each encoded here; or a text, taken as it is (the low-level client's own paths).

    Returns:
        The path without a leading slash.

    Raises:
        ValueError: A segment is empty, ``.`` or ``..``: HTTP libraries resolve these even when they are encoded.

    Example:
        >>> encode_path(('hcf', 123, 'front', 's', 'site#1'))
        'hcf/123/front/s/site%231'
    """
    if isinstance(path, str):
        return path.lstrip('/')
    return '/'.join(map(encode_segment, path))


@lru_cache(maxsize=1024, typed=True)
def encode_segment(segment: str | int) -> str:
    """Return one segment of a path, percent-encoded.

    Raises:
        ValueError: The segment is empty, ``.`` or ``..``, or holds half of a surrogate pair.
    """
    text = str(segment)
    if text in ('', '.', '..'):
        raise ValueError(f'{text!r} cannot be part of a path: the service would see another address')
    try:
        return quote(text, safe='')
    except UnicodeEncodeError as error:
        raise ValueError(f'{text!r} cannot be part of a path: it is not valid text') from error
