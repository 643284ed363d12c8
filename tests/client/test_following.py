"""The end of the data of a job, and what is added until the job is finished."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from scrapinghub import NotFound, ScrapinghubClient
from scrapinghub.client._support import following
from scrapinghub.client.jobs import Job
from scrapinghub.client.projects import Project
from scrapinghub.sandbox import Sandbox
from support.clocks import ManualClock


@pytest.fixture
def clock(client: ScrapinghubClient) -> ManualClock:
    client.transport.clock = clock = ManualClock()
    return clock


@pytest.fixture
def writer(cloud: Sandbox) -> Iterator[ScrapinghubClient]:
    """Return the client of the program that runs the job."""
    with cloud.client() as writer:
        yield writer


class Run:
    """A job that adds records at each pause of the reader, and finishes after some of them."""

    def __init__(self, job: Job, writer: ScrapinghubClient, clock: ManualClock, rounds: int = 3) -> None:
        self.job = writer.get_job(job.key)
        self.rounds = rounds
        self.number = 0
        clock.on_wait = self.add

    def write(self, count: int) -> None:
        for _ in range(count):
            self.job.items.write({'n': self.number})
            self.job.logs.log(f'm{self.number}', level=20 + 10 * (self.number % 2), ts=1_480_000_000_000)
            self.job.requests.add(f'http://x/{self.number}', 200, 'GET', 1, 1, 1_480_000_000_000)
            self.number += 1
        for records in (self.job.items, self.job.logs, self.job.requests):
            records.flush()

    def add(self, seconds: float) -> None:
        self.rounds -= 1
        if self.rounds >= 0:
            self.write(2)
        if self.rounds == 0:
            self.job.finish()


@pytest.fixture
def run(project: Project, writer: ScrapinghubClient, clock: ManualClock) -> Run:
    run = Run(project.jobs.run('books', meta={'state': 'running'}), writer, clock)
    run.write(4)
    return run


def numbers(records: Any) -> list[int]:
    return [record['n'] for record in records]


def test_follow_yields_what_is_stored_and_what_is_added(project: Project, run: Run) -> None:
    job = project.jobs.get(run.job.key)
    assert numbers(job.items.follow()) == list(range(10))


def test_logs_and_requests_can_be_followed(project: Project, run: Run) -> None:
    job = project.jobs.get(run.job.key)
    assert [entry['message'] for entry in job.logs.follow()] == [f'm{number}' for number in range(10)]
    assert [entry['url'] for entry in job.requests.follow(tail=1)] == ['http://x/9']
    assert [entry['message'] for entry in job.logs.follow(level='WARNING')] == ['m1', 'm3', 'm5', 'm7', 'm9']


@pytest.mark.parametrize(('tail', 'first'), [(0, 4), (1, 3), (3, 1), (9, 0)])
def test_follow_can_begin_with_the_last_records(project: Project, run: Run, tail: int, first: int) -> None:
    assert numbers(project.jobs.get(run.job.key).items.follow(tail=tail)) == list(range(first, 10))


def test_follow_filters(project: Project, run: Run) -> None:
    items = project.jobs.get(run.job.key).items
    assert numbers(items.follow(tail=1, filter=('n', '<', [8]))) == [3, 4, 5, 6, 7]
    assert [record['_key'] for record in items.follow(filter=('n', '=', [9]), meta='_key')] == [f'{run.job.key}/9']


def test_a_pending_job_is_waited_for(project: Project, writer: ScrapinghubClient, clock: ManualClock) -> None:
    job = project.jobs.run('books')
    Run(job, writer, clock)
    assert numbers(job.items.follow()) == list(range(6))


def test_pauses_grow_while_nothing_is_added(project: Project, clock: ManualClock) -> None:
    job = project.jobs.run('books', meta={'state': 'running'})

    def finish(seconds: float) -> None:
        if len(clock.waits) == 12:
            job.finish()

    clock.on_wait = finish
    assert list(job.items.follow()) == []
    assert clock.waits[0] == 1
    assert max(clock.waits) == 10


def test_an_unknown_job_is_not_found(project: Project, clock: ManualClock) -> None:
    with pytest.raises(NotFound, match='1/1/9'):
        next(project.jobs.get('1/1/9').items.follow())


def test_faults_do_not_end_a_follow(cloud: Sandbox, project: Project, run: Run) -> None:
    job = project.jobs.get(run.job.key)
    stream = job.items.follow()
    found = [next(stream)['n'] for _ in range(3)]
    cloud.faults.add(path='/items/*', method='GET', status=503, times=15)
    cloud.faults.add(path='/jobs/*', method='GET', status=503, times=3)
    cloud.faults.add(path='/items/*', method='GET', cut=40, times=3)
    assert found + numbers(stream) == list(range(10))


def test_a_follow_continues_after_an_interruption(project: Project, run: Run) -> None:
    stream = project.jobs.get(run.job.key).items.follow()
    found: list[int] = []
    while len(found) < 10:
        try:
            for record in stream:
                found.append(record['n'])
                if len(found) % 3 == 0:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass
    assert found == list(range(10))
    assert list(stream) == []


def test_closing_a_follow_ends_it(project: Project, run: Run) -> None:
    stream: Any = project.jobs.get(run.job.key).items.follow()
    with contextlib.closing(stream):
        assert next(stream)['n'] == 0
    assert next(stream, None) is None


# Tails


@pytest.mark.parametrize('n', [0, 1, 3, 50, 51])
def test_tail_returns_the_last_records(project: Project, run: Run, n: int) -> None:
    run.write(46)
    job = project.jobs.get(run.job.key)
    assert numbers(job.items.tail(n)) == list(range(50))[max(0, 50 - n) :]
    assert [entry['message'] for entry in job.logs.tail(n)] == [f'm{number}' for number in range(50)][max(0, 50 - n) :]
    assert len(job.requests.tail(n)) == min(n, 50)
    assert '_key' not in (job.items.tail(1) or [{}])[0]
    assert all(record['_key'] for record in job.items.tail(n, meta='_key'))


@pytest.mark.parametrize('window', [1, 3, 1000])
def test_a_filtered_tail_reads_backwards(
    monkeypatch: pytest.MonkeyPatch, project: Project, run: Run, window: int
) -> None:
    monkeypatch.setattr(following, 'FIRST_WINDOW', window)
    run.write(46)
    items = project.jobs.get(run.job.key).items
    for n in (1, 2, 7):
        assert numbers(items.tail(n, filter=('n', '<', [20]))) == list(range(20))[20 - n :]
    assert numbers(items.tail(99, filter=('n', '<', [3]))) == [0, 1, 2]
    assert items.tail(3, filter=('n', '>', [99])) == []


def test_bad_arguments_are_refused(project: Project) -> None:
    items = project.jobs.get('1/1/1').items
    for name in ('start', 'count', 'offset', 'limit', 'startafter', 'index'):
        with pytest.raises(TypeError, match=name):
            items.tail(1, **{name: 1})
        with pytest.raises(TypeError, match=name):
            items.follow(**{name: 1})
    with pytest.raises(ValueError, match='n should'):
        items.tail(-1)
    with pytest.raises(ValueError, match='n should be'):
        items.tail(None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='tail'):
        items.follow(tail=-2)


def test_field_coverage_is_a_share(project: Project, run: Run) -> None:
    run.job.items.write({'n': 1, 'extra': True})
    run.job.items.flush()
    assert project.jobs.get(run.job.key).items.field_coverage() == {'n': 1.0, 'extra': 0.2}
    assert project.jobs.run('empty').items.field_coverage() == {}
