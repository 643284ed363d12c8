"""Waiting for jobs: what is polled and when, and how a wait ends."""

from __future__ import annotations

import logging

import pytest

from scrapinghub import NotFound, ScrapinghubClient, Unauthorized, WaitTimeout
from scrapinghub.client.projects import Project
from scrapinghub.sandbox import Sandbox
from support.clocks import ManualClock
from support.scripted_server import Wire, json_reply


@pytest.fixture
def clock(client: ScrapinghubClient) -> ManualClock:
    client.transport.clock = clock = ManualClock()
    return clock


def test_wait_returns_the_job_when_it_is_finished(project: Project, clock: ManualClock) -> None:
    job = project.jobs.run('books', meta={'state': 'running'})

    def finish(seconds: float) -> None:
        if len(clock.waits) == 3:
            job.finish()

    clock.on_wait = finish
    assert job.wait() is job
    assert clock.waits == [1.0, 1.5, 2.25]


def test_pauses_grow_to_thirty_seconds(project: Project, clock: ManualClock) -> None:
    job = project.jobs.run('books')
    with pytest.raises(WaitTimeout, match='pending') as caught:
        job.wait(timeout=300)
    assert isinstance(caught.value, TimeoutError)
    assert max(clock.waits) == 30
    assert sum(clock.waits) == pytest.approx(300)


def test_a_timeout_of_zero_polls_once(project: Project, clock: ManualClock) -> None:
    project.jobs.run('a', meta={'state': 'finished'}).wait(timeout=0)
    with pytest.raises(WaitTimeout):
        project.jobs.run('b').wait(timeout=0)
    assert clock.waits == []


@pytest.mark.parametrize('timeout', [-1, 'x', True, float('nan')])
def test_timeouts_are_checked(project: Project, timeout: float) -> None:
    job = project.jobs.run('books')
    with pytest.raises(ValueError, match='timeout'):
        job.wait(timeout=timeout)
    with pytest.raises(ValueError, match='timeout'):
        project.jobs.as_completed([job], timeout=timeout)


def test_a_job_that_is_unknown_three_times_does_not_exist(project: Project, clock: ManualClock) -> None:
    with pytest.raises(NotFound, match='1/1/99'):
        project.jobs.get('1/1/99').wait()
    assert len(clock.waits) == 2


def test_a_job_that_is_deleted_is_not_found(project: Project, clock: ManualClock) -> None:
    job = project.jobs.run('books', meta={'state': 'finished'})
    job.delete()
    with pytest.raises(NotFound, match='deleted'):
        job.wait()


def test_transient_errors_do_not_end_a_wait(
    cloud: Sandbox, project: Project, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    job = project.jobs.run('books', meta={'state': 'finished'})
    cloud.faults.add(status=503, times=50, path='/jobs/*')
    cloud.faults.add(status=503, times=50, path='/jobq/*/jobsummary')
    with caplog.at_level(logging.WARNING):
        job.wait()
    assert 'waiting' in caplog.text
    assert len(caplog.records) < 50
    assert list(project.jobs.as_completed([job])) == [job]
    cloud.faults.add(status=503, times=None, path='/jobs/*')
    with pytest.raises(WaitTimeout):
        job.wait(timeout=60)


def test_refusals_end_a_wait(cloud: Sandbox, clock: ManualClock) -> None:
    with ScrapinghubClient('0' * 32, cloud.dash_url, endpoint=cloud.url) as stranger:
        with pytest.raises(Unauthorized):
            stranger.get_job('1/1/1').wait()
        with pytest.raises(Unauthorized):
            next(stranger.get_project(1).jobs.as_completed(['1/1/1']))


def test_jobs_are_returned_in_the_order_of_completion(project: Project, clock: ManualClock) -> None:
    jobs = [project.jobs.run('books', page=page, meta={'state': 'running'}) for page in range(4)]
    order = iter([jobs[2], jobs[0], jobs[3], jobs[1]])

    def finish(seconds: float) -> None:
        next(order).finish()

    clock.on_wait = finish
    completed = project.jobs.as_completed([*jobs, jobs[0]])
    assert [job.key for job in completed] == [jobs[place].key for place in (2, 0, 3, 1)]
    assert list(completed) == []


def test_one_poll_asks_for_all_jobs(cloud: Sandbox, project: Project, clock: ManualClock) -> None:
    jobs = [project.jobs.run('books', page=page, meta={'state': 'finished'}) for page in range(30)]
    before = len(cloud.requests)
    assert len(list(project.jobs.as_completed(job.key for job in jobs))) == 30
    assert len(cloud.requests) - before == 1
    assert list(project.jobs.as_completed([])) == []
    assert len(cloud.requests) - before == 1


def test_unknown_jobs_raise_and_the_others_follow(project: Project, clock: ManualClock) -> None:
    job = project.jobs.run('books', meta={'state': 'running'})

    def finish(seconds: float) -> None:
        if len(clock.waits) == 5:
            job.finish()

    clock.on_wait = finish
    completed = project.jobs.as_completed(['1/1/98', job, '1/1/99'])
    for key in ('1/1/98', '1/1/99'):
        with pytest.raises(NotFound, match=key):
            next(completed)
    assert len(clock.waits) == 2
    assert next(completed) == job
    with pytest.raises(StopIteration):
        next(completed)


def test_a_known_job_that_vanishes_counts_as_deleted(clock: ManualClock) -> None:
    row = '{"key": "1/2/3", "state": "running", "ts": 1, "elapsed": 1}'
    with Wire({'/jobq/1/jobsummary': json_reply(row)}) as wire, wire.client() as client:
        client.transport.clock = clock = ManualClock()
        clock.on_wait = lambda seconds: wire.answers.update({'/jobq/1/jobsummary': json_reply('')})
        assert [job.key for job in client.get_project(1).jobs.as_completed(['1/2/3'])] == ['1/2/3']


def test_a_wait_for_many_jobs_times_out_and_may_continue(project: Project, clock: ManualClock) -> None:
    job = project.jobs.run('books', meta={'state': 'running'})
    completed = project.jobs.as_completed([job], timeout=10)
    with pytest.raises(WaitTimeout, match=job.key):
        next(completed)
    job.finish()
    assert next(completed) == job


def test_jobs_of_another_project_are_refused(project: Project) -> None:
    with pytest.raises(ValueError, match='project'):
        project.jobs.as_completed(['2/1/1'])
