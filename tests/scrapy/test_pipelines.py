from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from scrapy import Spider
from scrapy.exceptions import NotConfigured
from scrapy.utils.test import get_crawler

from scrapinghub.sandbox import Sandbox
from scrapinghub.scrapy import CollectionPipeline
from support.crawls import Crawls

# Each crawl is a process that imports Scrapy.
pytestmark = pytest.mark.timeout(300)

BOOK = f'{__name__}.Book'


@dataclass
class Book:
    isbn: str


class Novel(Book):
    pass


def pipeline(cloud: Sandbox, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> CollectionPipeline:
    for name, value in cloud.environ.items():
        monkeypatch.setenv(name, value)
    return CollectionPipeline.from_crawler(get_crawler(Spider, {'SCRAPINGHUB_PROJECT': 123, **settings}))


@pytest.mark.parametrize(
    'settings',
    [
        {'SCRAPINGHUB_COLLECTION': 'books'},
        {'SCRAPINGHUB_COLLECTIONS': {Book: {'name': 'books'}}},
        {'SCRAPINGHUB_COLLECTIONS': {Book: 'books'}},
        {'SCRAPINGHUB_COLLECTIONS': {Book: {'name': 'books', 'key': 'isbn', 'typ': 's'}}},
        {'SCRAPINGHUB_COLLECTIONS': {Book: {'name': 'books', 'key': 'isbn', 'type': 'x'}}},
    ],
)
def test_a_wrong_setting_is_refused(cloud: Sandbox, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match='collection'):
        pipeline(cloud, monkeypatch, **settings)


def test_without_a_collection_the_pipeline_is_disabled(cloud: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotConfigured, match='SCRAPINGHUB_COLLECTION'):
        pipeline(cloud, monkeypatch)


def test_items_are_stored_in_the_collection_of_their_class(crawls: Crawls) -> None:
    code = """
        from dataclasses import dataclass

        @dataclass
        class Book:
            isbn: str
            title: str

        class Novel(Book):
            pass

        class Books(scrapy.Spider):
            name = 'books'
            start_urls = ['data:,x']
            custom_settings = {
                'ITEM_PIPELINES': {'scrapinghub.scrapy.CollectionPipeline': 300},
                'SCRAPINGHUB_COLLECTION': 'others',
                'SCRAPINGHUB_COLLECTION_KEY': 'id',
                'SCRAPINGHUB_COLLECTIONS': {Book: {'name': 'books', 'key': 'isbn', 'type': 'vs'}},
            }

            def parse(self, response):
                yield Book('1', 'Emma')
                yield Novel('2', 'Walden')
                yield {'id': 7, 'name': 'Austen'}
                yield {'name': 'without a key'}
    """
    text = crawls.run(code)
    collections = crawls.project.collections
    assert list(collections.get_versioned_store('books').iter()) == [
        {'_key': '1', 'isbn': '1', 'title': 'Emma'},
        {'_key': '2', 'isbn': '2', 'title': 'Walden'},
    ]
    assert list(collections.get_store('others').iter()) == [{'_key': '7', 'id': 7, 'name': 'Austen'}]
    assert "should have the field 'id'" in text
    [job] = crawls.jobs()
    assert len(list(job.items.iter())) == 3


def test_the_pipeline_works_where_the_platform_stores_the_job(crawls: Crawls) -> None:
    job = crawls.project.jobs.run('books', meta={'state': 'running'})
    environ = {
        'SHUB_FIFO_PATH': 'pipe',
        'SHUB_JOBKEY': job.key,
        'SHUB_JOBAUTH': f'{job.key}:{job.metadata.get("auth")}'.encode().hex(),
        'SH_APIKEY': '',
        'SCRAPINGHUB_PROJECT': '',
    }
    code = """
        class Books(scrapy.Spider):
            name = 'books'
            start_urls = ['data:,Emma']
            custom_settings = {
                'ITEM_PIPELINES': {'scrapinghub.scrapy.CollectionPipeline': 300},
                'SCRAPINGHUB_COLLECTION': 'books',
                'SCRAPINGHUB_COLLECTION_KEY': 'title',
            }

            def parse(self, response):
                yield {'title': response.text}
    """
    text = crawls.run(code, environ=environ)
    assert [book['_key'] for book in crawls.project.collections.get_store('books').iter()] == ['Emma'], text
    assert list(job.items.iter()) == []
