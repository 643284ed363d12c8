"""Page through a listing that changes while it is read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from scrapinghub.transport.streams.cursor import NotTheSame, Pairs, Plan

PAGE = 1000
# Rows of a page that come once more with the next one, so that rows which moved up are noticed.
OVERLAP = 10
# So often in a row a page may begin with the first job: it may be that just so many jobs are new.
STARTS_IGNORED = 3


# One match for all keys of a block.
_JOB_KEYS = re.compile(r'(?:[^\n]*/[0-9]{1,18}\n)*[^\n]*/[0-9]{1,18}').fullmatch


class JobKeySet:
    """A set of job keys that stays small for millions of jobs: one bit for each number, 256 of them in a piece."""

    def __init__(self) -> None:
        self._bits: dict[tuple[str, int], int] = {}

    def update(self, keys: Iterable[str]) -> None:
        """Add keys ``P/S/J``."""
        bits = self._bits
        for key in keys:
            spider, _, number = key.rpartition('/')
            place = spider, int(number) >> 8
            bits[place] = bits.get(place, 0) | 1 << (int(number) & 255)

    def __contains__(self, key: str) -> bool:
        spider, _, number = key.rpartition('/')
        return bool(self._bits.get((spider, int(number) >> 8), 0) >> (int(number) & 255) & 1)

    def isdisjoint(self, keys: Iterable[str]) -> bool:
        """Return whether none of the keys is there."""
        return not any(map(self.__contains__, keys))


class JobWalk(Plan):
    """Walk a listing of jobs, newest first.

    A job that is in the listing during the whole walk comes exactly once; one that enters or leaves it meanwhile, at
    most once. Pages overlap; when the first row of a page was not delivered before, rows have moved up, and the walk
    steps back.

    Args:
        params: Query parameters, without ``count`` and ``start``.
        count: Deliver at most this many jobs; None for one page, or for all with ``everything``.
        start: Skip this many jobs of the listing.
        everything: Walk to the end, and look at the top again until nothing new is there.
    """

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
        self._rows = 0
        self._new = 0
        self._asked = 0
        self._asked_rows: int | None = None
        self._rows_before = 0
        self._new_before = 0
        self._reach: Sequence[int] = [0]
        self._ended = False
        self._at_top_again = False
        # The keys of one page are few.
        self._seen: JobKeySet | set[str] = JobKeySet() if self._paged else set()
        self._back = OVERLAP
        self._top: str | None = None
        self._starts_ignored = 0

    def ask(self) -> Pairs | None:
        """Return the parameters of the next page; None at the end of the walk."""
        self.settle()
        self.error = None
        if self._ended or self.full:
            return None
        if self._asked and self._rows:
            # A page broke off, or the next one is due: both begin before the last row that was seen.
            self._page_start += self._rows - min(OVERLAP, self._rows // 2)
        self._rows = self._new = 0
        self._resumed = True
        params = list(self.params)
        if not self._asked:
            if self._given_start is not None:
                params.append(('start', self._given_start))
            count = PAGE if self._paged else self._first_count
        else:
            if self._page_start:
                params.append(('start', self._page_start))
            count = PAGE if self._paged else (self.count or PAGE) - (self._page_start - self._base)
        if count is not None:
            params.append(('count', count))
        self._asked += 1
        self._asked_rows = count
        return params

    def take(self, block: list[Any]) -> list[Any]:
        """Return those jobs of a block that are to be delivered."""
        self._rows_before, self._new_before, self._reach = self._rows, self._new, [0]
        return super().take(block)

    def _admit(self, block: list[Any], keys: list[Any]) -> tuple[list[Any], list[Any]]:
        if None in keys or (self._paged and not _JOB_KEYS('\n'.join(keys))):
            raise NotTheSame('a job came without its key')
        if not self._rows and self._page_start == self._base:
            self._top = keys[0]
        elif not self._rows:
            if keys[0] not in self._seen:
                raise NotTheSame('the listing has moved under the walk')
            self._starts_ignored = self._starts_ignored + 1 if keys[0] == self._top else 0
            if self._starts_ignored:
                raise NotTheSame(f'asked to skip {self._page_start} jobs, the server began with the first one again')
        own = set(keys)
        if len(own) == len(keys) and self._seen.isdisjoint(own):
            # All are new, as nearly always.
            self._reach = range(len(keys) + 1)
            return block, keys
        # Of a row that stands twice, the first one is delivered.
        first = {key: place for place, key in reversed([*enumerate(keys)])}
        places = [place for place, key in enumerate(keys) if first[key] == place and key not in self._seen]
        self._reach = [*places, len(keys)]
        return [block[place] for place in places], [keys[place] for place in places]

    def _settle(self, number: int) -> None:
        self._seen.update(self._keys[:number])
        # Up to the first row that is still to be delivered.
        self._rows = self._rows_before + self._reach[number]
        self._new = self._new_before + number
        super()._settle(number)

    def complete(self) -> None:
        """Go on to the next page, to the top again, or end."""
        if self._rows:
            self._back = OVERLAP
        if not self._paged and (self._asked == 1 or 0 < self._rows < (self._asked_rows or 0)):
            # What follows a page that broke off may have moved down, out of the rest that was asked for.
            self._ended = True
        elif not self._rows:
            # The end, or so many rows have vanished that the rest has moved up past this place.
            if not self.fall_back():
                self._turn()
        elif not self._new and self._rows <= OVERLAP:
            self._turn()
        elif self._at_top_again and not self._new:
            self._ended = True

    def _turn(self) -> None:
        if not self._everything or self._at_top_again:
            self._ended = True
            return
        self._at_top_again = True
        self._page_start = self._base
        self._rows = 0

    def fall_back(self) -> bool:
        """Step back, further each time."""
        if self._page_start <= self._base or self._starts_ignored >= STARTS_IGNORED:
            return False
        if self._starts_ignored:
            # Perhaps just so many jobs are new that the first one stands here now: the whole page tells.
            self._back = self._page_start
        self._page_start = max(self._base, self._page_start - self._back)
        self._back *= 2
        self._rows = 0
        return True
