"""How long to wait for records while an exception ends the program: a limit for all nested blocks together."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from scrapinghub.transport.http.waits import Clock

AFTER_ERROR = 30.0
AFTER_INTERRUPT = 10.0
# An exception keeps its deadline, so that all blocks that it leaves share it.
_ATTRIBUTE = '_uploads_deadline'


def seconds_while_handling(clock: Clock, *, any_error: bool) -> float | None:
    """Return how long to wait while the current exception is handled; None for no limit.

    Args:
        clock: Measures.
        any_error: Whether each exception limits the wait; otherwise only Ctrl-C does.
    """
    now = clock.monotonic()
    deadline = deadline_after(sys.exc_info()[1], now, any_error=any_error)
    return None if deadline is None else max(0.0, deadline - now)


def deadline_after(error: BaseException | None, now: float, *, any_error: bool = False) -> float | None:
    """Return until when to wait after an exception; None for no limit.

    A Ctrl-C during the wait ends it, and leaves no time to the outer blocks.
    """
    chain = list(_chain(error))
    interrupts = sum(isinstance(each, KeyboardInterrupt) for each in chain)
    if error is None or not (interrupts or any_error):
        return None
    known = next((vars(each)[_ATTRIBUTE] for each in chain if _ATTRIBUTE in vars(each)), None)
    if known is None:
        deadline = now + (AFTER_INTERRUPT if interrupts else AFTER_ERROR)
    else:
        deadline = min(now, known[0]) if interrupts > known[1] else known[0]
    vars(error)[_ATTRIBUTE] = deadline, interrupts
    return deadline


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Return an exception and those that were being handled when it was raised."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__context__
