from __future__ import annotations

import json
from typing import Any

import pytest
from scrapy import FormRequest, Request, Spider
from scrapy.http import JsonRequest

from scrapinghub.scrapy.frontier_requests import from_queue, slot_of, to_queue


class Books(Spider):
    name = 'books'

    def parse_book(self, response: Any) -> None: ...

    def failed(self, failure: Any) -> None: ...


@pytest.fixture
def spider() -> Books:
    return Books()


def through(request: Request, spider: Spider) -> Request:
    queued = json.loads(json.dumps(to_queue(request, spider, b'\x01')))
    return from_queue(queued['fp'], queued['qdata'], spider)


def test_a_plain_request_is_queued_as_its_url(spider: Books) -> None:
    queued = to_queue(Request('https://books.example/a'), spider, b'\x01\xff')
    assert queued == {'fp': '01ff', 'p': 0, 'qdata': {'url': 'https://books.example/a'}}


@pytest.mark.parametrize('kind', [Request, FormRequest, JsonRequest])
def test_a_request_is_the_same_after_it_was_queued(spider: Books, kind: type[Request]) -> None:
    request = kind(
        'https://books.example/a',
        callback=spider.parse_book,
        errback=spider.failed,
        method='POST',
        headers={'X-Name': 'Café', 'Accept': ['a', 'b']},
        body=bytes(range(256)),
        cookies={'session': '1'},
        meta={'page': {'number': 3}},
        cb_kwargs={'title': 'Emma'},
        encoding='latin-1',
        dont_filter=True,
    )
    again = through(request, spider)
    for name in ('url', 'method', 'headers', 'body', 'cookies', 'meta', 'cb_kwargs', 'encoding', 'dont_filter'):
        assert getattr(again, name) == getattr(request, name), name
    assert (again.callback, again.errback) == (spider.parse_book, spider.failed)


def test_meta_of_this_crawl_is_left_out(spider: Books) -> None:
    request = Request('https://books.example/a', meta={'scrapinghub_work': 3, 'retry_times': 2, 'frontier_slot': '1'})
    assert to_queue(request, spider, b'')['qdata'] == {'url': 'https://books.example/a'}


@pytest.mark.parametrize(
    ('priority', 'meta', 'p'), [(0, {}, 0), (-3, {}, 3), (5, {}, 0), (-3, {'frontier_priority': 7}, 7)]
)
def test_a_low_priority_is_a_high_number(spider: Books, priority: int, meta: dict[str, Any], p: int) -> None:
    request = Request('https://books.example/a', priority=priority, meta=meta)
    assert to_queue(request, spider, b'')['p'] == p


@pytest.mark.parametrize(
    'options',
    [{'callback': print}, {'meta': {'page': object()}}, {'meta': {'page': (1, 2)}}, {'cb_kwargs': {'pages': {1: 2}}}],
)
def test_a_request_that_would_change_is_refused(spider: Books, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r'books\.example'):
        to_queue(Request('https://books.example/a', **options), spider, b'')


@pytest.mark.parametrize('data', [None, {'depth': 3}, {'url': 'https://books.example/a', '_class': 'os.system'}])
def test_requests_of_other_programs_are_read(spider: Books, data: Any) -> None:
    request = from_queue('https://books.example/a', data, spider)
    assert (type(request), request.url, request.callback) == (Request, 'https://books.example/a', None)


@pytest.mark.parametrize('data', [None, {'url': 'https://books.example/a', 'callback': 'parse_nothing'}])
def test_a_request_that_cannot_be_made_is_refused(spider: Books, data: Any) -> None:
    with pytest.raises(ValueError, match=r'0123456789|parse_nothing'):
        from_queue('0123456789', data, spider)


def test_all_urls_of_a_host_have_one_slot() -> None:
    slots = {slot_of(f'https://shop{number}.example/{number}', 4) for number in range(50)}
    assert slots == {'0', '1', '2', '3'}
    assert slot_of('https://a.example/1', 4) == slot_of('https://a.example/2', 4)
