"""Compare the speed and memory of a crawl that the Scrapy add-on stores with one that Scrapy exports to JSON lines.

Both crawls run the same spider. The add-on stores in a sandbox, which runs in its own process. The program fails if the
add-on reaches less than 80 % of the rate of the export, loses an item, or needs more and more memory.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from scrapinghub import ScrapinghubClient

ROOT = Path(__file__).parents[1]
PROJECT = 123
LEAST_RATE = 0.8
# Growth of the memory between the first quarter of a crawl and its end that still counts as none, in MiB.
GROWTH = 32
SPIDER = """
import scrapy


class Many(scrapy.Spider):
    name = 'many'
    start_urls = ['data:,0']
    per_page = 100

    def parse(self, response):
        first = int(response.text)
        following = first + self.per_page
        if following < int(self.items):
            yield scrapy.Request(f'data:,{following}')
        for number in range(first, min(following, int(self.items))):
            yield {
                'number': number,
                'url': f'https://books.example/catalogue/{number}',
                'title': f'The history of the number {number}',
                'price': number % 5000 / 100,
                'in_stock': number % 3 > 0,
                'description': 'A book about a number and about what people have made of it. ' * 4,
            }
"""


class Result(NamedTuple):
    """One crawl.

    Attributes:
        seconds: From the start of the spider to the end of the process.
        cpu: Processor time of the process, in seconds: the figure to look at on a busy machine.
        early: Memory after a quarter of the items, in MiB.
        late: Most memory, in MiB.
    """

    seconds: float
    cpu: float
    early: float
    late: float


@contextmanager
def sandbox() -> Iterator[dict[str, str]]:
    """Run a sandbox in its own process; yield the environment variables that make a program use it."""
    process = subprocess.Popen(
        [sys.executable, '-m', 'scrapinghub.sandbox', '--project', str(PROJECT)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        yield dict(re.findall(r'(\w+)=(\S+)', ''.join(lines)))
    finally:
        process.terminate()
        process.wait()


def memory(pid: int) -> float:
    """Return the memory of a process in MiB; 0 if it has ended."""
    try:
        status = Path(f'/proc/{pid}/status').read_text(encoding='ascii')
    except OSError:
        return 0
    found = re.search(r'VmRSS:\s+(\d+) kB', status)
    return int(found[1]) / 1024 if found else 0


def crawl(items: int, folder: Path, environ: dict[str, str], *options: str) -> Result:
    """Run the spider."""
    (folder / 'many.py').write_text(SPIDER, encoding='utf-8')
    command = [sys.executable, '-m', 'scrapy', 'runspider', 'many.py', '-a', f'items={items}']
    for setting in ('LOG_LEVEL=INFO', 'TELNETCONSOLE_ENABLED=0', 'LOGSTATS_INTERVAL=1'):
        command += ['-s', setting]
    process = subprocess.Popen(
        [*command, *options],
        cwd=folder,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'NO_PROXY': '127.0.0.1', **environ},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began, early, late = 0.0, 0.0, 0.0
    for line in process.stderr:
        if 'Spider opened' in line:
            began = time.monotonic()
        if found := re.search(r'scraped (\d+) items', line):
            now = memory(process.pid)
            late = max(late, now)
            if int(found[1]) <= items / 4:
                early = now
        if ' ERROR' in line or 'Traceback' in line:
            print(line, end='')
    if process.wait():
        raise SystemExit(f'the crawl failed with {process.returncode}')
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Result(seconds, cpu, early, late)


def stored_items(environ: dict[str, str]) -> int:
    """Return how many items the newest job has."""
    with ScrapinghubClient(environ['SH_APIKEY'], environ['SHUB_APIURL'], endpoint=environ['SHUB_STORAGE']) as client:
        job = next(client.get_project(PROJECT).jobs.iter(count=1))
        return client.get_job(job['key']).items.stats()['totals']['input_values']


def main() -> None:
    """Run both crawls some times, alternately."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--items', type=int, default=1_000_000, help='number of items (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=3, help='rounds, the fastest counts (default: %(default)s)')
    arguments = parser.parse_args()
    items = arguments.items
    exports, adds = [], []
    with tempfile.TemporaryDirectory() as folder, sandbox() as environ:
        addon = ['-s', 'ADDONS={"scrapinghub.scrapy.Addon": 500}', '-s', f'SCRAPINGHUB_PROJECT={PROJECT}']
        for _ in range(arguments.rounds):
            exports.append(crawl(items, Path(folder), {}, '-O', 'items.jsonl'))
            adds.append(crawl(items, Path(folder), environ, *addon))
            if (stored := stored_items(environ)) != items:
                raise SystemExit(f'{stored} of {items} items are stored')
            for name, result in (('export', exports[-1]), ('add-on', adds[-1])):
                print(
                    f'{name}: {items / result.seconds:,.0f} items/s, {items / result.cpu:,.0f} items per CPU second, '
                    f'{result.early:.0f} MiB after a quarter, {result.late:.0f} MiB at most',
                    flush=True,
                )
    ratio = min(result.seconds for result in exports) / min(result.seconds for result in adds)
    growth = min(result.late - result.early for result in adds)
    cpu = min(result.cpu for result in exports) / min(result.cpu for result in adds)
    print(
        f'add-on: {ratio:.0%} of the rate of the export, {cpu:.0%} by processor time of all threads, '
        f'memory grows by {growth:.0f} MiB'
    )
    if ratio < LEAST_RATE or growth > GROWTH:
        raise SystemExit(1)


if __name__ == '__main__':
    main()
