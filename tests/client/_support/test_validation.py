from __future__ import annotations

import logging
import time
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from scrapinghub.client._support.validation import (
    check_format,
    encode_filters,
    parse_level,
    parse_name,
    parse_time,
)

MOMENT = datetime(2024, 5, 6, tzinfo=timezone.utc)
MILLISECONDS = 1714953600000


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        (MILLISECONDS, MILLISECONDS),
        (str(MILLISECONDS), MILLISECONDS),
        (MILLISECONDS + 0.4, MILLISECONDS),
        (Decimal(MILLISECONDS), MILLISECONDS),
        (MOMENT, MILLISECONDS),
        (MOMENT.astimezone(timezone(timedelta(hours=5))), MILLISECONDS),
    ],
)
@pytest.mark.parametrize('strict', [False, True])
def test_times(value: Any, expected: int, strict: bool) -> None:
    assert parse_time('startts', value, strict=strict) == expected


def test_a_timedelta_means_that_long_ago() -> None:
    before = time.time() * 1000
    found = parse_time('startts', timedelta(hours=1), strict=True)
    assert before - 1 <= found + 3600_000 <= time.time() * 1000 + 1


@pytest.mark.parametrize('value', [True, 'yesterday', date(2024, 5, 6), float('nan'), float('inf'), [5], object()])
def test_what_is_not_a_time_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match='endts should be milliseconds since the epoch'):
        parse_time('endts', value)


def test_a_time_without_a_zone_is_read_as_utc_with_a_warning() -> None:
    with pytest.warns(UserWarning, match=r'startts has no time zone and is read as UTC.*astimezone'):
        assert parse_time('startts', MOMENT.replace(tzinfo=None)) == MILLISECONDS


def test_a_new_method_refuses_a_time_without_a_zone() -> None:
    with pytest.raises(ValueError, match=r'startts should have a time zone.*\.astimezone\(\).*tzinfo=timezone\.utc'):
        parse_time('startts', MOMENT.replace(tzinfo=None), strict=True)


@pytest.mark.parametrize('seconds', [MILLISECONDS // 1000, MILLISECONDS / 1000, 0, -5])
def test_a_new_method_refuses_seconds(seconds: float) -> None:
    with pytest.raises(ValueError, match='is this seconds'):
        parse_time('startts', seconds, strict=True)


@pytest.mark.parametrize('factor', [1000, 10**6])
def test_a_new_method_refuses_smaller_units(factor: int) -> None:
    with pytest.raises(ValueError, match='is this microseconds or nanoseconds'):
        parse_time('endts', MILLISECONDS * factor, strict=True)


@pytest.mark.parametrize('number', [MILLISECONDS // 1000, MILLISECONDS / 1000, MILLISECONDS * 1000])
def test_a_method_of_release_2_warns_of_another_unit(number: float) -> None:
    with pytest.warns(UserWarning, match='startts should be milliseconds since the epoch.*is this'):
        assert parse_time('startts', number) == round(number)


@pytest.mark.parametrize('number', [0, -5, 100, 10**6])
def test_a_small_number_is_no_time_that_is_meant_in_seconds(number: int) -> None:
    assert parse_time('startts', number) == number


@pytest.mark.parametrize('strict', [False, True])
def test_a_time_ago_is_not_negative(strict: bool) -> None:
    with pytest.raises(ValueError, match=r'endts should be a timedelta of at least 0.*that long ago'):
        parse_time('endts', -timedelta(days=30), strict=strict)


def test_the_missing_time_of_pandas_is_refused() -> None:
    pandas = pytest.importorskip('pandas')
    with pytest.raises(ValueError, match=r'endts should be milliseconds.*NaT'):
        parse_time('endts', pandas.NaT)


@pytest.mark.parametrize('unit', ['s', 'ms', 'us', 'ns'])
def test_times_of_numpy_are_refused(unit: str) -> None:
    numpy = pytest.importorskip('numpy')
    with pytest.raises(ValueError, match='endts should be milliseconds'):
        parse_time('endts', numpy.datetime64('2024-05-06T00:00:00').astype(f'datetime64[{unit}]'), strict=True)


@pytest.mark.parametrize(
    ('level', 'number'),
    [
        ('INFO', 20),
        ('info', 20),
        (' Warning ', 30),
        ('warn', 30),
        ('fatal', 50),
        (20, 20),
        ('20', 20),
        (25, 25),
        (logging.ERROR, 40),
        ('SILENT', 51),
    ],
)
def test_levels(level: Any, number: int) -> None:
    assert parse_level(level) == number


@pytest.mark.parametrize('level', ['LOUD', '', None, True, [20], float('nan')])
def test_an_unknown_level_is_refused_with_those_that_exist(level: Any) -> None:
    with pytest.raises(ValueError, match=r'^Unknown log level: .*DEBUG, INFO, WARNING, ERROR, CRITICAL, SILENT'):
        parse_level(level)


CONDITION = '["price", ">", [20]]'


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        (None, []),
        ([], []),
        (CONDITION, [CONDITION]),
        (('price', '>', 20), [CONDITION]),
        (('price', '>', [20]), [CONDITION]),
        (['price', '>', [20]], [CONDITION]),
        (['price', '>', 20], [CONDITION]),
        ([('price', '>', 20)], [CONDITION]),
        ([['price', '>', (20,)], CONDITION.encode()], [CONDITION, CONDITION]),
        ((('price', '>', 20), ['name', '=', 'a']), [CONDITION, '["name", "=", ["a"]]']),
        ([CONDITION, CONDITION, CONDITION], [CONDITION] * 3),
        ((CONDITION, CONDITION, CONDITION), [CONDITION] * 3),
        (('price', '=', None), ['["price", "=", [null]]']),
        (('tags', 'haselement', {'a': 1}), ['["tags", "haselement", [{"a": 1}]]']),
    ],
)
def test_filters(value: Any, expected: list[str]) -> None:
    assert encode_filters(value) == expected


@pytest.mark.parametrize('value', [5, {'price': 20}, [5], [{'a': 1}], [('price', '>')], [('price', '>', 1, 2)]])
def test_what_is_not_a_filter_is_refused_and_shown(value: Any) -> None:
    with pytest.raises(ValueError, match=r'^Filter condition must be string, tuple or list$') as caught:
        encode_filters(value)
    assert "('price', '>', 20), got" in str(caught.value.__cause__)


@pytest.mark.parametrize(('value', 'name'), [('a', 'a'), (b'a', 'a'), (True, 'True'), (3, '3')])
def test_names(value: Any, name: str) -> None:
    assert parse_name('slot name', value) == name


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match='slot name should be a string, got None'):
        parse_name('slot name', None)


def test_a_format_without_records_is_refused() -> None:
    assert check_format('jl') == 'jl'
    with pytest.raises(ValueError, match=r"format='csv'.*download\(path\)"):
        check_format('csv')
