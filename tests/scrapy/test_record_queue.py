from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scrapinghub.exceptions import UploadError, ValueTooLarge
from scrapinghub.scrapy.record_queue import RecordQueue, read_records


class Writer:
    """A batch writer with room for some records."""

    def __init__(self, room: int = 0, start: int = 0) -> None:
        self.room = room
        self.start = start
        self.records: list[Any] = []
        self.refuses = False

    @property
    def full(self) -> bool:
        return not self.room and not self.refuses

    @property
    def next_number(self) -> int:
        return self.start + len(self.records)

    def write(self, record: Any) -> int:
        assert self.room or self.refuses, 'the event loop would wait'
        if self.refuses:
            raise UploadError('refused', records=[])
        self.room -= 1
        self.records.append(record)
        return self.next_number - 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'logs.jl'


def test_records_pass_through_while_the_writer_has_room(path: Path) -> None:
    writer = Writer(room=2, start=7)
    queue = RecordQueue(writer, path)
    assert [queue.put({'n': n}) for n in range(2)] == [7, 8]
    assert writer.records == [{'n': 0}, {'n': 1}]
    assert not path.exists()


def test_records_wait_in_the_file_and_keep_their_order(path: Path) -> None:
    writer = Writer(room=1)
    queue = RecordQueue(writer, path)
    assert [queue.put(n) for n in range(4)] == [0, 1, 2, 3]
    assert queue.waiting == 3
    writer.room = 2
    # Those in the file are first, although there is room.
    assert queue.put(4) == 4
    queue.move()
    assert (writer.records, queue.waiting) == ([0, 1, 2], 2)
    writer.room = 10
    queue.move()
    assert queue.put(5) == 5
    assert writer.records == [0, 1, 2, 3, 4, 5]
    assert path.stat().st_size == 0
    queue.close()


def test_the_file_is_used_again_after_it_was_emptied(path: Path) -> None:
    writer = Writer()
    queue = RecordQueue(writer, path)
    for n in range(3):
        queue.put(n)
        writer.room = 1
        queue.move()
    assert writer.records == [0, 1, 2]
    queue.close()


def test_refused_records_stay_in_the_file(path: Path) -> None:
    writer = Writer(room=1)
    queue = RecordQueue(writer, path)
    queue.put('stored')
    writer.refuses = True
    assert [queue.put('a'), queue.put('b')] == [1, 2]
    queue.move()
    assert isinstance(queue.error, UploadError)
    assert (queue.waiting, list(read_records(path, 1))) == (2, ['a', 'b'])
    queue.close()


def test_a_record_that_is_refused_when_it_is_moved_stays(path: Path) -> None:
    writer = Writer()
    queue = RecordQueue(writer, path)
    queue.put('a')
    writer.refuses = True
    queue.move()
    assert isinstance(queue.error, UploadError)
    assert list(read_records(path, 0)) == ['a']
    queue.close()


def test_what_the_spool_has_is_not_read_again(path: Path) -> None:
    queue = RecordQueue(Writer(), path)
    for n in range(4):
        queue.put({'n': n})
    queue.close()
    assert list(read_records(path, 2)) == [{'n': 2}, {'n': 3}]


def test_half_a_line_at_the_end_is_left_out(path: Path) -> None:
    path.write_text(json.dumps([0, 'whole']) + '\n[1, "ha')
    assert list(read_records(path, 0)) == ['whole']
    assert list(read_records(path.with_name('absent'), 0)) == []


def test_a_record_that_cannot_be_stored_takes_no_number(path: Path) -> None:
    queue = RecordQueue(Writer(), path)
    with pytest.raises(ValueTooLarge):
        queue.put('x' * 2**20)
    with pytest.raises(ValueError, match='JSON'):
        queue.put(float('nan'))
    assert queue.put('good') == 0
    queue.close()


def test_a_full_disk_is_reported_and_does_not_raise(path: Path) -> None:
    queue = RecordQueue(Writer(), path / 'in a folder that does not exist')
    assert [queue.put('a'), queue.put('b')] == [0, 1]
    assert isinstance(queue.error, OSError)
    assert queue.waiting == 0
