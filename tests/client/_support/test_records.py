"""Items, logs, requests and samples: what is asked, what comes back, what is written."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any

import pytest

from scrapinghub import ScrapinghubClient
from scrapinghub.client.items import Items
from scrapinghub.client.job import Job
from scrapinghub.client.logs import Logs
from scrapinghub.client.projects import Project
from scrapinghub.client.requests import Requests
from scrapinghub.client.samples import Samples
from scrapinghub.exceptions import BadRequest, DecodeError, NotFound, StreamInterrupted, ValueTooLarge
from scrapinghub.sandbox import Sandbox
from support.clocks import ManualClock
from support.scripted_server import MSGPACK, Request, Wire, json_reply, lines_reply, reply
from support.storage import JOB, Storage, cuts

FAMILIES = ['items', 'logs', 'requests', 'samples']
PATH = f'/items/{JOB}'


@pytest.fixture
def job(client: ScrapinghubClient, project: Project) -> Job:
    key = client.transport.post(('jobq', project.key, 'push'), value={'spider': 'spidey'}).value['key']
    return client.get_job(key)


@pytest.fixture
def wire() -> Iterator[Wire]:
    answers = {f'/{family}/{JOB}': lines_reply() for family in FAMILIES}
    with Wire(answers) as wire:
        yield wire


def queries(wire: Wire) -> list[list[tuple[str, str]]]:
    return [request.query for request in wire.requests]


# Signatures


@pytest.mark.parametrize('cls', [Items, Logs, Requests])
def test_the_positional_parameters_of_iter(cls: type[Any]) -> None:
    for method in (cls.iter, cls.list):
        names = [
            parameter.name
            for parameter in inspect.signature(method).parameters.values()
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ]
        assert names == ['self', '_path', 'count', 'requests_params']


def test_the_positional_parameters_of_samples() -> None:
    assert [*inspect.signature(Samples.iter).parameters][:3] == ['self', '_key', 'count']


@pytest.mark.parametrize('cls', [Items, Logs, Requests, Samples])
def test_objects_are_made_from_client_and_key(cls: Any, client: ScrapinghubClient) -> None:
    records = cls(cls, client, JOB)
    assert records.key == JOB
    assert repr(records) == f'<{cls.__module__}.{cls.__qualname__} {JOB}>'
    assert records == cls(None, client, JOB)


# What is asked


def test_nothing_is_asked_before_the_first_record(wire: Wire) -> None:
    job = wire.client().get_job(JOB)
    for family in ('items', 'logs', 'requests'):
        iterator = getattr(job, family).iter()
        assert wire.requests == []
        assert list(iterator) == []
        wire.requests.clear()


@pytest.mark.parametrize('family', FAMILIES)
def test_a_count_of_none_at_all_asks_nothing(wire: Wire, family: str) -> None:
    assert getattr(wire.client().get_job(JOB), family).list(count=0) == []
    assert wire.requests == []


@pytest.mark.parametrize(
    ('arguments', 'query'),
    [
        ({}, [('meta', '_key')]),
        ({'count': 5}, [('meta', '_key'), ('count', '5')]),
        ({'meta': '_key'}, [('meta', '_key')]),
        ({'meta': ['_ts', '_key']}, [('meta', '_ts'), ('meta', '_key')]),
        ({'meta': '_ts'}, [('meta', '_ts'), ('meta', '_key')]),
        ({'offset': 3}, [('start', f'{JOB}/3'), ('meta', '_key')]),
        ({'offset': 0}, [('meta', '_key')]),
        ({'start': 3}, [('start', f'{JOB}/3'), ('meta', '_key')]),
        ({'start': f'{JOB}/7'}, [('start', f'{JOB}/7'), ('meta', '_key')]),
        ({'start_after': f'{JOB}/7'}, [('startafter', f'{JOB}/7'), ('meta', '_key')]),
        ({'startts': 5, 'endts': 7}, [('startts', '5'), ('endts', '7'), ('meta', '_key')]),
        ({'nodata': True}, [('nodata', '1'), ('meta', '_key')]),
        ({'index': [4, 1, 4]}, [('meta', '_key'), ('index', '4'), ('index', '1')]),
        ({'filter': '["a", "=", ["b"]]'}, [('filter', '["a", "=", ["b"]]'), ('meta', '_key')]),
        ({'filter': ('a', '=', ['b'])}, [('filter', '["a", "=", ["b"]]'), ('meta', '_key')]),
        (
            {'filter': [('a', '>', [1]), '["c", "=", [2]]', ['d', '<', [3]]]},
            [
                ('filter', '["a", ">", [1]]'),
                ('filter', '["c", "=", [2]]'),
                ('filter', '["d", "<", [3]]'),
                ('meta', '_key'),
            ],
        ),
    ],
)
def test_what_a_read_of_items_asks(wire: Wire, arguments: dict[str, Any], query: list[tuple[str, str]]) -> None:
    assert wire.client().get_job(JOB).items.list(**arguments) == []
    assert sorted(queries(wire)[0]) == sorted(query)
    assert wire.requests[0].headers['accept'] == 'application/x-msgpack'


@pytest.mark.parametrize(('family', 'accept'), [('items', MSGPACK), ('logs', MSGPACK), ('requests', '*/*')])
def test_what_is_asked_for(wire: Wire, family: str, accept: str) -> None:
    getattr(wire.client().get_job(JOB), family).list()
    getattr(wire.client(use_msgpack=False).get_job(JOB), family).list()
    assert [request.headers['accept'] for request in wire.requests] == [accept.partition(';')[0], '*/*']
    assert queries(wire) == [[('meta', '_key')]] * 2


def test_keys_of_log_lines_come_in_json_only(wire: Wire) -> None:
    wire.client().get_job(JOB).logs.list(meta='_key')
    assert wire.requests[0].headers['accept'] == '*/*'


def test_samples_and_requests_pass_an_offset_on(wire: Wire) -> None:
    job = wire.client().get_job(JOB)
    job.requests.list(offset=2)
    job.samples.list(offset=2)
    assert queries(wire) == [[('offset', '2'), ('meta', '_key')], [('offset', '2')]]


@pytest.mark.parametrize(
    ('arguments', 'error', 'text'),
    [
        ({'filter': [5]}, ValueError, 'Filter condition must be string, tuple or list'),
        ({'count': -1}, ValueError, 'count should be a number of at least 0, got -1'),
        ({'count': 'many'}, ValueError, "count should be an integer, got 'many'"),
        ({'offset': 'x'}, ValueError, 'offset should be an integer'),
        ({'offset': 1, 'start': 2}, TypeError, 'both say where to begin'),
        ({'startafter': 'a', 'start_after': 'b'}, TypeError, 'two spellings'),
        ({'requests_params': {'tiemout': 1}}, TypeError, "requests_params cannot hold 'tiemout', only auth, cert"),
        ({'requests_params': 5}, TypeError, 'requests_params should be a dict'),
        ({'requests_params': {'verify': ''}}, ValueError, "verify should be the path .* True or False, got ''"),
        ({'requests_params': {'verify': 0}}, ValueError, 'verify should be the path'),
    ],
)
def test_wrong_arguments_are_told_at_the_call(
    wire: Wire, arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        wire.client().get_job(JOB).items.iter(**arguments)
    assert wire.requests == []


def test_options_of_the_http_library(wire: Wire) -> None:
    params = {'headers': {'X-Extra': '1'}, 'auth': ('other', 'word'), 'timeout': 5, 'verify': False}
    client = wire.client()
    client.get_job(JOB).items.list(requests_params=params)
    client.get_job(JOB).items.list()
    first, second = wire.requests
    assert first.headers['x-extra'] == '1'
    assert first.headers['authorization'] != second.headers['authorization']


def test_a_path_below_the_job() -> None:
    with Wire({f'{PATH}/2': lines_reply({'n': 2}), f'{PATH}/2/n': reply(b'2\n'), f'{PATH}/a%20b': reply(b'')}) as wire:
        items: Any = wire.client().get_job(JOB).items
        assert items.list(2) == items.list('2') == items.list('/2/') == items.list(('2',)) == [{'n': 2}]
        assert items.list('2/n') == items.list((2, 'n')) == [2]
        assert items.list('a b') == []
        assert wire.asked[0] == f'GET {PATH}/2?meta=_key'
        with pytest.raises(TypeError, match='a path below the key'):
            items.iter(_path=2.5)
        with pytest.raises(ValueError, match='cannot be part of a path'):
            items.iter('..')


def test_a_single_record_is_read_once_over_a_cut() -> None:
    with Wire({f'{PATH}/2': lines_reply({'n': 2})}) as wire:
        client = wire.client(max_retries=3)
        client.transport.clock = ManualClock()
        # The record is there before the answer is complete.
        answers = [reply(b'{"n": 2}\n\n', cut=9), wire.answers[f'{PATH}/2']]
        wire.respond = lambda request: answers.pop(0)
        assert client.get_job(JOB).items.list(2) == [{'n': 2}]


def test_records_answered_in_another_format_keep_no_key() -> None:
    storage = Storage({'logs': {f'{JOB}/{n}': {'time': n, 'level': 20, 'message': 'x'} for n in range(3)}})
    with storage.opened() as (server, client):

        def in_json(request: Request) -> Any:
            headers = {**request.headers, 'accept': '*/*'}
            return storage.respond(Request(request.method, request.target, headers, b'', 0))

        server.respond = in_json
        logs = client.get_job(JOB).logs
        size = storage.size_of(logs.list)
        for cut in range(size):
            storage.faults = cuts(cut)
            assert logs.list() == [{'time': n, 'level': 20, 'message': 'x'} for n in range(3)]


# One record, statistics


def test_get_asks_for_one_record() -> None:
    with Wire({f'{PATH}/2': lines_reply({'n': 2}), f'{PATH}/3': lines_reply()}) as wire:
        items = wire.client().get_job(JOB).items
        assert items.get(2) == items.get('2') == items.get(f'{JOB}/2') == {'n': 2}
        assert items.get(3) is None
        assert items.get(2, meta='_ts') == {'n': 2}
        assert wire.asked[-1] == f'GET {PATH}/2?meta=_ts'
        with pytest.raises(NotFound, match='Not Found'):
            items.get(4)


def test_stats() -> None:
    stats = '{"counts": {"n": 2}, "totals": {"input_bytes": 8, "input_values": 2}}'
    with Wire({f'{PATH}/stats': json_reply(stats), f'/logs/{JOB}/stats': json_reply('[]')}) as wire:
        job = wire.client().get_job(JOB)
        assert job.items.stats() == json.loads(stats)
        assert wire.requests[0].headers['accept'] == '*/*'
        job.items.stats(all=1)
        assert wire.asked[-1] == f'GET {PATH}/stats?all=1'
        with pytest.raises(DecodeError, match=f'GET logs/{JOB}/stats: expected dict'):
            job.logs.stats()
        with pytest.raises(NotImplementedError, match='Resource does not expose stats'):
            job.samples.stats()


def test_a_refused_filter_is_shown_with_the_syntax() -> None:
    with Wire({PATH: reply(b'bad filter\n', status=400)}) as wire:
        items = wire.client().get_job(JOB).items
        with pytest.raises(BadRequest) as caught:
            items.list(filter=[('n', '~', [1])])
        assert str(caught.value).startswith('bad filter\n')
        assert '["n", "~", [1]]' in str(caught.value)
        assert '(field, operator, argument)' in str(caught.value)
        with pytest.raises(BadRequest) as caught:
            items.list()
        assert caught.value.hint is None


# Levels of the log


@pytest.mark.parametrize(
    ('arguments', 'filters'),
    [
        ({'level': 'ERROR'}, ['["level", ">=", [40]]']),
        ({'level': 'SILENT'}, ['["level", ">=", [51]]']),
        (
            {'level': 'INFO', 'filter': [('message', 'contains', ['x'])]},
            ['["message", "contains", ["x"]]', '["level", ">=", [20]]'],
        ),
        ({'level': None}, []),
    ],
)
def test_levels(wire: Wire, arguments: dict[str, Any], filters: list[str]) -> None:
    wire.client().get_job(JOB).logs.list(**arguments)
    assert wire.requests[0].all('filter') == filters


@pytest.mark.parametrize(
    ('arguments', 'error', 'text'),
    [
        ({'level': 'LOUD'}, ValueError, 'Unknown log level: LOUD'),
        ({'level': True}, ValueError, 'Unknown log level: True'),
    ],
)
def test_wrong_levels(wire: Wire, arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        wire.client().get_job(JOB).logs.iter(**arguments)


# Lists of items


def numbered_items(count: int) -> Storage:
    return Storage({'items': {f'{JOB}/{number}': {'n': number} for number in range(count)}})


@pytest.mark.parametrize(
    ('stored', 'arguments', 'sizes'),
    [
        (5, {'chunksize': 2}, [2, 2, 1]),
        (4, {'chunksize': 2}, [2, 2]),
        (0, {'chunksize': 2}, [0]),
        (5, {}, [5]),
        (5, {'chunksize': 2, 'start': 1}, [2, 2]),
        (5, {'chunksize': 2, 'count': 3}, [2, 1]),
        (5, {'chunksize': 2, 'count': 4}, [2, 2]),
        (5, {'chunksize': 2, 'count': 9}, [2, 2, 1]),
        (5, {'chunksize': 2, 'count': 0}, []),
        (5, {'chunksize': 2, 'start': 7}, [0]),
    ],
)
def test_lists_of_items(stored: int, arguments: dict[str, Any], sizes: list[int]) -> None:
    with numbered_items(stored).opened() as (_, client):
        lists = list(client.get_job(JOB).items.list_iter(**arguments))
        assert [len(items) for items in lists] == sizes
        start = arguments.get('start', 0)
        assert [item['n'] for items in lists for item in items] == list(range(start, start + sum(sizes)))


def test_what_lists_of_items_ask() -> None:
    with numbered_items(5).opened() as (server, client):
        assert len(list(client.get_job(JOB).items.list_iter(2, count=3))) == 2
        assert [dict(request.query) for request in server.requests] == [
            {'start': f'{JOB}/0', 'count': '2', 'meta': '_key'},
            {'start': f'{JOB}/2', 'count': '1', 'meta': '_key'},
        ]


def test_lists_of_items_go_on_after_the_last_number() -> None:
    storage = Storage({'items': {f'{JOB}/{number}': {'n': number} for number in (0, 5, 6, 9)}})
    with storage.opened() as (server, client):
        lists = list(client.get_job(JOB).items.list_iter(chunksize=2, meta=['_key']))
        assert [[item['_key'] for item in items] for items in lists] == [
            [f'{JOB}/0', f'{JOB}/5'],
            [f'{JOB}/6', f'{JOB}/9'],
        ]
        assert [request.get('start') for request in server.requests] == [f'{JOB}/{n}' for n in (0, 6, 10)]


def test_lists_of_items_without_keys_are_an_error_and_no_end(wire: Wire) -> None:
    wire.answers[PATH] = lines_reply({'n': 1}, {'n': 2})
    lists = wire.client().get_job(JOB).items.list_iter(chunksize=2)
    for _ in range(2):
        with pytest.raises(DecodeError, match='have no keys'):
            next(lists)


@pytest.mark.parametrize(
    ('arguments', 'error', 'text'),
    [
        ({'chunksize': 0}, ValueError, 'chunksize should be at least 1, got 0'),
        ({'chunksize': 'x'}, ValueError, "chunksize should be an integer, got 'x'"),
        ({'start': -1}, ValueError, 'start should be a number of at least 0'),
        ({'offset': 3}, TypeError, "list_iter does not take 'offset'"),
        ({'start_after': f'{JOB}/3'}, TypeError, "list_iter does not take 'start_after'"),
    ],
)
def test_wrong_arguments_of_lists(wire: Wire, arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        wire.client().get_job(JOB).items.list_iter(**arguments)
    assert wire.requests == []


# Writing, to the sandbox


def test_written_records_come_back(job: Job) -> None:
    assert [job.items.write({'n': n}) for n in range(3)] == [0, 1, 2]
    job.logs.info('hello')
    job.logs.log('later', level=40, ts=1482233733976)
    job.logs.log('named', level='CRITICAL', ts=1482233733977)
    number = job.requests.add('http://e.x/', 200, 'GET', 1270, 354, 1482233733870)
    assert job.requests.add('http://e.x/1', 404, 'GET', 0, 2, 1482233733871, number, b'ab') == 1
    assert job.samples.write([1482233733870, 1, 2]) == 0
    for family in FAMILIES:
        getattr(job, family).flush()
    assert job.items.list() == [{'n': 0}, {'n': 1}, {'n': 2}]
    lines = [(line['level'], line['message']) for line in job.logs.iter()]
    assert lines == [(20, 'hello'), (40, 'later'), (50, 'named')]
    assert [line['time'] for line in job.logs.list(level='ERROR')] == [1482233733976, 1482233733977]
    assert job.requests.list() == [
        {'time': 1482233733870, 'duration': 354, 'status': 200, 'method': 'GET', 'rs': 1270, 'url': 'http://e.x/'},
        {
            'time': 1482233733871,
            'duration': 2,
            'status': 404,
            'method': 'GET',
            'rs': 0,
            'url': 'http://e.x/1',
            'parent': 0,
            'fp': 'ab',
        },
    ]
    assert job.samples.list() == [[1482233733870, 1, 2]]
    assert job.samples.get(0) == [1482233733870, 1, 2]
    assert job.logs.get(1) == {'time': 1482233733976, 'level': 40, 'message': 'later'}
    assert job.items.list(meta='_key', start=1) == [{'n': 1, '_key': f'{job.key}/1'}, {'n': 2, '_key': f'{job.key}/2'}]


def test_the_shortcuts_of_the_log(job: Job) -> None:
    for name in ('debug', 'info', 'warn', 'warning', 'error'):
        getattr(job.logs, name)(name)
    job.logs.flush()
    assert [line['level'] for line in job.logs.iter()] == [10, 20, 30, 30, 40]
    assert not hasattr(job.logs, 'critical')


def test_a_log_line_without_time_is_of_now(client: ScrapinghubClient, job: Job) -> None:
    before = int(client.transport.clock.time() * 1000)
    job.logs.log('x', ts=0)
    job.logs.flush()
    assert before <= job.logs.list()[0]['time'] <= int(client.transport.clock.time() * 1000)


def test_wrong_numbers_of_requests(job: Job) -> None:
    add: Any = job.requests.add
    arguments: list[Any] = ['http://e.x/', '200', 'GET', 1, 2, 3.7]
    assert add(*arguments) == 0
    for place, name in ((1, 'status'), (3, 'rs'), (4, 'duration'), (5, 'ts')):
        with pytest.raises(ValueError, match=f"{name} should be .*, got 'x'"):
            add(*arguments[:place], 'x', *arguments[place + 1 :])
    with pytest.raises(ValueError, match='Unknown log level: loud'):
        job.logs.log('x', level='loud')
    job.requests.flush()
    assert [(record['status'], record['time']) for record in job.requests.iter()] == [(200, 4)]


@pytest.mark.parametrize('family', FAMILIES)
def test_a_record_that_is_too_large_is_refused_here(family: str, job: Job) -> None:
    big = 'x' * 1024 * 1024
    writes: dict[str, Any] = {
        'items': lambda: job.items.write({'value': big}),
        'logs': lambda: job.logs.info(big),
        'requests': lambda: job.requests.add(big, 200, 'GET', 1, 2, 3),
        'samples': lambda: job.samples.write([big]),
    }
    with pytest.raises(ValueTooLarge, match='Value exceeds max encoded size of 1 MiB: ') as caught:
        writes[family]()
    assert isinstance(caught.value, ValueError)
    getattr(job, family).flush()
    assert getattr(job, family).list() == []


def test_one_writer_for_a_job_whichever_object_is_used(client: ScrapinghubClient, job: Job) -> None:
    other = client.get_job(job.key)
    assert [job.items.write({'n': 0}), other.items.write({'n': 1}), job.items.write({'n': 2})] == [0, 1, 2]
    third = client.get_job(job.key)
    third.items.flush()
    assert third.items.list() == [{'n': 0}, {'n': 1}, {'n': 2}]


def test_a_closed_writer_takes_nothing(job: Job) -> None:
    job.items.write({'n': 0})
    job.items.close()
    assert job.items.list() == [{'n': 0}]
    with pytest.raises(AssertionError, match='attempting writes to a closed writer'):
        job.items.write({'n': 1})


def test_close_without_waiting_sends_all_the_same(client: ScrapinghubClient, job: Job) -> None:
    job.items.write({'n': 0})
    job.items.close(block=False)
    client.close()
    assert job.items.list() == [{'n': 0}]


def test_flush_and_close_of_what_was_never_written(job: Job) -> None:
    for family in FAMILIES:
        getattr(job, family).flush()
        getattr(job, family).close()
        assert getattr(job, family).list() == []


def second_client(cloud: Sandbox) -> ScrapinghubClient:
    return ScrapinghubClient(cloud.apikey, cloud.dash_url, endpoint=cloud.url)


@pytest.mark.parametrize('family', FAMILIES)
def test_appending(cloud: Sandbox, job: Job, family: str) -> None:
    records = {'items': {'n': 1}, 'logs': {'time': 1, 'level': 20, 'message': 'm'}, 'samples': [1, 2]}
    record = records.get(family, {'url': 'u', 'status': 1, 'method': 'GET', 'rs': 1, 'duration': 1, 'time': 1})
    getattr(job, family).write(record)
    getattr(job, family).flush()
    with second_client(cloud) as client:
        writer = getattr(client.get_job(job.key), family).writer(append=True)
        assert [writer.write(record), getattr(client.get_job(job.key), family).write(record)] == [1, 2]
        writer.flush()
        assert getattr(job, family).list() == [record] * 3


def test_writing_from_a_number_on(cloud: Sandbox, job: Job) -> None:
    for n in range(4):
        job.items.write({'n': n})
    job.items.flush()
    with second_client(cloud) as client:
        items = client.get_job(job.key).items
        assert items.writer(start=2).write({'n': 'new'}) == 2
        items.flush()
        assert items.list() == [{'n': 0}, {'n': 1}, {'n': 'new'}, {'n': 3}]
        with pytest.raises(ValueError, match='close it before starting at 1'):
            items.writer(start=1)
        with pytest.raises(ValueError, match='is at number 3'):
            items.writer(append=True)
        with pytest.raises(TypeError, match="'start' and 'append'"):
            items.writer(start=1, append=True)
        assert items.writer(start=3).write({'n': 'newer'}) == 3
        assert items.writer(append=True) is items.writer()


def test_a_log_in_append_mode(cloud: Sandbox, job: Job) -> None:
    job.logs.info('first')
    job.logs.flush()
    assert job.logs.batch_write_start() == 0
    with second_client(cloud) as client:
        logs = client.get_job(job.key).logs
        logs.info('second', appendmode=True)
        logs.info('third')
        logs.flush()
        assert [line['message'] for line in logs.iter()] == ['first', 'second', 'third']
        assert logs.batch_write_start() == 3


def test_append_mode_counts_for_the_first_line_only(job: Job) -> None:
    job.logs.info('first')
    job.logs.info('second', appendmode=True)
    job.logs.flush()
    assert [line['message'] for line in job.logs.iter()] == ['first', 'second']


def test_appending_to_what_has_no_statistics_yet() -> None:
    with Wire({f'{PATH}/stats': json_reply('{}'), f'POST {PATH}': reply(b'', content_type='text/plain')}) as wire:
        items = wire.client().get_job(JOB).items
        assert items.writer(append=True).write({'n': 0}) == 0
        items.flush()
        assert wire.asked == [f'GET {PATH}/stats', f'POST {PATH}?start=0']


def test_a_stream_that_gives_up_says_where() -> None:
    with numbered_items(3).opened(max_retries=0) as (server, client):
        items = client.get_job(JOB).items
        server.respond = lambda request: reply(b'{"n": 0, "_key": "1/2/3/0"}\n{"n"', cut=30)
        with pytest.raises(StreamInterrupted) as caught:
            items.list()
        assert caught.value.last_key == f'{JOB}/0'
        assert caught.value.delivered == 1


@pytest.mark.parametrize('use_msgpack', [True, False])
def test_one_field_of_a_record_is_read(use_msgpack: bool) -> None:
    with Sandbox(projects=[1]) as cloud, cloud.client(use_msgpack=use_msgpack) as client:
        items = client.get_project(1).jobs.run('books', meta={'state': 'running'}).items
        for text in ('one line', 'two\nlines'):
            items.write({'text': text, 'n': 3})
        items.flush()
        assert [items.list(path) for path in ('0/text', '1/text', '0/n')] == [['one line'], ['two\nlines'], [3]]
