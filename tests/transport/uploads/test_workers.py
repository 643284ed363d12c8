"""Writers and threads: one that hangs delays no other, producers lose nothing, threads end with their client."""

from __future__ import annotations

import _thread
import gc
import logging
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from scrapinghub.exceptions import UploadError
from scrapinghub.transport.uploads.pool import PER_HOST
from scrapinghub.transport.uploads.uploader import Uploader, WriterOptions
from support.scripted_server import Reply, Server, reply
from support.storage import Fault, Post, Storage, failing, lost_answer
from support.transports import in_real_time

ITEMS = ('items', 1, 2, 3)
PATH = '/items/1/2/3'
NAME = 'scrapinghub-upload'


def uploaders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def left_in_the_end(number: int) -> bool:
    """Return whether no more threads than this are left after a while."""
    deadline = time.monotonic() + 10
    while len(uploaders()) > number and time.monotonic() < deadline:
        for thread in uploaders():
            thread.join(0.1)
    return len(uploaders()) <= number


def waiting_for(event: threading.Event) -> Fault:
    def wait(post: Post) -> None:
        event.wait(10)

    return wait


@pytest.fixture(autouse=True)
def no_threads_outlive_a_test() -> Iterator[None]:
    assert left_in_the_end(0)
    yield
    assert left_in_the_end(0)


@pytest.fixture
def uploader(server: Server) -> Iterator[Uploader]:
    uploader = Uploader(in_real_time(server))
    yield uploader
    uploader.close(10)


def test_no_thread_before_the_first_record(uploader: Uploader) -> None:
    writer = uploader.writer(ITEMS, WriterOptions())
    writer.flush()
    assert not uploaders()
    writer.write({})
    assert len(uploaders()) == 1
    uploader.close()
    assert not uploaders()


def test_one_writer_has_one_thread(uploader: Uploader, storage: Storage, server: Server) -> None:
    writer = uploader.writer(ITEMS, WriterOptions(size=10))
    most = 0
    for number in range(200):
        writer.write(number)
        most = max(most, len(uploaders()))
    writer.flush()
    assert (most, server.connections) == (1, 1)
    assert storage.stored(PATH) == list(range(200))


def test_many_writers_share_a_few_threads(uploader: Uploader, storage: Storage, server: Server) -> None:
    writers = [uploader.writer(('items', n), WriterOptions()) for n in range(20)]
    for round_ in range(3):
        for writer in writers:
            writer.write(round_)
    uploader.flush()
    assert len(uploaders()) <= PER_HOST + 1
    assert server.connections <= PER_HOST
    assert all(storage.stored(f'/items/{n}') == [0, 1, 2] for n in range(20))


def test_a_url_that_hangs_delays_no_other(uploader: Uploader, storage: Storage, server: Server) -> None:
    hold = threading.Event()
    storage.before = lambda post: Reply(b'', close=True, hold=hold) if post.path == '/dead' else None
    dead = uploader.writer('dead', WriterOptions(size=1))
    good = uploader.writer('good', WriterOptions(interval=0.05))
    dead.write(0)
    assert server.wait_until(lambda: len(server.requests) == 1)
    # Nobody flushes, nobody writes again: the interval alone has to be kept.
    good.write(0)
    assert server.wait_until(lambda: len(server.requests) == 2, timeout=5)
    assert [request.path for request in server.requests] == ['/dead', '/good']
    good.flush(5)
    storage.before = lambda post: None
    hold.set()
    uploader.flush(10)
    assert storage.stored('/dead') == [0]


def test_a_url_that_is_down_delays_no_other(uploader: Uploader, storage: Storage) -> None:
    storage.before = lambda post: reply(status=503) if post.path == '/dead' else None
    uploader.writer('dead', WriterOptions(size=1)).write(0)
    good = uploader.writer('good', WriterOptions())
    for n in range(20):
        good.write(n)
        good.flush(1)
    assert uploader.close(0.2) is False


def test_many_producers_and_a_short_queue(uploader: Uploader, storage: Storage) -> None:
    storage.after = failing(2, lost_answer)
    writer = uploader.writer(ITEMS, WriterOptions(size=7, qsize=10))
    numbers: dict[int, int] = {}

    def produce(producer: int) -> None:
        for n in range(40):
            value = producer * 1000 + n
            numbers[writer.write(value)] = value
            if n % 13 == 0:
                writer.flush(20)

    threads = [threading.Thread(target=produce, args=(producer,)) for producer in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    writer.flush(20)
    assert storage.stored(PATH) == [numbers[number] for number in range(16 * 40)]


def test_a_full_queue_is_left_when_the_writer_fails_or_closes(uploader: Uploader, storage: Storage) -> None:
    proceed = threading.Event()

    def refuse(post: Post) -> Reply:
        proceed.wait(10)
        return reply(status=401)

    storage.before = refuse
    writer = uploader.writer(ITEMS, WriterOptions(size=2, qsize=2))
    failures: list[Exception] = []

    def produce() -> None:
        try:
            for _ in range(5):
                writer.write({})
        except UploadError as error:
            failures.append(error)

    threads = [threading.Thread(target=produce) for _ in range(4)]
    for thread in threads:
        thread.start()
    proceed.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert len(failures) == 4
    assert len(writer.take_back()) == 2


def test_taking_back_waits_for_the_post_under_way(uploader: Uploader, storage: Storage, server: Server) -> None:
    hold = threading.Event()
    storage.before = waiting_for(hold)
    writer = uploader.writer(ITEMS, WriterOptions(size=2))
    for n in range(3):
        writer.write(n)
    assert server.wait_until(lambda: len(server.requests) == 1)
    threading.Timer(0.05, hold.set).start()
    assert writer.take_back() == [2]
    assert writer.write('next') == 2
    writer.flush()
    assert storage.stored(PATH) == [0, 1, 'next']


def test_an_interrupted_flush_can_be_repeated(uploader: Uploader, storage: Storage) -> None:
    hold = threading.Event()
    storage.before = waiting_for(hold)
    writer = uploader.writer(ITEMS, WriterOptions())
    writer.write(0)
    threading.Timer(0.05, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        writer.flush(10)
    hold.set()
    assert writer.write(1) == 1
    writer.flush(10)
    assert storage.stored(PATH) == [0, 1]


def test_a_handler_of_our_log_lines_may_write(uploader: Uploader, storage: Storage) -> None:
    """The thread that sends must not wait for room in the queue that only it can empty."""
    storage.before = failing(1, lambda: reply(status=503))
    writer = uploader.writer(ITEMS, WriterOptions(size=2, qsize=2))

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            writer.write(record.levelname)

    handler = Handler(logging.INFO)
    logger = logging.getLogger('scrapinghub')
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        writer.write(0)
        writer.write(1)
        writer.flush(10)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    writer.flush(10)
    assert storage.stored(PATH) == [0, 1, 'INFO']


def test_dropping_the_uploader_sends_and_ends_the_thread(server: Server, storage: Storage) -> None:
    uploader = Uploader(in_real_time(server))
    uploader.writer(ITEMS, WriterOptions()).write(0)
    gone = weakref.ref(uploader)
    del uploader
    gc.collect()
    assert gone() is None
    assert server.wait_until(lambda: len(server.requests) == 1, timeout=5)
    assert left_in_the_end(0)
    assert storage.stored(PATH) == [0]


def test_a_writer_outlives_its_uploader(server: Server, storage: Storage) -> None:
    writer = Uploader(in_real_time(server)).writer(ITEMS, WriterOptions())
    gc.collect()
    assert writer.write(0) == 0
    writer.flush(10)
    assert writer.write(1) == 1
    assert writer.close(timeout=10)
    assert storage.stored(PATH) == [0, 1]


def test_an_uploader_that_failed_ends_its_thread_when_it_is_dropped(server: Server, storage: Storage) -> None:
    storage.before = lambda post: reply(status=401)
    uploader = Uploader(in_real_time(server))
    writer = uploader.writer(ITEMS, WriterOptions())
    writer.write(0)
    with pytest.raises(UploadError):
        writer.flush(10)
    del uploader
    gc.collect()
    assert left_in_the_end(0)
    assert writer.take_back() == [0]


def test_closing_ends_the_wait_of_all_the_others(server: Server, storage: Storage) -> None:
    storage.before = lambda post: reply(status=503)
    uploader = Uploader(in_real_time(server))
    writer = uploader.writer(ITEMS, WriterOptions(size=1, qsize=1))
    writer.write(0)
    ended: list[Any] = []

    def wait() -> None:
        try:
            writer.write(1)
        except AssertionError as error:
            ended.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    assert uploader.close(0.1) is False
    thread.join(10)
    assert ended == ['attempting writes to a closed writer']
    assert writer.take_back() == [0]


def test_the_same_key_is_never_undone_by_a_repeat(uploader: Uploader, storage: Storage, server: Server) -> None:
    options = WriterOptions(size=1, keyed=True)
    answer = threading.Event()
    lost = [True]

    def lose(post: Post) -> Reply | None:
        if lost:
            lost.clear()
            answer.wait(10)
            return lost_answer()
        return None

    storage.after = lose
    first = uploader.writer('store', options, shared=False)
    second = uploader.writer('store', options, shared=False)
    first.write({'_key': 'k', 'v': 'old'})
    assert server.wait_until(lambda: len(server.requests) == 1)
    second.write({'_key': 'k', 'v': 'new'})
    answer.set()
    uploader.flush(10)
    assert storage.records['store']['k']['v'] == 'new'
    assert [post.records[0]['v'] for post in storage.posts] == ['old', 'old', 'new']
