"""The threads that send what writers hold.

How the work is shared: an :class:`Engine` knows every lane (the state of a writer) that holds records, and when each is
due. In the healthy case one worker thread posts them one after another; the pauses of an outage are dates in the lane,
never a sleeping thread. So that a server that hangs delays no other writer, a second worker stands by while a post is
under way and *other* lanes hold records: it takes a due lane only when every busy worker has been in its post for more
than a second, or posts for a lane that is in an outage already; when the post ends first, it goes away. A worker with
nothing to do ends after a few seconds. A program with one writer therefore never has more than one thread, and a dead
URL costs one more.

Who holds whom: client -> uploader -> engine <- writer, and the threads hold the engine only. Dropping the last
reference to the client drops the uploader; the engine notices, sends what it has and ends its threads. Where no thread
can be started any more (at the exit of the interpreter), whoever waits for records to be stored sends them himself.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Iterable
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any

import requests

from scrapinghub.exceptions import ScrapinghubAPIError
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.retries import Repeat, RetrySettings
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.uploads import process_exit as lifetimes
from scrapinghub.transport.uploads.lane import Batch, Callback, Lane, WriterOptions

if TYPE_CHECKING:
    from scrapinghub.transport.uploads.spool import Journaled, Spool

logger = logging.getLogger(__name__)

# No thread waits longer without looking around.
TICK = 1.0
# How long the other workers may be busy before one more begins to send.
PATIENCE = 1.0
# How long a worker stays when nothing is held.
LINGER = 5.0
MAX_WORKERS = 16
# A lane in an outage never takes the last workers.
MAX_WORKERS_IN_OUTAGES = MAX_WORKERS // 2


class _Worker:
    """A thread that sends, or that helps to.

    Attributes:
        wake: Ends its waiting.
        since: When it began its post; None while it has none.
        lane: What it posts for.
        in_outage: Whether that post is for a lane in an outage.
        dismissed: Whether it is to end.
        thread: None for a thread that only helps.
    """

    def __init__(self) -> None:
        self.wake = threading.Event()
        self.since: float | None = None
        self.lane: Lane | None = None
        self.in_outage = False
        self.dismissed = False
        self.idle_since: float | None = None
        self.thread: threading.Thread | None = None


class Engine:
    """Send what lanes hold.

    Args:
        transport: The way to the wire; its clock measures.
        spool: The journal, or None.
        max_outage: Seconds that an outage may last; None for the default of 30 hours.

    Attributes:
        lock: Guards the engine and its lanes. Reentrant, because signal handlers and finalizers write, too.
        lanes: Those that hold records.
        hurried: Whether everything is due at once: the client is closed or gone, or the interpreter exits.
        stopped: Whether no further post begins.
        deadline: When the interpreter stops waiting; None before its exit.
        exiting: Whether the interpreter exits: a thread that was started now might never run.
    """

    def __init__(self, transport: Transport, *, spool: Spool | None, max_outage: float | None) -> None:
        self._transport = transport
        self._clock = transport.clock
        self._policy = partial(RetrySettings.for_upload, max_outage)
        self.spool = spool
        self.lock = threading.RLock()
        self.lanes: dict[Lane, None] = {}
        self.hurried = False
        self.abandoned = False
        self.stopped = False
        self.deadline: float | None = None
        self.exiting = False
        self._known: weakref.WeakSet[Lane] = weakref.WeakSet()
        self._workers: list[_Worker] = []
        self._senders: set[int] = set()
        lifetimes.engines.add(self)

    def make_lane(
        self,
        url: str,
        options: WriterOptions,
        *,
        start: int,
        auth: Any = None,
        callback: Callback | None = None,
        shared: bool,
        journaled: Journaled | None = None,
    ) -> Lane:
        """Make the state of a new writer."""
        with self.lock:
            lane = Lane(
                url,
                options,
                start=start,
                auth=auth,
                callback=callback,
                shared=shared,
                changed=threading.Condition(self.lock),
                spool=self.spool,
                journaled=journaled,
            )
            self._known.add(lane)
            if lane.sendable:
                self.notice(lane)
        return lane

    # What writers need

    @property
    def sending(self) -> bool:
        """Whether the present thread is one that sends."""
        return get_ident() in self._senders

    def notice(self, lane: Lane) -> None:
        """Take notice of a lane that has something to send; called with the lock held."""
        if self.exiting:
            # Whoever writes now sends, too.
            self.stopped = False
        if lane not in self.lanes:
            self.lanes[lane] = None
            lane.checkpoint = self._clock.monotonic()
            lifetimes.holding.add(self)
        lane.noticed = lane.ready
        idle = [worker for worker in self._workers if worker.since is None and not worker.dismissed]
        for worker in idle:
            worker.wake.set()
        # Who posts for this very lane looks at it again afterwards; a post of another lane may take its time.
        if not idle and not any(worker.lane is lane for worker in self._workers):
            self._start_worker()

    def wait(self, lane: Lane) -> bool:
        """Wait, for a tick at most, until something changes in a lane; called with the lock held.

        Returns:
            False, at once, if no other thread can send.
        """
        if not self._can_send():
            return False
        lane.changed.wait(TICK)
        return True

    def _can_send(self) -> bool:
        return bool(self._workers) or self.stopped or self._start_worker()

    def wait_until_settled(self, lanes: Iterable[Lane], timeout: float | None) -> bool:
        """Wait until the records that lanes were asked to flush are stored or refused.

        Args:
            lanes: Whose ``flush_to`` is set.
            timeout: Seconds; None for no limit.

        Returns:
            False if the time was over before.
        """
        if self.sending:
            raise RuntimeError('flush and close wait for the thread that sends: a callback cannot call them')
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        with self.lock:
            open_ones = [(lane, lane.flush_to, lane.taken) for lane in lanes]
        for lane, number, taken in open_ones:
            while True:
                with self.lock:
                    if not lane.sendable or lane.buffer.offset >= number or lane.taken != taken:
                        break
                    left = TICK if deadline is None else deadline - self._clock.monotonic()
                    if left <= 0 or self.stopped:
                        return False
                    if self._can_send():
                        lane.changed.wait(min(left, TICK))
                        continue
                self.assist()
        return True

    def assist(self) -> None:
        """Send what is due in the present thread, or wait a tick for it."""
        worker = _Worker()
        with self.lock:
            self._workers.append(worker)
        try:
            self._step(worker)
        finally:
            with self.lock:
                self._leave(worker)

    # Workers

    def _start_worker(self) -> bool:
        if self.exiting or self.stopped or len(self._workers) >= MAX_WORKERS:
            return False
        worker = _Worker()
        worker.thread = threading.Thread(target=self._work, args=(worker,), name='scrapinghub-upload', daemon=True)
        self._workers.append(worker)
        try:
            worker.thread.start()
        except RuntimeError:
            # The interpreter exits, or the machine has no more threads: whoever waits sends.
            self._workers.remove(worker)
            return False
        lifetimes.register_in_child()
        return True

    def _work(self, worker: _Worker) -> None:
        try:
            while self._step(worker):
                pass
        finally:
            with self.lock:
                self._leave(worker)

    def _leave(self, worker: _Worker) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
        if not self._workers and (self.abandoned or self.stopped) and not self._sendable():
            self._release_spool()

    def _step(self, worker: _Worker) -> bool:
        """Send one batch, or wait; return False when the worker is not needed any more."""
        batch: Batch | None = None
        with self.lock:
            worker.since = worker.lane = None
            worker.wake.clear()
            if worker.dismissed or self.stopped or worker not in self._workers:
                return False
            self._dismiss_others(worker)
            now = self._clock.monotonic()
            lane, due = self._next_lane(now)
            pause = min(due - now, TICK) if lane is not None else TICK
            if lane is not None and due <= now:
                pause = self._patience(worker, lane, now)
                if pause <= 0:
                    batch = self._begin(worker, lane, now)
            if pause > 0 and not self._sendable() and self._lingered(worker, now):
                return False
        if batch is None:
            self._clock.wait(pause, worker.wake)
        else:
            self._send(batch)
        return True

    def _dismiss_others(self, worker: _Worker) -> None:
        if worker.thread is not None:
            for other in self._workers:
                if other is not worker and other.since is None and other.thread is not None:
                    other.dismissed = True
                    other.wake.set()

    def _sendable(self) -> bool:
        return any(lane.sendable for lane in self.lanes)

    def _lingered(self, worker: _Worker, now: float) -> bool:
        if worker.idle_since is None:
            worker.idle_since = now
        return self.hurried or now - worker.idle_since >= LINGER

    def _next_lane(self, now: float) -> tuple[Lane | None, float]:
        """Return the lane that is due first, those in an outage after the others."""
        best: Lane | None = None
        best_rank = (True, float('inf'))
        blockers: dict[str, list[Lane]] = {}
        for lane in self.lanes:
            if lane.in_flight or lane.in_outage or lane.recovered:
                blockers.setdefault(lane.url, []).append(lane)
        for lane in self.lanes:
            due = lane.due(now, urgent=self.hurried)
            if due is None or any(other.blocks(lane) for other in blockers.get(lane.url, ())):
                continue
            rank = (lane.in_outage or due > now, due)
            if best is None or rank < best_rank:
                best, best_rank = lane, rank
        return best, best_rank[1]

    def _patience(self, worker: _Worker, lane: Lane, now: float) -> float:
        """Return how long to leave a due lane to the other workers."""
        busy = [(other.since, other.in_outage) for other in self._workers if other.since is not None]
        if lane.in_outage and sum(in_outage for _, in_outage in busy) >= MAX_WORKERS_IN_OUTAGES:
            return TICK
        return max((since + PATIENCE - now for since, in_outage in busy if not in_outage), default=0.0)

    def _begin(self, worker: _Worker, lane: Lane, now: float) -> Batch:
        worker.since, worker.lane, worker.in_outage, worker.idle_since = now, lane, lane.in_outage, None
        batch = lane.begin(lambda: self._transport.attempts(Call('POST', lane.url, repeat=Repeat.ALWAYS), self._policy))
        others = any(other is not lane and other.sendable for other in self.lanes)
        if others and not any(other.since is None and not other.dismissed for other in self._workers):
            self._start_worker()
        return batch

    # A batch

    def _send(self, batch: Batch) -> None:
        ident = get_ident()
        self._senders.add(ident)
        settled = False
        try:
            settled = self._try_once(batch)
        finally:
            self._senders.discard(ident)
            with self.lock:
                if not settled:
                    batch.lane.release()
                self._look_around(batch.lane)

    def _look_around(self, lane: Lane) -> None:
        if not lane.undelivered:
            self.lanes.pop(lane, None)
        if not self.lanes:
            lifetimes.holding.discard(self)
        for worker in self._workers:
            if worker.since is None:
                worker.wake.set()

    def _try_once(self, batch: Batch) -> bool:
        try:
            response = batch.post(self._transport, self._timeout())
        except requests.RequestException as error:
            self._fail(batch, error)
        except ScrapinghubAPIError as error:
            self._give_up(batch, error)
        except Exception as error:
            logger.exception('sending %d records to %s failed', len(batch.texts), batch.lane.shown_url)
            self._give_up(batch, error)
        else:
            try:
                self._tell(batch.lane, response)
            finally:
                self._settle_stored(batch)
        return True

    def _timeout(self) -> float | None:
        """Return the time-out of a post, None for the client's own: at exit one dead URL must not take all the time."""
        if self.deadline is None:
            return None
        left = self.deadline - self._clock.monotonic()
        return min(self._transport.timeout or lifetimes.EXIT_SECONDS, max(0.5, left / 3))

    def _settle_stored(self, batch: Batch) -> None:
        with self.lock:
            error = batch.lane.stored(batch, self._clock.monotonic())
        if error is not None:
            logger.warning('%d records are stored, and may be sent again all the same: %s', len(batch.texts), error)

    def _fail(self, batch: Batch, error: requests.RequestException) -> None:
        attempts = batch.attempts
        try:
            # Outside of the lock: it writes to the log, whose handlers may write to this very lane.
            pause = attempts.pause_after(error)
        except requests.RequestException:
            status = error.response.status_code if error.response is not None else None
            self._give_up(batch, self._transport.translate_error(error, attempts), divide=status in (400, 413))
            return
        ours = self._transport.translate_error(error, attempts)
        with self.lock:
            batch.lane.postpone(ours, self._clock.monotonic() + pause)

    def _give_up(self, batch: Batch, error: Exception, *, divide: bool = False) -> None:
        lane = batch.lane
        divide = divide and lane.keyed
        try:
            if not divide or len(batch.texts) == 1:
                logger.error('%d records for %s are not stored: %s', len(batch.texts), lane.shown_url, error)
                self._tell(lane, None)
        finally:
            with self.lock:
                lane.refuse(batch, error, divide=divide, now=self._clock.monotonic())

    def _tell(self, lane: Lane, response: requests.Response | None) -> None:
        if lane.callback is not None:
            try:
                lane.callback(response)
            except Exception:
                logger.exception('the callback of the writer for %s failed', lane.shown_url)

    # The end

    def hurry(self) -> None:
        """Make everything due at once; called with the lock held."""
        self.hurried = True
        for worker in self._workers:
            worker.wake.set()
        for lane in list(self.lanes):
            if lane.sendable:
                self.notice(lane)

    def abandon(self) -> None:
        """Say that nobody holds the uploader any more; the workers notice within a tick.

        Takes no lock: it may be called at any point of any thread.
        """
        self.abandoned = self.hurried = True

    def stop(self, timeout: float | None) -> None:
        """Begin no further post, and wait for the threads.

        Args:
            timeout: Seconds; None for no limit.
        """
        if self.exiting:
            # Threads stand still at the end of the exit.
            timeout = 0.0
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        with self.lock:
            self.stopped = True
            workers = list(self._workers)
            for worker in workers:
                worker.wake.set()
            for lane in self.lanes:
                lane.changed.notify_all()
        for worker in workers:
            if worker.thread is not None and worker.thread is not threading.current_thread():
                worker.thread.join(None if deadline is None else max(0.0, deadline - self._clock.monotonic()))
        with self.lock:
            lifetimes.holding.discard(self)
            self._release_spool()

    def _release_spool(self) -> None:
        if self.spool is not None and self.spool.usable:
            for lane in self._known:
                lane.leave_journal()
            self.spool.close()

    def expect_exit(self) -> None:
        """Start no thread any more, and end those that have nothing to do."""
        with self.lock:
            self.exiting = True
            idle = [worker for worker in self._workers if worker.since is None]
            for worker in idle:
                worker.dismissed = True
                worker.wake.set()
        for worker in idle:
            if worker.thread is not None:
                worker.thread.join(TICK)

    def settle_late(self) -> None:
        """Send what was written while the interpreter exits, in the thread that wrote it."""
        if not self.sending:
            lifetimes.finish_late(self)

    def finish(self, seconds: float) -> list[str]:
        """Send what there is before the interpreter exits.

        Args:
            seconds: How long to try.

        Returns:
            A line for each lane that still holds records.
        """
        with self.lock:
            self.stopped = False
            self.deadline = self._clock.monotonic() + seconds
            self.hurry()
        try:
            while self._unfinished():
                self.assist()
        except KeyboardInterrupt:
            # Whoever does not want to wait is told what that costs.
            logger.warning('interrupted while sending the last records')
        with self.lock:
            self.stopped = True
            left = [self._epitaph(lane) for lane in self.lanes if lane.undelivered]
            self._release_spool()
        return left

    def _unfinished(self) -> bool:
        with self.lock:
            if self.stopped or self.deadline is None or self._clock.monotonic() >= self.deadline:
                return False
            return self._sendable()

    def _epitaph(self, lane: Lane) -> str:
        fate = 'are lost' if self.spool is None else f'are kept in the spool {self.spool.path}'
        return f'{lane.undelivered} records for {lane.shown_url} were not stored before the exit and {fate}'

    def disown(self) -> None:
        """Start anew in a forked child: locks, threads and records are the parent's."""
        self.lock = threading.RLock()
        self.lanes = {}
        self._workers = []
        self._senders = set()
        for lane in self._known:
            lane.disown(threading.Condition(self.lock))
        if self.spool is not None:
            self.spool.disown()
