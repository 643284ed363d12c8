"""The buffer against a model of it: whatever happens, each record is held, stored or set aside, once and in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scrapinghub.transport.uploads import buffer as module
from scrapinghub.transport.uploads.buffer import Buffer


def test_numbers_follow_the_start() -> None:
    buffer = Buffer(7)
    assert [buffer.append(text) for text in 'ab'] == [7, 8]
    assert (buffer.offset, buffer.next_number, len(buffer), buffer.held_bytes) == (7, 9, 2, 2)


def test_a_batch_is_bounded_by_size() -> None:
    buffer = Buffer()
    big = 'x' * (module.BATCH_BYTES // 3)
    for _ in range(5):
        buffer.append(big)
    assert len(buffer.batch(1000)) == 2
    assert buffer.ready(1000)
    assert not buffer.full(1000)
    assert len(buffer.batch(1)) == 1


def test_one_record_goes_whatever_its_size() -> None:
    buffer = Buffer()
    buffer.append('x' * (module.BATCH_BYTES + 1))
    buffer.append('y')
    assert len(buffer.batch(1000)) == 1


def test_it_is_full_by_size_too() -> None:
    buffer = Buffer()
    while not buffer.full(1000):
        buffer.append('x' * module.BATCH_BYTES)
    assert len(buffer) == module.HELD_BYTES // module.BATCH_BYTES


@given(st.sets(st.integers(0, 39)), st.integers(1, 40), st.integers(1, 12))
def test_dividing_finds_exactly_the_refused_records(bad: set[int], count: int, size: int) -> None:
    buffer = Buffer()
    for number in range(count):
        buffer.append(str(number))
    stored: list[str] = []
    posts = 0
    while len(buffer):
        batch = buffer.batch(size)
        assert 1 <= len(batch) <= size
        posts += 1
        if bad & set(map(int, batch)):
            buffer.refuse(len(batch))
        else:
            stored += batch
            buffer.stored(len(batch))
    refused = [text for _, text in buffer.refused]
    assert refused == [str(n) for n in range(count) if n in bad]
    assert stored == [str(n) for n in range(count) if n not in bad]
    assert buffer.offset == count
    assert buffer.held_bytes == 0
    assert posts <= count // size + 1 + len(refused) * 2 * size.bit_length()


@given(st.lists(st.sampled_from(['append', 'store', 'refuse', 'take', 'disown']), max_size=60), st.integers(1, 5))
def test_it_behaves_like_a_list(steps: list[str], size: int) -> None:
    buffer = Buffer(3)
    model: list[str] = []
    aside: list[str] = []
    offset, made = 3, 0
    for step in steps:
        if step == 'append':
            made += 1
            assert buffer.append(str(made)) == offset + len(model)
            model.append(str(made))
        elif step == 'take':
            assert buffer.peek() == aside + model
            assert buffer.take() == aside + model
            model, aside = [], []
        elif step == 'disown':
            buffer.disown()
            offset += len(model)
            model, aside = [], []
        elif model:
            batch = buffer.batch(size)
            assert batch == model[: len(batch)]
            if step == 'store':
                buffer.stored(len(batch))
            elif not buffer.refuse(len(batch)):
                continue
            else:
                aside += batch
            del model[: len(batch)]
            offset += len(batch)
        assert (buffer.offset, len(buffer)) == (offset, len(model))
        assert buffer.held_bytes == sum(map(len, model))
