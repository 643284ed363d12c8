"""When the records of a queue are due, and which queue is sent next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapinghub.transport.uploads.queue import WriteQueue


def next_queue(
    queues: Iterable[WriteQueue], now: float, *, per_host: int, flushed_only: bool
) -> tuple[WriteQueue | None, float]:
    """Return the queue that is due first, and when that is.

    Args:
        queues: All queues that hold records.
        now: Time on the clock of the pool.
        per_host: Maximum number of batches that are sent to one host at a time.
        flushed_only: Whether to send only what a flush asked for.
    """
    queues = list(queues)
    busy = Counter(queue.host for queue in queues if queue.in_flight)
    blockers: dict[str, list[WriteQueue]] = {}
    for queue in queues:
        if queue.returned:
            queue.restore()
        if queue.in_flight or queue.retry_at is not None or queue.recovered:
            blockers.setdefault(queue.url, []).append(queue)
    first: WriteQueue | None = None
    first_due = float('inf')
    for queue in queues:
        due = when_due(queue, now, flushed_only=flushed_only)
        if due is None or due >= first_due or busy[queue.host] >= per_host:
            continue
        if not any(_blocks(other, queue) for other in blockers.get(queue.url, ())):
            first, first_due = queue, due
    return first, first_due


def when_due(queue: WriteQueue, now: float, *, flushed_only: bool) -> float | None:
    """Return when to send the next batch of a queue.

    Args:
        queue: The queue.
        now: Time on the clock of the pool.
        flushed_only: Whether to send only what a flush asked for.

    Returns:
        A time, possibly past; None if there is nothing to send.
    """
    if queue.in_flight or not queue.sendable or (flushed_only and queue.flush_to <= queue.offset):
        return None
    if queue.retry_at is not None:
        return queue.retry_at
    if queue.closed or queue.flush_to > queue.offset or queue.ready:
        return now
    if queue.interval_start is None:
        queue.interval_start = now
    return queue.interval_start + queue.interval


def _blocks(queue: WriteQueue, other: WriteQueue) -> bool:
    """Return whether ``other`` has to wait so that no older value replaces a newer one of the same key."""
    if other is queue or not queue.sendable:
        return False
    return bool(queue.in_flight) or queue.retry_at is not None or (queue.recovered and not other.recovered)
