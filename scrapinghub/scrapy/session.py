"""What the components of one crawl share: project, client, event loop and the end of the crawl."""

from __future__ import annotations

import atexit
import logging
import tempfile
from collections.abc import Awaitable, Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from scrapy import signals
from scrapy.exceptions import NotConfigured
from scrapy.utils.project import data_path

from scrapinghub.client import ScrapinghubClient
from scrapinghub.client.projects import Project
from scrapinghub.exceptions import UploadError
from scrapinghub.scrapy.environment import find_job, find_project, is_stored_by_platform, make_client
from scrapinghub.scrapy.event_loop import EventLoop
from scrapinghub.scrapy.jobs import SPOOL
from scrapinghub.scrapy.log_handler import LogHandler

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from scrapy.settings import BaseSettings

logger = logging.getLogger(__name__)

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
        finish: Called at the end of the crawl, before the client is closed.
        log: Collects the log lines of the crawl.
        job_key: Key of the job; None while there is none.
        record_request: Records a request and its answer, with the number of its parent; None where nothing is stored.
    """

    def __init__(self, crawler: Crawler) -> None:
        settings = crawler.settings
        self.project_id = find_project(settings)
        self.max_outage = settings.getfloat('SCRAPINGHUB_MAX_OUTAGE', MAX_OUTAGE)
        self.folder: Path | None = None
        self.finish: Callable[[], Awaitable[None]] | None = None
        self.log = LogHandler(crawler)
        self.job_key: str | None = None
        self.record_request: Callable[[Request, Response, int | None], int | None] | None = None
        self.spools = _spools(settings)
        self._opened: list[ScrapinghubClient] = []
        crawler.signals.connect(self.close, signals.engine_stopped)

    @classmethod
    def of(cls, crawler: Crawler) -> Session:
        """Return the session of a crawl."""
        if crawler not in _sessions:
            _sessions[crawler] = cls(crawler)
        return _sessions[crawler]

    @cached_property
    def loop(self) -> EventLoop:
        """The event loop of the crawl."""
        return EventLoop()

    @cached_property
    def client(self) -> ScrapinghubClient:
        """The client. It has a spool after :meth:`use_spool`."""
        as_job = find_job() is not None and not is_stored_by_platform()
        return self.open_client(self.folder and self.folder / SPOOL, as_job=as_job)

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
        return self.folder

    def open_client(self, spool: Path | None = None, *, as_job: bool = False) -> ScrapinghubClient:
        """Return a client that is closed at the end of the crawl."""
        client = make_client(as_job=as_job, spool=spool, max_outage=self.max_outage)
        if spool is not None:
            # After a second Ctrl-C the process exits without waiting for the storage: the records are in the spool.
            atexit.register(client.close, timeout=0)
        self._opened.append(client)
        return client

    async def close(self) -> None:
        """Finish the job, and close the clients."""
        try:
            if self.finish is not None:
                await self.finish()
            for client in self._opened:
                try:
                    await self.loop.in_thread(client.close)
                except UploadError as error:
                    logger.error('Records are not stored: %s', error)
        finally:
            for client in self._opened:
                atexit.unregister(client.close)


def _spools(settings: BaseSettings) -> Path:
    """Return the folder for records that are not stored yet, by default in the data folder of the project."""
    given = settings.get('SCRAPINGHUB_SPOOL')
    if given:
        return Path(given).absolute()
    try:
        return Path(data_path('scrapinghub')).absolute()
    except NotConfigured:
        # There are settings, but no scrapy.cfg that would say where the project is.
        return Path('.scrapy', 'scrapinghub').absolute()
