"""Scheduled jobs run: real Scrapy, in processes, with spiders that download nothing."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scrapinghub.client.jobs import Job
from scrapinghub.client.projects import Project
from scrapinghub.sandbox import Sandbox

pytest.importorskip('scrapy')

SPIDERS = """
import os
import scrapy
import scrapy.exceptions
import scrapy.signals

class Quick(scrapy.Spider):
    name = 'quick'
    start_urls = ['data:,']

    def parse(self, response):
        names = ('SHUB_JOBKEY', 'SCRAPY_JOB', 'SHUB_FIFO_PATH', 'OWN', 'SHUB_JOB_TAGS', 'SCRAPY_SPIDER',
                 'SCRAPINGHUB_INSTANT_RETRIES', 'SHUB_HS_USER_AGENT')
        yield {'interval': self.settings.getfloat('SCRAPINGHUB_FLUSH_INTERVAL'),
               'a': getattr(self, 'a', None), 'setting': self.settings.get('MINE'), 'kept': self.settings.get('KEPT'),
               'environ': {name: os.environ.get(name) for name in names}}

class Raises(scrapy.Spider):
    name = 'raises'
    start_urls = ['data:,']

    def __init__(self, *args, **kwargs):
        raise LookupError('the spider is broken')

class Waits(scrapy.Spider):
    name = 'waits'
    start_urls = ['data:,']
    custom_settings = {'CLOSESPIDER_TIMEOUT': 60}

    def parse(self, response):
        with open(os.environ['PID_FILE'], 'w') as file:
            print(os.getpid(), file=file)

    @classmethod
    def from_crawler(cls, crawler, *args, **kwargs):
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.stay_open, scrapy.signals.spider_idle)
        return spider

    def stay_open(self):
        raise scrapy.exceptions.DontCloseSpider
"""
PATIENCE = 60


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('project')
    (folder / 'scrapy.cfg').write_text('[settings]\ndefault = shop.settings\n')
    (folder / 'shop').mkdir()
    (folder / 'shop' / '__init__.py').touch()
    (folder / 'shop' / 'settings.py').write_text(
        "SPIDER_MODULES = ['shop.spiders']\nTELNETCONSOLE_ENABLED = False\nKEPT = 'kept'\nLOG_LEVEL = 'INFO'\n"
    )
    (folder / 'shop' / 'spiders.py').write_text(SPIDERS)
    (folder / 'bin').mkdir()
    (folder / 'bin' / 'report.py').write_text(
        'import sys\nfrom scrapinghub import ScrapinghubClient\n'
        "print('arguments', sys.argv[1:])\n"
        'print(len(ScrapinghubClient().get_project(1).spiders.list()))\n'
        'sys.exit(int(sys.argv[1]))\n'
    )
    (folder / 'bin' / 'leaves.py').write_text(
        "import subprocess\nimport sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'])\n"
    )
    return folder


@pytest.fixture(scope='module')
def shared(folder: Path) -> Iterator[Sandbox]:
    with Sandbox([1], scrapy=folder, units=2) as cloud:
        yield cloud


@pytest.fixture
def project(shared: Sandbox) -> Iterator[Project]:
    shared.reset()
    with shared.client() as client:
        yield client.get_project(1)


def wait_until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def run_waiting(project: Project, folder: Path, **options: Any) -> tuple[Job, int]:
    """Run a job that does not end; return it, and the id of its process."""
    path = folder / 'pid'
    job = project.jobs.run('waits', environment={'PID_FILE': str(path)}, **options)
    return job, int(wait_until(lambda: path.exists() and path.read_text().endswith('\n') and path.read_text()))


def finished(job: Job) -> Job:
    wait_until(lambda: job.metadata.get('state') == 'finished')
    return job


def log_of(job: Job) -> str:
    return '\n'.join(str(entry['message']) for entry in job.logs.iter())


def test_a_job_runs_as_on_the_platform(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [spider['id'] for spider in project.spiders.list()] == ['quick', 'raises', 'waits']
    monkeypatch.setenv('SHUB_FIFO_PATH', 'of another program')
    monkeypatch.setenv('SCRAPINGHUB_INSTANT_RETRIES', '1')
    job = project.jobs.run(
        'quick', job_args={'a': 'b=c d'}, job_settings={'MINE': 'x'}, environment={'OWN': '1'}, add_tag=['t', 'u']
    )
    [item] = finished(job).items.list()
    assert item.pop('_type') == 'dict'
    assert item == {
        'interval': 1,
        'a': 'b=c d',
        'setting': 'x',
        'kept': 'kept',
        'environ': {
            'SHUB_JOBKEY': job.key,
            'SCRAPY_JOB': job.key,
            'SHUB_FIFO_PATH': None,
            'OWN': '1',
            'SHUB_JOB_TAGS': 't,u',
            'SCRAPY_SPIDER': 'quick',
            'SCRAPINGHUB_INSTANT_RETRIES': None,
            'SHUB_HS_USER_AGENT': 'scrapinghub-sandbox',
        },
    }
    metadata = dict(job.metadata.iter())
    assert metadata['close_reason'] == 'finished'
    assert metadata['scrapystats']['item_scraped_count'] == 1
    assert 'Spider closed (finished)' in log_of(job)
    assert job.requests.list()[0]['url'] == 'data:,'


def test_a_spider_that_raises_fails_with_its_traceback(project: Project) -> None:
    job = finished(project.jobs.run('raises'))
    assert job.metadata.get('close_reason') == 'failed'
    assert 'LookupError: the spider is broken' in log_of(job)
    assert 'exit status 1' in log_of(job)


def test_an_unknown_spider_fails_with_the_reason(project: Project) -> None:
    job = finished(project.jobs.run('nobody'))
    assert job.metadata.get('close_reason') == 'failed'
    assert 'nobody' in log_of(job)


def test_a_job_is_cancelled(project: Project, tmp_path: Path) -> None:
    job, _ = run_waiting(project, tmp_path)
    job.cancel()
    assert finished(job).metadata.get('close_reason') == 'cancelled'
    assert 'finishing' in log_of(job).lower() or 'closed' in log_of(job).lower()


def test_a_job_that_is_killed_fails(project: Project, tmp_path: Path) -> None:
    job, pid = run_waiting(project, tmp_path)
    # What is logged is stored while the job runs.
    wait_until(lambda: 'Spider opened' in log_of(job))
    os.kill(pid, signal.SIGKILL)
    assert finished(job).metadata.get('close_reason') == 'failed'
    assert 'killed by the signal SIGKILL' in log_of(job)


def test_jobs_leave_nothing_in_the_project(project: Project, folder: Path, tmp_path: Path) -> None:
    _, pid = run_waiting(project, tmp_path)
    os.kill(pid, signal.SIGKILL)
    finished(project.jobs.run('quick'))
    assert not (folder / '.scrapy').exists()


@pytest.mark.parametrize(('status', 'reason'), [(0, 'finished'), (3, 'failed')])
def test_a_script_runs(project: Project, status: int, reason: str) -> None:
    job = finished(project.jobs.run('py:report.py', cmd_args=f'{status} "two words"'))
    assert job.metadata.get('close_reason') == reason
    assert [entry['message'] for entry in job.logs.iter()][:2] == [f"arguments ['{status}', 'two words']", '4']


def test_a_job_with_metadata_that_are_none_fails_and_others_run(project: Project) -> None:
    broken = finished(project.jobs.run('quick', meta={'environment': 5}))
    assert 'The job cannot be started' in log_of(broken)
    assert finished(project.jobs.run('quick', n=1)).metadata.get('close_reason') == 'finished'


def test_a_job_ends_although_a_program_that_it_started_runs(project: Project) -> None:
    assert finished(project.jobs.run('py:leaves.py')).metadata.get('close_reason') == 'finished'


def test_a_job_that_is_deleted_is_stopped(project: Project, tmp_path: Path) -> None:
    job, pid = run_waiting(project, tmp_path)
    job.delete()
    wait_until(lambda: not _runs(pid))


def test_jobs_of_before_a_reset_do_not_reach_those_after_it(project: Project, shared: Sandbox, tmp_path: Path) -> None:
    old, pid = run_waiting(project, tmp_path)
    for number in range(3):
        project.jobs.run('waits', n=number)
    shared.reset()
    assert not _runs(pid)
    job = project.jobs.run('quick')
    assert job.key.rpartition('/')[0] != old.key.rpartition('/')[0]
    assert finished(job).metadata.get('close_reason') == 'finished'
    assert [row['key'] for row in project.jobs.iter(state=['pending', 'running', 'finished'])] == [job.key]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_jobs_wait_for_units_and_start_by_priority(project: Project, tmp_path: Path) -> None:
    big, _ = run_waiting(project, tmp_path, units=2)
    low = project.jobs.run('quick', a='low', priority=0)
    high = project.jobs.run('quick', a='high', priority=4, units=2)
    assert {job.metadata.get('state') for job in (low, high)} == {'pending'}
    big.cancel()
    assert finished(low).metadata.get('running_time') >= finished(high).metadata.get('finished_time')


def test_an_interpreter_without_the_package_is_named(folder: Path, tmp_path: Path) -> None:
    python = tmp_path / 'python'
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')
    python.chmod(0o755)
    with pytest.warns(UserWarning, match='cannot be listed'):
        cloud = Sandbox([1], scrapy=folder, python=str(python))
    with cloud, cloud.client() as client:
        job = finished(client.get_project(1).jobs.run('quick'))
        assert job.metadata.get('close_reason') == 'failed'
        assert log_of(job).endswith('install scrapinghub[scrapy] for it')
        assert '\n' not in log_of(job)


def test_a_job_that_ran_when_the_sandbox_ended_has_failed(folder: Path, tmp_path: Path) -> None:
    db = str(tmp_path / 'cloud.db')
    with Sandbox([1], scrapy=folder, db=db) as cloud, cloud.client() as client:
        key = run_waiting(client.get_project(1), tmp_path)[0].key
    with Sandbox([1], db=db) as cloud, cloud.client() as client:
        # Closing the sandbox stops its jobs.
        assert client.get_job(key).metadata.get('state') == 'finished'
        crashed = client.get_project(1).jobs.run('quick', meta={'state': 'running', '_shub_worker': 'sandbox-runner'})
        other = client.get_project(1).jobs.run('waits', meta={'state': 'running'})
    with Sandbox([1], scrapy=folder, db=db) as cloud, cloud.client() as client:
        assert client.get_job(crashed.key).metadata.get('close_reason') == 'failed'
        assert client.get_job(other.key).metadata.get('state') == 'running'


@pytest.mark.parametrize('arguments', [{'scrapy': '.'}, {'units': 2}, {'python': 'python3'}])
def test_wrong_arguments_are_refused(arguments: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match='scrapy'):
        Sandbox([1], **arguments)


def test_periodic_jobs_run(project: Project, shared: Sandbox) -> None:
    project.periodic_jobs.create('quick', cron='* * * * *')
    shared.clock.advance(minutes=1)
    [row] = wait_until(lambda: project.jobs.list(state='finished'))
    assert row['spider'] == 'quick'
