"""Job metadata, project settings and ids, as a client sees them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scrapinghub.sandbox import Sandbox
from support.caller import Caller, rows

STATES = ('pending', 'running', 'finished', 'deleted')


# Metadata


@pytest.fixture(scope='module')
def projects() -> None:
    """Accept every project."""


@pytest.mark.parametrize(
    'value', [None, True, 0, -1.5, 'x', '', [], [1, [None]], {}, {'a': {'b': []}}, 'é\u2028', 10**30]
)
def test_any_json_value_is_kept(caller: Caller, value: Any) -> None:
    key = caller.push(pushed=value)
    answer = caller.expect('POST', f'/jobs/{key}/posted', data=json.dumps(value))
    assert (answer.text, answer.headers['Content-Type']) == ('', 'text/html; charset=utf-8')
    caller.send(f'/jobs/{key}', {'merged': value})
    caller.update(key, updated=value)
    names = ('pushed', 'posted', 'merged', 'updated')
    assert [caller.value(f'/jobs/{key}/{name}') for name in names] == [value] * 4
    assert [caller.meta(key)[name] for name in names] == [value] * 4


def test_what_is_absent_is_null_or_nothing(caller: Caller) -> None:
    key = caller.push()
    assert caller.expect('GET', f'/jobs/{key}/absent').text == 'null'
    assert caller.expect('GET', '/jobs/1/1/99').text == ''
    assert caller.expect('GET', '/jobs/1/1/99/foo').text == 'null'
    for path in (f'/jobs/{key}/absent', '/jobs/1/1/99/foo', '/jobs/1/1/99'):
        answer = caller.expect('DELETE', path)
        assert (answer.text, answer.headers['Content-Type']) == ('', 'text/html; charset=utf-8')
    for path in ('/jobs/1/1/99', '/jobs/1/1/99/foo'):
        assert 'does not exist' in caller.expect('POST', path, 404, data='{"a": 1}').json()['message']


def test_fields_are_merged_and_deleted(caller: Caller) -> None:
    key = caller.push(foo=1, bar=2)
    before = caller.meta(key)
    caller.send(f'/jobs/{key}', {'foo': None, 'tags': ['t']})
    assert caller.meta(key) == {**before, 'foo': None, 'tags': ['t']}
    assert caller.keys('state=pending&has_tag=t') == [key]
    caller.expect('DELETE', f'/jobs/{key}/foo')
    caller.expect('DELETE', f'/jobs/{key}/tags')
    assert caller.meta(key) == {name: value for name, value in before.items() if name != 'foo'}
    assert caller.keys('state=pending&has_tag=t') == []


def test_a_field_may_have_any_name(caller: Caller) -> None:
    key = caller.push()
    for name in ('a%2Fb', '%C3%A9', 'a%20b', '%25', 'list'):
        caller.send(f'/jobs/{key}/{name}', name)
        assert caller.value(f'/jobs/{key}/{name}') == name
    assert caller.meta(key)['a/b'] == 'a%2Fb'


def test_what_the_queue_itself_decides_may_be_repeated_but_not_changed(caller: Caller) -> None:
    (pushed,) = caller.send('/jobq/1/push', {'spider': 'one', 'state': 'running', 'project': 1})
    key, token = pushed['key'], pushed['auth']
    own = {'project': 1, 'spider': 'one', 'state': 'running', 'key': key, '_key': key, 'auth': token}
    before = caller.meta(key)
    caller.send(f'/jobs/{key}', own)
    for name, value in own.items():
        caller.send(f'/jobs/{key}/{name}', value)
        caller.send(f'/jobs/{key}', {'foo': 1, name: 'finished'}, status=400)
        caller.send(f'/jobs/{key}/{name}', None, status=400)
        caller.expect('DELETE', f'/jobs/{key}/{name}', 400)
    assert caller.meta(key) == before


def test_a_record_can_be_removed_for_good(caller: Caller, cloud: Sandbox) -> None:
    keys = [caller.push(tags=['t'], state='finished') for _ in range(2)]
    caller.send(f'/items/{keys[0]}', {'a': 1})
    caller.expect('DELETE', f'/jobs/{keys[0]}')
    assert caller.expect('GET', f'/jobs/{keys[0]}').text == ''
    assert caller.keys('has_tag=t') == [keys[1]]
    assert caller.push() == '1/1/3'
    assert rows(cloud, ['records', 'streams']) == {'records': [], 'streams': []}


def test_metadata_of_many_jobs_comes_by_key(caller: Caller) -> None:
    keys = [caller.push('ab'[number % 2], number=number, state=STATES[number % 4]) for number in range(6)]
    lines = caller.lines('/jobs/1?meta=_key')
    assert [line['_key'] for line in lines] == sorted(keys)
    assert [line['number'] for line in caller.lines('/jobs/1/2')] == [1, 3, 5]
    assert lines[0] == {**caller.meta(keys[0]), '_key': keys[0]}
    assert caller.lines('/jobs/1/9') == []
    caller.send('/jobq/2/push', *({'spider': 'one'} for _ in range(1203)))
    assert len(caller.lines('/jobs/2')) == 1203


# Ids and settings


def test_an_id_is_created_on_request_only(caller: Caller) -> None:
    assert caller.expect('GET', '/ids/1/spider/new').text == 'null'
    assert caller.value('/ids/1/spider/new?create=0') is None
    assert caller.value('/ids/1/spider/new?create=True') == 1
    assert caller.value('/ids/1/spider/new') == 1
    assert caller.value('/ids/1/spider/a%2Fb%20c?create=1') == 2
    assert caller.push('a/b c') == '1/2/1'


def test_settings_are_merged_and_read_one_by_one(caller: Caller) -> None:
    assert caller.value('/projects/1/settings') == {}
    for values in ({'a': [1, {'b': None}], 'c': None}, {'c': 2.5}):
        answer = caller.expect('POST', '/projects/1/settings', data=json.dumps(values))
        assert (answer.text, answer.headers['Content-Type']) == ('', 'text/plain; charset=utf-8')
    assert caller.value('/projects/1/settings') == {'a': [1, {'b': None}], 'c': 2.5}
    assert caller.value('/projects/1/settings/a') == [1, {'b': None}]
    for _ in range(2):
        answer = caller.expect('DELETE', '/projects/1/settings/a')
        assert (answer.text, answer.headers['Content-Type']) == ('', 'text/plain; charset=utf-8')
    assert caller.value('/projects/1/settings/a') is None
    assert caller.value('/projects/2/settings') == {}
    caller.expect('POST', '/projects/1/settings/a', 405, data='1')
