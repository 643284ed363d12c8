"""Decode request bodies: strict gzip and strict JSON."""

from __future__ import annotations

import json
import zlib
from typing import Any, NoReturn

#: Every accepted value must be writable in every format, so the limit is far below Python's recursion limit.
MAX_DEPTH = 200
TOO_DEEP = f'nested deeper than {MAX_DEPTH} levels'


class EncodingError(ValueError):
    """A compressed body is broken."""


def gunzip(data: bytes, limit: int) -> bytes:
    """Decompress one or several gzip members.

    Raises:
        EncodingError: The data are broken, truncated, or followed by something else.
        OverflowError: The result is longer than ``limit`` bytes.
    """
    parts: list[bytes] = []
    room = limit
    while True:
        decoder = zlib.decompressobj(31)
        try:
            part = decoder.decompress(data, room + 1)
        except zlib.error as error:
            raise EncodingError(f'broken gzip data ({error})') from error
        if len(part) > room:
            raise OverflowError(f'more than {limit} bytes')
        if not decoder.eof:
            raise EncodingError('truncated gzip data')
        parts.append(part)
        room -= len(part)
        data = decoder.unused_data
        if not data:
            return b''.join(parts)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f'{name} is not a JSON number')


def _finite(text: str) -> float:
    value = float(text)
    if value in (float('inf'), float('-inf')):
        raise ValueError(f'number out of range: {text[:32]}')
    return value


_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def decode_json(text: bytes | str) -> Any:
    """Decode one strict JSON value.

    Raises:
        ValueError: It is not JSON (NaN and infinities are not), not UTF-8, or nested too deeply.
    """
    if isinstance(text, bytes):
        text = text.decode('utf-8')
    try:
        value = _decoder.decode(text)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
    if text.count('[') + text.count('{') > MAX_DEPTH and _is_too_deep(value):
        raise ValueError(TOO_DEEP)
    return value


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        containers = [inner for inner in level if isinstance(inner, (list, dict))]
        if not containers:
            return False
        level = [inner for outer in containers for inner in (outer.values() if isinstance(outer, dict) else outer)]
    return True
