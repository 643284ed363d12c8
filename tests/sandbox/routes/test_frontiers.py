from __future__ import annotations

import json
from typing import Any

import pytest

from support.caller import START, Caller, Clock, lines

SLOT = 'hcf/1/front/s/site.com'


def requests_of(caller: Caller, path: str = SLOT, **params: Any) -> list[list[str]]:
    return [[fp for fp, _ in batch['requests']] for batch in caller.read(f'{path}/q', **params)]


def test_requests_are_queued_and_peeked_at(caller: Caller) -> None:
    answer = caller.post(f'{SLOT}?start=0', {'fp': '/'}, {'fp': '/é', 'qdata': {'a': [1, None]}, 'fdata': 5})
    assert answer.text == '{"newcount":2}'
    assert answer.headers['Content-Type'] == 'application/json; charset=UTF-8'
    expected = [{'id': f'00{START << 20 | 1:016x}', 'requests': [['/', None], ['/é', {'a': [1, None]}]]}]
    for _ in range(2):
        queue = caller.get(f'{SLOT}/q')
        assert queue.content.endswith(b'\n')
        assert queue.headers['Content-Encoding'] == 'gzip'
        assert queue.headers['Vary'] == 'Accept-Encoding, User-Agent'
        assert [json.loads(line) for line in queue.text.splitlines()] == expected


def test_an_empty_queue_is_not_compressed(caller: Caller) -> None:
    caller.post(SLOT, {'fp': '/'})
    (batch,) = caller.read(f'{SLOT}/q')
    caller.post(f'{SLOT}/q/deleted', batch['id'])
    for path in (SLOT, 'hcf/1/nothing/s/at-all'):
        queue = caller.get(f'{path}/q')
        assert (queue.status_code, queue.content) == (200, b'')
        assert queue.headers['Content-Type'] == 'application/x-jsonlines; charset=UTF-8'
        assert 'Content-Encoding' not in queue.headers
        assert 'Vary' not in queue.headers


def test_batches_hold_a_hundred_requests_in_order(caller: Caller, clock: Clock) -> None:
    caller.post(SLOT, *({'fp': f'/{number}'} for number in range(250)))
    clock.now += 1
    caller.post(SLOT, {'fp': 'later'})
    batches = caller.read(f'{SLOT}/q')
    first = f'00{START << 20 | 1:016x}'
    assert [batch['id'] for batch in batches] == [first, first + '00', first + '01', f'00{START + 1 << 20 | 1:016x}']
    assert [len(batch['requests']) for batch in batches] == [100, 100, 50, 1]
    assert [fp for batch in batches for fp, _ in batch['requests']] == [*(f'/{n}' for n in range(250)), 'later']


def test_a_very_large_post_keeps_its_order(caller: Caller) -> None:
    caller.post(SLOT, *({'fp': f'/{number}'} for number in range(10_250)))
    batches = caller.read(f'{SLOT}/q')
    assert [batch['id'] for batch in batches] == sorted({batch['id'] for batch in batches})
    assert [fp for batch in batches for fp, _ in batch['requests']] == [f'/{number}' for number in range(10_250)]
    assert caller.get(f'{SLOT}/q/count').json() == {'count': 10_250}


def test_posts_of_one_millisecond_and_a_clock_set_back_keep_their_order(caller: Caller, clock: Clock) -> None:
    for number in range(3):
        caller.post(SLOT, {'fp': str(number)})
    clock.now -= 1000
    caller.post(SLOT, {'fp': '3'})
    assert requests_of(caller) == [['0'], ['1'], ['2'], ['3']]


def test_lower_priorities_come_first(caller: Caller) -> None:
    caller.post(SLOT, {'fp': 'c', 'p': 2}, {'fp': 'a'}, {'fp': 'd', 'p': 255}, {'fp': 'b', 'p': None})
    caller.post(SLOT, {'fp': 'e', 'p': 1})
    assert requests_of(caller) == [['a', 'b'], ['e'], ['c'], ['d']]
    assert [batch['id'][:2] for batch in caller.read(f'{SLOT}/q')] == ['00', '01', '02', 'ff']


def test_mincount_takes_whole_batches_until_it_is_reached(caller: Caller) -> None:
    caller.post(SLOT, *({'fp': f'/{number}'} for number in range(300)))

    def sizes(**params: Any) -> list[int]:
        return [len(batch) for batch in requests_of(caller, **params)]

    assert sizes(mincount=1) == [100]
    assert sizes(mincount=100) == [100]
    assert sizes(mincount=101) == [100, 100]
    assert sizes(mincount=1000) == [100, 100, 100]
    assert sizes(mincount=0) == []
    assert sizes() == [100, 100, 100]


def test_a_fingerprint_is_queued_once_for_the_life_of_its_slot(caller: Caller) -> None:
    first = [{'fp': f'/{number}'} for number in range(150)]
    assert caller.post(SLOT, *first).json() == {'newcount': 150}
    assert caller.post(SLOT, *first[:50]).json() == {'newcount': 0}
    assert caller.post(SLOT, *first[140:], {'fp': 'x'}, {'fp': 'x'}).json() == {'newcount': 1}
    assert requests_of(caller)[-1] == ['x']
    ids = [batch['id'] for batch in caller.read(f'{SLOT}/q')]
    deleted = caller.call('POST', f'{SLOT}/q/deleted', lines(ids[:1], ids[1], 'unknown'))
    assert (deleted.status_code, deleted.content) == (200, b'')
    assert 'Content-Type' not in deleted.headers
    assert requests_of(caller) == [['x']]
    assert caller.post(SLOT, *first).json() == {'newcount': 0}
    # Another slot knows nothing of it.
    assert caller.post('hcf/1/front/s/other', *first).json() == {'newcount': 150}
    assert caller.call('DELETE', SLOT).status_code == 200
    assert caller.post(SLOT, *first).json() == {'newcount': 150}


def test_lists_show_slots_until_they_are_deleted(caller: Caller) -> None:
    for frontier, slot in (('b', 'z'), ('b', 'é'), ('a', 'x')):
        caller.post(f'hcf/1/{frontier}/s/{slot}', {'fp': '/'})
    answer = caller.get('hcf/1/list')
    assert answer.text == '["a","b"]'
    assert answer.headers['Content-Type'] == 'application/json; charset=UTF-8'
    assert 'Content-Encoding' not in answer.headers
    assert caller.get('hcf/1/b/list').json() == ['z', 'é']
    assert caller.get('hcf/1/unknown/list').text == '[]'
    assert caller.get('hcf/2/list').json() == []
    (batch,) = caller.read('hcf/1/a/s/x/q')
    caller.post('hcf/1/a/s/x/q/deleted', batch['id'])
    assert caller.get('hcf/1/a/list').json() == ['x']
    for _ in range(2):
        deleted = caller.call('DELETE', 'hcf/1/a/s/x')
        assert (deleted.status_code, deleted.content) == (200, b'')
        assert 'Content-Type' not in deleted.headers
    assert caller.get('hcf/1/a/list').json() == []
    assert caller.get('hcf/1/list').json() == ['b']


def test_names_reach_exactly_their_slot(caller: Caller) -> None:
    names = {'site': 'site', 'site#1': 'site%231', 'a/b': 'a%2Fb', 'a?b': 'a%3Fb', '100%': '100%25', 'q': 'q'}
    for quoted in names.values():
        caller.post(f'hcf/1/front/s/{quoted}', {'fp': quoted})
    assert caller.get('hcf/1/front/list').json() == sorted(names)
    caller.call('DELETE', f'hcf/1/front/s/{names["site#1"]}')
    assert requests_of(caller, 'hcf/1/front/s/site') == [['site']]
    assert requests_of(caller, 'hcf/1/front/s/a%2fb') == [['a%2Fb']]
    assert caller.get('hcf/1/front/list').json() == sorted(names.keys() - {'site#1'})


def test_fingerprints_are_paged_through(caller: Caller) -> None:
    caller.post(SLOT, *({'fp': name} for name in ('c', 'é', 'a', 'b', 'B')))
    answer = caller.get(f'{SLOT}/f')
    assert answer.text == '{"fp":"B"}\n{"fp":"a"}\n{"fp":"b"}\n{"fp":"c"}\n{"fp":"é"}\n'
    assert answer.headers['Content-Encoding'] == 'gzip'
    assert caller.read(f'{SLOT}/f', count=2) == [{'fp': 'B'}, {'fp': 'a'}]
    assert caller.read(f'{SLOT}/f', start='b', count=1) == [{'fp': 'b'}]
    assert caller.read(f'{SLOT}/f', startafter='b') == [{'fp': 'c'}, {'fp': 'é'}]
    assert caller.read('hcf/1/front/s/unknown/f') == []


def test_the_queue_is_counted_in_parts(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    caller.post(SLOT, *({'fp': str(number)} for number in range(250)))
    answer = caller.get(f'{SLOT}/q/count')
    assert answer.text == '{"count":250}'
    assert answer.headers['Content-Type'] == 'application/json; charset=UTF-8'
    ids = [batch['id'] for batch in caller.read(f'{SLOT}/q')]
    monkeypatch.setattr('scrapinghub.sandbox.routes.frontiers.COUNT_BATCHES', 2)
    assert caller.get(f'{SLOT}/q/count').json() == {'count': 200, 'nextstart': ids[2]}
    assert caller.get(f'{SLOT}/q/count?start={ids[2]}').json() == {'count': 50}
    assert caller.get('hcf/1/front/s/unknown/q/count').json() == {'count': 0}


@pytest.mark.parametrize(
    'bad',
    [
        '{"fp": 5}',
        '{"qdata": 1}',
        '"text"',
        '{"fp": "x", "p": "1"}',
        '{"fp": "x", "p": -1}',
        '{"fp": "x", "p": 256}',
        '{"fp": "x", "p": true}',
        '{"fp": "\\ud800"}',
        '{"fp": "x", "qdata": "\\ud800"}',
        '{"fp": "x", "fdata": 1e999}',
        '{"fp": ',
    ],
)
def test_refused_posts_change_nothing(caller: Caller, bad: str) -> None:
    answer = caller.call('POST', SLOT, lines({'fp': 'first'}) + bad)
    assert answer.status_code == 400
    assert 'line 2' in answer.text
    assert caller.get('hcf/1/list').json() == []
    assert caller.call('POST', f'{SLOT}/q/deleted', '5').status_code == 400


def test_an_empty_post_makes_no_slot(caller: Caller) -> None:
    assert caller.call('POST', SLOT, '').json() == {'newcount': 0}
    assert caller.get('hcf/1/list').json() == []
