from __future__ import annotations

import json
from typing import Any

import pytest

from scrapinghub.sandbox.routes import collections
from support.caller import START, Caller, Clock, lines

MONTH = 30 * 24 * 3600 * 1000
TYPES = ('s', 'cs', 'vs', 'vcs')


def fill(caller: Caller, count: int = 20, path: str = 'collections/1/s/books') -> None:
    caller.post(path, *({'_key': f'k{number}', 'n': number} for number in range(1, count + 1)))


def keys(caller: Caller, path: str = 'collections/1/s/books', **params: Any) -> list[str]:
    return [record['_key'] for record in caller.read(path, meta='_key', **params)]


@pytest.mark.parametrize('kind', TYPES)
def test_records_are_read_back(caller: Caller, kind: str) -> None:
    path = f'collections/1/{kind}/books'
    answer = caller.post(path, {'_key': 'a', 'x': [1, None]}, {'_key': 'é/ ?', 'y': 'é'}, {'_key': 'b'})
    assert (answer.content, answer.headers['Content-Type']) == (b'', 'text/plain; charset=UTF-8')
    assert caller.read(path) == [{'x': [1, None]}, {}, {'y': 'é'}]
    keyed = [{'x': [1, None], '_key': 'a'}, {'_key': 'b'}, {'y': 'é', '_key': 'é/ ?'}]
    assert caller.read(path, meta='_key') == keyed
    assert caller.read_packed(path, meta='_key') == keyed
    assert caller.read(path, key='é/ ?', count=1, meta='_ts') == [{'y': 'é', '_ts': START}]
    assert caller.get(f'{path}/a').content == b'{"x":[1,null]}\n'
    assert caller.read_packed(f'{path}/a') == [{'x': [1, None]}]
    assert caller.read(f'{path}/%C3%A9%2F%20%3F') == [{'y': 'é'}]


def test_long_keys_are_spliced_in(caller: Caller) -> None:
    names = ['x' * length for length in (31, 32, 255, 256, 65536)]
    caller.post('collections/1/s/long', *({'_key': name, 'n': 1} for name in names))
    assert caller.read_packed('collections/1/s/long', meta='_key') == [{'n': 1, '_key': name} for name in names]


def test_scans_are_in_byte_order(caller: Caller) -> None:
    names = ['\U0001f600', '\uffff', 'é', 'z', 'a', 'A', 'a\0', 'aa']
    caller.post('collections/1/s/books', *({'_key': name} for name in names))
    assert keys(caller) == sorted(names, key=lambda name: name.encode())


def test_the_parameters_that_choose_records(caller: Caller) -> None:
    fill(caller)
    assert keys(caller) == sorted(f'k{number}' for number in range(1, 21))
    assert keys(caller, count=3) == ['k1', 'k10', 'k11']
    assert keys(caller, count=0) == []
    assert keys(caller, start='k5') == ['k5', 'k6', 'k7', 'k8', 'k9']
    assert keys(caller, start='k55') == ['k6', 'k7', 'k8', 'k9']
    assert keys(caller, startafter='k5') == ['k6', 'k7', 'k8', 'k9']
    assert keys(caller, key=['k7', 'k3', 'absent', 'k3']) == ['k3', 'k7']
    assert keys(caller, key=['k7', 'k3'], startafter='k3') == ['k7']
    assert keys(caller, key=['k7', 'k3'], prefix='k3') == ['k3']
    assert keys(caller, prefix='k2') == ['k2', 'k20']
    assert keys(caller, prefix=['k2', 'k9']) == ['k2', 'k20', 'k9']
    assert keys(caller, prefix=['k', 'k2'], count=2) == ['k1', 'k10']
    assert keys(caller, prefix='k1', start='k15', count=2) == ['k15', 'k16']
    assert keys(caller, prefix='k1', startafter='k18') == ['k19']
    assert keys(caller, prefix=['k1', 'k2'], prefixcount=1) == ['k1', 'k2']
    assert keys(caller, prefix=['k1', 'k10'], prefixcount=1) == ['k1', 'k10']
    assert keys(caller, prefix=['k1'], prefixcount=2, filter='["n", ">", [15]]') == ['k16', 'k17']
    assert keys(caller, prefixcount=2) == ['k1', 'k10']
    assert keys(caller, prefix='zz') == []
    assert keys(caller, filter='["n", ">", [5]]', prefix='k1', count=2) == ['k10', 'k11']
    assert keys(caller, offset=18) == ['k8', 'k9']


def test_a_prefix_may_end_in_the_last_of_all_bytes(caller: Caller) -> None:
    names = ['a', '\U0010ffff', '\U0010ffff\U0010ffff']
    caller.post('collections/1/s/books', *({'_key': name} for name in names))
    assert keys(caller, prefix='\U0010ffff') == names[1:]


def test_times_choose_records(caller: Caller, clock: Clock) -> None:
    caller.post('collections/1/s/books', {'_key': 'a'})
    clock.now += 10
    caller.post('collections/1/s/books', {'_key': 'b'})
    assert keys(caller, startts=START + 10) == ['b']
    assert keys(caller, endts=START + 10) == ['a']
    assert keys(caller, key=['a', 'b'], startts=START + 1) == ['b']


def test_one_record(caller: Caller) -> None:
    fill(caller, 2)
    path = 'collections/1/s/books/new'
    absent = caller.get(path)
    assert (absent.status_code, absent.text) == (404, 'Not Found\n')
    assert 'Content-Type' not in absent.headers
    assert caller.call('POST', path, '{"value": "text",\n"list": [1]}').ok
    assert caller.get(path).json() == {'value': 'text', 'list': [1]}
    assert caller.get(f'{path}/value').text == 'text\n'
    assert caller.get(f'{path}/list').text == '[1]\n'
    assert caller.get(f'{path}/nothing').status_code == 404
    assert caller.call('POST', path, '{"_key": "other"}').status_code == 400
    assert caller.call('POST', path, '[]').status_code == 400
    assert caller.call('DELETE', path).status_code == 200
    assert caller.get(path).status_code == 404
    assert caller.call('DELETE', path).status_code == 200
    assert keys(caller) == ['k1', 'k2']


def test_a_name_never_used_is_unknown(caller: Caller) -> None:
    for path in ('collections/1/s/nothing', 'collections/1/s/nothing/count'):
        answer = caller.get(path)
        assert (answer.status_code, answer.text) == (404, 'unknown collection nothing\n')
    assert caller.get('collections/1/s/nothing/key').text == 'Not Found\n'
    assert caller.call('POST', 'collections/1/s/nothing/deleted', '"k"').status_code == 200
    assert caller.call('DELETE', 'collections/1/s/nothing?key=k').status_code == 200
    assert caller.call('POST', 'collections/1/s/nothing', '').status_code == 200
    assert caller.get('collections/1/s/nothing').status_code == 404


def test_counting(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(caller)
    path = 'collections/1/s/books/count'
    answer = caller.get(path)
    assert answer.text == '{"count":20,"scanned":20}'
    assert answer.headers['Content-Type'] == 'application/json; charset=UTF-8'
    assert 'Content-Encoding' not in answer.headers
    assert caller.get(path, params={'prefix': 'k1'}).json() == {'count': 11, 'scanned': 11}
    assert caller.get(path, params={'filter': '["n", ">", [15]]'}).json() == {'count': 5, 'scanned': 20}
    monkeypatch.setattr(collections, 'COUNT_SCAN', 7)
    assert caller.get(path).json() == {'count': 7, 'scanned': 7, 'nextstart': 'k16'}
    pages = [caller.get(path, params={'filter': '["n", ">", [5]]'}).json()]
    while 'nextstart' in pages[-1]:
        pages.append(caller.get(path, params={'filter': '["n", ">", [5]]', 'start': pages[-1]['nextstart']}).json())
    assert [page['scanned'] for page in pages] == [7, 7, 6]
    assert sum(page['count'] for page in pages) == 15


def test_deleting_keys(caller: Caller) -> None:
    fill(caller, 6)
    answer = caller.call('POST', 'collections/1/s/books/deleted', '"k1"\n"k2"\n"absent"')
    assert (answer.status_code, answer.content) == (200, b'')
    assert caller.call('POST', 'collections/1/s/books/deleted', '"k3"').ok
    assert caller.call('POST', 'collections/1/s/books/deleted', '["k4", "k5"]').ok
    assert keys(caller) == ['k6']


def test_deleting_what_is_selected(caller: Caller, clock: Clock) -> None:
    fill(caller)
    clock.now += 10
    caller.post('collections/1/s/books', {'_key': 'k5'}, {'_key': 'k6'})
    assert caller.call('DELETE', 'collections/1/s/books?prefix=k1').status_code == 200
    assert keys(caller) == ['k2', 'k20', 'k3', 'k4', 'k5', 'k6', 'k7', 'k8', 'k9']
    caller.call('DELETE', f'collections/1/s/books?startts={START + 1}&key=k5&key=k7')
    caller.call('DELETE', 'collections/1/s/books?prefix=k2&prefixcount=1')
    assert keys(caller) == ['k20', 'k3', 'k4', 'k6', 'k7', 'k8', 'k9']
    caller.call('DELETE', f'collections/1/s/books?endts={START + 1}')
    assert keys(caller) == ['k6']
    refused = caller.call('DELETE', 'collections/1/s/books')
    assert refused.status_code == 400
    assert keys(caller) == ['k6']


def test_lists_name_every_type(caller: Caller) -> None:
    for name in ('b', 'a_1', 'a'):
        for kind in reversed(TYPES):
            caller.post(f'collections/1/{kind}/{name}', {'_key': 'k'})
    text = caller.get('collections/1/list').text
    found = [tuple(json.loads(line).values()) for line in text.split('\n')]
    assert found == [(kind, name) for name in ('a', 'a_1', 'b') for kind in ('s', 'vs', 'cs', 'vcs')]
    assert text.startswith('{"type":"s","name":"a"}\n')


def test_dropping_and_renaming_take_every_type(caller: Caller) -> None:
    for kind in TYPES:
        caller.post(f'collections/1/{kind}/books', {'_key': 'k'})
    caller.post('collections/1/s/other', {'_key': 'o'})
    refused = caller.call('POST', 'collections/1/rename?name=books&new_name=other')
    assert refused.status_code == 400
    assert caller.call('POST', 'collections/1/rename?name=absent&new_name=fresh').status_code == 404
    renamed = caller.call('POST', 'collections/1/rename?name=books&new_name=novels')
    assert (renamed.status_code, renamed.json()) == (202, {'status': 'success', 'renamed': 'novels'})
    assert caller.get('collections/1/s/books').status_code == 404
    assert all(keys(caller, f'collections/1/{kind}/novels') == ['k'] for kind in TYPES)
    for _ in range(2):
        dropped = caller.call('POST', 'collections/1/delete?name=novels')
        assert (dropped.status_code, dropped.reason) == (202, 'Accepted')
        assert dropped.text == '{"status":"success","deleted":"novels"}'
        assert dropped.headers['Content-Type'] == 'application/json; charset=UTF-8'
    assert all(keys(caller, f'collections/1/{kind}/novels') == [] for kind in TYPES)
    assert caller.get('collections/1/list').text == '{"type":"s","name":"other"}'
    caller.call('POST', 'collections/1/rename?name=other&new_name=novels')
    assert keys(caller, 'collections/1/s/novels') == ['o']


@pytest.mark.parametrize('kind', TYPES)
def test_cached_records_expire_after_a_month(caller: Caller, clock: Clock, kind: str) -> None:
    path = f'collections/1/{kind}/books'
    caller.post(path, {'_key': 'a'}, {'_key': 'b'})
    clock.now += MONTH - 1
    caller.post(path, {'_key': 'b'}, {'_key': 'c'})
    assert keys(caller, path) == ['a', 'b', 'c']
    clock.now += 1
    left = ['a', 'b', 'c'] if kind in ('s', 'vs') else ['b', 'c']
    assert keys(caller, path) == left
    assert keys(caller, path, key=['a', 'b']) == left[:-1]
    assert caller.get(f'{path}/a').ok == ('a' in left)
    assert caller.get(f'{path}/count').json() == {'count': len(left), 'scanned': len(left)}
    caller.post(path, {'_key': 'd'})
    assert keys(caller, path) == [*left, 'd']


def test_the_latest_copy_of_a_record_is_returned_for_every_type(caller: Caller) -> None:
    for kind in TYPES:
        for number in range(5):
            caller.post(f'collections/1/{kind}/books', {'_key': 'k', 'n': number})
        caller.post(f'collections/1/{kind}/books', {'_key': 'k', 'n': 5}, {'_key': 'k', 'n': 6})
        assert caller.get(f'collections/1/{kind}/books/k').json() == {'n': 6}
        assert caller.read(f'collections/1/{kind}/books') == [{'n': 6}]


def test_an_array_stores_each_of_its_records(caller: Caller) -> None:
    caller.call('POST', 'collections/1/s/books', '[{"_key": "a", "n": 1}, {"_key": "b"}]\n{"_key": "c"}')
    assert caller.read('collections/1/s/books', meta='_key') == [{'n': 1, '_key': 'a'}, {'_key': 'b'}, {'_key': 'c'}]


def test_refused_writes_change_nothing(caller: Caller) -> None:
    fill(caller, 1)
    missing = 'Error parsing data, missing value for _key field\n'
    for bad, status, text in (
        ('{"foo": 42}', 400, missing),
        ('{"_key": null}', 400, missing),
        ('{"_key": ""}', 400, missing),
        ('[{"_key": "a"}, {}]', 400, missing),
        ('{"_key": []}', 400, 'Error parsing data, line 2: _key must be a string\n'),
        ('{"_key": "\\ud800"}', 400, 'Error parsing data, line 2: _key holds a lone surrogate\n'),
        ('"text"', 400, 'Error parsing data, line 2: a record must be an object\n'),
        (
            json.dumps({'_key': 'large_test', 'value': 'x' * 1048576}),
            413,
            'Error parsing data, Serialized value too large - max 1048576 bytes\n',
        ),
    ):
        answer = caller.call('POST', 'collections/1/s/books', lines({'_key': 'k1', 'n': 'new'}) + bad)
        assert (answer.status_code, answer.text) == (status, text)
        assert answer.headers['Content-Type'] == 'text/plain; charset=UTF-8'
        assert answer.headers['Access-Control-Allow-Origin'] == '*'
    assert caller.call('POST', 'collections/1/s/books/deleted', '"k1"\n5').status_code == 400
    assert caller.read('collections/1/s/books', meta='_key') == [{'n': 1, '_key': 'k1'}]
    assert caller.call('POST', 'collections/1/s/a-b', '{"_key": "a"}').status_code == 400
    assert caller.call('POST', 'collections/1/x/books', '{"_key": "a"}').status_code == 404
    assert caller.get('collections/1/list').text == '{"type":"s","name":"books"}'


def test_a_scan_in_pages_meets_every_record_once(caller: Caller) -> None:
    fill(caller, 5000)
    assert keys(caller) == sorted(f'k{number}' for number in range(1, 5001))
    assert len(keys(caller, prefix=['k1', 'k2', 'k3'])) == 3333
    assert caller.get('collections/1/s/books/count').json() == {'count': 5000, 'scanned': 5000}
