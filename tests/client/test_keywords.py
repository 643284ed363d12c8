from __future__ import annotations

import inspect
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub.client._support.lists import ValueIterator, listed
from scrapinghub.client._support.parameters import (
    ALIASES,
    KNOWN,
    encode_form_value,
    encode_pairs,
    merge_parameters,
    within_one_edit,
)
from scrapinghub.client._support.validation import encode_filters, parse_number

WORDS = st.text('abcd', max_size=6)


def test_what_is_none_is_not_given() -> None:
    assert merge_parameters({'count': None, 'state': 'running'}, {'start': None}) == {'state': 'running'}


@pytest.mark.parametrize(('spelling', 'service'), ALIASES.items())
def test_a_python_spelling_is_the_service_name(spelling: str, service: str) -> None:
    assert merge_parameters({}, {spelling: 5}) == merge_parameters({}, {service: 5}) == {service: 5}


def test_the_spelling_of_one_call_is_not_that_of_another() -> None:
    assert merge_parameters({'meta': ['a']}, {}, {'meta': 'jobmeta'}) == {'jobmeta': ['a']}
    assert merge_parameters({'meta': ['a']}, {}) == {'meta': ['a']}


def test_two_spellings_at_once_are_refused() -> None:
    with pytest.raises(TypeError, match="'meta' and 'jobmeta' are two spellings"):
        merge_parameters({'meta': ['a']}, {'jobmeta': ['a']}, {'meta': 'jobmeta'})


def test_a_second_spelling_that_is_none_is_not_given() -> None:
    assert merge_parameters({'meta': None}, {'jobmeta': ['a']}, {'meta': 'jobmeta'}) == {'jobmeta': ['a']}


@pytest.mark.parametrize(
    ('name', 'meant'), [('cuont', 'count'), ('stat', 'start'), ('spiders', 'spider'), ('hastag', 'has_tag')]
)
def test_a_misspelt_keyword_is_refused_with_a_suggestion(name: str, meant: str) -> None:
    with pytest.raises(TypeError, match=f"unknown keyword '{name}': did you mean .*'{meant}'"):
        merge_parameters({}, {name: 1})


@pytest.mark.parametrize('name', ['brand_new', 'p', 'q', 'stop', 'index', 'nodata', 'format'])
def test_an_unknown_or_documented_keyword_is_passed_on(name: str) -> None:
    assert merge_parameters({}, {name: 1}) == {name: 1}


def test_how_values_go_over_the_wire() -> None:
    values = {'a': [1, None, 'x'], 'b': (), 'c': True, 'd': False, 'e': b'\xc3\xa4', 'f': {'k': 1}, 'g': iter('uv')}
    assert encode_pairs(values) == [
        ('a', 1),
        ('a', 'x'),
        ('c', 1),
        ('e', 'ä'),
        ('f', '{"k": 1}'),
        ('g', 'u'),
        ('g', 'v'),
    ]


def test_times_are_milliseconds_and_without_a_zone_utc() -> None:
    zone = timezone(timedelta(hours=2))
    assert encode_pairs({'startts': datetime(1970, 1, 1, 0, 0, 1)}) == [('startts', 1000)]
    assert encode_pairs({'startts': datetime(1970, 1, 1, 2, 0, 1, tzinfo=zone)}) == [('startts', 1000)]


@pytest.mark.parametrize(('value', 'expected'), [(None, None), (0, 0), (5, 5), ('17', 17)])
def test_numbers(value: Any, expected: int | None) -> None:
    assert parse_number('count', value) == expected


@pytest.mark.parametrize('value', ['x', 1.5, -1, True, '-1', [1]])
def test_what_is_no_number_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ValueError, match='count should be'):
        parse_number('count', value)


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        (None, []),
        ('["a", "=", [1]]', ['["a", "=", [1]]']),
        (('a', '=', [1]), ['["a", "=", [1]]']),
        ([('a', '=', [1]), ['b', '>', [2]], 'raw'], ['["a", "=", [1]]', '["b", ">", [2]]', 'raw']),
        ((('a', '=', [1]), ('b', '>', [2])), ['["a", "=", [1]]', '["b", ">", [2]]']),
    ],
)
def test_filters(value: Any, expected: list[str]) -> None:
    assert encode_filters(value) == expected


@pytest.mark.parametrize('value', [5, {'a': 1}, [5], [{'a': 1}]])
def test_what_is_no_filter_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r'^Filter condition must be string, tuple or list$'):
        encode_filters(value)


def test_what_a_form_carries() -> None:
    assert encode_form_value([1, None, 'a', b'b']) == ['1', 'a', b'b']
    assert encode_form_value({'a': 1}) == '{"a": 1}'
    assert encode_form_value(datetime(2024, 5, 6, tzinfo=timezone.utc)) == '2024-05-06 00:00:00+00:00'


@given(WORDS, WORDS)
def test_within_one_edit_is_symmetric(one: str, other: str) -> None:
    assert within_one_edit(one, other) == within_one_edit(other, one)


@given(WORDS, st.integers(0, 6), st.sampled_from('abcdx'), st.sampled_from(['add', 'drop', 'replace', 'swap']))
def test_every_edit_is_recognised(word: str, place: int, letter: str, edit: str) -> None:
    head, tail = word[:place], word[place:]
    edited = {
        'add': head + letter + tail,
        'drop': head + tail[1:],
        'replace': head + letter + tail[1:] if tail else word,
        'swap': head + tail[1:2] + tail[:1] + tail[2:],
    }[edit]
    assert within_one_edit(word, edited)


@given(WORDS, st.text('xyz', min_size=2, max_size=4))
def test_two_foreign_letters_are_more_than_one_edit(word: str, foreign: str) -> None:
    assert not within_one_edit(word, word + foreign)


def test_no_two_known_names_are_an_alias_of_each_other() -> None:
    assert not set(ALIASES) & KNOWN
    assert set(ALIASES.values()) <= KNOWN


class Letters:
    def iter(self, count: int = 2, *, upper: bool = False) -> Iterator[str]:
        """Iterate over letters.

        Yields:
            A letter.
        """
        return iter(('ABC' if upper else 'abc')[:count])

    list = listed(iter)


def test_list_takes_and_gives_what_iter_does() -> None:
    assert Letters().list() == ['a', 'b']
    assert Letters().list(3, upper=True) == ['A', 'B', 'C']


def test_list_carries_signature_and_docstring_over() -> None:
    ours, theirs = inspect.signature(Letters.list), inspect.signature(Letters.iter)
    assert ours.parameters == theirs.parameters
    assert ours.return_annotation == 'list[str]'
    assert (Letters.list.__name__, Letters.list.__qualname__) == ('list', 'Letters.list')
    assert (Letters.list.__doc__ or '').startswith('Return all')
    assert 'A letter.' in (Letters.list.__doc__ or '')


def test_values_that_have_arrived_have_the_interface_of_a_stream() -> None:
    with ValueIterator([1, 2, 3]) as numbers:
        assert iter(numbers) is iter(numbers)
        assert next(numbers) == 1
        assert next(iter(numbers)) == 2
        numbers.close()
        assert list(numbers) == []
