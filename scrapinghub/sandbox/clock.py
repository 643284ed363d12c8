"""The service's time, which a test may set."""

from __future__ import annotations

import threading
from collections.abc import Callable

#: The last moment that timestamps may name: the end of the year 9999.
LAST = 253_402_300_799_999


class Clock:
    """A clock that runs with another one until it is moved or stopped. Safe to share between threads.

    Args:
        source: Milliseconds since the epoch.

    Example:
        >>> cloud.clock.advance(31 * 24 * 3600 * 1000)    # records of cached collections have expired
        >>> cloud.clock.freeze(1_600_000_000_000)
        >>> cloud.clock()
        1600000000000
    """

    def __init__(self, source: Callable[[], int]) -> None:
        self._source = source
        self._guard = threading.Lock()
        self._offset = 0
        self._frozen: int | None = None

    def __call__(self) -> int:
        """Return the time in milliseconds since the epoch."""
        with self._guard:
            return self._now()

    @property
    def frozen(self) -> bool:
        """Whether the clock stands still."""
        return self._frozen is not None

    def advance(self, milliseconds: int) -> None:
        """Move on by some milliseconds; a frozen clock stays frozen.

        Raises:
            ValueError: The time would not be one that timestamps can name.
        """
        with self._guard:
            self._move(self._now() + milliseconds)

    def set(self, now: int) -> None:
        """Set the time, in milliseconds since the epoch; a frozen clock stays frozen.

        Raises:
            ValueError: It is not a time that timestamps can name.
        """
        with self._guard:
            self._move(now)

    def freeze(self, now: int | None = None) -> None:
        """Stop the clock, at this time or where it is."""
        with self._guard:
            if now is not None:
                self._move(now)
            self._frozen = self._now()

    def thaw(self) -> None:
        """Let the clock run on from where it stands."""
        with self._guard:
            if self._frozen is not None:
                self._offset = self._frozen - self._source()
                self._frozen = None

    def reset(self) -> None:
        """Run with the source again."""
        with self._guard:
            self._offset, self._frozen = 0, None

    def _now(self) -> int:
        return self._source() + self._offset if self._frozen is None else self._frozen

    def _move(self, now: int) -> None:
        if not 0 <= now <= LAST:
            raise ValueError(f'a time must be milliseconds since the epoch, from 0 to {LAST}, not {now!r}')
        if self._frozen is None:
            self._offset = now - self._source()
        else:
            self._frozen = now
