"""Sources that threads read ahead: the order, errors, and the end of the threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain

import pytest

from scrapinghub.export.read_ahead import read_ahead


def source(*blocks: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter(blocks)


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == 'scrapinghub-download']


def wait_for_the_end_of_workers() -> None:
    for thread in workers():
        thread.join(30)
    assert not workers()


@pytest.mark.parametrize('max_workers', [1, 2, 3, 20])
@pytest.mark.parametrize('count', [0, 1, 2, 7, 40])
def test_blocks_are_in_the_order_of_the_sources(max_workers: int, count: int) -> None:
    sources = [source(*(b'%d.%d' % (number, block) for block in range(number % 4))) for number in range(count)]
    found = [list(blocks) for blocks in read_ahead(sources, max_workers)]
    assert found == [list(read()) for read in sources]
    wait_for_the_end_of_workers()


def test_so_many_sources_are_read_at_the_same_time() -> None:
    barrier = threading.Barrier(3)

    def read() -> Iterator[bytes]:
        # Breaks unless three threads arrive.
        barrier.wait(30)
        yield b'x'

    assert [list(blocks) for blocks in read_ahead([read] * 6, 3)] == [[b'x']] * 6


def test_one_worker_calls_a_source_when_its_turn_has_come() -> None:
    calls: list[str] = []

    def read(name: str) -> Iterator[bytes]:
        calls.append(name)
        return iter(())

    for blocks in read_ahead([lambda: read('a'), lambda: read('b')], 1):
        calls.append('next')
        assert list(blocks) == []
    assert calls == ['a', 'next', 'b', 'next']


def test_an_error_is_raised_after_the_blocks_before_it() -> None:
    def fail() -> Iterator[bytes]:
        yield b'good'
        raise ValueError('broken')

    found: list[bytes] = []
    with (
        pytest.raises(ValueError, match='broken'),
        closing(read_ahead([source(b'a'), fail, source(b'b')], 2)) as reading,
    ):
        found.extend(chain.from_iterable(reading))
    assert found == [b'a', b'good']
    wait_for_the_end_of_workers()


def test_memory_is_bounded_while_the_first_source_is_slow() -> None:
    produced: list[int] = []
    release = threading.Event()

    def slow() -> Iterator[bytes]:
        release.wait(30)
        yield b'slow'

    def quick() -> Iterator[bytes]:
        for number in range(1000):
            produced.append(number)
            yield b'quick'
            if number == 100:
                release.set()

    reading = read_ahead([slow, quick], 2)
    assert list(next(reading)) == [b'slow']
    assert len(produced) < 200
    assert len(list(next(reading))) == 1000


def test_threads_end_when_the_consumer_stops() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b'x'

    reading = read_ahead([endless] * 5, 2)
    assert next(next(reading)) == b'x'
    reading.close()
    wait_for_the_end_of_workers()
