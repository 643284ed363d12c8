"""What the queue server and the dash cannot accept is refused in their own form, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub.sandbox import Sandbox
from support.caller import TABLES, Caller, Clock, rows

DEEP = '[' * 100_000 + ']' * 100_000


@pytest.fixture(scope='module')
def filled() -> Iterator[tuple[Sandbox, dict[str, list[Any]]]]:
    """A sandbox with one job in each state, and all its rows."""
    with Sandbox(clock=Clock()) as cloud, Caller(cloud.url, (cloud.apikey, '')) as caller:
        for state in ('pending', 'running', 'finished', 'deleted'):
            caller.push(state=state, tags=['t'])
        yield cloud, rows(cloud, TABLES)


@pytest.fixture
def caller(filled: tuple[Sandbox, dict[str, list[Any]]]) -> Iterator[Caller]:
    """Sends requests that must not change anything."""
    cloud, before = filled
    with Caller(cloud.url, (cloud.apikey, '')) as caller:
        yield caller
    assert rows(cloud, TABLES) == before


def refused(caller: Caller, method: str, path: str, status: int = 400, **options: Any) -> str:
    """Send a request that must be refused, return the message."""
    answer = caller.expect(method, path, status, **options)
    assert answer.headers['Content-Type'] == 'application/json'
    error = answer.json()
    message: str = error['message']
    assert 'Traceback' not in message
    if path.startswith('/api/'):
        assert error == {'status': 'error', 'message': message}
    else:
        assert answer.text == json.dumps({'error': error['error'], 'message': message}, indent=2)
        assert answer.headers['Access-Control-Allow-Origin'] == '*'
    return message


NOT_JSON = ['{', 'x', '{"a": NaN}', '{"a": 1e999}', "{'a': 1}", '{"a": 1}{"b": 2}', '\udcff', DEEP]


@pytest.mark.parametrize('body', NOT_JSON)
@pytest.mark.parametrize(
    'path',
    [
        '/jobq/1/push', '/jobq/1/update', '/jobq/1/startjob', '/jobq/1/cancel', '/jobs/1/1/1', '/jobs/1/1/1/foo',
        '/projects/1/settings', '/botgroups/g/max_running',
    ],
)  # fmt: skip
def test_a_body_must_be_json(caller: Caller, path: str, body: str) -> None:
    refused(caller, 'POST', path, data=body.encode('utf-8', 'surrogateescape'))


@pytest.mark.parametrize('body', ['1', '"x"', 'null', '[]', '[{"spider": "one", "key": "1/1/1"}]'])
@pytest.mark.parametrize(
    'path', ['/jobq/1/push', '/jobq/1/update', '/jobq/1/startjob', '/jobs/1/1/1', '/projects/1/settings']
)
def test_a_body_must_hold_objects(caller: Caller, path: str, body: str) -> None:
    assert 'object' in refused(caller, 'POST', path, data=body)


@pytest.mark.parametrize('path', ['/jobq/1/startjob', '/jobq/1/cancel', '/jobs/1/1/1', '/jobs/1/1/1/foo'])
def test_a_body_must_be_there(caller: Caller, path: str) -> None:
    refused(caller, 'POST', path)


@pytest.mark.parametrize('encoding', ['gzip', 'br', 'zip'])
def test_a_compressed_body_must_be_what_it_says(caller: Caller, encoding: str) -> None:
    refused(caller, 'POST', '/jobq/1/push', data=b'\x1f\x8b\x08\x00broken', headers={'Content-Encoding': encoding})


@pytest.mark.parametrize(
    ('fields', 'words'),
    [
        ({'spider': None}, 'spider'),
        ({'spider': ''}, 'spider'),
        ({'spider': 7}, 'spider'),
        ({'spider': ['one']}, 'spider'),
        ({'spider': '\ud800'}, 'spider'),
        ({'state': 'waiting'}, 'pending, running, finished, deleted'),
        ({'state': None}, 'state'),
        ({'state': ['pending']}, 'state'),
        ({'priority': 5}, 'priority'),
        ({'priority': -1}, 'priority'),
        ({'priority': True}, 'priority'),
        ({'priority': '2'}, 'priority'),
        ({'priority': 10**30}, 'priority'),
        ({'priority': None}, 'priority'),
        ({'units': 0}, 'units'),
        ({'units': 1.5}, 'units'),
        ({'units': 10**30}, 'units'),
        ({'tags': 't'}, 'tags'),
        ({'tags': [1]}, 'tags'),
        ({'tags': {'t': 1}}, 'tags'),
        ({'key': '1/1/9'}, 'key'),
        ({'auth': 'token'}, 'auth'),
        ({'project': 2}, 'project'),
    ],
)
def test_a_push_must_make_sense(caller: Caller, fields: dict[str, Any], words: str) -> None:
    good = {'spider': 'new'}
    body = '\n'.join(json.dumps(line) for line in (good, {**good, **fields}, good))
    assert words in refused(caller, 'POST', '/jobq/1/push', data=body)


@pytest.mark.parametrize(
    'fields',
    [
        {'key': None}, {'key': 1}, {'key': '1'}, {'key': '1/1/1/1'}, {'key': '1/x/1'}, {'key': '2/1/1'}, {'key': '2/1'},
        {'key': '1/1/-1'}, {'key': '1/1/²'}, {'key': f'1/1/{10**30}'}, {'key': ['1/1/1']}, {'state': 'done'},
        {'state': 1},
        {'priority': 9}, {'units': 'x'}, {'tags': 'x'}, {'project': 2}, {'spider': 'two'}, {'auth': 'x'},
    ],
)  # fmt: skip
@pytest.mark.parametrize('good', ['1/1/2', '1/1'])
def test_an_update_must_make_sense(caller: Caller, fields: dict[str, Any], good: str) -> None:
    lines = [{'key': '1/1/1', 'state': 'running'}, {'key': good, 'foo': 1, **fields}]
    refused(caller, 'POST', '/jobq/1/update', data='\n'.join(map(json.dumps, lines)))


@pytest.mark.parametrize(
    'fields', [{'state': 'pending'}, {'priority': 7}, {'tags': 1}, {'spider': 'two'}, {'key': '1/1/2'}]
)
def test_a_start_must_make_sense(caller: Caller, fields: dict[str, Any]) -> None:
    refused(caller, 'POST', '/jobq/1/startjob', data=json.dumps(fields))


@pytest.mark.parametrize(
    ('query', 'body'),
    [
        ('', '{"key": "1/1/1"}'),
        ('', '["1/1/1"]'),
        ('', '[{"key": 1}]'),
        ('', '[{}]'),
        ('', '[{"key": "1/1/1"}, {"key": "2/1/1"}]'),
        ('', '[{"key": "1/1/1"}, {"key": "x"}]'),
        ('', json.dumps([{'key': '1/1/1'}] * 1001)),
        ('?count=0', ''),
        ('?count=-1', ''),
        ('?count=x', ''),
        ('?count=99999999999999999999', ''),
        ('?count=1', '[{"key": "1/1/1"}]'),
    ],
)
def test_a_cancel_must_make_sense(caller: Caller, query: str, body: str) -> None:
    refused(caller, 'POST', f'/jobq/1/cancel{query}', data=body)


@pytest.mark.parametrize('call', ['list', 'count'])
@pytest.mark.parametrize(
    'query',
    [
        'state=done', 'state=', 'state=pending&state=x', 'startts=x', 'startts=-1', 'endts=1.5',
        'endts=99999999999999999999',
        'key=x', 'key=2/1/1', 'key=1/1', 'stop=x', 'stop=2/1/1',
    ],
)  # fmt: skip
def test_a_filter_must_make_sense(caller: Caller, call: str, query: str) -> None:
    refused(caller, 'GET', f'/jobq/1/{call}?{query}')


@pytest.mark.parametrize(
    'path',
    [
        '/jobq/1/list?count=x', '/jobq/1/list?count=-1', '/jobq/1/list?start=-1', '/jobq/1/list?start=1e3',
        '/jobq/1/summary/done', '/jobq/1/1/summary/done', '/jobq/1/summary?count=x', '/jobq/1/summary?start=-1',
        '/jobq/1/jobsummary?key=x', '/jobq/1/jobsummary?key=2/1/1', '/spiders/1/lastjobsummary?start=x',
        '/spiders/1/lastjobsummary?startafter=2/1', '/spiders/1/lastjobsummary?count=-1',
        '/projects/jobsummaries?state=x',
    ],
)  # fmt: skip
def test_a_reading_parameter_must_make_sense(caller: Caller, path: str) -> None:
    refused(caller, 'GET', path)


@pytest.mark.parametrize(
    ('path', 'body'),
    [
        ('/jobs/1/1/1', '{"priority": 7}'),
        ('/jobs/1/1/1', '{"foo": 1, "tags": "x"}'),
        ('/jobs/1/1/1', '{"foo": 1, "state": "finished"}'),
        ('/jobs/1/1/1/units', '0'),
        ('/jobs/1/1/1/state', '"finished"'),
        ('/botgroups/g/max_running', '-1'),
        ('/botgroups/g/max_running', '"1"'),
        ('/botgroups/g/max_running', 'true'),
        ('/projects/1/settings', '{"good": 1, "": 2}'),
        ('/projects/1/settings', '{"good": 1, "\\ud800": 2}'),
    ],
)
def test_a_value_must_make_sense(caller: Caller, path: str, body: str) -> None:
    refused(caller, 'POST', path, data=body)


@pytest.mark.parametrize(
    ('method', 'path', 'allowed'),
    [
        ('GET', '/jobq/1/push', 'POST'),
        ('POST', '/jobq/1/list', 'GET'),
        ('DELETE', '/jobq/1/update', 'POST'),
        ('PUT', '/jobs/1/1/1', 'DELETE, GET, HEAD, POST'),
        ('POST', '/ids/1/spider/one', 'GET'),
        ('POST', '/projects/1/settings/a', 'DELETE'),
        ('POST', '/projects/jobsummaries', 'GET'),
        ('GET', '/botgroups/g', 'DELETE'),
        ('GET', '/api/run.json', 'POST'),
        ('DELETE', '/api/jobs/list.json', 'GET'),
        ('POST', '/api/v2/projects/1/spiders/1/tags', 'PATCH'),
    ],
)
def test_a_wrong_method_is_named(caller: Caller, method: str, path: str, allowed: str) -> None:
    assert method in refused(caller, method, path, 405)
    answer = caller.expect(method, path, 405)
    assert set(allowed.split(', ')) <= set(answer.headers['Allow'].split(', '))


@pytest.mark.parametrize(
    'path',
    [
        '/jobq', '/jobq/1', '/jobq/x/list', '/jobq/1/unknown', '/jobq/-1/list', f'/jobq/{10**30}/list',
        '/jobq/1/x/summary',
        '/jobs/1/x', '/jobs/1/1/x', f'/jobs/1/1/{10**30}', '/ids/1/spider', '/ids/1/other/x', '/spiders/1',
        '/projects/1',
        '/projects/1/other', '/jobq/1/list/%FF', '/jobs/1/1/1/%FF', '/botgroups/a/b',
    ],
)  # fmt: skip
def test_an_unknown_path_of_the_queue_is_not_found(caller: Caller, path: str) -> None:
    refused(caller, 'GET', path, 404)


@pytest.mark.parametrize(
    ('call', 'form'),
    [
        ('run', {}),
        ('run', {'spider': 'one'}),
        ('run', {'project': 'x', 'spider': 'one'}),
        ('run', {'project': '0', 'spider': 'one'}),
        ('run', {'project': '99999999999999999999', 'spider': 'one'}),
        ('run', {'project': 1}),
        ('run', {'project': 1, 'spider': ''}),
        ('run', {'project': 1, 'jobq_id': 99}),
        ('run', {'project': 1, 'jobq_id': 'x'}),
        ('run', {'project': 1, 'spider': 'new', 'units': 0}),
        ('run', {'project': 1, 'spider': 'new', 'units': 7}),
        ('run', {'project': 1, 'spider': 'new', 'units': 'x'}),
        ('run', {'project': 1, 'spider': 'new', 'priority': 5}),
        ('run', {'project': 1, 'spider': 'new', 'meta': '{'}),
        ('run', {'project': 1, 'spider': 'new', 'meta': '[]'}),
        ('run', {'project': 1, 'spider': 'new', 'meta': '{"state": "done"}'}),
        ('run', {'project': 1, 'spider': 'new', 'meta': '{"spider": "other"}'}),
        ('run', {'project': 1, 'spider': 'new', 'meta': '{"priority": "high"}'}),
        ('run', {'project': 1, 'spider': 'new', 'job_settings': '1'}),
        ('run', {'project': 1, 'spider': 'new', 'environment': 'A=B'}),
        ('run', {'project': 1, 'spider': 'new', 'environment': DEEP}),
        ('jobs/update', {'add_tag': 'a'}),
        ('jobs/update', {'project': 1, 'job': 'x', 'add_tag': 'a'}),
        ('jobs/update', {'project': 1, 'job': ['1/1/1', '2/1/1'], 'add_tag': 'a'}),
        ('jobs/update', {'project': 1, 'state': 'done', 'add_tag': 'a'}),
        ('jobs/stop', {'project': 1}),
        ('jobs/stop', {'project': 1, 'job': '2/1/1'}),
        ('jobs/delete', {'project': 1}),
        ('jobs/delete', {'project': 1, 'state': 'finished'}),
        ('eggs/add', {'project': 1, 'name': 'a', 'version': '1'}),
        ('eggs/add', {'project': 1, 'version': '1'}),
        ('eggs/delete', {'project': 1}),
        ('scrapyd/addversion', {'project': 1}),
        ('scrapyd/addversion', {'project': 1, 'version': '1'}),
        ('reports/add', {'project': 1, 'job': '1/1/1'}),
    ],
)
def test_a_form_of_the_dash_must_make_sense(caller: Caller, call: str, form: dict[str, Any]) -> None:
    refused(caller, 'POST', f'/api/{call}.json', data=form)


@pytest.mark.parametrize(
    'path',
    [
        'jobs/list.json', 'jobs/list.json?project=x', 'jobs/list.json?project=1&count=x',
        'jobs/list.jl?project=1&offset=-1',
        'jobs/count.json?project=1&state=x', 'spiders/list.json', 'eggs/list.json?project=-1', 'items.json?project=1',
        'items.json?project=1&job=1/1/1&count=x', 'log.json?project=1&job=1/1/1&level=LOUD', 'log.jl?job=1/1/1',
    ],
)  # fmt: skip
def test_a_query_of_the_dash_must_make_sense(caller: Caller, path: str) -> None:
    refused(caller, 'GET', f'/api/{path}')


@pytest.mark.parametrize('body', ['{', '[]', '"x"', '{"add": "x"}', '{"add": [1]}', '{"add": ["a"], "remove": {}}'])
def test_a_tag_change_must_make_sense(caller: Caller, body: str) -> None:
    answer = caller.expect('PATCH', '/api/v2/projects/1/spiders/1/tags', 400, data=body)
    assert answer.headers['Content-Type'] == 'application/json'
    assert isinstance(answer.json(), dict)


def test_broken_forms_are_refused(caller: Caller) -> None:
    headers = {'Content-Type': 'multipart/form-data; boundary=x'}
    refused(caller, 'POST', '/api/eggs/add.json', data=b'--x\r\nno end', headers=headers)
    headers = {'Content-Type': 'application/x-www-form-urlencoded'}
    refused(caller, 'POST', '/api/run.json', data=b'\xff\xfe', headers=headers)
    parts = {f'a{number}': (None, '1') for number in range(2000)}
    refused(caller, 'POST', '/api/run.json', 413, files={'project': (None, '1'), 'spider': (None, 'one'), **parts})


def test_projects_that_do_not_exist_are_forbidden() -> None:
    with Sandbox(projects=[5]) as cloud, Caller(cloud.url, (cloud.apikey, '')) as caller:
        before = rows(cloud, TABLES)
        for method, path in (
            ('GET', '/jobq/1/list'),
            ('POST', '/jobq/1/push'),
            ('POST', '/jobs/1/1/1'),
            ('GET', '/ids/1/spider/one?create=1'),
            ('POST', '/projects/1/settings'),
            ('GET', '/api/jobs/list.json?project=1'),
            ('GET', '/api/v2/projects/1/spiders/1'),
        ):
            refused(caller, method, path, 403, data='{"spider": "one"}' if method == 'POST' else None)
        refused(caller, 'POST', '/api/run.json', 403, data={'project': 1, 'spider': 'one'})
        assert rows(cloud, TABLES) == before
        assert caller.value('/api/scrapyd/listprojects.json')['projects'] == [5]


numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(
    ['spider', 'state', 'key', 'priority', 'units', 'tags', 'unique', 'auth', 'project', 'botgroup']
)
paths = st.sampled_from(
    ['/jobq/1/push', '/jobq/1/update', '/jobq/1/startjob', '/jobq/1/cancel', '/jobs/1/1/1', '/jobs/1/1/2/x']
)
bodies = (
    st.dictionaries(names | st.text(), json_values, max_size=4)
    | st.lists(st.dictionaries(names, json_values))
    | json_values
)


@pytest.fixture(scope='module')
def tough() -> Iterator[Caller]:
    with Sandbox(projects=[1], clock=Clock()) as cloud, Caller(cloud.url, (cloud.apikey, '')) as caller:
        caller.push()
        caller.push(state='running')
        yield caller


@given(path=paths, value=bodies)
def test_no_json_is_too_odd_for_the_queue(tough: Caller, path: str, value: Any) -> None:
    answer = tough.call('POST', path, json.dumps(value))
    assert answer.status_code in (200, 400), answer.text
    for listed in ('/jobq/1/list', '/jobq/1/summary', '/api/jobs/list.json?project=1', '/jobs/1'):
        tough.expect('GET', listed)


parameters = st.sampled_from(
    [
        'state', 'spider', 'count', 'start', 'stop', 'has_tag', 'lacks_tag', 'startts', 'endts', 'jobmeta', 'key',
        'filter', 'job', 'offset', 'project', 'level',
    ]
)  # fmt: skip


@given(query=st.lists(st.tuples(parameters, st.text()), max_size=4))
def test_no_query_is_too_odd(tough: Caller, query: list[tuple[str, str]]) -> None:
    for path in ('jobq/1/list', 'jobq/1/count', 'jobq/1/summary', 'spiders/1/lastjobsummary', 'api/jobs/list.json'):
        answer = tough.get(path, params=query)
        assert answer.status_code in (200, 400, 403), answer.text
