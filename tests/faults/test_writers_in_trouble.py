"""Signals, a full disk and log handlers at random moments: each record is stored once, or its call raised."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from scrapinghub.client.jobs import Job
from scrapinghub.sandbox import Sandbox

PROGRAMS = Path(__file__).parent / 'programs'
ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get('SOAK_SEED', '1'))
SEEDS = [*range(3), *(pytest.param(SEED * 1000 + number, marks=pytest.mark.soak) for number in range(100))]

pytestmark = pytest.mark.skipif(os.name != 'posix', reason='signals and limits of POSIX')


def disturb(cloud: Sandbox, random: Random) -> None:
    """Make some uploads fail; a response that is lost may be that of a stored batch."""
    path = random.choice(['/items/*', '/logs/*'])
    cloud.faults.add(method='POST', path=path, status=503, times=random.randrange(1, 4))
    cloud.faults.add(method='POST', path=path, apply=True, drop='close', times=random.randrange(1, 3))


def run(cloud: Sandbox, program: str, seed: int, count: int, job: Job, *arguments: str) -> dict[str, Any]:
    """Run a program of the folder; return what it printed."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', str(PROGRAMS / f'{program}.py'), str(seed), str(count), job.key, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **cloud.environ, 'PYTHONPATH': str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check(found: dict[str, Any], stored: list[Any]) -> None:
    times = Counter(stored)
    assert set(found['certain']) <= times.keys(), 'records are lost'
    assert times.keys() <= set(found['possible'])
    assert set(times.values()) <= {1}, 'records are stored twice'


@pytest.fixture
def job(cloud: Sandbox) -> Iterator[Job]:
    cloud.reset()
    with cloud.client() as client:
        yield client.get_project(1).jobs.run('books', meta={'state': 'running'})


@pytest.fixture(scope='module')
def cloud() -> Iterator[Sandbox]:
    with Sandbox() as cloud:
        yield cloud


@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.parametrize('spooled', [False, True])
def test_signals_at_every_call_of_a_writer(cloud: Sandbox, job: Job, tmp_path: Path, seed: int, spooled: bool) -> None:
    disturb(cloud, Random(seed))
    found = run(cloud, 'signalled_writer', seed, 1500, job, str(tmp_path / 'spool') if spooled else '')
    assert found['handler']
    check(found, [item['n'] for item in job.items.iter()])


@pytest.mark.parametrize('seed', SEEDS)
def test_a_full_disk_at_every_write_of_the_spool(cloud: Sandbox, job: Job, tmp_path: Path, seed: int) -> None:
    disturb(cloud, Random(seed))
    found = run(cloud, 'full_disk_writer', seed, 400, job, str(tmp_path / 'spool'))
    check(found, [item['n'] for item in job.items.iter()])


@pytest.mark.parametrize('seed', SEEDS)
def test_log_handlers_that_fail_and_flush(cloud: Sandbox, job: Job, seed: int) -> None:
    disturb(cloud, Random(seed))
    before = len(cloud.requests)
    found = run(cloud, 'logging_to_a_job', seed, 100, job)
    lines = [entry['message'] for entry in job.logs.iter() if entry['message'].startswith('line ')]
    check(found, lines)
    uploads = [entry for entry in list(cloud.requests)[before:] if entry.path.startswith('/logs/')]
    # The lines of the library about its own requests cause no more of them without end.
    assert len(uploads) < 100
