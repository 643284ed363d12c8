"""The small functions that programs import from the older modules."""

from __future__ import annotations

import datetime as dt
import decimal
import queue
import time
from typing import Any

import pytest

from scrapinghub.hubstorage import utils
from scrapinghub.hubstorage.serialization import (
    ADAYINSECONDS,
    EPOCH,
    MSGPACK_AVAILABLE,
    jldecode,
    jlencode,
    jsondefault,
    jsonencode,
    mpdecode,
)


@pytest.mark.parametrize(
    ('parts', 'joined'),
    [
        ((), None),
        ((None, None), None),
        (('a', 'b'), 'a/b'),
        (('a/', '/b'), 'a//b'),
        (('a//', 'b/'), 'a/b/'),
        (('a', None, 'b'), 'a/b'),
        (('a', ('b', None, ('c', 3))), 'a/b/c/3'),
        ((1, 2), '1/2'),
        (('a', ''), 'a/'),
        (('', 'a'), '/a'),
        (('http://x/', 'a'), 'http://x/a'),
        (('a', ()), 'a'),
    ],
)
def test_urlpathjoin(parts: tuple[Any, ...], joined: str | None) -> None:
    assert utils.urlpathjoin(*parts) == joined


@pytest.mark.parametrize(
    ('auth', 'pair'),
    [(None, None), ((1, 2), (1, 2)), ('a', ('a', '')), ('a:b:c', ('a', 'b:c')), ('', ('', '')), (' a\n', ('a', ''))],
)
def test_xauth(auth: Any, pair: Any) -> None:
    assert utils.xauth(auth) == pair


def test_millitime() -> None:
    before = time.time()
    assert before * 1000 - 1 <= utils.millitime() <= time.time() * 1000


@pytest.mark.parametrize(
    ('size', 'text'), [(0, '0 B'), (1023, '1023 B'), (1536, '2 KiB'), (1024**2, '1 MiB'), (1024**4, '1024 GiB')]
)
def test_sizeof_fmt(size: int, text: str) -> None:
    assert utils.sizeof_fmt(size) == text


def test_iterqueue() -> None:
    held: queue.Queue[int] = queue.Queue()
    for number in range(5):
        held.put(number)
    some = utils.iterqueue(held, 3)
    assert (list(some), some.count, list(some)) == ([0, 1, 2], 3, [])
    rest = utils.iterqueue(held)
    assert (list(rest), rest.count, held.empty()) == ([3, 4], 2, True)


def test_apipoll_waits_for_a_result() -> None:
    results = [None, None, 0]
    calls: list[tuple[Any, Any]] = []

    def endpoint(*args: Any, **kwargs: Any) -> int | None:
        calls.append((args, kwargs))
        return results.pop(0)

    assert utils.apipoll(endpoint, 1, poll_wait=0.001, max_poll=60, x=2) == 0
    assert calls == 3 * [((1,), {'poll_wait': 0.001, 'max_poll': 60, 'x': 2})]
    assert utils.apipoll(lambda **kwargs: None, poll_wait=0.001, max_poll=0) is None


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        ({'a': 1}, '{"a": 1}'),
        ('abc', '"abc"'),
        (['a', {'b': 2}], '"a"\n{"b": 2}'),
        ([], ''),
        (iter([1, 2]), '1\n2'),
        ([{'ä': '\u2028'}], '{"\\u00e4": "\\u2028"}'),
    ],
)
def test_jlencode(value: Any, text: str) -> None:
    assert jlencode(value) == text


def test_jlencode_of_what_cannot_be_iterated() -> None:
    with pytest.raises(TypeError):
        jlencode(5)


def test_jldecode() -> None:
    assert list(jldecode(['{"a": 1}', b'2'])) == [{'a': 1}, 2]


def test_mpdecode() -> None:
    assert list(mpdecode([b'\x01\x02', b'\xa1', b'a'])) == [1, 2, 'a']
    with pytest.raises(ValueError, match='ends inside'):
        list(mpdecode([b'\x01\xa2a']))
    values = mpdecode([b'\x01\xc1'])
    assert next(values) == 1
    with pytest.raises(ValueError, match='not MessagePack'):
        next(values)


@pytest.mark.parametrize(
    ('value', 'stands_for_it'),
    [
        (dt.datetime(2020, 1, 1, 1, 2, 3, 4567), 1577840523004.0),
        (dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2))), 1577829600000.0),
        (dt.date(2020, 1, 2), '2020-01-02'),
        (decimal.Decimal('1.5'), '1.5'),
    ],
)
def test_jsondefault(value: Any, stands_for_it: Any) -> None:
    assert jsondefault(value) == stands_for_it
    assert jldecode([jsonencode({'v': value})]).__next__() == {'v': stands_for_it}


def test_numbers_that_json_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match='JSON'):
        jsonencode([float('nan')])


def test_constants() -> None:
    assert (True, 86400, dt.datetime(1970, 1, 1)) == (MSGPACK_AVAILABLE, ADAYINSECONDS, EPOCH)
