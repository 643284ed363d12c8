"""Crawl the bookshop, and store the crawls in a local Scrapy Cloud.

Starts the web site and the local Scrapy Cloud, runs the spiders ``books`` and ``authors`` and then ``report``, which
``books`` schedules, and shows the stored data.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from bookshop.site import make_server

from scrapinghub import ScrapinghubClient
from scrapinghub.sandbox import Sandbox

PROJECT = 123
FOLDER = Path(__file__).parent


def main() -> None:
    """Run the example."""
    with Sandbox(projects=[PROJECT]) as cloud, make_server() as site, cloud.client() as client:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        environ = {
            **cloud.environ,
            'SCRAPINGHUB_PROJECT': str(PROJECT),
            'BOOKSHOP_URL': f'http://127.0.0.1:{site.server_port}',
            'NO_PROXY': '127.0.0.1',
        }
        crawl('books', environ)
        crawl('authors', environ)
        run_pending_jobs(client, environ)
        show(client)
        site.shutdown()


def crawl(spider: str, environ: dict[str, str]) -> None:
    """Run a spider as on any machine: the crawl becomes a new job."""
    subprocess.run(
        [sys.executable, '-m', 'scrapy', 'crawl', spider], cwd=FOLDER, env={**os.environ, **environ}, check=True
    )


def run_pending_jobs(client: ScrapinghubClient, environ: dict[str, str]) -> None:
    """Run the jobs that spiders have scheduled: on Scrapy Cloud, the platform does this."""
    for row in client.get_project(PROJECT).jobs.list(state='pending'):
        job = client.get_job(row['key'])
        job.start()
        credentials = f'{job.key}:{job.metadata.get("auth")}'.encode().hex()
        crawl(row['spider'], {**environ, 'SHUB_JOBKEY': job.key, 'SHUB_JOBAUTH': credentials})
        job.finish(close_reason=job.metadata.get('close_reason'))


def show(client: ScrapinghubClient) -> None:
    """Print the jobs, and what they stored elsewhere."""
    project = client.get_project(PROJECT)
    print()
    for row in project.jobs.iter():
        job = client.get_job(row['key'])
        items = job.items.list()
        requests = job.requests.stats()['totals']['input_values']
        print(f'{job.key} {row["spider"]}: {row["close_reason"]}, {len(items)} items, {requests} requests')
        print(f'    the last item: {items[-1]}')
        print(f'    the last log entry: {job.logs.list()[-1]["message"]}')
    print(f'In the collection: {project.collections.get_store("books").count()} books')
    print(f'Left in the frontier: {len(project.frontiers.get("authors").get("0").q.list())} batches')


if __name__ == '__main__':
    main()
