"""A spider middleware that crawls from a frontier."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from itemadapter import is_item
from scrapy import Request, signals
from scrapy.exceptions import DontCloseSpider, NotConfigured
from scrapy.utils.defer import deferred_from_coro, maybe_deferred_to_future
from scrapy.utils.misc import arg_to_iter
from twisted.internet.defer import Deferred

from scrapinghub.exceptions import ScrapinghubAPIError, UploadError
from scrapinghub.scrapy.batches import Batches
from scrapinghub.scrapy.environment import is_stored_by_platform
from scrapinghub.scrapy.frontier_requests import ENABLED_KEY, SLOT_KEY, from_queue, slot_of, to_queue
from scrapinghub.scrapy.session import NOT_STORED, Session, close_spider

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from twisted.python.failure import Failure
    from typing_extensions import Self

    from scrapinghub.client.shapes import FrontierBatch

logger = logging.getLogger(__name__)

#: Key of ``request.meta``: the number of the work that the request is part of.
WORK_KEY = 'scrapinghub_work'
# Time between two exchanges with the frontier, in seconds.
_PAUSE = 0.5
# Requests of a batch, at most.
_BATCH = 100


class FrontierMiddleware:
    """Crawl the requests of a slot of a frontier, and queue new requests in its slots.

    Each request that the spider makes is queued in the frontier ``SCRAPINGHUB_FRONTIER``, and the crawl takes its
    requests from the slot ``SCRAPINGHUB_FRONTIER_SLOT``. A batch is deleted from the slot when its requests are
    answered or given up, their callbacks have ended, and the items, collection records and new requests that they led
    to are stored. A crawl that is killed loses no request: the next one crawls the batches that were not deleted again.

    Works in crawls that the add-on stores, and on the platform.

    Args:
        crawler: The crawler.

    Raises:
        NotConfigured: No frontier is given.
        ValueError: A setting is wrong.

    Example:
        In ``settings.py`` of a Scrapy project::

            SPIDER_MIDDLEWARES = {'scrapinghub.scrapy.FrontierMiddleware': 100}
            SCRAPINGHUB_FRONTIER = 'books'
    """

    def __init__(self, crawler: Crawler) -> None:
        settings = crawler.settings
        name = settings.get('SCRAPINGHUB_FRONTIER')
        if not name:
            raise NotConfigured('set SCRAPINGHUB_FRONTIER to the name of a frontier')
        if settings.get('JOBDIR') and not is_stored_by_platform():
            raise ValueError(
                'JOBDIR cannot be used with FrontierMiddleware: it would filter batches that have to be crawled again'
            )
        self._crawler = crawler
        self._logger = logging.LoggerAdapter(logger, {'crawler': crawler})
        self._session = Session.of(crawler)
        # Made here, in one thread: later, several threads use it.
        _ = self._session.client
        self._frontier = name
        self._slot = settings.get('SCRAPINGHUB_FRONTIER_SLOT') or '0'
        self._slots = settings.getint('SCRAPINGHUB_FRONTIER_SLOTS', 1)
        if self._slots > 1 and self._slot not in map(str, range(self._slots)):
            raise ValueError(
                f'SCRAPINGHUB_FRONTIER_SLOT should be one of the {self._slots} slots, which are numbered from 0, '
                f'got {self._slot!r}'
            )
        self._wanted = max(_BATCH, 2 * settings.getint('CONCURRENT_REQUESTS'))
        self._batches = Batches()
        self._new: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._worth_reading = True
        self._exhausted = False
        self._closed = False
        self._running: Deferred[None] | None = None
        for handler, signal in (
            (self._spider_opened, signals.spider_opened),
            (self._spider_idle, signals.spider_idle),
            (self._spider_closed, signals.spider_closed),
            (self._request_dropped, signals.request_dropped),
            (self._callback_failed, signals.spider_error),
            (self._item_ended, signals.item_scraped),
            (self._item_ended, signals.item_dropped),
            (self._item_ended, signals.item_error),
        ):
            crawler.signals.connect(handler, signal)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Make the middleware of a crawler."""
        return cls(crawler)

    # Requests that the spider makes

    async def process_start(self, start: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Queue start requests."""
        async for output in start:
            while sum(map(len, self._new.values())) > 100 * _BATCH:
                await self._session.loop.sleep(_PAUSE)
            routed = self._route(output, None)
            if routed is not None:
                yield routed

    def process_start_requests(self, start_requests: Iterable[Any], spider: Spider) -> Iterator[Any]:
        """Queue start requests, in Scrapy before 2.13."""
        return self._routed(start_requests, None)

    def process_spider_input(self, response: Response, spider: Spider | None = None) -> None:
        """Notice that a request was answered."""
        work = self._batches.get(_number_of(response))
        if work is not None:
            work.answered = True

    def process_spider_output(
        self, response: Response, result: Iterable[Any], spider: Spider | None = None
    ) -> Iterator[Any]:
        """Queue new requests."""
        return self._routed(result, _number_of(response))

    async def process_spider_output_async(
        self, response: Response, result: AsyncIterator[Any], spider: Spider | None = None
    ) -> AsyncIterator[Any]:
        """Queue new requests."""
        async for output in self._routed_async(result, _number_of(response)):
            yield output

    def _routed(self, outputs: Iterable[Any], number: int | None) -> Iterator[Any]:
        # A generator that is closed early, when the crawl stops, does not end its work.
        try:
            for output in outputs:
                routed = self._route(output, number)
                if routed is not None:
                    yield routed
        except Exception:
            self._batches.end(number)
            raise
        self._batches.end(number)

    async def _routed_async(self, outputs: AsyncIterator[Any], number: int | None) -> AsyncIterator[Any]:
        try:
            async for output in outputs:
                routed = self._route(output, number)
                if routed is not None:
                    yield routed
        except Exception:
            self._batches.end(number)
            raise
        self._batches.end(number)

    def _route(self, output: Any, number: int | None) -> Any:
        """Queue a request and return None, or return what Scrapy should process."""
        work = self._batches.get(number)
        if not isinstance(output, Request):
            if work is not None and number is not None and is_item(output):
                self._batches.item_added(number)
            return output
        if output.meta.get(ENABLED_KEY, True):
            try:
                self._queue(output)
            except ValueError as error:
                self._logger.error('%s. It is crawled without the frontier', error)
            else:
                return None
        output.meta.pop(WORK_KEY, None)
        if work is not None:
            self._track(output, work.batch)
        return output

    def _queue(self, request: Request) -> None:
        spider = self._crawler.spider
        assert spider is not None
        queued = to_queue(request, spider, self._crawler.request_fingerprinter.fingerprint(request))
        slot = request.meta.get(SLOT_KEY)
        if slot is None:
            slot = slot_of(request.url, self._slots) if self._slots > 1 else self._slot
        self._new[str(slot)].append(queued)
        self._exhausted = False
        self._crawler.stats.inc_value('scrapinghub/frontier/queued')

    # Requests that are crawled

    def _track(self, request: Request, batch: str) -> None:
        number = self._batches.begin(batch)
        request.meta[WORK_KEY] = number
        request.errback = partial(self._errback, number, request.errback)

    def _errback(self, number: int, original: Callable[[Failure], Any] | None, failure: Failure) -> Any:
        """Call the errback of a request, and notice when it has ended."""
        work = self._batches.get(number)
        if work is None or work.answered:
            # The output of the errback of an answer passes the spider middlewares.
            return failure if original is None else original(failure)
        try:
            result = failure if original is None else original(failure)
        except Exception:
            self._batches.end(number)
            raise
        if result is failure:
            self._batches.end(number)
            return failure
        if isinstance(result, AsyncIterator):
            return self._routed_async(result, number)
        if isinstance(result, Awaitable):
            return self._awaited(result, number)
        return self._routed(arg_to_iter(result), number)

    async def _awaited(self, result: Awaitable[Any], number: int) -> Iterator[Any]:
        try:
            outputs = await result
        except Exception:
            self._batches.end(number)
            raise
        return self._routed(arg_to_iter(outputs), number)

    def _request_dropped(self, request: Request) -> None:
        self._batches.end(request.meta.get(WORK_KEY))

    def _callback_failed(self, response: Any) -> None:
        self._batches.end(_number_of(response))

    def _item_ended(self, response: Any) -> None:
        self._batches.item_ended(_number_of(response))

    # The slot

    def _spider_opened(self) -> None:
        self._running = deferred_from_coro(self._run())

    def _spider_idle(self) -> None:
        # Nothing is queued, downloaded or processed: requests that are not processed were ignored by some component.
        self._batches.end_all()
        if not self._exhausted:
            raise DontCloseSpider

    async def _spider_closed(self) -> None:
        self._closed = True
        if self._running is not None:
            await maybe_deferred_to_future(self._running)

    async def _run(self) -> None:
        """Exchange requests with the slot until the spider closes."""
        try:
            while not self._closed:
                await self._store()
                if self._worth_reading and self._batches.open_works < self._wanted:
                    await self._read()
                await self._session.loop.sleep(_PAUSE)
            await self._store()
        except UploadError as error:
            self._fail('New requests or results are not stored', error, NOT_STORED)
        except ScrapinghubAPIError as error:
            self._fail('The frontier cannot be used', error, 'frontier_unavailable')

    def _fail(self, text: str, error: Exception, reason: str) -> None:
        self._logger.error('%s: %s\nThe batches that are not deleted are crawled again next time', text, error)
        self._exhausted = True
        if not self._closed:
            close_spider(self._crawler, reason)

    async def _store(self) -> None:
        """Queue new requests, and delete the batches that are processed."""
        # In this order: the new requests of these batches are among those that follow.
        done = self._batches.done()
        new, self._new = self._new, defaultdict(list)
        if not new and not done:
            return
        await self._session.wait_for_items()
        await self._session.loop.in_thread(self._flush, new, done)
        self._batches.remove(done)
        self._worth_reading = True

    def _flush(self, new: dict[str, list[dict[str, Any]]], done: list[str]) -> None:
        frontier = self._session.project.frontiers.get(self._frontier)
        for slot, requests in new.items():
            frontier.get(slot).q.add(requests)
        # Items, records of collections and requests.
        self._session.flush()
        if done:
            frontier.get(self._slot).q.delete(done)

    async def _read(self) -> None:
        """Read batches, and schedule their requests."""
        found = await self._session.loop.in_thread(self._list, self._batches.size + self._wanted)
        batches = [batch for batch in found if batch['id'] not in self._batches]
        self._worth_reading = bool(batches)
        self._exhausted = not (batches or len(self._batches) or self._new)
        for batch in [] if self._closed else batches:
            self._batches.add(batch['id'], len(batch['requests']))
            for fingerprint, data in batch['requests']:
                self._schedule(batch['id'], fingerprint, data)

    def _list(self, count: int) -> list[FrontierBatch]:
        slot = self._session.project.frontiers.get(self._frontier).get(self._slot)
        return slot.q.list(mincount=count)

    def _schedule(self, batch: str, fingerprint: str, data: Any) -> None:
        spider = self._crawler.spider
        assert spider is not None
        try:
            request = from_queue(fingerprint, data, spider)
        except ValueError as error:
            self._logger.error('A request of the frontier is skipped: %s', error)
            return
        self._track(request, batch)
        self._crawler.stats.inc_value('scrapinghub/frontier/read')
        self._crawler.engine.crawl(request)


def _number_of(response: Any) -> int | None:
    """Return the number of the work that an answer or a failure belongs to."""
    request = getattr(response, 'request', None)
    return None if request is None else request.meta.get(WORK_KEY)
