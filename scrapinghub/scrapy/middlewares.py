"""Record the requests of a crawl, with the request that led to each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from scrapy import Request

from scrapinghub.scrapy.session import Session

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from typing_extensions import Self

#: Key of ``request.meta``: the job, and the number of the latest record of the request or of the one that led to it.
META_KEY = 'scrapinghub_request'


class RequestRecorder:
    """Downloader middleware that records each answer, redirects and retries included.

    Enabled by the add-on, next to the downloader.

    Args:
        crawler: The crawler.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._session = Session.of(crawler)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Make the middleware of a crawler."""
        return cls(crawler)

    def process_response(self, request: Request, response: Response, spider: Spider | None = None) -> Response:
        """Record a request and its answer."""
        if self._session.record_request is not None:
            job, number = request.meta.get(META_KEY) or (None, None)
            parent = number if job == self._session.job_key else None
            number = self._session.record_request(request, response, parent)
            # A redirect or retry is made from this request, and inherits its meta.
            request.meta[META_KEY] = (self._session.job_key, number)
        return response


class RequestParents:
    """Spider middleware that lets each request know from which answer it was made.

    Enabled by the add-on, next to the engine.
    """

    def process_spider_output(
        self, response: Response, result: Iterable[Any], spider: Spider | None = None
    ) -> Iterator[Any]:
        """Name the parent of each request."""
        for output in result:
            yield _with_parent(output, response)

    async def process_spider_output_async(
        self, response: Response, result: AsyncIterator[Any], spider: Spider | None = None
    ) -> AsyncIterator[Any]:
        """Name the parent of each request."""
        async for output in result:
            yield _with_parent(output, response)


def _with_parent(output: Any, response: Response) -> Any:
    if isinstance(output, Request):
        parent = None if response.request is None else response.request.meta.get(META_KEY)
        if parent is not None:
            output.meta[META_KEY] = parent
        else:
            output.meta.pop(META_KEY, None)
    return output
