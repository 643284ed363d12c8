"""Clocks for tests: waiting costs nothing, and time goes where the test wants it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class ManualClock:
    """A clock that stands still except while somebody waits.

    Args:
        now: What both of its dials show at first, in seconds.

    Attributes:
        waits: The pauses that were asked for, in seconds.
        on_wait: Called with every pause, before time goes on.
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now
        self.wall_offset = 0.0
        self.waits: list[float] = []
        self.on_wait: Callable[[float], None] | None = None

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now + self.wall_offset

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, seconds: float, wake: threading.Event | None = None) -> bool:
        self.waits.append(seconds)
        if self.on_wait is not None:
            self.on_wait(seconds)
        if wake is not None and wake.is_set():
            return True
        self.now += seconds
        return False


class TickingClock(ManualClock):
    """A clock that goes on by a fixed step each time it is looked at: it bounds loops that only look at the clock.

    Args:
        step: Seconds for each look.
    """

    def __init__(self, step: float) -> None:
        super().__init__()
        self.step = step

    def monotonic(self) -> float:
        self.now += self.step
        return self.now


class FastClock:
    """A clock that runs many times faster than the machine's: pauses between threads stay pauses, and cost little.

    Args:
        factor: How many of its seconds pass in one real second.
    """

    def __init__(self, factor: float = 1000.0) -> None:
        self._factor = factor

    def monotonic(self) -> float:
        return time.monotonic() * self._factor

    def time(self) -> float:
        return time.time()

    def wait(self, seconds: float, wake: threading.Event | None = None) -> bool:
        return (wake or threading.Event()).wait(seconds / self._factor)
