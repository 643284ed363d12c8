"""Job metadata, project settings and ids, as a client sees them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.sandbox_api import Api, rows

STATES = ('pending', 'running', 'finished', 'deleted')


# Metadata


@pytest.mark.parametrize(
    'value', [None, True, 0, -1.5, 'x', '', [], [1, [None]], {}, {'a': {'b': []}}, 'é\u2028', 10**30]
)
def test_any_json_value_is_kept(api: Api, value: Any) -> None:
    key = api.push(pushed=value)
    answer = api.ask('POST', f'/jobs/{key}/posted', data=json.dumps(value))
    assert (answer.text, answer.headers['Content-Type']) == ('', 'text/html; charset=utf-8')
    api.post(f'/jobs/{key}', {'merged': value})
    api.update(key, updated=value)
    names = ('pushed', 'posted', 'merged', 'updated')
    assert [api.get(f'/jobs/{key}/{name}') for name in names] == [value] * 4
    assert [api.meta(key)[name] for name in names] == [value] * 4


def test_what_is_absent_is_null_or_nothing(api: Api) -> None:
    key = api.push()
    assert api.ask('GET', f'/jobs/{key}/absent').text == 'null'
    assert api.ask('GET', '/jobs/1/1/99').text == ''
    assert api.ask('GET', '/jobs/1/1/99/foo').text == 'null'
    for path in (f'/jobs/{key}/absent', '/jobs/1/1/99/foo', '/jobs/1/1/99'):
        answer = api.ask('DELETE', path)
        assert (answer.text, answer.headers['Content-Type']) == ('', 'text/html; charset=utf-8')
    for path in ('/jobs/1/1/99', '/jobs/1/1/99/foo'):
        assert 'does not exist' in api.ask('POST', path, 404, data='{"a": 1}').json()['message']


def test_fields_are_merged_and_deleted(api: Api) -> None:
    key = api.push(foo=1, bar=2)
    before = api.meta(key)
    api.post(f'/jobs/{key}', {'foo': None, 'tags': ['t']})
    assert api.meta(key) == {**before, 'foo': None, 'tags': ['t']}
    assert api.keys('state=pending&has_tag=t') == [key]
    api.ask('DELETE', f'/jobs/{key}/foo')
    api.ask('DELETE', f'/jobs/{key}/tags')
    assert api.meta(key) == {name: value for name, value in before.items() if name != 'foo'}
    assert api.keys('state=pending&has_tag=t') == []


def test_a_field_may_have_any_name(api: Api) -> None:
    key = api.push()
    for name in ('a%2Fb', '%C3%A9', 'a%20b', '%25', 'list'):
        api.post(f'/jobs/{key}/{name}', name)
        assert api.get(f'/jobs/{key}/{name}') == name
    assert api.meta(key)['a/b'] == 'a%2Fb'


def test_what_the_queue_itself_decides_may_be_repeated_but_not_changed(api: Api) -> None:
    (pushed,) = api.post('/jobq/1/push', {'spider': 'one', 'state': 'running', 'project': 1})
    key, token = pushed['key'], pushed['auth']
    own = {'project': 1, 'spider': 'one', 'state': 'running', 'key': key, '_key': key, 'auth': token}
    before = api.meta(key)
    api.post(f'/jobs/{key}', own)
    for name, value in own.items():
        api.post(f'/jobs/{key}/{name}', value)
        api.post(f'/jobs/{key}', {'foo': 1, name: 'finished'}, status=400)
        api.post(f'/jobs/{key}/{name}', None, status=400)
        api.ask('DELETE', f'/jobs/{key}/{name}', 400)
    assert api.meta(key) == before


def test_a_record_can_be_removed_for_good(api: Api) -> None:
    keys = [api.push(tags=['t'], state='finished') for _ in range(2)]
    api.post(f'/items/{keys[0]}', {'a': 1})
    api.ask('DELETE', f'/jobs/{keys[0]}')
    assert api.ask('GET', f'/jobs/{keys[0]}').text == ''
    assert api.keys('has_tag=t') == [keys[1]]
    assert api.push() == '1/1/3'
    assert rows(api.cloud, ['records', 'streams']) == {'records': [], 'streams': []}


def test_metadata_of_many_jobs_comes_by_key(api: Api) -> None:
    keys = [api.push('ab'[number % 2], number=number, state=STATES[number % 4]) for number in range(6)]
    lines = api.lines('/jobs/1?meta=_key')
    assert [line['_key'] for line in lines] == sorted(keys)
    assert [line['number'] for line in api.lines('/jobs/1/2')] == [1, 3, 5]
    assert lines[0] == {**api.meta(keys[0]), '_key': keys[0]}
    assert api.lines('/jobs/1/9') == []
    api.post('/jobq/2/push', *({'spider': 'one'} for _ in range(1203)))
    assert len(api.lines('/jobs/2')) == 1203


# Ids and settings


def test_an_id_is_created_on_request_only(api: Api) -> None:
    assert api.ask('GET', '/ids/1/spider/new').text == 'null'
    assert api.get('/ids/1/spider/new?create=0') is None
    assert api.get('/ids/1/spider/new?create=True') == 1
    assert api.get('/ids/1/spider/new') == 1
    assert api.get('/ids/1/spider/a%2Fb%20c?create=1') == 2
    assert api.push('a/b c') == '1/2/1'


def test_settings_are_merged_and_read_one_by_one(api: Api) -> None:
    assert api.get('/projects/1/settings') == {}
    for values in ({'a': [1, {'b': None}], 'c': None}, {'c': 2.5}):
        answer = api.ask('POST', '/projects/1/settings', data=json.dumps(values))
        assert (answer.text, answer.headers['Content-Type']) == ('', 'text/plain; charset=utf-8')
    assert api.get('/projects/1/settings') == {'a': [1, {'b': None}], 'c': 2.5}
    assert api.get('/projects/1/settings/a') == [1, {'b': None}]
    for _ in range(2):
        answer = api.ask('DELETE', '/projects/1/settings/a')
        assert (answer.text, answer.headers['Content-Type']) == ('', 'text/plain; charset=utf-8')
    assert api.get('/projects/1/settings/a') is None
    assert api.get('/projects/2/settings') == {}
    api.ask('POST', '/projects/1/settings/a', 405, data='1')
