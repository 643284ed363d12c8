"""Deliver records through a cursor as a stream does, without a connection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scrapinghub.transport.streams.cursor import Cursor


def deliver(cursor: Cursor, records: Iterable[Any]) -> list[Any]:
    """Return what a stream delivers of a block of records."""
    block = list(records)
    if cursor.selecting and block:
        block = cursor.select(block)
    got = []
    for record in block:
        if cursor.full:
            break
        key = None if cursor.take_key is None else cursor.take_key(record, cursor.field, None)
        if cursor.remember is not None:
            cursor.remember(key)
        cursor.last = key
        cursor.delivered += 1
        got.append(record)
    return got
