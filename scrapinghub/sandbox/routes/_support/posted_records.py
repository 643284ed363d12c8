"""Bulk posts of records to the storage server: JSON lines with a maximum size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scrapinghub.sandbox.routes._support.call import Call
from scrapinghub.sandbox.store.packing import pack

#: Maximum size of a record, in bytes of its line as sent.
MAX_RECORD = 1024 * 1024
TOO_LARGE = f'Error parsing data, Serialized value too large - max {MAX_RECORD} bytes'


def parse_lines(call: Call) -> Iterator[tuple[int, Any]]:
    """Yield number, from 1, and value of each line.

    Raises:
        ServiceError: 413 for a line that is too large, 400 for one that is not JSON.
    """
    for number, line in enumerate(call.lines(), 1):
        if len(line) > MAX_RECORD:
            call.fail(413, TOO_LARGE)
        yield number, call.parse_json(line, f'line {number}')


def pack_value(call: Call, number: int, value: Any) -> bytes:
    """Pack a posted value.

    Raises:
        ServiceError: 400 naming the line when the value cannot be stored.
    """
    try:
        return pack(value)
    except ValueError as error:
        call.fail(400, f'Error parsing data, line {number}: {error}')


def text_key(call: Call, number: int, value: Any, name: str) -> bytes:
    """Encode a posted string that names a record.

    Raises:
        ServiceError: 400 when it is not a string, or has no UTF-8 form.
    """
    if not isinstance(value, str):
        call.fail(400, f'Error parsing data, line {number}: {name} must be a string')
    try:
        return value.encode()
    except UnicodeEncodeError:
        call.fail(400, f'Error parsing data, line {number}: {name} holds a lone surrogate')
