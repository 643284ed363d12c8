"""Listings, counts and summaries of jobs, against a plain model."""

from __future__ import annotations

from typing import Any

import pytest

from scrapinghub.sandbox import Sandbox
from scrapinghub.sandbox.store import job_listing
from support.caller import START, Caller, Clock

STATES = ('pending', 'running', 'finished', 'deleted')


# Listing


@pytest.fixture(scope='module')
def projects() -> None:
    """Accept every project."""


def test_finished_jobs_are_listed_newest_first_with_the_default_fields(caller: Caller, clock: Clock) -> None:
    assert caller.expect('GET', '/jobq/1/list').text == ''
    first = caller.push(tags=['b', 'a'], state='running', version='1.0', secret=1)
    second = caller.push(state='finished', tags=[])
    clock.now += 10
    caller.update(first, state='finished', close_reason='finished')
    clock.now += 7
    assert caller.lines('/jobq/1/list') == [
        {
            'key': first, 'state': 'finished', 'spider': 'one', 'ts': START + 10, 'elapsed': 7, 'running_time': START,
            'finished_time': START + 10, 'close_reason': 'finished', 'version': '1.0', 'tags': ['b', 'a'],
        },
        {'key': second, 'state': 'finished', 'spider': 'one', 'ts': START, 'elapsed': 17, 'finished_time': START},
    ]  # fmt: skip


def test_jobs_of_the_same_millisecond_keep_their_order(caller: Caller) -> None:
    keys = [caller.push(state=STATES[number % 3]) for number in range(12)]
    everything = 'state=pending&state=running&state=finished'
    assert caller.keys(everything) == keys[::-1]
    caller.update(keys[4], state='finished')
    caller.update(keys[0], state='finished')
    assert caller.keys()[:2] == [keys[0], keys[4]]
    paged = [key for start in range(0, 15, 5) for key in caller.keys(f'{everything}&start={start}&count=5')]
    assert paged == caller.keys(everything)


def test_counters_show_what_a_job_has_stored(caller: Caller) -> None:
    key = caller.push(state='finished')
    caller.send(f'/items/{key}', {'a': 1}, {'a': 2})
    caller.send(f'/logs/{key}', *({'time': 1, 'level': level, 'message': 'm'} for level in (20, 40, 50)))
    request = {'url': 'u', 'status': 200, 'method': 'GET', 'rs': 1, 'duration': 1, 'time': 1}
    caller.send(f'/requests/{key}', request)
    (line,) = caller.lines('/jobq/1/list')
    assert {name: line[name] for name in ('items', 'logs', 'pages', 'errors')} == {
        'items': 2, 'logs': 3, 'pages': 1, 'errors': 2,
    }  # fmt: skip
    (line,) = caller.lines('/jobq/1/list?jobmeta=items')
    assert line == {'key': key, 'state': 'finished', 'ts': START, 'elapsed': 0, 'items': 2}


def test_jobmeta_replaces_the_default_fields(caller: Caller) -> None:
    caller.push(state='finished', foo=None, tags=['t'], bar=1)
    (line,) = caller.lines('/jobq/1/list?jobmeta=foo&jobmeta=absent&jobmeta=units&jobmeta=key&jobmeta=scheduled_by')
    assert line == {
        'key': '1/1/1', 'state': 'finished', 'ts': START, 'elapsed': 0, 'tags': ['t'], 'foo': None, 'units': 1,
    }  # fmt: skip
    (line,) = caller.lines('/jobq/1/list?jobmeta=spider')
    assert line['spider'] == 'one'


@pytest.fixture
def varied(caller: Caller, clock: Clock) -> list[dict[str, Any]]:
    """Jobs of all kinds, with what a filter may look at, in the order in which they entered their states."""
    jobs = []
    for number in range(48):
        clock.now = START + number // 3
        tags = [tag for bit, tag in enumerate(('t1', 't2', 't 3')) if number >> bit & 1]
        state, spider = STATES[number % 4], f's{number % 5}'
        key = caller.push(spider, state=state, tags=tags)
        jobs.append({'key': key, 'state': state, 'spider': spider, 'tags': tags, 'ts': clock.now})
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
        f'startts={START + 5}',
        f'endts={START + 5}&state=running',
        f'startts={START + 5}&endts={START + 10}&state=pending',
        f'startts={START + 10}&endts={START + 5}',
        f'startts={START + 5}&endts={START + 5}',
        'filter=%5B%22spider%22%2C%22%3D%22%2C%5B%22s1%22%5D%5D',
        'unknown_parameter=1',
    ],
)
def test_filters_agree_with_a_plain_model(caller: Caller, varied: list[dict[str, Any]], query: str) -> None:
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
    assert caller.keys(query) == expected
    assert caller.value(f'/jobq/1/count?{query}') == len(expected)
    assert caller.keys(f'{query}&start=2&count=3') == expected[2:5]


def test_a_list_stops_before_a_job(caller: Caller, varied: list[dict[str, Any]]) -> None:
    finished = caller.keys()
    assert caller.keys(f'stop={finished[3]}') == finished[:3]
    assert caller.keys(f'stop={finished[0]}') == []
    assert caller.keys('stop=1/1/999') == finished
    place = next(number for number, job in enumerate(varied) if job['state'] == 'pending' and number > 20)
    newer = [job['key'] for job in reversed(varied[place:]) if job['state'] == 'finished']
    assert caller.keys(f'stop={varied[place]["key"]}') == newer
    assert 0 < len(newer) < len(finished)


def test_jobs_are_listed_by_key_whatever_their_state(caller: Caller) -> None:
    keys = {state: caller.push(state=state) for state in STATES}
    wanted = '&'.join(f'key={key}' for key in (*keys.values(), '1/1/99', '1/9/1'))
    assert caller.keys(wanted) == [keys['finished'], keys['running'], keys['pending']]
    assert caller.keys(f'{wanted}&state=deleted') == [keys['deleted']]
    assert caller.keys('key=1/1/99') == []


def test_a_page_holds_at_most_1000_jobs(caller: Caller) -> None:
    caller.send('/jobq/1/push', *({'spider': 'one', 'state': 'finished'} for _ in range(1003)))
    assert len(caller.keys()) == 1000
    assert len(caller.keys('count=5000')) == 1000
    assert caller.keys('start=1000') == ['1/1/3', '1/1/2', '1/1/1']
    assert caller.keys('start=1003') == []
    assert caller.keys('count=0') == []
    assert caller.value('/jobq/1/count') == 1003


def test_paging_looks_at_no_job_but_through_an_index(caller: Caller, cloud: Sandbox) -> None:
    caller.push(state='finished', tags=['t'])
    statements: list[str] = []
    connection = cloud.store.read()
    connection.set_trace_callback(statements.append)
    for which in (
        job_listing.JobFilter(1, states=('pending', 'running', 'finished')),
        job_listing.JobFilter(1, spider='one', has_tags=('t',), lacks_tags=('u',), startts=1),
    ):
        assert job_listing.page(connection, which, count=10)
        job_listing.total(connection, which)
    connection.set_trace_callback(None)
    assert len(statements) >= 4
    for statement in statements:
        plan = ' '.join(row[3] for row in connection.execute(f'EXPLAIN QUERY PLAN {statement}'))
        assert 'SCAN' not in plan, plan
        assert 'TEMP B-TREE' not in plan, plan


# Summaries


def test_a_summary_counts_all_and_shows_the_newest_five(caller: Caller) -> None:
    pending = [caller.push() for _ in range(7)]
    caller.push('other', state='running')
    answer = caller.expect('GET', '/jobq/1/summary')
    assert answer.headers['Content-Type'] == 'application/x-jsonlines'
    lines = caller.lines('/jobq/1/summary')
    assert [(line['name'], line['count'], len(line['summary'])) for line in lines] == [
        ('pending', 7, 5), ('running', 1, 1), ('finished', 0, 0),
    ]  # fmt: skip
    assert [job['key'] for job in lines[0]['summary']] == pending[:1:-1]
    (line,) = caller.lines('/jobq/1/summary/pending?count=2&start=4&jobmeta=units')
    assert line['count'] == 7
    assert line['summary'] == [
        {'key': key, 'state': 'pending', 'ts': START, 'elapsed': 0, 'units': 1} for key in (pending[2], pending[1])
    ]
    assert [line['count'] for line in caller.lines('/jobq/1/2/summary')] == [0, 1, 0]
    assert [line['count'] for line in caller.lines('/jobq/1/9/summary')] == [0, 0, 0]
    assert caller.lines('/jobq/1/1/summary/running') == [{'count': 0, 'summary': [], 'name': 'running'}]


def test_a_jobsummary_follows_the_order_of_the_keys(caller: Caller) -> None:
    keys = [caller.push(foo=number, state=STATES[number]) for number in range(4)]
    query = '&'.join(f'key={key}' for key in (keys[3], keys[0], '1/1/99', keys[2]))
    lines = caller.lines(f'/jobq/1/jobsummary?{query}&jobmeta=foo')
    assert [(line['key'], line['foo'], line['state']) for line in lines] == [
        (keys[3], 3, 'deleted'), (keys[0], 0, 'pending'), (keys[2], 2, 'finished'),
    ]  # fmt: skip
    assert caller.expect('GET', '/jobq/1/jobsummary').text == ''


def test_the_last_finished_job_of_each_spider_is_shown(caller: Caller, clock: Clock) -> None:
    assert caller.expect('GET', '/spiders/1/lastjobsummary').text == ''
    for spider in 'abcd':
        caller.push(spider, state='finished')
        clock.now += 1
    last = [caller.push('a', state='finished'), '1/2/1', '1/4/1']
    caller.push('b', state='running')
    caller.update('1/3/1', state='deleted')

    def keys(query: str) -> list[str]:
        return [line['key'] for line in caller.lines(f'/spiders/1/lastjobsummary?{query}')]

    assert keys('') == last
    assert keys('count=2') == last[:2]
    assert keys('start=1/2') == keys('start=2') == keys('start=1/2/1') == last[1:]
    assert keys('startafter=1/2') == last[2:]
    (line,) = caller.lines('/spiders/1/2/lastjobsummary')
    assert line == {
        'key': '1/2/1', 'state': 'finished', 'spider': 'b', 'ts': START + 1, 'finished_time': START + 1, 'elapsed': 3,
    }  # fmt: skip
    assert caller.expect('GET', '/spiders/1/3/lastjobsummary').text == ''


def test_projects_are_summed_up(caller: Caller) -> None:
    caller.push(state='running', units=2)
    caller.push(state='running')
    caller.push(state='finished', project=7)
    counts = {'pending': 0, 'running': 2, 'finished': 0}
    assert caller.value('/projects/jobsummaries') == [
        {'project': 1, 'has_capacity': True, **counts},
        {'project': 7, 'has_capacity': True, 'pending': 0, 'running': 0, 'finished': 1},
    ]
    assert caller.value('/projects/jobsummaries?state=running')[0] == {'project': 1, 'has_capacity': True, 'running': 2}
    assert caller.value('/projects/1/jobsummary') == {
        'project': 1, 'has_capacity': True, 'running_units_count': 3, 'pending_units_max': None, **counts,
    }  # fmt: skip
