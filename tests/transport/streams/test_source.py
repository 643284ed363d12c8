"""Records that are decoded one at a time are those of a list, and each is counted before it is delivered."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub.exceptions import ScrapinghubAPIError
from scrapinghub.transport import codec
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.retries import RetrySettings
from scrapinghub.transport.streams.cursor import Cursor, KeysetCursor, Pairs
from scrapinghub.transport.streams.cursors_without_keys import DedupeCursor
from scrapinghub.transport.streams.source import Source
from scrapinghub.transport.streams.stream import RecordStream
from support.transports import make_transport

# Those that MessagePack has, too.
INTEGERS = st.integers(-(2**63), 2**64 - 1)

RECORDS: st.SearchStrategy[list[Any]] = st.lists(
    st.dictionaries(st.sampled_from(['_key', 'a', 'b']), st.none() | INTEGERS | st.text(max_size=4), max_size=3)
    | st.sampled_from([{'_key': '1/2/3/4', 'a': float('nan')}, [], 5, 'text', None, {'_key': 5}]),
    max_size=8,
)

TRANSPORT = make_transport('http://nowhere', retries=RetrySettings(0))


class Prepared(Source):
    """A source whose responses are prepared."""

    def __init__(self, *bodies: bytes, lines: bool) -> None:
        super().__init__(TRANSPORT, Call('GET', 'http://nowhere/x'))
        self.bodies = list(bodies)
        self.asked: list[Pairs] = []
        self.content_type = codec.JSON_LINES if lines else codec.MSGPACK

    def open(self, params: Pairs, number: int) -> requests.Response:
        self.asked.append(params)
        response = requests.Response()
        response.status_code = 200
        response.headers['Content-Type'] = self.content_type
        response._content = self.bodies.pop(0) if self.bodies else b''
        return response


def lines(records: list[Any]) -> bytes:
    return b''.join(json.dumps(record).encode() + b'\n' for record in records)


def packed(records: list[Any]) -> bytes:
    return b''.join(map(msgpack.packb, records))


def unchanged(record: Any) -> Any:
    return record


CURSORS: dict[str, Callable[[int | None], Cursor]] = {
    'after the key, stripped': lambda count: KeysetCursor([], count, strip=True),
    'after the key': lambda count: KeysetCursor([], count, strip=False),
    'by keys': lambda count: DedupeCursor([], count, field='_key'),
}


@given(RECORDS, st.none() | st.integers(1, 5), st.sampled_from(list(CURSORS)), st.booleans(), st.binary(max_size=4))
def test_the_same_records_are_delivered_in_both_ways(
    records: list[Any], count: int | None, name: str, as_lines: bool, damage: bytes
) -> None:
    body = (lines if as_lines else packed)(records) + damage
    found = []
    # A conversion takes the records from a list.
    for convert in (None, unchanged):
        cursor, source = CURSORS[name](count), Prepared(body, lines=as_lines)
        stream: RecordStream[Any] = RecordStream(source, cursor, convert)
        got = []
        error = None
        try:
            for record in stream:
                got.append(repr(record))
                assert stream.delivered == len(got)
        except ScrapinghubAPIError as caught:
            error = str(caught)
        found.append([got, stream.delivered, stream.last_key, error, source.asked])
    assert found[0] == found[1]


def test_no_record_beyond_the_count_is_delivered() -> None:
    cursor = KeysetCursor([], 2)
    source = Prepared(packed([{'_key': f'1/2/3/{number}'} for number in range(5)]), lines=False)
    assert list(RecordStream[Any](source, cursor)) == [{}, {}]
    assert (cursor.delivered, cursor.last_key, cursor.full) == (2, '1/2/3/1', True)


def test_the_rest_of_an_interrupted_response_is_requested() -> None:
    keys = [{'_key': f'1/2/3/{number}'} for number in range(4)]
    source = Prepared(packed(keys), packed(keys[2:]), lines=False)
    got: list[Any] = []

    def interrupt(record: Any) -> Any:
        if len(got) == 2 and len(source.asked) == 1:
            raise KeyboardInterrupt
        return record

    stream = RecordStream(source, KeysetCursor([], strip=False), interrupt)
    with pytest.raises(KeyboardInterrupt):
        got.extend(stream)
    got.extend(stream)
    assert got == keys
    assert source.asked == [[], [('startafter', '1/2/3/1')]]


def test_records_delivered_by_key_are_not_delivered_again() -> None:
    body = lines([{'id': 'a'}, {'id': 'b'}])
    source = Prepared(body + b'{"id": ', lines([{'id': 'd'}]) + body + lines([{'id': 'c'}]), lines=True)
    stream: RecordStream[Any] = RecordStream(source, DedupeCursor([], field='id'))
    got: list[Any] = []
    with pytest.raises(ScrapinghubAPIError):
        got.extend(stream)
    got.extend(stream)
    assert [record['id'] for record in got] == ['a', 'b', 'd', 'c']


# Conversion


def test_a_conversion_that_fails_is_raised_as_it_is() -> None:
    for as_lines in (True, False):
        body = (lines if as_lines else packed)([{'_key': '1/2/3/0', 'n': '1'}, {'_key': '1/2/3/1', 'n': 'x'}])
        stream = RecordStream(Prepared(body, lines=as_lines), KeysetCursor([]), lambda record: int(record['n']))
        assert next(stream) == 1
        with pytest.raises(ValueError, match='invalid literal'):
            next(stream)
        assert stream.delivered == 1


# The bytes that the service sent


@pytest.mark.parametrize('as_lines', [True, False])
@pytest.mark.parametrize('name', CURSORS)
def test_raw_records_are_the_bytes_that_were_sent(as_lines: bool, name: str) -> None:
    records = [{'_key': f'1/2/3/{number}', 'text': 'é\u2028' * number, 'n': [number]} for number in range(5)]
    encode = lines if as_lines else packed
    rest = records[2:] if name.startswith('after') else records
    source = Prepared(encode(records[:2]) + encode(records[2:])[:9], encode(rest), lines=as_lines)
    source.raw = True
    stream: RecordStream[bytes] = RecordStream(source, CURSORS[name](None))
    got: list[bytes] = []
    with pytest.raises(ScrapinghubAPIError):
        got.extend(stream)
    assert stream.last_key == '1/2/3/1'
    got.extend(stream)
    assert b''.join(record + b'\n' * as_lines for record in got) == encode(records)
    assert stream.last_key == '1/2/3/4'


@pytest.mark.parametrize('line', [b'<html>\n', b'{"a": "\xff"}\n', b'{"a": \n'])
def test_raw_lines_that_are_no_objects_are_refused(line: bytes) -> None:
    source = Prepared(b'{"_key": "1/2/3/0"}\n' + line, lines=True)
    source.raw = True
    stream: RecordStream[bytes] = RecordStream(source, KeysetCursor([]))
    assert next(stream) == b'{"_key": "1/2/3/0"}'
    with pytest.raises(ScrapinghubAPIError):
        next(stream)
