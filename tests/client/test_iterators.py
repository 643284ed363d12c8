"""Every iterator of the client can be closed, and used as a context manager."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from scrapinghub import NotFound, ScrapinghubClient
from support.scripted_server import Wire, json_reply, lines_reply

NUMBERS = [f'{number:02}' for number in range(5)]
ROWS = lines_reply(*({'_key': f'1/1/1/{number}', 'key': f'1/{number}/1', 'id': number} for number in NUMBERS))
ANSWERS = {
    '/collections/1/list': lines_reply(*({'type': 's', 'name': number} for number in NUMBERS)),
    '/collections/1/s/a': ROWS,
    '/hcf/1/list': json_reply(str(NUMBERS).replace("'", '"')),
    '/hcf/1/f/list': json_reply(str(NUMBERS).replace("'", '"')),
    '/hcf/1/f/s/slot/f': lines_reply(*({'fp': number} for number in NUMBERS)),
    '/hcf/1/f/s/slot/q': ROWS,
    '/jobs/1/1/1': json_reply('{"a": 1, "b": 2}'),
    '/projects/1/settings': json_reply('{"a": 1, "b": 2}'),
    '/spiders/1/lastjobsummary': ROWS,
    '/jobq/1/list': ROWS,
    '/activity/1': ROWS,
    '/items/1/1/1': ROWS,
    '/logs/1/1/1': ROWS,
    '/requests/1/1/1': ROWS,
    '/samples/1/1/1': ROWS,
    '/api/scrapyd/listprojects.json': json_reply('{"status": "ok", "projects": [1, 2]}'),
    '/api/spiders/list.json': json_reply('{"status": "ok", "spiders": [{"id": "a"}, {"id": "b"}]}'),
}


def project(client: ScrapinghubClient) -> Any:
    return client.get_project(1)


def job(client: ScrapinghubClient) -> Any:
    return client.get_job('1/1/1')


def slot(client: ScrapinghubClient) -> Any:
    return project(client).frontiers.get('f').get('slot')


ITERATORS: dict[str, Callable[[ScrapinghubClient], Any]] = {
    'activity': lambda client: project(client).activity.iter(),
    'collection': lambda client: project(client).collections.get_store('a').iter(),
    'collections': lambda client: project(client).collections.iter(),
    'fingerprints': lambda client: slot(client).fingerprints.iter(),
    'frontier': lambda client: project(client).frontiers.get('f').iter(),
    'frontiers': lambda client: project(client).frontiers.iter(),
    'items': lambda client: job(client).items.iter(),
    'items in lists': lambda client: job(client).items.list_iter(chunksize=2),
    'jobs': lambda client: project(client).jobs.iter(),
    'jobs, all': lambda client: project(client).jobs.iter_all(),
    'jobs, last': lambda client: project(client).jobs.iter_last(),
    'logs': lambda client: job(client).logs.iter(),
    'metadata': lambda client: job(client).metadata.iter(),
    'projects': lambda client: client.projects.iter(),
    'queue': lambda client: slot(client).q.iter(),
    'requests': lambda client: job(client).requests.iter(),
    'samples': lambda client: job(client).samples.iter(),
    'settings': lambda client: project(client).settings.iter(),
    'spiders': lambda client: project(client).spiders.iter(),
}


@pytest.mark.parametrize('name', ITERATORS)
def test_an_iterator_can_be_closed(name: str) -> None:
    with Wire(ANSWERS) as wire, wire.client() as client:
        for use in (contextlib.closing, lambda iterator: iterator):
            with use(ITERATORS[name](client)) as iterator:
                inner = iter(iterator)
                next(inner)
                assert iter(iterator) is inner
            assert list(iterator) == list(inner) == []
            wire.requests.clear()
            assert list(iterator) == []
            assert wire.requests == []


def test_waiting_for_jobs_can_be_closed() -> None:
    summaries = lines_reply(*({'key': f'1/1/{n}', 'state': 'finished', 'ts': n} for n in (1, 2)))
    with Wire({'/jobq/1/jobsummary': summaries}) as wire, wire.client() as client:
        for use in (contextlib.closing, lambda iterator: iterator):
            with use(project(client).jobs.as_completed(['1/1/1', '1/1/2'])) as completed:
                assert next(completed).key == '1/1/1'
            assert list(completed) == []


LAZY = {'collection', 'fingerprints', 'items', 'items in lists', 'logs', 'requests'}


@pytest.mark.parametrize('name', ITERATORS)
def test_when_an_iterator_sends_its_first_request(name: str) -> None:
    with Wire(ANSWERS) as wire, wire.client() as client:
        iterator = ITERATORS[name](client)
        assert len(wire.requests) == (0 if name in LAZY else 1)
        next(iterator)
        assert len(wire.requests) == 1


@pytest.mark.parametrize('name', [name for name in ITERATORS if name not in LAZY])
def test_an_iterator_raises_at_the_call_where_programs_expect_it(name: str) -> None:
    with Wire({}) as wire, wire.client() as client, pytest.raises(NotFound):
        ITERATORS[name](client)
