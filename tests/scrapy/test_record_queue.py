from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scrapinghub.exceptions import UploadError, ValueTooLarge
from scrapinghub.scrapy.record_queue import RecordQueue, read_records


class Writer:
    """A batch writer with room for some records."""

    def __init__(self, room: int = 0, start: int = 0) -> None:
        self.room = room
        self.start = start
        self.stored = 0
        self.records: list[Any] = []
        self.refuses = False

    @property
    def full(self) -> bool:
        return not self.room and not self.refuses

    @property
    def offset(self) -> int:
        return self.start + self.stored

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


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_records_pass_through_while_the_writer_has_room(tmp_path: Path) -> None:
    writer = Writer(room=2, start=7)
    queue = RecordQueue(writer, tmp_path, 'items')
    assert [queue.put({'n': n}) for n in range(2)] == [7, 8]
    assert (writer.records, queue.waiting) == ([{'n': 0}, {'n': 1}], 0)
    assert list(read_records(tmp_path, 'items')) == [(7, {'n': 0}), (8, {'n': 1})]
    queue.close()


def test_records_wait_in_the_file_and_keep_their_order(tmp_path: Path) -> None:
    writer = Writer(room=1)
    queue = RecordQueue(writer, tmp_path, 'logs')
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
    queue.close()


@pytest.mark.parametrize('max_file_bytes', [1, 30, 1000])
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_record_reaches_the_writer_once_and_in_order(
    tmp_path: Path, max_file_bytes: int, steps: list[tuple[int, int, int]]
) -> None:
    writer = Writer()
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    queue = RecordQueue(writer, folder, 'items', max_file_bytes=max_file_bytes)
    written = 0
    for puts, room, stored in steps:
        for _ in range(puts):
            assert queue.put({'n': written}) == written
            written += 1
        writer.room += room
        writer.stored = min(writer.stored + stored, len(writer.records))
        queue.move()
        numbers = [number for number, _ in read_records(folder, 'items')]
        # The files have all records that are not stored.
        assert numbers == list(range(numbers[0] if numbers else written, written))
        assert not numbers or numbers[0] <= writer.stored
    writer.room = written
    queue.move()
    assert [record['n'] for record in writer.records] == list(range(written))
    queue.close()


def test_a_file_is_deleted_when_its_records_are_stored(tmp_path: Path) -> None:
    writer = Writer(room=9)
    queue = RecordQueue(writer, tmp_path, 'items', max_file_bytes=1)
    for n in range(3):
        queue.put(n)
    assert files(tmp_path) == ['items-0.jl', 'items-1.jl', 'items-2.jl']
    writer.stored = 2
    queue.move()
    assert files(tmp_path) == ['items-2.jl']
    queue.close()


@pytest.mark.parametrize('waiting', [False, True])
def test_refused_records_stay_in_the_file(tmp_path: Path, waiting: bool) -> None:
    writer = Writer(room=1)
    queue = RecordQueue(writer, tmp_path, 'items')
    queue.put('stored')
    if waiting:
        queue.put('a')
    writer.refuses = True
    queue.move()
    queue.put('b')
    assert isinstance(queue.error, UploadError)
    assert [record for _, record in read_records(tmp_path, 'items')] == ['stored', *(['a'] if waiting else []), 'b']
    assert queue.waiting == 1 + waiting
    queue.close()


def test_half_a_line_at_the_end_is_left_out(tmp_path: Path) -> None:
    (tmp_path / 'items-9.jl').write_text('[9,"first"]\n')
    (tmp_path / 'items-10.jl').write_text('[10,"second"]\n[11,"ha')
    (tmp_path / 'logs-0.jl').write_text('[0,"a line"]\n')
    assert list(read_records(tmp_path, 'items')) == [(9, 'first'), (10, 'second')]
    assert list(read_records(tmp_path, 'samples')) == []


def test_a_record_that_cannot_be_stored_takes_no_number(tmp_path: Path) -> None:
    queue = RecordQueue(Writer(), tmp_path, 'items')
    with pytest.raises(ValueTooLarge):
        queue.put('x' * 2**20)
    with pytest.raises(ValueError, match='JSON'):
        queue.put(float('nan'))
    assert queue.put('good') == 0
    queue.close()


def test_a_full_disk_is_reported_and_does_not_raise(tmp_path: Path) -> None:
    queue = RecordQueue(Writer(), tmp_path / 'a folder that does not exist', 'items')
    assert [queue.put('a'), queue.put('b')] == [0, 1]
    assert isinstance(queue.error, OSError)
    queue.close()
