"""What happens to queued records when a process forks, or when the interpreter exits."""

from __future__ import annotations

import atexit
import codecs
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

from scrapinghub.transport.uploads.deadlines import deadline_after

if TYPE_CHECKING:
    from scrapinghub.transport.uploads.queue import WriteQueue

logger = logging.getLogger(__name__)

EXIT_SECONDS = 30.0
RECENT_SECONDS = 5.0
# Python 3.13 crashes when a timedelta is made after its module was removed.
_USED_LATE = ('_datetime', 'encodings', 'http', 'inspect', 'requests', 'scrapinghub', 'ssl', 'urllib3')


class Pool(Protocol):
    """A worker pool, as the end of a process sees it."""

    lock: threading.RLock

    @property
    def queues(self) -> Iterable[WriteQueue]:
        """The queues of its writers."""

    def prepare_exit(self) -> None:
        """Start no thread any more, and end those that have nothing to do."""
        ...

    def finish(self, seconds: float) -> None:
        """Send what is queued for so many seconds."""
        ...

    def losses(self) -> list[str]:
        """Return a line for each URL whose records are not stored."""
        ...

    def reset(self) -> None:
        """Start again in a forked child."""
        ...


class _Exit:
    """The exit of the interpreter.

    Attributes:
        deadline: When to stop, on a monotonic clock.
        modules: The modules that send a request.
    """

    def __init__(self) -> None:
        self.deadline = 0.0
        self.modules: dict[str, ModuleType] = {}


_exit = _Exit()
pools: weakref.WeakSet[Pool] = weakref.WeakSet()
# Until when blocks that an exception ended have waited, and how much was written then.
_limits: weakref.WeakKeyDictionary[Pool, tuple[float, list[tuple[int, int]]]] = weakref.WeakKeyDictionary()
# They live until their records are stored, even if the program drops them.
pools_with_records: set[Pool] = set()
_locked_for_fork: list[threading.RLock] = []
_registered: set[int] = set()


def _finish_all() -> None:
    """Send what is queued anywhere before the interpreter exits, and report what is lost."""
    _exit.deadline = _deadline(time.monotonic())
    # Destructors may run when nothing can be imported any more.
    codecs.lookup('idna')
    # requests checks protocols, for which typing imports this module since Python 3.12.
    import_module('inspect')
    _exit.modules = {name: sys.modules[name] for name in list(sys.modules) if name.partition('.')[0] in _USED_LATE}
    # Exit functions that were registered earlier run later, and so do destructors: they may write, or close.
    errors = [_run(pool.prepare_exit) for pool in list(pools)]
    waiting = list(pools_with_records)
    errors += [_finish(pool, parts=len(waiting) - position) for position, pool in enumerate(waiting)]
    for error in filter(None, errors):
        raise error


def _run(action: Callable[[], object]) -> BaseException | None:
    """Run a part of the exit, and return what a signal handler raised: every pool has to report its losses first."""
    try:
        action()
    except KeyboardInterrupt:
        _exit.deadline = 0.0
        logger.warning('interrupted while the last records were sent')
    except BaseException as error:  # noqa: BLE001 - raised at the end
        _exit.deadline = 0.0
        return error
    return None


def _deadline(now: float) -> float:
    """Return until when to send. After an exception, blocks that it left may have used up the time already."""
    limit = deadline_after(getattr(sys, 'last_value', None), now, any_error=True)
    # In an interactive session the last exception may be an old one.
    if limit is None or limit < now - RECENT_SECONDS:
        return now + EXIT_SECONDS
    return min(limit, now + EXIT_SECONDS)


def finish_late(pool: Pool) -> None:
    """Send what was written after that, and report what is lost."""
    # urllib3 imports modules of its own while it sends, and the interpreter removes all modules before destructors run.
    missing = [name for name in _exit.modules if sys.modules.get(name) is None]
    sys.modules.update((name, _exit.modules[name]) for name in missing)
    error = _finish(pool)
    if error is not None:
        raise error


def limit_exit(pool: Pool, seconds: float) -> None:
    """Give the records that a pool has now no more than this time: a block that an exception ended waits for them.

    Args:
        pool: The pool.
        seconds: How long the block waits.
    """
    _limits[pool] = time.monotonic() + seconds, _written(pool)


def _written(pool: Pool) -> list[tuple[int, int]]:
    return [(id(queue), queue.next_number) for queue in list(pool.queues)]


def _finish(pool: Pool, parts: int = 1) -> BaseException | None:
    deadline = _exit.deadline
    limit, written = _limits.get(pool, (deadline, []))
    if written == _written(pool):
        deadline = min(deadline, limit)
    error = _run(partial(pool.finish, max(0.0, deadline - time.monotonic()) / parts))
    report(pool.losses())
    pools_with_records.discard(pool)
    return error


def report(lines: list[str]) -> None:
    """Write lines to the standard error output."""
    if sys.stderr is not None and lines:
        sys.stderr.write(''.join(f'scrapinghub: {line}\n' for line in lines))
        sys.stderr.flush()


def register_in_child() -> None:
    """Register the exit of a process created by ``multiprocessing``, which ends without the usual exit functions."""
    process = sys.modules.get('multiprocessing.process')
    if process is None or os.getpid() in _registered or process.parent_process() is None:
        return
    _registered.add(os.getpid())
    from multiprocessing import util

    util.Finalize(None, _finish_all, exitpriority=0)


def _before_fork() -> None:
    # No queue is copied in the middle of a change.
    for pool in list(pools):
        lock = pool.lock
        try:
            lock.acquire()
        finally:
            # Also if a signal handler raises: the lock may be held then.
            _locked_for_fork.append(lock)


def _after_fork_in_parent() -> None:
    while _locked_for_fork:
        with suppress(RuntimeError):  # it was not acquired
            _locked_for_fork.pop().release()


def _after_fork_in_child() -> None:
    _locked_for_fork.clear()
    pools_with_records.clear()
    for pool in list(pools):
        pool.reset()


atexit.register(_finish_all)
if hasattr(os, 'register_at_fork'):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
