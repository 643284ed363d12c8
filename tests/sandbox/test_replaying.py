"""The comparison with recorded exchanges notices what differs."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from support.replaying import Bindings, Difference, Replay, style_of

JOB, OTHER = '2222222/1/1500', '2222222/1/1501'


def answer(text: str, headers: dict[str, str]) -> requests.Response:
    response = requests.Response()
    response.status_code, response.reason = 200, 'OK'
    response._content = text.encode()
    response.headers.update(headers)
    return response


def compare(recorded: str, actual: str, bindings: Bindings | None = None, **headers: str) -> bool:
    exchange = {'status': 200, 'status_text': 'OK', 'response_text': recorded, 'response_headers': {'vary': 'Cookie'}}
    with requests.Session() as session:
        replay = Replay('', '', session, bindings or Bindings())
        return replay.compare(exchange, answer(actual, {'Vary': 'Cookie', **headers}))


@pytest.mark.parametrize(
    ('recorded', 'actual'),
    [
        ('{"a": 1}', '{"a": 2}'),
        ('{"a": 1}', '{"a":1}'),
        ('{"a": 1}', '{"a": 1}\n'),
        ('{"a": 1}\n{"a": 2}', '{"a": 2}\n{"a": 1}'),
        ('{"a": 1}', '{"a": 1, "b": 1}'),
        ('{"a": 1}', '{"a": true}'),
        ('{"a": [1, 2]}', '{"a": [1]}'),
        ('{"elapsed": 5}', '{"elapsed": -1}'),
        ('{"elapsed": 5}', '{"elapsed": "5"}'),
        (f'["{JOB}", "{JOB}"]', '["2222222/1/1", "2222222/1/2"]'),
        (f'"{JOB}"', '"2222222/1/1/0"'),
        ('[1477663460486, 1477663460486]', '[1500000000001, 1500000000002]'),
        ('Not Found\n', 'Not found\n'),
        ('"eyJhIjoxfQ.eyJhdWQiOiJqb2I6MSJ9.SIGNATURE-REMOVED"', '"eyJhIjoxfQ.eyJhdWQiOiJqb2I6MiJ9.abc"'),
    ],
)
def test_another_body_is_a_difference(recorded: str, actual: str) -> None:
    with pytest.raises(Difference) as caught:
        compare(recorded, actual)
    assert caught.value.aspect == 'body'


@pytest.mark.parametrize(
    ('recorded', 'actual', 'exact'),
    [
        ('{"a": 1, "b": 2}', '{"a": 1, "b": 2}', True),
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', False),
        (f'{{"key": "{JOB}", "elapsed": 7}}', '{"key": "2222222/1/1", "elapsed": 2}', True),
        ('{"ts": 1477663460486}', '{"ts": 1500000000001}', True),
    ],
)
def test_the_same_values_are_no_difference(recorded: str, actual: str, exact: bool) -> None:
    assert compare(recorded, actual) is exact


def test_another_header_is_a_difference() -> None:
    with pytest.raises(Difference, match='vary is'):
        compare('1', '1', Vary='Accept')
    with pytest.raises(Difference, match='allow is'):
        compare('1', '1', Allow='GET')


def test_bound_values_are_put_into_requests() -> None:
    bindings = Bindings()
    assert compare(f'{{"key": "{JOB}", "ts": 1477663460486}}', '{"key": "2222222/9/1", "ts": 1500000000001}', bindings)
    sent = f'{{"key": "{JOB}", "more": "{OTHER}/3", "time": 1477663460486}}'
    assert bindings.translate(sent) == '{"key": "2222222/9/1", "more": "2222222/9/1501/3", "time": 1500000000001}'
    assert bindings.times() == [(1477663460486, 1500000000001)]


def test_what_the_client_sends_first_stands_for_itself() -> None:
    bindings = Bindings()
    bindings.pin('{"time": 1477663460486}')
    with pytest.raises(Difference):
        compare('1477663460486', '1500000000001', bindings)
    assert bindings.times() == []


@pytest.mark.parametrize('text', ['{"a": 1}', '{"a":1,"b":[1,2]}', '{\n  "a": 1\n}', '1', '"\\u00e9"'])
def test_the_spelling_of_json_is_recognised(text: str) -> None:
    style = style_of(text)
    assert style is not None
    values: Any = {'a': 1, 'b': [1, 2]}
    assert (', ' in style(values)) is (text not in ('{"a":1,"b":[1,2]}', '{\n  "a": 1\n}'))


def test_what_is_not_json_has_no_spelling() -> None:
    assert style_of('Not Found\n') is None
    assert style_of('{"a" : 1}') is None
