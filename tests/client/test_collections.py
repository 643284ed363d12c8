"""Collections: names, keys of every kind, scans, counts, writers."""

from __future__ import annotations

import gzip
import inspect
import json
from collections.abc import Iterator
from typing import Any

import pytest

from scrapinghub import ScrapinghubClient
from scrapinghub.client.collections import Collection, Collections
from scrapinghub.client.projects import Project
from scrapinghub.exceptions import BadRequest, DecodeError, NotFound, UploadError, ValueTooLarge
from support.clocks import ManualClock
from support.scripted_server import Request, Wire, json_reply, lines_reply, reply

PATH = '/collections/1/s/store'
# Keys that a path would bend, hide or lose.
STRANGE_KEYS = [
    'a/b', '/', '//', 'a?b', 'a#b', '50%', '%2e%2e', '.', '..', '...', 'count', 'list', 'deleted', ' ', 'a b', 'a+b',
    'ä', '日本', '\u2028', 'a&key=b', 'a=b', '"', '\\', '~', '-', '_', 'http://example.com/?q=1#f', 'x' * 2000,
]  # fmt: skip


@pytest.fixture
def store(project: Project) -> Collection:
    return project.collections.get_store('store')


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire({PATH: lines_reply()}) as wire:
        yield wire


def store_of(wire: Wire, **options: Any) -> Collection:
    return wire.client(**options).get_project(1).collections.get_store('store')


def lines_in(request: Request) -> list[Any]:
    return [json.loads(line) for line in request.body.splitlines()]


# Names


def test_the_four_types(project: Project) -> None:
    collections = project.collections
    assert [
        repr(collections.get_store('n')),
        repr(collections.get_cached_store('n')),
        repr(collections.get_versioned_store('n')),
        repr(collections.get_versioned_cached_store('n')),
    ] == [f'<scrapinghub.client.collections.Collection 1/{type_}/n>' for type_ in ('s', 'cs', 'vs', 'vcs')]
    assert collections.get('vs', 'n') == collections.get_versioned_store('n')
    assert collections.get('vs', 'n') != collections.get_store('n')
    assert repr(collections) == '<scrapinghub.client.collections.Collections 1>'


@pytest.mark.parametrize('name', ['a-b', '', 'a b', 'a/b', 'name\n', 'é', '..'])
def test_names_that_are_none(project: Project, name: str) -> None:
    with pytest.raises(ValueError, match='only alphanumeric characters') as caught:
        project.collections.get_store(name)
    assert str(caught.value) == f'Invalid collection name {name!r}, only alphanumeric characters'


def test_types_that_are_none(project: Project) -> None:
    with pytest.raises(ValueError, match=r'^Invalid collection type: x$'):
        project.collections.get('x', 'name')


def test_objects_are_made_as_before(client: ScrapinghubClient) -> None:
    collections = Collections(Collections, client, '1')
    assert collections.key == '1'
    assert Collection(client, collections, 's', 'store') == collections.get_store('store')
    assert [*inspect.signature(Collection.iter).parameters][:7] == [
        'self', 'key', 'prefix', 'prefixcount', 'startts', 'endts', 'requests_params',
    ]  # fmt: skip
    assert [*inspect.signature(Collection.create_writer).parameters][1:] == [
        'start', 'auth', 'size', 'interval', 'qsize', 'content_encoding', 'maxitemsize', 'callback',
    ]  # fmt: skip


def test_the_list_of_collections(project: Project) -> None:
    assert project.collections.list() == []
    project.collections.get_store('b').set({'_key': 'k'})
    project.collections.get_cached_store('a').set({'_key': 'k'})
    assert list(project.collections.iter()) == [{'type': 'cs', 'name': 'a'}, {'type': 's', 'name': 'b'}]


# Records, in the sandbox


def test_a_record_goes_and_comes(store: Collection) -> None:
    store.set({'_key': 'first', 'value': 1})
    assert store.get('first') == {'value': 1}
    assert store.get(b'first') == {'value': 1}
    assert store.list() == [{'_key': 'first', 'value': 1}]
    store.delete('first')
    assert store.count() == 0
    with pytest.raises(NotFound):
        store.get('first')


@pytest.mark.parametrize('use_msgpack', [True, False])
def test_strange_keys_reach_exactly_their_records(
    client: ScrapinghubClient, store: Collection, use_msgpack: bool
) -> None:
    client.transport.use_msgpack = use_msgpack
    store.set({'_key': key, 'value': key} for key in STRANGE_KEYS)
    for key in STRANGE_KEYS:
        assert store.get(key) == {'value': key}
        assert store.list(key=key) == [{'_key': key, 'value': key}]
        assert {'_key': key, 'value': key} in store.list(prefix=key)
    assert [record['_key'] for record in store.iter()] == sorted(STRANGE_KEYS, key=str.encode)
    for number, key in enumerate(STRANGE_KEYS, 1):
        store.delete(key)
        assert store.count() == len(STRANGE_KEYS) - number
        with pytest.raises(NotFound, match=r'^Not Found'):
            store.get(key)


def test_several_records(store: Collection) -> None:
    assert store.set([{'_key': 'a'}, {'_key': 'b'}]) is None  # type: ignore[func-returns-value]
    store.set({'_key': key} for key in 'cd')
    store.set([])
    assert [record['_key'] for record in store.iter()] == ['a', 'b', 'c', 'd']
    store.delete({'a', 'b'})
    store.delete(iter(('c', 'absent')))
    store.delete([])
    assert store.list() == [{'_key': 'd'}]


def test_keys_in_bytes_become_text(store: Collection) -> None:
    store.set({'_key': b'abc', 'value': 1})
    with store.create_writer() as writer:
        writer.write({'_key': b'def'})
    assert store.list(key=b'abc') == [{'_key': 'abc', 'value': 1}]
    assert [record['_key'] for record in store.iter()] == ['abc', 'def']


def test_what_the_service_refuses(store: Collection) -> None:
    with pytest.raises(BadRequest, match='Error parsing data, missing value for _key field'):
        store.set({'value': 1})
    with pytest.raises(ValueTooLarge, match='Serialized value too large'):
        store.set({'_key': 'large_test', 'value': 'x' * 1024 * 1024})


@pytest.mark.parametrize('value', [None, 5, 'text', b'text', ['text'], [None], [[]]])
def test_records_that_are_none(wire: Wire, value: Any) -> None:
    with pytest.raises(TypeError, match='should be a dict'):
        store_of(wire).set(value)
    assert wire.requests == []


@pytest.mark.parametrize('keys', [None, 5, [5], [None], {'a': 1}, ['a', 5]])
def test_keys_that_are_none(wire: Wire, keys: Any) -> None:
    with pytest.raises(ValueError, match='You should provide string key or iterable object providing string keys'):
        store_of(wire).delete(keys)
    assert wire.requests == []


def test_keys_to_get_that_are_none(wire: Wire) -> None:
    get: Any = store_of(wire).get
    with pytest.raises(ValueError, match=r'^key cannot be None$'):
        get(None)
    with pytest.raises(ValueError, match=r'^key cannot be empty$'):
        get('')
    assert wire.requests == []


def test_dropping_a_collection(project: Project, store: Collection) -> None:
    project.collections.get_cached_store('store').set({'_key': 'a'})
    store.set({'_key': 'a'})
    store.truncate()
    assert project.collections.list() == []
    assert store.list() == []


def test_a_collection_that_was_never_written(store: Collection) -> None:
    for read in (store.list, store.count):
        with pytest.raises(NotFound) as caught:
            read()
        assert str(caught.value).startswith('unknown collection store')
        assert 'There is no collection 1/s/store.' in str(caught.value)
    with pytest.raises(NotFound) as caught:
        store.get('a')
    assert str(caught.value).startswith('Not Found')
    assert "There is no record 'a' in collection 1/s/store" in str(caught.value)


@pytest.mark.parametrize(
    ('arguments', 'keys'),
    [
        ({}, ['a1', 'a2', 'b1', 'b2', 'k1', 'k10', 'k2']),
        ({'count': 2}, ['a1', 'a2']),
        ({'prefix': 'b'}, ['b1', 'b2']),
        ({'prefix': ['a', 'b'], 'prefixcount': 1}, ['a1', 'b1']),
        ({'prefix': ['a', 'b'], 'prefix_count': 1}, ['a1', 'b1']),
        ({'start': 'k10'}, ['k10', 'k2']),
        ({'startafter': 'k10'}, ['k2']),
        ({'start_after': 'k10'}, ['k2']),
        ({'key': ['k2', 'a1', 'absent', 'a1']}, ['a1', 'k2']),
        ({'key': []}, ['a1', 'a2', 'b1', 'b2', 'k1', 'k10', 'k2']),
        ({'key': {'b1'}}, ['b1']),
        ({'filter': [('n', '>=', [5])]}, ['k10', 'k2']),
    ],
)
def test_scans(store: Collection, arguments: dict[str, Any], keys: list[str]) -> None:
    store.set({'_key': key, 'n': n} for n, key in enumerate(['a1', 'a2', 'b1', 'b2', 'k1', 'k10', 'k2']))
    assert [record['_key'] for record in store.iter(**arguments)] == keys
    assert [record['_key'] for record in store.list(**arguments)] == keys


def test_very_many_keys_are_asked_for_in_parts(wire: Wire) -> None:
    def answer(request: Request) -> Any:
        return lines_reply(*({'_key': key} for key in sorted(request.all('key'))))

    wire.respond = answer
    keys = [f'{n:050}' for n in range(500)]
    assert [record['_key'] for record in store_of(wire).iter(key=keys)] == keys
    assert len(wire.requests) > 1
    assert max(len(request.target) for request in wire.requests) < 8000


# What is asked


@pytest.mark.parametrize(
    ('arguments', 'query'),
    [
        ({}, [('meta', '_key')]),
        ({'count': 2}, [('meta', '_key'), ('count', '2')]),
        ({'meta': ['_ts']}, [('meta', '_ts'), ('meta', '_key')]),
        ({'meta': '_key'}, [('meta', '_key')]),
        ({'key': 'a'}, [('meta', '_key'), ('key', 'a')]),
        ({'prefix': ('a', 'b'), 'startts': 1}, [('prefix', 'a'), ('prefix', 'b'), ('startts', '1'), ('meta', '_key')]),
        ({'filter': ('v', '=', [1])}, [('filter', '["v", "=", [1]]'), ('meta', '_key')]),
    ],
)
def test_what_a_scan_asks(wire: Wire, arguments: dict[str, Any], query: list[tuple[str, str]]) -> None:
    store_of(wire).list(**arguments)
    assert wire.requests[0].query == query
    assert wire.requests[0].headers['accept'] == 'application/x-msgpack'
    assert wire.requests[0].path == PATH


@pytest.mark.parametrize(
    ('key', 'target'),
    [
        ('plain-Key_1.~', f'{PATH}/plain-Key_1.~?meta=_ts'),
        ('a/b', f'{PATH}?key=a%2Fb&count=1&meta=_ts'),
        ('..', f'{PATH}?key=..&count=1&meta=_ts'),
        ('count', f'{PATH}?key=count&count=1&meta=_ts'),
        ('é', f'{PATH}?key=%C3%A9&count=1&meta=_ts'),
    ],
)
def test_what_get_asks(wire: Wire, key: str, target: str) -> None:
    wire.respond = lambda request: lines_reply({'v': 1})
    assert store_of(wire).get(key, meta='_ts') == {'v': 1}
    assert wire.asked == [f'GET {target}']


def test_what_writes_send(wire: Wire) -> None:
    wire.respond = lambda request: reply(b'', content_type='text/plain; charset=UTF-8')
    store = store_of(wire)
    store.set({'_key': 'a', 'v': 1})
    store.set([{'_key': 'a'}, {'_key': 'b'}])
    store.delete('a')
    store.delete(['a', 'b'])
    store.truncate()
    assert wire.asked == [
        f'POST {PATH}', f'POST {PATH}', f'POST {PATH}/deleted', f'POST {PATH}/deleted',
        'POST /collections/1/delete?name=store',
    ]  # fmt: skip
    assert wire.bodies == ['{"_key": "a", "v": 1}', '{"_key": "a"}\n{"_key": "b"}', '"a"', '"a"\n"b"', '']


@pytest.mark.parametrize(
    'write', [lambda store: store.set({'_key': 'a'}), lambda store: store.delete('a'), lambda store: store.truncate()]
)
def test_writes_are_repeated_although_their_answer_was_lost(wire: Wire, write: Any) -> None:
    answers = [reply(b'', status=503), reply(b'', content_type='text/plain; charset=UTF-8')]
    wire.respond = lambda request: answers.pop(0)
    client = wire.client(max_retries=3)
    client.transport.clock = ManualClock()
    write(client.get_project(1).collections.get_store('store'))
    assert len(wire.requests) == 2
    assert len(set(wire.asked)) == 1


def test_options_of_the_http_library_work(wire: Wire) -> None:
    store_of(wire).list(requests_params={'headers': {'X-Extra': '1'}, 'timeout': 5})
    assert wire.requests[0].headers['x-extra'] == '1'
    with pytest.raises(TypeError, match="requests_params cannot hold 'params'"):
        store_of(wire).iter(requests_params={'params': {}})


def test_a_refused_filter_is_shown(wire: Wire) -> None:
    wire.answers[PATH] = reply(b'bad filter\n', status=400)
    with pytest.raises(BadRequest, match=r'\["v", "~", \[1\]\]'):
        store_of(wire).list(filter=[('v', '~', [1])])


# Counting


def test_a_count_of_several_pages(wire: Wire) -> None:
    pages = [{'count': 10, 'scanned': 10, 'nextstart': 'k'}, {'count': 5, 'nextstart': 'm'}, {'count': 1}]
    wire.respond = lambda request: json_reply(json.dumps(pages[len(wire.requests) - 1]))
    told: list[tuple[int, str]] = []
    store = store_of(wire)
    total = store.count(prefix=['a', 'b'], start='a', progress=lambda total, start: told.append((total, start)))
    assert total == 16
    assert told == [(10, 'k'), (15, 'm')]
    assert [dict(request.query)['start'] for request in wire.requests] == ['a', 'k', 'm']
    assert all(request.all('prefix') == ['a', 'b'] for request in wire.requests)
    assert wire.requests[0].path == f'{PATH}/count'


def test_a_count_that_would_not_end_is_an_error(wire: Wire) -> None:
    wire.respond = lambda request: json_reply('{"count": 1, "nextstart": "k"}')
    with pytest.raises(DecodeError, match="continues at 'k' again"):
        store_of(wire).count()
    assert len(wire.requests) == 2


def test_a_count_of_some_keys(store: Collection) -> None:
    store.set([{'_key': 'a'}, {'_key': 'b'}, {'_key': 'c'}])
    assert store.count(key={'a', 'c', 'absent'}) == 2
    assert store.count(key='b') == 1
    assert store.count(key=[]) == 3


@pytest.mark.parametrize('answer', ['[]', '{}', '{"count": "x"}', '{"count": null}'])
def test_a_count_that_is_none(wire: Wire, answer: str) -> None:
    wire.respond = lambda request: json_reply(answer)
    with pytest.raises(DecodeError, match='count'):
        store_of(wire).count()


# Writers


def test_a_writer_stores_records_and_lists(store: Collection) -> None:
    with store.create_writer(size=2) as writer:
        assert writer.write({'_key': '0'}) == 0
        assert writer.write([{'_key': '1'}, {'_key': '2'}]) == 1
        assert writer.write({'_key': '3'}) == 3
    assert [record['_key'] for record in store.iter()] == ['0', '1', '2', '3']
    with pytest.raises(AssertionError, match='attempting writes to a closed writer'):
        writer.write({'_key': '4'})


def test_writers_of_one_collection_are_separate(store: Collection) -> None:
    one, other = store.create_writer(), store.create_writer(start=5)
    assert [one.write({'_key': 'a'}), other.write({'_key': 'b'}), one.write({'_key': 'c'})] == [0, 5, 1]
    one.close()
    other.flush()
    other.close()
    assert store.count() == 3


def test_what_a_writer_sends(wire: Wire) -> None:
    wire.respond = lambda request: reply(b'', content_type='text/plain; charset=UTF-8')
    answers: list[Any] = []
    store = store_of(wire)
    with store.create_writer(start=7, auth=('other', 'word'), callback=answers.append) as writer:
        writer.write({'_key': 'a'})
    with store.create_writer(content_encoding='gzip') as writer:
        writer.write({'_key': 'b'})
    store.set({'_key': 'c'})
    first, second, third = wire.requests
    assert (first.target, first.body) == (f'{PATH}?start=7', b'{"_key": "a"}\n')
    assert first.headers['content-encoding'] == 'identity'
    assert [answer.status_code for answer in answers] == [200]
    assert (second.target, gzip.decompress(second.body)) == (f'{PATH}?start=0', b'{"_key": "b"}\n')
    assert first.headers['authorization'] != second.headers['authorization'] == third.headers['authorization']


def test_a_writer_tells_what_is_not_stored(store: Collection) -> None:
    writer = store.create_writer()
    writer.write([{'_key': 'a'}, {'value': 'no key'}, {'_key': 'b'}])
    with pytest.raises(UploadError) as caught:
        writer.close()
    assert caught.value.records == [{'value': 'no key'}]
    assert isinstance(caught.value, BadRequest)
    assert [record['_key'] for record in store.iter()] == ['a', 'b']
    assert writer.take_back() == [{'value': 'no key'}]


def test_a_writer_refuses_what_is_no_record(store: Collection) -> None:
    write: Any = store.create_writer(maxitemsize=50).write
    for record in ('text', None, ['text']):
        with pytest.raises(TypeError, match='a record of a collection should be a dict'):
            write(record)
    with pytest.raises(ValueTooLarge, match=r'^Value exceeds max encoded size of 50 B: '):
        write([{'_key': 'a'}, {'_key': 'b' * 50}])
    with store.create_writer() as writer:
        writer.write([])
    with pytest.raises(ValueError, match='size must be an integer of at least 1'):
        store.create_writer(size=0)
