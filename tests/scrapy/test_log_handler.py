from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from scrapy import Spider
from scrapy.crawler import Crawler
from scrapy.utils.test import get_crawler

from scrapinghub.scrapy.log_handler import LogHandler

logger = logging.getLogger('books')


class Loop:
    """An event loop that runs when it is asked to."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], object]] = []

    def call_from_thread(self, function: Callable[[], object]) -> None:
        self.calls.append(function)

    def run(self) -> None:
        while self.calls:
            self.calls.pop(0)()


@pytest.fixture
def crawler() -> Crawler:
    return get_crawler(Spider, {'LOG_LEVEL': 'INFO'})


@pytest.fixture
def handler(crawler: Crawler) -> Iterator[LogHandler]:
    logger.setLevel(logging.DEBUG)
    handler = LogHandler(crawler)
    handler.install()
    yield handler
    handler.stop()
    logger.setLevel(logging.NOTSET)


def started(handler: LogHandler) -> tuple[Loop, list[str]]:
    loop, messages = Loop(), []
    handler.start(lambda record: messages.append(record['message']), loop)  # type: ignore[arg-type]
    return loop, messages


def test_lines_from_before_the_job_are_kept(handler: LogHandler) -> None:
    logger.info('early')
    _, messages = started(handler)
    logger.warning('late')
    logger.debug('too low')
    assert messages == ['[books] early', '[books] late']


def test_lines_of_other_threads_pass_through_the_event_loop(handler: LogHandler) -> None:
    loop, messages = started(handler)
    thread = threading.Thread(target=logger.info, args=('from a thread',))
    thread.start()
    thread.join()
    assert messages == []
    loop.run()
    assert messages == ['[books] from a thread']


def test_a_line_that_is_written_while_a_line_is_stored_waits(handler: LogHandler) -> None:
    loop = Loop()
    messages: list[str] = []

    def put(record: Any) -> None:
        if not messages:
            logger.info('nested')
        messages.append(record['message'])

    handler.start(put, loop)  # type: ignore[arg-type]
    logger.info('outer')
    loop.run()
    assert messages == ['[books] outer', '[books] nested']


def test_lines_about_uploads_are_left_out_below_info(handler: LogHandler) -> None:
    handler.setLevel(logging.DEBUG)
    _, messages = started(handler)
    for name in ('scrapinghub.transport', 'urllib3.connectionpool'):
        uploads = logging.getLogger(name)
        before, uploads.level = uploads.level, logging.DEBUG
        uploads.debug('POST')
        uploads.warning('away')
        uploads.setLevel(before)
    logger.debug('own')
    assert messages == ['[scrapinghub.transport] away', '[urllib3.connectionpool] away', '[books] own']


def test_lines_of_another_crawl_are_left_out(handler: LogHandler, crawler: Crawler) -> None:
    _, messages = started(handler)
    logger.info('another', extra={'crawler': get_crawler(Spider)})
    logger.info('own', extra={'crawler': crawler})
    assert messages == ['[books] own']


@pytest.mark.parametrize(
    ('settings', 'level'),
    [({}, 'INFO'), ({'LOG_LEVEL': 'DEBUG'}, 'DEBUG'), ({'LOG_LEVEL': 30}, 'WARNING')],
)
def test_the_level_is_that_of_the_project_or_of_the_platform(settings: dict[str, Any], level: str) -> None:
    assert logging.getLevelName(LogHandler(get_crawler(Spider, settings)).level) == level


def test_a_crawl_that_never_starts_leaves_no_handler() -> None:
    def installed() -> int:
        return sum(isinstance(handler, LogHandler) for handler in logging.getLogger().handlers)

    crawler = get_crawler(Spider)
    LogHandler(crawler).install()
    assert installed() == 1
    alive = weakref.ref(crawler)
    del crawler
    gc.collect()
    if alive() is not None:
        pytest.skip('this Scrapy keeps a crawler that never starts: a log handler of its own refers to it')
    assert installed() == 0
