"""The sandbox as an HTTP server: connections, framing, compression, what is not HTTP at all."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from scrapinghub.sandbox import Sandbox
from support.caller import Caller, lines


@pytest.fixture
def raw(cloud: Sandbox) -> Iterator[socket.socket]:
    with socket.create_connection(('127.0.0.1', cloud.server.port), 10) as connection:
        yield connection


def answer_to(connection: socket.socket, request: bytes) -> bytes:
    """Send bytes, read until the server ends the connection."""
    connection.sendall(request)
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b''.join(parts)


def fill(caller: Caller, count: int) -> str:
    key = caller.push()
    caller.post(f'items/{key}?start=0', *({'n': number, 'text': 'x' * 50} for number in range(count)))
    return key


def test_a_connection_serves_many_requests(cloud: Sandbox, caller: Caller) -> None:
    key = fill(caller, 5000)
    caller.get(f'items/{key}')
    caller.get('items/9')
    caller.call('POST', 'nothing/here', 'body')
    seen = cloud.requests.wait(5)
    assert len({exchange.connection for exchange in seen}) == 1
    assert [exchange.status for exchange in seen] == [200, 200, 200, 403, 501]
    assert all(exchange.complete for exchange in seen)


def test_small_answers_have_a_length_and_large_ones_come_in_chunks(caller: Caller) -> None:
    key = fill(caller, 5000)
    plain = {'Accept-Encoding': 'identity'}
    small = caller.get(f'items/{key}?count=10', headers=plain)
    assert small.headers['Content-Length'] == str(len(small.content))
    assert 'Transfer-Encoding' not in small.headers
    large = caller.get(f'items/{key}', headers=plain)
    assert large.headers['Transfer-Encoding'] == 'chunked'
    assert 'Content-Length' not in large.headers
    assert large.content.count(b'\n') == 5000
    packed = caller.get(f'items/{key}')
    assert packed.headers['Content-Encoding'] == 'gzip'
    assert packed.content == large.content


@pytest.mark.parametrize(
    ('accepted', 'packed'),
    [('gzip', True), ('gzip, deflate', True), ('*', True), ('identity', False), ('gzip;q=0', False)],
)
def test_compression_follows_the_client(caller: Caller, accepted: str, packed: bool) -> None:
    key = fill(caller, 3)
    answer = caller.get(f'items/{key}', headers={'Accept-Encoding': accepted}, stream=True)
    body = answer.raw.read(decode_content=False)
    assert ('Content-Encoding' in answer.headers) == packed
    assert (gzip.decompress(body) if packed else body).count(b'\n') == 3


def test_an_empty_compressed_answer_is_an_empty_gzip_stream(caller: Caller) -> None:
    answer = caller.get(f'items/{caller.push()}', stream=True)
    body = answer.raw.read(decode_content=False)
    assert body
    assert zlib.decompress(body, 31) == b''


def test_http_1_0_gets_no_chunks(cloud: Sandbox, caller: Caller, raw: socket.socket) -> None:
    key = fill(caller, 5000)
    head, _, body = answer_to(raw, f'GET /items/{key}?apikey={cloud.apikey} HTTP/1.0\r\n\r\n'.encode()).partition(
        b'\r\n\r\n'
    )
    assert b'Transfer-Encoding' not in head
    assert b'Content-Length' not in head
    assert b'Connection: close' in head
    assert body.count(b'\n') == 5000


@pytest.mark.parametrize('fault', [{}, {'trickle': 10}])
def test_http_1_0_is_told_that_its_connection_stays(cloud: Sandbox, raw: socket.socket, fault: dict[str, Any]) -> None:
    if fault:
        cloud.faults.add(**fault)
    asked = b'GET /system/ts HTTP/1.0\r\nConnection: keep-alive\r\n\r\n'
    last = b'GET /system/ts HTTP/1.0\r\n\r\n'
    first, second, third = answer_to(raw, asked + asked + last).split(b'HTTP/1.1 200 OK\r\n')[1:]
    assert b'\r\nConnection: keep-alive\r\n' in first
    assert b'\r\nConnection: keep-alive\r\n' in second
    assert b'\r\nConnection: close\r\n' in third


def test_http_1_1_needs_no_word_about_it(caller: Caller) -> None:
    assert 'Connection' not in caller.get('system/ts').headers


def test_a_length_may_be_told_twice(cloud: Sandbox, raw: socket.socket) -> None:
    told = 'Content-Length: 8\r\n' * 2
    request = f'POST /activity/1?apikey={cloud.apikey} HTTP/1.1\r\n{told}Connection: close\r\n\r\n{{"n": 1}}'
    assert answer_to(raw, request.encode()).startswith(b'HTTP/1.1 200 OK\r\n')


def test_head_answers_no_body(caller: Caller) -> None:
    key = fill(caller, 3)
    answer = caller.call('HEAD', f'items/{key}', headers={'Accept-Encoding': 'identity'})
    assert answer.status_code == 200
    assert answer.headers['Content-Length'] == str(len(caller.get(f'items/{key}').content))
    assert answer.content == b''
    assert caller.get('system/ts').status_code == 200


def test_a_request_may_come_in_chunks(caller: Caller) -> None:
    key = caller.push()
    answer = caller.call('POST', f'items/{key}?start=0', iter([b'{"n": 1}\n{"n"', b': 2}\n']))
    assert answer.status_code == 200
    assert caller.read(f'items/{key}') == [{'n': 1}, {'n': 2}]


def test_a_request_may_wait_for_a_go_ahead(cloud: Sandbox, raw: socket.socket) -> None:
    raw.sendall(
        f'POST /activity/1?apikey={cloud.apikey} HTTP/1.1\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n'.encode()
    )
    assert raw.recv(100).startswith(b'HTTP/1.1 100 Continue\r\n\r\n')
    raw.sendall(b'{"n": 1}')
    assert raw.recv(1000).startswith(b'HTTP/1.1 200 OK\r\n')


def test_requests_may_be_pipelined(cloud: Sandbox, raw: socket.socket) -> None:
    one = b'GET /system/ts HTTP/1.1\r\n\r\n'
    last = b'GET /system/ts HTTP/1.1\r\nConnection: close\r\n\r\n'
    assert answer_to(raw, one + one + last).count(b'HTTP/1.1 200 OK\r\n') == 3


def test_a_proxy_may_send_the_whole_url(cloud: Sandbox, raw: socket.socket) -> None:
    request = f'GET http://host:1/activity/1?apikey={cloud.apikey}&count=1 HTTP/1.1\r\nConnection: close\r\n\r\n'
    assert answer_to(raw, request.encode()).startswith(b'HTTP/1.1 200 OK\r\n')


def test_a_path_that_is_not_encoded_is_understood(cloud: Sandbox, caller: Caller, raw: socket.socket) -> None:
    caller.post('hcf/1/front/s/%C3%A9', {'fp': 'x'})
    request = f'GET /hcf/1/front/s/é/f?apikey={cloud.apikey} HTTP/1.1\r\nConnection: close\r\n\r\n'
    assert answer_to(raw, request.encode()).endswith(b'{"fp":"x"}\n')


@pytest.mark.parametrize(
    ('request_text', 'status'),
    [
        ('nonsense\r\n\r\n', 400),
        ('GET / HTTP/9.9\r\n\r\n', 505),
        ('GET /' + 'x' * 70_000 + ' HTTP/1.1\r\n\r\n', 414),
        ('GET / HTTP/1.1\r\nX: ' + 'x' * 70_000 + '\r\n\r\n', 431),
        ('POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n', 400),
        ('POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n', 400),
        ('POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}\n', 400),
        ('POST / HTTP/1.1\r\nContent-Length: 2, 3\r\n\r\n{}\n', 400),
        ('POST / HTTP/1.1\r\nContent-Length: ' + '9' * 5000 + '\r\n\r\n', 413),
        ('POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n', 400),
        ('GET http://[x/ HTTP/1.1\r\n\r\n', 400),
        ('GET / HTTP/1.1\r\n' + 'X: y\r\n' * 101 + '\r\n', 431),
        ('POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n', 400),
        ('POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}', 400),
        ('POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n', 400),
        ('POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n', 400),
        ('POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}garbage', 400),
        ('POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffff\r\n', 413),
    ],
)
def test_what_is_not_http_is_refused(raw: socket.socket, request_text: str, status: int) -> None:
    answer = answer_to(raw, request_text.encode())
    assert answer.startswith(f'HTTP/1.1 {status} '.encode())
    assert answer.endswith(b'\n')


@pytest.mark.parametrize(
    'header',
    [
        'Content-Length : {length}',
        'Content-Length\t: {length}',
        ' Content-Length: {length}',
        'X: 1\r\n Content-Length: {length}',
        'X: 1\rContent-Length: {length}',
        'Content Length: {length}',
        'X: \0\r\nContent-Length: {length}',
        'Content-Length',
        ': {length}',
        'Transfer-Encoding : chunked',
    ],
)
def test_a_body_never_becomes_the_next_request(cloud: Sandbox, raw: socket.socket, header: str) -> None:
    smuggled = f'POST /activity/1?apikey={cloud.apikey} HTTP/1.1\r\nContent-Length: 8\r\n\r\n{{"n": 1}}'
    head = f'POST /system/ts HTTP/1.1\r\n{header.format(length=len(smuggled))}\r\n\r\n'
    answer = answer_to(raw, (head + smuggled).encode())
    assert answer.count(b'HTTP/1.1 ') == 1
    assert answer.startswith(b'HTTP/1.1 400 ')
    assert len(cloud.requests) == 0


@pytest.mark.parametrize('host', ['[x', 'x]', '[', '@', 'a b', '%', '[::1'])
def test_an_invalid_host_is_not_an_error_of_the_server(cloud: Sandbox, caller: Caller, host: str) -> None:
    for path, expected in (('', 403), ('_sandbox/log', 403), ('jobq/1/count', 200), ('api/v2/nothing', 501)):
        answer = caller.get(path, headers={'Host': host, 'Accept': 'text/html'})
        assert answer.status_code == expected, (path, answer.text)
    answer = caller.get('_sandbox/log', headers={'Origin': f'http://{host}'})
    assert answer.status_code == 403


def test_a_body_that_breaks_off_is_not_applied(cloud: Sandbox, caller: Caller) -> None:
    head = f'POST /activity/1?apikey={cloud.apikey} HTTP/1.1\r\n'
    for framing in ('Content-Length: 100\r\n\r\n', 'Transfer-Encoding: chunked\r\n\r\n100\r\n'):
        with socket.create_connection(('127.0.0.1', cloud.server.port), 10) as connection:
            connection.sendall(f'{head}{framing}{{"n": 1}}\n'.encode())
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b''
    assert caller.read('activity/1') == []


def test_a_body_beyond_all_bounds_is_refused_readably(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('scrapinghub.sandbox.server.request_reader.MAX_BODY', 1000)
    body = b'{"n": 1}\n' * 100_000
    for data in (body, iter([body])):
        answer = caller.call('POST', 'activity/1', data)
        assert answer.status_code == 413
        assert answer.text.startswith('Request body too large - max ')
    assert caller.read('activity/1') == []


def test_many_connections_at_once(cloud: Sandbox, caller: Caller) -> None:
    connections = [http.client.HTTPConnection('127.0.0.1', cloud.server.port, timeout=30) for _ in range(200)]
    for connection in connections:
        connection.connect()
    for connection in connections:
        connection.request('GET', '/system/ts')
    assert {connection.getresponse().status for connection in connections} == {200}
    for connection in connections:
        connection.close()


def test_writers_at_once_lose_nothing(cloud: Sandbox, caller: Caller) -> None:
    keys = [caller.push() for _ in range(4)]

    def write(key: str) -> None:
        with Caller(cloud.url, (cloud.apikey, '')) as own:
            for start in range(0, 500, 50):
                own.post(f'items/{key}?start={start}', *({'n': number} for number in range(start, start + 50)))
                own.post('activity/2', {'job': key})

    with ThreadPoolExecutor(len(keys)) as pool:
        list(pool.map(write, keys))
    for key in keys:
        assert caller.read(f'items/{key}') == [{'n': number} for number in range(500)]
    assert len(caller.read('activity/2')) == 40


def test_a_slow_reader_does_not_block_a_writer(cloud: Sandbox, caller: Caller) -> None:
    key = fill(caller, 200)
    block = [{'n': number, 'text': 'x' * 1000} for number in range(1000)]
    for number in range(20):
        caller.post(f'items/{key}?start={number * 1000}', *block)
    answer = caller.get(f'items/{key}', headers={'Accept-Encoding': 'identity'}, stream=True)
    assert answer.raw.read(100)
    # The answer, 20 MB, cannot have been sent yet; its reader stands still.
    with Caller(cloud.url, (cloud.apikey, '')) as other:
        for number in range(20):
            other.post(f'items/{key}?start={20_000 + number}', {'n': 'later'})
        assert other.get(f'items/{key}/stats').json()['totals']['input_values'] == 20_020
    text = answer.raw.read()
    answer.close()
    # What is written behind the place of the reader belongs to what it reads.
    assert text.count(b'\n') == 20_020


def test_the_end_does_not_wait_for_idle_or_stuck_connections() -> None:
    before = set(threading.enumerate())
    cloud = Sandbox(projects=[1])
    idle = socket.create_connection(('127.0.0.1', cloud.server.port), 10)
    half = socket.create_connection(('127.0.0.1', cloud.server.port), 10)
    half.sendall(b'POST /activity/1 HTTP/1.1\r\nContent-Length: 100\r\n\r\n{')
    with Caller(cloud.url, (cloud.apikey, '')) as caller:
        key = caller.push()
        for number in range(20):
            caller.post(f'items/{key}?start={number * 1000}', *({'text': 'x' * 1000} for _ in range(1000)))
        stuck = caller.get(f'items/{key}', headers={'Accept-Encoding': 'identity'}, stream=True)
        started = time.monotonic()
        cloud.close()
        cloud.close()
        assert time.monotonic() - started < 2
        assert idle.recv(1) == b''
        assert half.recv(1) == b''
        stuck.close()
    idle.close()
    half.close()
    assert set(threading.enumerate()) <= before
    with pytest.raises(OSError, match='refused'):
        socket.create_connection(('127.0.0.1', cloud.server.port), 1)


def test_a_failure_inside_is_told_in_the_form_of_the_service(
    cloud: Sandbox, caller: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> int:
        raise RuntimeError('a secret')

    with monkeypatch.context() as patch:
        patch.setattr(cloud.store, 'now', fail)
        answer = caller.call('POST', 'activity/1', lines({'n': 1}))
    assert (answer.status_code, answer.text) == (500, 'Internal Server Error\n')
    assert 'a secret' in caplog.text
    assert caller.read('activity/1') == []


def test_a_port_and_a_key_may_be_chosen() -> None:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    with Sandbox(projects=[7], port=port, apikey='f' * 32) as cloud:
        assert cloud.url == f'http://127.0.0.1:{port}/'
        assert cloud.environ == {
            'SHUB_STORAGE': cloud.url,
            'SHUB_JOBQ': cloud.url,
            'SHUB_APIURL': f'{cloud.url}api/',
            'SH_APIKEY': 'f' * 32,
            'SCRAPINGHUB_INSTANT_RETRIES': '1',
        }
        assert 'ffff' not in repr(cloud)
        with pytest.raises(OSError, match='in use'):
            Sandbox(port=port)
    with pytest.raises(ValueError, match='apikey must not be empty'):
        Sandbox(apikey='')


def test_the_clock_of_the_service_needs_no_credentials(cloud: Sandbox) -> None:
    with Caller(cloud.url, None) as anybody:
        answer = anybody.get('system/ts')
    assert answer.json() == 1_500_000_000_000
    assert answer.text == json.dumps(answer.json())
    assert answer.headers['Content-Type'] == 'application/json; charset=UTF-8'
    assert answer.headers['Access-Control-Allow-Origin'] == '*'
