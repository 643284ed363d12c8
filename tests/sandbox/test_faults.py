"""Faults on request, seen on the wire."""

from __future__ import annotations

import json
import re
import threading
import zlib
from collections.abc import Iterator
from random import Random
from typing import Any

import msgpack
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub.sandbox import Sandbox
from scrapinghub.sandbox.faults.effects import At, Fault
from scrapinghub.sandbox.faults.schedule import KINDS, READING, Schedule
from scrapinghub.sandbox.faults.shaping import framed, record_ends, shape
from support.http_caller import Caller
from support.raw_client import LONG, Answer, RawClient, ask

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


def test_the_next_requests_that_match_are_answered_a_status(cloud: Sandbox, caller: Caller, items: str) -> None:
    cloud.faults.add(method='GET', path='/items/*', times=2, status=429, body='later', headers={'Retry-After': '3'})

    answers = [caller.get(path) for path in (items[1:], 'system/ts', items[1:], items[1:])]

    assert [answer.status_code for answer in answers] == [429, 200, 429, 200]
    assert answers[0].text == 'later'
    assert answers[0].headers['Retry-After'] == '3'
    assert [(met.method, met.path, met.label, met.happened) for met in cloud.faults.met] == [
        ('GET', items, 'status 429, body, headers', True)
    ] * 2


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


def test_rules_are_asked_in_order_and_pass_on_what_they_skip(cloud: Sandbox, caller: Caller) -> None:
    cloud.faults.add(status=500, skip=1)
    cloud.faults.add(status=501, times=2)
    cloud.faults.add(status=502, times=None)
    assert [caller.get('system/ts').status_code for _ in range(5)] == [501, 500, 501, 502, 502]
    cloud.faults.clear()
    assert caller.get('system/ts').status_code == 200
    assert cloud.faults.met == []


@pytest.mark.parametrize(
    ('rule', 'struck'),
    [
        ({'path': '/items/*'}, [True, True, True, False]),
        ({'path': re.compile(r'/items/1/1/\d+')}, [True, True, True, False]),
        ({'path': '/items/1/1'}, [False, False, False, False]),
        ({'query': {'startafter': '*'}}, [False, True, False, False]),
        ({'query': {'startafter': '1/1/1/*', 'count': '5'}}, [False, True, False, False]),
        ({'query': {'startafter': None}}, [True, False, True, True]),
        ({'method': 'post'}, [False, False, False, True]),
        ({'when': lambda request: request.headers.get('Accept') == 'text/csv'}, [False, False, True, False]),
    ],
)
def test_what_matches(cloud: Sandbox, caller: Caller, items: str, rule: dict[str, Any], struck: list[bool]) -> None:
    cloud.faults.add(status=418, times=None, **rule)
    statuses = [
        caller.get(items[1:]).status_code,
        caller.get(f'{items[1:]}?startafter=1/1/1/3&count=5').status_code,
        caller.get(f'{items[1:]}?fields=id', headers={'Accept': 'text/csv'}).status_code,
        caller.call('POST', 'activity/1', b'{}').status_code,
    ]
    assert [status == 418 for status in statuses] == struck


@pytest.mark.parametrize('ending', ['close', 'reset'])
@pytest.mark.parametrize('apply', [False, True])
def test_a_connection_ends_without_an_answer(
    cloud: Sandbox, caller: Caller, items: str, ending: Any, apply: bool
) -> None:
    rule = cloud.faults.add(method='POST', drop=ending, apply=apply)

    answer = ask(cloud, 'POST', f'{items}?start=10', b'{"id": 10}\n')

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
        answer = ask(cloud, 'GET', items)
        assert answer.headers['content-length'] == str(len(LINES))
        assert (answer.body, answer.reset) == (LINES[:cut], ending == 'reset')
    assert all(met.happened for met in cloud.faults.met)


def test_a_cut_behind_the_end_happens_only_where_it_takes_something_away(cloud: Sandbox, items: str) -> None:
    cloud.faults.add(cut=10_000)
    assert ask(cloud, 'GET', items).body == LINES
    cloud.faults.add(cut=10_000, framing='chunked', chunk=200)
    answer = ask(cloud, 'GET', items)
    assert b''.join(answer.chunks) == LINES
    assert answer.chunks[-1] != b''
    assert [met.happened for met in cloud.faults.met] == [False, True]


@pytest.mark.parametrize('cut', [0, 1, 7, 8, 100])
def test_a_chunked_answer_is_cut(cloud: Sandbox, items: str, cut: int) -> None:
    cloud.faults.add(cut=cut, framing='chunked', chunk=7)
    answer = ask(cloud, 'GET', items)
    assert 'content-length' not in answer.headers
    assert b''.join(answer.chunks) == LINES[:cut]
    assert b'' not in answer.chunks


def test_an_answer_that_only_the_connection_ends_is_cut(cloud: Sandbox, items: str) -> None:
    cloud.faults.add(cut=100, framing='close')
    answer = ask(cloud, 'GET', items)
    assert not {'content-length', 'transfer-encoding'} & set(answer.headers)
    assert answer.body == LINES[:100]


@pytest.mark.parametrize('cut', [0, 5, 20, 0.5])
def test_an_answer_is_cut_inside_its_gzip_stream(cloud: Sandbox, items: str, cut: int | float) -> None:
    whole = ask(cloud, 'GET', items, Accept_Encoding='gzip').body
    assert zlib.decompress(whole, 31) == LINES
    cloud.faults.add(cut=cut)
    answer = ask(cloud, 'GET', items, Accept_Encoding='gzip')
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
        answer = ask(cloud, 'GET', items, Accept=accept, Accept_Encoding=encoding)
        text = answer.unzipped() if encoding == 'gzip' else answer.body
        assert text == b''.join(parts[:record]) + parts[record][:plus]
        assert len(answer.body) < int(answer.headers['content-length'])


@pytest.mark.parametrize('encoding', ['identity', 'gzip'])
def test_a_body_ends_inside_a_record_although_its_length_is_right(cloud: Sandbox, items: str, encoding: str) -> None:
    cloud.faults.add(truncate=At(record=4, plus=6))
    answer = ask(cloud, 'GET', items, Accept_Encoding=encoding)
    text = zlib.decompress(answer.body, 31) if encoding == 'gzip' else answer.body
    assert text == b''.join(line + b'\n' for line in LINES.split(b'\n')[:4]) + LINES.split(b'\n')[4][:6]
    assert answer.headers['content-length'] == str(len(answer.body))


def test_a_gzip_stream_ends_early_although_its_length_is_right(cloud: Sandbox, items: str) -> None:
    cloud.faults.add(truncate=20)
    answer = ask(cloud, 'GET', items, Accept_Encoding='gzip')
    assert (len(answer.body), answer.headers['content-length']) == (20, '20')
    decoder = zlib.decompressobj(31)
    decoder.decompress(answer.body)
    assert not decoder.eof


def test_a_byte_of_a_gzip_stream_is_corrupted(cloud: Sandbox, items: str) -> None:
    whole = ask(cloud, 'GET', items, Accept_Encoding='gzip').body
    cloud.faults.add(corrupt=len(whole) - 6)
    answer = ask(cloud, 'GET', items, Accept_Encoding='gzip')
    assert [place for place in range(len(whole)) if answer.body[place] != whole[place]] == [len(whole) - 6]
    with pytest.raises(zlib.error):
        zlib.decompress(answer.body, 31)


def test_an_answer_stalls_until_it_is_released(cloud: Sandbox, items: str) -> None:
    rule = cloud.faults.add(stall=At(record=2))
    with RawClient(cloud) as client:
        client.send('GET', items)
        client.read_head()
        first = client.read(LINES.index(b'\n', LINES.index(b'\n') + 1) + 1)
        rule.wait_held()
        client.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.socket.recv(1)
        client.socket.settimeout(LONG)
        rule.release()
        rest = client.read(len(LINES) - len(first))
    assert first + rest == LINES


def test_a_request_is_held_before_it_is_applied(cloud: Sandbox, caller: Caller, items: str) -> None:
    rule = cloud.faults.add(method='POST', hold=True)
    with RawClient(cloud) as client:
        client.send('POST', f'{items}?start=10', b'{"id": 10}\n')
        rule.wait_held()
        assert len(stored(caller, items)) == 10
        cloud.faults.release()
        assert client.read_head().startswith(b'HTTP/1.1 200 ')
    assert len(stored(caller, items)) == 11


def test_a_client_that_gives_up_frees_what_was_held(cloud: Sandbox, items: str) -> None:
    rule = cloud.faults.add(stall=0)
    with RawClient(cloud) as client:
        client.send('GET', items)
        rule.wait_held()
    (entry,) = [entry for entry in cloud.requests.wait(3) if entry.fault is not None]
    assert (entry.complete, entry.bytes, entry.fault) == (False, 0, 'stall')


def test_closing_the_sandbox_ends_what_is_held() -> None:
    threads = set(threading.enumerate())
    with Sandbox() as cloud:
        rule = cloud.faults.add(hold=True)
        client = RawClient(cloud)
        client.send('GET', '/system/ts')
        rule.wait_held()
    with client:
        assert client.read_all().head == b''
    assert set(threading.enumerate()) <= threads


def test_delays_and_trickles_wait_by_the_given_function(cloud: Sandbox, items: str) -> None:
    waits: list[float] = []
    cloud.server.pause = waits.append
    cloud.faults.add(delay=3600)
    assert ask(cloud, 'GET', items).body == LINES
    assert waits == [3600]
    cloud.faults.add(trickle=50, pause=10, framing='length')
    answer = ask(cloud, 'GET', items)
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
    raw = ask(cloud, 'GET', items)
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
    with RawClient(cloud) as client:
        client.send('GET', '/items/1/1/1')
        assert b'chunked' in client.read_head()
        assert len(client.read(1_000_000)) == 1_000_000


def test_a_connection_hangs_up_after_a_complete_answer(cloud: Sandbox) -> None:
    cloud.faults.add(hangup=True)
    with RawClient(cloud) as client:
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
    assert ask(cloud, 'HEAD', items).body == b''


def test_faults_are_counted_once_by_many_threads(cloud: Sandbox) -> None:
    rule = cloud.faults.add(status=503, times=25)
    statuses: list[int] = []

    def work() -> None:
        with requests.Session() as session:
            session.trust_env = False
            statuses.extend(session.get(f'{cloud.url}system/ts', timeout=LONG).status_code for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert (statuses.count(503), statuses.count(200)) == (25, 55)
    assert len(rule.met) == len(cloud.faults.met) == 25
    assert rule.spent


def test_waiting_for_a_fault_that_does_not_come_ends(cloud: Sandbox) -> None:
    rule = cloud.faults.add(status=503)
    with pytest.raises(TimeoutError, match='rule 1 was met 0 times'):
        rule.wait_met(timeout=0.01)
    with pytest.raises(TimeoutError, match='no request was held by rule 1'):
        rule.wait_held(timeout=0.01)
    ask(cloud, 'GET', '/system/ts')
    rule.wait_met()


def test_a_rule_is_removed(cloud: Sandbox) -> None:
    rule = cloud.faults.add(status=503)
    cloud.faults.remove(rule)
    cloud.faults.remove(rule)
    assert cloud.faults.rules == []
    assert ask(cloud, 'GET', '/system/ts').status == 200


def test_a_reset_forgets_faults_requests_and_time(cloud: Sandbox, caller: Caller) -> None:
    cloud.faults.add(status=503, times=None)
    caller.get('system/ts')
    cloud.clock.freeze(1)
    cloud.reset()
    assert (cloud.faults.rules, cloud.faults.met, len(cloud.requests)) == ([], [], 0)
    assert int(caller.get('system/ts').text) > 1


@pytest.mark.parametrize(
    ('effects', 'words'),
    [
        ({}, 'this fault does nothing'),
        ({'name': 'nothing'}, 'this fault does nothing'),
        ({'status': 99}, 'status must be from 200 to 599, not 99'),
        ({'delay': -1}, 'delay must be a number of seconds'),
        ({'hold': 1}, 'hold must be true or false'),
        ({'cut': -1}, 'cut must be a number of bytes'),
        ({'cut': 1.5}, 'cut must be a number of bytes, a fraction below 1'),
        ({'drop': 'slam'}, "drop must be 'close' or 'reset', not 'slam'"),
        ({'framing': 'none'}, 'framing must be'),
        ({'ignore': 'start'}, 'ignore must be names'),
        ({'chunk': 0, 'framing': 'chunked'}, 'chunk must be a positive'),
        ({'headers': {'X': 1}}, 'headers must be names'),
        ({'headers': {'X': 'a\r\nY: b'}}, 'headers must be names'),
        ({'headers': {'X\n': 'a'}}, 'headers must be names'),
        ({'headers': {'X': '€'}}, 'headers must be names'),
        ({'status': 500, 'reason': 'a\r\nY: b'}, 'reason must be one line'),
        ({'status': 500, 'body': 5}, 'body must be text'),
        ({'apply': True, 'cut': 1}, 'apply needs drop'),
        ({'drop': 'close', 'status': 500}, 'drop ends the connection without an answer'),
        ({'status': 500, 'times': 0}, 'times must be an integer from 1 up'),
        ({'status': 500, 'skip': -1}, 'skip must be an integer from 0 up'),
        ({'status': 500, 'path': 'items'}, 'path must begin with /'),
    ],
)
def test_a_wrong_fault_is_refused(cloud: Sandbox, effects: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        cloud.faults.add(**effects)
    assert cloud.faults.rules == []


def test_a_fault_and_effects_are_refused(cloud: Sandbox) -> None:
    with pytest.raises(TypeError, match='not both: status'):
        cloud.faults.add(Fault(cut=1), status=500)
    with pytest.raises(TypeError, match='stauts'):
        cloud.faults.add(stauts=500)


@pytest.mark.parametrize(
    'place', [{}, {'record': 1, 'text': 1}, {'record': -1}, {'text': -1}, {'record': 1, 'plus': -1}]
)
def test_a_wrong_place_is_refused(place: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r'^(At needs|record must|text must|plus must)'):
        At(**place)


# Schedules


def drawn(schedule: Schedule, asked: list[tuple[str, str]]) -> list[Fault | None]:
    return [schedule.draw(method, path) for method, path in asked]


def test_the_same_seed_draws_the_same_faults() -> None:
    asked = [('GET', '/items/1/1/1'), ('POST', '/items/1/1/1'), ('GET', '/logs/1/1/1')] * 50
    first = drawn(Schedule(7), asked)
    assert first == drawn(Schedule(7), asked)
    assert first != drawn(Schedule(8), asked)
    assert len({fault.label for fault in first if fault is not None}) > 10


def test_other_requests_in_between_do_not_change_what_is_drawn() -> None:
    alone = drawn(Schedule('seed'), [('GET', '/items/1/1/1')] * 30)
    mixed = drawn(Schedule('seed'), [('GET', '/items/1/1/1'), ('GET', '/logs/1/1/1')] * 30)
    assert mixed[::2] == alone


@given(st.integers(), st.integers(1, 5))
def test_a_schedule_lets_a_request_pass_in_time(seed: int, in_a_row: int) -> None:
    row = 0
    for fault in drawn(Schedule(seed, rate=1, in_a_row=in_a_row), [('GET', '/')] * 40):
        row = row + 1 if fault else 0
        assert row <= in_a_row
    assert drawn(Schedule(seed, rate=0), [('GET', '/')] * 5) == [None] * 5


@given(st.sampled_from(sorted(KINDS)), st.randoms(use_true_random=False))
def test_every_kind_draws_a_fault_that_has_a_json_form(kind: str, random: Any) -> None:
    fault = KINDS[kind](random)
    assert fault.label == kind
    assert Fault.from_json(json.loads(json.dumps(fault.to_json()))) == fault


def test_a_schedule_strikes_requests_and_is_recorded(cloud: Sandbox, caller: Caller) -> None:
    def mine(random: Random) -> Fault:
        return Fault('mine', status=random.choice((500, 599)))

    cloud.faults.add(Schedule(3, kinds=('unavailable', mine)), path='/system/*', times=None)
    statuses = [caller.get('system/ts').status_code for _ in range(40)]
    assert set(statuses) <= {200, 500, 503, 599}
    assert [met.fault.status for met in cloud.faults.met] == [status for status in statuses if status != 200]
    assert {met.label for met in cloud.faults.met} == {'unavailable', 'mine'}


@pytest.mark.parametrize('arguments', [{'kinds': ()}, {'kinds': ('cutt',)}, {'rate': 2}, {'in_a_row': 0}])
def test_a_wrong_schedule_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match='must be'):
        Schedule(1, **arguments)


def test_the_kinds_to_survive_are_known() -> None:
    assert set(READING) <= set(KINDS)


# Shapes


bodies = st.lists(st.text(max_size=8).filter(lambda text: '\n' not in text).map(json.dumps), max_size=6)


@given(bodies, st.booleans(), st.integers(0, 7), st.integers(0, 12), st.booleans())
def test_a_place_in_a_record_is_where_it_says(
    records: list[str], final: bool, number: int, plus: int, gzipped: bool
) -> None:
    body = '\n'.join(records).encode() + (b'\n' if final and records else b'')
    cut = shape(body, 'application/x-jsonlines', Fault(cut=At(record=number, plus=plus)), gzipped=gzipped)
    assert cut.cut is not None
    text = zlib.decompressobj(31).decompress(cut.wire[: cut.cut]) if gzipped else cut.wire[: cut.cut]
    if number >= len(records):
        assert text == body
        return
    before = ''.join(f'{record}\n' for record in records[:number]).encode()
    inside = text.removeprefix(before)
    record = records[number].encode()
    assert text.startswith(before)
    assert inside == record[: min(plus, len(record) - 1)]


@given(st.lists(st.one_of(st.integers(0, 100), st.text(max_size=5), st.lists(st.none())), max_size=6))
def test_ends_of_packed_records(values: list[Any]) -> None:
    parts = [msgpack.packb(value) for value in values]
    ends = record_ends(b''.join(parts), 'application/x-msgpack; charset=UTF-8')
    assert ends == [sum(map(len, parts[: number + 1])) for number in range(len(parts))]


@given(st.binary(max_size=40), st.integers(1, 10), st.sets(st.integers(0, 50)))
def test_chunks_hold_the_whole_body_and_stop_where_asked(body: bytes, chunk: int, stops: set[int]) -> None:
    pieces = list(framed(body, 'chunked', chunk, stops))
    places = [place for place, _ in pieces]
    assert {stop for stop in stops if 0 < stop < len(body)} <= set(places)
    assert b''.join(Answer(b'', b''.join(piece for _, piece in pieces), False).chunks) == body
    assert b''.join(piece for _, piece in framed(body, 'length', chunk, stops)) == body
