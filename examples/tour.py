"""Show every part of the client: write data as a spider does, and read them back.

Without arguments, it starts a local Scrapy Cloud and writes the data of a spider to it. With ``--project ID`` and an
API key in ``SH_APIKEY``, it reads a real project instead, and changes nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

from scrapinghub import ScrapinghubAPIError, ScrapinghubClient
from scrapinghub.client.jobs import Job
from scrapinghub.client.projects import Project
from scrapinghub.sandbox import Sandbox

PROJECT = 123
SPIDER = 'books'

T = TypeVar('T')


def main() -> int:
    """Run the tour; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--project', type=int, help='read this project of your account; needs SH_APIKEY')
    parser.add_argument('--items', type=int, default=20_000, help='number of items to write (default: 20000)')
    arguments = parser.parse_args()
    if arguments.items < 1:
        parser.error('--items must be at least 1')
    if arguments.project is not None:
        if not os.environ.get('SH_APIKEY'):
            parser.error('--project needs an API key in the environment variable SH_APIKEY')
        try:
            with ScrapinghubClient() as client:
                look_at(client.get_project(arguments.project))
        except ScrapinghubAPIError as error:
            print(f'\n{type(error).__name__}: {error}', file=sys.stderr)
            return 1
        return 0
    with Sandbox(projects=[PROJECT]) as cloud, client_of(cloud) as client:
        say(f'A local Scrapy Cloud listens on {cloud.url}')
        visit(client, arguments.items)
    say('The tour has ended. The local Scrapy Cloud and its data are removed.')
    return 0


def client_of(cloud: Sandbox) -> ScrapinghubClient:
    """Return a client for a sandbox."""
    return ScrapinghubClient(cloud.apikey, endpoint=cloud.url, jobq_endpoint=cloud.url, dash_endpoint=cloud.dash_url)


def visit(client: ScrapinghubClient, number: int) -> None:
    """Show every part of the client."""
    project = client.get_project(PROJECT)
    job = schedule(project)
    crawl(job, number)
    read_back(job)
    metadata_and_tags(project, job)
    collection(project)
    frontier(project)
    activity_and_settings(project)
    show('The account has projects', client.projects.list())
    show('Their jobs', client.projects.summary()[0])


def schedule(project: Project) -> Job:
    """Schedule a job, and start it as the platform does."""
    chapter('Schedule a job')
    job = project.jobs.run(SPIDER, job_args={'category': 'fiction'}, units=1, priority=3, add_tag=['tour'])
    show('Scheduled', job)
    show('State', job.metadata.get('state'))
    show('Started; previous state', job.start())
    show('Spiders', [spider['id'] for spider in project.spiders.list()])
    return job


def crawl(job: Job, number: int) -> None:
    """Write the data of a spider while it runs."""
    chapter('Write data')
    began = time.perf_counter()
    job.logs.info('Spider opened')
    start_page = job.requests.add('https://books.example/', 200, 'GET', rs=51_234, duration=120, ts=now())
    for index in progress(range(number), 'writing items'):
        url = f'https://books.example/{index}'
        job.items.write({'title': f'Book {index}', 'price': 5 + index % 40, 'url': url})
        if index % 1000 == 0:
            job.requests.add(url, 200, 'GET', rs=9_876, duration=45, ts=now(), parent=start_page)
            job.samples.write([now(), index, index // 2])
    job.logs.warning('The last page has no link to the next page')
    job.logs.info('Spider closed (finished)')
    job.close_writers()
    show('Finished; previous state', job.finish(close_reason='finished'))
    show('Duration in seconds', round(time.perf_counter() - began, 2))


def read_back(job: Job) -> None:
    """Read the data of the job."""
    chapter('Read data')
    total = sum(item['price'] for item in progress(job.items.iter(), 'reading items', job.items.stats()))
    show('Sum of all prices', total)
    show('First two items', list(job.items.iter(count=2)))
    show('Cheap items', [item['title'] for item in job.items.iter(filter=[('price', '<', [6])], count=3)])
    show('Item 7', job.items.get(7))
    show('Sizes of batches', [len(batch) for batch in job.items.list_iter(chunksize=1000, count=2500)])
    for line in job.logs.iter(level='WARNING'):
        show('Log entry', line['message'])
    show('Requests', [(request['url'], request.get('parent')) for request in job.requests.iter(count=3)])
    show('Samples', job.samples.list(count=2))
    show('Statistics', job.items.stats()['totals'])


def metadata_and_tags(project: Project, job: Job) -> None:
    """Change the metadata and tags of a job."""
    chapter('Metadata and tags')
    job.metadata.update({'reviewed_by': 'tour', 'score': 9.5})
    show('Metadata', {name: job.metadata.get(name) for name in ('spider_args', 'reviewed_by', 'score', 'close_reason')})
    job.update_tags(add=['consumed'], remove=['tour'])
    show('Tags', job.metadata.get('tags'))
    show('Jobs tagged consumed', [summary['key'] for summary in project.jobs.iter(has_tag=['consumed'])])
    show('Last job of each spider', [summary['key'] for summary in project.jobs.iter_last()])
    show('Number of finished jobs', project.jobs.count(state='finished'))
    show('Number of jobs by state', {part['name']: part['count'] for part in project.jobs.summary()})


def collection(project: Project) -> None:
    """Store records by key."""
    chapter('A collection')
    prices = project.collections.get_store('prices')
    prices.set({'_key': 'books/Émile?', 'value': 12})
    with prices.create_writer() as writer:
        for number in range(2500):
            writer.write({'_key': f'book-{number:04}', 'value': number % 40})
    show('Number of records', prices.count())
    show('Record with a key of any text', prices.get('books/Émile?'))
    show('Records by prefix', list(prices.iter(prefix='book-000', count=2)))
    prices.delete('books/Émile?')
    show('Collections', project.collections.list())
    prices.truncate()


def frontier(project: Project) -> None:
    """Use a queue of requests."""
    chapter('A frontier')
    slot = project.frontiers.get('books').get('books.example')
    slot.q.add([{'fp': f'/page/{number}', 'qdata': {'depth': 1}} for number in range(150)])
    slot.q.add([{'fp': '/page/1'}])
    slot.flush()
    show('New requests (a known one does not count)', slot.newcount)
    batches = slot.q.list(mincount=100)
    show('First batch', {'id': batches[0]['id'], 'requests': len(batches[0]['requests'])})
    slot.q.delete([batch['id'] for batch in batches])
    show('Requests that are left', sum(len(batch['requests']) for batch in slot.q.iter()))
    show('Known fingerprints', len(slot.f.list()))
    slot.delete()


def activity_and_settings(project: Project) -> None:
    """Read the activity log and the settings."""
    chapter('Activity and settings')
    project.activity.add({'event': 'tour:finished', 'user': 'ann'})
    for event in project.activity.iter(count=3):
        show('Event', event)
    project.settings.update({'job_runtime_limit': 24, 'default_job_units': 1})
    show('Settings', project.settings.list())


def look_at(project: Project) -> None:
    """Show a real project without changing it."""
    chapter(f'Project {project.key}')
    show('Spiders', [spider['id'] for spider in project.spiders.iter()][:10])
    show('Number of jobs by state', {part['name']: part['count'] for part in project.jobs.summary()})
    show('Collections', project.collections.list()[:10])
    show('Settings', project.settings.list())
    last = next(project.jobs.iter(count=1), None)
    if last is None:
        say('No job has finished yet.')
        return
    job = project.jobs.get(last['key'])
    chapter(f'Last job, {job.key}')
    show('Spider', last.get('spider'))
    stats = job.items.stats()
    number = sum(1 for _ in progress(job.items.iter(), 'reading items', stats))
    show('Number of items', number)
    show('First item', job.items.get(0))
    for line in job.logs.iter(level='WARNING', count=5):
        show('Log entry', line['message'])


def progress(values: Iterable[T], title: str, stats: Any = None) -> Iterator[T]:
    """Yield values and show a progress bar."""
    total = stats['totals']['input_values'] if stats else None
    with tqdm(values, title, total=total, unit=' items', unit_scale=True) as bar:
        yield from bar


def now() -> int:
    """Return the time in milliseconds since the epoch."""
    return int(time.time() * 1000)


def chapter(title: str) -> None:
    """Print a heading."""
    print(f'\n{title}\n{"-" * len(title)}', flush=True)


def say(text: str) -> None:
    """Print a sentence."""
    print(f'\n{text}', flush=True)


def show(name: str, value: object) -> None:
    """Print a name and a value."""
    print(f'  {name}: {value!r}' if not isinstance(value, str) else f'  {name}: {value}', flush=True)


if __name__ == '__main__':
    sys.exit(main())
