"""Store the records of one job while its crawl runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scrapy.utils.defer import maybe_deferred_to_future
from twisted.internet.defer import Deferred

from scrapinghub.client.jobs import Job
from scrapinghub.scrapy.event_loop import EventLoop
from scrapinghub.scrapy.record_queue import RecordQueue

FAMILIES = ('items', 'requests', 'logs', 'samples')
# Time between attempts to pass records from the files to the writers, in seconds.
_PAUSE = 0.1


class JobStorage:
    """The queues of a job, one for each family of records.

    Args:
        job: The job.
        folder: Folder for the files of the queues.
        loop: The event loop of the crawl.
        append: Whether the job may have records already.
        interval: Maximum time that a record is queued before it is sent, in seconds.
        on_error: Called once, when a record could not be taken.
    """

    def __init__(
        self,
        job: Job,
        folder: Path,
        loop: EventLoop,
        *,
        append: bool,
        interval: float,
        on_error: Callable[[Exception], object],
    ) -> None:
        self.job = job
        self._loop = loop
        self._on_error = on_error
        self._queues: dict[str, RecordQueue] = {}
        for family in FAMILIES:
            writer = getattr(job, family).writer(append=append)
            writer.queue.interval = interval
            self._queues[family] = RecordQueue(writer, folder, family)
        self._waiters: list[Deferred[None]] = []
        self._moving = False
        self._reported = False

    @property
    def error(self) -> Exception | None:
        """Why a record could not be taken; None if all were."""
        return next((queue.error for queue in self._queues.values() if queue.error is not None), None)

    def put(self, family: str, record: Any) -> int:
        """Take a record; the arguments, return value and errors of :meth:`RecordQueue.put`."""
        queue = self._queues[family]
        number = queue.put(record)
        if queue.waiting or queue.error is not None:
            self._move_later()
        return number

    @property
    def is_stored(self) -> bool:
        """Whether all records are stored."""
        return all(queue.is_stored for queue in self._queues.values())

    @property
    def has_room(self) -> bool:
        """Whether items do not have to wait."""
        items = self._queues['items']
        return not items.waiting or items.error is not None

    async def wait_for_room(self) -> None:
        """Wait until the writer has taken all items, or refuses them."""
        while not self.has_room:
            waiter: Deferred[None] = Deferred()
            self._waiters.append(waiter)
            await maybe_deferred_to_future(waiter)

    async def drain(self) -> None:
        """Wait until the writers have taken all records, or refuse some."""
        while any(queue.waiting and queue.error is None for queue in self._queues.values()):
            await self._loop.sleep(_PAUSE)

    def close(self) -> None:
        """Close the files of the queues."""
        for queue in self._queues.values():
            queue.close()

    def _move_later(self) -> None:
        if self._moving:
            return
        self._moving = True
        self._loop.call_later(_PAUSE, self._move)

    def _move(self) -> None:
        self._moving = False
        for queue in self._queues.values():
            queue.move()
        if self.error is not None and not self._reported:
            self._reported = True
            self._on_error(self.error)
        if self.has_room:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                waiter.callback(None)
        if any(queue.waiting and queue.error is None for queue in self._queues.values()):
            self._move_later()
