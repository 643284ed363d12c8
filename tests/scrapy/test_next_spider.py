from __future__ import annotations

from typing import Any

import pytest
from scrapy.settings import Settings

from scrapinghub.scrapy.next_spider import NextSpider
from support.crawls import Crawls

# Each crawl is a process that imports Scrapy.
pytestmark = pytest.mark.timeout(300)

BOOKS = """
    class Books(scrapy.Spider):
        name = 'books'
        start_urls = ['data:,x']

        def parse(self, response):
            if hasattr(self, 'reason'):
                raise scrapy.exceptions.CloseSpider(self.reason)
"""
NEXT = {'spider': 'report', 'job_args': {'day': 'monday'}, 'add_tag': ['chained'], 'priority': 3}


def test_the_next_spider_is_scheduled_when_one_has_finished(crawls: Crawls) -> None:
    text = crawls.run(BOOKS, settings={'SCRAPINGHUB_NEXT_SPIDER': NEXT})
    _, report = crawls.jobs()
    metadata = dict(report.metadata.iter())
    assert f'The next spider, report, is job {report.key}' in text
    assert (metadata['spider'], metadata['state'], metadata['priority']) == ('report', 'pending', 3)
    assert (metadata['spider_args'], metadata['tags']) == ({'day': 'monday'}, ['chained'])
    # One that did not finish is followed by none.
    crawls.run(BOOKS, '-a', 'reason=banned', settings={'SCRAPINGHUB_NEXT_SPIDER': 'another'})
    assert [job.metadata['spider'] for job in crawls.jobs()] == ['books', 'books', 'report']


@pytest.mark.parametrize('value', [{'job_args': {}}, {'spider': 'report', 'args': {}}, {'spider': 3}, ['report']])
def test_a_wrong_setting_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match='SCRAPINGHUB_NEXT_SPIDER'):
        NextSpider.from_settings(Settings({'SCRAPINGHUB_NEXT_SPIDER': value}))


def test_the_setting_is_a_name_or_a_dictionary() -> None:
    found = NextSpider.from_settings(Settings({'SCRAPINGHUB_NEXT_SPIDER': 'report'}))
    assert found is not None
    assert (found.spider, dict(found.options)) == ('report', {})
    assert NextSpider.from_settings(Settings()) is None
