"""Record streams: every record once, whatever happens to the connection, or an error."""

from __future__ import annotations

import gc
import itertools
import pickle
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub.exceptions import (
    DecodeError,
    NotFound,
    ReadTimedOut,
    ScrapinghubAPIError,
    ServerError,
    StreamInterrupted,
)
from scrapinghub.transport import codec
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.retries import RetrySettings
from scrapinghub.transport.streams.cursor import KeysetCursor, text_order
from scrapinghub.transport.streams.cursors_without_keys import DedupeCursor, NewestFirstCursor, PendingKeysCursor
from scrapinghub.transport.streams.source import Source
from scrapinghub.transport.streams.stream import RecordStream
from support.clocks import ManualClock, TickingClock
from support.scripted_server import (
    MSGPACK,
    Reply,
    Request,
    Server,
    chunked,
    lines_of,
    payload_size,
    reply,
)
from support.storage import JOB, Storage, cut, cut_part, instead, silence
from support.stream_kinds import COLLECTION_KEYS, KEYED, KIND_AND_ACCEPT, KINDS, exact, sample_storage, stream_of
from support.transports import make_transport

FRAMES: list[dict[str, Any]] = [
    {'framing': 'length'},
    {'framing': 'chunked', 'chunk': 50},
    {'framing': 'length', 'encoding': 'gzip'},
    {'framing': 'chunked', 'chunk': 50, 'encoding': 'gzip'},
    {'framing': 'close', 'encoding': 'gzip'},
]


@pytest.mark.parametrize('frame', FRAMES, ids=lambda frame: ' '.join(map(str, frame.values())))
@pytest.mark.parametrize(('name', 'accept'), KIND_AND_ACCEPT)
def test_every_record_comes_once_wherever_the_answer_is_cut(name: str, accept: str, frame: dict[str, Any]) -> None:
    storage = sample_storage(**frame)
    truth = exact(KINDS[name].truth(storage))
    with Server(storage.respond) as server:
        transport = make_transport(server)
        assert exact(list(stream_of(transport, name, accept))) == truth
        size = payload_size(storage.respond(server.requests[0]))
        # Each way to frame an answer begins elsewhere.
        for place in range(17 * FRAMES.index(frame), size, 85):
            # Twice in a row, the second time elsewhere.
            storage.faults = [cut(place, reset=place % 2 == 1), cut(place // 2)]
            assert exact(list(stream_of(transport, name, accept))) == truth
        transport.close()


@pytest.mark.parametrize(('name', 'accept'), [('items', codec.MSGPACK), ('collection', codec.JSON_LINES)])
def test_cut_at_every_byte(name: str, accept: str) -> None:
    storage = sample_storage()
    storage.items = storage.items[:3]
    storage.records['collections'] = {key: {'value': 1} for key in COLLECTION_KEYS[-3:]}
    truth = exact(KINDS[name].truth(storage))
    with Server(storage.respond) as server:
        transport = make_transport(server)
        list(stream_of(transport, name, accept))
        whole = storage.respond(server.requests[0])
        for place in range(len(whole.data)):
            storage.faults = [lambda answer, place=place: Reply(answer.data[:place], close=True)]  # type: ignore[misc]
            assert exact(list(stream_of(transport, name, accept))) == truth
        transport.close()


FAULTS = st.one_of(
    st.floats(0, 1).map(cut_part),
    st.sampled_from([502, 503, 504, 429, 408]).map(instead),
    st.just(silence),
    st.none(),
)


@given(
    st.sampled_from(KIND_AND_ACCEPT),
    st.sampled_from(FRAMES),
    st.lists(FAULTS, max_size=5),
    st.none() | st.integers(0, 14),
)
def test_any_faults(named: tuple[str, str], frame: dict[str, Any], faults: list[Any], count: int | None) -> None:
    name, accept = named
    storage = sample_storage(**frame)
    storage.faults = list(faults)
    with Server(storage.respond) as server:
        transport = make_transport(server)
        stream = stream_of(transport, name, accept, count)
        got: list[Any] = []
        for _ in range(8):
            # Too many faults before the first record are an error; iterating again goes on.
            try:
                got.extend(stream)
                break
            except StreamInterrupted as error:
                delivered = error.delivered
            assert delivered == len(got)
        else:
            raise AssertionError('no end')
        transport.close()
        if count == 0:
            assert server.requests == []
    assert exact(got) == exact(KINDS[name].truth(storage)[:count])


@pytest.mark.parametrize('name', KINDS)
def test_a_count_is_reached_although_the_connection_breaks(name: str) -> None:
    storage = sample_storage()
    truth = KINDS[name].truth(storage)
    with Server(storage.respond) as server:
        transport = make_transport(server)
        for part in (0.2, 0.5, 0.9, 0.99):
            storage.faults = [cut_part(part), cut_part(part)]
            assert exact(list(stream_of(transport, name, count=3))) == exact(truth[:3])
        if name != 'all jobs':
            assert max(int(request.get('count') or 3) for request in server.requests) <= 13
        transport.close()


def test_the_end_of_a_count_needs_no_further_request() -> None:
    storage = sample_storage()
    storage.faults = [lambda answer: Reply(answer.data[:-3], close=True)]
    storage.options = {'framing': 'chunked', 'chunk': 10_000}
    with Server(storage.respond) as server:
        assert len(list(stream_of(make_transport(server), 'items', count=3))) == 3
        assert len(server.requests) == 1


# What is asked


def queries(server: Server) -> list[list[tuple[str, str]]]:
    return [request.query for request in server.requests]


def test_an_undisturbed_call_sends_the_parameters_of_the_contract() -> None:
    storage = sample_storage()
    with Server(storage.respond) as server:
        list(stream_of(make_transport(server), 'items from a number', count=5))
        assert queries(server) == [[('meta', '_key'), ('start', '1/2/3/4'), ('count', '5')]]


def test_a_resumed_call_asks_for_the_rest() -> None:
    storage = sample_storage()
    storage.faults = [lambda answer: cut(answer.data.partition(b'\r\n\r\n')[2].index(b'"n": 6'))(answer)]
    with Server(storage.respond) as server:
        transport = make_transport(server)
        call = Call('GET', transport.url(('items', '1')))
        given_params = [('meta', '_key'), ('offset', 9), ('start', '1/2/3/4'), ('filter', '["n"]'), ('startts', 1)]
        stream: RecordStream[Any] = RecordStream(Source(transport, call), KeysetCursor(given_params, 5))
        assert [record['n'] for record in stream] == [4, 5, 6, 7, 8]
        assert queries(server)[1:] == [
            [('meta', '_key'), ('filter', '["n"]'), ('startts', '1'), ('startafter', '1/2/3/5'), ('count', '3')]
        ]


def test_names_that_were_all_delivered_are_not_asked_for_again() -> None:
    # Without a name the request would ask for everything.
    storage = sample_storage(framing='chunked', chunk=10_000)
    storage.faults = [lambda answer: Reply(answer.data[:-6], close=True)]
    with Server(storage.respond) as server:
        transport = make_transport(server)
        call = Call('GET', transport.url(('collections', '1')))
        stream: RecordStream[Any] = RecordStream(Source(transport, call), PendingKeysCursor(KEYED, 'key', ['k1', 'b']))
        assert [record['_key'] for record in stream] == ['b', 'k1']
        assert len(server.requests) == 1


def test_very_many_names_are_asked_for_in_groups() -> None:
    names = [f'key {number:04}' * 3 for number in range(700)]
    storage = Storage({'collections': {name: {'value': 1} for name in names}})
    storage.faults = [None, cut_part(0.5), None, cut_part(0.01)]
    with Server(storage.respond) as server:
        transport = make_transport(server)
        call = Call('GET', transport.url(('collections', '1')))
        stream: RecordStream[Any] = RecordStream(
            Source(transport, call), PendingKeysCursor(KEYED, 'key', reversed(names))
        )
        assert [record['_key'] for record in stream] == sorted(names)
        assert max(len(request.target) for request in server.requests) < 7000


# A server that does not honour what was asked


@pytest.mark.parametrize('name', ['items', 'collection', 'items by index', 'collection by keys'])
def test_a_server_that_ignores_the_resume_is_noticed(name: str) -> None:
    storage = sample_storage()

    def respond(request: Request) -> Reply:
        kind = request.segments[0]
        stripped = Request('GET', f'/{kind}/1?meta=_key', request.headers, b'', 0)
        return storage.respond(stripped)

    storage.faults = [cut_part(0.6)]
    with Server(respond) as server:
        stream = stream_of(make_transport(server), name)
        got: list[Any] = []
        with pytest.raises(StreamInterrupted, match='asked for') as caught:
            got.extend(stream)
        assert len(got) == caught.value.delivered
        assert isinstance(caught.value, DecodeError)
        assert caught.value.delivered > 0
        with pytest.raises(StreamInterrupted):
            next(stream)


@pytest.mark.parametrize('name', ['samples', 'activity'])
def test_other_records_in_front_of_the_rest_are_noticed(name: str) -> None:
    storage = sample_storage()

    def change(answer: Reply) -> Reply:
        storage.items = [{'n': -1}, *storage.items[2:]]
        storage.events = [{'n': -1}, *storage.events[3:]]
        return cut_part(0.7)(answer)

    storage.faults = [change]
    with Server(storage.respond) as server, pytest.raises(StreamInterrupted):
        list(stream_of(make_transport(server), name))


def test_fewer_records_than_were_delivered_are_noticed() -> None:
    storage = sample_storage()

    def change(answer: Reply) -> Reply:
        storage.items = storage.items[:2]
        return cut_part(0.7)(answer)

    for name in ('samples', 'logs'):
        storage.items = sample_storage().items
        storage.faults = [change]
        with Server(storage.respond) as server, pytest.raises(StreamInterrupted, match='now there are only 2'):
            list(stream_of(make_transport(server), name, codec.MSGPACK))


def test_a_log_with_gaps_is_read_from_the_beginning() -> None:
    storage = sample_storage()

    def respond(request: Request) -> Reply:
        start = request.get('start')
        if start is not None:
            # Numbers have gaps: number 8 is the third record.
            return storage.respond(Request('GET', '/logs/1?start=1/2/3/1', request.headers, b'', 0))
        return storage.respond(request)

    storage.faults = [cut_part(0.5)]
    with Server(respond) as server:
        assert exact(list(stream_of(make_transport(server), 'logs', codec.MSGPACK))) == exact(storage.items)
        assert [request.get('start') is not None for request in server.requests] == [False, True, False]


def test_new_activity_in_front_is_left_out() -> None:
    storage = sample_storage()
    truth = list(storage.events)

    def grow(answer: Reply) -> Reply:
        storage.events = [{'event': 'new', 'n': 100}, {'event': 'new', 'n': 99}, *storage.events]
        return cut_part(0.6)(answer)

    for count in (None, 9):
        storage.events = truth
        storage.faults = [grow, grow]
        with Server(storage.respond) as server:
            got = list(stream_of(make_transport(server), 'activity', count=count))
        assert exact(got) == exact(truth[:count])


def test_activity_that_appears_before_anything_was_delivered_is_part_of_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = sample_storage()
    old = list(storage.events)
    with Server(storage.respond) as server:
        transport = make_transport(server)
        stream = stream_of(transport, 'activity')
        # Ctrl-C after the first block was selected and before any of it was delivered.
        select = NewestFirstCursor.select

        def interrupted(cursor: NewestFirstCursor, block: list[Any]) -> None:
            select(cursor, block)
            signal.raise_signal(signal.SIGINT)

        with monkeypatch.context() as patch:
            patch.setattr(NewestFirstCursor, 'select', interrupted)
            with pytest.raises(KeyboardInterrupt):
                next(stream)
        storage.events = [{'event': 'new', 'n': 100}, *old]
        storage.faults = [cut_part(0.5)]
        consumed = list(stream)
    assert exact(consumed) == exact(storage.events)


def test_batches_that_were_deleted_meanwhile() -> None:
    storage = sample_storage()
    truth = storage.batches[:5]
    storage.faults = [cut_part(0.5)]
    with Server(storage.respond) as server:
        stream = stream_of(make_transport(server), 'frontier')
        got = []
        for batch in stream:
            got.append(batch)
            storage.batches = [other for other in storage.batches if other['id'] != batch['id']]
    weight = sum(len(batch['requests']) for batch in got)
    assert exact(got) == exact(truth)
    assert weight >= 9


def test_records_that_come_and_go_in_a_collection() -> None:
    storage = sample_storage()
    truth = set(storage.records['collections'])

    def change(answer: Reply) -> Reply:
        records = storage.records['collections'] | {'a': {}, 'zz': {}}
        storage.records['collections'] = {key: record for key, record in records.items() if key != 'b'}
        return cut_part(0.5)(answer)

    for name in ('collection', 'collection by order'):
        storage.records = sample_storage().records
        storage.faults = [change]
        with Server(storage.respond) as server:
            keys = [record['_key'] for record in stream_of(make_transport(server), name)]
        assert keys == sorted(set(keys), key=text_order)
        assert truth - {'b'} <= set(keys) <= truth | {'a', 'zz'}


# Bad records


def one_answer(body: bytes, **options: Any) -> Server:
    return Server(lambda request: reply(body, **options))


@pytest.mark.parametrize(
    ('body', 'words'),
    [
        (b'{"_key": "1/2/3/0"}\n{"_key": \n', 'record number 2 .the one after key 1/2/3/0. cannot be decoded'),
        (b'{"_key": "1/2/3/0"}\n[1]\n', 'not an object but of type list'),
        (b'{"_key": "1/2/3/0"}\n5\n', 'not an object but of type int'),
        (b'{"_key": "1/2/3/0"}\n"x"\n', 'not an object but of type str'),
        (b'null\n', 'not an object but of type NoneType'),
        (b'{"_key": 5}\n', 'not a text but of type int'),
        (b'{"_key": []}\n', 'not a text but of type list'),
        (b'\xff\n', 'not a line of JSON'),
    ],
)
def test_a_bad_record_is_asked_for_once_more_and_then_raised(body: bytes, words: str) -> None:
    answers = iter([reply(body), *[reply(body.partition(b'\n')[2] if b'3/0' in body else body)] * 9])
    with Server(lambda request: next(answers)) as server:
        stream = stream_of(make_transport(server), 'items')
        got: list[Any] = []
        with pytest.raises(DecodeError, match=words) as caught:
            got.extend(stream)
        assert len(server.requests) == 2
    assert not isinstance(caught.value, StreamInterrupted)
    assert isinstance(caught.value, ValueError)


def test_a_body_that_always_ends_inside_the_same_record_is_asked_for_four_times() -> None:
    with Server(lambda request: reply(b'{"_key": "1/2/3/0", ')) as server:
        with pytest.raises(DecodeError, match='record number 1 cannot be decoded, again and again'):
            next(stream_of(make_transport(server), 'items'))
        assert len(server.requests) == 4


@pytest.mark.parametrize('field', ['key', '_key', 'id'])
@pytest.mark.parametrize('value', ['null', '7', '[]', '{}', '"x"'])
def test_keys_that_are_none(field: str, value: str) -> None:
    """Keyless records cannot be told apart: the stream must not go on as if it knew what it delivered."""
    lines = [b'{"a": %d, "%s": %s}\n' % (number, field.encode(), value.encode()) for number in range(3)]
    for name in KINDS:
        first = True

        def respond(request: Request) -> Reply:
            nonlocal first
            whole = reply(b''.join(lines))
            if first:
                first = False
                return cut(len(lines[0]) * 2)(whole)
            return whole

        with Server(respond) as server:
            got: list[Any] = []
            try:
                got.extend(stream_of(make_transport(server, retries=RetrySettings(1)), name))
            except ScrapinghubAPIError:
                continue
            if name in ('samples', 'activity', 'logs'):
                assert len(got) == 3
            else:
                # Only whoever has keys may end in peace.
                assert value == '"x"', (name, got)


GOOD = [b'{"_key": "1/2/3/%d", "n": %d}\n' % (number, number) for number in range(4)]


def test_a_compressed_answer_that_is_damaged_twice() -> None:
    # First one record cannot be decoded, then an earlier one, behind one that is wrong and can be decoded.
    bodies = iter([[*GOOD[:2], b'{"_key"\n', GOOD[3]], [b'{"_key": "9"}\n', b'{\n', *GOOD[2:]], GOOD])
    with Server(lambda request: reply(b''.join(next(bodies)), encoding='gzip')) as server:
        records = list(stream_of(make_transport(server), 'items'))
        assert records == [{'n': number} for number in range(4)]
        assert len(server.requests) == 3


def test_a_wrong_record_in_front_of_a_bad_one_is_told() -> None:
    bad = [b'{"_key"\n', *GOOD[2:]]
    bodies = iter([[*GOOD[:1], *bad], [b'{"_key": "1/2/3/0", "n": 5}\n', *bad], GOOD])
    with Server(lambda request: reply(b''.join(next(bodies)), encoding='gzip')) as server:
        got: list[Any] = []
        with pytest.raises(StreamInterrupted, match='damaged in transit'):
            got.extend(stream_of(make_transport(server), 'items'))
        assert got == [{'n': 5}]


def test_a_compressed_answer_with_a_bad_record_delivers_what_stands_before_it() -> None:
    bad = [b'{"_key"\n', *GOOD[2:]]

    def respond(request: Request) -> Reply:
        return reply(b''.join(bad if request.get('startafter') else [*GOOD[:1], *bad]), encoding='gzip')

    with Server(respond) as server:
        got: list[Any] = []
        with pytest.raises(DecodeError, match=r'record number 2 .* cannot be decoded, again and again') as caught:
            got.extend(stream_of(make_transport(server), 'items'))
        assert got == [{'n': 0}]
        assert len(server.requests) == 4
    assert not isinstance(caught.value, StreamInterrupted)


def test_html_instead_of_records() -> None:
    with one_answer(b'<html>Sign in</html>', content_type='text/html') as server:
        with pytest.raises(DecodeError, match=r'it begins: .<html>Sign in'):
            next(stream_of(make_transport(server), 'items'))
        assert len(server.requests) == 1


def test_an_endless_record_ends() -> None:
    def endless() -> Iterator[bytes]:
        yield b'10\r\n{"a": "xxxxxxxxx\r\n'
        while True:
            yield b'10000\r\n' + b'x' * 65536 + b'\r\n'

    with Server(lambda request: Reply(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', endless())) as server:
        transport = make_transport(server, max_record=300_000)
        with pytest.raises(DecodeError, match='larger than 300000 bytes'):
            next(stream_of(transport, 'items'))
        transport.close()


@pytest.mark.parametrize('encoding', [None, 'gzip'])
def test_a_list_that_never_ends_ends(encoding: str | None) -> None:
    # Two lists of a million maps: what was decoded takes no room in the buffer of the decoder.
    record = b'\x81\xa1a' + b'\xdd\x00\x0f\xff\xff' * 2 + b'\x80' * 1_000_000
    with Server(lambda request: reply(record, content_type=MSGPACK, encoding=encoding)) as server:
        transport = make_transport(server, max_record=300_000)
        with pytest.raises(DecodeError, match='larger than 300000 bytes'):
            next(stream_of(transport, 'items', codec.MSGPACK))
        transport.close()


def test_a_trickle_is_bounded_by_the_clock() -> None:
    def trickle() -> Iterator[bytes]:
        yield chunked([b'{"_key": "1/2/3/0"}\n'])[:-5]
        while True:
            yield chunked([b' '])[:-5]

    with Server(lambda request: Reply(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', trickle())) as server:
        transport = make_transport(server, TickingClock(1.0), timeout=5, retries=RetrySettings(0))
        stream = stream_of(transport, 'items')
        assert next(stream) == {}
        with pytest.raises(ReadTimedOut, match='no complete record within 25 seconds') as caught:
            next(stream)
        assert isinstance(caught.value, StreamInterrupted)
        transport.close()


def test_padding_after_the_end_is_bounded_by_the_clock() -> None:
    packed = reply(b'{"_key": "1/2/3/0"}\n', encoding='gzip').data.partition(b'\r\n\r\n')[2]

    def trickle() -> Iterator[bytes]:
        yield chunked([packed])[:-5]
        while True:
            yield chunked([b'\0'])[:-5]

    head = b'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n'
    with Server(lambda request: Reply(head, trickle())) as server:
        transport = make_transport(server, TickingClock(1.0), timeout=5, retries=RetrySettings(0))
        stream = stream_of(transport, 'items')
        assert next(stream) == {}
        with pytest.raises(ReadTimedOut):
            next(stream)
        transport.close()


def test_the_first_record_comes_before_the_last_one_has_been_sent() -> None:
    gate = threading.Event()

    def halves() -> Iterator[bytes]:
        yield chunked([b'{"_key": "1/2/3/0"}\n{"_key"'])[:-5]
        assert gate.wait(10)
        yield chunked([b': "1/2/3/1"}\n'])

    with Server(lambda request: Reply(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', halves())) as server:
        stream = stream_of(make_transport(server), 'items')
        assert next(stream) == {}
        gate.set()
        assert list(stream) == [{}]


def test_a_body_without_length_is_asked_for_until_nothing_new_comes() -> None:
    storage = sample_storage(framing='close')
    lines = lines_of({**item, '_key': f'{JOB}/{number}'} for number, item in enumerate(storage.items))
    # The answer to the second question is cut before its first byte.
    storage.faults = [cut(lines.index(b'\n', 200) + 1), cut(0)]
    with Server(storage.respond) as server:
        assert exact(list(stream_of(make_transport(server), 'items'))) == exact(storage.items)
        # After the rest, whose answer does not say that it is whole, two that have nothing more.
        assert len(server.requests) == 5


# Giving up


def test_batches_without_length_come_once_although_the_last_line_does_not_end() -> None:
    body = b'{"id": "a"}\n{"id": "b"}\n{"id": "c"}'
    with Server(lambda _: reply(body, framing='close')) as server:
        transport = make_transport(server)
        stream: RecordStream[Any] = RecordStream(
            Source(transport, Call('GET', f'{server.url}/x')), DedupeCursor([], field='id')
        )
        assert [record['id'] for record in stream] == ['a', 'b', 'c']
        # Two repetitions have to have nothing new.
        assert len(server.requests) == 3
        transport.close()


def test_each_group_of_names_is_asked_for_again_if_its_answer_was_empty_and_without_length() -> None:
    names = [f'{number:090}' for number in range(120)]
    empty: list[str] = []

    def respond(request: Request) -> Reply:
        asked = request.all('key')
        if asked[-1] not in empty and asked[0] != names[0]:
            # Cut before its first byte.
            empty.append(asked[-1])
            return reply(b'', framing='close')
        return reply(lines_of({'_key': key} for key in asked), framing='close')

    with Server(respond) as server:
        transport = make_transport(server)
        cursor = PendingKeysCursor([], 'key', names)
        stream: RecordStream[Any] = RecordStream(Source(transport, Call('GET', f'{server.url}/x')), cursor)
        assert [record['_key'] for record in stream] == names
        assert empty
        transport.close()


def test_a_stream_that_cannot_go_on_says_how_far_it_came() -> None:
    storage = sample_storage()
    storage.faults = [cut_part(0.5), *[instead(503)] * 1000]
    clock = ManualClock()
    with Server(storage.respond) as server:
        stream = stream_of(make_transport(server, clock), 'items')
        got: list[Any] = []
        with pytest.raises(StreamInterrupted) as caught:
            got.extend(stream)
        error = caught.value
        assert isinstance(error, ServerError)
        assert error.status_code == 503
        assert error.delivered == len(got) > 0
        assert error.last_key == f'{JOB}/{len(got) - 1}'
        assert str(error).startswith('<h1>no</h1>\nGET items/1: HTTP 503')
        assert isinstance(error.original, requests.HTTPError)
        assert isinstance(pickle.loads(pickle.dumps(error)), ServerError)
        # Three hours without progress.
        assert 3 * 3600 <= sum(clock.waits) < 3 * 3600 + 61
        # Iterating again goes on, with the longer budget of a stream that has delivered.
        storage.faults = [instead(503)] * 20
        assert exact(got + list(stream)) == exact(storage.items)


def test_a_stream_before_its_first_record_has_the_budget_of_a_call() -> None:
    with Server(lambda request: Reply(b'', reset=True)) as server:
        clock = ManualClock()
        stream = stream_of(make_transport(server, clock), 'items')
        for attempts in (4, 8):
            with pytest.raises(requests.ConnectionError) as caught:
                next(stream)
            assert isinstance(caught.value, StreamInterrupted)
            assert caught.value.delivered == 0
            assert caught.value.last_key is None
            assert len(server.requests) == attempts


def test_limits_that_were_given_bound_a_resumed_stream() -> None:
    storage = sample_storage()
    storage.faults = [cut_part(0.5), instead(503), cut_part(0.5), *[instead(503)] * 9]
    clock = ManualClock()
    with Server(storage.respond) as server:
        with pytest.raises(StreamInterrupted):
            list(stream_of(make_transport(server, clock, retries=RetrySettings(2)), 'items'))
        # Progress began the budget anew: 1 + 1 + 1 requests, then three failures.
        assert len(server.requests) == 5


@pytest.mark.parametrize('status', [400, 401, 403, 404, 500])
def test_a_refusal_is_raised_at_once(status: int) -> None:
    storage = sample_storage()
    storage.faults = [cut_part(0.5), instead(status)]
    with Server(storage.respond) as server:
        stream = stream_of(make_transport(server), 'items')
        with pytest.raises(ScrapinghubAPIError) as caught:
            list(stream)
        assert caught.value.status_code == status
        assert not isinstance(caught.value, StreamInterrupted)
        assert isinstance(caught.value, NotFound) == (status == 404)
        assert len(server.requests) == 2


def test_retry_after_on_a_resumed_request() -> None:
    storage = sample_storage()
    storage.faults = [cut_part(0.5), lambda answer: reply(status=503, headers={'Retry-After': '700'})]
    clock = ManualClock()
    with Server(storage.respond) as server:
        assert exact(list(stream_of(make_transport(server, clock), 'items'))) == exact(storage.items)
    # The rest is the pause after the cut.
    assert 700 <= sum(clock.waits) < 705


# Life and death of an iterator


def test_nothing_is_sent_before_the_first_next() -> None:
    with Server(lambda request: reply()) as server:
        stream = stream_of(make_transport(server), 'items')
        iter(stream)
        assert server.requests == []
        assert list(stream) == []
        assert list(stream) == []
        with pytest.raises(StopIteration):
            next(stream)
        assert len(server.requests) == 1


@pytest.mark.parametrize('how', ['forgotten', 'closed by islice'])
def test_an_abandoned_iterator_gives_its_connection_back(how: str) -> None:
    gate = threading.Event()

    def respond(request: Request) -> Reply:
        if request.path == '/other':
            return reply(b'1')
        head = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
        return Reply(head + chunked([b'{"_key": "1/2/3/0"}\n'])[:-5], iter(lambda: None, None), hold=gate)

    gc.disable()
    try:
        with Server(respond) as server:
            transport = make_transport(server)
            stream: Any = stream_of(transport, 'items')
            if how == 'forgotten':
                assert next(stream) == {}
            else:
                assert list(itertools.islice(stream, 1)) == [{}]
            response_open = len(server.requests)
            del stream
            gate.set()
            assert response_open == 1
            # Without the cycle collector: the reference count closes the answer.
            assert server.wait_until(lambda: server.closed == 1)
            assert transport.get(('other',)).value == 1
            transport.close()
    finally:
        gc.enable()


def test_a_stream_that_was_read_to_its_end_leaves_its_connection() -> None:
    storage = sample_storage(encoding='gzip', framing='chunked')
    with Server(storage.respond) as server:
        transport = make_transport(server)
        for name, accept in KIND_AND_ACCEPT:
            list(stream_of(transport, name, accept))
        assert server.connections == 1
        transport.close()


def test_no_garbage_is_left_behind() -> None:
    storage = sample_storage()
    with Server(storage.respond) as server:
        transport = make_transport(server)
        list(stream_of(transport, 'items'))
        gc.collect()
        gc.disable()
        # What earlier tests left, such as workers that are about to end, is not counted.
        gc.freeze()
        try:
            for _ in range(5):
                stream = stream_of(transport, 'items')
                next(stream)
                del stream
                list(stream_of(transport, 'items'))
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            left = [item for item in gc.garbage if type(item).__module__.startswith('scrapinghub')]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.unfreeze()
            gc.enable()
        assert left == []
        transport.close()


def test_a_consumer_that_changes_its_records() -> None:
    storage = sample_storage()
    for name in ('samples', 'activity', 'jobs', 'collection'):
        truth = exact(KINDS[name].truth(storage))
        storage.faults = [cut_part(0.6)]
        got = []
        with Server(storage.respond) as server:
            for record in stream_of(make_transport(server), name):
                got.extend(exact([record]))
                record.clear()
        assert got == truth


def test_the_type_of_the_answer_decides() -> None:
    storage = sample_storage()

    def respond(request: Request) -> Reply:
        return storage.respond(Request('GET', request.target, {}, b'', 0))

    with Server(respond) as server:
        assert exact(list(stream_of(make_transport(server), 'items', codec.MSGPACK))) == exact(storage.items)
