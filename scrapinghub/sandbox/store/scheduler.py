"""Start the jobs of periodic jobs as the time passes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from scrapinghub.sandbox.store import periodic_jobs
from scrapinghub.sandbox.store.database import Store
from scrapinghub.sandbox.store.periodic_jobs import MINUTE_MS


class Scheduler:
    """Starts the jobs of each due minute once. Safe to share between threads.

    No thread waits for the next minute: :meth:`catch_up` is called before each request and whenever the clock is moved,
    so that every response is the same as if a thread had started the jobs at their minute. Minutes before the scheduler
    was created, while the sandbox was not running, are skipped.

    Args:
        store: The data, and the service's time.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._suspended = False
        self._minute = self._now()

    def catch_up(self) -> None:
        """Start the jobs of the minutes that have passed since the last call."""
        if self._now() == self._minute:
            return
        with self._lock:
            now = self._now()
            if now > self._minute and not self._suspended and periodic_jobs.has_active(self._store.read()):
                with self._store.write() as connection:
                    periodic_jobs.run_due(connection, self._minute, now)
            # A clock that was moved back passes the same minutes again; those that were run are not run again.
            self._minute = now

    def skip(self) -> None:
        """Skip the minutes that have passed since the last call of :meth:`catch_up`."""
        with self._lock:
            self._minute = self._now()

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """Skip all minutes that pass while the block runs."""
        self._suspended = True
        try:
            yield
        finally:
            self.skip()
            self._suspended = False

    def _now(self) -> int:
        return self._store.now() // MINUTE_MS
