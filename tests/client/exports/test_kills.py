"""Downloads of processes that are killed at random points: the next process ends with the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pyarrow.parquet as pq
import pytest

from scrapinghub.client.jobs import Job
from scrapinghub.client.projects import Project
from scrapinghub.export.formats import FORMATS
from scrapinghub.sandbox import Sandbox

COUNT = 60
SEED = int(os.environ.get('SOAK_SEED', '1'))

PROGRAM = """
import sys
from scrapinghub import ScrapinghubClient
apikey, dash, url, key, records, path, max_workers = sys.argv[1:]
client = ScrapinghubClient(apikey, dash, endpoint=url)
getattr(client.get_job(key), records).download(path, max_workers=int(max_workers))
"""


@pytest.fixture
def job(project: Project) -> Job:
    """Return a finished job; some fields appear late."""
    job = project.jobs.run('books', meta={'state': 'running'})
    for number in range(COUNT):
        late = {'late': number / 4} if number > COUNT // 2 else {}
        job.items.write({'n': number, 'text': f'a\u2028b"{number}', 'nested': {'list': [number, None]}, **late})
        job.logs.log(f'message {number}', level=20, ts=1_480_000_000_000 + number)
    job.close_writers()
    job.finish()
    return job


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def download_with_kills(cloud: Sandbox, job: Job, folder: Path, name: str, kills: int, random: Random) -> None:
    """Download in processes that are killed, until there were so many kills; compare the files that are completed."""
    records = 'logs' if name in ('log', 'txt') else 'items'
    path, part, temporary = (folder / f'b.{name}{suffix}' for suffix in ('', '.part', '.part.tmp'))
    undisturbed = getattr(job, records).download(folder / f'a.{name}')
    whole = getattr(job, records).download(folder / 'whole.jl').stat().st_size
    # The response arrives slowly, so that a process is killed within it.
    cloud.faults.add(path=f'/{records}/{job.key}', trickle=200, pause=0.005, times=None)
    killed = completed = 0
    while killed < kills or not completed:
        command = [sys.executable, '-c', PROGRAM, cloud.apikey, cloud.dash_url, cloud.url, job.key, records, str(path)]
        before = size_of(part)
        # After so many bytes; or, once all are there, while the file is written in its format.
        limit = random.randint(before + 1, whole) if before < whole else None
        completes = killed >= kills or (limit is None and random.random() < 0.5)
        with subprocess.Popen([*command, str(random.choice([1, 1, 3]))]) as process:
            while process.poll() is None and not completes:
                if (size_of(temporary) or path.exists()) if limit is None else size_of(part) >= limit:
                    process.send_signal(signal.SIGKILL)
                    break
            status = process.wait(30)
        if status == -signal.SIGKILL:
            killed += 1
        else:
            assert status == 0
        if path.exists():
            completed += 1
            if name == 'parquet':
                assert pq.read_table(path).equals(pq.read_table(undisturbed))
            else:
                assert path.read_bytes() == undisturbed.read_bytes()
            path.unlink()
    cloud.faults.clear()


@pytest.mark.parametrize('name', ['jl', 'jl.gz', 'json', 'csv', 'parquet'])
def test_killed_downloads_end_in_the_same_bytes(cloud: Sandbox, job: Job, tmp_path: Path, name: str) -> None:
    download_with_kills(cloud, job, tmp_path, name, 4, Random(name))


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize('name', FORMATS)
def test_a_hundred_kills(cloud: Sandbox, job: Job, tmp_path: Path, name: str) -> None:
    download_with_kills(cloud, job, tmp_path, name, 100, Random(f'{SEED} {name}'))
