from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from scrapinghub.client._support.parameters import (
    ALIASES,
    RECORD_PARAMETERS,
    encode_form_value,
    encode_pairs,
    merge_parameters,
    parse_number,
)

KNOWN = frozenset({*RECORD_PARAMETERS, *ALIASES.values()})


def test_what_is_none_is_not_given() -> None:
    assert merge_parameters({'count': None, 'state': 'running'}, {'start': None}) == {'state': 'running'}


@pytest.mark.parametrize(('spelling', 'service'), ALIASES.items())
def test_a_python_spelling_is_the_service_name(spelling: str, service: str) -> None:
    by_spelling = merge_parameters({}, {spelling: '5'}, KNOWN)
    assert by_spelling == merge_parameters({}, {service: '5'}, KNOWN)
    assert list(by_spelling) == [service]


def test_the_spelling_of_one_call_is_not_that_of_another() -> None:
    assert merge_parameters({'meta': ['a']}, {}, aliases={'meta': 'jobmeta'}) == {'jobmeta': ['a']}
    assert merge_parameters({'meta': ['a']}, {}) == {'meta': ['a']}


def test_two_spellings_at_once_are_refused() -> None:
    with pytest.raises(TypeError, match="'meta' and 'jobmeta' are two spellings"):
        merge_parameters({'meta': ['a']}, {'jobmeta': ['a']}, aliases={'meta': 'jobmeta'})


def test_a_second_spelling_that_is_none_is_not_given() -> None:
    merged = merge_parameters({'meta': None}, {'jobmeta': ['a']}, aliases={'meta': 'jobmeta'})
    assert merged == {'jobmeta': ['a']}


@pytest.mark.parametrize(('name', 'meant'), [('cuont', 'count'), ('limit', 'count'), ('since', 'startts')])
def test_an_unknown_parameter_is_passed_on_with_a_warning(name: str, meant: str) -> None:
    with pytest.warns(UserWarning, match=f"unknown parameter '{name}', did you mean '{meant}'"):
        assert merge_parameters({}, {name: 1}, RECORD_PARAMETERS) == {name: 1}


def test_an_unknown_parameter_that_is_none_is_ignored() -> None:
    assert merge_parameters({}, {'filters': None}, RECORD_PARAMETERS) == {}


@pytest.mark.parametrize('value', [1, None])
def test_a_new_method_refuses_an_unknown_parameter(value: Any) -> None:
    with pytest.raises(TypeError, match="unknown parameter 'tags', did you mean 'has_tag'"):
        merge_parameters({'has_tag': None}, {'tags': value}, strict=True)


@pytest.mark.parametrize('name', ['key', 'has_tag', 'lacks_tag', 'state'])
@pytest.mark.parametrize('value', [[], (), set(), '', [None], iter(())])
def test_a_new_method_refuses_an_empty_selection(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f'{name} should not be empty: pass None for no filter'):
        merge_parameters({name: value}, {}, strict=True)


def test_a_selection_that_is_an_iterator_is_read_once() -> None:
    assert merge_parameters({'key': iter(['1/2/3'])}, {}, strict=True) == {'key': ['1/2/3']}


@pytest.mark.parametrize(('value', 'expected'), [(None, None), (0, 0), (5, 5), ('17', 17)])
def test_numbers(value: Any, expected: int | None) -> None:
    assert parse_number('count', value) == expected


@pytest.mark.parametrize('value', ['x', 1.5, -1, True, '-1', [1]])
def test_what_is_not_a_number_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ValueError, match='count should be'):
        parse_number('count', value)


def test_how_values_are_encoded() -> None:
    values = {'a': [1, None, 'x'], 'b': (), 'c': True, 'd': False, 'e': b'\xc3\xa4', 'f': {'k': 1}, 'g': iter('uv')}
    pairs = [('a', 1), ('a', 'x'), ('c', 1), ('e', 'ä'), ('f', '{"k": 1}'), ('g', 'u'), ('g', 'v')]
    assert encode_pairs(values) == pairs


def test_times_and_filters_are_checked_wherever_they_occur() -> None:
    zone = timezone(timedelta(hours=2))
    merged = merge_parameters(
        {'startts': datetime(1970, 1, 1, 2, 0, 1, tzinfo=zone), 'filter': ('a', '>', 1)}, {'end_ts': 5.5}, {'endts'}
    )
    assert merged == {'startts': 1000, 'endts': 6, 'filter': ['["a", ">", [1]]']}


def test_what_a_form_carries() -> None:
    assert encode_form_value([1, None, 'a', b'b']) == ['1', 'a', b'b']
    assert encode_form_value({'a': 1}) == '{"a": 1}'
    assert encode_form_value(datetime(2024, 5, 6, tzinfo=timezone.utc)) == '2024-05-06 00:00:00+00:00'
