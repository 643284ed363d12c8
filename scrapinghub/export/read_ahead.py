"""Read several sources at the same time, and return what they yield in order."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator

Source = Callable[[], Iterator[bytes]]

# How many blocks of a source wait for those of the sources before it.
_MAX_BLOCKS = 128
# Workers that have read their source begin with a further one while the first ones are written.
_SOURCES_PER_WORKER = 2


def read_ahead(
    sources: Iterable[Source], max_workers: int, stop: Callable[[], object] = bool
) -> Generator[Iterator[bytes], None, None]:
    """Yield iterators over the blocks of sources, which threads read ahead.

    Args:
        sources: Functions that return the blocks of a source. With one worker, each is called when its turn has come.
        max_workers: Maximum number of sources that are read at the same time.
        stop: Called after the last source, or when the generator is closed: ends the reads of the threads.

    Yields:
        The blocks of a source. They raise what reading it raised. Close the generator in any case: the traceback of an
        exception would keep it, and its threads.

    Example:
        >>> sources = [lambda: iter([b'a', b'b']), lambda: iter([b'c'])]
        >>> [list(blocks) for blocks in read_ahead(sources, max_workers=2)]
        [[b'a', b'b'], [b'c']]
    """
    if max_workers == 1:
        for source in sources:
            yield source()
        return
    workers = _Workers(max_workers)
    waiting: deque[_Task] = deque()
    try:
        for source in sources:
            waiting.append(workers.submit(source))
            if len(waiting) == _SOURCES_PER_WORKER * max_workers:
                yield from _finish(waiting)
        while waiting:
            yield from _finish(waiting)
    finally:
        workers.stop()
        stop()
        for task in waiting:
            task.discard()


def _finish(waiting: deque[_Task]) -> Iterator[Iterator[bytes]]:
    """Yield the blocks of the first task, then remove it."""
    yield waiting[0].blocks()
    waiting.popleft()


class _Task:
    """A source that a worker reads.

    Args:
        source: Returns the blocks.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        # Blocks, then the error of the source, or None at its end.
        self._queue: queue.Queue[bytes | BaseException | None] = queue.Queue(_MAX_BLOCKS)

    def run(self, stopped: threading.Event) -> None:
        """Read the source; called by a worker."""
        end: BaseException | None = None
        try:
            for block in self._source():
                self._queue.put(block)
                if stopped.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - the consumer raises it
            end = error
        self._queue.put(end)

    def blocks(self) -> Iterator[bytes]:
        """Yield the blocks as they arrive."""
        while (block := self._queue.get()) is not None:
            if isinstance(block, BaseException):
                raise block
            yield block

    def discard(self) -> None:
        """Make room for the block with which the worker waits."""
        while not self._queue.empty():
            self._queue.get_nowait()


class _Workers:
    """Threads that read sources. They are daemons: a read that waits for the network does not delay an exit.

    Args:
        count: Number of threads.
    """

    def __init__(self, count: int) -> None:
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._count = count
        self._started = 0

    def submit(self, source: Source) -> _Task:
        """Read a source when a thread is free."""
        task = _Task(source)
        self._tasks.put(task)
        if self._started < self._count:
            # Counted first: Ctrl-C may interrupt the start of a thread that then runs, and has to end.
            self._started += 1
            threading.Thread(target=self._work, name='scrapinghub-download', daemon=True).start()
        return task

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None and not self._stopped.is_set():
            task.run(self._stopped)

    def stop(self) -> None:
        """Let the threads end after the block that they read."""
        self._stopped.set()
        for _ in range(self._started):
            self._tasks.put(None)
