"""Spiders on the dash."""

from __future__ import annotations

from typing import Any

import pytest

from scrapinghub.sandbox import Sandbox
from support.caller import Caller, Clock


@pytest.fixture(scope='module')
def projects() -> None:
    """Accept every project."""


def test_spiders_are_listed_by_name(caller: Caller) -> None:
    for name in 'abc':
        caller.value(f'/ids/1/spider/{name}?create=1')
    spider: dict[str, Any] = {'version': None, 'tags': [], 'type': 'manual'}
    answer = caller.value('/api/spiders/list.json?project=1&spider=c&spider=a&spider=never')
    assert answer == {'status': 'ok', 'spiders': [{**spider, 'id': 'a'}, {**spider, 'id': 'c'}]}
    assert len(caller.value('/api/spiders/list.json?project=1')['spiders']) == 3
    assert caller.value('/api/spiders/list.json?project=2')['spiders'] == []


def test_a_spider_goes_by_the_id_of_the_queue(caller: Caller) -> None:
    caller.push('a')
    caller.push('b')
    spider = caller.value('/api/v2/projects/1/spiders/2')
    assert (spider['name'], spider['jobq_id'], spider['tags'], spider['project']['id']) == ('b', 2, [], 1)
    assert spider['id'] not in (1, 2)
    assert spider['created_at'] == '2017-07-14T02:40:00.000000Z'
    for number in (spider['id'], 3):
        assert caller.expect('GET', f'/api/v2/projects/1/spiders/{number}', 404).json() == {'detail': 'Not found.'}
        caller.expect('PATCH', f'/api/v2/projects/1/spiders/{number}/tags', 404, json={'add': ['a']})


def test_spider_tags_keep_their_order(caller: Caller, clock: Clock) -> None:
    caller.push('a')

    def patch(**body: Any) -> Any:
        return caller.expect('PATCH', '/api/v2/projects/1/spiders/1/tags', json=body).json()['tags']

    assert patch(add=['b', 'a', 'b']) == ['b', 'a']
    clock.now += 5
    assert patch(add=['c', 'a'], remove=['b', 'never']) == ['a', 'c']
    spider = caller.value('/api/v2/projects/1/spiders/1')
    assert (spider['tags'], spider['modified_at']) == (['a', 'c'], '2017-07-14T02:40:00.005000Z')
    assert caller.value('/api/spiders/list.json?project=1')['spiders'][0]['tags'] == ['a', 'c']


@pytest.mark.parametrize('body', [{}, {'add': []}, {'add': [], 'remove': None}])
def test_a_tag_change_needs_tags(caller: Caller, body: Any) -> None:
    caller.push('a')
    answer = caller.expect('PATCH', '/api/v2/projects/1/spiders/1/tags', 400, json=body)
    message = 'At least one of \\"add\\" or \\"remove\\" arguments must not be empty'
    assert answer.text == f'{{"non_field_errors":["{message}"]}}'


def test_spiders_are_read_in_pages(caller: Caller, cloud: Sandbox) -> None:
    for number in range(5):
        caller.push(spider=f'Spider{number}')
    caller.push(spider='other', project=2)
    path = '/api/v2/projects/1/spiders'
    whole = caller.value(path)
    assert (whole['count'], whole['next']) == (5, None)
    assert whole['results'][0] == caller.value(f'{path}/1')
    first = caller.value(f'{path}?page_size=2&search=spider')
    assert (first['count'], [spider['name'] for spider in first['results']]) == (5, ['Spider0', 'Spider1'])
    second = caller.value(first['next'].removeprefix(cloud.url))
    third = caller.value(second['next'].removeprefix(cloud.url))
    assert [spider['name'] for spider in second['results'] + third['results']] == ['Spider2', 'Spider3', 'Spider4']
    assert third['next'] is None
    assert caller.value(f'{path}?search=R3')['count'] == 1
    assert caller.value(f'{path}?archived=true') == {'count': 0, 'next': None, 'results': []}
    assert caller.value(f'{path}?page=9')['results'] == []
    caller.expect('GET', f'{path}?ordering=size', 400)
    caller.expect('GET', f'{path}?page=0', 400)


def test_spiders_are_ordered_by_their_last_run(caller: Caller, clock: Clock) -> None:
    for name in ('a', 'b', 'c'):
        caller.push(spider=name)
    caller.push(spider='b', state='finished')
    clock.now += 1
    caller.push(spider='c', state='finished')
    found = caller.value('/api/v2/projects/1/spiders?ordering=-last_run')
    assert [spider['name'] for spider in found['results']] == ['c', 'b', 'a']
