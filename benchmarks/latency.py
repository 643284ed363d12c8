"""Measure a download over several connections, from a server with latency and a limit for each connection.

Each response begins after 50 ms, and arrives at 1 MiB a second at most. The table shows the time by ``max_workers``,
and how near the speed is to that many times the speed of one connection.

Usage: python benchmarks/latency.py [--records N]
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from products import product

from scrapinghub import ScrapinghubClient
from scrapinghub.sandbox import Sandbox

LATENCY = 0.05
BYTES_PER_SECOND = 1024 * 1024
PART = 4096
WORKERS = (1, 2, 4, 8)


def serve(records: int, pipe: Connection) -> None:
    """Run a server with a finished job; send its addresses and the key of the job."""
    with Sandbox(projects=[1]) as cloud, cloud.client() as client:
        job = client.get_project(1).jobs.run('books', meta={'state': 'running'})
        for number in range(records):
            item = product(number)
            del item['_key']
            job.items.write(item)
        job.close_writers()
        job.finish()
        pause = PART / BYTES_PER_SECOND
        cloud.faults.add(path=f'/items/{job.key}', delay=LATENCY, trickle=PART, pause=pause, times=None)
        cloud.faults.add(delay=LATENCY, times=None)
        pipe.send((cloud.apikey, cloud.dash_url, cloud.url, job.key))
        pipe.recv()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--records', type=int, default=20_000, help='number of records; 20,000 by default')
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context('spawn').Process(target=serve, args=(parser.parse_args().records, theirs))
    server.start()
    apikey, dash_url, url, key = ours.recv()
    with (
        ScrapinghubClient(apikey, dash_url, endpoint=url) as client,
        tempfile.TemporaryDirectory() as folder,
    ):
        items = client.get_job(key).items
        single = 0.0
        for workers in WORKERS:
            path = Path(folder) / f'{workers}.jl'
            started = time.perf_counter()
            items.download(path, max_workers=workers)
            seconds = time.perf_counter() - started
            single = single or seconds
            size = path.stat().st_size / 2**20
            print(
                f'{workers} connections: {seconds:6.2f} s, {size / seconds:5.1f} MiB/s, '
                f'{single / seconds:4.2f} times one connection, {single / seconds / workers:.0%} of linear',
                flush=True,
            )
    ours.send(None)
    server.join()


if __name__ == '__main__':
    main()
