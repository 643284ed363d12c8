"""Items and logs on the dash."""

from __future__ import annotations

import pytest

from support.caller import START, Caller, Clock


@pytest.fixture(scope='module')
def projects() -> None:
    """Accept every project."""


@pytest.fixture
def stored(caller: Caller, clock: Clock) -> str:
    """A finished job with 150 items and log lines, after an older one."""
    caller.push(state='finished')
    clock.now += 1
    key = caller.push(state='finished')
    caller.send(f'/items/{key}', *({'n': number, 'name': 'é'} for number in range(150)))
    levels = (10, 20, 40)
    log = ({'time': START + number, 'level': levels[number % 3], 'message': f'm{number}'} for number in range(150))
    caller.send(f'/logs/{key}', *log)
    return key


@pytest.mark.parametrize(
    ('query', 'numbers'),
    [
        ('', range(100)),
        ('&offset=120', range(120, 150)),
        ('&count=3&offset=5', range(5, 8)),
        ('&count=-3', range(147, 150)),
        ('&count=500', range(100)),
        ('&offset=150', range(0)),
    ],
)
def test_items_are_read_as_json(caller: Caller, stored: str, query: str, numbers: range) -> None:
    items = caller.value(f'/api/items.json?project=1&job={stored}{query}')
    assert items == [{'n': number, 'name': 'é'} for number in numbers]


def test_items_are_read_as_lines_and_as_csv(caller: Caller, stored: str) -> None:
    lines = caller.lines(f'/api/items.jl?project=1&job={stored}&meta=_key&offset=1')
    assert len(lines) == 149
    assert lines[0] == {'n': 1, 'name': 'é', '_key': f'{stored}/1'}
    answer = caller.expect('GET', f'/api/items.csv?project=1&job={stored}&fields=name,n&count=2&include_headers=1')
    assert answer.content.decode() == 'name,n\né,0\né,1\n'
    assert answer.headers['Content-Type'].startswith('text/csv')
    assert 'fields' in caller.expect('GET', f'/api/items.csv?project=1&job={stored}', 400).json()['message']


def test_a_spider_stands_for_its_last_finished_job(caller: Caller, stored: str) -> None:
    caller.push(state='running')
    assert caller.value('/api/items.json?project=1&spider=one&count=1') == [{'n': 0, 'name': 'é'}]
    assert len(caller.lines('/api/log.jl?project=1&spider=one')) == 150


def test_the_log_is_read_in_three_forms(caller: Caller, stored: str) -> None:
    first = {'logLevel': 10, 'message': 'm0', 'time': START}
    lines = caller.lines(f'/api/log.jl?project=1&job={stored}')
    assert (len(lines), lines[0]) == (150, first)
    assert len(caller.value(f'/api/log.json?project=1&job={stored}')) == 100
    for level in ('ERROR', '40'):
        errors = caller.value(f'/api/log.json?project=1&job={stored}&level={level}&count=-2')
        assert [line['message'] for line in errors] == ['m146', 'm149']
    text = caller.expect('GET', f'/api/log.txt?project=1&job={stored}&count=2').text
    assert text == '2017-07-14T02:40:00 DEBUG m0\n2017-07-14T02:40:00 INFO m1\n'


@pytest.mark.parametrize('call', ['items.json', 'items.jl', 'log.json', 'log.txt'])
def test_data_of_an_unknown_job_is_not_found(caller: Caller, call: str) -> None:
    caller.push(project=2)
    for which in ('job=1/1/1', 'job=2/1/1', 'job=x', 'spider=never'):
        assert caller.expect('GET', f'/api/{call}?project=1&{which}', 404).json()['status'] == 'error'
