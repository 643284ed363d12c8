"""Run the spiders of the bookshop in a local Scrapy Cloud, and show what they store.

Starts the web site and the local Scrapy Cloud, schedules the spiders as on Scrapy Cloud, and waits for their jobs. The
spider ``books`` schedules the spider ``report`` at its end.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from bookshop.site import make_server

from scrapinghub import ScrapinghubClient
from scrapinghub.client.jobs import Job
from scrapinghub.client.projects import Project
from scrapinghub.sandbox import Sandbox

PROJECT = 123
FOLDER = Path(__file__).parent
#: Seconds that a job may take.
TIMEOUT = 300


def main() -> None:
    """Run the example."""
    with make_server() as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        # Jobs have the environment of this program.
        os.environ['BOOKSHOP_URL'] = f'http://127.0.0.1:{site.server_port}'
        print('Starting a local Scrapy Cloud with the spiders of this project ...')
        with Sandbox([PROJECT], scrapy=FOLDER) as cloud, cloud.client() as client:
            project = client.get_project(PROJECT)
            print('Spiders:', ', '.join(spider['id'] for spider in project.spiders.list()))
            run_all(client, project)
            show(client, project)
            print(f'\nThe page of the local Scrapy Cloud: {cloud.url}')
            if sys.stdin.isatty():
                input('Open it in a browser to see the jobs. Press Enter to stop. ')
        site.shutdown()


def run_all(client: ScrapinghubClient, project: Project) -> None:
    """Run the spiders, and wait until all jobs are finished."""
    for spider in ('books', 'authors'):
        job = project.jobs.run(spider)
        print(f'Job {job.key} of the spider {spider}: scheduled')
    while jobs := project.jobs.list(state=['pending', 'running']):
        for done in project.jobs.as_completed([row['key'] for row in jobs], timeout=TIMEOUT):
            print(f'Job {done.key}: {done.metadata["close_reason"]}')


def show(client: ScrapinghubClient, project: Project) -> None:
    """Print what the jobs have stored."""
    for summary in reversed(project.jobs.list()):
        job = client.get_job(summary['key'])
        requests = job.requests.stats()['totals']['input_values']
        items = job.items.stats()['totals']['input_values']
        print(f'\n{job.key} {summary["spider"]}: {summary["close_reason"]}, {items} items, {requests} requests')
        show_items(job)
        stats = job.metadata['scrapystats']
        print('    stats:')
        for name in ('downloader/response_bytes', 'elapsed_time_seconds'):
            print(f'        {name}: {stats[name]:.6g}')
        print('    end of the log:')
        for entry in job.logs.tail(2, filter=('message', 'contains', ['engine'])):
            print('       ', entry['message'])
        if summary['spider'] == 'books':
            path = job.items.download('books.csv', fields=['isbn', 'title', 'author', 'price'], overwrite=True)
            print('    stored in the file', path)
    print(f'\nIn the collection: {project.collections.get_store("books").count()} books')
    print(f'Left in the frontier: {len(project.frontiers.get("authors").get("0").q.list())} batches')


def show_items(job: Job) -> None:
    """Print the first items as a table."""
    items = job.items.list(count=3)
    names = [name for name in items[0] if not name.startswith('_')]
    rows = [names, *([str(item[name]) for name in names] for item in items)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(names))]
    for row in rows:
        print('    ' + '  '.join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


if __name__ == '__main__':
    main()
