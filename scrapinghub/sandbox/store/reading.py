"""The parameters that all record reads share, and how they narrow a stream of pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from scrapinghub.sandbox.server.formats import Page
from scrapinghub.sandbox.server.http import Call
from scrapinghub.sandbox.store.filters import Predicate, predicate_of
from scrapinghub.sandbox.store.packing import unpack

#: A page ends after so many records or bytes, whichever comes first.
PAGE_ROWS = 2000
PAGE_BYTES = 512 * 1024


@dataclass(frozen=True)
class Window:
    """What a request wants of a stream of records.

    Attributes:
        count: At most this many records.
        offset: Leave out this many of them first.
        startts: Only records stored at or after this time.
        endts: Only records stored before this time.
        predicate: Only records for which this holds.
    """

    count: int | None = None
    offset: int = 0
    startts: int | None = None
    endts: int | None = None
    predicate: Predicate | None = None

    @classmethod
    def of(cls, call: Call) -> Window:
        """Read the parameters of a request.

        Raises:
            ServiceError: 400 for one that cannot be understood.
        """
        return cls(
            call.integer('count'),
            call.integer('offset') or 0,
            call.integer('startts'),
            call.integer('endts'),
            predicate_of(call),
        )

    @property
    def page_rows(self) -> int:
        """How many rows to read at once: no more than will be used."""
        if self.count is None or self.predicate is not None:
            return PAGE_ROWS
        return max(1, min(PAGE_ROWS, self.offset + self.count))

    def times(self, column: str = 'ts') -> tuple[str, list[int]]:
        """Return the SQL condition on the time of storing, to follow others, with its values."""
        condition, values = '', []
        if self.startts is not None:
            condition += f' AND {column} >= ?'
            values.append(self.startts)
        if self.endts is not None:
            condition += f' AND {column} < ?'
            values.append(self.endts)
        return condition, values

    def matching(self, page: Page) -> Page:
        """Return the rows that the filters let pass."""
        predicate = self.predicate
        return page if predicate is None else [row for row in page if predicate(unpack(row[2]))]

    def apply(self, pages: Iterable[Page]) -> Iterator[Page]:
        """Keep what the filters let pass, then skip ``offset`` and end after ``count`` records."""
        if self.count == 0:
            return
        skip, left = self.offset, self.count
        for page in pages:
            page = self.matching(page)
            if skip:
                skip, page = max(0, skip - len(page)), page[skip:]
            if left is not None:
                page = page[:left]
                left -= len(page)
            if page:
                yield page
            if left == 0:
                return


def fetch(cursor: sqlite3.Cursor) -> list[tuple[Any, ...]]:
    """Return the rows of a query up to the size of a page, and end the query.

    The last column must be the packed record. A cursor left open would keep a read transaction open.
    """
    rows = []
    size = 0
    for row in cursor:
        rows.append(row)
        size += len(row[-1])
        if size >= PAGE_BYTES:
            break
    cursor.close()
    return rows
