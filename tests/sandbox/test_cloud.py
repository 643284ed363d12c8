"""The object that runs a local Scrapy Cloud: modes and clients."""

from __future__ import annotations

import json

import pytest

from scrapinghub.sandbox import Sandbox
from support.caller import Caller, Clock


@pytest.mark.parametrize('query', ['endts=1', 'key=1/1/1', 'lacks_tag=a', 'key=1/1/1&key=1/1/2&endts=1&lacks_tag=a'])
def test_filters_of_jobs_that_the_service_may_ignore_are_ignored_on_request(
    caller: Caller, cloud: Sandbox, query: str
) -> None:
    keys = [caller.push(state='finished', tags=['a']) for _ in range(3)][::-1]
    caller.push(state='pending')
    assert caller.keys(query) != keys
    assert caller.value(f'/jobq/1/count?{query}') < 3
    cloud.ignore_filters = True
    assert caller.keys(query) == keys
    assert caller.value(f'/jobq/1/count?{query}') == 3
    assert caller.keys(f'{query}&state=finished&spider=one&has_tag=a&count=1&startts=1') == keys[:1]
    assert caller.keys('has_tag=b') == []
    cloud.reset()
    assert not cloud.ignore_filters


def nested() -> dict[str, object]:
    names = 'abcdefghij'
    return {name: {inner: [dict.fromkeys(names, 1)] for inner in names} for name in names}


@pytest.mark.parametrize('path', ['items/1/1/1', 'collections/1/s/books'])
def test_each_read_returns_the_fields_in_another_order_on_request(cloud: Sandbox, caller: Caller, path: str) -> None:
    caller.push(state='running')
    record = nested()
    caller.post(path, {'_key': 'k', **record} if path.startswith('c') else record)
    plain = caller.get(path).text
    assert plain == caller.get(path).text
    cloud.shuffle_fields = True
    answers = {json.dumps(value) for value in [caller.read(path)[0] for _ in range(3)]}
    answers |= {json.dumps(value) for value in [caller.read_packed(path)[0] for _ in range(3)]}
    assert len(answers) == 6
    assert all(json.loads(answer) == record for answer in answers)
    assert {tuple(json.loads(answer)['a']) for answer in answers} != {tuple(record)}
    cloud.shuffle_fields = False
    assert caller.get(path).text == plain


def test_modes_are_set_when_a_sandbox_is_created_and_after_a_reset() -> None:
    with Sandbox(ignore_filters=True, shuffle_fields=True) as cloud:
        assert (cloud.ignore_filters, cloud.shuffle_fields) == (True, True)
        cloud.ignore_filters = cloud.shuffle_fields = False
        cloud.reset()
        assert (cloud.ignore_filters, cloud.shuffle_fields) == (True, True)


def test_a_sandbox_gives_a_client_of_itself() -> None:
    with Sandbox(projects=[7]) as cloud, cloud.client(max_retries=1) as client:
        assert client.projects.list() == [7]
        assert client.get_project(7).jobs.run('books').key == '7/1/1'


def test_the_clock_is_advanced_by_any_unit(cloud: Sandbox, clock: Clock) -> None:
    before = cloud.clock()
    cloud.clock.advance(5)
    cloud.clock.advance(hours=24)
    cloud.clock.advance(1, seconds=1.5, minutes=2, days=-1)
    assert cloud.clock() - before == 5 + 1 + 1500 + 120_000
    for wrong in (1e9, -1e9, 1e18):
        with pytest.raises(ValueError, match=r'out of range|milliseconds'):
            cloud.clock.advance(days=wrong)
    assert cloud.clock() - before == 5 + 1 + 1500 + 120_000
