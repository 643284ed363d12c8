"""What the storage server cannot accept is refused in its own form, and changes nothing."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub.sandbox import Sandbox
from support.caller import Caller, lines

KEY = '1/1/1'
POSTS = {
    f'items/{KEY}?start=0': {'n': 1},
    f'logs/{KEY}?start=0': {'message': 'm', 'level': 20, 'time': 1},
    f'requests/{KEY}?start=0': {'url': 'u'},
    f'samples/{KEY}?start=0': [1, 2],
    'collections/1/s/books': {'_key': 'a', 'n': 1},
    'collections/1/s/books/deleted': 'k',
    'hcf/1/front/s/slot': {'fp': 'new'},
    'hcf/1/front/s/slot/q/deleted': 'id',
    'activity/1': {'event': 'e'},
}


def dump(cloud: Sandbox) -> list[str]:
    return list(cloud.store.read().iterdump())


def prepare(caller: Caller) -> None:
    caller.push(spider='spider')
    caller.post(f'items/{KEY}?start=0', {'n': 0})
    caller.post('collections/1/s/books', {'_key': 'k'})
    caller.post('hcf/1/front/s/slot', {'fp': 'x'})


@pytest.fixture(scope='module')
def shared() -> Iterator[tuple[Sandbox, Caller]]:
    with Sandbox(projects=[1]) as cloud, Caller(cloud.url, (cloud.apikey, '')) as caller:
        prepare(caller)
        yield cloud, caller


@pytest.fixture
def caller(shared: tuple[Sandbox, Caller]) -> Iterator[Caller]:
    """A caller of a sandbox that must look the same after the test."""
    cloud, caller = shared
    before = dump(cloud)
    yield caller
    assert dump(cloud) == before


def refused(answer: requests.Response, status: int = 400) -> str:
    """Check that an answer is a refusal in the form of the storage server, return its text."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers['Access-Control-Allow-Origin'] == '*'
    assert 'Content-Encoding' not in answer.headers
    assert answer.text.endswith('\n')
    assert 'Traceback' not in answer.text
    if 'Content-Type' in answer.headers:
        assert answer.headers['Content-Type'] == 'text/plain; charset=UTF-8'
    else:
        assert answer.text == f'{answer.reason}\n'
    return answer.text


def packed(data: bytes) -> dict[str, Any]:
    return {'data': data, 'headers': {'Content-Encoding': 'gzip'}}


@pytest.mark.parametrize('path', POSTS)
def test_broken_encodings(caller: Caller, path: str) -> None:
    whole = gzip.compress(lines(POSTS[path]).encode())
    for broken in (whole[:-1], whole[:-8], whole[:12], b'', whole + b'x', b'x' + whole, lines(POSTS[path]).encode()):
        assert 'gzip' in refused(caller.call('POST', path, **packed(broken)))
    for encoding in ('br', 'zstd', 'gzip, gzip', 'nonsense'):
        text = refused(caller.call('POST', path, whole, headers={'Content-Encoding': encoding}))
        assert 'Content-Encoding must be gzip or identity' in text


@pytest.mark.parametrize('path', POSTS)
def test_a_gzip_bomb(caller: Caller, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('scrapinghub.sandbox.routes._support.call.MAX_BODY', 1_000_000)
    bomb = gzip.compress(b' ' * 10_000_000)
    assert len(bomb) < 20_000
    assert 'too large' in refused(caller.call('POST', path, **packed(bomb)), 413)


@pytest.mark.parametrize('path', POSTS)
def test_a_record_of_ten_mebibytes(caller: Caller, path: str) -> None:
    body = lines(POSTS[path]) + json.dumps({'_key': 'k', 'fp': 'k', 'x': 'a' * 10 * 1024 * 1024})
    for answer in (caller.call('POST', path, body), caller.call('POST', path, **packed(gzip.compress(body.encode())))):
        assert refused(answer, 413) == 'Error parsing data, Serialized value too large - max 1048576 bytes\n'


@pytest.mark.parametrize('path', POSTS)
@pytest.mark.parametrize(
    'line',
    [
        b'{', b'nonsense', b'{"a": 1} {"a": 2}', b'{"a": NaN}', b'[-Infinity]', b'"\xff"', b'\xef\xbb\xbf{}',
        b"{'a': 1}", b'1' * 5000, b'{"a": 1e400}', b'5', b'true', b'null', b'{"a":' * 1000 + b'1' + b'}' * 1000,
    ],
)  # fmt: skip
def test_lines_that_are_no_records(caller: Caller, path: str, line: bytes) -> None:
    text = refused(caller.call('POST', path, lines(POSTS[path]).encode() + line))
    assert text.startswith('Error parsing data, ')
    assert 'line 2' in text


@pytest.mark.parametrize(
    ('path', 'bad'),
    [
        ('items', []), ('items', 'text'),
        ('logs', {}), ('logs', []), ('logs', {'message': 5, 'level': 20, 'time': 1}),
        ('logs', {'message': 'm', 'level': '20', 'time': 1}), ('logs', {'message': 'm', 'level': 20}),
        ('logs', {'message': 'm', 'level': 20, 'time': True}), ('logs', {'message': 'm', 'level': 20.5, 'time': 1}),
        ('requests', {}), ('requests', []), ('requests', {'url': None}), ('requests', {'url': 'u', 'status': '200'}),
        ('requests', {'url': 'u', 'fp': 5}), ('requests', {'url': 'u', 'rs': 1.5}),
        ('samples', {}), ('samples', ['1']), ('samples', [True]), ('samples', [[1]]), ('samples', [None]),
    ],
)  # fmt: skip
def test_records_of_the_wrong_kind(caller: Caller, path: str, bad: Any) -> None:
    good = POSTS[f'{path}/{KEY}?start=0']
    assert 'line 2' in refused(caller.call('POST', f'{path}/{KEY}?start=0', lines(good, bad)))


@pytest.mark.parametrize('start', ['-1', 'x', '1.5', '', '4294967296', '99999999999999999999', '0x1', ' 1', '+1', '٣'])
def test_numbers_that_are_none(caller: Caller, start: str) -> None:
    refused(caller.call('POST', f'items/{KEY}', lines({'n': 1}), params={'start': start}))
    if start != '4294967296':
        for name in ('count', 'offset', 'index', 'startts', 'endts'):
            assert name in refused(caller.call('GET', f'items/{KEY}', params={name: start}))
        for path in ('collections/1/s/books', 'collections/1/s/books/count', 'activity/1', 'hcf/1/front/s/slot/q'):
            refused(caller.call('GET', path, params={'count': start}))
        refused(caller.call('GET', 'collections/1/s/books', params={'prefixcount': start}))
        refused(caller.call('GET', 'hcf/1/front/s/slot/q', params={'mincount': start}))


@pytest.mark.parametrize('header', ['items 5', 'bytes 0-1/2', 'items -1-/*', 'items x-/*', 'items ' + '9' * 30 + '-/*'])
def test_ranges_that_are_none(caller: Caller, header: str) -> None:
    refused(caller.call('POST', f'items/{KEY}', lines({'n': 1}), headers={'Content-Range': header}))


@pytest.mark.parametrize('key', ['', '5', '1/1/1', '1/1/1/x', '1/1/1/-1', '1/1/1/0/0', '2/1/1/0', '1/1/1/' + '9' * 30])
@pytest.mark.parametrize('name', ['start', 'startafter'])
def test_keys_that_are_none(caller: Caller, name: str, key: str) -> None:
    assert name in refused(caller.call('GET', f'items/{KEY}', params={name: key}))


@pytest.mark.parametrize('family', ['items', 'logs', 'requests', 'samples'])
@pytest.mark.parametrize('key', ['1/1/2', '1/2/1', '1/2', '1/99/99'])
def test_unknown_jobs_and_spiders(caller: Caller, family: str, key: str) -> None:
    assert refused(caller.call('GET', f'{family}/{key}'), 404) == 'Not Found\n'
    if key.count('/') == 2:
        refused(caller.call('GET', f'{family}/{key}/0'), 404)
        refused(caller.call('GET', f'{family}/{key}/stats'), 404)
        refused(caller.call('POST', f'{family}/{key}?start=0', lines(POSTS[f'{family}/{KEY}?start=0'])), 404)


@pytest.mark.parametrize(
    'path',
    [
        'items/x', 'items/-1', 'items/01', 'items/1/x', 'items/1/1/x', 'items/1/1/01', 'items/1/1/1/x',
        'items/1/1/1/-1',
        'items/1/1/1/0/a/b', 'items', 'items/1//1', 'items/٣', 'items/' + '9' * 30, 'items/1/' + '9' * 30,
        'logs/1/1/1/nonsense', 'samples/1/1/1/stats', 'collections', 'collections/1', 'collections/1/s',
        'collections/1/x/n', 'collections/x/list', 'collections/1/s/books/%FF', 'hcf/1', 'hcf/1/front', 'hcf/1/front/s',
        'hcf/1/front/x/slot/q', 'hcf/1/%FF/list', 'hcf/1/front/s/slot/x', 'activity', 'activity/x', 'system',
        'system/x',
    ],
)  # fmt: skip
def test_paths_that_lead_nowhere(caller: Caller, path: str) -> None:
    assert refused(caller.call('GET', path), 404) == 'Not Found\n'


@pytest.mark.parametrize(
    ('method', 'path', 'allowed'),
    [
        ('PUT', f'items/{KEY}', 'GET, HEAD, POST'),
        ('DELETE', f'items/{KEY}', 'GET, HEAD, POST'),
        ('POST', 'items/1', 'GET, HEAD'),
        ('POST', f'items/{KEY}/0', 'GET, HEAD'),
        ('POST', f'items/{KEY}/stats', 'GET, HEAD'),
        ('PATCH', 'collections/1/s/books', 'DELETE, GET, HEAD, POST'),
        ('GET', 'collections/1/delete', 'POST'),
        ('DELETE', 'collections/1/list', 'GET, HEAD'),
        ('GET', 'hcf/1/front/s/slot', 'DELETE, POST'),
        ('GET', 'hcf/1/front/s/slot/q/deleted', 'POST'),
        ('DELETE', 'activity/1', 'GET, HEAD, POST'),
        ('POST', 'system/ts', 'GET, HEAD'),
        ('OPTIONS', 'activity/1', 'GET, HEAD, POST'),
    ],
)
def test_wrong_methods(caller: Caller, method: str, path: str, allowed: str) -> None:
    answer = caller.call(method, path, '{}')
    refused(answer, 405)
    assert answer.headers['Allow'] == allowed


def test_an_unknown_family_names_itself(caller: Caller) -> None:
    answer = caller.get('nonsense/1?apikey=secret')
    assert (answer.status_code, answer.text) == (501, 'The sandbox does not know GET /nonsense/1\n')


@pytest.mark.parametrize('path', ['delete', 'delete?name=', 'delete?name=a-b', 'rename?name=a', 'rename?new_name=a'])
def test_whole_collections_need_a_name(caller: Caller, path: str) -> None:
    refused(caller.call('POST', f'collections/1/{path}'))


FAMILIES = ('items', 'logs', 'requests', 'samples', 'collections', 'hcf', 'activity', 'system')
WORDS = (
    '1', '1/1', KEY, f'{KEY}/0', f'{KEY}/stats', 's', 'cs', 'books', 'k', 'front', 'slot', 'q', 'f', 'list', 'count',
    'deleted', 'delete', 'rename', 'projects', 'ts', '0', 'x', '%00', '%FF', '%2F', 'é', '-1', '9' * 25, '',
)  # fmt: skip
NAMES = (
    'count', 'start', 'startafter', 'offset', 'index', 'meta', 'nodata', 'filter', 'startts', 'endts', 'format',
    'fields', 'sep', 'key', 'prefix', 'prefixcount', 'name', 'new_name', 'mincount', 'p', 'pcount', 'all', 'saveas',
)  # fmt: skip
VALUES = ('0', '1', '-1', 'x', '', f'{KEY}/0', 'k', '\0', '\x80', '[]', '["n", "=", [1]]', '1' * 30, 'json')
FIELDS = ('_key', 'fp', 'p', 'message', 'level', 'time', 'url', 'x')

paths = st.builds(
    lambda family, rest: '/'.join([family, *rest]),
    st.sampled_from(FAMILIES),
    st.lists(st.sampled_from(WORDS), max_size=6),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=6,
)
bodies = st.binary(max_size=20) | st.lists(values, max_size=3).map(lambda found: lines(*found).encode())


@given(
    st.sampled_from(['GET', 'POST', 'DELETE', 'PUT', 'HEAD', 'PATCH']),
    paths,
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=3),
    bodies,
    st.sampled_from(['identity', 'gzip', 'deflate']),
    st.sampled_from(['*/*', 'application/x-msgpack', 'text/csv', 'application/xml', 'nonsense']),
)
def test_nothing_breaks_the_server(
    shared: tuple[Sandbox, Caller],
    method: str,
    path: str,
    params: list[tuple[str, str]],
    body: bytes,
    encoding: str,
    accept: str,
) -> None:
    cloud, caller = shared
    before = dump(cloud)
    headers = {'Content-Encoding': encoding, 'Accept': accept}
    answer = caller.call(method, path, body, params=params, headers=headers)
    assert answer.status_code < 500
    after = dump(cloud)
    if answer.status_code >= 400:
        assert after == before
        if method != 'HEAD':
            refused(answer, answer.status_code)
    if after != before:
        cloud.reset()
        prepare(caller)
