"""Cursors of scans, against every order in which a service may send the records of several prefixes."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scrapinghub.transport.streams import cursors_without_keys
from scrapinghub.transport.streams import prefixes as scans
from scrapinghub.transport.streams.cursor import Cursor, Mismatch, Pairs
from scrapinghub.transport.streams.prefixes import count_requests, scan_cursor
from support.cursor_driver import deliver

KEYS = st.text('abä', min_size=1, max_size=4)
ORDERS = ('by key', 'in turn', 'in turn, doubled')


def answer(stored: set[str], asked: Pairs, order: str) -> list[str]:
    """Return the keys that a service answers with."""
    wish = dict(asked)
    prefixes = [value for name, value in asked if name == 'prefix'] or ['']
    keys = [value for name, value in asked if name == 'key']
    found = sorted(
        (
            key
            for key in stored
            if (not keys or key in keys)
            and key.encode() >= wish.get('start', '').encode()
            and ('startafter' not in wish or key.encode() > wish['startafter'].encode())
        ),
        key=str.encode,
    )
    groups = [[key for key in found if key.startswith(prefix)][: wish.get('prefixcount')] for prefix in prefixes]
    flat = list(chain.from_iterable(groups))
    if order != 'in turn, doubled':
        flat = list(dict.fromkeys(flat))
    if order == 'by key':
        flat.sort(key=str.encode)
    return flat[wish.get('offset', 0) :][: wish.get('count')]


def scan(cursor: Cursor, stored: set[str], order: str, cuts: list[int], lengths: list[int] | None = None) -> list[str]:
    """Return the keys that a stream delivers whose answers are cut after so many records."""
    got: list[str] = []
    while (asked := cursor.next_request()) is not None:
        records: list[Any] = [{'_key': key} for key in answer(stored, asked, order)]
        whole = not cuts
        if cuts:
            records = records[: cuts.pop()]
        got += [record['_key'] for record in deliver(cursor, records)]
        if whole:
            cursor.complete()
    return got


@given(
    stored=st.sets(KEYS, max_size=30),
    prefixes=st.lists(st.text('abä', max_size=3), max_size=4),
    limits=st.fixed_dictionaries(
        {},
        optional={
            'start': KEYS,
            'startafter': KEYS,
            'prefixcount': st.integers(0, 4),
            'offset': st.integers(0, 5),
        },
    ),
    keys=st.none() | st.lists(KEYS, max_size=6),
    order=st.sampled_from(ORDERS),
    cuts=st.lists(st.integers(0, 12), max_size=6),
)
def test_a_scan_that_breaks_has_the_records_of_one_that_does_not(
    stored: set[str],
    prefixes: list[str],
    limits: dict[str, Any],
    keys: list[str] | None,
    order: str,
    cuts: list[int],
) -> None:
    if keys is not None:
        # Ask for the rest by key, and from an offset: nothing tells what that leaves out.
        limits.pop('offset', None)
    params = [*(('prefix', prefix) for prefix in prefixes), *limits.items()]
    whole = scan(scan_cursor(params, keys=keys), stored, order, [])
    broken = scan(scan_cursor(params, keys=keys), stored, order, list(cuts))
    assert set(broken) == set(whole)
    if order != 'in turn, doubled':
        assert len(broken) == len(whole)
    if order == 'by key':
        assert broken == whole


@given(
    stored=st.sets(KEYS, max_size=30),
    prefixes=st.lists(KEYS, min_size=1, max_size=4),
    count=st.integers(0, 10),
    order=st.sampled_from(ORDERS[:2]),
    cuts=st.lists(st.integers(0, 6), max_size=6),
)
def test_a_count_is_kept(stored: set[str], prefixes: list[str], count: int, order: str, cuts: list[int]) -> None:
    params = [('prefix', prefix) for prefix in prefixes]
    whole = scan(scan_cursor(params, count), stored, order, [])
    broken = scan(scan_cursor(params, count), stored, order, cuts)
    assert len(broken) == len(set(broken)) == len(whole)
    if order == 'by key':
        assert broken == whole


@pytest.mark.parametrize('keys', [[None], ['b1'], ['a1']])
def test_what_was_not_asked_for_is_an_error(keys: list[str | None]) -> None:
    cursor = scan_cursor([('prefix', 'c'), ('prefix', 'a')])
    cursor.next_request()
    deliver(cursor, [{'_key': 'a1'}, {'_key': 'a2'}])
    assert cursor.next_request() == [('prefix', 'a'), ('startafter', 'a2')]
    with pytest.raises(Mismatch, match='asked for keys'):
        cursor.select([{'_key': key} for key in keys])


@pytest.mark.parametrize('key', [None, 'b1'])
def test_records_of_no_prefix_cannot_be_gone_on_from(key: str | None) -> None:
    cursor = scan_cursor([('prefix', 'c'), ('prefix', 'a')])
    cursor.next_request()
    deliver(cursor, [{'_key': 'a1'}, {'_key': key}])
    with pytest.raises(Mismatch, match='no keys'):
        cursor.next_request()


@pytest.fixture
def short_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursors_without_keys, 'MAX_QUERY', 40)
    monkeypatch.setattr(scans, 'MAX_QUERY', 40)


@pytest.mark.usefixtures('short_queries')
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stored=st.sets(KEYS, max_size=40),
    prefixes=st.lists(KEYS, max_size=12),
    keys=st.none() | st.lists(KEYS, max_size=12),
    limits=st.fixed_dictionaries({}, optional={'start': KEYS, 'startafter': KEYS, 'prefixcount': st.integers(0, 4)}),
    count=st.none() | st.integers(0, 20),
    cuts=st.lists(st.integers(0, 12), max_size=6),
)
def test_what_does_not_fit_into_one_request_is_split(
    stored: set[str],
    prefixes: list[str],
    keys: list[str] | None,
    limits: dict[str, Any],
    count: int | None,
    cuts: list[int],
) -> None:
    params: Pairs = [*(('prefix', prefix) for prefix in prefixes), *limits.items()]
    asked = [*params, *(('key', key) for key in keys or ())]
    whole = [] if keys == [] else answer(stored, asked, 'by key')
    found = scan(scan_cursor(params, count, keys=keys), stored, 'by key', list(cuts))
    if count is None:
        assert sorted(found) == sorted(whole)
    else:
        assert len(found) == len(set(found)) == min(count, len(whole))
        assert set(found) <= set(whole)
    requests = count_requests(asked)
    if keys != [] and requests is not None:
        assert sum(len(answer(stored, request, 'by key')) for request in requests) == len(whole)


def test_thousands_of_prefixes_and_keys_are_requested_in_groups() -> None:
    many = [f'{number:090}' for number in range(1000)]
    for params, keys in (
        ([('prefix', prefix) for prefix in many], None),
        ([('prefix', prefix) for prefix in many], many),
        ([('prefix', prefix) for prefix in many] + [('prefixcount', 3)], None),
        ([('prefix', prefix) for prefix in many] + [('prefixcount', 3)], many),
        ([('prefix', '0'), ('prefixcount', 3)], many),
    ):
        request = scan_cursor(params, keys=keys).next_request()
        assert request is not None
        assert sum(len(value) for _, value in request if isinstance(value, str)) < 6000
    with pytest.raises(ValueError, match='offset'):
        scan_cursor([*(('prefix', prefix) for prefix in many), ('offset', 3)])


def test_many_numbers_are_requested_in_their_order() -> None:
    groups = cursors_without_keys.split_names('index', range(5000))
    assert len(groups) > 1
    assert [number for group in groups for number in group] == list(range(5000))


@pytest.mark.usefixtures('short_queries')
def test_a_key_that_is_given_twice_is_counted_once() -> None:
    keys = ['b', 'b', 'aa', 'aa', 'aa', 'aaa']
    requests = count_requests([('key', key) for key in keys])
    assert requests is not None
    assert sorted(value for request in requests for _, value in request) == ['aa', 'aaa', 'b']
