"""Bytes to records: the same records however a body arrives, and an error wherever it is not whole."""

from __future__ import annotations

import copy
import importlib.util
import json
import math
import struct
import tracemalloc
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub.transport import codec
from scrapinghub.transport.codec import decoders, encoder, json_decoders

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=['Cs']), max_size=12)
JSON_LEAVES = st.none() | st.booleans() | st.integers() | FINITE | TEXT
JSON_VALUES = st.recursive(
    JSON_LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)
MSGPACK_LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | FINITE | TEXT | st.binary(max_size=8)
MSGPACK_VALUES = st.recursive(
    MSGPACK_LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.integers(0, 9), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(params=['msgspec', 'standard library'])
def lines_decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Decode lines once with the extra ``fast`` and once without."""
    if request.param == 'msgspec':
        pytest.importorskip('msgspec')
    else:
        monkeypatch.setitem(__import__('sys').modules, 'msgspec', None)
    json_decoders._line_decoder.cache_clear()
    yield request.param
    json_decoders._line_decoder.cache_clear()


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


def run(decoder: codec.Decoder, *parts: bytes) -> tuple[list[Any], codec.Malformed | None]:
    """Return the records of a body and the error, the same whether they are taken in lists or one by one."""
    lazy = copy.deepcopy(decoder) if not isinstance(decoder, codec.MsgpackDecoder) else type(decoder)()
    if isinstance(decoder, codec.MsgpackDecoder):
        for name in ('smallest_part', '_decode'):
            setattr(lazy, name, getattr(decoder, name))
    records = [record for part in parts for record in decoder.feed(part)]
    records += decoder.finish()
    assert exact(take_one_by_one(lazy, *parts)) == exact(records)
    assert str(lazy.error) == str(decoder.error)
    return records, decoder.error


def take_one_by_one(decoder: codec.Decoder, *parts: bytes) -> list[Any]:
    records: list[Any] = []
    for part in parts:
        try:
            records.extend(decoder.iterate(part))
        except decoder.failures as failure:
            records.extend(decoder.recover(failure))
    return records + decoder.finish()


def exact(value: Any) -> Any:
    """Return a form in which 1, 1.0 and True differ, and a NaN is equal to itself."""
    return repr(value)


CUTS = st.lists(st.integers(0, 400), max_size=12)


# JSON lines


@given(st.lists(JSON_VALUES, max_size=6), CUTS, st.booleans(), st.booleans())
@pytest.mark.parametrize('fast', [True, False])
def test_lines_in_any_pieces(fast: bool, values: list[Any], cuts: list[int], last_newline: bool, escape: bool) -> None:
    decoder = codec.JsonLinesDecoder()
    if not fast:
        decoder._decode_line = None
    body = '\n'.join(json.dumps(value, ensure_ascii=escape) for value in values).encode()
    if last_newline and values:
        body += b'\n'
    records, error = run(decoder, *pieces(body, cuts))
    assert error is None
    assert exact(records) == exact([json.loads(json.dumps(value)) for value in values])


@pytest.mark.usefixtures('lines_decoder')
@pytest.mark.parametrize(
    ('body', 'expected'),
    [
        ('"a\u2028b"\n"c\u2029d\u0085e"\n', ['a\u2028b', 'c\u2029d\u0085e']),
        ('{"a":1}\r\n{"a":2}\r\n', [{'a': 1}, {'a': 2}]),
        ('\n\n1\n\n \n2\n\n', [1, 2]),
        ('1\n2', [1, 2]),
        ('', []),
        ('\n', []),
        (' {"a":1} \n\t2\n', [{'a': 1}, 2]),
        ('"\\ud800"\n"\\ud83d\\ude00"\n', ['\ud800', '😀']),
        ('{"a":1,"a":2}\n', [{'a': 2}]),
        ('1' * 1000 + '\n-' + '9' * 30, [int('1' * 1000), -int('9' * 30)]),
        ('1e400\n-1e400\n', [math.inf, -math.inf]),
        ('-0\n-0.0\n5e-324\n', [0, -0.0, 5e-324]),
        ('"\\u0000\\/"\n', ['\0/']),
    ],
)
def test_lines(body: str, expected: list[Any]) -> None:
    data = body.encode()
    for parts in ([data], [data[place : place + 1] for place in range(len(data))]):
        records, error = run(codec.JsonLinesDecoder(), *parts)
        assert error is None
        assert exact(records) == exact(expected)


@pytest.mark.usefixtures('lines_decoder')
def test_nan_is_read_as_the_standard_library_reads_it() -> None:
    records, error = run(codec.JsonLinesDecoder(), b'{"a":NaN,"b":-Infinity}\n')
    assert error is None
    assert math.isnan(records[0]['a'])
    assert records[0]['b'] == -math.inf


@pytest.mark.usefixtures('lines_decoder')
@pytest.mark.parametrize(
    'line',
    [
        b'[1,\n2]', b'{"a":1}{"b":2}', b'1 2', b'true false', b'[][]', b'{"a":1}\n{}{}', b'[1,\n2]{}', b'"a\tb"', b'01',
        b'1.', b'.5', b'-', b'{"a":1}\0', b'{"a":1,}', b'"\\x"', b'{1:2}', b'"\xff"', b'"\xed\xa0\x80"',
        b'\xef\xbb\xbf1', b'\xa0', b'["a"', b'"a', b'<html>', b'[' * 100_000 + b']' * 100_000, b'[' * 100_000,
        b'9' * 5000,
    ],
)  # fmt: skip
def test_what_is_no_line_of_json_ends_the_records_before_it(line: bytes) -> None:
    good = b'{"first":1}\n'
    expected = 2 if line.startswith(b'{"a":1}\n') else 1
    for body in (good + line + b'\n{"last":1}\n', good + line):
        records, error = run(codec.JsonLinesDecoder(), body)
        assert len(records) == expected
        assert isinstance(error, codec.Malformed)
        assert len(str(error)) < 300


RECORDS = [
    {'_key': '1/2/3/0', 'name': 'é\u2028x', 'n': [1, -2.5, None, True]},
    {'_key': '1/2/3/1', 'm': {'k': 'v' * 30}},
]


@pytest.mark.usefixtures('lines_decoder')
def test_lines_cut_at_every_byte() -> None:
    body = '\n'.join(json.dumps(record, ensure_ascii=False) for record in RECORDS).encode() + b'\n'
    ends = [place for place, byte in enumerate(body) if byte == 10]
    for cut in range(len(body) + 1):
        records, error = run(codec.JsonLinesDecoder(), body[:cut])
        assert records == RECORDS[: sum(end <= cut for end in ends)]
        whole = cut == 0 or cut in ends or cut - 1 in ends
        assert (error is None) == whole


@st.composite
def lines_of_bytes(draw: st.DrawFn) -> bytes:
    part = (
        st.sampled_from([b'{', b'}', b'[', b']', b'"', b',', b':', b'1', b'-', b'.', b'e', b'null', b'true', b'NaN'])
        | st.sampled_from([b'\n', b' ', b'\r', b'\\', b'\\ud800', b'u00e9', b'\xff', b'\xe2\x80\xa8', b'\0', b'"a"'])
        | JSON_VALUES.map(lambda value: json.dumps(value).encode())
        | st.from_regex(r'-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?', fullmatch=True).map(str.encode)
        | st.text(max_size=4).map(lambda text: json.dumps(text, ensure_ascii=False).encode('utf-8', 'surrogatepass'))
    )
    return b''.join(draw(st.lists(part, max_size=8)))


@given(lines_of_bytes())
def test_the_fast_decoders_agree_with_the_plain_one(body: bytes) -> None:
    pytest.importorskip('msgspec')
    found: list[tuple[str, bool]] = []
    for fast in (False, True):
        decoder = codec.JsonLinesDecoder()
        if not fast:
            decoder._decode_line = None
        records, error = run(decoder, body)
        found.append((exact(records), error is None))
    plain: list[Any] = []
    try:
        json_decoders._decode_line_by_line(body, plain)
        found.append((exact(plain), True))
    except (ValueError, RecursionError):
        found.append((exact(plain), False))
    assert found[0] == found[1] == found[2]


@pytest.mark.usefixtures('lines_decoder')
def test_an_endless_line_is_not_kept() -> None:
    decoder = codec.JsonLinesDecoder(max_record=1000)
    assert decoder.feed(b'{"a":1}\n"') == [{'a': 1}]
    for _ in range(50):
        assert decoder.feed(b'x' * 100) == []
    assert 'larger than 1000 bytes' in str(decoder.error)
    assert decoder._held <= 1200
    assert decoder.feed(b'"\n1\n') == []
    assert decoder.finish() == []


# MessagePack


@given(st.lists(MSGPACK_VALUES, max_size=6), CUTS)
def test_messagepack_in_any_pieces(values: list[Any], cuts: list[int]) -> None:
    body = b''.join(map(msgpack.packb, values))
    records, error = run(codec.MsgpackDecoder(), *pieces(body, cuts))
    assert error is None
    assert exact(records) == exact(values)


@given(st.lists(MSGPACK_VALUES, min_size=1, max_size=3), st.booleans())
def test_messagepack_cut_at_every_byte(values: list[Any], bytewise: bool) -> None:
    packed = list(map(msgpack.packb, values))
    body = b''.join(packed)
    ends = [sum(map(len, packed[:number])) for number in range(len(packed) + 1)]
    for cut in range(len(body) + 1):
        data = body[:cut]
        parts = [data[place : place + 1] for place in range(cut)] if bytewise else [data]
        records, error = run(codec.MsgpackDecoder(), *parts)
        assert exact(records) == exact(values[: sum(0 < end <= cut for end in ends)])
        assert (error is None) == (cut in ends)


@pytest.mark.parametrize(
    'bad',
    [
        b'\xc1', b'\xdb\xff\xff\xff\xff', b'\xdb\x7f\xff\xff\xff' + b'x' * 100, b'\xc6\xff\xff\xff\xff', b'\xa1\xff',
        b'\xdd\xff\xff\xff\xff', b'\xdf\xff\xff\xff\xff', b'\xc9\xff\xff\xff\xff\x05', b'\x91' * 100_000,
        b'\x81\xa1a' * 100_000, b'\x81\x91\x01\x01', b'\x81\x80\x01', b'\xc7\x05\xff12345',
        b'\xdd\x00\x0f\xff\xff' * 600,
    ],
)  # fmt: skip
def test_what_is_no_messagepack_ends_the_records_before_it(bad: bytes) -> None:
    tracemalloc.start()
    try:
        records, error = run(codec.MsgpackDecoder(), msgpack.packb({'first': 1}) + bad)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert records == [{'first': 1}]
    assert isinstance(error, codec.Malformed)
    # Releases before 1.2.4 reserve the room that lying lengths name, one inside the other, and never touch it.
    reserved = 0 if msgpack.version >= (1, 2, 4) else 512 * 8 * decoders._MAX_ELEMENTS * 3
    assert peak < 128 * 1024 * 1024 + reserved


# What the fast decoder has to leave to msgpack: other keys than text, extension types, bytes, deep nesting, damage.
UNUSUAL = st.sampled_from(
    [
        b'\x81\x91\x01\x02', b'\x81\x80\x01', b'\x81\xc4\x01k\x01', b'\x82\x01\x02\xa11\x03', b'\x81\xc3\x01',
        b'\xd4\x05x', b'\xd6\xff\x00\x00\x00\x01', b'\x81\xa1t\xd7\xff\x00\x00\x00\x00\x00\x00\x00\x01',
        b'\xc7\x0c\xff' + bytes(12), b'\xc7\x05\xff12345', b'\x81\xa1b\xc4\x02\xff\x00', b'\x91' * 12 + b'\x01',
        b'\x91' * 2000, b'\xc1', b'\xa2\xff\xfe', b'\xa3\xed\xa0\x80', b'\xca\x7f\xc0\x00\x00',
        b'\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00', b'\x82\xa1a\x01\xa1a\x02', b'\xdd\xff\xff\xff\xff',
        b'\xdb\x00\x00\x00\x01a', b'\xc0', b'\xff', b'\xcf' + b'\xff' * 8,
    ]
)  # fmt: skip


@pytest.mark.skipif(importlib.util.find_spec('msgspec') is None, reason='msgspec is not installed')
@given(
    st.lists(st.one_of(MSGPACK_VALUES.map(msgpack.packb), UNUSUAL), max_size=6),
    CUTS,
    st.one_of(st.none(), st.tuples(st.integers(0, 60), st.integers(0, 255))),
    st.sampled_from([0, 20, 8192]),
)
def test_both_decoders_of_messagepack_agree(
    packed: list[bytes], cuts: list[int], damage: tuple[int, int] | None, smallest: int
) -> None:
    body = bytearray(b''.join(packed))
    if damage is not None and damage[0] < len(body):
        body[damage[0]] = damage[1]
    parts = pieces(bytes(body), cuts)
    plain, fast = codec.MsgpackDecoder(), codec.MsgpackDecoder()
    plain._decode = None
    fast.smallest_part = smallest
    records, error = run(plain, *parts)
    fast_records, fast_error = run(fast, *parts)
    assert exact(fast_records) == exact(records)
    assert str(fast_error) == str(error)


@pytest.mark.skipif(importlib.util.find_spec('msgspec') is None, reason='msgspec is not installed')
def test_msgspec_decodes_the_values_of_large_parts() -> None:
    plain = {'a': [1, {'b': 0.5}], 'c': None}
    unusual = {'t': msgpack.Timestamp(1, 2), 1: b'bytes'}
    body = b''.join(map(msgpack.packb, [plain, unusual, plain, unusual]))
    decoder = codec.MsgpackDecoder()
    decoded: list[bytes] = []
    decode = decoder._decode
    assert decode is not None

    def record(value: bytes) -> Any:
        decoded.append(value)
        return decode(value)

    decoder._decode = record
    assert decoder.feed(body) == [plain, unusual, plain, unusual]
    assert not decoded
    decoder = codec.MsgpackDecoder()
    decoder._decode, decoder.smallest_part = record, 0
    assert decoder.feed(body) == [plain, unusual, plain, unusual]
    assert decoded == list(map(msgpack.packb, [plain, unusual]))
    # A limit that is smaller than a piece applies within it.
    assert codec.MsgpackDecoder(1000)._decode is None


def test_a_record_of_messagepack_over_the_limit_is_refused_before_it_is_whole() -> None:
    decoder = codec.MsgpackDecoder(max_record=100_000)
    body = msgpack.packb({'first': 1}) + b'\xdb' + struct.pack('>I', 2**31 - 1)
    assert decoder.feed(body) == [{'first': 1}]
    for _ in range(40):
        assert decoder.feed(b'x' * 65536) == []
    assert 'larger than 100000 bytes' in str(decoder.error)


def test_a_large_record_of_messagepack_within_the_limit() -> None:
    value = {'a': 'x' * 3_000_000, 'b': [1] * 100_000}
    body = msgpack.packb(value)
    decoder = codec.MsgpackDecoder()
    records = [record for start in range(0, len(body), 65536) for record in decoder.feed(body[start : start + 65536])]
    assert records == [value]
    assert decoder.finish() == []
    assert decoder.error is None


# One JSON value


@given(JSON_VALUES, CUTS)
def test_one_value_in_any_pieces(value: Any, cuts: list[int]) -> None:
    body = json.dumps(value, indent=1).encode()
    records, error = run(codec.JsonDecoder(), *pieces(body, cuts))
    assert error is None
    assert exact(records) == exact([json.loads(body)])


def test_the_elements_of_an_array_are_records_where_records_are_owed() -> None:
    assert run(codec.JsonDecoder(spread=True), b'[{"a": 1}, {"a": 2}]') == ([{'a': 1}, {'a': 2}], None)
    assert run(codec.JsonDecoder(), b'[1, 2]') == ([[1, 2]], None)
    assert run(codec.JsonDecoder(spread=True), b' \n') == ([], None)


@pytest.mark.parametrize('body', [b'{"a": 1', b'[' * 100_000, b'\xff', b'1 2', b'<html></html>'])
def test_a_value_that_is_no_json(body: bytes) -> None:
    records, error = run(codec.JsonDecoder(spread=True), body)
    assert records == []
    assert isinstance(error, codec.Malformed)


def test_lines_that_are_labelled_as_one_value() -> None:
    assert run(codec.JsonDecoder(spread=True), b'{"a": 1}\n{"a": 2}\n') == ([{'a': 1}, {'a': 2}], None)


def test_a_value_over_the_limit() -> None:
    records, error = run(codec.JsonDecoder(10), b'"' + b'x' * 20 + b'"')
    assert records == []
    assert 'larger than 10 bytes' in str(error)


# Choosing


@pytest.mark.parametrize(
    ('content_type', 'asked', 'expected'),
    [
        ('application/x-msgpack; charset=UTF-8', codec.JSON_LINES, codec.MsgpackDecoder),
        ('Application/X-JSONLines', codec.MSGPACK, codec.JsonLinesDecoder),
        ('application/json;charset=x', codec.MSGPACK, codec.JsonDecoder),
        ('text/plain', codec.JSON_LINES, codec.JsonLinesDecoder),
        ('text/plain', codec.JSON, codec.JsonDecoder),
        (None, codec.MSGPACK, codec.MsgpackDecoder),
        ('', codec.JSON, codec.JsonDecoder),
        ('application/octet-stream', codec.JSON_LINES, codec.JsonLinesDecoder),
    ],
)
def test_the_content_type_chooses_the_decoder(content_type: str | None, asked: str, expected: type) -> None:
    assert isinstance(codec.decoder_for(content_type, asked=asked, kinds=codec.DECODERS), expected)


@pytest.mark.parametrize('content_type', ['text/html', 'text/csv', 'image/png', 'nonsense'])
def test_a_content_type_that_nobody_asked_for(content_type: str) -> None:
    with pytest.raises(codec.Malformed, match=content_type):
        codec.decoder_for(content_type, asked=codec.JSON, kinds=codec.DECODERS)


# Encoding


@given(st.recursive(JSON_LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)))
def test_what_json_knows_is_sent_as_it_is(value: Any) -> None:
    assert exact(json.loads(codec.encode_json(value))) == exact(value)
    assert b'\n' not in codec.encode_lines([value])


@pytest.mark.parametrize('value', [math.nan, math.inf, {'a': [-math.inf]}, {math.nan: 1}])
def test_numbers_that_json_does_not_know_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match='cannot be sent as JSON'):
        codec.encode_json(value)


def test_what_cannot_be_written_down_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (loop, deep):
        with pytest.raises(ValueError, match='cannot be sent as JSON'):
            codec.encode_json(value)


@given(st.datetimes(timezones=st.none() | st.just(timezone.utc) | st.just(timezone(timedelta(hours=-9, minutes=-30)))))
def test_datetimes_become_milliseconds(value: datetime) -> None:
    try:
        utc = value if value.tzinfo is None else value.astimezone(timezone.utc).replace(tzinfo=None)
    except OverflowError:
        return
    expected = (utc - datetime(1970, 1, 1)) // timedelta(milliseconds=1)
    assert json.loads(codec.encode_json([value])) == [float(expected)]


def test_other_objects_become_their_text() -> None:
    assert codec.encode_json([Decimal('1.5'), timedelta(1)]) == '["1.5", "1 day, 0:00:00"]'


def test_bytes_and_sets_warn_once_a_process() -> None:
    encoder._warn_once.cache_clear()
    with pytest.warns(UserWarning, match='bytes and sets') as seen:
        assert codec.encode_json({'a': b'x', 'b': {1}}) == '{"a": "b\'x\'", "b": "{1}"}'
    assert len(seen) == 1
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        codec.encode_json({'a': b'x'})
