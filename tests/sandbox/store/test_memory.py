"""Large data do not fill memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from scrapinghub.sandbox import Sandbox
from scrapinghub.sandbox.store import records
from scrapinghub.sandbox.store.packing import pack
from scrapinghub.sandbox.store.reading import PAGE_BYTES, ReadOptions
from scrapinghub.sandbox.store.record_kinds import ITEMS
from support.caller import Caller

COUNT = 5_000
JOB = (1, 1, 1)


def fill(cloud: Sandbox, count: int, text: str = '') -> None:
    """Store items of a new job."""
    with Caller(cloud.url, (cloud.apikey, '')) as caller:
        caller.push()
    for start in range(0, count, 5_000):
        items = [{'id': number, 'name': f'item {number}', 'text': text} for number in range(start, start + 5_000)]
        with cloud.store.write() as connection:
            records.write(connection, ITEMS, JOB, start, [(item, pack(item)) for item in items], 0)


@pytest.fixture(scope='module')
def cloud() -> Iterator[Sandbox]:
    with Sandbox(projects=[1]) as cloud:
        # 20 MB.
        fill(cloud, COUNT, 'x' * 4000)
        yield cloud


def test_reading_takes_memory_for_one_page_only(cloud: Sandbox) -> None:
    tracemalloc.start()
    try:
        total = sum(len(page) for page in records.pages(cloud.store, ITEMS, JOB, ReadOptions()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == COUNT
    assert peak < 4 * 1024 * 1024


def test_large_records_make_short_pages() -> None:
    with Sandbox(projects=[1]) as cloud:
        item = {'x': 'a' * 300_000}
        with cloud.store.write() as connection:
            records.write(connection, ITEMS, JOB, 0, [(item, pack(item))] * 20, 0)
        pages = list(records.pages(cloud.store, ITEMS, JOB, ReadOptions()))
    assert sum(len(page) for page in pages) == 20
    assert all(sum(len(row[2]) for row in page) < 2 * PAGE_BYTES for page in pages)


def test_reading_the_end_reads_nothing_else(cloud: Sandbox) -> None:
    start = records.Position(1, 1, COUNT - 1)
    pages = list(records.pages(cloud.store, ITEMS, JOB, ReadOptions(), start=start))
    assert [[row[0] for row in page] for page in pages] == [[b'1/1/1/%d' % (COUNT - 1)]]
    first = next(records.pages(cloud.store, ITEMS, JOB, ReadOptions(count=5)))
    assert len(first) == 5
