"""Pages of records, and the options that every read of records shares."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from scrapinghub.sandbox.store.filters import Predicate
from scrapinghub.sandbox.store.packing import unpack

#: Key, time of storing in milliseconds, and packed record.
Row = tuple[bytes, int, bytes]
Page = list[Row]
#: A page ends when it has this many records or bytes.
PAGE_ROWS = 2000
PAGE_BYTES = 512 * 1024


@dataclass(frozen=True)
class ReadOptions:
    """Which records a read returns.

    Attributes:
        count: At most this many records.
        offset: Skip this many records first.
        startts: Only records stored at or after this time.
        endts: Only records stored before this time.
        predicate: Only records for which this holds.
    """

    count: int | None = None
    offset: int = 0
    startts: int | None = None
    endts: int | None = None
    predicate: Predicate | None = None

    @property
    def page_rows(self) -> int:
        """The number of rows to read with one query: no more than are used."""
        if self.count is None or self.predicate is not None:
            return PAGE_ROWS
        return max(1, min(PAGE_ROWS, self.offset + self.count))

    def times(self, column: str = 'ts') -> tuple[str, list[int]]:
        """Return the SQL condition on the time of storing, to append to others, with its values."""
        condition, values = '', []
        if self.startts is not None:
            condition += f' AND {column} >= ?'
            values.append(self.startts)
        if self.endts is not None:
            condition += f' AND {column} < ?'
            values.append(self.endts)
        return condition, values

    def matching(self, page: Page) -> Page:
        """Return the rows that match the filters."""
        predicate = self.predicate
        return page if predicate is None else [row for row in page if predicate(unpack(row[2]))]

    def apply(self, pages: Iterable[Page]) -> Iterator[Page]:
        """Keep the rows that match the filters, then skip ``offset`` and end after ``count`` records."""
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
