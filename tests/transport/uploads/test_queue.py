"""The write queue against a model: each record is queued, stored or refused, once and in order."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scrapinghub.transport.uploads import batch as batch_module
from scrapinghub.transport.uploads import queue as module
from scrapinghub.transport.uploads.batch import Batch, Taken
from scrapinghub.transport.uploads.options import WriterOptions
from scrapinghub.transport.uploads.queue import WriteQueue
from scrapinghub.transport.uploads.schedule import next_queue

REFUSED = ValueError('refused')


def make_queue(start: int = 0, **options: Any) -> WriteQueue:
    return WriteQueue('http://storage.example/items/1/2/3', WriterOptions(**options), start=start)


def begin(queue: WriteQueue) -> Batch:
    attempts: Any = object()
    return queue.begin(object(), lambda: attempts)


def test_numbers_follow_the_start() -> None:
    queue = make_queue(7)
    assert [queue.extend([text]) for text in 'ab'] == [7, 8]
    assert (queue.offset, queue.next_number, queue.undelivered, queue.held_bytes) == (7, 9, 2, 2)


def test_a_batch_is_bounded_by_size() -> None:
    queue = make_queue()
    big = 'x' * (batch_module.BATCH_BYTES // 3)
    queue.extend([big] * 5)
    assert queue.ready
    assert not queue.full
    assert len(begin(queue).texts) == 2


def test_one_record_is_sent_whatever_its_size() -> None:
    queue = make_queue()
    queue.extend(['x' * (batch_module.BATCH_BYTES + 1), 'y'])
    assert len(begin(queue).texts) == 1


def test_a_queue_is_full_by_size_too() -> None:
    queue = make_queue()
    while not queue.full:
        queue.extend(['x' * batch_module.BATCH_BYTES])
    assert queue.undelivered == module.QUEUE_BYTES // batch_module.BATCH_BYTES


def test_a_record_is_added_quietly_only_if_no_worker_needs_to_know() -> None:
    queue = make_queue(size=5)
    assert queue.append_quietly('a') is None
    queue.extend(['a'])
    queue.watched = True
    assert [queue.append_quietly('b') for _ in range(4)] == [1, 2, 3, None]
    begin(queue)
    # After the batch the worker looks at the queue again, so only a full queue matters.
    assert [queue.append_quietly('b') for _ in range(7)] == [4, 5, 6, 7, 8, 9, None]


@given(st.sets(st.integers(0, 39)), st.integers(1, 40), st.integers(1, 12))
def test_dividing_finds_exactly_the_refused_records(bad: set[int], count: int, size: int) -> None:
    queue = make_queue(size=size, keyed=True)
    queue.extend([str(number) for number in range(count)])
    stored: list[str] = []
    posts = 0
    while queue.sendable:
        batch = begin(queue)
        assert 1 <= len(batch.texts) <= size
        posts += 1
        if not bad & set(map(int, batch.texts)):
            stored += batch.texts
            queue.store(batch, None, 0)
        elif len(batch.texts) > 1:
            queue.divide(batch, 0)
        else:
            queue.reject(batch, REFUSED, alone=True, now=0)
    refused = list(queue.refused.values())
    assert refused == [str(n) for n in range(count) if n in bad]
    assert stored == [str(n) for n in range(count) if n not in bad]
    assert queue.offset == count
    assert queue.held_bytes == 0
    assert posts <= count // size + 1 + len(refused) * 2 * size.bit_length()


@given(st.integers(0, 39), st.integers(1, 12))
def test_of_numbered_records_all_before_the_first_refused_one_are_stored(bad: int, size: int) -> None:
    queue = make_queue(size=size)
    queue.extend([str(number) for number in range(40)])
    while queue.sendable:
        batch = begin(queue)
        if bad not in map(int, batch.texts):
            queue.store(batch, None, 0)
        elif len(batch.texts) > 1:
            queue.divide(batch, 0)
        else:
            queue.reject(batch, REFUSED, alone=True, now=0)
    assert (queue.offset, queue.halted, queue.refused_alone) == (bad, True, True)
    assert queue.texts() == [str(number) for number in range(bad, 40)]


STEPS = ['append', 'extend', 'store', 'refuse', 'postpone', 'take', 'interrupted take', 'reset']


@given(st.lists(st.sampled_from(STEPS), max_size=60), st.integers(1, 5))
def test_a_queue_behaves_like_a_list(steps: list[str], size: int) -> None:
    queue = make_queue(3, size=size, keyed=True)
    model: list[str] = []
    refused: list[str] = []
    offset, made = 3, 0
    for step in steps:
        if step in ('append', 'extend'):
            texts = [str(made + n) for n in range(1 if step == 'append' else 3)]
            made += len(texts)
            assert queue.extend(texts) == offset + len(model)
            model += texts
        elif 'take' in step:
            taken = Taken()
            queue.take(taken)
            assert taken.records == [int(text) for text in refused + model]
            if step == 'take':
                model, refused = [], []
            else:
                assert queue.extend(['-1']) == offset
                queue.returned = (taken,)
                queue.restore()
                model.append('-1')
        elif step == 'reset':
            queue.reset()
            offset += len(model)
            model, refused = [], []
        elif queue.sendable:
            batch = begin(queue)
            assert batch.texts == model[: len(batch.texts)]
            if step == 'store':
                queue.store(batch, None, 0)
            elif step == 'postpone':
                queue.postpone(REFUSED, 1, 0)
                continue
            elif len(batch.texts) > 1:
                queue.divide(batch, 0)
                continue
            else:
                queue.reject(batch, REFUSED, alone=True, now=0)
                refused += batch.texts
            del model[: len(batch.texts)]
            offset += len(batch.texts)
        assert (queue.offset, queue.next_number, queue.undelivered) == (
            offset, offset + len(model), len(model) + len(refused),
        )  # fmt: skip
        assert queue.texts() == model
        assert queue.held_bytes == sum(map(len, model))


def test_records_taken_back_in_vain_are_put_behind_those_that_are_being_sent() -> None:
    queue = make_queue()
    queue.extend(['1', '2'])
    taken = Taken()
    queue.take(taken)
    queue.extend(['3'])
    batch = begin(queue)
    queue.returned = (taken,)
    queue.restore()
    queue.store(batch, None, 0)
    assert queue.texts() == ['1', '2']


def test_a_host_gets_no_more_than_its_share() -> None:
    queues = [WriteQueue(f'http://{host}.example/{n}', WriterOptions()) for host in 'ab' for n in range(3)]
    for queue in queues:
        queue.extend(['1'])
        queue.flush_to = 1
    for queue in queues[:2]:
        begin(queue)
    chosen, due = next_queue(queues, 5.0, per_host=2, flushed_only=False)
    assert (chosen, due) == (queues[3], 5.0)
