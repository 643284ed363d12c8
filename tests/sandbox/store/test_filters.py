from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub.sandbox.store.filters import OPERATORS, condition, same
from support.caller import Caller


@pytest.mark.parametrize(
    ('name', 'arguments', 'matching'),
    [
        ('=', [2], [2, 2.0]),
        ('==', ['b'], ['b']),
        ('=', [None], [None]),
        ('=', [True], [True]),
        ('=', [1], [1]),
        ('=', [['a', 1]], [['a', 1]]),
        ('=', [{'x': 1}], [{'x': 1}]),
        ('=', [1, 'b'], [1, 'b']),
        ('!=', [2], [None, True, 1, 'b', 'Bc', ['a', 1], {'x': 1}]),
        ('!=', [1, 'b'], [None, True, 2, 2.0, 'Bc', ['a', 1], {'x': 1}]),
        ('>', [1], [2, 2.0]),
        ('>=', [2], [2, 2.0]),
        ('<', [2], [1]),
        ('<=', [1.5], [1]),
        ('>', ['a'], ['b']),
        ('<', ['a'], ['Bc']),
        ('contains', ['c'], ['Bc']),
        ('contains', ['C'], []),
        ('icontains', ['B'], ['b', 'Bc']),
        ('contains', [''], ['b', 'Bc']),
        ('haselement', ['a'], [['a', 1]]),
        ('haselement', [True], []),
        ('haselement', ['z', 1], [['a', 1]]),
        ('hasnotelement', ['z'], [['a', 1]]),
        ('hasnotelement', ['z', 'a'], []),
    ],
)
def test_operators(name: str, arguments: list[Any], matching: list[Any]) -> None:
    values = [None, True, 1, 2, 2.0, 'b', 'Bc', ['a', 1], {'x': 1}]
    test = condition('f', name, arguments)
    found = [value for value in values if test({'f': value})]
    # As text: in Python 1, 1.0 and True are equal.
    assert json.dumps(found) == json.dumps(matching)


@pytest.mark.parametrize('name', OPERATORS)
def test_a_record_without_the_field_does_not_match(name: str) -> None:
    test = condition('f', name, ['x'])
    assert not test({'g': 'x'})
    assert not test(['f'])
    assert not test('f')


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_a_value_is_the_same_as_itself(value: Any) -> None:
    assert same(value, value)
    assert not same(value, [value])


@pytest.mark.parametrize(
    'text',
    [
        '', 'x', '{}', '[]', '5', '["f"]', '["f", "="]', '["f", "=", 5]', '["f", "=", []]', '[1, "=", [1]]',
        '["f", "like", [1]]', '["f", 1, [1]]', '["f", "=", [1], 1]', '["f", "=", [NaN]]',
    ],
)  # fmt: skip
def test_malformed_filters_are_refused(caller: Caller, text: str) -> None:
    key = caller.push()
    for path in (f'items/{key}', 'activity/1'):
        answer = caller.get(path, params={'filter': text})
        assert answer.status_code == 400
        assert answer.headers['Content-Type'] == 'text/plain; charset=UTF-8'
        assert 'filter' in answer.text
