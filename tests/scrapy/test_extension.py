"""Crawls of the real Scrapy become jobs, whatever happens to the storage and to the process."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from scrapinghub.sandbox import Sandbox
from support.crawls import PROJECT, REACTORS, Crawls
from support.scripted_server import Server

# Each crawl is a process that imports Scrapy.
pytestmark = pytest.mark.timeout(300)

BOOKS = """
    from dataclasses import dataclass

    @dataclass
    class Book:
        title: str

    class Books(scrapy.Spider):
        name = 'books'

        def __init__(self, url, **arguments):
            super().__init__(**arguments)
            self.url, self.start_urls = url, [f'{url}/list']

        def parse(self, response):
            self.logger.info('A list of %s', 'books')
            yield Book('Emma')
            yield {'title': b'Walden', 'pages': [(1, 2)]}
            for path in ('/redirect', '/404'):
                yield scrapy.Request(self.url + path, self.parse_page)
            yield scrapy.Request(f'{self.url}/broken', self.parse_broken)

        def parse_page(self, response):
            yield scrapy.Request(f'{self.url}/last', self.parse_last)

        def parse_last(self, response):
            pass

        def parse_broken(self, response):
            raise ValueError('a broken page')
"""
# Pages 1, 2, 3, ... with some items each.
PAGES = """
    class Pages(scrapy.Spider):
        name = 'pages'
        custom_settings = {'CONCURRENT_REQUESTS': 1}

        def __init__(self, url, last=10**9, items=1, **arguments):
            super().__init__(**arguments)
            self.url, self.last, self.items = url, int(last), int(items)
            self.start_urls = [f'{url}/page1']

        def parse(self, response):
            page = int(response.url.rpartition('page')[2])
            if page < self.last:
                yield scrapy.Request(f'{self.url}/page{page + 1}')
            for number in range(self.items):
                yield {'number': (page - 1) * self.items + number}
"""


def by_url(records: list[Any], base: str) -> dict[str, Any]:
    return {record['url'].removeprefix(base): record for record in records}


@pytest.mark.parametrize('reactor', REACTORS)
def test_a_crawl_is_stored_as_a_job(crawls: Crawls, web: Server, reactor: str) -> None:
    text = crawls.run(BOOKS, '-a', f'url={web.url}', settings={'TWISTED_REACTOR': reactor})
    [job] = crawls.jobs()
    metadata = dict(job.metadata.iter())
    assert (metadata['state'], metadata['close_reason']) == ('finished', 'finished'), text
    assert metadata['spider_args'] == {'url': web.url}
    assert metadata['scrapystats']['item_scraped_count'] == 2
    assert isinstance(metadata['scrapystats']['finish_time'], float)

    assert list(job.items.iter()) == [
        {'title': 'Emma', '_type': 'Book'},
        {'title': 'Walden', 'pages': [[1, 2]], '_type': 'dict'},
    ]
    requests = list(job.requests.iter())
    found = by_url(requests, web.url)
    assert {path: record['status'] for path, record in found.items()} == {
        '/list': 200, '/redirect': 302, '/404': 404, '/broken': 200, '/target': 200, '/last': 200,
    }  # fmt: skip
    parents = {path: record.get('parent') for path, record in found.items()}
    number = {record['url'].removeprefix(web.url): number for number, record in enumerate(requests)}
    assert parents['/list'] is None
    assert parents['/redirect'] == parents['/404'] == parents['/broken'] == number['/list']
    assert parents['/target'] == number['/redirect']
    assert parents['/last'] == number['/target']
    assert {(record['method'], len(record['fp'] or '')) for record in requests} == {('GET', 40)}

    log = list(job.logs.iter())
    messages = [line['message'] for line in log]
    assert '[books] A list of books' in messages
    assert messages[-1] == '[scrapy.core.engine] Spider closed (finished)'
    [error] = [line['message'] for line in log if line['level'] == 40]
    assert error.startswith('[scrapy.core.scraper] Spider error')
    assert error.endswith('ValueError: a broken page')
    assert [len(sample) for sample in job.samples.iter()] == [4, 4]
    assert list(crawls.spools.iterdir()) == []


def test_a_second_crawl_with_the_same_arguments_is_another_job(crawls: Crawls, web: Server) -> None:
    first = crawls.start(PAGES, '-a', f'url={web.url}')
    assert web.wait_until(lambda: len(web.requests) > 3, 60)
    crawls.run(PAGES, '-a', f'url={web.url}', '-s', 'CLOSESPIDER_ITEMCOUNT=3')
    first.send_signal(signal.SIGINT)
    text = crawls.end(first)
    assert [job.metadata['close_reason'] for job in crawls.jobs()] == ['shutdown', 'closespider_itemcount'], text


@pytest.mark.parametrize(('reactor', 'fault'), [*zip(REACTORS, ({'hold': True}, {'status': 503}), strict=True)])
def test_downloads_continue_while_the_storage_is_slow_or_away(
    crawls: Crawls, web: Server, cloud: Sandbox, reactor: str, fault: dict[str, Any]
) -> None:
    rule = cloud.faults.add(method='POST', path='/*s/*', times=None, **fault)
    crawl = crawls.start(
        PAGES, '-a', f'url={web.url}', '-a', 'items=100', '-a', 'last=30', settings={'TWISTED_REACTOR': reactor}
    )
    # The writer of the items has room for 2000.
    assert web.wait_until(lambda: len(web.requests) > 25, 60)
    cloud.faults.remove(rule)
    text = crawls.end(crawl)
    [job] = crawls.jobs()
    assert job.metadata['close_reason'] == 'finished', text
    assert sorted(item['number'] for item in job.items.iter()) == list(range(3000))


def test_a_killed_crawl_is_stored_by_the_next_one(crawls: Crawls, web: Server, cloud: Sandbox) -> None:
    away = cloud.faults.add(method='POST', path='/*s/*', times=None, status=503)
    crawl = crawls.start(PAGES, '-a', f'url={web.url}', '-a', 'items=100')
    assert web.wait_until(lambda: len(web.requests) > 25, 60)
    crawls.kill(crawl)
    [killed] = crawls.jobs()
    assert killed.metadata['state'] == 'running'
    cloud.faults.remove(away)
    text = crawls.run(PAGES, '-a', f'url={web.url}', '-a', 'last=1')
    assert [job.metadata['close_reason'] for job in crawls.jobs()] == ['failed', 'finished'], text
    numbers = [item['number'] for item in killed.items.iter()]
    assert len(numbers) > 2000
    assert sorted(numbers) == list(range(len(numbers)))
    # The last answer may have been on its way when the process was killed.
    assert len(web.requests) - 2 <= len(list(killed.requests.iter())) <= len(web.requests) - 1
    assert list(crawls.spools.iterdir()) == []


def test_refused_records_stop_the_crawl_and_the_next_one_stores_them(
    crawls: Crawls, web: Server, cloud: Sandbox
) -> None:
    cloud.faults.add(method='POST', path='/items/*', times=None, status=403, body='no more today')
    text = crawls.run(PAGES, '-a', f'url={web.url}', '-a', 'items=1500')
    assert 'no more today' in text
    [job] = crawls.jobs()
    assert job.metadata['close_reason'] == 'results_not_stored'
    [folder] = crawls.spools.iterdir()
    assert str(folder) in text
    cloud.faults.clear()
    crawls.run(PAGES, '-a', f'url={web.url}', '-a', 'last=1')
    numbers = [item['number'] for item in job.items.iter()]
    assert sorted(numbers) == list(range(1500 * round(len(numbers) / 1500)))
    assert job.metadata['close_reason'] == 'results_not_stored'


def test_a_cancelled_job_stops_its_crawl(crawls: Crawls, web: Server) -> None:
    crawl = crawls.start(PAGES, '-a', f'url={web.url}', settings={'SCRAPINGHUB_SAMPLE_INTERVAL': 0.2})
    assert web.wait_until(lambda: len(web.requests) > 3, 60)
    [job] = crawls.jobs()
    job.cancel()
    text = crawls.end(crawl)
    assert (job.metadata['state'], job.metadata['close_reason']) == ('finished', 'cancelled'), text


@pytest.mark.soak  # it waits for the time-outs of Scrapy, which a busy machine misses
def test_a_second_ctrl_c_ends_the_process_while_the_storage_is_away(
    crawls: Crawls, web: Server, cloud: Sandbox
) -> None:
    cloud.faults.add(method='POST', path='/*s/*', times=None, status=503)
    crawl = crawls.start(PAGES, '-a', f'url={web.url}')
    assert web.wait_until(lambda: len(web.requests) > 3, 60)
    crawl.send_signal(signal.SIGINT)
    assert crawl.stderr is not None
    while 'Spider closed (shutdown)' not in (line := crawl.stderr.readline()):
        assert line
    began = time.monotonic()
    crawl.send_signal(signal.SIGINT)
    said = crawls.end(crawl)
    assert time.monotonic() - began < 10
    # The records are on disk.
    assert 'Traceback' not in said
    assert 'were not stored' not in said
    assert 'The process ends before all of job' in said
    cloud.faults.clear()
    crawls.run(PAGES, '-a', f'url={web.url}', '-a', 'last=1')
    left, _ = jobs = crawls.jobs()
    assert [job.metadata['close_reason'] for job in jobs] == ['failed', 'finished']
    numbers = [item['number'] for item in left.items.iter()]
    assert len(numbers) >= 3
    assert numbers == list(range(len(numbers)))


def test_a_crawl_without_a_job_is_stopped(crawls: Crawls, web: Server) -> None:
    text = crawls.run(PAGES, '-a', f'url={web.url}', environ={'SH_APIKEY': 'wrong'})
    assert 'job_not_created' in text
    assert len(web.requests) == 0
    assert list(crawls.spools.iterdir()) == []


def test_nothing_is_stored_where_the_platform_does(crawls: Crawls, web: Server, tmp_path: Path) -> None:
    environ = {'SHUB_FIFO_PATH': str(tmp_path / 'pipe'), 'SHUB_JOBKEY': f'{PROJECT}/1/1'}
    text = crawls.run(PAGES, '-a', f'url={web.url}', '-a', 'last=1', environ=environ)
    assert 'Spider closed (finished)' in text
    assert text.count('the add-on stores none') == 1
    assert len(crawls.cloud.requests) == 0


def test_a_given_job_is_written_to_with_its_own_credentials(crawls: Crawls, web: Server) -> None:
    job = crawls.project.jobs.run('pages', meta={'state': 'running'})
    job.logs.info('Written by the runner')
    job.close_writers()
    environ = {'SHUB_JOBKEY': job.key, 'SHUB_JOBAUTH': f'{job.key}:{job.metadata.get("auth")}'.encode().hex()}
    text = crawls.run(PAGES, '-a', f'url={web.url}', '-a', 'last=2', environ={**environ, 'SCRAPINGHUB_PROJECT': ''})
    assert [job.key for job in crawls.jobs()] == [job.key], text
    assert [item['number'] for item in job.items.iter()] == [0, 1]
    messages = [line['message'] for line in job.logs.iter()]
    assert (messages[0], messages[-1]) == ('Written by the runner', '[scrapy.core.engine] Spider closed (finished)')
    metadata = dict(job.metadata.iter())
    # Whoever started the job finishes it.
    assert (metadata['state'], metadata['close_reason']) == ('running', 'finished')
    assert metadata['scrapystats']['item_scraped_count'] == 2
