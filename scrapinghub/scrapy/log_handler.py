"""Collect the log lines of a crawl."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import finalize, ref

from scrapinghub.scrapy.event_loop import EventLoop
from scrapinghub.scrapy.records import log_record

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings

# Below INFO, these write lines about each upload, which would be uploaded in turn.
_UPLOADS = ('scrapinghub', 'urllib3', 'requests', 'charset_normalizer')
# Most lines that are kept before the job exists.
_MAX_PENDING = 10_000


class LogHandler(logging.Handler):
    """Collect log lines in any thread, and pass them on in the thread of the event loop.

    Args:
        crawler: The crawler. Lines of other crawlers in this process are left out.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(_level(crawler.settings))
        self._crawler = ref(crawler)
        self._pending: deque[dict[str, Any]] = deque()
        self._put: Callable[[Any], object] | None = None
        self._loop: EventLoop | None = None
        self._thread = 0
        self._passing = False

    def install(self) -> None:
        """Begin to collect lines."""
        root = logging.getLogger()
        root.addHandler(self)
        # A crawl that fails early has no end that could call stop().
        crawler = self._crawler()
        assert crawler is not None
        finalize(crawler, root.removeHandler, self)

    def stop(self) -> None:
        """Collect no more lines."""
        logging.getLogger().removeHandler(self)
        self.pass_on()

    def start(self, put: Callable[[Any], object], loop: EventLoop) -> None:
        """Pass on the lines that were collected, and those that follow; called in the event loop.

        Args:
            put: Takes a record.
            loop: The event loop.
        """
        self._put, self._loop, self._thread = put, loop, threading.get_ident()
        self.pass_on()

    def createLock(self) -> None:  # noqa: N802 - the name is logging's
        """Make no lock: the queue needs none, and a line that a signal handler writes must not wait."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Collect a line that passes the filters; since Python 3.13, the base class needs a lock for this."""
        # Since Python 3.12, a filter may replace the record.
        passed: Any = self.filter(record)
        if passed:
            self.emit(record if passed is True else passed)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Collect a line."""
        if record.levelno < logging.INFO and record.name.partition('.')[0] in _UPLOADS:
            return
        if self._is_of_another_crawl(record):
            return
        try:
            self._pending.append(log_record(record))
            self._pass_on_soon()
        except Exception:  # noqa: BLE001 - a line that cannot be stored does not stop the program
            self.handleError(record)

    def _pass_on_soon(self) -> None:
        if self._loop is None:
            if len(self._pending) > _MAX_PENDING:
                self._pending.popleft()
        elif threading.get_ident() == self._thread and not self._passing:
            self.pass_on()
        else:
            self._loop.call_from_thread(self.pass_on)

    def pass_on(self) -> None:
        """Pass on the lines that were collected; called in the event loop."""
        self._passing = True
        try:
            while self._pending and self._put is not None:
                self._put(self._pending.popleft())
        finally:
            self._passing = False

    def _is_of_another_crawl(self, record: logging.LogRecord) -> bool:
        spider = getattr(record, 'spider', None)
        crawler = getattr(record, 'crawler', None) or getattr(spider, 'crawler', None)
        return crawler is not None and crawler is not self._crawler()


def _level(settings: BaseSettings) -> int:
    """Return ``LOG_LEVEL`` if the project sets it, else INFO, which is the default of the platform."""
    level = settings.get('LOG_LEVEL') if settings.getpriority('LOG_LEVEL') else 'INFO'
    number = logging.getLevelName(level) if isinstance(level, str) else level
    return number if isinstance(number, int) else logging.INFO
