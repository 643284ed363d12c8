"""The add-on: one setting that enables the rest."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from scrapy.exceptions import NotConfigured

from scrapinghub.scrapy.environment import is_stored_by_platform
from scrapinghub.scrapy.session import Session

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings
    from typing_extensions import Self

logger = logging.getLogger(__name__)

# Those next to the downloader and to the engine see the requests as they are made.
_COMPONENTS = (
    ('EXTENSIONS', 'scrapinghub.scrapy.extension.JobExtension', 500),
    ('DOWNLOADER_MIDDLEWARES', 'scrapinghub.scrapy.middlewares.RequestRecorder', 1000),
    ('SPIDER_MIDDLEWARES', 'scrapinghub.scrapy.middlewares.RequestParents', 0),
)


class Addon:
    """Store each crawl as a job in Scrapy Cloud.

    The crawl becomes a running job of the project ``SCRAPINGHUB_PROJECT``. Its items, requests, log lines, samples and
    stats are stored while it runs, and its close reason at the end. See :doc:`/guides/scrapy` for the settings.

    In a job that the platform runs, the add-on stores nothing: the platform does.

    Args:
        crawler: The crawler.

    Example:
        In ``settings.py`` of a Scrapy project::

            ADDONS = {'scrapinghub.scrapy.Addon': 500}
            SCRAPINGHUB_PROJECT = 123
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Make the add-on of a crawler."""
        return cls(crawler)

    def update_settings(self, settings: BaseSettings) -> None:
        """Enable the components that store the crawl.

        Args:
            settings: Settings of the crawl.

        Raises:
            NotConfigured: There is nothing to store, or no project is given.
        """
        # `scrapy shell` keeps its engine alive without a crawl, and `scrapy check` tests callbacks.
        if settings.getbool('KEEP_ALIVE') or os.environ.get('SCRAPY_CHECK'):
            raise NotConfigured
        if not settings.getbool('SCRAPINGHUB_ENABLED', True):
            raise NotConfigured
        if is_stored_by_platform():
            logger.info(
                'Scrapy Cloud stores items, requests, log and stats of this job; the add-on stores none of them'
            )
            return
        Session.of(self._crawler).log.install()
        for setting, component, order in _COMPONENTS:
            if component not in settings[setting]:
                settings[setting][component] = order
