"""Pages through a listing of jobs that changes while it is read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

from scrapinghub.transport.streams.cursor import Cursor, Mismatch, Pairs

PAGE = 1000
# Rows of a page that are requested again with the next one, so that rows which moved up are noticed.
OVERLAP = 10
# How many times in a row a page may begin with the first job of the listing: as many jobs may be new.
STARTS_IGNORED = 3
# After so many responses without a known row, or without a new one, the listing changes faster than it can be read.
MAX_UNKNOWN = 100


# One match for all keys of a block.
_JOB_KEYS = re.compile(r'(?:[^\n]*/[0-9]{1,18}\n)*[^\n]*/[0-9]{1,18}').fullmatch


class JobKeySet:
    """A set of job keys that stays small for millions of jobs: one bit for each number, 256 of them in an integer."""

    def __init__(self) -> None:
        self._bits: dict[tuple[str, int], int] = {}

    def update(self, keys: Iterable[str]) -> None:
        """Add keys ``P/S/J``."""
        bits = self._bits
        for key in keys:
            spider, _, number = key.rpartition('/')
            slot = spider, int(number) >> 8
            bits[slot] = bits.get(slot, 0) | 1 << (int(number) & 255)

    def __contains__(self, key: str) -> bool:
        spider, _, number = key.rpartition('/')
        return bool(self._bits.get((spider, int(number) >> 8), 0) >> (int(number) & 255) & 1)

    def isdisjoint(self, keys: Iterable[str]) -> bool:
        """Return whether none of the keys is in the set."""
        return not any(map(self.__contains__, keys))


class JobPages(Cursor):
    """Reads a listing of jobs, newest first, page by page.

    A job that is in the listing all the time is delivered exactly once; one that enters or leaves it meanwhile, at most
    once. Pages overlap. A page that begins with a known row continues the one before, however many rows have moved. If
    the first row is not known, rows have moved up past it, and the cursor steps back.

    Args:
        params: Query parameters, without ``count`` and ``start``.
        count: Deliver at most this many jobs; None for one page, or for all with ``everything``.
        start: Skip this many jobs of the listing.
        everything: Read to the end, and then from the top again until a page has no new job.
    """

    selecting = True

    def __init__(
        self, params: Pairs, count: int | None = None, *, start: int | None = None, everything: bool = False
    ) -> None:
        self._paged = everything or (count is not None and count > PAGE)
        super().__init__(params, count, field='key')
        self._first_count = count
        if count is None and not everything:
            self.count = PAGE
        self._everything = everything
        self._given_start = start
        self._base = start or 0
        self._page_start = self._base
        # How many rows of the present page have arrived; the keys of the new ones, and how many rows precede each.
        self._rows = 0
        self._new: dict[str, int] = {}
        self._before = 0
        self._requests = 0
        self._requested_rows: int | None = None
        self._from_top_again = False
        # The keys of one page are few.
        self._known: JobKeySet | set[str] = JobKeySet() if self._paged else set()
        self._step = OVERLAP
        self._top: str | None = None
        self._starts_ignored = 0
        self._unknown = 0
        self._without_new = 0
        self._may_be_gap = False

    def next_request(self) -> Pairs | None:
        """Return the parameters of the next page; None at the end.

        Raises:
            Mismatch: The listing changes too fast.
        """
        if self._complete or self.full:
            return None
        self._begin_page(self._next_start())
        self._unknown += 1
        self._without_new += 1
        if max(self._unknown, self._without_new) > MAX_UNKNOWN:
            missing = 'known' if self._unknown > MAX_UNKNOWN else 'new'
            self._unknown = self._without_new = 0
            raise Mismatch(f'the listing changes too fast: {MAX_UNKNOWN} pages in a row had no {missing} job')
        params = list(self.params)
        if not self._requests:
            if self._given_start is not None:
                params.append(('start', self._given_start))
            count = PAGE if self._paged else self._first_count
        else:
            if self._page_start:
                params.append(('start', self._page_start))
            # Rows that moved up may fill a part of the page, which is then followed by another one.
            left = (self.count or PAGE) - self.delivered + min(OVERLAP, self.delivered)
            count = PAGE if self._paged else min(PAGE, left)
        if count is not None:
            params.append(('count', count))
        self._requests += 1
        self._requested_rows = count
        return params

    def _next_start(self) -> int:
        """Return where the next page begins: a little before the first row that was not delivered."""
        rows = next(islice(self._new.values(), self.delivered - self._before, None), self._rows)
        # Without an overlap, a page behind the last row would not show whether the listing ends there.
        return self._page_start + rows - min(OVERLAP, rows // 2 or rows)

    def _begin_page(self, start: int) -> None:
        self._known.update(islice(self._new, self.delivered - self._before))
        # No call between these: an interruption finds the new page or the old one.
        self._page_start = start
        self._rows = 0
        self._new = {}
        self._before = self.delivered

    def select(self, block: list[Any]) -> list[Any]:
        """Return the jobs that were not delivered.

        Raises:
            Mismatch: The first row of a page is not known, or a job has no key.
        """
        keys = self.keys_of(block)
        if None in keys or (self._paged and keys and not _JOB_KEYS('\n'.join(keys))):
            raise Mismatch('a job has no key')
        if keys and not self._rows:
            self._check_first(keys[0])
        own = set(keys)
        if len(own) == len(keys) and self._new.keys().isdisjoint(own) and self._known.isdisjoint(own):
            # All are new, as nearly always.
            new: Iterable[int] = range(len(keys))
        else:
            self._unknown = 0
            self._may_be_gap = False
            # Of a row that occurs twice, the first one is delivered.
            first = {key: i for i, key in reversed([*enumerate(keys)])}
            new = [
                i for i, key in enumerate(keys) if first[key] == i and key not in self._new and key not in self._known
            ]
        selected = [block[i] for i in new] + block[len(keys) :]
        if selected:
            self._without_new = 0
        self._new.update((keys[i], self._rows + i) for i in new)
        self._rows += len(keys)
        return selected

    def _check_first(self, key: str) -> None:
        """Check that a page continues the one before."""
        if self._page_start == self._base:
            self._top = key
            # Rows above the start may have left, so that those that follow the delivered ones have moved past it.
            self._may_be_gap = self._base > 0 and self.delivered > 0 and key not in self._known
            return
        if key not in self._known:
            raise Mismatch('the listing has moved while it was read')
        self._starts_ignored = self._starts_ignored + 1 if key == self._top else 0
        if self._starts_ignored:
            raise Mismatch(f'asked to skip {self._page_start} jobs, the server began with the first one again')

    def complete(self) -> None:
        """Continue with the next page or at the top, or end.

        Raises:
            Mismatch: Jobs have moved past the start.
        """
        if self._may_be_gap:
            raise Mismatch('the listing has moved past the start while it was read')
        new = len(self._new)
        if self._rows:
            self._step = OVERLAP
        if not self._paged and (self._requests == 1 or 0 < self._rows < (self._requested_rows or 0)):
            # What follows a page that broke off may have moved down, out of the rest that was requested.
            self._complete = True
        elif not self._rows and self._page_start > self._base:
            # The end of the listing, or so many jobs have left it that the rest has moved up.
            self.fall_back()
        elif new == 0 and self._rows <= OVERLAP and self._rows < (self._requested_rows or PAGE):
            self._end()
        elif self._from_top_again and new == 0:
            self._complete = True

    def _end(self) -> None:
        """Read from the top again, or end."""
        if not self._everything or self._from_top_again:
            self._complete = True
            return
        self._begin_page(self._base)
        self._from_top_again = True

    def fall_back(self) -> bool:
        """Step back, further each time."""
        if self._page_start <= self._base or self._starts_ignored >= STARTS_IGNORED:
            return False
        # If as many jobs are new as were skipped, the page at the top shows it.
        step = self._page_start if self._starts_ignored else self._step
        self._begin_page(max(self._base, self._page_start - step))
        self._step = step * 4
        return True
