from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scrapinghub.scrapy.batches import Batches


def test_a_batch_is_done_when_its_last_request_is() -> None:
    batches = Batches()
    batches.add('a', 2)
    first, second = batches.begin('a'), batches.begin('a')
    batches.end(first)
    assert (batches.done(), batches.open_works, batches.size) == ([], 1, 2)
    batches.end(second)
    assert batches.done() == ['a']
    batches.remove(['a'])
    assert (batches.done(), len(batches), 'a' in batches) == ([], 0, False)


def test_items_keep_a_batch_open_after_the_callback_has_ended() -> None:
    batches = Batches()
    batches.add('a', 1)
    number = batches.begin('a')
    batches.item_added(number)
    batches.item_added(number)
    batches.item_ended(number)
    batches.end(number)
    assert batches.done() == []
    batches.item_ended(number)
    assert batches.done() == ['a']


def test_a_request_that_an_answer_led_to_keeps_its_batch_open() -> None:
    batches = Batches()
    batches.add('a', 1)
    first = batches.begin('a')
    further = batches.begin('a')
    batches.end(first)
    assert batches.done() == []
    batches.end(further)
    assert batches.done() == ['a']


def test_what_happens_to_a_request_that_is_done_is_ignored() -> None:
    batches = Batches()
    batches.add('a', 1)
    number = batches.begin('a')
    for _ in range(2):
        batches.end(number)
    batches.item_ended(number)
    batches.end(None)
    assert (batches.done(), batches.get(number)) == (['a'], None)


def test_a_batch_without_requests_is_done() -> None:
    batches = Batches()
    batches.add('a', 0)
    assert batches.done() == ['a']


def test_nothing_stays_open_when_everything_has_ended() -> None:
    batches = Batches()
    batches.add('a', 2)
    number = batches.begin('a')
    batches.begin('a')
    batches.item_added(number)
    batches.end_all()
    assert (batches.done(), batches.open_works) == (['a'], 0)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=30), st.randoms())
def test_a_batch_is_done_exactly_when_nothing_of_it_is_open(works: list[tuple[int, int]], random: object) -> None:
    batches = Batches()
    for batch in range(3):
        batches.add(str(batch), 1)
    events: list[tuple[str, int]] = []
    open_events: dict[str, int] = {'0': 0, '1': 0, '2': 0}
    owner: dict[int, str] = {}
    for batch, items in works:
        number = batches.begin(str(batch))
        owner[number] = str(batch)
        for _ in range(items):
            batches.item_added(number)
        events += [('end', number), *[('item', number)] * items]
        open_events[str(batch)] += 1 + items
    random.shuffle(events)  # type: ignore[attr-defined]
    for kind, number in events:
        assert set(batches.done()) == {batch for batch, left in open_events.items() if not left}
        (batches.end if kind == 'end' else batches.item_ended)(number)
        open_events[owner[number]] -= 1
    assert set(batches.done()) == {'0', '1', '2'}
