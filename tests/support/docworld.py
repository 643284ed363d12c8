"""The project that every example of the documentation and of the docstrings finds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import scrapinghub
from scrapinghub import ScrapinghubClient
from scrapinghub.sandbox import Sandbox

NOW = 1_700_000_000_000
HOUR = 3_600_000
NAMES = frozenset({'cloud', 'auth', 'client', 'project', 'spider', 'job', 'foo_store', 'frontier', 'slot'})


@contextmanager
def world(cloud: Sandbox) -> Iterator[dict[str, Any]]:
    """Fill an empty sandbox that has project 123, and yield the names that examples use.

    ``cloud``
        The sandbox. Its clock starts on 14 November 2023 and is an hour on for each job.
    ``auth``
        Its API key; the environment holds it as well, with the addresses of the sandbox.
    ``client``, ``project``
        A client, and project 123, which has the spiders ``spider1`` and ``spider2``, two settings, and a job of
        ``spider2`` that waits.
    ``spider``
        ``spider1``. Three of its jobs are finished.
    ``job``
        The second of them, 123/1/2: two items, a line of log, a request and a sample.
    ``foo_store``
        A collection with two records.
    ``frontier``, ``slot``
        ``test`` and its slot ``example.com``, where one request waits.
    """
    cloud.reset()
    cloud.clock.freeze(NOW - 3 * HOUR)
    client = ScrapinghubClient(cloud.apikey, cloud.dash_url, endpoint=cloud.url)
    project = client.get_project(123)
    spider, _ = (project.spiders.get(name, create=True) for name in ('spider1', 'spider2'))
    project.settings.update({'default_job_units': 2, 'job_runtime_limit': 24})
    project.jobs.run('spider2')
    for page in (1, 2, 3):
        done = spider.jobs.run(job_args={'page': page})
        done.start()
        cloud.clock.advance(HOUR)
        done.finish(close_reason='finished')
    job = project.jobs.get('123/1/2')
    for name in ('first', 'second'):
        job.items.write({'name': name})
    job.logs.info('Spider opened', time=NOW - 2 * HOUR)
    job.requests.add('https://example.com/', 200, 'GET', 1270, 354, NOW - 2 * HOUR)
    job.samples.write([1482233733870, 0, 0, 5])
    job.close_writers()
    foo_store = project.collections.get_store('foo_store')
    foo_store.set([{'_key': 'first', 'value': 1}, {'_key': 'second', 'value': 2}])
    frontier = project.frontiers.get('test')
    slot = frontier.get('example.com')
    slot.q.add([{'fp': '/'}])
    client.close()

    # What was written for the examples is not to show in their counters and numbers.
    client = ScrapinghubClient(cloud.apikey, cloud.dash_url, endpoint=cloud.url)
    project = client.get_project(123)
    frontier = project.frontiers.get('test')
    names: dict[str, Any] = {
        'scrapinghub': scrapinghub,
        'ScrapinghubClient': ScrapinghubClient,
        'Sandbox': Sandbox,
        'cloud': cloud,
        'auth': cloud.apikey,
        'client': client,
        'project': project,
        'spider': project.spiders.get('spider1'),
        'job': project.jobs.get('123/1/2'),
        'foo_store': project.collections.get_store('foo_store'),
        'frontier': frontier,
        'slot': frontier.get('example.com'),
    }
    assert names.keys() >= NAMES
    try:
        yield names
    finally:
        for value in {id(value): value for value in names.values()}.values():
            if isinstance(value, ScrapinghubClient):
                value.close(timeout=10)
