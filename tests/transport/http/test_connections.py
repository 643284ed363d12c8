"""Heads of answers that have no end: an error of our own, within bounded time and memory."""

from __future__ import annotations

import contextlib
import gc
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter

from scrapinghub.exceptions import BadRequest, NetworkError, ScrapinghubAPIError, StreamInterrupted
from scrapinghub.transport.http.body import Body
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.connections import Adapter
from scrapinghub.transport.http.retries import RetrySettings
from scrapinghub.transport.streams.cursor import KeysetCursor
from scrapinghub.transport.streams.source import Source
from scrapinghub.transport.streams.stream import RecordStream
from support.scripted_server import JSON_LINES, Reply, Request, Server, reply
from support.stream_kinds import exact, sample_storage, stream_of
from support.transports import make_transport

STATUS = b'HTTP/1.1 200 OK\r\n'
CHUNKED = STATUS + f'Content-Type: {JSON_LINES}\r\nTransfer-Encoding: chunked\r\n\r\n'.encode()
LAST_CHUNK = CHUNKED + b'9\r\n{"a": 1}\n\r\n0\r\n'


def trickling(text: bytes) -> Iterator[bytes]:
    """Yield a text again and again, with pauses shorter than the time-out of the client."""
    pause = threading.Event()
    while True:
        yield text
        pause.wait(0.01)


def flowing(text: bytes) -> Iterator[bytes]:
    """Yield a text again and again."""
    while True:
        yield text * 1000


@pytest.mark.parametrize(
    ('head', 'more'),
    [
        (b'', b'H'),
        (STATUS + b'X-Long: ', b'x'),
        (STATUS, b'X-Header: some\r\n'),
        (b'', b'HTTP/1.1 100 Continue\r\n\r\n'),
        (CHUNKED, b'0'),
        (LAST_CHUNK, b'X-Trailer: some\r\n'),
    ],
    ids=['status line', 'header', 'headers', 'continue', 'size of a chunk', 'trailer'],
)
@pytest.mark.parametrize('trickles', [True, False], ids=['trickling', 'flowing'])
def test_a_head_without_end(head: bytes, more: bytes, trickles: bool) -> None:
    answer = Reply(head, (trickling if trickles else flowing)(more))
    with Server(lambda _: answer) as server:
        transport = make_transport(server, timeout=0.1, retries=RetrySettings(0))
        with pytest.raises(NetworkError):
            transport.get(('x',))
        transport.close()


def test_the_body_may_be_asked_for_much_later() -> None:
    with Server(lambda _: Reply(LAST_CHUNK + b'\r\n')) as server:
        transport = make_transport(server, timeout=0.2)
        response = transport.open(Call('GET', f'{server.url}/x', handled_statuses=frozenset({304})))
        threading.Event().wait(1.1)
        assert b''.join(Body(response)) == b'{"a": 1}\n'
        transport.close()


def test_a_trailer_without_end_after_the_records_of_a_stream() -> None:
    with Server(lambda _: Reply(LAST_CHUNK, trickling(b'X-Trailer: some\r\n'))) as server:
        transport = make_transport(server, timeout=0.3, retries=RetrySettings(0))
        stream: RecordStream[object] = RecordStream(Source(transport, Call('GET', f'{server.url}/x')), KeysetCursor([]))
        assert next(stream) == {'a': 1}
        with pytest.raises(StreamInterrupted):
            next(stream)
        transport.close()


LOOKS_UP = pytest.mark.skipif(
    not hasattr(HTTPAdapter, 'get_connection_with_tls_context'), reason='this version of requests looks up by itself'
)

HEADS = {
    'whole': (b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-A: 1\r\n\r\n',),
    'line feeds only': (b'HTTP/1.1 200 OK\nContent-Length: 4\nX-A: 1\n\n',),
    'mixed': (b'HTTP/1.1 200 OK\r\nContent-Length: 4\nX-A: 1\r\n\n',),
    'in two parts': (b'HTTP/1.1 200 OK\r\nContent-Length: 4\r', b'\nX-A: 1\r\n\r\n'),
    'continued': (b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-A: 1\r\n\r\n',),
    'older': (b'HTTP/1.0 200 OK\r\nContent-Length: 4\r\nX-A: 1\r\n\r\n',),
}


@pytest.mark.parametrize('name', HEADS)
@pytest.mark.parametrize('body', [b'\r\n\r\n', b'\n\n{}', b'null'])
def test_what_follows_the_head_belongs_to_the_body(name: str, body: bytes) -> None:
    first, *others = HEADS[name]
    go_on = threading.Event()

    def parts() -> Iterator[bytes]:
        for other in others:
            go_on.wait(10)
            yield other
        yield body

    with Server(lambda _: Reply(first, parts()) if others else Reply(first + body)) as server:
        transport = make_transport(server)
        threading.Timer(0.05, go_on.set).start()
        for _ in range(2):
            response = transport.open(Call('GET', f'{server.url}/x', handled_statuses=frozenset({304})))
            assert response.headers['X-A'] == '1'
            assert b''.join(Body(response)) == body
            response.close()
        transport.close()


@pytest.mark.parametrize('status', ['204 No Content', '304 Not Modified'])
def test_an_answer_without_a_body(status: str) -> None:
    with Server(lambda _: Reply(f'HTTP/1.1 {status}\r\n\r\n'.encode())) as server:
        transport = make_transport(server)
        for _ in range(3):
            response = transport.open(Call('GET', f'{server.url}/x', handled_statuses=frozenset({304})))
            assert b''.join(Body(response)) == b''
        assert server.connections == 1
        transport.close()


# Informational responses

HINTS = b'HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n'
OTHERS = b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 199 Whatever\r\nX: 1\r\n\r\n'


@pytest.mark.parametrize('before', [HINTS, OTHERS, OTHERS + HINTS * 3])
@pytest.mark.parametrize('parts', [1, 7])
def test_informational_responses_are_skipped(before: bytes, parts: int) -> None:
    def respond(request: Request) -> Reply:
        head = before + reply(request.path.encode(), content_type='text/plain').data
        size = -(-len(head) // parts)
        return Reply(b'', [head[start : start + size] for start in range(0, len(head), size)])

    with Server(respond) as server:
        transport = make_transport(server, retries=RetrySettings(0))
        responses = [transport.complete(Call('GET', f'{server.url}/{number}')) for number in range(4)]
        assert [response.text for response in responses] == ['/0', '/1', '/2', '/3']
        assert {response.status_code for response in responses} == {200}
        # None of them was left on the connection.
        assert server.connections == 1
        transport.close()


def test_the_final_status_decides_about_a_write() -> None:
    with Server(lambda request: Reply(HINTS + reply(b'no', status=400).data)) as server:
        transport = make_transport(server, retries=RetrySettings(0))
        for _ in range(2):
            with pytest.raises(BadRequest):
                transport.post(('items', '1/2/3'), value={})
        transport.close()


def test_records_after_an_informational_response_are_all_read() -> None:
    storage = sample_storage()
    with Server(lambda request: Reply(HINTS + storage.respond(request).data)) as server:
        assert exact(list(stream_of(make_transport(server), 'items'))) == exact(storage.items)


@pytest.mark.parametrize('end', [b'', b'HTTP/1.1 2'])
def test_a_connection_that_ends_after_an_informational_response(end: bytes) -> None:
    with Server(lambda request: Reply(HINTS + end, close=True)) as server, pytest.raises(NetworkError):
        make_transport(server, retries=RetrySettings(0)).get(('x',))


def test_a_change_of_the_protocol_is_an_error() -> None:
    switch = b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n'
    with Server(lambda request: Reply(switch + reply(b'[]').data)) as server:
        transport = make_transport(server, retries=RetrySettings(0))
        for _ in range(2):
            with pytest.raises(NetworkError, match='another protocol'):
                transport.get(('x',))
        # The connection is not used again.
        assert server.connections == 2
        transport.close()


# Headers that no server should send

NAMES = (
    'Content-Length', 'Transfer-Encoding', 'Content-Encoding', 'Content-Type', 'Retry-After', 'Set-Cookie', 'Location',
    'Connection', 'Keep-Alive', 'Date', 'X\xe9', '', ' Leading', 'Two Words', 'Content-Length ',
)  # fmt: skip
DIGITS = '9' * 5000
VALUES = (
    '', '0', '1', '-1', '+1', '1, 1', '1, 2', '1 2', '0x1', DIGITS, f'-{DIGITS}', 'chunked', 'gzip', 'identity',
    'x-gzip', 'br', 'chunked, chunked', 'application/json; charset=nonsense', 'text/html; charset="',
    f'a=b; Max-Age={DIGITS}', f'a=b; Max-Age={DIGITS[:400]}', DIGITS[:400],
       f'a=b; Expires=Mon, 01 Jan {DIGITS} 00:00:00 GMT', f'a=b; Version={DIGITS}; Port="{DIGITS}"',
    f'Mon, 01 Jan {DIGITS}', 'close', 'upgrade', '\xff\xfe', '\x00', '\t', '=?utf-8?q?=00?=', 'x' * 70_000,
)  # fmt: skip
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=3)


class Hostile:
    """A server that sends the headers of the present example."""

    def __init__(self) -> None:
        self.head = b''
        self.server = Server(lambda request: Reply(self.head + b'\r\n{"a": 1}', close=True))


@pytest.fixture(scope='module')
def hostile() -> Iterator[Hostile]:
    hostile = Hostile()
    with hostile.server:
        yield hostile


@given(st.sampled_from((200, 204, 302, 400, 429, 503, 999)), HEADERS)
@example(200, [('Content-Length', DIGITS)])
@example(404, [('Content-Length', DIGITS)])
@example(200, [('Set-Cookie', f'a=b; Max-Age={DIGITS[:400]}')])
@example(200, [('Set-Cookie', f'a=b; Expires=Mon, 01 Jan {DIGITS} 00:00:00 GMT')])
def test_any_header_gives_a_value_or_an_error_of_the_library(
    hostile: Hostile, status: int, headers: list[tuple[str, str]]
) -> None:
    lines = [f'HTTP/1.1 {status} Reason', *[f'{name}: {value}' for name, value in headers]]
    hostile.head = '\r\n'.join([*lines, '']).encode('latin-1')
    transport = make_transport(hostile.server, retries=RetrySettings(0), timeout=2)
    with contextlib.suppress(ScrapinghubAPIError):
        assert transport.get(('items', 1)).values in ([], [{'a': 1}])
    with contextlib.suppress(ScrapinghubAPIError):
        assert list(stream_of(transport, 'items')) in ([], [{'a': 1}])
    transport.close()


@pytest.mark.parametrize('head', [b'Content-Length: 1, 2', b'Content-Length: 1\r\nContent-Length: 2'])
def test_several_lengths_are_an_error_that_closes_the_connection(head: bytes) -> None:
    with Server(lambda request: Reply(b'HTTP/1.1 200 OK\r\n' + head + b'\r\n\r\n12')) as server:
        transport = make_transport(server, retries=RetrySettings(0))
        with pytest.raises(NetworkError, match='several values of Content-Length'):
            transport.get(('x',))
        # A connection that is left open is a warning, which is an error in the tests.
        gc.collect()
        transport.close()


def test_a_length_of_thousands_of_digits_is_named() -> None:
    head = b'HTTP/1.1 200 OK\r\nContent-Length: ' + DIGITS.encode() + b'\r\n\r\n'
    with Server(lambda request: Reply(head + b'1', close=True)) as server:
        transport = make_transport(server, retries=RetrySettings(0))
        with pytest.raises(NetworkError, match='Content-Length is too long'):
            transport.get(('x',))


@LOOKS_UP
def test_hosts_whose_addresses_have_no_path_are_told_apart() -> None:
    adapter = Adapter()
    pools = []
    for port in (8001, 8002):
        request = requests.Request('GET', f'http://127.0.0.1:{port}').prepare()
        request.url = f'http://127.0.0.1:{port}'
        pools.append(adapter.get_connection_with_tls_context(request, verify=True))
    assert [pool.port for pool in pools] == [8001, 8002]
    adapter.close()


def test_the_queue_of_a_pool_answers_what_queues_are_asked() -> None:
    pool = Adapter().poolmanager.connection_from_url('http://127.0.0.1')
    assert pool.pool is not None
    assert (pool.pool.empty(), pool.pool.qsize()) == (True, 0)
    connection = pool._new_conn()
    pool.pool.put(connection, block=False)
    assert (pool.pool.empty(), pool.pool.qsize()) == (False, 1)
    assert pool.pool.get(block=False) is connection
    with pytest.raises(queue.Empty):
        pool.pool.get(block=False)
    pool.close()


@LOOKS_UP
def test_the_pool_of_a_host_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    look_up = HTTPAdapter.get_connection_with_tls_context

    def counted(self: HTTPAdapter, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        asked.append(request.url)
        return look_up(self, request, *args, **kwargs)

    monkeypatch.setattr(HTTPAdapter, 'get_connection_with_tls_context', counted)
    with Server(lambda _: Reply(STATUS + b'Content-Length: 2\r\n\r\n{}')) as server:
        transport = make_transport(server)
        for path in ('a', 'b', 'c'):
            transport.get((path,))
        assert len(asked) == 1
        # After a fork, or by another thread: the pools are closed under those who use them.
        transport.drop_connections()
        transport.get(('d',))
        assert len(asked) == 2
        assert server.connections == 2
        # Another verdict about certificates, or a proxy, is another connection.
        transport.get(('e',), options={'verify': False})
        assert len(asked) == 3
        transport.close()
