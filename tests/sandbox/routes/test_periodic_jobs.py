"""Periodic jobs: their definitions over HTTP, and the jobs that they start."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from scrapinghub.sandbox import Sandbox
from support.caller import START, Caller, Clock

# 14 July 2017, 02:40 UTC, a Friday
MINUTE = 60_000
HOUR = 60 * MINUTE
PATH = '/api/projects/1/periodicjobs'


@pytest.fixture(scope='module')
def projects() -> None:
    """Accept every project."""


def create(caller: Caller, status: int = 201, path: str = PATH, **fields: Any) -> Any:
    body = {'cron': '0 9 * * *', 'tasks': [{'name': 'books'}], **fields}
    given = {name: value for name, value in body.items() if value != 'absent'}
    return caller.expect('POST', path, status, json=given).json()


def started(caller: Caller) -> list[tuple[str, str]]:
    """Return spider and time of all jobs that periodic jobs started, oldest first."""
    jobs = caller.lines('/jobq/1/list?state=pending&jobmeta=spider&jobmeta=pending_time&jobmeta=scheduled_by')
    assert all(job['scheduled_by'] == 'periodicjobs' for job in jobs)
    times = [datetime.fromtimestamp(job['pending_time'] / 1000, timezone.utc) for job in jobs]
    return [(job['spider'], f'{time:%d %H:%M:%S}') for job, time in zip(jobs, times, strict=True)][::-1]


# Definitions


def test_a_periodic_job_has_defaults(caller: Caller) -> None:
    periodic = create(caller)
    assert periodic == {
        'id': 1, 'disabled': False, 'project': 1, 'addtags': [], 'type': 'spider', 'description': '',
        'cron': '0 9 * * *',
        'tasks': [{'name': 'books', 'priority': 2, 'spider_args': {}, 'script_args': '', 'jobq_id': '1/1'}],
    }  # fmt: skip
    assert caller.value(f'{PATH}/1') == periodic
    assert caller.value('/api/v2/projects/1/periodicjobs/1') == periodic
    assert caller.value(PATH) == {'count': 1, 'next': None, 'results': [periodic]}


def test_the_paths_of_version_2_lead_to_the_same_jobs(caller: Caller) -> None:
    create(caller)
    listed = caller.value('/api/v2/projects/1/periodicjobs')
    assert listed == caller.value(PATH)
    caller.expect('PATCH', '/api/v2/projects/1/periodicjobs/1', json={'disabled': True})
    assert caller.value(f'{PATH}/1')['disabled'] is True
    caller.expect('DELETE', '/api/v2/projects/1/periodicjobs/1', 204)
    assert caller.value(PATH)['results'] == []


def test_a_periodic_job_stores_what_it_is_given(caller: Caller) -> None:
    task = {'name': 'py:report.py', 'priority': 4, 'spider_args': {'a': '1'}, 'script_args': '-v x'}
    periodic = create(
        caller,
        path='/api/v2/projects/1/periodicjobs',
        tasks=[task],
        addtags=['b', 'a', 'b'],
        description='é',
        disabled=True,
    )
    assert periodic['tasks'] == [{**task, 'jobq_id': '1/1'}]
    assert (periodic['addtags'], periodic['description'], periodic['disabled']) == (['b', 'a'], 'é', True)
    assert periodic['type'] == 'script'


def test_periodic_jobs_are_listed_in_pages(caller: Caller, cloud: Sandbox) -> None:
    ids = [create(caller)['id'] for _ in range(5)]
    create(caller, path='/api/projects/2/periodicjobs')
    first = caller.value(f'{PATH}?count=2&offset=1')
    assert ([periodic['id'] for periodic in first['results']], first['count']) == (ids[1:3], 5)
    second = caller.value(first['next'].removeprefix(cloud.url))
    assert ([periodic['id'] for periodic in second['results']], second['next']) == (ids[3:], None)


def test_a_periodic_job_is_changed_and_deleted(caller: Caller) -> None:
    periodic = create(caller, addtags=['a'], description='old')
    path = f'{PATH}/{periodic["id"]}'
    changed = caller.expect('PATCH', path, json={'addtags': ['b'], 'disabled': True, 'id': 99, 'unknown': 1}).json()
    assert changed == {**periodic, 'addtags': ['b'], 'disabled': True}
    assert caller.expect('PATCH', path, json={}).json() == changed
    assert caller.value(path) == changed
    answer = caller.expect('DELETE', path, 204)
    assert (answer.content, 'Content-Length' in answer.headers) == (b'', False)
    for method in ('GET', 'DELETE', 'PATCH'):
        assert caller.expect(method, path, 404, json={}).json() == {'detail': 'Not found.'}
    assert create(caller)['id'] == periodic['id'] + 1


@pytest.mark.parametrize(
    ('fields', 'wrong'),
    [
        ({'cron': 'absent'}, ['cron']),
        ({'tasks': 'absent', 'cron': 'absent'}, ['cron', 'tasks']),
        ({'cron': '*/5 * * * *'}, ['cron']),
        ({'cron': '* * * *'}, ['cron']),
        ({'cron': '60 * * * *', 'addtags': 'a'}, ['addtags', 'cron']),
        ({'cron': None}, ['cron']),
        ({'tasks': []}, ['tasks']),
        ({'tasks': {}}, ['tasks']),
        ({'tasks': ['books']}, ['tasks']),
        ({'tasks': [{'name': ''}]}, ['tasks']),
        ({'tasks': [{}]}, ['tasks']),
        ({'tasks': [{'name': 'py:'}]}, ['tasks']),
        ({'tasks': [{'name': 'a', 'priority': 5}]}, ['tasks']),
        ({'tasks': [{'name': 'a', 'priority': '2'}]}, ['tasks']),
        ({'tasks': [{'name': 'a', 'spider_args': []}]}, ['tasks']),
        ({'tasks': [{'name': 'a', 'spider_args': {'b': {}}}]}, ['tasks']),
        ({'tasks': [{'name': 'a', 'script_args': ['-v']}]}, ['tasks']),
        ({'addtags': [1]}, ['addtags']),
        ({'disabled': 1}, ['disabled']),
        ({'description': 1}, ['description']),
    ],
)
def test_a_periodic_job_must_make_sense(caller: Caller, fields: dict[str, Any], wrong: list[str]) -> None:
    errors = create(caller, 400, **fields)
    assert sorted(errors) == wrong
    assert all(isinstance(text, str) for texts in errors.values() for text in texts)
    assert caller.value(PATH)['count'] == 0
    number = create(caller)['id']
    body = {name: value for name, value in fields.items() if value != 'absent'}
    assert caller.expect('PATCH', f'{PATH}/{number}', 400 if body else 200, json=body).status_code
    assert caller.value(f'{PATH}/{number}')['cron'] == '0 9 * * *'


def test_bodies_of_periodic_jobs_are_json_objects(caller: Caller) -> None:
    for body in ('', '[]', '{', 'cron=1'):
        caller.expect('POST', PATH, 400, data=body)
    (job,) = caller.send('/jobq/1/push', {'spider': 'one', 'state': 'running'})
    caller.expect('GET', PATH, 403, auth=(job['key'], job['auth']))
    caller.expect('GET', f'{PATH}?count=0', 400)


# Runs


def test_jobs_start_at_their_minute(caller: Caller, clock: Clock) -> None:
    create(
        caller,
        cron='45 * * * *',
        tasks=[{'name': 'books', 'priority': 3, 'spider_args': {'page': 1}}, {'name': 'py:a.py', 'script_args': '-v'}],
        addtags=['nightly'],
    )
    clock.now = START + 5 * MINUTE - 1
    assert started(caller) == []
    clock.now += 1
    assert started(caller) == [('books', '14 02:45:00'), ('py:a.py', '14 02:45:00')]
    assert caller.meta('1/1/1') == {
        'project': 1, 'spider': 'books', 'state': 'pending', 'priority': 3, 'units': 1, 'tags': ['nightly'],
        'spider_args': {'page': '1'}, 'spider_type': 'manual', 'scheduled_by': 'periodicjobs',
        'pending_time': START + 5 * MINUTE,
    }  # fmt: skip
    assert caller.meta('1/2/1')['cmd_args'] == '-v'
    assert caller.meta('1/2/1')['spider_type'] == 'script'
    events = caller.lines('/activity/1?count=2&meta=_ts')
    assert [(event['event'], event['user'], event['_ts']) for event in events] == [
        ('job:scheduled', 'periodicjobs', START + 5 * MINUTE)
    ] * 2


def test_advancing_the_clock_runs_every_due_minute_once(caller: Caller, cloud: Sandbox) -> None:
    create(caller, cron='0 * * * *')
    create(caller, cron='0 9 * * 6', tasks=[{'name': 'weekly'}])
    create(caller, cron='* * * * *', tasks=[{'name': 'paused'}], disabled=True)
    cloud.clock.freeze()
    cloud.clock.advance(hours=24)
    hours = [('books', f'14 {hour:02}:00:00') for hour in range(3, 24)] + [
        ('books', f'15 {hour:02}:00:00') for hour in range(3)
    ]
    assert started(caller) == hours
    cloud.clock.advance(hours=7)
    assert started(caller)[24:] == [('books', f'15 {hour:02}:00:00') for hour in range(3, 10)] + [
        ('weekly', '15 09:00:00')
    ]


def test_a_clock_that_is_moved_back_runs_no_minute_twice(caller: Caller, cloud: Sandbox) -> None:
    create(caller, cron='0 * * * *')
    cloud.clock.freeze()
    cloud.clock.advance(hours=2)
    cloud.clock.set(START - HOUR)
    assert len(started(caller)) == 2
    cloud.clock.advance(hours=3)
    # The hour before the start, and no hour twice.
    assert sorted(time for _, time in started(caller)) == ['14 02:00:00', '14 03:00:00', '14 04:00:00']


def test_minutes_run_also_when_the_clock_returns_at_once(caller: Caller, cloud: Sandbox) -> None:
    create(caller, cron='0 * * * *')
    cloud.clock.freeze()
    cloud.clock.advance(hours=2)
    cloud.clock.set(START)
    assert len(started(caller)) == 2


def test_a_reset_of_the_clock_skips_the_minutes_in_between(caller: Caller, cloud: Sandbox, clock: Clock) -> None:
    cloud.clock.freeze(START - 10 * 365 * 24 * HOUR)
    create(caller, cron='* * * * *')
    cloud.clock.reset()
    assert started(caller) == []
    clock.now += MINUTE
    assert len(started(caller)) == 1


def test_a_paused_periodic_job_skips_the_minutes_until_it_is_resumed(caller: Caller, cloud: Sandbox) -> None:
    number = create(caller, cron='0 * * * *')['id']
    cloud.clock.advance(hours=1)
    caller.expect('PATCH', f'{PATH}/{number}', json={'disabled': True})
    cloud.clock.advance(hours=5)
    caller.expect('PATCH', f'{PATH}/{number}', json={'disabled': False})
    assert len(started(caller)) == 1
    cloud.clock.advance(hours=1)
    assert [time for _, time in started(caller)] == ['14 03:00:00', '14 09:00:00']
    caller.expect('DELETE', f'{PATH}/{number}', 204)
    cloud.clock.advance(hours=5)
    assert len(started(caller)) == 2


def test_minutes_that_pass_while_the_sandbox_is_down_are_skipped(tmp_path: Path) -> None:
    path, clock = str(tmp_path / 'cloud.db'), Clock()
    with Sandbox(db=path, clock=clock) as cloud, Caller(cloud.url, (cloud.apikey, '')) as caller:
        create(caller, cron='0 * * * *')
        # Without a request after it, this hour is run when the sandbox is closed.
        clock.now += HOUR
    clock.now += 24 * HOUR
    with Sandbox(db=path, clock=clock) as cloud, Caller(cloud.url, (cloud.apikey, '')) as caller:
        assert started(caller) == [('books', '14 03:00:00')]
        clock.now += HOUR
        assert started(caller) == [('books', '14 03:00:00'), ('books', '15 04:00:00')]


def test_no_minute_is_run_twice_by_requests_at_once(caller: Caller, cloud: Sandbox, clock: Clock) -> None:
    create(caller, cron='* * * * *')
    for _ in range(5):
        clock.now += MINUTE
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: cloud.scheduler.catch_up(), range(8)))
    assert len(started(caller)) == 5


def test_jobs_of_a_periodic_job_do_not_block_others(caller: Caller, cloud: Sandbox) -> None:
    create(caller, cron='0 * * * *')
    cloud.clock.advance(hours=1)
    answer = caller.expect('POST', '/api/run.json', data={'project': 1, 'spider': 'books'})
    assert answer.json()['jobid'] == '1/1/2'
    cloud.clock.advance(hours=1)
    assert json.dumps(caller.meta('1/1/3')['scheduled_by']) == '"periodicjobs"'
