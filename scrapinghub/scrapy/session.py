"""What the components of one crawl share: project, client, event loop and the end of the crawl."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from scrapy import signals
from scrapy.exceptions import NotConfigured
from scrapy.utils.defer import deferred_from_coro
from scrapy.utils.project import data_path

from scrapinghub.client import ScrapinghubClient
from scrapinghub.client.projects import Project
from scrapinghub.exceptions import UploadError
from scrapinghub.scrapy.environment import find_job, find_project, is_stored_by_platform, make_client
from scrapinghub.scrapy.event_loop import EventLoop
from scrapinghub.scrapy.job_storage import JobStorage
from scrapinghub.scrapy.jobs import SPOOL
from scrapinghub.scrapy.log_handler import LogHandler
from scrapinghub.scrapy.next_spider import NextSpider
from scrapinghub.transport.uploads import uploader

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from scrapy.settings import BaseSettings

logger = logging.getLogger(__name__)

#: Close reason of a crawl that could not be stored as a whole.
NOT_STORED = 'results_not_stored'
#: The local Scrapy Cloud sets it, so that its jobs leave nothing in the project.
SPOOLS_VARIABLE = 'SCRAPINGHUB_SPOOL'
#: Default of SCRAPINGHUB_MAX_OUTAGE, in seconds.
MAX_OUTAGE = 3600.0

_sessions: WeakKeyDictionary[Crawler, Session] = WeakKeyDictionary()


class Session:
    """The client of one crawl. Made by :meth:`of`.

    Args:
        crawler: The crawler.

    Attributes:
        project_id: Id of the project.
        max_outage: Time that an outage of the storage may last, in seconds.
        folder: Folder with the records that are not stored yet; None while the crawl has none.
        spools: Folder that holds such a folder for each crawl.
        finish: Called at the end of the crawl, before the client is closed. Returns whether everything is stored.
        reason: Close reason of the spider.
        storage: Stores the records of the job; None where nothing is stored.
        is_leaving: Whether the process exits before the crawl is stored.
        log: Collects the log lines of the crawl.
        job_key: Key of the job; None while there is none.
        record_request: Records a request and its answer, with the number of its parent; None where nothing is stored.
    """

    def __init__(self, crawler: Crawler) -> None:
        settings = crawler.settings
        self.project_id = find_project(settings)
        self.max_outage = settings.getfloat('SCRAPINGHUB_MAX_OUTAGE', MAX_OUTAGE)
        self.folder: Path | None = None
        self.finish: Callable[[], Awaitable[bool]] | None = None
        self.log = LogHandler(crawler)
        self.job_key: str | None = None
        self.record_request: Callable[[Request, Response, int | None], int | None] | None = None
        self.spools = _spools(settings)
        self._opened: list[ScrapinghubClient] = []
        self.reason = 'failed'
        self.storage: JobStorage | None = None
        self.is_leaving = False
        self._next_spider = NextSpider.from_settings(settings)
        self._crawler = ref(crawler)
        crawler.signals.connect(self._spider_closed, signals.spider_closed)
        crawler.signals.connect(self.close, signals.engine_stopped)

    @classmethod
    def of(cls, crawler: Crawler) -> Session:
        """Return the session of a crawl."""
        if crawler not in _sessions:
            _sessions[crawler] = cls(crawler)
        return _sessions[crawler]

    async def wait_for_items(self) -> None:
        """Wait until the client has all items of the crawl, so that a flush stores them."""
        if self.storage is not None:
            await self.storage.wait_for_room()

    @cached_property
    def loop(self) -> EventLoop:
        """The event loop of the crawl."""
        return EventLoop()

    @cached_property
    def client(self) -> ScrapinghubClient:
        """The client for everything but the records of the job. It has a spool after :meth:`use_spool`."""
        return self.open_client(self.folder and self.folder / SPOOL)

    @cached_property
    def job_client(self) -> ScrapinghubClient:
        """The client for the records of the job, which are kept on disk in another way: a spool would take longer."""
        return self.open_client()

    def flush(self) -> None:
        """Wait until everything written so far is stored; blocks.

        Raises:
            UploadError: Some of it cannot be stored.
        """
        self.client.uploader.flush()
        if self.storage is not None:
            self.job_client.uploader.flush()

    @property
    def project(self) -> Project:
        """The project."""
        return self.client.get_project(self.project_id)

    def use_spool(self, spider: str) -> Path:
        """Make a folder for the records of this crawl, in which the client keeps its spool.

        Args:
            spider: Name of the spider, for the name of the folder.

        Returns:
            The folder.
        """
        self.spools.mkdir(parents=True, exist_ok=True)
        name = ''.join(letter if letter.isalnum() else '_' for letter in spider)
        self.folder = Path(tempfile.mkdtemp(prefix=f'{name}-', dir=self.spools))
        atexit.register(self._leave)
        return self.folder

    def open_client(self, spool: Path | None = None) -> ScrapinghubClient:
        """Return a client that is closed at the end of the crawl."""
        as_job = find_job() is not None and not is_stored_by_platform()
        client = make_client(as_job=as_job, spool=spool, max_outage=self.max_outage)
        self._opened.append(client)
        return client

    def _leave(self) -> None:
        """Let the process exit without waiting for the storage, after a second Ctrl-C: the records are on disk."""
        self.is_leaving = True
        # It would report as lost what is on disk.
        uploader.logger.disabled = True
        for client in self._opened:
            client.close(timeout=0)
        uploader.logger.disabled = False
        if self.job_key is not None:
            logger.warning(
                'The process ends before all of job %s is stored. The rest is in %s, and the next crawl stores it',
                self.job_key, self.folder,
            )  # fmt: skip
        elif self.folder is not None:
            # The crawl ended before it had a job.
            shutil.rmtree(self.folder, ignore_errors=True)

    async def close(self) -> None:
        """Finish the job, close the clients, and schedule the next spider."""
        try:
            stored = await self.finish() if self.finish is not None else True
        finally:
            closed = [await self._close_client(client) for client in list(self._opened)]
            # They refer to the crawler, which could not be collected.
            self.finish = self.record_request = None
            atexit.unregister(self._leave)
        stored = stored and all(closed)
        if self.folder is not None and (stored or self.job_key is None):
            shutil.rmtree(self.folder)
        if stored and self._next_spider is not None and self.reason == 'finished':
            await self.loop.in_thread(self._next_spider.schedule, self.project_id)

    async def _close_client(self, client: ScrapinghubClient) -> bool:
        try:
            return await self.loop.in_thread(client.close)
        except UploadError as error:
            logger.error('Records are not stored: %s', error)
            return False
        finally:
            self._opened.remove(client)

    async def _spider_closed(self, reason: str) -> None:
        self.reason = reason
        crawler = self._crawler()
        if crawler is not None and crawler.engine.start_time is None:
            # An engine that was never started does not announce its end.
            await self.close()


def get_project(crawler: Crawler) -> Project:
    """Return the project of a crawl, for spiders and components that read or write other data.

    Its methods wait for the network: in a callback, call them in a thread.

    Args:
        crawler: The crawler.

    Returns:
        The project ``SCRAPINGHUB_PROJECT``. Its client has the credentials of the crawl, and is closed after it.

    Raises:
        NotConfigured: No project is given.
        RuntimeError: There are no credentials in the environment.

    Example:
        In a spider::

            async def parse(self, response):
                books = get_project(self.crawler).collections.get_store('books')
                known = await maybe_deferred_to_future(deferToThread(books.list))
    """
    return Session.of(crawler).project


def close_spider(crawler: Crawler, reason: str) -> None:
    """Close the spider of a crawl gracefully.

    Args:
        crawler: The crawler.
        reason: The close reason.
    """
    engine: Any = crawler.engine
    if hasattr(engine, 'close_spider_async'):
        deferred_from_coro(engine.close_spider_async(reason=reason))
    else:
        engine.close_spider(crawler.spider, reason)


def _spools(settings: BaseSettings) -> Path:
    """Return the folder for records that are not stored yet, by default in the data folder of the project."""
    given = settings.get('SCRAPINGHUB_SPOOL') or os.environ.get(SPOOLS_VARIABLE)
    if given:
        return Path(given).absolute()
    try:
        return Path(data_path('scrapinghub')).absolute()
    except NotConfigured:
        # There are settings, but no scrapy.cfg that would say where the project is.
        return Path('.scrapy', 'scrapinghub').absolute()
