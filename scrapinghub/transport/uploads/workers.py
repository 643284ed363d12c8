"""The threads of a worker pool: when they start, how they wait, and when they end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from operator import methodcaller
from typing import TYPE_CHECKING

from scrapinghub.transport.uploads import process_exit

if TYPE_CHECKING:
    from scrapinghub.transport.uploads.queue import WriteQueue

# A thread of the user that waits looks at the clock at least this often.
TICK = 1.0
# How long a worker with nothing to do stays.
IDLE_SECONDS = 5.0
MAX_WORKERS = 16

_release_all = methodcaller('_release_save')


class Wakeup(threading.Event):
    """An event that a signal handler may set: releasing a lock is reentrant, ``Event.set`` is not.

    Calls of :meth:`set` end one wait. ``SimpleQueue`` is reentrant, too, but before Python 3.13 its ``get`` blocks for
    ever if a signal handler runs for longer than the timeout.
    """

    def __init__(self) -> None:
        # Released by set(), acquired by wait().
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """End one wait, the present one or the next."""
        with suppress(RuntimeError):  # it is set already
            self._lock.release()

    def clear(self) -> None:
        """Forget that :meth:`set` was called."""
        self._lock.acquire(blocking=False)

    def is_set(self) -> bool:
        """Return whether the next wait ends immediately."""
        return not self._lock.locked()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait; return False if :meth:`set` was not called within ``timeout`` seconds."""
        return self._lock.acquire(timeout=-1 if timeout is None else max(0.0, timeout))


class ThreadState(threading.local):
    """The state of one thread.

    Attributes:
        pool: The pool that the thread sends batches of, or runs callbacks and log handlers for; None for none.
        waiting: Whether the thread waits for a queue.
    """

    pool: object = None
    waiting: bool = False


thread_state = ThreadState()


def wait_without_lock(lock: threading.RLock, wakeup: Wakeup, seconds: float) -> None:
    """Release a lock, wait, and acquire the lock again.

    Like ``threading.Condition.wait``, it releases the lock for an interrupted caller that holds it, too: the current
    function may have been called by a signal handler. Unlike that method, it always acquires the lock again: there is
    no call between the release and the list that remembers how often the lock was acquired.

    Args:
        lock: A lock that the current thread holds.
        wakeup: Ends the wait.
        seconds: Longest time to wait.
    """
    state: list[object] = []
    waiting = thread_state.waiting
    try:
        thread_state.waiting = True
        state += map(_release_all, (lock,))
        wakeup.wait(seconds)
    finally:
        thread_state.waiting = waiting
        if state:
            lock._acquire_restore(state[0])  # type: ignore[attr-defined]  # noqa: SLF001


class Worker:
    """A thread that sends batches.

    Attributes:
        wakeup: Ends its pause.
        waiting: Whether it pauses.
        busy: Whether it sends a batch, or runs a callback or log handlers.
        reporting: Whether it runs a callback or log handlers.
        queue: The queue that it sent a batch of last.
        idle_since: Since when it has nothing to do; None if it has.
        thread: The thread; None for a thread of the user that sends a batch itself.
    """

    def __init__(self) -> None:
        self.wakeup = Wakeup()
        self.waiting = False
        self.busy = False
        self.reporting = False
        self.queue: WriteQueue | None = None
        self.idle_since: float | None = None
        self.thread: threading.Thread | None = None

    def release_batch(self) -> None:
        """Have the current batch sent again, unless it was completed."""
        queue = self.queue
        if queue is not None and queue.sender is self:
            queue.sender = None
            queue.in_flight = 0


class Workers:
    """The threads of a pool. All methods but :meth:`join` are called with the lock of the pool held.

    Args:
        lock: The lock of the pool.
        step: Sends a batch, or waits; returns False when the worker is not needed any more.
        on_end: Called when the last worker has ended.

    Attributes:
        stopped: Whether no thread is started any more.
    """

    def __init__(self, lock: threading.RLock, step: Callable[[Worker], bool], on_end: Callable[[], None]) -> None:
        self.stopped = False
        self._lock = lock
        self._step = step
        self._on_end = on_end
        self._members: list[Worker] = []
        self._starting: Worker | None = None
        self._in_start = False

    def __contains__(self, worker: Worker) -> bool:
        return worker in self._members

    def provide(self) -> bool:
        """Wake a worker that is free, or start one; return False if there is none."""
        for worker in self._members:
            if not worker.busy:
                if worker.waiting:
                    # In this order: Ctrl-C between the two must not leave a worker asleep that counts as awake.
                    worker.wakeup.set()
                    worker.waiting = False
                return True
        if self._in_start:
            # A signal handler interrupted the start. The thread cannot run before the handler has returned.
            return False
        return self._starting is not None or self._start()

    def _start(self) -> bool:
        if self.stopped or len(self._members) >= MAX_WORKERS:
            return False
        worker = Worker()
        worker.thread = threading.Thread(target=self._work, args=(worker,), name='scrapinghub-upload', daemon=True)
        self._starting = worker
        self._in_start = True
        try:
            worker.thread.start()
        except RuntimeError:
            # The interpreter exits, or the machine has no more threads.
            self._starting = None
            return False
        except BaseException:
            # It is not known whether the thread runs. If it does, it adds itself.
            self._starting = None
            raise
        finally:
            self._in_start = False
        process_exit.register_in_child()
        return True

    def _work(self, worker: Worker) -> None:
        with self._lock:
            self._members.append(worker)
            if self._starting is worker:
                self._starting = None
        try:
            while self._step(worker):
                pass
        finally:
            with self._lock:
                self.remove(worker)
                if not self._members and self._starting is None:
                    self._on_end()

    def remove(self, worker: Worker) -> None:
        """Forget a worker: it ends now."""
        if worker in self._members:
            self._members.remove(worker)

    def is_spare(self, worker: Worker) -> bool:
        """Return whether another worker is free, too."""
        return any(other is not worker and not other.busy for other in self._members)

    def wake(self, *, free_only: bool = False) -> list[Worker]:
        """Wake all workers, or those that are free, and return them. May be called without the lock."""
        workers = [worker for worker in list(self._members) if not (free_only and worker.busy)]
        for worker in workers:
            worker.wakeup.set()
        return workers


def join(worker: Worker, timeout: float | None, *, tick: float = TICK) -> bool:
    """Wait until the thread of a worker ends.

    Not for long if it runs a log handler: the current thread may hold the lock of the handler.

    Args:
        worker: The worker.
        timeout: Seconds to wait; None for no limit.
        tick: Seconds after which the state of the worker is looked at again.

    Returns:
        Whether the thread has ended.
    """
    thread = worker.thread
    if thread is None or thread is threading.current_thread():
        return False
    while thread.is_alive():
        thread.join(tick if timeout is None else min(tick, timeout))
        if worker.reporting or (timeout is not None and timeout <= tick):
            break
        timeout = None if timeout is None else timeout - tick
    return not thread.is_alive()
