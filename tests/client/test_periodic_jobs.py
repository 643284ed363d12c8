"""Periodic jobs: what the client sends, and when jobs start."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub import BadRequest, NotFound, ScrapinghubClient
from scrapinghub.client._support.cron import Cron
from scrapinghub.client.projects import Project
from scrapinghub.sandbox import Sandbox
from support.clocks import ManualClock


def test_a_periodic_job_is_created_read_changed_and_deleted(project: Project) -> None:
    daily = project.periodic_jobs.create(
        'books', cron=' 0  9 * * * ', job_args={'page': 1}, priority=3, add_tag='daily', description='prices'
    )
    assert (daily.cron, daily.tags, daily.description, daily.disabled) == ('0 9 * * *', ['daily'], 'prices', False)
    assert daily.key == f'1/{daily.id}'
    (task,) = daily.tasks
    assert (task['name'], task['priority'], task['spider_args']) == ('books', 3, {'page': '1'})
    assert [periodic.id for periodic in project.periodic_jobs.iter()] == [daily.id]
    daily.update(cron='30 8 * * 1', add_tag=[], description='')
    again = project.periodic_jobs.get(daily.id)
    assert (again.cron, again.tags, again.description) == ('30 8 * * 1', [], '')
    assert again == daily
    daily.pause()
    assert project.periodic_jobs.get(daily.id).disabled
    daily.resume()
    assert not project.periodic_jobs.get(daily.id).disabled
    daily.delete()
    assert project.periodic_jobs.list() == []
    with pytest.raises(NotFound):
        project.periodic_jobs.get(daily.id)


def test_scripts_and_several_tasks_can_be_run(project: Project) -> None:
    script = project.periodic_jobs.create('py:report.py', cron='0 9 * * *', cmd_args='--all')
    assert script.tasks[0]['script_args'] == '--all'
    tasks: list[dict[str, Any]] = [{'name': 'a', 'priority': 1}, {'name': 'b', 'spider_args': {'x': '1'}}]
    both = project.periodic_jobs.create(tasks=tasks, cron='0 9 * * *', disabled=True)
    assert [task['name'] for task in both.tasks] == ['a', 'b']
    assert both.next_run() is None


def test_all_pages_are_read(cloud: Sandbox, project: Project) -> None:
    for number in range(205):
        project.periodic_jobs.create(f's{number}', cron='0 9 * * *')
    before = len(cloud.requests)
    assert [periodic.tasks[0]['name'] for periodic in project.periodic_jobs.iter()] == [f's{n}' for n in range(205)]
    assert len(cloud.requests) - before == 3


def test_the_jobs_start_at_their_minute(cloud: Sandbox, project: Project) -> None:
    cloud.clock.set(round(datetime(2026, 11, 26, 8, 0, tzinfo=timezone.utc).timestamp() * 1000))
    project.periodic_jobs.create('books', cron='0 9 * * *', add_tag='daily')
    cloud.clock.advance(hours=48)
    jobs = project.jobs.select(has_tag='daily').list()
    assert len(jobs) == 2
    assert dict(project.jobs.select().iter_metadata('scheduled_by'))[jobs[0]['key']] == {'scheduled_by': 'periodicjobs'}


BAD: list[tuple[dict[str, Any], str]] = [
    ({'spider': 'a', 'cron': '*/5 * * * *'}, 'minute'),
    ({'spider': 'a', 'cron': '0 1-5 * * *'}, 'hour'),
    ({'spider': 'a', 'cron': '0 0 1,2 * *'}, 'day of month'),
    ({'spider': 'a', 'cron': '0 0 * 13 *'}, 'month'),
    ({'spider': 'a', 'cron': '0 0 * * 7'}, 'day of week'),
    ({'spider': 'a', 'cron': '0 0 * *'}, 'five fields'),
    ({'spider': 'a', 'cron': '@daily'}, 'five fields'),
    ({'spider': 'a', 'cron': None}, 'five fields'),
    ({'cron': '0 0 * * *'}, 'spider'),
    ({'spider': 'a', 'tasks': [], 'cron': '0 0 * * *'}, 'tasks'),
    ({'tasks': [], 'priority': 1, 'cron': '0 0 * * *'}, 'priority'),
    ({'spider': 'a', 'priority': 5, 'cron': '0 0 * * *'}, 'priority'),
    ({'spider': 'a', 'cmd_args': 'x', 'cron': '0 0 * * *'}, 'job_args'),
    ({'spider': 'py:a.py', 'job_args': {'x': 1}, 'cron': '0 0 * * *'}, 'cmd_args'),
    ({'spider': '', 'cron': '0 0 * * *'}, 'spider'),
    ({'spider': 'a', 'job_args': 'x=1', 'cron': '0 0 * * *'}, 'job_args'),
    ({'spider': 'a', 'disabled': 'no', 'cron': '0 0 * * *'}, 'disabled'),
]


@pytest.mark.parametrize(('arguments', 'words'), BAD)
def test_bad_arguments_are_refused_before_a_request(
    cloud: Sandbox, project: Project, arguments: dict[str, Any], words: str
) -> None:
    before = len(cloud.requests)
    with pytest.raises((TypeError, ValueError), match=words):
        project.periodic_jobs.create(**arguments)
    assert len(cloud.requests) == before


@pytest.mark.parametrize('id', [None, True, 1.5, b'1', 'x', -1])
def test_an_id_is_a_number(cloud: Sandbox, project: Project, id: Any) -> None:
    before = len(cloud.requests)
    with pytest.raises(ValueError, match='id should be'):
        project.periodic_jobs.get(id)
    assert len(cloud.requests) == before


def test_the_words_of_the_service_are_kept(project: Project) -> None:
    with pytest.raises(BadRequest) as caught:
        project.periodic_jobs.create(tasks=[{'x': 1}], cron='0 0 * * *')
    assert isinstance(caught.value.http_error, requests.HTTPError)
    assert 'tasks' in caught.value.http_error.response.text
    assert 'The service answered: ' in str(caught.value)
    assert 'tasks' in str(caught.value)
    with pytest.raises(ValueError, match='at least one'):
        project.periodic_jobs.create('a', cron='0 0 * * *').update()


def test_creating_is_not_repeated_when_the_response_is_lost(
    cloud: Sandbox, client: ScrapinghubClient, project: Project
) -> None:
    client.transport.clock = ManualClock()
    cloud.faults.add(method='POST', path='*/periodicjobs', apply=True, drop='close', times=5)
    with pytest.raises(Exception, match=r'periodic_jobs\.list') as caught:
        project.periodic_jobs.create('a', cron='0 0 * * *')
    assert getattr(caught.value, 'maybe_applied', False)
    assert len(project.periodic_jobs.list()) == 1
    # Reads and changes are repeated.
    cloud.faults.clear()
    cloud.faults.add(path='*/periodicjobs*', status=503, times=2)
    project.periodic_jobs.list()[0].pause()


FIELDS = st.tuples(*(st.none() | st.integers(low, high) for low, high in ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))))
START = datetime(2023, 1, 1, tzinfo=timezone.utc)


def selects(fields: tuple[int | None, ...], moment: datetime) -> bool:
    minute, hour, day, month, weekday = fields
    if minute not in (None, moment.minute) or hour not in (None, moment.hour) or month not in (None, moment.month):
        return False
    in_month, in_week = day == moment.day, weekday == moment.isoweekday() % 7
    if day is not None and weekday is not None:
        return in_month or in_week
    return (day is None or in_month) and (weekday is None or in_week)


@given(FIELDS, st.integers(0, 3 * 366 * 24 * 60), st.integers(0, 59))
def test_the_next_run_is_the_first_minute_that_matches(
    fields: tuple[int | None, ...], minutes: int, seconds: int
) -> None:
    after = START + timedelta(minutes=minutes, seconds=seconds)
    found = Cron(' '.join('*' if field is None else str(field) for field in fields)).next_after(after)
    if found is None:
        assert fields[2] is not None
        assert fields[3] is not None
        return
    assert found > after
    assert selects(fields, found)
    # No earlier minute of the last two days matches.
    moment = found - timedelta(minutes=1)
    while moment > max(after, found - timedelta(days=2)):
        assert not selects(fields, moment)
        moment -= timedelta(minutes=1)


@pytest.mark.parametrize(
    ('cron', 'after', 'expected'),
    [
        ('0 9 * * *', '2026-11-26T09:00', '2026-11-27T09:00'),
        ('0 9 * * *', '2026-11-26T08:59', '2026-11-26T09:00'),
        ('0 0 29 2 *', '2026-01-01T00:00', '2028-02-29T00:00'),
        ('* * * * *', '2026-12-31T23:59', '2027-01-01T00:00'),
        ('0 0 1 * 0', '2026-11-26T00:00', '2026-11-29T00:00'),
        ('0 0 31 2 *', '2026-01-01T00:00', None),
    ],
)
def test_next_runs(project: Project, cron: str, after: str, expected: str | None) -> None:
    daily = project.periodic_jobs.create('books', cron=cron)
    found = daily.next_run(datetime.fromisoformat(f'{after}+00:00'))
    assert found == (None if expected is None else datetime.fromisoformat(f'{expected}+00:00'))
    with pytest.raises(ValueError, match='after'):
        daily.next_run(datetime(2026, 1, 1))
