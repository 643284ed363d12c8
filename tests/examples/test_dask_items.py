"""Partitions in a Dask cluster, as the example reads them: the result is exact, even if a worker is killed."""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scrapinghub import ScrapinghubClient
from scrapinghub.client.jobs import Job
from scrapinghub.client.partitions import Partition
from scrapinghub.sandbox import Sandbox

dask: Any = pytest.importorskip('dask')
distributed: Any = pytest.importorskip('distributed')
bag: Any = pytest.importorskip('dask.bag')
dataframe: Any = pytest.importorskip('dask.dataframe')

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / 'examples' / 'dask_items.py'
COUNT = 2000

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope='module')
def cloud() -> Iterator[Sandbox]:
    with Sandbox(projects=[1]) as cloud:
        yield cloud


@pytest.fixture(scope='module')
def job(cloud: Sandbox) -> Iterator[Job]:
    with ScrapinghubClient(cloud.apikey, cloud.dash_url, endpoint=cloud.url) as client:
        job = client.get_project(1).jobs.run('books', meta={'state': 'running'})
        for number in range(COUNT):
            item: dict[str, Any] = {'n': number, 'in_stock': number % 3 == 0, 'price': number / 4}
            job.items.write(item if number < COUNT // 2 else {**item, 'offers': [{'seller': 'a'}]})
        job.close_writers()
        job.finish()
        yield job


@pytest.fixture(scope='module')
def cluster(cloud: Sandbox) -> Iterator[Any]:
    with (
        pytest.MonkeyPatch.context() as patch,
        dask.config.set({'distributed.comm.timeouts.connect': '60s', 'dataframe.convert-string': False}),
    ):
        for name, value in cloud.environ.items():
            patch.setenv(name, value)
        with (
            distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=':0') as cluster,
            distributed.Client(cluster) as connection,
        ):
            yield connection


def test_tables_and_bags_are_exact(job: Job, cluster: Any) -> None:
    schema = job.items.schema()
    partitions = job.items.partitions(7, schema=schema)
    frame = dataframe.from_map(Partition.to_pandas, partitions, meta=job.items.to_pandas(schema, count=0))
    assert frame['n'].compute().tolist() == list(range(COUNT))
    items = bag.from_sequence(partitions, npartitions=len(partitions)).map(lambda partition: partition.list()).flatten()
    assert items.compute() == job.items.list()


def test_a_worker_that_is_killed_changes_nothing(cloud: Sandbox, job: Job, cluster: Any) -> None:
    partitions = job.items.partitions(6)
    # The responses arrive slowly, so that the worker is killed within one.
    cloud.faults.add(path=f'/items/{job.key}', trickle=2000, pause=0.05, times=None)
    cloud.requests.clear()
    futures = cluster.map(lambda partition: partition.list(), partitions, pure=False)
    # One worker has read its first partition, and begins with the next one; the other one reads.
    cloud.requests.wait(1, timeout=60)
    processes = cluster.run(os.getpid)
    os.kill(next(iter(processes.values())), signal.SIGKILL)
    cloud.faults.clear()
    assert [item for items in cluster.gather(futures) for item in items] == job.items.list()
    assert len(cloud.requests.matching('GET', f'/items/{job.key}')) > len(partitions) + 1


def test_the_example_prints_mean_prices(cloud: Sandbox, job: Job) -> None:
    if not EXAMPLE.exists():
        pytest.skip('the example is not here')
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), job.key],
        env={**os.environ, **cloud.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = dict(re.findall(r'^(True|False) +([\d.]+)$', done.stdout, re.MULTILINE))
    assert {in_stock: float(mean) for in_stock, mean in found.items()} == {
        str(in_stock): pytest.approx(statistics.mean(n / 4 for n in range(COUNT) if (n % 3 == 0) is in_stock), rel=1e-4)
        for in_stock in (True, False)
    }
