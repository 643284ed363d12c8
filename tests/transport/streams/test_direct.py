"""Records that are decoded as they are taken are those of a list, and each is counted before it is handed out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub.transport import codec
from scrapinghub.transport.streams.cursor import NotTheSame, Plan
from scrapinghub.transport.streams.cursors import AfterKey, ByKeys

# Those that MessagePack has, too.
INTEGERS = st.integers(-(2**63), 2**64 - 1)

RECORDS: st.SearchStrategy[list[Any]] = st.lists(
    st.dictionaries(st.sampled_from(['_key', 'a', 'b']), st.none() | INTEGERS | st.text(max_size=4), max_size=3)
    | st.sampled_from([{'_key': '1/2/3/4', 'a': float('nan')}, [], 5, 'text', None, {'_key': 5}]),
    max_size=8,
)


def lines(records: list[Any]) -> bytes:
    return b''.join(json.dumps(record).encode() + b'\n' for record in records)


def packed(records: list[Any]) -> bytes:
    return b''.join(map(msgpack.packb, records))


def taken_directly(plan: Plan, decoder: codec.Decoder, piece: bytes) -> list[Any]:
    plan.unfinished = True
    got = []
    for record in plan.decode_and_hand_out(decoder, piece):
        got.append(record)
        assert plan.delivered == len(got)
    assert not plan.unfinished
    return got


def taken_as_a_list(plan: Plan, decoder: codec.Decoder, piece: bytes) -> list[Any]:
    got = list(plan.hand_out(plan.take(decoder.feed(piece))))
    plan.settle()
    return got


PLANS: dict[str, Callable[[int | None], Plan]] = {
    'after the key, stripped': lambda count: AfterKey([], count, strip=True),
    'after the key': lambda count: AfterKey([], count, strip=False),
    'by keys': lambda count: ByKeys([], count, field='_key'),
}


@given(RECORDS, st.none() | st.integers(1, 5), st.sampled_from(list(PLANS)), st.booleans(), st.binary(max_size=4))
def test_the_same_comes_either_way(
    records: list[Any], count: int | None, name: str, as_lines: bool, damage: bytes
) -> None:
    piece = (lines if as_lines else packed)(records) + damage
    kind = codec.JsonLinesDecoder if as_lines else codec.MsgpackDecoder
    found = []
    for take in (taken_directly, taken_as_a_list):
        plan, decoder = PLANS[name](count), kind()
        assert plan.direct
        got = take(plan, decoder, piece)
        complete = plan.full or plan.error is not None
        found.append([repr(got), plan.delivered, plan.last_key, None if complete else str(decoder.error)])
        # What comes when the same is asked for again.
        if name == 'by keys' and plan.ask() is not None:
            again = None
            with contextlib.suppress(NotTheSame):
                again = list(plan.take(kind().feed((lines if as_lines else packed)(records))))
            found[-1].append(repr(again))
    assert found[0] == found[1]


def test_nothing_is_taken_beyond_the_count() -> None:
    plan = AfterKey([], 2)
    piece = packed([{'_key': f'1/2/3/{number}'} for number in range(5)])
    assert taken_directly(plan, codec.MsgpackDecoder(), piece) == [{}, {}]
    assert (plan.delivered, plan.last_key, plan.full, plan.direct) == (2, '1/2/3/1', True, False)


@pytest.mark.parametrize('bad', [5, [], 'text', {'_key': 5}])
def test_what_is_no_record_ends_it(bad: Any) -> None:
    plan = AfterKey([])
    assert taken_directly(plan, codec.MsgpackDecoder(), packed([{'_key': '1/2/3/0', 'a': 1}, bad, {}])) == [{'a': 1}]
    assert plan.error is not None
    assert (plan.delivered, plan.last_key) == (1, '1/2/3/0')


def test_what_was_handed_out_by_keys_does_not_come_again() -> None:
    plan = ByKeys([], field='id')
    piece = lines([{'id': 'a'}, {'id': 'b'}, {'id': 'c'}])
    plan.unfinished = True
    records = plan.decode_and_hand_out(codec.JsonLinesDecoder(), piece)
    assert [next(records), next(records)] == [{'id': 'a'}, {'id': 'b'}]
    del records
    assert plan.ask() == []
    assert not plan.direct
    assert taken_as_a_list(plan, codec.JsonLinesDecoder(), lines([{'id': 'd'}]) + piece) == [{'id': 'd'}, {'id': 'c'}]


def test_what_is_broken_off_is_known() -> None:
    plan = AfterKey([])
    plan.unfinished = True
    records = plan.decode_and_hand_out(codec.MsgpackDecoder(), packed([{'_key': '1/2/3/0'}, {'_key': '1/2/3/1'}]))
    next(records)
    del records
    assert (plan.unfinished, plan.delivered) == (True, 1)
    assert plan.ask() == [('startafter', '1/2/3/0')]
    # The first record after it is to be checked.
    assert (plan.unfinished, plan.direct) == (False, False)
