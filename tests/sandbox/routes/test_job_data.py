from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from scrapinghub.sandbox import Sandbox
from support.caller import START, Caller, Clock, lines


@pytest.fixture
def key(caller: Caller) -> str:
    return caller.push()


def numbers(records: list[Any]) -> list[int]:
    return [record['n'] for record in records]


def test_items_are_read_back_in_both_encodings(caller: Caller, key: str) -> None:
    items = [{'n': 0, 'text': 'é ☃ 😀'}, {'n': 1, 'nested': {'a': [1, 2.5, None, True, -7]}}, {}]
    answer = caller.post(f'items/{key}?start=0', *items)
    assert answer.headers['Content-Type'] == 'text/plain; charset=UTF-8'
    assert answer.content == b''
    assert caller.read(f'items/{key}') == items
    assert caller.read_packed(f'items/{key}') == items
    keyed = [{**item, '_key': f'{key}/{number}'} for number, item in enumerate(items)]
    assert caller.read(f'items/{key}', meta='_key') == keyed
    assert caller.read_packed(f'items/{key}', meta='_key') == keyed


@pytest.mark.parametrize('size', [0, 13, 14, 15, 16, 65534, 65536])
def test_the_key_is_spliced_into_maps_of_every_size(caller: Caller, key: str, size: int) -> None:
    item = {f'{number:x}': 0 for number in range(size)}
    caller.post(f'items/{key}?start=0', item)
    assert caller.read_packed(f'items/{key}', meta=['_key', '_ts']) == [{**item, '_key': f'{key}/0', '_ts': START}]


def test_the_format_of_lines_is_that_of_the_service(caller: Caller, key: str) -> None:
    caller.post(f'items/{key}?start=0', {'a': 1, 'b': 'é'}, {'a': 2})
    line = {'message': 'm', 'level': 20, 'time': 5}
    caller.post(f'logs/{key}?start=0', line, {**line, 'time': 6})
    assert caller.get(f'items/{key}?meta=_key').content.decode() == (
        f'{{"a":1,"b":"é","_key":"{key}/0"}}\n{{"a":2,"_key":"{key}/1"}}\n'
    )
    assert caller.get(f'logs/{key}?meta=_key').content.decode() == (
        f'{{"_key":"{key}/0","time":5,"level":20,"message":"m"}}\n{{"_key":"{key}/1","time":6,"level":20,"message":"m"}}'
    )


def test_streams_are_compressed_and_statistics_are_not(caller: Caller, key: str) -> None:
    for path in (f'items/{key}', f'logs/{key}', f'requests/{key}', f'samples/{key}'):
        response = caller.get(path)
        assert response.headers['Content-Encoding'] == 'gzip'
        assert response.headers['Access-Control-Allow-Origin'] == '*'
        assert response.content == b''
        plain = caller.get(path, headers={'Accept-Encoding': 'identity'})
        assert 'Content-Encoding' not in plain.headers
        assert plain.headers['Content-Length'] == '0'
    assert 'Content-Encoding' not in caller.get(f'items/{key}/stats').headers


def test_a_post_takes_gzip_and_identity_with_or_without_final_newline(caller: Caller, key: str) -> None:
    caller.post(f'items/{key}?start=0', {'n': 0}, headers={'Content-Encoding': 'identity'})
    packed = gzip.compress(b'{"n": 1}\n') + gzip.compress(b'{"n": 2}')
    assert caller.call('POST', f'items/{key}?start=1', packed, headers={'Content-Encoding': 'gzip'}).ok
    assert caller.call('POST', f'items/{key}?start=3', '{"n": 3}').ok
    assert numbers(caller.read(f'items/{key}')) == [0, 1, 2, 3]


def test_a_repeated_post_overwrites(caller: Caller, key: str) -> None:
    items = [{'n': 0, 'a': 1}, {'n': 1}, {'n': 2}]
    caller.post(f'items/{key}?start=0', *items)
    before = caller.get(f'items/{key}/stats').json()
    caller.post(f'items/{key}?start=0', *items)
    assert caller.get(f'items/{key}/stats').json() == before
    caller.post(f'items/{key}?start=1', {'n': 10}, {'m': 'long enough'}, {'n': 3})
    assert caller.read(f'items/{key}') == [{'n': 0, 'a': 1}, {'n': 10}, {'m': 'long enough'}, {'n': 3}]
    assert caller.get(f'items/{key}/stats').json() == {
        'counts': {'a': 1, 'm': 1, 'n': 3},
        'totals': {'input_values': 4, 'input_bytes': 7 + 4 + 15 + 4},
    }


def test_content_range_gives_the_start(caller: Caller, key: str) -> None:
    caller.post(f'items/{key}', {'n': 500}, headers={'Content-Range': 'items 500-/*'})
    assert caller.read(f'items/{key}', meta='_key') == [{'n': 500, '_key': f'{key}/500'}]


def test_all_records_of_a_post_share_one_time(caller: Caller, clock: Clock, key: str) -> None:
    caller.post(f'items/{key}?start=0', {'n': 0}, {'n': 1})
    clock.now += 5
    caller.post(f'items/{key}?start=2', {'n': 2})
    assert [item['_ts'] for item in caller.read(f'items/{key}', meta='_ts')] == [START, START, START + 5]
    assert numbers(caller.read(f'items/{key}', startts=START + 5)) == [2]
    assert numbers(caller.read(f'items/{key}', endts=START + 5)) == [0, 1]
    assert caller.read(f'items/{key}', startts=START + 1, endts=START + 5) == []


@pytest.mark.parametrize('family', ['items', 'logs', 'requests'])
def test_the_parameters_that_choose_records(caller: Caller, key: str, family: str) -> None:
    record = {'message': 'm', 'level': 20, 'url': 'u'}
    caller.post(f'{family}/{key}?start=0', *({**record, 'time': number} for number in range(10)))

    def found(**params: Any) -> list[int]:
        return [record['time'] for record in caller.read(f'{family}/{key}', **params)]

    assert found(count=3) == [0, 1, 2]
    assert found(count=0) == []
    assert found(start=f'{key}/7') == [7, 8, 9]
    assert found(startafter=f'{key}/7') == [8, 9]
    assert found(start=f'{key}/2', startafter=f'{key}/7') == [8, 9]
    assert found(start=f'{key}/2', count=2) == [2, 3]
    assert found(offset=8) == [8, 9]
    assert found(offset=2, count=3) == [2, 3, 4]
    assert found(offset=100) == []
    assert found(index=[3, 1, 99]) == [1, 3]
    assert found(index=[3, 1], startafter=f'{key}/1') == [3]
    assert found(filter='["time", ">=", [4]]', count=2) == [4, 5]
    assert found(filter=['["time", ">=", [4]]', '["time", "<", [6]]']) == [4, 5]
    assert found(filter='["time", ">=", [4]]', offset=1, count=1) == [5]
    assert found(start=f'{key}/99') == []


def test_nodata_leaves_the_added_fields(caller: Caller, key: str) -> None:
    caller.post(f'items/{key}?start=0', {'n': 0})
    assert caller.read(f'items/{key}', nodata=1) == [{}]
    expected = [{'_key': f'{key}/0', '_ts': START, '_project': 1}]
    assert caller.read(f'items/{key}', nodata=1, meta=['_key', '_ts', '_project']) == expected
    assert caller.read_packed(f'items/{key}', nodata=1, meta=['_key', '_ts', '_project']) == expected


def test_a_field_of_the_name_of_an_added_one_appears_beside_it(caller: Caller, key: str) -> None:
    caller.post(f'items/{key}?start=0', {'_key': 'mine'})
    assert caller.get(f'items/{key}?meta=_key').text == f'{{"_key":"mine","_key":"{key}/0"}}\n'
    assert caller.read_packed(f'items/{key}', meta='_key') == [{'_key': f'{key}/0'}]


def test_spiders_and_projects_are_read_in_the_order_of_job_numbers(caller: Caller) -> None:
    keys = [caller.push(spider='a') for _ in range(11)] + [caller.push(spider='b')]
    for key in reversed(keys):
        caller.post(f'items/{key}?start=0', {'n': 0}, {'n': 1})
    caller.post(f'items/{caller.push(project=2)}?start=0', {'n': 0})

    def found(path: str, **params: Any) -> list[str]:
        return [item['_key'] for item in caller.read(path, meta='_key', **params)]

    expected = [f'{key}/{number}' for key in keys for number in (0, 1)]
    assert found('items/1') == expected
    assert found('items/1/1') == expected[:-2]
    assert found('items/1/2') == expected[-2:]
    assert found('items/1/1', count=1) == ['1/1/1/0']
    assert found('items/1', startafter='1/1/9/0', count=3) == ['1/1/9/1', '1/1/10/0', '1/1/10/1']
    assert found('items/1/1', start='1/1/11/1') == ['1/1/11/1']
    assert found('items/1', start='1/1/12/0') == ['1/2/1/0', '1/2/1/1']
    assert found('items/1', index=1, count=2) == ['1/1/1/1', '1/1/2/1']


@pytest.mark.parametrize(
    ('family', 'record', 'field', 'text'),
    [
        ('logs', {'time': 5, 'level': 20, 'message': 'm'}, 'message', 'm\n'),
        ('requests', {'time': 5, 'url': 'http://x', 'status': 200}, 'url', 'http://x\n'),
        # Samples have no fields.
        ('samples', [5, 6], '1', ''),
    ],
)
def test_records_of_every_kind_are_read_by_project_spider_job_number_and_field(
    caller: Caller, family: str, record: Any, field: str, text: str
) -> None:
    keys = [caller.push(spider=spider) for spider in 'aab']
    for key in keys:
        caller.post(f'{family}/{key}?start=0', record)
    assert caller.read(f'{family}/1') == [record] * 3
    assert caller.read(f'{family}/1/1') == [record] * 2
    assert caller.read(f'{family}/1/2') == caller.read(f'{family}/{keys[2]}') == [record]
    assert caller.read(f'{family}/{keys[2]}/0') == [record]
    assert caller.get(f'{family}/{keys[2]}/0/{field}').text == text


def test_one_record_and_one_field(caller: Caller, key: str) -> None:
    caller.post(f'items/{key}?start=0', {'n': 0}, {'n': 1, 'text': 'two\nlines', 'none': None, 'list': [1, 'é']})
    caller.post(f'logs/{key}?start=0', {'message': 'm', 'level': 20, 'time': 5})
    assert caller.get(f'items/{key}/0').content == b'{"n":0}\n'
    assert caller.read(f'items/{key}/0', meta='_key') == [{'n': 0, '_key': f'{key}/0'}]
    assert caller.get(f'logs/{key}/0').content == b'{"time":5,"level":20,"message":"m"}'
    assert caller.get(f'items/{key}/1/text').text == 'two\nlines\n'
    assert caller.get(f'items/{key}/1/text').headers['Content-Type'] == 'text/plain; charset=UTF-8'
    assert caller.get(f'items/{key}/1/list').text == '[1,"é"]\n'
    assert caller.get(f'items/{key}/1/list', params={'format': 'json'}).json() == [[1, 'é']]
    for absent in (f'items/{key}/2', f'items/{key}/1/m', f'items/{key}/4294967296', f'samples/{key}/0'):
        response = caller.get(absent)
        assert (response.status_code, response.text, response.headers['Content-Encoding']) == (200, '', 'gzip')


def test_statistics_of_items(caller: Caller, key: str) -> None:
    empty = {'counts': {}, 'totals': {'input_values': 0, 'input_bytes': 0}}
    assert caller.get(f'items/{key}/stats').json() == empty
    caller.post(f'items/{key}?start=0', *({'x': number} for number in range(111)))
    caller.post(f'items/{key}?start=111', {'_type': 'T'})
    answer = caller.get(f'items/{key}/stats')
    assert answer.headers['Content-Type'] == 'application/json; charset=UTF-8'
    assert answer.json() == {'counts': {'x': 111}, 'totals': {'input_bytes': 444 + 9, 'input_values': 112}}
    assert caller.get(f'items/{key}/stats?all=1').json()['counts'] == {'x': 111, '_type': 1}


def test_logs_keep_three_fields(caller: Caller, key: str) -> None:
    caller.post(f'logs/{key}?start=0', {'message': 'é' * 40, 'level': 30, 'time': 5, 'appendmode': True})
    caller.post(f'logs/{key}?start=1', {'message': 'ab', 'level': 10, 'time': 6})
    assert caller.read(f'logs/{key}') == [
        {'time': 5, 'level': 30, 'message': 'é' * 40},
        {'time': 6, 'level': 10, 'message': 'ab'},
    ]
    # The MessagePack form of logs never holds the key, the other fields that can be added it does.
    assert caller.read_packed(f'logs/{key}', meta=['_key', '_ts'])[1] == {
        'time': 6,
        'level': 10,
        'message': 'ab',
        '_ts': START,
    }
    assert caller.get(f'logs/{key}/stats').json() == {
        'counts': {'10': 1, '30': 1},
        'totals': {'input_values': 2, 'input_bytes': 82 + 3},
    }


def test_requests_drop_what_is_null(caller: Caller, key: str) -> None:
    first = {'url': 'http://a/', 'status': 200, 'method': 'GET', 'rs': 10, 'duration': 300, 'time': 7}
    second = {**first, 'parent': 0, 'fp': '12'}
    caller.post(f'requests/{key}?start=0', {**first, 'parent': None, 'fp': None}, {**second, 'unknown': 1})
    assert caller.get(f'requests/{key}?meta=_key').text == (
        f'{{"_key":"{key}/0","time":7,"duration":300,"status":200,"method":"GET","rs":10,"url":"http://a/"}}\n'
        f'{{"_key":"{key}/1","time":7,"parent":0,"duration":300,"status":200,"method":"GET","rs":10,"url":"http://a/",'
        '"fp":"12"}'
    )
    assert caller.get(f'requests/{key}/stats').json() == {
        'counts': {'url': 2, 'status': 2, 'method': 2, 'rs': 2, 'duration': 2, 'parent': 1, 'fp': 1},
        # url 10, status 2, rs 1, duration 3, parent 1, and 3 more; a fingerprint of two letters takes 3 bytes, not 1.
        'totals': {'input_values': 2, 'input_bytes': 20 + 22},
    }
    # MessagePack is not offered here.
    answer = caller.get(f'requests/{key}', headers={'Accept': 'application/x-msgpack'})
    assert answer.headers['Content-Type'] == 'application/x-jsonlines; charset=UTF-8'


def test_samples_are_arrays_of_numbers(caller: Caller, key: str) -> None:
    samples = [[START, 1, 2.5], [], [START + 1, -3]]
    caller.post(f'samples/{key}?start=0', *samples)
    assert caller.read(f'samples/{key}') == samples
    assert caller.read_packed(f'samples/{key}', meta='_key') == samples
    assert caller.read('samples/1/1', count=1) == samples[:1]
    assert caller.get(f'samples/{key}/stats').status_code == 404


def test_every_state_but_deleted_accepts_data(caller: Caller, key: str) -> None:
    for number, state in enumerate(['running', 'finished']):
        caller.post('jobq/1/update', {'key': key, 'state': state})
        caller.post(f'items/{key}?start={number}', {'n': number})
    caller.post('jobq/1/update', {'key': key, 'state': 'deleted'})
    refused = caller.call('POST', f'items/{key}?start=2', '{"n": 2}')
    assert (refused.status_code, refused.text) == (400, f'Job {key} is deleted\n')
    assert numbers(caller.read(f'items/{key}')) == [0, 1]


def test_a_batch_that_fails_half_way_leaves_nothing(caller: Caller, key: str) -> None:
    caller.post(f'items/{key}?start=0', {'n': 0})
    for bad in ('{"n": ', '[]', '"x"', '{"n": NaN}', '{"n": 1e999}', '{"n": 18446744073709551616}', '{"n": "\\ud800"}'):
        response = caller.call('POST', f'items/{key}?start=0', lines({'n': 1}, {'n': 2}) + bad)
        assert response.status_code == 400
        assert response.text.startswith('Error parsing data, ')
        assert 'line 3' in response.text
    assert caller.read(f'items/{key}') == [{'n': 0}]
    assert caller.get(f'items/{key}/stats').json()['totals']['input_values'] == 1


def test_the_limit_of_one_record_counts_the_bytes_of_its_line(caller: Caller, key: str) -> None:
    fits = {'x': 'a' * (1024 * 1024 - len('{"x": ""}'))}
    caller.post(f'items/{key}?start=0', fits)
    refused = caller.call('POST', f'items/{key}?start=1', lines({'n': 1}, {'x': fits['x'] + 'a'}))
    assert refused.status_code == 413
    assert refused.reason == 'Request Entity Too Large'
    assert refused.text == 'Error parsing data, Serialized value too large - max 1048576 bytes\n'
    assert caller.read(f'items/{key}') == [fits]


def test_listings_count_what_a_job_holds(caller: Caller, key: str) -> None:
    caller.post(f'items/{key}?start=0', {'n': 0}, {'n': 1})
    caller.post(f'logs/{key}?start=0', *({'message': 'm', 'level': level, 'time': 1} for level in (20, 40, 50)))
    caller.post(f'requests/{key}?start=0', {'url': 'u'})
    job = json.loads(caller.get('jobq/1/list?state=pending').text)
    assert {name: job[name] for name in ('items', 'logs', 'pages', 'errors')} == {
        'items': 2,
        'logs': 3,
        'pages': 1,
        'errors': 2,
    }


def test_data_survive_a_restart(tmp_path: Any) -> None:
    path = str(tmp_path / 'cloud.db')
    with Sandbox(projects=[1], db=path) as cloud, Caller(cloud.url, (cloud.apikey, '')) as caller:
        key = caller.push()
        caller.post(f'items/{key}?start=0', {'n': 0})
    with Sandbox(projects=[1], db=path) as cloud, Caller(cloud.url, (cloud.apikey, '')) as caller:
        assert caller.read(f'items/{key}') == [{'n': 0}]
