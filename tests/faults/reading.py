"""What can be read, and the truth about it: a project in a sandbox, and every way to iterate over a part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from scrapinghub import ScrapinghubClient
from scrapinghub.client.jobs import Job
from scrapinghub.client.projects import Project

PROJECT = 123
# For what is written while others read.
OTHER_PROJECT = 456
JOB = '123/1/1'

Read = Callable[[ScrapinghubClient], Iterable[Any]]


def fill(client: ScrapinghubClient) -> None:
    """Store what the reads below find."""
    project = client.get_project(PROJECT)
    _fill_job(project.jobs.run('books', meta={'state': 'running'}))
    for number in range(24):
        tags = ['even', 'odd'][number % 2 :]
        job = project.jobs.run(f'spider-{number % 5}', job_args={'n': str(number)}, add_tag=tags)
        job.finish(close_reason='finished')
    store = project.collections.get_store('prices')
    store.set({'_key': f'{prefix}/{number:03}é', 'value': number} for prefix in 'abc' for number in range(40))
    slot = project.frontiers.get('front').get('example.com')
    for start in range(0, 230, 23):
        slot.q.add([{'fp': f'/page/{number}', 'qdata': {'depth': number % 5}} for number in range(start, start + 23)])
        slot.flush()
    project.activity.add([{'event': 'tested', 'number': number} for number in range(40)])
    client.uploader.flush()


def _fill_job(job: Job) -> None:
    for number in range(130):
        # Text that does not compress, so that a cut of the compressed answer has something to cut.
        job.items.write({'number': number, 'kind': 'odd' if number % 2 else 'even', 'noise': _noise(number)})
        job.logs.log(f'line {number} {_noise(number)}', level=10 * (number % 5 + 1), ts=1_500_000_000_000 + number)
        job.requests.add(f'https://books.example/{_noise(number)}', 200, 'GET', 10, 20, 1_500_000_000_000 + number)
        job.samples.write([1_500_000_000_000 + number, number, number * 7919 % 1009])
    job.close_writers()


def _noise(number: int) -> str:
    return f'{(number + 1) * 0x9E3779B97F4A7C15 % 2**64:016x}' * 2


def _job(client: ScrapinghubClient) -> Job:
    return client.get_job(JOB)


def _project(client: ScrapinghubClient) -> Project:
    return client.get_project(PROJECT)


def _flat(chunks: Iterable[list[Any]]) -> Iterator[Any]:
    for chunk in chunks:
        yield from chunk


def _still(jobs: Iterable[Any]) -> Iterator[Any]:
    """Leave out what differs from one look to the next."""
    for job in jobs:
        yield {name: value for name, value in job.items() if name != 'elapsed'}


def _store(client: ScrapinghubClient) -> Any:
    return _project(client).collections.get_store('prices')


def _slot(client: ScrapinghubClient) -> Any:
    return _project(client).frontiers.get('front').get('example.com')


READS: dict[str, Read] = {
    'items': lambda c: _job(c).items.iter(),
    'items count': lambda c: _job(c).items.iter(count=51),
    'items start': lambda c: _job(c).items.iter(start=f'{JOB}/40'),
    'items startafter': lambda c: _job(c).items.iter(startafter=f'{JOB}/40', count=57),
    'items offset': lambda c: _job(c).items.iter(offset=33),
    'items filter': lambda c: _job(c).items.iter(filter=[('kind', '=', ['odd'])]),
    'items meta': lambda c: _job(c).items.iter(meta=['_key', '_ts']),
    'items index': lambda c: _job(c).items.iter(index=[3, 100, 5, 77, 110]),
    'items list_iter': lambda c: _flat(_job(c).items.list_iter(chunksize=40)),
    'items list_iter count': lambda c: _flat(_job(c).items.list_iter(chunksize=25, start=7, count=80)),
    'logs': lambda c: _job(c).logs.iter(),
    'logs count': lambda c: _job(c).logs.iter(count=49),
    'logs offset': lambda c: _job(c).logs.iter(offset=20),
    'logs level': lambda c: _job(c).logs.iter(level='WARNING'),
    'logs filter': lambda c: _job(c).logs.iter(filter=[('message', 'contains', ['7'])], count=20),
    'logs meta': lambda c: _job(c).logs.iter(meta='_key'),
    'requests': lambda c: _job(c).requests.iter(),
    'requests count': lambda c: _job(c).requests.iter(count=60),
    'samples': lambda c: _job(c).samples.iter(),
    'samples count': lambda c: _job(c).samples.iter(count=61),
    'collection': lambda c: _store(c).iter(),
    'collection prefix': lambda c: _store(c).iter(prefix=['a', 'c']),
    'collection start': lambda c: _store(c).iter(start='b/020'),
    'collection key': lambda c: _store(c).iter(key=[f'b/{number:03}é' for number in range(0, 40, 3)]),
    'collection prefixcount': lambda c: _store(c).iter(prefix=['a', 'b'], prefixcount=20),
    'collection prefixes': lambda c: _store(c).iter(prefix=['c', 'a/01', 'a']),
    'collection prefixes prefixcount': lambda c: _store(c).iter(prefix=['c', 'a/01', 'a'], prefixcount=20),
    'collection count': lambda c: _store(c).iter(count=50),
    'jobs': lambda c: _still(_project(c).jobs.iter()),
    'jobs count': lambda c: _still(_project(c).jobs.iter(count=15)),
    'jobs start': lambda c: _still(_project(c).jobs.iter(start=4, count=12)),
    'jobs tags': lambda c: _still(_project(c).jobs.iter(has_tag=['odd'], lacks_tag=['even'])),
    'jobs many': lambda c: _still(_project(c).jobs.iter(count=5000)),
    'jobs iter_all': lambda c: _still(_project(c).jobs.iter_all()),
    'jobs iter_last': lambda c: _still(_project(c).jobs.iter_last()),
    'activity': lambda c: _project(c).activity.iter(),
    'activity count': lambda c: _project(c).activity.iter(count=30, meta=['_ts']),
    'queue': lambda c: _slot(c).q.iter(),
    'queue mincount': lambda c: _slot(c).q.iter(mincount=100),
    'fingerprints': lambda c: _slot(c).f.iter(),
}
"""Every read: a name, and how it is done."""


def storage_stream(read: str) -> bool:
    """Return whether the storage server answers a read with a compressed stream."""
    return not read.startswith('jobs')
