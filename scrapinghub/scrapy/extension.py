"""The extension that makes each crawl a job."""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from scrapy import signals
from scrapy.utils.defer import deferred_from_coro, maybe_deferred_to_future

from scrapinghub.exceptions import ScrapinghubAPIError, UploadError
from scrapinghub.scrapy.environment import find_job
from scrapinghub.scrapy.job_storage import JobStorage
from scrapinghub.scrapy.jobs import JobFile, finish_job, is_cancelled, push_job, recover_jobs, spider_arguments
from scrapinghub.scrapy.records import item_record, now, request_record, stats_record
from scrapinghub.scrapy.session import NOT_STORED, Session, close_spider

if TYPE_CHECKING:
    from scrapy import Request, Spider
    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from twisted.internet.defer import Deferred
    from typing_extensions import Self

    from scrapinghub.client.jobs import Job

logger = logging.getLogger(__name__)

#: Default of SCRAPINGHUB_SAMPLE_INTERVAL, in seconds.
SAMPLE_INTERVAL = 30.0
#: Default of SCRAPINGHUB_FLUSH_INTERVAL, in seconds.
FLUSH_INTERVAL = 15.0


class JobExtension:
    """Store a crawl as a job. Enabled by :class:`~scrapinghub.scrapy.Addon`.

    Args:
        crawler: The crawler.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        # Log handlers of other crawls in this process leave these lines out.
        self._logger = logging.LoggerAdapter(logger, {'crawler': crawler})
        self._session = Session.of(crawler)
        self._interval = crawler.settings.getfloat('SCRAPINGHUB_SAMPLE_INTERVAL', SAMPLE_INTERVAL)
        if not self._interval > 0:
            raise ValueError(f'SCRAPINGHUB_SAMPLE_INTERVAL should be a positive number of seconds: {self._interval}')
        self._flush_interval = crawler.settings.getfloat('SCRAPINGHUB_FLUSH_INTERVAL', FLUSH_INTERVAL)
        if not self._flush_interval > 0:
            raise ValueError(
                f'SCRAPINGHUB_FLUSH_INTERVAL should be a positive number of seconds: {self._flush_interval}'
            )
        self._folder = self._session.use_spool(crawler.spidercls.name)
        # Made here, in one thread: later, several threads use them.
        self._client = self._session.job_client
        _ = self._session.client
        self._storage: JobStorage | None = None
        self._given = find_job()
        self._recovery: Deferred[None] | None = None
        self._ended = False
        self._session.finish = self._finish
        self._session.record_request = self._record_request
        connect = crawler.signals.connect
        connect(self._spider_opened, signals.spider_opened)
        connect(self._item_scraped, signals.item_scraped)
        connect(self._spider_closed, signals.spider_closed)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Make the extension of a crawler."""
        return cls(crawler)

    # The beginning

    async def _spider_opened(self, spider: Spider) -> None:
        loop = self._session.loop
        try:
            self._storage = self._session.storage = await loop.in_thread(self._open_storage, spider.name)
        except Exception as error:  # noqa: BLE001 - Scrapy would log any error, and crawl without storing
            self._logger.error('The crawl is not stored and is stopped, because it has no job: %s', error)
            self._stop_at_start('job_not_created')
            return
        self._session.job_key = self._storage.job.key
        self._logger.info('This crawl is job %s of Scrapy Cloud', self._storage.job.key)
        self._session.log.start(self._put_log, loop)
        self._sample()
        if self._given is None:
            self._recovery = deferred_from_coro(loop.in_thread(self._recover))

    def _open_storage(self, spider: str) -> JobStorage:
        client = self._client
        if self._given is None:
            job = push_job(client, self._session.project_id, spider, spider_arguments())
        else:
            job = client.get_job(self._given)
        JobFile(self._folder).write(job.key, created=self._given is None)
        return JobStorage(
            job,
            self._folder,
            self._session.loop,
            append=self._given is not None,
            interval=self._flush_interval,
            on_error=self._records_refused,
        )

    def _recover(self) -> None:
        recover_jobs(self._session.spools, self._session.open_client)

    def _stop_at_start(self, reason: str) -> None:
        """Stop a crawl as soon as its engine runs, before it downloads anything."""
        engine = self._crawler.engine
        engine.pause()

        def stop() -> None:
            if engine.running:
                close_spider(self._crawler, reason)
            else:
                self._session.loop.call_later(0.1, stop)

        stop()

    # Records

    @property
    def _open(self) -> JobStorage | None:
        """Where records are stored; None if there is no job, or if the process exits."""
        return None if self._session.is_leaving else self._storage

    def _item_scraped(self, item: Any) -> Coroutine[Any, Any, None] | None:
        storage = self._open
        if storage is None:
            return None
        try:
            storage.put('items', item_record(item))
        except (TypeError, ValueError) as error:
            self._logger.error('An item is not stored: %s', error)
            self._crawler.stats.inc_value('scrapinghub/items_not_stored')
            return None
        return None if storage.has_room else storage.wait_for_room()

    def _record_request(self, request: Request, response: Response, parent: int | None) -> int | None:
        storage = self._open
        if storage is None:
            return None
        fingerprint = self._crawler.request_fingerprinter.fingerprint(request)
        return storage.put('requests', request_record(request, response, parent, fingerprint))

    def _put_log(self, record: dict[str, Any]) -> None:
        storage = self._open
        if storage is not None:
            storage.put('logs', record)

    def _sample(self) -> None:
        storage = self._open
        if storage is None or self._ended:
            return
        self._put_sample(storage)
        deferred_from_coro(self._stop_if_cancelled(storage.job))
        self._session.loop.call_later(self._interval, self._sample)

    def _put_sample(self, storage: JobStorage) -> None:
        value = self._crawler.stats.get_value
        names = ('response_received_count', 'item_scraped_count', 'log_count/ERROR')
        storage.put('samples', [now(), *(value(name, 0) for name in names)])

    async def _stop_if_cancelled(self, job: Job) -> None:
        try:
            cancelled = await self._session.loop.in_thread(is_cancelled, job)
        except ScrapinghubAPIError as error:
            self._logger.debug('The state of job %s is not known: %s', job.key, error)
            return
        if cancelled and not self._ended:
            self._logger.info('Job %s was cancelled', job.key)
            close_spider(self._crawler, 'cancelled')

    def _records_refused(self, error: Exception) -> None:
        if not self._ended:
            self._logger.error('The crawl is stopped, because its records cannot be stored: %s', error)
            close_spider(self._crawler, NOT_STORED)

    # The end

    def _spider_closed(self) -> None:
        self._ended = True

    async def _finish(self) -> bool:
        """Store the rest, and finish the job; called after the last log line of the crawl."""
        self._ended = True
        storage = self._storage
        if storage is None:
            return False
        if self._recovery is not None:
            await maybe_deferred_to_future(self._recovery)
        self._session.log.stop()
        self._put_sample(storage)
        await storage.drain()
        stats = stats_record(self._crawler.stats.get_stats())
        return await self._session.loop.in_thread(self._store_rest, storage, stats)

    def _store_rest(self, storage: JobStorage, stats: dict[str, Any]) -> bool:
        job, created = storage.job, self._given is None
        fields = {'close_reason': self._session.reason, 'scrapystats': stats}
        error: Exception | None = storage.error
        try:
            job.close_writers()
            self._session.flush()
        except UploadError as refusal:
            error = refusal
        if self._session.is_leaving:
            return False
        if error is None and not storage.is_stored:
            error = UploadError('the client was closed before', records=[])
        shown = {'close_reason': NOT_STORED} if error else {}
        try:
            finish_job(self._client, job.key, created=created, fields={**fields, **shown})
        except ScrapinghubAPIError as failure:
            error = error or failure
        storage.close()
        if error is None:
            return True
        JobFile(self._folder).write(job.key, created=created, **fields)
        self._logger.error(
            'Not everything of job %s is stored: %s\nThe rest is in %s, and the next crawl stores it',
            job.key, error, self._folder,
        )  # fmt: skip
        return False
