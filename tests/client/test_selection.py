"""Selections of jobs: which jobs they hold, and what bulk operations do to exactly these."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

import pytest

from scrapinghub import ScrapinghubClient
from scrapinghub.client.bulk import BulkResult
from scrapinghub.client.exceptions import Forbidden
from scrapinghub.client.jobs import Job
from scrapinghub.client.projects import Project
from scrapinghub.sandbox import Sandbox
from support.clocks import ManualClock
from support.scripted_server import Wire, json_reply, lines_reply


@pytest.fixture(params=[False, True], ids=['filters', 'ignores filters'])
def cloud(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(projects=[1, 2], ignore_filters=request.param) as cloud:
        yield cloud


def make(project: Project, spider: str, state: str = 'finished', **options: Any) -> Job:
    return project.jobs.run(spider, n=next(_numbers), meta={'state': state}, **options)


_numbers = iter(range(10**6))


@pytest.fixture
def jobs(project: Project) -> dict[str, Job]:
    """Return jobs in every state, with and without tags."""
    return {
        'old': make(project, 'a', add_tag=['x']),
        'both': make(project, 'a', add_tag=['x', 'y']),
        'plain': make(project, 'a'),
        'running': make(project, 'a', 'running', add_tag=['y']),
        'pending': make(project, 'b', 'pending', add_tag=['x']),
        'other': make(project, 'b'),
    }


def names(jobs: dict[str, Job], keys: Any) -> set[str]:
    by_key = {job.key: name for name, job in jobs.items()}
    return {by_key[key] for key in keys}


SELECTIONS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {'old', 'both', 'plain', 'running', 'pending', 'other'}),
    ({'spider': 'a'}, {'old', 'both', 'plain', 'running'}),
    ({'state': 'finished'}, {'old', 'both', 'plain', 'other'}),
    ({'state': ['pending', 'running']}, {'pending', 'running'}),
    ({'has_tag': 'x'}, {'old', 'both', 'pending'}),
    ({'has_tag': ['x', 'y'], 'state': 'finished'}, {'old', 'both'}),
    ({'lacks_tag': 'x'}, {'plain', 'running', 'other'}),
    ({'lacks_tag': ['x', 'y']}, {'plain', 'other'}),
    ({'has_tag': 'y', 'lacks_tag': ['x']}, {'running'}),
    ({'spider': 'nobody'}, set()),
]


@pytest.mark.parametrize(('filters', 'expected'), SELECTIONS)
def test_a_selection_holds_the_jobs_that_match(
    project: Project, jobs: dict[str, Job], filters: dict[str, Any], expected: set[str]
) -> None:
    selection = project.jobs.select(**filters)
    assert names(jobs, selection.keys()) == expected
    assert names(jobs, (row['key'] for row in selection)) == expected
    assert selection.count() == len(selection.list()) == len(expected)
    assert names(jobs, (key for key, _ in selection.iter_metadata('tags'))) == expected


def test_a_selection_by_key_holds_these_jobs_only(project: Project, jobs: dict[str, Job]) -> None:
    url = f'https://app.zyte.com/p/{jobs["both"].key}/items'
    selection = project.jobs.select(key=[jobs['old'], url, jobs['running'].key, '1/1/999'], state='finished')
    assert names(jobs, selection.keys()) == {'old', 'both'}
    assert project.jobs.select(key=jobs['old']).keys() == [jobs['old'].key]


def test_the_jobs_of_a_spider_can_be_selected(project: Project, jobs: dict[str, Job]) -> None:
    spider = project.spiders.get('b')
    assert names(jobs, spider.jobs.select().keys()) == {'pending', 'other'}
    with pytest.raises(ValueError, match="'a'"):
        spider.jobs.select(spider='a')


def test_times_select_a_half_open_interval(cloud: Sandbox, project: Project) -> None:
    start = 1_700_000_000_000
    for moment in range(4):
        cloud.clock.set(start + moment * 60_000)
        make(project, 'a')

    def found(**filters: Any) -> list[int]:
        return sorted(round((row['ts'] - start) / 60_000) for row in project.jobs.select(**filters))

    assert found(startts=start + 60_000, endts=start + 180_000) == [1, 2]
    assert found(startts=datetime.fromtimestamp((start + 120_000) / 1000, timezone.utc)) == [2, 3]


def test_a_timedelta_means_that_long_ago(cloud: Sandbox, project: Project) -> None:
    now = time.time()
    for days in (40, 20):
        cloud.clock.set(round((now - days * 86400) * 1000))
        make(project, 'a')
    assert project.jobs.select(endts=timedelta(days=30)).count() == 1
    assert project.jobs.select(startts=timedelta(days=30)).count() == 1


def test_a_count_limits_the_jobs_that_match(project: Project, jobs: dict[str, Job]) -> None:
    assert project.jobs.select(has_tag='x', count=2).count() == 2
    assert project.jobs.select(count=0).count() == 0
    assert len(project.jobs.select(has_tag='x', state='finished', count=1).delete().done) == 1


def test_no_jobs_wanted_is_no_request(cloud: Sandbox, project: Project) -> None:
    before = len(cloud.requests)
    selection = project.jobs.select(spider='a', count=0)
    assert [*selection.list(), *selection.keys(), *selection.iter_metadata('tags')] == []
    assert selection.delete() == BulkResult()
    assert len(cloud.requests) == before


def test_summaries_and_spiders_select_as_their_keys_and_names_do(project: Project, jobs: dict[str, Job]) -> None:
    rows = project.jobs.list(spider='a', state='finished')
    assert names(jobs, project.jobs.select(key=rows).keys()) == {'old', 'both', 'plain'}
    assert project.jobs.select(key=rows[0]).keys() == [rows[0]['key']]
    assert {job.key for job in project.jobs.as_completed(rows)} == {row['key'] for row in rows}
    assert [job.key for job in project.jobs.as_completed(rows[0]['key'])] == [rows[0]['key']]
    spider = project.spiders.get('a')
    assert project.jobs.select(spider=spider).keys() == spider.jobs.select(spider=spider).keys()


def test_members_of_enumerations_are_names(project: Project, jobs: dict[str, Job]) -> None:
    class Name(str, Enum):
        SPIDER = 'a'
        TAG = 'x'

    assert names(jobs, project.jobs.select(spider=Name.SPIDER, has_tag=Name.TAG).keys()) == {'old', 'both'}


@pytest.mark.parametrize(('tags', 'kind'), [([None], TypeError), ([['a', 'b']], TypeError), ([''], ValueError)])
def test_bad_tags_are_refused_before_a_request(
    cloud: Sandbox, project: Project, tags: Any, kind: type[Exception]
) -> None:
    before = len(cloud.requests)
    with pytest.raises(kind, match='add_tag'):
        project.jobs.select(has_tag='x').update_tags(add=tags)
    assert len(cloud.requests) == before


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({'has_tag': []}, ValueError, 'has_tag'),
    ({'lacks_tag': ()}, ValueError, 'lacks_tag'),
    ({'state': []}, ValueError, 'state'),
    ({'state': 'done'}, ValueError, 'finished'),
    ({'key': []}, ValueError, 'key'),
    ({'key': '2/1/1'}, ValueError, 'project 1'),
    ({'key': '1/1'}, ValueError, '1/1'),
    ({'spider': ['a', 'b']}, TypeError, 'spider'),
    ({'spider': ''}, ValueError, 'spider'),
    ({'spider': 1}, TypeError, 'spider'),
    ({'has_tag': [1]}, TypeError, 'has_tag'),
    ({'has_tag': 1}, TypeError, 'has_tag'),
    ({'has_tag': ''}, ValueError, 'has_tag'),
    ({'lacks_tag': ['x', '']}, ValueError, 'lacks_tag'),
    ({'state': ''}, ValueError, 'state'),
    ({'key': 1}, TypeError, 'key'),
    ({'endts': -timedelta(days=30)}, ValueError, 'that long ago'),
    ({'endts': 1_700_000_000_000_000}, ValueError, 'microseconds'),
    ({'startts': 1_700_000_000}, ValueError, 'seconds'),
    ({'endts': datetime(2026, 1, 1)}, ValueError, 'tzinfo'),
    ({'endts': 'yesterday'}, ValueError, 'endts'),
    ({'count': -1}, ValueError, 'count'),
    ({'tags': 'x'}, TypeError, 'has_tag'),
    ({'limit': None}, TypeError, 'count'),
]


@pytest.mark.parametrize(('filters', 'kind', 'words'), BAD)
def test_bad_filters_are_refused_before_a_request(
    cloud: Sandbox, project: Project, filters: dict[str, Any], kind: type[Exception], words: str
) -> None:
    before = len(cloud.requests)
    with pytest.raises(kind, match=words):
        project.jobs.select(**filters)
    assert len(cloud.requests) == before


def test_reading_metadata_continues_after_an_error(project: Project, jobs: dict[str, Job], cloud: Sandbox) -> None:
    cloud.faults.add(path='/jobq/*/list', status=403, times=1)
    metadata: Any = project.jobs.select(spider='a').iter_metadata('tags')
    with metadata as found:
        with pytest.raises(Forbidden):
            next(found)
        assert len(list(found)) == 4
    assert list(found) == []


def test_metadata_of_the_jobs(project: Project, jobs: dict[str, Job]) -> None:
    found = dict(project.jobs.select(spider='a', state='finished').iter_metadata('tags', 'close_reason'))
    assert found[jobs['both'].key] == {'tags': ['x', 'y']}
    assert not found[jobs['plain'].key].get('tags')
    with pytest.raises(ValueError, match='field'):
        project.jobs.select().iter_metadata()


def test_a_repr_states_the_filter(project: Project) -> None:
    shown = repr(project.jobs.select(spider='a', has_tag=['x', 'y'], count=3))
    assert 'project 1' in shown
    assert 'any of x, y' in shown
    assert 'at most 3' in shown
    assert '<table' in project.jobs.select(has_tag=['<x>'])._repr_html_()
    assert '<x>' not in project.jobs.select(has_tag=['<x>'])._repr_html_()


# Bulk operations


def states(jobs: dict[str, Job]) -> dict[str, str]:
    return {name: job.metadata.get('state') for name, job in jobs.items()}


def test_delete_deletes_finished_jobs_that_match(project: Project, jobs: dict[str, Job]) -> None:
    before = states(jobs)
    selection = project.jobs.select(has_tag='x')
    dry = selection.delete(dry_run=True)
    assert names(jobs, dry.planned) == {'old', 'both'}
    assert dry == BulkResult(planned=dry.planned)
    assert states(jobs) == before
    result = selection.delete()
    assert names(jobs, result.planned) == names(jobs, result.done) == {'old', 'both'}
    assert names(jobs, result.skipped) == {'pending'}
    assert not result.failed
    assert not result.unknown
    assert states(jobs) == {**before, 'old': 'deleted', 'both': 'deleted'}
    assert selection.delete().planned == []


def test_delete_deletes_other_states_that_are_named(project: Project, jobs: dict[str, Job]) -> None:
    result = project.jobs.select(spider='b', state='pending').delete()
    assert names(jobs, result.done) == {'pending'}


def test_cancel_asks_active_jobs_to_stop(project: Project, jobs: dict[str, Job]) -> None:
    result = project.jobs.select(has_tag=['x', 'y']).cancel()
    assert names(jobs, result.done) == {'pending', 'running'}
    assert names(jobs, result.skipped) == {'old', 'both'}
    assert states(jobs)['pending'] == 'finished'
    assert states(jobs)['running'] == 'running'


def test_update_tags_changes_the_tags_of_all_jobs(project: Project, jobs: dict[str, Job]) -> None:
    result = project.jobs.select(has_tag='x').update_tags(add=['z'], remove=['x'])
    assert names(jobs, result.done) == {'old', 'both', 'pending'}
    assert jobs['both'].metadata.get('tags') == ['y', 'z']
    assert jobs['other'].metadata.get('tags') in (None, [])
    with pytest.raises(ValueError, match='tags'):
        project.jobs.select(has_tag='x').update_tags()


@pytest.mark.parametrize('operation', ['delete', 'cancel'])
@pytest.mark.parametrize('filters', [{}, {'state': 'finished'}, {'count': 5}, {'state': 'pending', 'count': 1}])
def test_a_selection_without_a_filter_is_refused(project: Project, operation: str, filters: dict[str, Any]) -> None:
    job = make(project, 'a')
    selection = project.jobs.select(**filters)
    with pytest.raises(ValueError, match='allow_all'):
        getattr(selection, operation)()
    with pytest.raises(ValueError, match='allow_all'):
        getattr(selection, operation)(dry_run=True)
    assert job.metadata.get('state') == 'finished'
    # A guess such as 'no' is true in Python.
    with pytest.raises(ValueError, match='allow_all'):
        getattr(selection, operation)(allow_all='no')
    assert isinstance(getattr(selection, operation)(allow_all=True), BulkResult)


def test_progress_is_reported(project: Project, jobs: dict[str, Job]) -> None:
    calls: list[tuple[int, int | None]] = []
    project.jobs.select(has_tag='x').update_tags(add=['z'], progress=lambda *call: calls.append(call))
    assert calls[-1] == (3, 3)
    with pytest.raises(TypeError, match='progress'):
        project.jobs.select(has_tag='x').update_tags(add=['z'], progress='yes')  # type: ignore[arg-type]


def test_many_jobs_are_handled_in_chunks(cloud: Sandbox, project: Project) -> None:
    path = ('jobq', '1', 'push')
    lines = [{'spider': 'a', 'state': 'finished', 'tags': ['t']} for _ in range(1203)]
    project._client.transport.post(path, lines=lines)
    before = len(cloud.requests)
    result = project.jobs.select(has_tag='t').delete()
    assert len(result.done) == len(set(result.done)) == 1203
    posts = [request for request in list(cloud.requests)[before:] if request.method == 'POST']
    assert len(posts) == 3


@pytest.mark.parametrize('operation', ['delete', 'cancel', 'update_tags'])
def test_faults_do_not_change_the_outcome(
    cloud: Sandbox, client: ScrapinghubClient, project: Project, jobs: dict[str, Job], operation: str
) -> None:
    client.transport.clock = ManualClock()
    cloud.faults.add(status=503, times=2)
    selection = project.jobs.select(has_tag='x')
    result = selection.update_tags(add=['z']) if operation == 'update_tags' else getattr(selection, operation)()
    assert result.done == result.planned
    assert not result.failed
    assert not result.unknown


def test_a_chunk_whose_response_is_lost_is_unknown_and_the_rest_is_not_attempted(
    cloud: Sandbox, client: ScrapinghubClient, project: Project
) -> None:
    lines = [{'spider': 'a', 'state': 'finished', 'tags': ['t']} for _ in range(700)]
    client.transport.post(('jobq', '1', 'push'), lines=lines)
    client.transport.clock = ManualClock()
    cloud.faults.add(status=503, times=None, path='/jobq/1/update')
    result = project.jobs.select(has_tag='t').delete()
    assert len(result.planned) == 700
    assert result.done == []
    assert len(result.unknown) == 500
    assert len(result.failed) == 200


ROWS: list[dict[str, Any]] = [
    {'key': f'1/1/{number}', 'state': 'pending', 'ts': 1, 'elapsed': 1, 'tags': ['x']} for number in (1, 2, 3)
]


def answers(**replies: Any) -> dict[str, Any]:
    listing = lines_reply(*ROWS)
    return {'/jobq/1/list': listing, '/jobq/1/jobsummary': listing, **replies}


def test_a_job_that_was_not_cancelled_is_failed() -> None:
    replies = answers(**{'POST /jobq/1/cancel': json_reply('{"count": 1}')})
    for number, count in ((1, 1), (2, 0), (3, 1)):
        replies[f'POST /jobq/1/1/{number}/cancel'] = json_reply(f'{{"count": {count}}}')
    with Wire(replies) as wire, wire.client() as client:
        result = client.get_project(1).jobs.select(key=[row['key'] for row in ROWS]).cancel()
    assert result.done == ['1/1/1', '1/1/3']
    assert list(result.failed) == ['1/1/2']


def test_a_job_whose_tags_are_not_as_asked_is_failed() -> None:
    rows = [dict(row, tags=['x', 'z']) for row in ROWS[:2]]
    update = json_reply('{"status": "ok", "count": 1}')
    with Wire(answers(**{'POST /api/jobs/update.json': update})) as wire, wire.client() as client:
        selection = client.get_project(1).jobs.select(key=[row['key'] for row in ROWS])
        wire.answers['/jobq/1/jobsummary'] = lines_reply(*ROWS)
        planned = selection.keys()
        assert len(planned) == 3
        result = selection.update_tags(add=['z'])
        assert list(result.failed) == planned
        wire.answers['/jobq/1/jobsummary'] = lines_reply(*rows, ROWS[2])
        result = selection.update_tags(add=['z'])
        assert (result.done, list(result.failed)) == (['1/1/1', '1/1/2'], ['1/1/3'])


def test_a_row_without_the_key_of_a_job_of_the_project_is_skipped() -> None:
    rows = [
        {'key': key, 'state': 'finished', 'spider': 'a', 'ts': 1, 'tags': ['x']}
        for key in ('1/1/2', '1/1', '2/1/1', '1/1/2/3')
    ]
    update = lines_reply({'key': '1/1/2', 'prevstate': 'finished'})
    with Wire({'/jobq/1/list': lines_reply(*rows), 'POST /jobq/1/update': update}) as wire, wire.client() as client:
        result = client.get_project(1).jobs.select(has_tag='x').delete()
        assert [request.body for request in wire.requests if request.method == 'POST'] == [
            b'{"key": "1/1/2", "state": "deleted"}'
        ]
    assert (result.done, result.skipped) == (['1/1/2'], ['1/1', '2/1/1', '1/1/2/3'])


def test_a_row_that_cannot_be_checked_is_skipped() -> None:
    rows = [
        {'key': '1/1/1', 'state': 'finished', 'ts': 1},
        {'key': '1/1/2', 'state': 'finished', 'spider': 'a', 'ts': 1},
    ]
    update = lines_reply({'key': '1/1/2', 'prevstate': 'finished'})
    replies = {'/jobq/1/jobsummary': lines_reply(*rows), 'POST /jobq/1/update': update}
    with Wire(replies) as wire, wire.client() as client:
        result = client.get_project(1).jobs.select(spider='a', key=['1/1/1', '1/1/2']).delete()
    assert (result.planned, result.done, result.skipped) == (['1/1/2'], ['1/1/2'], ['1/1/1'])
