"""What happens to records that are held when a process forks or the interpreter exits."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from typing import Protocol

EXIT_SECONDS = 30.0


class Held(Protocol):
    """An engine, as the end of a process sees it."""

    lock: threading.RLock

    def expect_exit(self) -> None:
        """Start no thread any more, and end those that have nothing to do."""
        ...

    def finish(self, seconds: float) -> list[str]:
        """Send what there is for so many seconds; return a line for each URL whose records were not stored."""
        ...

    def disown(self) -> None:
        """Start anew in a forked child."""
        ...


class _Exit:
    """The exit of the interpreter.

    Attributes:
        until: How long to wait, on a monotonic clock.
    """

    until = 0.0


_exit = _Exit()
engines: weakref.WeakSet[Held] = weakref.WeakSet()
# Those that hold records, so that they live until these are stored, whatever the program drops.
holding: set[Held] = set()
_locked_for_fork: list[threading.RLock] = []
_registered: set[int] = set()


def _finish_all() -> None:
    """Send what is held anywhere before the interpreter exits, and tell what is lost."""
    _exit.until = time.monotonic() + EXIT_SECONDS
    # Exit functions that were registered earlier run later, and so do destructors: they may write, or close.
    for engine in list(engines):
        engine.expect_exit()
    left = list(holding)
    for position, engine in enumerate(left):
        _finish(engine, parts=len(left) - position)


def finish_late(engine: Held) -> None:
    """Send what was written after all that, and tell what is lost."""
    _finish(engine)


def _finish(engine: Held, parts: int = 1) -> None:
    for line in engine.finish(max(0.0, _exit.until - time.monotonic()) / parts):
        _say(f'scrapinghub: {line}')
    holding.discard(engine)


def _say(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(text + '\n')
        sys.stderr.flush()


def register_in_child() -> None:
    """Register the exit of a process made by ``multiprocessing``, which ends without the usual exit functions."""
    process = sys.modules.get('multiprocessing.process')
    if process is None or os.getpid() in _registered or process.parent_process() is None:
        return
    _registered.add(os.getpid())
    from multiprocessing import util

    util.Finalize(None, _finish_all, exitpriority=0)


def _before_fork() -> None:
    # No lane is copied in the middle of a change.
    for engine in list(engines):
        engine.lock.acquire()
        _locked_for_fork.append(engine.lock)


def _after_fork_in_parent() -> None:
    while _locked_for_fork:
        _locked_for_fork.pop().release()


def _after_fork_in_child() -> None:
    _locked_for_fork.clear()
    holding.clear()
    for engine in list(engines):
        engine.disown()


atexit.register(_finish_all)
if hasattr(os, 'register_at_fork'):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
