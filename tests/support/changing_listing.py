"""Listings that change at random between requests, and what a cursor has to deliver of them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from scrapinghub.transport.streams.cursor import Cursor, Mismatch, Pairs
from scrapinghub.transport.streams.cursors_without_keys import DedupeCursor, NewestFirstCursor
from scrapinghub.transport.streams.job_pages import JobPages
from support.cursor_driver import deliver

MOST_CHANGES = 3000


class Listing:
    """Rows with a number, the newest first; between two requests rows appear, vanish and return.

    Args:
        random: Chooses what happens.
        size: Number of rows at first.
        cap: Maximum number of rows in a response.
        row: Makes the row of a number.

    Attributes:
        always: Numbers of the rows that have been there since the beginning.
        ever: Numbers of all rows that were there at some time.
    """

    def __init__(self, random: Random, size: int, cap: int, row: Callable[[int], dict[str, Any]]) -> None:
        self._random = random
        self._cap = cap
        self._row = row
        self._born = size
        # Numbers by rank: a row that returns with a new time has a new rank.
        self._rows = list(range(size, 0, -1))
        self._gone: list[int] = []
        self.always = set(self._rows)
        self.ever = set(self._rows)

    def change(self, most: int = MOST_CHANGES) -> None:
        """Let up to so many rows appear at the top, vanish anywhere, or return to the top."""
        random = self._random
        for kind in random.sample(('appear', 'vanish', 'return', 'nothing'), random.randint(1, 3)):
            number = random.choice((0, 1, 10, random.randint(0, 50), random.randint(0, most)))
            if kind == 'appear':
                self._rows[:0] = range(self._born + number, self._born, -1)
                self._born += number
            elif kind == 'vanish':
                start = random.choice((0, random.randint(0, len(self._rows)), max(0, len(self._rows) - number)))
                gone = self._rows[start : start + number]
                self._gone += gone
                self.always.difference_update(gone)
                del self._rows[start : start + number]
            elif kind == 'return':
                self._rows[:0] = self._gone[:number]
                del self._gone[:number]
        self.ever.update(self._rows)

    def respond(self, params: Pairs) -> list[dict[str, Any]]:
        """Return the rows that the server answers with."""
        start, count = int(dict(params).get('start', 0)), int(dict(params).get('count', 10**9))
        return [self._row(number) for number in self._rows[start : start + min(count, self._cap)]]


def read(cursor: Cursor, listing: Listing, random: Random, *, changes: int, broken: float) -> list[Any]:
    """Return what a stream delivers of a listing that changes before each of the next requests.

    Args:
        cursor: The cursor.
        listing: The listing.
        random: Chooses the sizes of blocks, and where responses break off.
        changes: How many requests see a changed listing.
        broken: How likely a response breaks off.

    Raises:
        Mismatch: The stream raises an error.
    """
    got: list[Any] = []
    for number in range(3000):
        params = cursor.next_request()
        if params is None:
            return got
        if number and number <= changes:
            listing.change()
        rows = listing.respond(params)
        whole = random.random() >= broken
        rows = rows if whole else rows[: random.randint(0, len(rows))]
        try:
            while rows:
                size = random.choice((1, 7, 50, 1000))
                got += deliver(cursor, rows[:size])
                rows = rows[size:]
            if whole:
                cursor.complete()
        except Mismatch:
            if not cursor.fall_back():
                raise
    raise AssertionError('the stream has no end')


def check_all_jobs(random: Random) -> bool:
    """Read all jobs of a listing; return whether the stream reached the end."""
    return _check_jobs(random, None)


def check_many_jobs(random: Random) -> bool:
    """Read a number of jobs that takes several pages."""
    return _check_jobs(random, random.randint(1001, 8000))


def check_some_jobs(random: Random) -> bool:
    """Read at most one page of jobs."""
    return _check_jobs(random, random.randint(1, 1000))


def _check_jobs(random: Random, count: int | None) -> bool:
    listing = Listing(
        random,
        random.choice((0, 5, 999, 1000, 1001, random.randint(0, 7000))),
        random.choice((1000, 1000, random.randint(11, 1000))),
        lambda number: {'key': f'1/{number % 7}/{number}'},
    )
    start = random.choice((None, None, random.randint(0, 50)))
    cursor = JobPages([], count, start=None if count is None else start, everything=count is None)
    got: list[Any] = []
    try:
        got = read(cursor, listing, random, changes=random.randint(0, 30), broken=random.choice((0, 0.2)))
    except Mismatch:
        return False
    numbers = [int(row['key'].rpartition('/')[2]) for row in got]
    assert len(numbers) == len(set(numbers))
    assert listing.ever.issuperset(numbers)
    if count is None:
        assert listing.always.issubset(numbers)
    else:
        assert len(numbers) <= count
        if count > 1000 and len(numbers) < count and not start:
            assert listing.always.issubset(numbers)
    return True


def check_last_jobs(random: Random) -> bool:
    """Read the last job of each spider; the listing has one row for each."""
    listing = Listing(random, random.randint(0, 300), 10**9, lambda number: {'key': f'1/{number}/{random.random()}'})
    cursor = DedupeCursor([], field='key', identity=lambda key: key.rpartition('/')[0])
    got = read(cursor, listing, random, changes=10, broken=0.5)
    numbers = [int(row['key'].split('/')[1]) for row in got]
    assert len(numbers) == len(set(numbers))
    assert listing.always.issubset(numbers)
    return True


def check_activity(random: Random) -> bool:
    """Read events, of which only new ones appear, at the top, or old ones vanish at the end."""
    size = random.randint(0, 300)
    events = [{'event': random.choice('ab'), 'n': number // random.choice((1, 1, 2))} for number in range(size)]
    born = size
    cursor = NewestFirstCursor([], None)
    got: list[Any] = []
    before = list(reversed(events))
    for _ in range(200):
        params = cursor.next_request()
        if params is None:
            break
        rows = list(reversed(events))
        if not cursor.delivered:
            before = rows
        cut = random.choice((None, random.randint(0, len(rows))))
        try:
            blocks = rows[:cut]
            while blocks:
                size = random.choice((1, 7, 50))
                got += deliver(cursor, [dict(row) for row in blocks[:size]])
                blocks = blocks[size:]
            if cut is None:
                cursor.complete()
        except Mismatch:
            return False
        for _ in range(random.choice((0, 1, random.randint(0, 500)))):
            events.append({'event': random.choice('ab'), 'n': born})
            born += 1
        del events[: random.choice((0, 0, 0, 1))]
    # The events that were there when the first one was delivered, or fewer if old ones vanished.
    assert got == before[: len(got)]
    return True


CHECKS: dict[str, Callable[[Random], bool]] = {
    'all jobs': check_all_jobs,
    'many jobs': check_many_jobs,
    'some jobs': check_some_jobs,
    'last jobs': check_last_jobs,
    'activity': check_activity,
}
"""Checks of random listings; each returns whether the stream ended without an error."""
