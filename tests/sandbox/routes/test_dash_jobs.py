"""Jobs on the dash: scheduling and bulk calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scrapinghub.sandbox import Sandbox
from support.caller import START, TABLES, Caller, Clock, rows


@pytest.fixture(scope='module')
def projects() -> None:
    """Accept every project."""


def run(caller: Caller, status: int = 200, **fields: Any) -> Any:
    form = {'project': 1, 'spider': 'one', **fields}
    return caller.expect('POST', '/api/run.json', status, data=form).json()


def test_run_stores_what_it_is_given(caller: Caller, cloud: Sandbox) -> None:
    answer = caller.expect(
        'POST',
        '/api/run.json',
        data={
            'project': 1, 'spider': 'one', 'units': 3, 'priority': 4, 'add_tag': ['b', 'a', 'b'], 'arg1': 'v',
            'arg2': '2',
            'job_settings': '{"A": 1}', 'environment': '{"E": "x"}', 'cmd_args': '-v',
            'meta': '{"state": "running", "m": [1]}',
        },
    )  # fmt: skip
    assert answer.text == '{"status":"ok","jobid":"1/1/1"}'
    assert answer.headers['Content-Type'] == 'application/json'
    assert 'Access-Control-Allow-Origin' not in answer.headers
    assert caller.meta('1/1/1') == {
        'project': 1, 'spider': 'one', 'state': 'running', 'units': 3, 'priority': 4, 'tags': ['b', 'a'], 'm': [1],
        'spider_args': {'arg1': 'v', 'arg2': '2'}, 'job_settings': {'A': 1}, 'environment': {'E': 'x'},
        'cmd_args': '-v', 'spider_type': 'manual', 'started_by': 'admin', 'running_time': START,
        'api_url': cloud.dash_url, 'portia_url': f'{cloud.url}portia/', 'portia_stack_version': 'latest',
    }  # fmt: skip
    assert caller.events() == ['1/1/1 started']


def test_run_needs_nothing_but_project_and_spider(caller: Caller) -> None:
    run(caller)
    meta = caller.meta('1/1/1')
    assert (meta['state'], meta['priority'], meta['units'], meta['tags']) == ('pending', 2, 1, [])
    assert not {'spider_args', 'job_settings', 'environment', 'cmd_args'} & set(meta)
    answer = caller.expect('POST', '/api/schedule.json', data={'project': 1, 'jobq_id': 1, 'a': 'b'})
    assert answer.json() == {'status': 'ok', 'jobid': '1/1/2'}


def test_the_same_arguments_are_refused_while_a_job_is_active(caller: Caller) -> None:
    run(caller, a='1', units=2)
    refused = caller.expect(
        'POST', '/api/run.json', 400, data={'project': 1, 'spider': 'one', 'a': '1', 'add_tag': 't'}
    )
    assert refused.text == '{"message":"one already scheduled","status":"error"}'
    assert run(caller, a='1', b='2')['jobid'] == '1/1/3'
    assert run(caller)['jobid'] == '1/1/4'
    assert run(caller, spider='two', a='1')['jobid'] == '1/2/1'
    assert run(caller, project=2, a='1')['jobid'] == '2/1/1'
    caller.update('1/1/1', state='running')
    assert run(caller, 400, a='1')['status'] == 'error'
    caller.update('1/1/1', state='finished')
    assert run(caller, a='1')['jobid'] == '1/1/6'
    assert caller.push() == '1/1/7'


def test_the_deployed_version_goes_with_a_job(caller: Caller) -> None:
    files = {'egg': ('code.egg', b'PK')}
    answer = caller.expect('POST', '/api/scrapyd/addversion.json', data={'project': 1, 'version': '1.2'}, files=files)
    assert answer.json() == {'status': 'ok', 'project': 1, 'version': '1.2', 'spiders': 0}
    run(caller)
    run(caller, project=2)
    assert caller.meta('1/1/1')['version'] == '1.2'
    assert 'version' not in caller.meta('2/1/1')
    assert caller.value('/api/spiders/list.json?project=1')['spiders'][0]['version'] == '1.2'


def test_jobs_are_listed_with_their_counters(caller: Caller, clock: Clock) -> None:
    run(caller, a='1', add_tag='t', meta='{"state": "running"}')
    key = '1/1/1'
    caller.send(f'/items/{key}', {'x': 1})
    caller.send(f'/logs/{key}', {'time': 1, 'level': 40, 'message': 'm'}, {'time': 1, 'level': 20, 'message': 'm'})
    clock.now += 61_000
    caller.update(key, state='finished', close_reason='finished', version='v1')
    clock.now += 5
    pending = caller.push()
    answer = caller.expect('GET', '/api/jobs/list.json?project=1')
    assert answer.headers['Content-Type'] == 'application/json'
    listed = answer.json()
    assert {name: listed[name] for name in ('status', 'count', 'total')} == {'status': 'ok', 'count': 2, 'total': 2}
    assert listed['jobs'] == [
        {
            'id': pending, 'spider': 'one', 'state': 'pending', 'spider_type': 'manual', 'started_time': None,
            'updated_time': '2017-07-14T02:41:01', 'elapsed': 0, 'priority': 2, 'version': None, 'tags': [],
            'items_scraped': 0, 'responses_received': 0, 'errors_count': 0, 'logs': 0,
        },
        {
            'id': key, 'spider': 'one', 'state': 'finished', 'spider_type': 'manual',
            'started_time': '2017-07-14T02:40:00', 'updated_time': '2017-07-14T02:41:01', 'elapsed': 5, 'priority': 2,
            'version': 'v1', 'tags': ['t'], 'items_scraped': 1, 'responses_received': 0, 'errors_count': 1, 'logs': 2,
            'close_reason': 'finished', 'spider_args': {'a': '1'},
        },
    ]  # fmt: skip
    first, *others = caller.lines('/api/jobs/list.jl?project=1')
    assert first == {'status': 'ok', 'count': 2, 'total': 2}
    assert others == listed['jobs']


@pytest.fixture
def several(caller: Caller) -> dict[str, str]:
    """One job in each state, each with a tag of its own and one in common."""
    states = ('pending', 'running', 'finished', 'deleted')
    return {state: caller.push(f's-{state}', state=state, tags=['all', state]) for state in states}


@pytest.mark.parametrize(
    ('query', 'expected'),
    [
        ('', ['finished', 'running', 'pending']),
        ('&state=running&state=deleted', ['deleted', 'running']),
        ('&spider=s-running', ['running']),
        ('&has_tag=pending&has_tag=finished', ['finished', 'pending']),
        ('&lacks_tag=pending&lacks_tag=finished', ['running']),
        ('&job=1/1/1&job=1/3/1&job=1/4/1&job=1/9/9', ['finished', 'pending']),
        ('&count=1', ['finished']),
        ('&count=-1', ['finished']),
        ('&count=2&offset=1', ['running', 'pending']),
        ('&offset=3', []),
        ('&count=0', []),
    ],
)
def test_jobs_are_filtered(caller: Caller, several: dict[str, str], query: str, expected: list[str]) -> None:
    keys = [several[state] for state in expected]
    assert [job['id'] for job in caller.value(f'/api/jobs/list.json?project=1{query}')['jobs']] == keys
    assert [job['id'] for job in caller.lines(f'/api/jobs/list.jl?project=1{query}')[1:]] == keys
    if 'count' not in query and 'offset' not in query:
        assert caller.value(f'/api/jobs/count.json?project=1{query}') == {'status': 'ok', 'total': len(keys)}


def test_a_json_list_ends_after_100_jobs_and_a_jl_list_does_not(caller: Caller) -> None:
    caller.send('/jobq/1/push', *({'spider': 'one'} for _ in range(250)))
    listed = caller.value('/api/jobs/list.json?project=1&count=200')
    assert (listed['count'], listed['total'], len(listed['jobs'])) == (100, 250, 100)
    lines = caller.lines('/api/jobs/list.jl?project=1')
    assert lines[0] == {'status': 'ok', 'count': 250, 'total': 250}
    assert [line['id'] for line in lines[1:]] == [f'1/1/{number}' for number in range(250, 0, -1)]


def test_tags_are_added_and_removed_in_one_step(caller: Caller, cloud: Sandbox, several: dict[str, str]) -> None:
    form = {'project': 1, 'job': several['pending'], 'add_tag': ['b', 'all', 'b'], 'remove_tag': ['pending', 'never']}
    answer = caller.expect('POST', '/api/jobs/update.json', data=form)
    assert answer.text == '{"count": 1, "status": "ok"}'
    assert caller.value(f'/jobs/{several["pending"]}/tags') == ['all', 'b']
    answer = caller.expect('POST', '/api/jobs/update.json', data={'project': 1, 'has_tag': 'all', 'add_tag': 'new'})
    assert answer.json()['count'] == 3
    assert caller.value(f'/jobs/{several["deleted"]}/tags') == ['all', 'deleted']
    before = rows(cloud, TABLES)
    assert caller.expect('POST', '/api/jobs/update.json', data={'project': 1}).json()['count'] == 3
    assert caller.expect('POST', '/api/jobs/update.json', data={'project': 1, 'remove_tag': 'x'}).json()['count'] == 3
    assert rows(cloud, TABLES) == before


def test_jobs_are_stopped_and_deleted_by_key(caller: Caller, several: dict[str, str]) -> None:
    everything = {'project': 1, 'job': [*several.values(), '1/9/9']}
    assert caller.expect('POST', '/api/jobs/stop.json', data=everything).json() == {'status': 'ok'}
    states = {state: caller.value(f'/jobs/{key}/state') for state, key in several.items()}
    assert states == {'pending': 'finished', 'running': 'running', 'finished': 'finished', 'deleted': 'deleted'}
    assert caller.expect('POST', '/api/jobs/delete.json', data=everything).json() == {'status': 'ok', 'count': 3}
    assert caller.expect('POST', '/api/jobs/delete.json', data=everything).json() == {'status': 'ok', 'count': 0}
    assert {caller.value(f'/jobs/{key}/state') for key in several.values()} == {'deleted'}
    assert [event.split()[1] for event in caller.events()[4:]] == 2 * ['cancelled'] + 3 * ['deleted']


@pytest.mark.parametrize('headers', [{'Content-Type': 'application/json'}, {}])
def test_jobs_are_stopped_and_deleted_with_a_json_body(caller: Caller, headers: dict[str, str]) -> None:
    first, second, third = caller.push(), caller.push(state='running'), caller.push()
    body = json.dumps({'project': 1, 'job': [first, second]})
    assert caller.expect('POST', '/api/jobs/stop.json', data=body, headers=headers).json() == {'status': 'ok'}
    assert [caller.meta(key).get('cancelled_by') for key in (first, second, third)] == ['admin', 'admin', None]
    body = json.dumps({'project': '1', 'job': first})
    answer = caller.expect('POST', '/api/jobs/delete.json', data=body, headers=headers)
    assert answer.json() == {'status': 'ok', 'count': 1}
    assert [caller.meta(key)['state'] for key in (first, second, third)] == ['deleted', 'running', 'pending']


@pytest.mark.parametrize(
    'body', ['{', '{"project": 1}', '{"project": 1, "job": []}', '{"project": 1, "job": [[]]}', '{"job": "1/1/1"}',
             '{"project": true, "job": "1/1/1"}', '{"project": 1, "job": null}', '[1]']
)  # fmt: skip
@pytest.mark.parametrize('call', ['stop', 'delete'])
def test_a_json_body_must_name_jobs(caller: Caller, call: str, body: str) -> None:
    key = caller.push()
    answer = caller.expect(
        'POST', f'/api/jobs/{call}.json', 400, data=body, headers={'Content-Type': 'application/json'}
    )
    assert answer.json()['status'] == 'error'
    assert caller.meta(key)['state'] == 'pending'
