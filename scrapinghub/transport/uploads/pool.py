"""Sends what the write queues of a client hold.

A free worker takes the queue that is due first, or waits until one is due; pauses after failures are dates in a queue,
never a thread that sleeps. There is a free worker as long as a queue holds records, so that a request that hangs, a
callback or a log handler delays no other queue; a worker with nothing to do ends after a few seconds. A program with
one writer has one thread. At most half of the workers send to one host.

References: client -> uploader -> pool <- writer, and threads refer to the pool only. When the client is dropped, the
pool sends what it holds and ends its threads. Where no thread can be started (at the exit of the interpreter), the
thread that waits for its records sends them itself.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.retries import Repeat, RetrySettings
from scrapinghub.transport.uploads import process_exit
from scrapinghub.transport.uploads.deferred_logs import LogBuffer, fill_level_caches, install
from scrapinghub.transport.uploads.failures import describe_losses
from scrapinghub.transport.uploads.schedule import next_queue
from scrapinghub.transport.uploads.sending import call_back, send
from scrapinghub.transport.uploads.workers import (
    IDLE_SECONDS,
    MAX_WORKERS,
    TICK,
    Wakeup,
    Worker,
    Workers,
    join,
    thread_state,
    wait_without_lock,
)

if TYPE_CHECKING:
    from scrapinghub.transport.http.transport import Transport
    from scrapinghub.transport.uploads.batch import Batch
    from scrapinghub.transport.uploads.queue import WriteQueue
    from scrapinghub.transport.uploads.spool import JournaledWriter, Spool

logger = logging.getLogger(__name__)

# The clock of the machine accepts no pause without limit.
LONGEST_PAUSE = 3600.0
PER_HOST = MAX_WORKERS // 2


class WorkerPool:
    """Sends what the write queues of a client hold.

    Args:
        transport: Sends requests; its clock measures.
        spool: The journal, or None.
        max_outage: Seconds for which a batch is sent again after failures; None for 30 hours.

    Attributes:
        clock: The clock of the transport.
        lock: Guards the pool and its queues.
        queues: The queues that hold records.
        spool: The journal, or None.
        exiting: Whether the interpreter exits: no thread can be started, and only what was flushed is sent.
        stopped: Whether no further batch is sent.
    """

    def __init__(self, transport: Transport, *, spool: Spool | None, max_outage: float | None) -> None:
        self.lock = threading.RLock()
        self.queues: dict[WriteQueue, None] = {}
        self.spool = spool
        self.exiting = False
        self.stopped = False
        self._abandoned = False
        self._flush_requested = False
        self._deadline: float | None = None
        self._transport = transport
        self.clock = transport.clock
        self._policy = partial(RetrySettings.for_upload, max_outage)
        self._known: weakref.WeakSet[WriteQueue] = weakref.WeakSet()
        self._workers = Workers(self.lock, self._step, self._on_end)
        self._logs = LogBuffer()
        install()
        process_exit.pools.add(self)

    @property
    def in_sender(self) -> bool:
        """Whether the current thread sends, or runs a callback or log handlers for the pool."""
        return thread_state.pool is self

    @property
    def can_wait(self) -> bool:
        """Whether the current thread can wait for room in a queue."""
        # A signal handler that interrupted such a wait does not wait, too: the next one would interrupt it again.
        return thread_state.pool is not self and not thread_state.waiting

    def check_can_flush(self) -> None:
        """Raise ``RuntimeError`` if the current thread is one that sends: it cannot wait for itself."""
        if self.in_sender:
            raise RuntimeError('flush() and close() wait for the thread that sends: it cannot call them itself')

    # Queues

    def register(self, queue: WriteQueue, *, shared: bool, journaled: JournaledWriter | None = None) -> None:
        """Add the queue of a new writer; the arguments are those of :meth:`Spool.register`."""
        with self.lock:
            self._known.add(queue)
            if self.spool is not None:
                self.spool.register(queue, shared=shared, journaled=journaled)
            if journaled is not None and queue.sendable:
                self.announce(queue)

    def announce(self, queue: WriteQueue) -> None:
        """Make sure that a worker sends the records of a queue when they are due; called with the lock held."""
        if queue not in self.queues:
            queue.interval_start = None
            self.queues[queue] = None
            process_exit.pools_with_records.add(self)
        if not queue.in_flight:
            self._workers.provide()
        queue.watched = self.spool is None and not queue.closed and not queue.failed

    def flush(self, queue: WriteQueue) -> None:
        """Make everything that a queue holds due now; called with the lock held."""
        if queue.returned:
            queue.restore()
        if self.exiting and self.stopped:
            # logging.shutdown flushes handlers after the exit: what is left are lines about its own requests.
            return
        queue.flush_to = queue.next_number
        if queue.sendable:
            self.announce(queue)

    # Waiting

    def wait_until(
        self, queue: WriteQueue, done: Callable[[], bool], timeout: float | None = None, *, after_stop: bool = False
    ) -> bool:
        """Wait until ``done`` returns True.

        Args:
            queue: The queue whose changes matter.
            done: Called with the lock held after each change.
            timeout: Seconds to wait; None for no limit.
            after_stop: Whether to wait after :meth:`stop`, too.

        Returns:
            False if the time is up, or if nothing is sent any more.
        """
        deadline = None if timeout is None else self.clock.monotonic() + timeout
        wakeup: Wakeup | None = None
        while True:
            with self.lock:
                while True:
                    if queue.returned:
                        queue.restore()
                    if done():
                        return True
                    left = TICK if deadline is None else deadline - self.clock.monotonic()
                    if left <= 0 or (self.stopped and not after_stop):
                        return False
                    if not queue.in_flight and not self._workers.provide():
                        break
                    wakeup = wakeup or Wakeup()
                    if wakeup.set not in queue.waiters:
                        queue.waiters.append(wakeup.set)
                    wait_without_lock(self.lock, wakeup, min(left, TICK))
            self.send_one()

    def wait_until_flushed(self, queues: list[WriteQueue], timeout: float | None) -> bool:
        """Wait until the records that queues were asked to flush are stored or refused.

        Returns:
            False if the time is up before.
        """
        fill_level_caches()
        deadline = None if timeout is None else self.clock.monotonic() + timeout
        with self.lock:
            targets = [(queue, queue.flush_to, queue.generation) for queue in queues]
        for queue, number, generation in targets:
            left = None if deadline is None else max(0.0, deadline - self.clock.monotonic())
            if not self.wait_until(queue, lambda: queue.is_flushed(number, generation), left):  # noqa: B023
                return False
        return True

    def send_one(self) -> None:
        """Send the batch that is due first in the current thread, or wait a second for one."""
        worker, waiting = Worker(), thread_state.waiting
        try:
            with self.lock:
                batch, pause = self._next_batch(worker)
                if batch is None:
                    for queue in list(self.queues):
                        queue.waiters.append(worker.wakeup.set)
            if batch is None:
                thread_state.waiting = True
                self.clock.wait(min(pause, TICK), worker.wakeup)
            else:
                self._send(worker, batch)
        finally:
            thread_state.waiting = waiting
            worker.release_batch()

    # Workers

    def _step(self, worker: Worker) -> bool:
        """Send one batch, or wait; return False when the worker is not needed any more."""
        thread_state.pool = self
        with self.lock:
            worker.waiting = worker.busy = False
            worker.wakeup.clear()
            if self.stopped or worker not in self._workers:
                return False
            batch, pause = self._next_batch(worker)
            if batch is None:
                pause = min(pause, self._idle_seconds_left(worker))
                if pause <= 0:
                    self._workers.remove(worker)
                    return False
                worker.waiting = True
        if batch is None:
            self.clock.wait(pause, worker.wakeup)
        else:
            self._send(worker, batch)
        return True

    def _idle_seconds_left(self, worker: Worker) -> float:
        """Return how long a worker stays that has nothing to send."""
        if self._has_records() and not self._workers.is_spare(worker):
            worker.idle_since = None
            return LONGEST_PAUSE
        now = self.clock.monotonic()
        if worker.idle_since is None:
            worker.idle_since = now
        return 0.0 if self._abandoned or self.exiting else worker.idle_since + IDLE_SECONDS - now

    def _has_records(self) -> bool:
        return any(queue.sendable and not queue.in_flight for queue in list(self.queues))

    def _on_end(self) -> None:
        if self.exiting or self.stopped:
            return
        if self._has_records():
            # The worker did not end by itself: a callback raised SystemExit, for instance.
            self._workers.provide()
        elif self._abandoned:
            self._close_spool()

    # Batches

    def _next_batch(self, worker: Worker) -> tuple[Batch | None, float]:
        """Return the batch that is due; or None, and the seconds until the next one is."""
        if self._flush_requested:
            self._flush_requested = False
            for each in list(self.queues):
                each.flush_to = each.next_number
        now = self.clock.monotonic()
        queue, due = next_queue(self.queues, now, per_host=PER_HOST, flushed_only=self.exiting)
        if queue is None or due > now:
            return None, min(due - now, LONGEST_PAUSE)
        worker.busy = True
        worker.idle_since = None
        worker.queue = queue
        make_attempts = partial(self._transport.attempts, Call('POST', queue.url, repeat=Repeat.ALWAYS), self._policy)
        batch = queue.begin(worker, make_attempts, flushed_only=self.exiting)
        if not self.exiting and self._has_records():
            self._workers.provide()
        return batch, 0.0

    def _send(self, worker: Worker, batch: Batch) -> None:
        """Send a batch and record the result; then run the callback and the log handlers."""
        queue = worker.queue
        assert queue is not None
        before = thread_state.pool
        try:
            thread_state.pool = self
            self._logs.hold()
            try:
                record_result = send(
                    queue, batch, self._transport, self._timeout(), in_worker=worker.thread is not None
                )
                with self.lock:
                    record_result(self.clock.monotonic())
                    worker.reporting = True
                    journal_error = self._after_request(queue)
                if journal_error is not None:
                    logger.warning('the spool cannot be written, and may send stored records again: %s', journal_error)
                call_back(queue, self.lock)
            finally:
                self._logs.resume()
            self._logs.emit()
        finally:
            thread_state.pool = before
            worker.reporting = worker.busy = False
            worker.release_batch()

    def _timeout(self) -> float | None:
        """Return the time-out of a request; at the exit one URL must not take all the time."""
        if self._deadline is None:
            return None
        left = self._deadline - self.clock.monotonic()
        return min(self._transport.timeout or process_exit.EXIT_SECONDS, max(0.5, left / 3))

    def _after_request(self, queue: WriteQueue) -> Exception | None:
        """Do what follows a result; return why the journal could not be written, or None."""
        failure: Exception | None = None
        if not queue.undelivered:
            self.queues.pop(queue, None)
            if not self.queues:
                process_exit.pools_with_records.discard(self)
        if self.spool is not None and self.spool.usable:
            try:
                self.spool.synchronize(queue)
            except OSError as error:
                failure = error
        if (queue.answers or self._logs or failure) and not self.exiting and self._has_records():
            # This worker runs code of the user now, which may take long.
            self._workers.provide()
        queue.notify()
        return failure

    # The end

    def abandon(self) -> None:
        """Send everything and end the threads, because the uploader was dropped.

        Takes no lock: finalizers run at any point of any thread.
        """
        self._abandoned = self._flush_requested = True
        self._workers.wake()

    def stop(self, timeout: float | None) -> None:
        """Send no further batch, and wait for the threads.

        Args:
            timeout: Seconds to wait; None for no limit.
        """
        deadline = None if timeout is None else self.clock.monotonic() + timeout
        with self.lock:
            self.stopped = self._workers.stopped = True
            workers = self._workers.wake()
            for queue in list(self.queues):
                queue.notify()
        if not self.exiting:  # then threads make no progress any more
            for worker in workers:
                join(worker, None if deadline is None else max(0.0, deadline - self.clock.monotonic()))
        process_exit.pools_with_records.discard(self)
        self._close_spool()

    def _close_spool(self) -> None:
        if self.spool is not None:
            self.spool.remove_empty(list(self._known), self.lock)
            self.spool.close()

    def prepare_exit(self) -> None:
        """Start no thread any more, and end those that have nothing to do."""
        with self.lock:
            self.exiting = self._workers.stopped = True
            idle = self._workers.wake(free_only=True)
        for worker in idle:
            join(worker, TICK)

    def finish(self, seconds: float) -> None:
        """Send what is queued before the interpreter exits.

        Args:
            seconds: How long to try.
        """
        with self.lock:
            self.stopped = False
            self._deadline = self.clock.monotonic() + seconds
            # When destructors run, weak references to what they use are cleared.
            for queue in {**self.queues, **dict.fromkeys(self._known)}:
                self.flush(queue)
            queues = list(self.queues)
        try:
            while self.clock.monotonic() < self._deadline and any(queue.flush_pending for queue in queues):
                self.send_one()
        finally:
            self.stopped = True

    def losses(self) -> list[str]:
        """Return a line for each queue whose records are not stored."""
        with self.lock:
            queues = list({**self.queues, **dict.fromkeys(self._known)})
            return describe_losses(queues, None if self.spool is None else self.spool.path)

    def reset(self) -> None:
        """Start again in a forked child: locks, threads and records are the parent's."""
        self.lock = threading.RLock()
        self.queues = {}
        self._workers = Workers(self.lock, self._step, self._on_end)
        self._logs = LogBuffer()
        for queue in self._known:
            queue.reset()
        if self.spool is not None:
            self.spool.leave_to_parent()
