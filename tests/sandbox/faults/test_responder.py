"""Faults, seen on the wire."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest

from scrapinghub.sandbox import Sandbox
from scrapinghub.sandbox.faults.definition import At
from support.caller import TIMEOUT, Answer, Caller, RawConnection, call_raw

RECORDS = [{'id': number, 'name': f'näme {number}'} for number in range(10)]
LINES = b''.join(json.dumps(record, separators=(',', ':'), ensure_ascii=False).encode() + b'\n' for record in RECORDS)


@pytest.fixture
def items(caller: Caller) -> str:
    """The path of a job's items."""
    key = caller.push(state='running')
    caller.post(f'items/{key}', *RECORDS)
    return f'/items/{key}'


def stored(caller: Caller, path: str) -> list[Any]:
    return caller.read(path.lstrip('/'))


@pytest.mark.parametrize(
    ('status', 'reason', 'page'),
    [
        (
            503,
            'Service Unavailable',
            (
                '<html><body><h1>503 Service Unavailable</h1>\n'
                'No server is available to handle this request.\n</body></html>\n'
            ),
        ),
        (
            504,
            'Gateway Time-out',
            "<html><body><h1>504 Gateway Time-out</h1>\nThe server didn't respond in time.\n</body></html>\n",
        ),
    ],
)
def test_the_load_balancer_answers_its_pages(
    cloud: Sandbox, caller: Caller, status: int, reason: str, page: str
) -> None:
    cloud.faults.add(status=status)
    answer = caller.get('jobq/1/count')
    assert (answer.status_code, answer.reason, answer.text) == (status, reason, page)
    assert answer.headers['Content-Type'] == 'text/html'
    assert answer.headers['Cache-Control'] == 'no-cache'
    assert 'Access-Control-Allow-Origin' not in answer.headers


@pytest.mark.parametrize('ending', ['close', 'reset'])
@pytest.mark.parametrize('apply', [False, True])
def test_a_connection_ends_without_an_answer(
    cloud: Sandbox, caller: Caller, items: str, ending: Any, apply: bool
) -> None:
    rule = cloud.faults.add(method='POST', drop=ending, apply=apply)

    answer = call_raw(cloud, 'POST', f'{items}?start=10', b'{"id": 10}\n')

    assert answer == Answer(b'', b'', reset=ending == 'reset')
    assert rule.met[0].happened
    assert len(stored(caller, items)) == (11 if apply else 10)


def test_an_answer_is_replaced_after_the_request_was_applied(cloud: Sandbox, caller: Caller, items: str) -> None:
    cloud.faults.add(method='POST', status=504, apply=True)
    assert caller.call('POST', f'{items[1:]}?start=10', b'{"id": 10}\n').status_code == 504
    assert len(stored(caller, items)) == 11


@pytest.mark.parametrize('ending', ['close', 'reset'])
def test_an_answer_with_a_length_is_cut_at_any_byte(cloud: Sandbox, items: str, ending: Any) -> None:
    for cut in (0, 1, 100, len(LINES) - 1):
        cloud.faults.add(cut=cut, ending=ending)
        answer = call_raw(cloud, 'GET', items)
        assert answer.headers['content-length'] == str(len(LINES))
        assert (answer.body, answer.reset) == (LINES[:cut], ending == 'reset')
    assert all(met.happened for met in cloud.faults.met)


def test_a_cut_behind_the_end_happens_only_where_it_takes_something_away(cloud: Sandbox, items: str) -> None:
    cloud.faults.add(cut=10_000)
    assert call_raw(cloud, 'GET', items).body == LINES
    cloud.faults.add(cut=10_000, framing='chunked', chunk=200)
    answer = call_raw(cloud, 'GET', items)
    assert b''.join(answer.chunks) == LINES
    assert answer.chunks[-1] != b''
    assert [met.happened for met in cloud.faults.met] == [False, True]


@pytest.mark.parametrize('cut', [0, 1, 7, 8, 100])
def test_a_chunked_answer_is_cut(cloud: Sandbox, items: str, cut: int) -> None:
    cloud.faults.add(cut=cut, framing='chunked', chunk=7)
    answer = call_raw(cloud, 'GET', items)
    assert 'content-length' not in answer.headers
    assert b''.join(answer.chunks) == LINES[:cut]
    assert b'' not in answer.chunks


def test_an_answer_that_only_the_connection_ends_is_cut(cloud: Sandbox, items: str) -> None:
    cloud.faults.add(cut=100, framing='close')
    answer = call_raw(cloud, 'GET', items)
    assert not {'content-length', 'transfer-encoding'} & set(answer.headers)
    assert answer.body == LINES[:100]


@pytest.mark.parametrize('cut', [0, 5, 20, 0.5])
def test_an_answer_is_cut_inside_its_gzip_stream(cloud: Sandbox, items: str, cut: int | float) -> None:
    whole = call_raw(cloud, 'GET', items, Accept_Encoding='gzip').body
    assert zlib.decompress(whole, 31) == LINES
    cloud.faults.add(cut=cut)
    answer = call_raw(cloud, 'GET', items, Accept_Encoding='gzip')
    assert answer.headers['content-length'] == str(len(whole))
    assert answer.body == whole[: cut if isinstance(cut, int) else int(cut * len(whole))]


@pytest.mark.parametrize('encoding', ['identity', 'gzip'])
@pytest.mark.parametrize('accept', ['*/*', 'application/x-msgpack'])
def test_an_answer_is_cut_inside_a_record(cloud: Sandbox, items: str, accept: str, encoding: str) -> None:
    if accept == '*/*':
        parts = [line + b'\n' for line in LINES.split(b'\n')[:-1]]
    else:
        parts = [msgpack.packb(record) for record in RECORDS]
    for record, plus in [(0, 0), (0, 1), (3, 0), (3, 5), (9, 2)]:
        cloud.faults.add(cut=At(record=record, plus=plus))
        answer = call_raw(cloud, 'GET', items, Accept=accept, Accept_Encoding=encoding)
        text = answer.unzipped() if encoding == 'gzip' else answer.body
        assert text == b''.join(parts[:record]) + parts[record][:plus]
        assert len(answer.body) < int(answer.headers['content-length'])


@pytest.mark.parametrize('encoding', ['identity', 'gzip'])
def test_a_body_ends_inside_a_record_although_its_length_is_right(cloud: Sandbox, items: str, encoding: str) -> None:
    cloud.faults.add(truncate=At(record=4, plus=6))
    answer = call_raw(cloud, 'GET', items, Accept_Encoding=encoding)
    text = zlib.decompress(answer.body, 31) if encoding == 'gzip' else answer.body
    assert text == b''.join(line + b'\n' for line in LINES.split(b'\n')[:4]) + LINES.split(b'\n')[4][:6]
    assert answer.headers['content-length'] == str(len(answer.body))


def test_a_gzip_stream_ends_early_although_its_length_is_right(cloud: Sandbox, items: str) -> None:
    cloud.faults.add(truncate=20)
    answer = call_raw(cloud, 'GET', items, Accept_Encoding='gzip')
    assert (len(answer.body), answer.headers['content-length']) == (20, '20')
    decoder = zlib.decompressobj(31)
    decoder.decompress(answer.body)
    assert not decoder.eof


def test_a_byte_of_a_gzip_stream_is_corrupted(cloud: Sandbox, items: str) -> None:
    whole = call_raw(cloud, 'GET', items, Accept_Encoding='gzip').body
    cloud.faults.add(corrupt=len(whole) - 6)
    answer = call_raw(cloud, 'GET', items, Accept_Encoding='gzip')
    assert [place for place in range(len(whole)) if answer.body[place] != whole[place]] == [len(whole) - 6]
    with pytest.raises(zlib.error):
        zlib.decompress(answer.body, 31)


def test_an_answer_stalls_until_it_is_released(cloud: Sandbox, items: str) -> None:
    rule = cloud.faults.add(stall=At(record=2))
    with RawConnection(cloud) as client:
        client.send('GET', items)
        client.read_head()
        first = client.read(LINES.index(b'\n', LINES.index(b'\n') + 1) + 1)
        rule.wait_held()
        client.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.socket.recv(1)
        client.socket.settimeout(TIMEOUT)
        rule.release()
        rest = client.read(len(LINES) - len(first))
    assert first + rest == LINES


def test_a_request_is_held_before_it_is_applied(cloud: Sandbox, caller: Caller, items: str) -> None:
    rule = cloud.faults.add(method='POST', hold=True)
    with RawConnection(cloud) as client:
        client.send('POST', f'{items}?start=10', b'{"id": 10}\n')
        rule.wait_held()
        assert len(stored(caller, items)) == 10
        cloud.faults.release()
        assert client.read_head().startswith(b'HTTP/1.1 200 ')
    assert len(stored(caller, items)) == 11


def test_a_client_that_gives_up_frees_what_was_held(cloud: Sandbox, items: str) -> None:
    rule = cloud.faults.add(stall=0)
    with RawConnection(cloud) as client:
        client.send('GET', items)
        rule.wait_held()
    (entry,) = [entry for entry in cloud.requests.wait(3) if entry.fault is not None]
    assert (entry.complete, entry.bytes, entry.fault) == (False, 0, 'stall')


def test_closing_the_sandbox_ends_what_is_held() -> None:
    threads = set(threading.enumerate())
    with Sandbox() as cloud:
        rule = cloud.faults.add(hold=True)
        client = RawConnection(cloud)
        client.send('GET', '/system/ts')
        rule.wait_held()
    with client:
        assert client.read_all().head == b''
    assert set(threading.enumerate()) <= threads


def test_delays_and_trickles_wait_by_the_given_function(cloud: Sandbox, items: str) -> None:
    waits: list[float] = []
    cloud.server.pause = waits.append
    cloud.faults.add(delay=3600)
    assert call_raw(cloud, 'GET', items).body == LINES
    assert waits == [3600]
    cloud.faults.add(trickle=50, pause=10, framing='length')
    answer = call_raw(cloud, 'GET', items)
    assert answer.body == LINES
    assert set(waits[1:]) == {10}
    assert len(waits) > len(LINES) // 50


def test_parameters_are_ignored(cloud: Sandbox, caller: Caller, items: str) -> None:
    rule = cloud.faults.add(path='/items/*', ignore=('startafter', 'start'), times=2)
    assert caller.read(items[1:], startafter=f'{items[7:]}/3', count=2) == RECORDS[:2]
    assert caller.read(items[1:], count=2) == RECORDS[:2]
    assert [met.happened for met in rule.met] == [True, False]


def test_headers_are_changed_lies_included(cloud: Sandbox, caller: Caller, items: str) -> None:
    cloud.faults.add(headers={'content-type': 'text/html', 'X-More': '1', 'Access-Control-Allow-Origin': None})
    answer = caller.get(items[1:])
    assert answer.headers['Content-Type'] == 'text/html'
    assert answer.headers['X-More'] == '1'
    assert 'Access-Control-Allow-Origin' not in answer.headers
    assert answer.content == LINES
    cloud.faults.add(headers={'Content-Length': '1000000'}, hangup=True)
    raw = call_raw(cloud, 'GET', items)
    assert (raw.headers['content-length'], raw.body) == ('1000000', LINES)


def test_a_redirect(cloud: Sandbox, caller: Caller) -> None:
    cloud.faults.add(status=302, headers={'Location': '/elsewhere'}, body='moved')
    answer = caller.get('system/ts', allow_redirects=False)
    assert (answer.status_code, answer.headers['Location'], answer.text) == (302, '/elsewhere', 'moved')


def test_a_body_may_be_produced_while_it_is_sent(cloud: Sandbox) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b'x' * 65536

    cloud.faults.add(body=endless(), headers={'Content-Type': 'application/x-jsonlines'})
    with RawConnection(cloud) as client:
        client.send('GET', '/items/1/1/1')
        assert b'chunked' in client.read_head()
        assert len(client.read(1_000_000)) == 1_000_000


def test_a_connection_hangs_up_after_a_complete_answer(cloud: Sandbox) -> None:
    cloud.faults.add(hangup=True)
    with RawConnection(cloud) as client:
        client.send('GET', '/system/ts')
        answer = client.read_all()
    assert 'connection' not in answer.headers
    assert int(answer.headers['content-length']) == len(answer.body)


def test_connections_stay_open_around_a_fault(cloud: Sandbox, caller: Caller, items: str) -> None:
    cloud.faults.add(status=503)
    cloud.faults.add(framing='chunked', chunk=3)
    cloud.faults.add(trickle=100)
    cloud.requests.clear()
    assert [caller.get(items[1:]).status_code for _ in range(4)] == [503, 200, 200, 200]
    assert len({entry.connection for entry in cloud.requests.wait(4)}) == 1


def test_a_head_request_has_no_body_under_a_fault(cloud: Sandbox, items: str) -> None:
    cloud.faults.add(framing='chunked')
    assert call_raw(cloud, 'HEAD', items).body == b''
