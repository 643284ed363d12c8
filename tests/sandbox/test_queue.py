"""The job queue: states, order, listings, summaries; as a client sees them."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sandbox.asking import NOW, TABLES, Api, Clock, rows
from scrapinghub.sandbox import Sandbox, joblist

STATES = ('pending', 'running', 'finished', 'deleted')


# Pushing


def test_a_pushed_job_waits_with_the_defaults(api: Api) -> None:
    answer = api.ask('POST', '/jobq/1/push', data='{"spider": "one", "foo": {"bar": [1.5, null]}}')
    assert answer.text == '{"key": "1/1/1", "auth": null}'
    assert answer.headers['Content-Type'] == 'application/x-jsonlines'
    assert answer.headers['Access-Control-Allow-Origin'] == '*'
    assert answer.headers['X-Service-Version']
    assert api.meta('1/1/1') == {
        'project': 1, 'spider': 'one', 'state': 'pending', 'priority': 2, 'units': 1,
        'scheduled_by': 'admin', 'pending_time': NOW, 'foo': {'bar': [1.5, None]},
    }  # fmt: skip


@pytest.mark.parametrize(
    ('state', 'stamps'),
    [
        ('pending', {'scheduled_by': 'admin', 'pending_time': NOW}),
        ('running', {'started_by': 'admin', 'running_time': NOW}),
        ('finished', {'completed_by': 'admin', 'finished_time': NOW}),
        ('deleted', {'deleted_by': 'admin', 'deleted_time': NOW}),
    ],
)
def test_a_job_may_begin_in_any_state(api: Api, state: str, stamps: dict[str, Any]) -> None:
    key = api.push(state=state)
    meta = api.meta(key)
    assert meta.pop('state') == state
    assert meta == {'project': 1, 'spider': 'one', 'priority': 2, 'units': 1, **stamps}
    event = {'pending': 'scheduled', 'running': 'started', 'finished': 'completed', 'deleted': 'deleted'}[state]
    assert api.events() == [f'{key} {event}']


def test_ids_count_per_project_and_numbers_per_spider(api: Api) -> None:
    keys = [api.push('a'), api.push('b'), api.push('a'), api.push('a', project=2), api.push('b')]
    assert keys == ['1/1/1', '1/2/1', '1/1/2', '2/1/1', '1/2/2']
    assert [api.get(f'/ids/1/spider/{name}') for name in 'abc'] == [1, 2, None]


def test_several_lines_push_several_jobs(api: Api) -> None:
    answers = api.post('/jobq/1/push', {'spider': 'a'}, {'spider': 'b', 'state': 'running'}, {'spider': 'a'})
    assert [answer['key'] for answer in answers] == ['1/1/1', '1/2/1', '1/1/2']
    assert [answer['auth'] is not None for answer in answers] == [False, True, False]


def test_no_line_pushes_nothing(api: Api) -> None:
    assert api.post('/jobq/1/push') == []
    assert api.lines('/jobq/1/summary')[0]['count'] == 0


def test_an_active_job_holds_its_unique_key_and_a_refusal_uses_up_a_number(api: Api) -> None:
    first = api.push(unique='h')
    refused = {'spider': 'other', 'unique': 'h', 'foo': 1}
    assert api.post('/jobq/1/push', refused) == [{'request': refused, 'error': 'Active job exists with key h'}]
    api.update(first, state='running')
    assert 'error' in api.post('/jobq/1/push', {'spider': 'one', 'unique': 'h'})[0]
    assert api.push(unique='h', project=2) == '2/1/1'
    api.update(first, state='finished')
    assert api.push(unique='h') == '1/1/3'
    assert api.push('other') == '1/2/2'
    assert api.push(unique=None) == '1/1/4'
    assert 'unique' not in api.meta('1/1/3')


def test_a_unique_key_counts_within_one_request_too(api: Api) -> None:
    answers = api.post('/jobq/1/push', {'spider': 'a', 'unique': 'h'}, {'spider': 'a', 'unique': 'h'}, {'spider': 'a'})
    assert [answer.get('key') for answer in answers] == ['1/1/1', None, '1/1/3']


def test_units_default_to_the_setting_of_the_project(api: Api) -> None:
    api.post('/projects/1/settings', {'default_job_units': 3})
    assert api.meta(api.push())['units'] == 3
    assert api.meta(api.push(units=2))['units'] == 2


# States


def test_a_job_passes_through_its_states(api: Api) -> None:
    key = api.push()
    stamps: dict[str, Any] = {'scheduled_by': 'admin', 'pending_time': NOW}
    before = 'pending'
    actors = {'running': 'started_by', 'finished': 'completed_by', 'deleted': 'deleted_by'}
    for state, actor in actors.items():
        api.clock.now += 10
        assert api.update(key, state=state, note=state) == [{'prevstate': before, 'key': key}]
        stamps |= {actor: 'admin', f'{state}_time': api.clock.now}
        assert api.meta(key) == {
            'project': 1, 'spider': 'one', 'state': state, 'priority': 2, 'units': 1, 'note': state, **stamps,
        }  # fmt: skip
        before = state
    assert api.events() == [f'{key} {event}' for event in ('scheduled', 'started', 'completed', 'deleted')]


@pytest.mark.parametrize('state', STATES)
def test_the_present_state_again_stamps_nothing_and_writes_no_event(api: Api, state: str) -> None:
    key = api.push(state=state)
    before, events = api.meta(key), api.events()
    api.clock.now += 10
    assert api.update(key, state=state, foo=1) == [{'prevstate': state, 'key': key}]
    assert api.meta(key) == {**before, 'foo': 1}
    assert api.events() == events
    assert [line['ts'] for line in api.lines(f'/jobq/1/jobsummary?key={key}')] == [NOW]


@pytest.mark.parametrize('before', STATES)
@pytest.mark.parametrize('after', STATES)
def test_any_state_may_follow_any_other(api: Api, before: str, after: str) -> None:
    key = api.push(state=before)
    assert api.update(key, state=after) == [{'prevstate': before, 'key': key}]
    assert api.get(f'/jobs/{key}/state') == after
    assert (api.get(f'/jobs/{key}/auth') is not None) is (after == 'running')


def test_metadata_may_be_updated_without_a_state(api: Api) -> None:
    key = api.push(foo=1, bar=2)
    assert api.update(key, foo=None, tags=['t']) == [{'prevstate': 'pending', 'key': key}]
    meta = api.meta(key)
    assert (meta['foo'], meta['bar'], meta['tags'], meta['state']) == (None, 2, ['t'], 'pending')


def test_updates_answer_in_the_order_of_the_request_and_skip_unknown_jobs(api: Api) -> None:
    first, second = api.push(), api.push()
    lines = [{'key': key, 'state': 'running'} for key in (second, '1/1/99', '1/9/1', first, second)]
    assert api.post('/jobq/1/update', *lines) == [
        {'prevstate': 'pending', 'key': second},
        {'prevstate': 'pending', 'key': first},
        {'prevstate': 'running', 'key': second},
    ]
    assert api.ask('POST', '/jobq/1/update', data='{"key": "1/1/99", "state": "running"}').text == ''


def test_a_spider_key_updates_its_living_jobs_by_state_and_time(api: Api) -> None:
    finished, running, late, early, deleted = (
        api.push(state=state) for state in ('finished', 'running', 'pending', 'pending', 'deleted')
    )
    api.push('other')
    api.clock.now += 1
    api.update(late, state='running')
    api.update(late, state='pending')
    answers = api.update('1/1', state='finished', foo=1)
    assert [(answer['key'], answer['prevstate']) for answer in answers] == [
        (early, 'pending'), (late, 'pending'), (running, 'running'), (finished, 'finished'),
    ]  # fmt: skip
    assert api.meta(finished)['foo'] == 1
    assert 'foo' not in api.meta(deleted)
    answers = api.update('1/1', state='deleted')
    assert [answer['key'] for answer in answers] == [finished, early, late, running]
    assert api.ask('POST', '/jobq/1/update', data='{"key": "1/1", "state": "deleted"}').text == ''
    assert api.update('1/9', state='deleted') == []


# Starting


def test_higher_priorities_start_first_and_older_jobs_among_equals(api: Api) -> None:
    pushed = {priority: [api.push(priority=priority), api.push(priority=priority)] for priority in (1, 4, 0, 2, 3)}
    expected = [key for priority in (4, 3, 2, 1, 0) for key in pushed[priority]]
    assert [api.post('/jobq/1/startjob', {})[0]['key'] for _ in expected] == expected
    answer = api.ask('POST', '/jobq/1/startjob', data='{}')
    assert (answer.text, answer.headers['Content-Type']) == ('null', 'application/json')


def test_a_priority_changed_in_the_metadata_counts(api: Api) -> None:
    api.push()
    key = api.push()
    api.post(f'/jobs/{key}/priority', 3)
    assert api.post('/jobq/1/startjob', {})[0]['key'] == key


def test_startjob_answers_metadata_key_and_token(api: Api) -> None:
    key = api.push(foo=1)
    api.clock.now += 5
    (started,) = api.post('/jobq/1/startjob', {'bar': [2]})
    token = started.pop('auth')
    assert started == {
        'key': key, 'project': 1, 'spider': 'one', 'state': 'running', 'priority': 2, 'units': 1, 'foo': 1, 'bar': [2],
        'scheduled_by': 'admin', 'pending_time': NOW, 'started_by': 'admin', 'running_time': NOW + 5,
        '_shub_worker': 'kumo',
    }  # fmt: skip
    header, payload, signature = (base64.urlsafe_b64decode(part + '==') for part in token.split('.'))
    assert json.loads(header) == {'typ': 'JWT', 'alg': 'HS256'}
    assert json.loads(payload) == {'aud': f'job:{key}'}
    assert len(signature) == 32
    assert api.get(f'/jobs/{key}/auth') == token
    assert 'auth' not in api.meta(key)
    del started['key']
    assert api.meta(key) == started


def test_a_project_of_a_bot_group_gives_jobs_only_to_that_group(api: Api) -> None:
    first, second = api.push(), api.push()
    assert api.post('/jobq/1/startjob', {'botgroup': 'g1'}) == [None]
    api.post('/projects/1/settings', {'botgroups': ['g1', 'g2']})
    assert api.post('/jobq/1/startjob', {}) == [None]
    assert api.post('/jobq/1/startjob', {'botgroup': 'g3'}) == [None]
    assert api.post('/botgroups/g1/max_running', 1) == [None]
    assert api.post('/jobq/1/startjob', {'botgroup': 'g1'})[0]['key'] == first
    assert api.post('/jobq/1/startjob', {'botgroup': 'g1'}) == [None]
    assert api.post('/botgroups/g1/max_running', None) == [None]
    assert api.post('/jobq/1/startjob', {'botgroup': 'g1'})[0]['key'] == second
    assert api.ask('DELETE', '/botgroups/g1').text == 'null'
    assert api.ask('DELETE', '/botgroups/never').text == 'null'


# Cancelling


def test_cancelling_finishes_a_pending_job_and_flags_a_running_one(api: Api) -> None:
    waiting, running = api.push(), api.push(state='running')
    api.clock.now += 5
    answer = api.ask('POST', f'/jobq/{waiting}/cancel')
    assert (answer.text, answer.headers['Content-Type']) == ('{"count": 1}', 'application/json')
    assert api.post(f'/jobq/{running}/cancel') == [{'count': 1}]
    meta = api.meta(waiting)
    assert (meta['state'], meta['close_reason'], meta['cancelled_by']) == ('finished', 'cancelled', 'admin')
    assert meta['finished_time'] == NOW + 5
    meta = api.meta(running)
    assert (meta['state'], meta['cancelled_by'], meta['running_time']) == ('running', 'admin', NOW)
    assert 'close_reason' not in meta
    api.update(running, state='finished')
    assert api.events() == [
        f'{waiting} scheduled', f'{running} started', f'{waiting} cancelled', f'{running} cancelled',
        f'{running} completed',
    ]  # fmt: skip


def test_cancelling_twice_or_too_late_changes_nothing(api: Api) -> None:
    keys = [api.push(state=state) for state in ('running', 'finished', 'deleted')]
    api.post(f'/jobq/{keys[0]}/cancel')
    before = rows(api.cloud, TABLES)
    assert [api.post(f'/jobq/{key}/cancel') for key in keys] == [[{'count': 1}], [{'count': 0}], [{'count': 0}]]
    assert api.post('/jobq/1/1/99/cancel') == [{'count': 0}]
    assert rows(api.cloud, TABLES) == before


def test_many_jobs_are_cancelled_by_an_array_of_keys(api: Api) -> None:
    keys = [api.push() for _ in range(3)]
    entries = [{'key': key} for key in (*keys[:2], keys[0], '1/1/10000')]
    assert api.post('/jobq/1/cancel', entries) == [{'count': 2}]
    assert [api.get(f'/jobs/{key}/state') for key in keys] == ['finished', 'finished', 'pending']
    assert api.post('/jobq/1/cancel', []) == [{'count': 0}]
    assert api.post('/jobq/1/cancel', [{'key': f'1/1/{number}'} for number in range(1, 1001)]) == [{'count': 1}]


def test_an_amount_of_jobs_is_cancelled_from_the_oldest_pending_on(api: Api) -> None:
    running, first, second, third = api.push(state='running'), api.push(), api.push(), api.push()
    assert api.post('/jobq/1/cancel?count=2') == [{'count': 2}]
    assert api.keys('state=pending') == [third]
    assert api.keys() == [second, first]
    assert api.post('/jobq/1/cancel?count=10') == [{'count': 2}]
    assert api.meta(running)['cancelled_by'] == 'admin'


# Listing


def test_finished_jobs_are_listed_newest_first_with_the_default_fields(api: Api) -> None:
    assert api.ask('GET', '/jobq/1/list').text == ''
    first = api.push(tags=['b', 'a'], state='running', version='1.0', secret=1)
    second = api.push(state='finished', tags=[])
    api.clock.now += 10
    api.update(first, state='finished', close_reason='finished')
    api.clock.now += 7
    assert api.lines('/jobq/1/list') == [
        {
            'key': first, 'state': 'finished', 'spider': 'one', 'ts': NOW + 10, 'elapsed': 7, 'running_time': NOW,
            'finished_time': NOW + 10, 'close_reason': 'finished', 'version': '1.0', 'tags': ['b', 'a'],
        },
        {'key': second, 'state': 'finished', 'spider': 'one', 'ts': NOW, 'elapsed': 17, 'finished_time': NOW},
    ]  # fmt: skip


def test_jobs_of_the_same_millisecond_keep_their_order(api: Api) -> None:
    keys = [api.push(state=STATES[number % 3]) for number in range(12)]
    everything = 'state=pending&state=running&state=finished'
    assert api.keys(everything) == keys[::-1]
    api.update(keys[4], state='finished')
    api.update(keys[0], state='finished')
    assert api.keys()[:2] == [keys[0], keys[4]]
    paged = [key for start in range(0, 15, 5) for key in api.keys(f'{everything}&start={start}&count=5')]
    assert paged == api.keys(everything)


def test_counters_show_what_a_job_has_stored(api: Api) -> None:
    key = api.push(state='finished')
    api.post(f'/items/{key}', {'a': 1}, {'a': 2})
    api.post(f'/logs/{key}', *({'time': 1, 'level': level, 'message': 'm'} for level in (20, 40, 50)))
    request = {'url': 'u', 'status': 200, 'method': 'GET', 'rs': 1, 'duration': 1, 'time': 1}
    api.post(f'/requests/{key}', request)
    (line,) = api.lines('/jobq/1/list')
    assert {name: line[name] for name in ('items', 'logs', 'pages', 'errors')} == {
        'items': 2, 'logs': 3, 'pages': 1, 'errors': 2,
    }  # fmt: skip
    (line,) = api.lines('/jobq/1/list?jobmeta=items')
    assert line == {'key': key, 'state': 'finished', 'ts': NOW, 'elapsed': 0, 'items': 2}


def test_jobmeta_replaces_the_default_fields(api: Api) -> None:
    api.push(state='finished', foo=None, tags=['t'], bar=1)
    (line,) = api.lines('/jobq/1/list?jobmeta=foo&jobmeta=absent&jobmeta=units&jobmeta=key&jobmeta=scheduled_by')
    assert line == {
        'key': '1/1/1', 'state': 'finished', 'ts': NOW, 'elapsed': 0, 'tags': ['t'], 'foo': None, 'units': 1,
    }  # fmt: skip
    (line,) = api.lines('/jobq/1/list?jobmeta=spider')
    assert line['spider'] == 'one'


@pytest.fixture
def varied(api: Api) -> list[dict[str, Any]]:
    """Jobs of all kinds, with what a filter may look at, in the order in which they entered their states."""
    jobs = []
    for number in range(48):
        api.clock.now = NOW + number // 3
        tags = [tag for bit, tag in enumerate(('t1', 't2', 't 3')) if number >> bit & 1]
        state, spider = STATES[number % 4], f's{number % 5}'
        key = api.push(spider, state=state, tags=tags)
        jobs.append({'key': key, 'state': state, 'spider': spider, 'tags': tags, 'ts': api.clock.now})
    return jobs


@pytest.mark.parametrize(
    'query',
    [
        '',
        'state=finished',
        'state=deleted',
        'state=running&state=finished&state=running',
        'state=pending&state=running&state=finished&state=deleted',
        'spider=s1',
        'spider=s1&state=pending&state=finished',
        'spider=unknown',
        'has_tag=t1',
        'has_tag=t1&has_tag=t+3&state=pending',
        'lacks_tag=t1&state=pending',
        'lacks_tag=t1&lacks_tag=t2&state=pending&state=running',
        'has_tag=t2&lacks_tag=t1&state=running&state=finished&state=pending',
        'has_tag=never',
        f'startts={NOW + 5}',
        f'endts={NOW + 5}&state=running',
        f'startts={NOW + 5}&endts={NOW + 10}&state=pending',
        f'startts={NOW + 10}&endts={NOW + 5}',
        f'startts={NOW + 5}&endts={NOW + 5}',
        'filter=%5B%22spider%22%2C%22%3D%22%2C%5B%22s1%22%5D%5D',
        'unknown_parameter=1',
    ],
)
def test_filters_agree_with_a_plain_model(api: Api, varied: list[dict[str, Any]], query: str) -> None:
    asked: dict[str, list[str]] = {}
    for name, value in (part.split('=') for part in query.split('&') if part):
        asked.setdefault(name, []).append(value.replace('+', ' '))
    start, end = int(asked.get('startts', ['0'])[0]), int(asked.get('endts', ['9' * 15])[0])
    if end <= start:
        end = 10**15

    def matches(job: dict[str, Any]) -> bool:
        tags = set(job['tags'])
        return (
            job['state'] in asked.get('state', ['finished'])
            and job['spider'] in asked.get('spider', [job['spider']])
            and (not asked.get('has_tag') or bool(tags & set(asked['has_tag'])))
            and not tags & set(asked.get('lacks_tag', []))
            and start <= job['ts'] < end
        )

    expected = [job['key'] for job in reversed(varied) if matches(job)]
    assert api.keys(query) == expected
    assert api.get(f'/jobq/1/count?{query}') == len(expected)
    assert api.keys(f'{query}&start=2&count=3') == expected[2:5]


def test_a_list_stops_before_a_job(api: Api, varied: list[dict[str, Any]]) -> None:
    finished = api.keys()
    assert api.keys(f'stop={finished[3]}') == finished[:3]
    assert api.keys(f'stop={finished[0]}') == []
    assert api.keys('stop=1/1/999') == finished
    place = next(number for number, job in enumerate(varied) if job['state'] == 'pending' and number > 20)
    newer = [job['key'] for job in reversed(varied[place:]) if job['state'] == 'finished']
    assert api.keys(f'stop={varied[place]["key"]}') == newer
    assert 0 < len(newer) < len(finished)


def test_jobs_are_listed_by_key_whatever_their_state(api: Api) -> None:
    keys = {state: api.push(state=state) for state in STATES}
    wanted = '&'.join(f'key={key}' for key in (*keys.values(), '1/1/99', '1/9/1'))
    assert api.keys(wanted) == [keys['finished'], keys['running'], keys['pending']]
    assert api.keys(f'{wanted}&state=deleted') == [keys['deleted']]
    assert api.keys('key=1/1/99') == []


def test_a_page_holds_at_most_1000_jobs(api: Api) -> None:
    api.post('/jobq/1/push', *({'spider': 'one', 'state': 'finished'} for _ in range(1003)))
    assert len(api.keys()) == 1000
    assert len(api.keys('count=5000')) == 1000
    assert api.keys('start=1000') == ['1/1/3', '1/1/2', '1/1/1']
    assert api.keys('start=1003') == []
    assert api.keys('count=0') == []
    assert api.get('/jobq/1/count') == 1003


def test_paging_looks_at_no_job_but_through_an_index(api: Api) -> None:
    api.push(state='finished', tags=['t'])
    statements: list[str] = []
    connection = api.cloud.store.read()
    connection.set_trace_callback(statements.append)
    for which in (
        joblist.JobFilter(1, states=('pending', 'running', 'finished')),
        joblist.JobFilter(1, spider='one', has_tags=('t',), lacks_tags=('u',), startts=1),
    ):
        assert joblist.page(connection, which, count=10)
        joblist.total(connection, which)
    connection.set_trace_callback(None)
    assert len(statements) >= 4
    for statement in statements:
        plan = ' '.join(row[3] for row in connection.execute(f'EXPLAIN QUERY PLAN {statement}'))
        assert 'SCAN' not in plan, plan
        assert 'TEMP B-TREE' not in plan, plan


# Summaries


def test_a_summary_counts_all_and_shows_the_newest_five(api: Api) -> None:
    pending = [api.push() for _ in range(7)]
    api.push('other', state='running')
    answer = api.ask('GET', '/jobq/1/summary')
    assert answer.headers['Content-Type'] == 'application/x-jsonlines'
    lines = api.lines('/jobq/1/summary')
    assert [(line['name'], line['count'], len(line['summary'])) for line in lines] == [
        ('pending', 7, 5), ('running', 1, 1), ('finished', 0, 0),
    ]  # fmt: skip
    assert [job['key'] for job in lines[0]['summary']] == pending[:1:-1]
    (line,) = api.lines('/jobq/1/summary/pending?count=2&start=4&jobmeta=units')
    assert line['count'] == 7
    assert line['summary'] == [
        {'key': key, 'state': 'pending', 'ts': NOW, 'elapsed': 0, 'units': 1} for key in (pending[2], pending[1])
    ]
    assert [line['count'] for line in api.lines('/jobq/1/2/summary')] == [0, 1, 0]
    assert [line['count'] for line in api.lines('/jobq/1/9/summary')] == [0, 0, 0]
    assert api.lines('/jobq/1/1/summary/running') == [{'count': 0, 'summary': [], 'name': 'running'}]


def test_a_jobsummary_follows_the_order_of_the_keys(api: Api) -> None:
    keys = [api.push(foo=number, state=STATES[number]) for number in range(4)]
    query = '&'.join(f'key={key}' for key in (keys[3], keys[0], '1/1/99', keys[2]))
    lines = api.lines(f'/jobq/1/jobsummary?{query}&jobmeta=foo')
    assert [(line['key'], line['foo'], line['state']) for line in lines] == [
        (keys[3], 3, 'deleted'), (keys[0], 0, 'pending'), (keys[2], 2, 'finished'),
    ]  # fmt: skip
    assert api.ask('GET', '/jobq/1/jobsummary').text == ''


def test_the_last_finished_job_of_each_spider_is_shown(api: Api) -> None:
    assert api.ask('GET', '/spiders/1/lastjobsummary').text == ''
    for spider in 'abcd':
        api.push(spider, state='finished')
        api.clock.now += 1
    last = [api.push('a', state='finished'), '1/2/1', '1/4/1']
    api.push('b', state='running')
    api.update('1/3/1', state='deleted')

    def keys(query: str) -> list[str]:
        return [line['key'] for line in api.lines(f'/spiders/1/lastjobsummary?{query}')]

    assert keys('') == last
    assert keys('count=2') == last[:2]
    assert keys('start=1/2') == keys('start=2') == keys('start=1/2/1') == last[1:]
    assert keys('startafter=1/2') == last[2:]
    (line,) = api.lines('/spiders/1/2/lastjobsummary')
    assert line == {
        'key': '1/2/1', 'state': 'finished', 'spider': 'b', 'ts': NOW + 1, 'finished_time': NOW + 1, 'elapsed': 3,
    }  # fmt: skip
    assert api.ask('GET', '/spiders/1/3/lastjobsummary').text == ''


def test_projects_are_summed_up(api: Api) -> None:
    api.push(state='running', units=2)
    api.push(state='running')
    api.push(state='finished', project=7)
    counts = {'pending': 0, 'running': 2, 'finished': 0}
    assert api.get('/projects/jobsummaries') == [
        {'project': 1, 'has_capacity': True, **counts},
        {'project': 7, 'has_capacity': True, 'pending': 0, 'running': 0, 'finished': 1},
    ]
    assert api.get('/projects/jobsummaries?state=running')[0] == {'project': 1, 'has_capacity': True, 'running': 2}
    assert api.get('/projects/1/jobsummary') == {
        'project': 1, 'has_capacity': True, 'running_units_count': 3, 'pending_units_max': None, **counts,
    }  # fmt: skip


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


# Credentials


def test_the_queue_asks_for_credentials_in_its_own_way(api: Api) -> None:
    for auth in (None, ('wrong', ''), ('1/1/1', 'token')):
        answer = api.ask('POST', '/jobq/1/push', 401, auth=auth, data='{"spider": "one"}')
        assert answer.text == '{\n  "error": "Unauthorized",\n  "message": "Unauthorized"\n}'
        assert answer.reason == 'UNAUTHORIZED'
        assert answer.headers['WWW-Authenticate'] == 'Basic realm="apikey"'
        assert answer.headers['X-Service-Version']
    assert api.lines('/jobq/1/summary')[0]['count'] == 0


def test_a_job_token_opens_that_job_and_no_scheduling(api: Api) -> None:
    (started,) = api.post('/jobq/1/push', {'spider': 'one', 'state': 'running'})
    other = api.push(state='running')
    key, auth = started['key'], (started['key'], started['auth'])
    api.post(f'/jobs/{key}/foo', 1, auth=auth)
    assert api.get(f'/jobs/{key}/foo', auth=auth) == 1
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
        api.ask(method, path, 403, auth=auth, data='{"spider": "one"}')
    api.update(key, state='finished')
    api.ask('GET', f'/jobs/{key}/foo', 401, auth=auth)
    api.update(key, state='running')
    api.ask('GET', f'/jobs/{key}/foo', 401, auth=auth)
    assert api.get(f'/jobs/{key}/auth') != started['auth']


def test_nothing_of_the_queue_is_compressed(api: Api) -> None:
    api.post('/jobq/1/push', *({'spider': 'one', 'state': 'finished'} for _ in range(200)))
    answer = api.ask('GET', '/jobq/1/list', headers={'Accept-Encoding': 'gzip'})
    assert 'Content-Encoding' not in answer.headers
    assert len(answer.content) > 10000


# Many at once, and again


def test_no_job_is_started_twice_and_no_number_given_twice(api: Api) -> None:
    workers = 4

    def work(number: int) -> tuple[list[str], list[str]]:
        with Api(api.cloud, api.clock) as own:
            pushed = [own.push('ab'[number % 2]) for _ in range(15)]
            started = [own.post('/jobq/1/startjob', {})[0]['key'] for _ in range(15)]
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
    with Sandbox(db=path, clock=clock) as cloud, Api(cloud, clock) as api:
        (pushed,) = api.post('/jobq/1/push', {'spider': 'one', 'state': 'running', 'tags': ['t']})
        api.post('/jobq/1/push', {'spider': 'one', 'unique': 'h'})
        api.post('/projects/1/settings', {'a': 1})
        meta = api.meta(pushed['key'])
    with Sandbox(db=path, clock=clock) as cloud, Api(cloud, clock) as api:
        assert api.meta(pushed['key']) == meta
        assert api.get(f'/jobs/{pushed["key"]}/state', auth=(pushed['key'], pushed['auth'])) == 'running'
        assert api.keys('state=running&has_tag=t') == [pushed['key']]
        assert 'error' in api.post('/jobq/1/push', {'spider': 'one', 'unique': 'h'})[0]
        assert api.push() == '1/1/4'
        assert api.get('/projects/1/settings') == {'a': 1}
