"""A clock that tests can move and stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

#: The latest valid timestamp: the end of the year 9999.
LAST = 253_402_300_799_999


class Clock:
    """The service's time. Follows another clock until it is moved or stopped; safe to share between threads.

    Moving it forward runs every due minute of periodic jobs in between, once.

    Args:
        source: Returns the time in milliseconds since the epoch.

    Attributes:
        on_move: Called after the time was advanced or set.
        on_reset: Called after :meth:`reset`.

    Example:
        >>> cloud.clock.advance(days=31)    # records of cached collections have expired
        >>> cloud.clock.freeze(1_600_000_000_000)
        >>> cloud.clock()
        1600000000000
    """

    def __init__(self, source: Callable[[], int]) -> None:
        self._source = source
        self._guard = threading.Lock()
        self._offset = 0
        self._frozen: int | None = None
        self.on_move: Callable[[], object] = lambda: None
        self.on_reset: Callable[[], object] = lambda: None

    def __call__(self) -> int:
        """Return the time in milliseconds since the epoch."""
        with self._guard:
            return self._now()

    @property
    def frozen(self) -> bool:
        """Whether the clock is stopped."""
        return self._frozen is not None

    def advance(
        self, milliseconds: int = 0, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0
    ) -> None:
        """Advance the time by the sum of the arguments; a frozen clock stays frozen.

        Raises:
            ValueError: The new time is out of range.
        """
        try:
            duration = timedelta(days, seconds, milliseconds=milliseconds, minutes=minutes, hours=hours)
        except OverflowError as error:
            raise ValueError(f'the new time is out of range: {error}') from error
        with self._guard:
            self._move(self._now() + duration // timedelta(milliseconds=1))
        self.on_move()

    def set(self, now: int) -> None:
        """Set the time, in milliseconds since the epoch; a frozen clock stays frozen.

        Raises:
            ValueError: The time is out of range.
        """
        with self._guard:
            self._move(now)
        self.on_move()

    def freeze(self, now: int | None = None) -> None:
        """Stop the clock, at the given or at the present time."""
        with self._guard:
            self._frozen = self._now() if now is None else _valid(now)
        self.on_move()

    def thaw(self) -> None:
        """Start the clock again from its present time."""
        with self._guard:
            if self._frozen is not None:
                self._offset = self._frozen - self._source()
                self._frozen = None

    def reset(self) -> None:
        """Follow the source again. Periodic jobs are not run for the time in between."""
        with self._guard:
            self._offset, self._frozen = 0, None
        self.on_reset()

    def _now(self) -> int:
        return self._source() + self._offset if self._frozen is None else self._frozen

    def _move(self, now: int) -> None:
        if self._frozen is None:
            self._offset = _valid(now) - self._source()
        else:
            self._frozen = _valid(now)


def _valid(now: int) -> int:
    if not 0 <= now <= LAST:
        raise ValueError(f'a time must be milliseconds since the epoch, from 0 to {LAST}, not {now!r}')
    return now
