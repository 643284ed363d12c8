"""Crawls of the real Scrapy take their requests from a frontier, and lose none of them."""

from __future__ import annotations

from typing import Any

import pytest

from scrapinghub.sandbox import Sandbox
from support.crawls import REACTORS, Crawls
from support.scripted_server import Server

# Each crawl is a process that imports Scrapy.
pytestmark = pytest.mark.timeout(300)

SETTINGS: dict[str, Any] = {
    'SPIDER_MIDDLEWARES': {'scrapinghub.scrapy.FrontierMiddleware': 100},
    'SCRAPINGHUB_FRONTIER': 'shop',
    'RETRY_TIMES': 0,
}
# Each way in which a request can end.
ENDINGS = """
    class Shop(scrapy.Spider):
        name = 'shop'
        allowed_domains = ['127.0.0.1']

        def __init__(self, url, **arguments):
            super().__init__(**arguments)
            self.url, self.start_urls = url, [f'{url}/list']

        def parse(self, response):
            for number in range(3):
                yield scrapy.Request(f'{self.url}/book{number}', self.parse_book, cb_kwargs={'number': number})
            yield scrapy.Request(f'{self.url}/redirect', self.parse_book, cb_kwargs={'number': 3})
            yield scrapy.Request(f'{self.url}/404', errback=self.failed)
            yield scrapy.Request(f'{self.url}/403')
            yield scrapy.Request(f'{self.url}/broken', self.parse_broken)
            yield scrapy.Request('http://127.0.0.1:1/refused', errback=self.failed)
            yield scrapy.Request('http://127.0.0.1:1/ignored')
            yield scrapy.Request('http://other.example/offsite')

        async def parse_book(self, response, number):
            yield {'book': number}
            yield scrapy.Request(f'{self.url}/list')
            yield scrapy.Request(f'{self.url}/detail{number}', self.parse_detail, meta={'frontier': False})

        def parse_detail(self, response):
            yield {'detail': response.url[-1]}

        def parse_broken(self, response):
            yield {'broken': 1}
            raise ValueError('broken')

        async def failed(self, failure):
            yield {'failed': failure.request.url.rpartition('/')[2]}
"""
# A binary tree of pages.
TREE = """
    class Tree(scrapy.Spider):
        name = 'tree'

        def __init__(self, url, pages=128, **arguments):
            super().__init__(**arguments)
            self.url, self.pages, self.start_urls = url, int(pages), [f'{url}/page1']

        def parse(self, response):
            number = int(response.url.rpartition('page')[2])
            yield {'number': number}
            for child in (2 * number, 2 * number + 1):
                if child < self.pages:
                    yield scrapy.Request(f'{self.url}/page{child}')
"""


def items(crawls: Crawls) -> list[Any]:
    return [{**item, '_type': ''} for job in crawls.jobs() for item in job.items.iter()]


@pytest.mark.parametrize('reactor', REACTORS)
def test_every_request_ends_once_and_its_batch_is_deleted(crawls: Crawls, web: Server, reactor: str) -> None:
    text = crawls.run(ENDINGS, '-a', f'url={web.url}', settings={**SETTINGS, 'TWISTED_REACTOR': reactor})
    [job] = crawls.jobs()
    assert job.metadata['close_reason'] == 'finished', text
    found = sorted((key, str(value)) for item in job.items.iter() for key, value in item.items() if key != '_type')
    assert found == sorted(
        [('book', str(number)) for number in range(4)]
        + [('detail', str(number)) for number in range(4)]
        + [('broken', '1'), ('failed', '404'), ('failed', 'refused')]
    ), text
    paths = [request.path for request in web.requests]
    assert len(paths) == len(set(paths)), text
    slot = crawls.project.frontiers.get('shop').get('0')
    assert slot.q.list() == []


def test_a_killed_crawl_loses_no_request(crawls: Crawls, web: Server) -> None:
    settings = {**SETTINGS, 'CONCURRENT_REQUESTS': 2, 'DOWNLOAD_DELAY': 0.01}
    for stop in (5, 50, 90):
        crawl = crawls.start(TREE, '-a', f'url={web.url}', settings=settings)
        assert web.wait_until(lambda stop=stop: len(web.requests) >= stop, 60)  # type: ignore[misc]
        crawls.kill(crawl)
    text = crawls.run(TREE, '-a', f'url={web.url}', settings={**SETTINGS, 'CLOSESPIDER_TIMEOUT': 50})
    assert crawls.jobs()[-1].metadata['close_reason'] == 'finished', text
    assert {item['number'] for item in items(crawls)} == set(range(1, 128))
    assert crawls.project.frontiers.get('shop').get('0').q.list() == []


def test_a_batch_is_deleted_after_its_results_are_stored(crawls: Crawls, web: Server, cloud: Sandbox) -> None:
    results = [
        cloud.faults.add(method='POST', path=path, times=None, hold=True) for path in ('/collections/*', '/items/*')
    ]
    settings = {
        **SETTINGS,
        'ITEM_PIPELINES': {'scrapinghub.scrapy.CollectionPipeline': 300},
        'SCRAPINGHUB_COLLECTION': 'pages',
        'SCRAPINGHUB_COLLECTION_KEY': 'number',
    }
    crawl = crawls.start(TREE, '-a', f'url={web.url}', '-a', 'pages=4', settings=settings)
    slot = crawls.project.frontiers.get('shop').get('0')
    for rule in results:
        rule.wait_held(60)
        assert len(web.requests) == 1
        assert f'{web.url}/page1' in [batch['requests'][0][1]['url'] for batch in slot.q.iter()]
        rule.release()
    text = crawls.end(crawl)
    assert slot.q.list() == [], text
    pages = crawls.project.collections.get_store('pages')
    assert sorted(int(page['_key']) for page in pages.iter()) == [1, 2, 3]
