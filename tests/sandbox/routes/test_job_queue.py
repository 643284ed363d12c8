"""The job queue: pushing, states, order, cancelling, credentials; as a client sees them."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scrapinghub.sandbox import Sandbox
from support.caller import START, TABLES, Caller, Clock, rows

STATES = ('pending', 'running', 'finished', 'deleted')


# Pushing


@pytest.fixture(scope='module')
def projects() -> None:
    """Accept every project."""


def test_a_pushed_job_waits_with_the_defaults(caller: Caller) -> None:
    answer = caller.expect('POST', '/jobq/1/push', data='{"spider": "one", "foo": {"bar": [1.5, null]}}')
    assert answer.text == '{"key": "1/1/1", "auth": null}'
    assert answer.headers['Content-Type'] == 'application/x-jsonlines'
    assert answer.headers['Access-Control-Allow-Origin'] == '*'
    assert answer.headers['X-Service-Version']
    assert caller.meta('1/1/1') == {
        'project': 1, 'spider': 'one', 'state': 'pending', 'priority': 2, 'units': 1,
        'scheduled_by': 'admin', 'pending_time': START, 'foo': {'bar': [1.5, None]},
    }  # fmt: skip


@pytest.mark.parametrize(
    ('state', 'stamps'),
    [
        ('pending', {'scheduled_by': 'admin', 'pending_time': START}),
        ('running', {'started_by': 'admin', 'running_time': START}),
        ('finished', {'completed_by': 'admin', 'finished_time': START}),
        ('deleted', {'deleted_by': 'admin', 'deleted_time': START}),
    ],
)
def test_a_job_may_begin_in_any_state(caller: Caller, state: str, stamps: dict[str, Any]) -> None:
    key = caller.push(state=state)
    meta = caller.meta(key)
    assert meta.pop('state') == state
    assert meta == {'project': 1, 'spider': 'one', 'priority': 2, 'units': 1, **stamps}
    event = {'pending': 'scheduled', 'running': 'started', 'finished': 'completed', 'deleted': 'deleted'}[state]
    assert caller.events() == [f'{key} {event}']


def test_ids_count_per_project_and_numbers_per_spider(caller: Caller) -> None:
    keys = [caller.push('a'), caller.push('b'), caller.push('a'), caller.push('a', project=2), caller.push('b')]
    assert keys == ['1/1/1', '1/2/1', '1/1/2', '2/1/1', '1/2/2']
    assert [caller.value(f'/ids/1/spider/{name}') for name in 'abc'] == [1, 2, None]


def test_several_lines_push_several_jobs(caller: Caller) -> None:
    answers = caller.send('/jobq/1/push', {'spider': 'a'}, {'spider': 'b', 'state': 'running'}, {'spider': 'a'})
    assert [answer['key'] for answer in answers] == ['1/1/1', '1/2/1', '1/1/2']
    assert [answer['auth'] is not None for answer in answers] == [False, True, False]


def test_no_line_pushes_nothing(caller: Caller) -> None:
    assert caller.send('/jobq/1/push') == []
    assert caller.lines('/jobq/1/summary')[0]['count'] == 0


def test_an_active_job_holds_its_unique_key_and_a_refusal_uses_up_a_number(caller: Caller) -> None:
    first = caller.push(unique='h')
    refused = {'spider': 'other', 'unique': 'h', 'foo': 1}
    assert caller.send('/jobq/1/push', refused) == [{'request': refused, 'error': 'Active job exists with key h'}]
    caller.update(first, state='running')
    assert 'error' in caller.send('/jobq/1/push', {'spider': 'one', 'unique': 'h'})[0]
    assert caller.push(unique='h', project=2) == '2/1/1'
    caller.update(first, state='finished')
    assert caller.push(unique='h') == '1/1/3'
    assert caller.push('other') == '1/2/2'
    assert caller.push(unique=None) == '1/1/4'
    assert 'unique' not in caller.meta('1/1/3')


def test_a_unique_key_counts_within_one_request_too(caller: Caller) -> None:
    answers = caller.send(
        '/jobq/1/push', {'spider': 'a', 'unique': 'h'}, {'spider': 'a', 'unique': 'h'}, {'spider': 'a'}
    )
    assert [answer.get('key') for answer in answers] == ['1/1/1', None, '1/1/3']


def test_units_default_to_the_setting_of_the_project(caller: Caller) -> None:
    caller.send('/projects/1/settings', {'default_job_units': 3})
    assert caller.meta(caller.push())['units'] == 3
    assert caller.meta(caller.push(units=2))['units'] == 2


# States


def test_a_job_passes_through_its_states(caller: Caller, clock: Clock) -> None:
    key = caller.push()
    stamps: dict[str, Any] = {'scheduled_by': 'admin', 'pending_time': START}
    before = 'pending'
    actors = {'running': 'started_by', 'finished': 'completed_by', 'deleted': 'deleted_by'}
    for state, actor in actors.items():
        clock.now += 10
        assert caller.update(key, state=state, note=state) == [{'prevstate': before, 'key': key}]
        stamps |= {actor: 'admin', f'{state}_time': clock.now}
        assert caller.meta(key) == {
            'project': 1, 'spider': 'one', 'state': state, 'priority': 2, 'units': 1, 'note': state, **stamps,
        }  # fmt: skip
        before = state
    assert caller.events() == [f'{key} {event}' for event in ('scheduled', 'started', 'completed', 'deleted')]


@pytest.mark.parametrize('state', STATES)
def test_the_present_state_again_stamps_nothing_and_writes_no_event(caller: Caller, clock: Clock, state: str) -> None:
    key = caller.push(state=state)
    before, events = caller.meta(key), caller.events()
    clock.now += 10
    assert caller.update(key, state=state, foo=1) == [{'prevstate': state, 'key': key}]
    assert caller.meta(key) == {**before, 'foo': 1}
    assert caller.events() == events
    assert [line['ts'] for line in caller.lines(f'/jobq/1/jobsummary?key={key}')] == [START]


@pytest.mark.parametrize('before', STATES)
@pytest.mark.parametrize('after', STATES)
def test_any_state_may_follow_any_other(caller: Caller, before: str, after: str) -> None:
    key = caller.push(state=before)
    assert caller.update(key, state=after) == [{'prevstate': before, 'key': key}]
    assert caller.value(f'/jobs/{key}/state') == after
    assert (caller.value(f'/jobs/{key}/auth') is not None) is (after == 'running')


def test_metadata_may_be_updated_without_a_state(caller: Caller) -> None:
    key = caller.push(foo=1, bar=2)
    assert caller.update(key, foo=None, tags=['t']) == [{'prevstate': 'pending', 'key': key}]
    meta = caller.meta(key)
    assert (meta['foo'], meta['bar'], meta['tags'], meta['state']) == (None, 2, ['t'], 'pending')


def test_updates_answer_in_the_order_of_the_request_and_skip_unknown_jobs(caller: Caller) -> None:
    first, second = caller.push(), caller.push()
    lines = [{'key': key, 'state': 'running'} for key in (second, '1/1/99', '1/9/1', first, second)]
    assert caller.send('/jobq/1/update', *lines) == [
        {'prevstate': 'pending', 'key': second},
        {'prevstate': 'pending', 'key': first},
        {'prevstate': 'running', 'key': second},
    ]
    assert caller.expect('POST', '/jobq/1/update', data='{"key": "1/1/99", "state": "running"}').text == ''


def test_a_spider_key_updates_its_living_jobs_by_state_and_time(caller: Caller, clock: Clock) -> None:
    finished, running, late, early, deleted = (
        caller.push(state=state) for state in ('finished', 'running', 'pending', 'pending', 'deleted')
    )
    caller.push('other')
    clock.now += 1
    caller.update(late, state='running')
    caller.update(late, state='pending')
    answers = caller.update('1/1', state='finished', foo=1)
    assert [(answer['key'], answer['prevstate']) for answer in answers] == [
        (early, 'pending'), (late, 'pending'), (running, 'running'), (finished, 'finished'),
    ]  # fmt: skip
    assert caller.meta(finished)['foo'] == 1
    assert 'foo' not in caller.meta(deleted)
    answers = caller.update('1/1', state='deleted')
    assert [answer['key'] for answer in answers] == [finished, early, late, running]
    assert caller.expect('POST', '/jobq/1/update', data='{"key": "1/1", "state": "deleted"}').text == ''
    assert caller.update('1/9', state='deleted') == []


# Starting


def test_higher_priorities_start_first_and_older_jobs_among_equals(caller: Caller) -> None:
    pushed = {
        priority: [caller.push(priority=priority), caller.push(priority=priority)] for priority in (1, 4, 0, 2, 3)
    }
    expected = [key for priority in (4, 3, 2, 1, 0) for key in pushed[priority]]
    assert [caller.send('/jobq/1/startjob', {})[0]['key'] for _ in expected] == expected
    answer = caller.expect('POST', '/jobq/1/startjob', data='{}')
    assert (answer.text, answer.headers['Content-Type']) == ('null', 'application/json')


def test_a_priority_changed_in_the_metadata_counts(caller: Caller) -> None:
    caller.push()
    key = caller.push()
    caller.send(f'/jobs/{key}/priority', 3)
    assert caller.send('/jobq/1/startjob', {})[0]['key'] == key


def test_startjob_answers_metadata_key_and_token(caller: Caller, clock: Clock) -> None:
    key = caller.push(foo=1)
    clock.now += 5
    (started,) = caller.send('/jobq/1/startjob', {'bar': [2]})
    token = started.pop('auth')
    assert started == {
        'key': key, 'project': 1, 'spider': 'one', 'state': 'running', 'priority': 2, 'units': 1, 'foo': 1, 'bar': [2],
        'scheduled_by': 'admin', 'pending_time': START, 'started_by': 'admin', 'running_time': START + 5,
        '_shub_worker': 'kumo',
    }  # fmt: skip
    header, payload, signature = (base64.urlsafe_b64decode(part + '==') for part in token.split('.'))
    assert json.loads(header) == {'typ': 'JWT', 'alg': 'HS256'}
    assert json.loads(payload) == {'aud': f'job:{key}'}
    assert len(signature) == 32
    assert caller.value(f'/jobs/{key}/auth') == token
    assert 'auth' not in caller.meta(key)
    del started['key']
    assert caller.meta(key) == started


def test_a_start_without_a_bot_group_gets_a_job_of_a_project_that_lists_bot_groups(caller: Caller) -> None:
    caller.send('/projects/1/settings', {'botgroups': ['g1']})
    caller.send('/botgroups/g1/max_running', 0)
    key = caller.push()
    assert caller.send('/jobq/1/startjob', {'botgroup': 'g1'}) == [None]
    assert caller.send('/jobq/1/startjob', {})[0]['key'] == key


def test_a_bot_group_gets_jobs_only_of_projects_that_list_it(caller: Caller) -> None:
    first, second = caller.push(), caller.push()
    assert caller.send('/jobq/1/startjob', {'botgroup': 'g1'}) == [None]
    caller.send('/projects/1/settings', {'botgroups': ['g1', 'g2']})
    assert caller.send('/jobq/1/startjob', {'botgroup': 'g3'}) == [None]
    assert caller.send('/botgroups/g1/max_running', 1) == [None]
    assert caller.send('/jobq/1/startjob', {'botgroup': 'g1'})[0]['key'] == first
    assert caller.send('/jobq/1/startjob', {'botgroup': 'g1'}) == [None]
    assert caller.send('/botgroups/g1/max_running', None) == [None]
    assert caller.send('/jobq/1/startjob', {'botgroup': 'g1'})[0]['key'] == second
    assert caller.expect('DELETE', '/botgroups/g1').text == 'null'
    assert caller.expect('DELETE', '/botgroups/never').text == 'null'


# Cancelling


def test_cancelling_finishes_a_pending_job_and_flags_a_running_one(caller: Caller, clock: Clock) -> None:
    waiting, running = caller.push(), caller.push(state='running')
    clock.now += 5
    answer = caller.expect('POST', f'/jobq/{waiting}/cancel')
    assert (answer.text, answer.headers['Content-Type']) == ('{"count": 1}', 'application/json')
    assert caller.send(f'/jobq/{running}/cancel') == [{'count': 1}]
    meta = caller.meta(waiting)
    assert (meta['state'], meta['close_reason'], meta['cancelled_by']) == ('finished', 'cancelled', 'admin')
    assert meta['finished_time'] == START + 5
    meta = caller.meta(running)
    assert (meta['state'], meta['cancelled_by'], meta['running_time']) == ('running', 'admin', START)
    assert 'close_reason' not in meta
    caller.update(running, state='finished')
    assert caller.events() == [
        f'{waiting} scheduled', f'{running} started', f'{waiting} cancelled', f'{running} cancelled',
        f'{running} completed',
    ]  # fmt: skip


def test_cancelling_twice_or_too_late_changes_nothing(caller: Caller, cloud: Sandbox) -> None:
    keys = [caller.push(state=state) for state in ('running', 'finished', 'deleted')]
    caller.send(f'/jobq/{keys[0]}/cancel')
    before = rows(cloud, TABLES)
    assert [caller.send(f'/jobq/{key}/cancel') for key in keys] == [
        [{'count': 1}],
        [{'count': 0}],
        [{'count': 0}],
    ]
    assert caller.send('/jobq/1/1/99/cancel') == [{'count': 0}]
    assert rows(cloud, TABLES) == before


def test_many_jobs_are_cancelled_by_an_array_of_keys(caller: Caller) -> None:
    keys = [caller.push() for _ in range(3)]
    entries = [{'key': key} for key in (*keys[:2], keys[0], '1/1/10000')]
    assert caller.send('/jobq/1/cancel', entries) == [{'count': 2}]
    assert [caller.value(f'/jobs/{key}/state') for key in keys] == ['finished', 'finished', 'pending']
    assert caller.send('/jobq/1/cancel', []) == [{'count': 0}]
    assert caller.send('/jobq/1/cancel', [{'key': f'1/1/{number}'} for number in range(1, 1001)]) == [{'count': 1}]


def test_an_amount_of_jobs_is_cancelled_from_the_oldest_pending_on(caller: Caller) -> None:
    running, first, second, third = caller.push(state='running'), caller.push(), caller.push(), caller.push()
    assert caller.send('/jobq/1/cancel?count=2') == [{'count': 2}]
    assert caller.keys('state=pending') == [third]
    assert caller.keys() == [second, first]
    assert caller.send('/jobq/1/cancel?count=10') == [{'count': 2}]
    assert caller.meta(running)['cancelled_by'] == 'admin'


# Credentials


def test_the_queue_asks_for_credentials_in_its_own_way(caller: Caller) -> None:
    for auth in (None, ('wrong', ''), ('1/1/1', 'token')):
        answer = caller.expect('POST', '/jobq/1/push', 401, auth=auth, data='{"spider": "one"}')
        assert answer.text == '{\n  "error": "Unauthorized",\n  "message": "Unauthorized"\n}'
        assert answer.reason == 'UNAUTHORIZED'
        assert answer.headers['WWW-Authenticate'] == 'Basic realm="apikey"'
        assert answer.headers['X-Service-Version']
    assert caller.lines('/jobq/1/summary')[0]['count'] == 0


def test_a_job_token_opens_that_job_and_no_scheduling(caller: Caller) -> None:
    (started,) = caller.send('/jobq/1/push', {'spider': 'one', 'state': 'running'})
    other = caller.push(state='running')
    key, auth = started['key'], (started['key'], started['auth'])
    caller.send(f'/jobs/{key}/foo', 1, auth=auth)
    assert caller.value(f'/jobs/{key}/foo', auth=auth) == 1
    for method, path in (
        ('GET', f'/jobs/{other}'),
        ('POST', '/jobq/1/push'),
        ('POST', '/jobq/1/update'),
        ('POST', f'/jobq/{key}/cancel'),
        ('POST', '/jobq/1/cancel?count=1'),
        ('GET', '/jobq/1/list'),
        ('GET', '/projects/1/settings'),
        ('GET', '/ids/1/spider/one?create=1'),
    ):
        caller.expect(method, path, 403, auth=auth, data='{"spider": "one"}')
    caller.update(key, state='finished')
    caller.expect('GET', f'/jobs/{key}/foo', 401, auth=auth)
    caller.update(key, state='running')
    caller.expect('GET', f'/jobs/{key}/foo', 401, auth=auth)
    assert caller.value(f'/jobs/{key}/auth') != started['auth']


def test_nothing_of_the_queue_is_compressed(caller: Caller) -> None:
    caller.send('/jobq/1/push', *({'spider': 'one', 'state': 'finished'} for _ in range(200)))
    answer = caller.expect('GET', '/jobq/1/list', headers={'Accept-Encoding': 'gzip'})
    assert 'Content-Encoding' not in answer.headers
    assert len(answer.content) > 10000


# Many at once, and again


def test_no_job_is_started_twice_and_no_number_given_twice(caller: Caller, cloud: Sandbox, clock: Clock) -> None:
    workers = 4

    def work(number: int) -> tuple[list[str], list[str]]:
        with Caller(cloud.url, (cloud.apikey, '')) as own:
            pushed = [own.push('ab'[number % 2]) for _ in range(15)]
            started = [own.send('/jobq/1/startjob', {})[0]['key'] for _ in range(15)]
        return pushed, started

    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(work, range(workers)))
    pushed = sorted(key for keys, _ in results for key in keys)
    started = sorted(key for _, keys in results for key in keys)
    assert pushed == sorted(f'1/{spider}/{number}' for spider in (1, 2) for number in range(1, 31))
    assert started == pushed


def test_jobs_survive_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / 'cloud.db')
    clock = Clock()
    with Sandbox(db=path, clock=clock) as cloud, Caller(cloud.url, (cloud.apikey, '')) as caller:
        (pushed,) = caller.send('/jobq/1/push', {'spider': 'one', 'state': 'running', 'tags': ['t']})
        caller.send('/jobq/1/push', {'spider': 'one', 'unique': 'h'})
        caller.send('/projects/1/settings', {'a': 1})
        meta = caller.meta(pushed['key'])
    with Sandbox(db=path, clock=clock) as cloud, Caller(cloud.url, (cloud.apikey, '')) as caller:
        assert caller.meta(pushed['key']) == meta
        assert caller.value(f'/jobs/{pushed["key"]}/state', auth=(pushed['key'], pushed['auth'])) == 'running'
        assert caller.keys('state=running&has_tag=t') == [pushed['key']]
        assert 'error' in caller.send('/jobq/1/push', {'spider': 'one', 'unique': 'h'})[0]
        assert caller.push() == '1/1/4'
        assert caller.value('/projects/1/settings') == {'a': 1}
