"""Bodies over real connections: unpacked with bounded output, and complete only when their framing says so."""

from __future__ import annotations

import gzip
import itertools
import random
import sys
import threading
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st
from requests_mock import Mocker

from scrapinghub.transport.http.body import Body
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.gzip import UNPACKED_SIZE, Inflater, zlib_library
from support.clocks import TickingClock
from support.scripted_server import Reply, Server, chunked, pack, payload_size, reply
from support.transports import make_transport


@pytest.fixture(scope='module', params=['isal', 'zlib'], autouse=True)
def library(request: pytest.FixtureRequest) -> Iterator[str]:
    """Unpack once with the library of the extra ``fast``, and once with that of Python."""
    if request.param == 'isal':
        pytest.importorskip('isal')
    with pytest.MonkeyPatch.context() as patch:
        if request.param == 'zlib':
            patch.setitem(sys.modules, 'isal', None)
        zlib_library.cache_clear()
        yield request.param
    zlib_library.cache_clear()


ENCODINGS = (None, 'gzip', 'deflate', 'raw')
FRAMINGS = ('length', 'chunked', 'close')


class Fixed:
    """A server whose answer can be exchanged, and a session that asks it."""

    def __init__(self) -> None:
        self.answer: Reply = reply()
        self.server = Server(lambda request: self.answer)

    def body(self, session: requests.Session) -> Body:
        response = session.get(self.server.url, stream=True, headers={'Accept-Encoding': 'gzip, deflate'})
        return Body(response)

    def read(self) -> tuple[bytes, bool]:
        """Return the body, and whether it is ambiguous."""
        with requests.Session() as session:
            body = self.body(session)
            return b''.join(body), body.ambiguous


@pytest.fixture
def fixed() -> Iterator[Fixed]:
    fixed = Fixed()
    with fixed.server:
        yield fixed


TEXT = b'{"a":1}\n{"b":"\xc3\xa9"}\n' + random.Random(1).randbytes(30)


@pytest.mark.parametrize('framing', FRAMINGS)
@pytest.mark.parametrize('encoding', ENCODINGS)
def test_every_cut_is_noticed(fixed: Fixed, encoding: str | None, framing: str) -> None:
    whole = reply(TEXT, encoding=encoding, framing=framing, chunk=40)
    fixed.answer = whole
    # Only the end mark of the compression shows a cut there.
    unmarked = encoding is None and framing == 'close'
    assert fixed.read() == (TEXT, framing == 'close')
    # The size of the last chunk is the end; the line feeds after it say nothing more.
    needed = payload_size(whole) - (4 if framing == 'chunked' else 0)
    for cut in range(needed):
        fixed.answer = reply(TEXT, encoding=encoding, framing=framing, chunk=40, cut=cut)
        if unmarked:
            assert fixed.read() == (TEXT[:cut], True)
        else:
            with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)):
                fixed.read()


@pytest.mark.parametrize('framing', FRAMINGS)
@pytest.mark.parametrize('encoding', ENCODINGS)
def test_a_body_that_arrives_byte_by_byte(fixed: Fixed, encoding: str | None, framing: str) -> None:
    whole = reply(TEXT, encoding=encoding, framing=framing, chunk=1)
    head, _, payload = whole.data.partition(b'\r\n\r\n')
    fixed.answer = Reply(head + b'\r\n\r\n', [payload[place : place + 1] for place in range(len(payload))], whole.close)
    assert fixed.read()[0] == TEXT


@pytest.mark.parametrize('framing', FRAMINGS)
@pytest.mark.parametrize('encoding', ENCODINGS)
def test_an_empty_body(fixed: Fixed, encoding: str | None, framing: str) -> None:
    fixed.answer = reply(b'', encoding=encoding, framing=framing)
    assert fixed.read() == (b'', framing == 'close')


@pytest.mark.parametrize('framing', ['length', 'chunked'])
def test_no_bytes_at_all_under_a_gzip_header_are_an_empty_body_if_the_framing_says_so(
    fixed: Fixed, framing: str
) -> None:
    fixed.answer = reply(b'', framing=framing, headers={'Content-Encoding': 'gzip'})
    assert fixed.read() == (b'', False)


def test_no_bytes_at_all_under_a_gzip_header_without_a_length_are_a_cut(fixed: Fixed) -> None:
    fixed.answer = reply(b'', framing='close', headers={'Content-Encoding': 'gzip'})
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match='before its end mark'):
        fixed.read()


def test_damage_is_noticed_at_every_byte(fixed: Fixed) -> None:
    packed = bytearray(gzip.compress(TEXT, mtime=0))
    for place in range(10, len(packed)):
        damaged = packed.copy()
        damaged[place] ^= 0x55
        fixed.answer = reply(bytes(damaged), headers={'Content-Encoding': 'gzip'})
        with pytest.raises((requests.exceptions.ContentDecodingError, requests.exceptions.ChunkedEncodingError)):
            fixed.read()


@pytest.mark.parametrize('encoding', ['br', 'zstd', 'gzip, gzip', 'nonsense'])
def test_an_encoding_that_was_not_offered(fixed: Fixed, encoding: str) -> None:
    fixed.answer = reply(TEXT, headers={'Content-Encoding': encoding})
    with pytest.raises(requests.exceptions.ContentDecodingError, match='was not offered'):
        fixed.read()


@pytest.mark.parametrize('encoding', ['GZIP', 'x-gzip', ' gzip '])
def test_spellings_of_gzip(fixed: Fixed, encoding: str) -> None:
    fixed.answer = reply(gzip.compress(TEXT), headers={'Content-Encoding': encoding})
    assert fixed.read() == (TEXT, False)


@pytest.mark.parametrize('length', ['\xb2', '5x', '-5', '+5', ''])
def test_a_length_that_is_no_number_says_nothing(fixed: Fixed, length: str) -> None:
    data = f'HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n'.encode('latin-1') + TEXT
    fixed.answer = Reply(data, close=True)
    try:
        body, ambiguous = fixed.read()
    except requests.RequestException:
        return
    assert ambiguous or body == TEXT[:5]


def test_records_are_handed_on_when_they_have_arrived(fixed: Fixed) -> None:
    gate = threading.Event()

    def halves() -> Iterator[bytes]:
        yield b'5\r\nfirst\r\n'
        assert gate.wait(10)
        yield b'6\r\nsecond\r\n0\r\n\r\n'

    fixed.answer = Reply(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', halves())
    with requests.Session() as session:
        pieces = iter(fixed.body(session))
        assert next(pieces) == b'first'
        gate.set()
        assert b''.join(pieces) == b'second'


def test_a_whole_body_leaves_its_connection_for_the_next_request(fixed: Fixed) -> None:
    with requests.Session() as session:
        for encoding, framing in itertools.product(ENCODINGS, ('length', 'chunked')):
            fixed.answer = reply(TEXT, encoding=encoding, framing=framing)
            assert b''.join(fixed.body(session)) == TEXT
    assert fixed.server.connections == 1


@pytest.mark.parametrize('encoding', ['gzip', 'deflate', 'raw'])
def test_a_bomb_takes_no_memory(fixed: Fixed, encoding: str) -> None:
    size = 32 * 1024 * 1024
    # As gzip, members of zeros, as often as it takes.
    packed = gzip.compress(bytes(size // 16)) * 16 if encoding == 'gzip' else pack(bytes(size), encoding)
    header = 'gzip' if encoding == 'gzip' else 'deflate'
    fixed.answer = reply(packed, headers={'Content-Encoding': header})
    with requests.Session() as session:
        body = fixed.body(session)
        tracemalloc.start()
        try:
            assert sum(map(len, body)) == size
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 8 * 1024 * 1024


def test_a_bomb_as_the_explanation_of_an_error_is_read_to_64_kib(fixed: Fixed) -> None:
    fixed.answer = reply(bytes(64 * 1024 * 1024), status=500, encoding='gzip')
    transport = make_transport(fixed.server)
    tracemalloc.start()
    try:
        with pytest.raises(requests.HTTPError) as caught:
            transport.open(Call('GET', fixed.server.url))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.response.content == bytes(64 * 1024)
    assert peak < 8 * 1024 * 1024


def test_compression_that_never_yields_anything_is_bounded_by_the_clock(fixed: Fixed) -> None:
    # An empty stored block of deflate: five bytes that unpack to nothing, for ever.
    head = gzip.compress(b'')[:10]

    def nothing() -> Iterator[bytes]:
        while True:
            yield chunked([b'\0\0\0\xff\xff' * 1000])[:-5]

    endless = Reply(
        b'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n' + chunked([head])[:-5],
        nothing(),
    )
    fixed.answer = endless
    transport = make_transport(fixed.server, TickingClock(1.0), timeout=10)
    with pytest.raises(requests.ReadTimeout, match='did not arrive within 50 seconds'):
        transport.complete(Call('GET', fixed.server.url))


# The unpacker itself


@given(
    st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    st.sampled_from(['gzip', 'deflate', 'raw']),
    st.lists(st.integers(0, 1500), max_size=10),
    st.integers(0, 3),
)
def test_any_members_in_any_pieces(members: list[bytes], encoding: str, cuts: list[int], zeros: int) -> None:
    if encoding == 'raw':
        members = members[:1]
        zeros = 0
    packed = b''.join(pack(member, encoding) + bytes(zeros) for member in members)
    places = sorted({min(cut, len(packed)) for cut in cuts} | {0, len(packed)})
    inflater = Inflater('gzip' if encoding == 'gzip' else 'deflate')
    out = [piece for start, end in itertools.pairwise(places) for piece in inflater.feed(packed[start:end])]
    assert b''.join(out) == b''.join(members)
    assert inflater.finished
    assert all(0 < len(piece) <= UNPACKED_SIZE for piece in out)


@pytest.mark.parametrize('encoding', ['gzip', 'deflate', 'raw'])
@pytest.mark.parametrize('size', [UNPACKED_SIZE - 1, UNPACKED_SIZE, UNPACKED_SIZE + 1, 3 * UNPACKED_SIZE])
def test_output_that_waits_inside_zlib_is_not_forgotten(encoding: str, size: int) -> None:
    packed = pack(bytes(size), encoding)
    for step in (1, 7, len(packed)):
        inflater = Inflater('gzip' if encoding == 'gzip' else 'deflate')
        out = [piece for place in range(0, len(packed), step) for piece in inflater.feed(packed[place : place + step])]
        assert sum(map(len, out)) == size
        assert inflater.finished


def unpack_in_steps(inflater: Inflater, packed: bytes, step: int, out: list[bytes]) -> None:
    for start in range(0, len(packed), step):
        out.extend(inflater.feed(packed[start : start + step]))


@pytest.mark.parametrize('place', [-8, -4])
@pytest.mark.parametrize('step', [200, 1000])
def test_the_last_piece_of_a_damaged_member_is_kept_back(place: int, step: int) -> None:
    data = bytes(range(256)) * 10
    packed = bytearray(gzip.compress(data) + gzip.compress(b'more'))
    whole = len(gzip.compress(data))
    packed[whole + place] ^= 1
    inflater = Inflater('gzip')
    out: list[bytes] = []
    with pytest.raises(zlib.error, match='is another one'):
        unpack_in_steps(inflater, bytes(packed), step, out)
    assert len(b''.join(out)) < len(data)
    assert not inflater.finished


@given(
    st.binary(max_size=20),
    st.none() | st.binary(max_size=5).map(lambda text: text.replace(b'\0', b'')),
    st.none() | st.binary(max_size=5).map(lambda text: text.replace(b'\0', b'')),
    st.none() | st.binary(max_size=9),
    st.booleans(),
    st.integers(1, 40),
)
def test_every_header_of_a_member(
    data: bytes, name: bytes | None, comment: bytes | None, extra: bytes | None, checked: bool, step: int
) -> None:
    flags = 16 * (comment is not None) | 8 * (name is not None) | 4 * (extra is not None) | 2 * checked
    header = b'\x1f\x8b\x08' + bytes([flags]) + bytes(6)
    if extra is not None:
        header += len(extra).to_bytes(2, 'little') + extra
    for text in (name, comment):
        if text is not None:
            header += text + b'\0'
    if checked:
        header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, 'little')
    packed = header + gzip.compress(data, mtime=0)[10:]
    assert zlib.decompress(packed, 31) == data
    inflater = Inflater('gzip')
    out: list[bytes] = []
    unpack_in_steps(inflater, packed, step, out)
    assert b''.join(out) == data
    assert inflater.finished
    assert inflater.checksum == zlib.crc32(data)


@pytest.mark.parametrize('header', [b'\x1f\x8b\x07' + bytes(7), b'\x1f\x8b\x08\x20' + bytes(6)])
def test_a_header_that_is_not_known(header: bytes) -> None:
    with pytest.raises(zlib.error, match='not known'):
        list(Inflater('gzip').feed(header + bytes(100)))


def test_a_header_without_end_is_damage() -> None:
    packed = b'\x1f\x8b\x08\x08' + bytes(6) + b'x' * 200_000
    with pytest.raises(zlib.error, match='has no end'):
        unpack_in_steps(Inflater('gzip'), packed, 10_000, [])


def test_garbage_after_the_end_is_damage() -> None:
    inflater = Inflater('gzip')
    with pytest.raises(zlib.error):
        list(inflater.feed(gzip.compress(b'x') + b'garbage'))


# Stand-ins: their headers describe what the real server sent, their bodies may be unpacked already


STAND_IN_HEADERS = {'Content-Type': 'application/json', 'Content-Encoding': 'gzip', 'Content-Length': '999'}


@pytest.mark.parametrize('body', [b'{"a": 1}', gzip.compress(b'{"a": 1}', mtime=0)])
def test_requests_mock(body: bytes) -> None:
    transport = make_transport('http://stand-in')
    with Mocker(session=transport.session) as mocker:
        mocker.get('http://stand-in/x', content=body, headers=STAND_IN_HEADERS)
        assert transport.get(('x',)).value == {'a': 1}


@pytest.mark.parametrize('body', [b'{"a": 1}', gzip.compress(b'{"a": 1}', mtime=0)])
@responses.activate
def test_responses(body: bytes) -> None:
    # Not with a wrong length: there requests itself refuses the body.
    headers = {'Content-Encoding': 'gzip'}
    responses.get('http://stand-in/x', body=body, headers=headers, content_type='application/json')
    assert make_transport('http://stand-in').get(('x',)).value == {'a': 1}


@pytest.mark.parametrize('unpack', [True, False])
def test_vcrpy(fixed: Fixed, tmp_path: object, unpack: bool) -> None:
    vcr = pytest.importorskip('vcr')
    fixed.answer = reply(b'{"a": 1}\n{"a": 2}\n', encoding='gzip')
    cassette = f'{tmp_path}/cassette.yaml'
    recorder = vcr.VCR(decode_compressed_response=unpack)
    for _ in range(2):
        with recorder.use_cassette(cassette):
            transport = make_transport(fixed.server)
            assert transport.get(('x',)).values == [{'a': 1}, {'a': 2}]
            transport.close()
    assert len(fixed.server.requests) == 1


def test_a_cassette_with_unpacked_bodies_under_the_old_headers(fixed: Fixed, tmp_path: object) -> None:
    vcr = pytest.importorskip('vcr')
    fixed.answer = reply(b'x')
    cassette = f'{tmp_path}/cassette.yaml'
    with open(cassette, 'w', encoding='utf-8') as file:  # noqa: PTH123
        file.write(
            'interactions:\n- request:\n    body: null\n    headers: {}\n    method: GET\n'
            f'    uri: {fixed.server.url}/x\n'
            '  response:\n    body:\n      string: "{\\"a\\": 1}\\n"\n    headers:\n      Content-Encoding: [gzip]\n'
            '      Content-Length: ["999"]\n      Content-Type: [application/x-jsonlines]\n'
            '    status: {code: 200, message: OK}\nversion: 1\n'
        )
    with vcr.VCR().use_cassette(cassette, record_mode='none'):
        assert make_transport(fixed.server).get(('x',)).values == [{'a': 1}]
    assert fixed.server.requests == []


def test_responses_made_by_hand() -> None:
    response = requests.Response()
    response.status_code = 200
    response._content = b'{"a": 1}'
    assert b''.join(Body(response)) == b'{"a": 1}'


# Errors whose bodies are not what their headers say


@pytest.mark.parametrize('encoding', ['gzip', 'x-gzip', 'deflate'])
@pytest.mark.parametrize('text', [b'', b'quota exceeded', b'\n<html>Bad Gateway</html>'])
def test_a_plain_error_body_that_is_labelled_as_compressed_keeps_its_text(
    fixed: Fixed, encoding: str, text: bytes
) -> None:
    fixed.answer = reply(text, status=400, headers={'Content-Encoding': encoding})
    with pytest.raises(requests.HTTPError) as caught:
        make_transport(fixed.server).open(Call('GET', fixed.server.url))
    assert caught.value.response.content == text


def test_a_compressed_error_body_that_breaks_off_keeps_what_has_arrived(fixed: Fixed) -> None:
    text = random.Random(3).randbytes(40_000)
    fixed.answer = reply(text, status=400, encoding='gzip', cut=35_000)
    with pytest.raises(requests.HTTPError) as caught:
        make_transport(fixed.server).open(Call('GET', fixed.server.url))
    kept = caught.value.response.content
    assert len(kept) > 10_000
    assert text.startswith(kept)


def test_a_plain_body_of_a_good_status_that_is_labelled_as_compressed_is_damage(fixed: Fixed) -> None:
    fixed.answer = reply(b'{"a": 1}', headers={'Content-Encoding': 'gzip'})
    with pytest.raises(requests.exceptions.ContentDecodingError):
        fixed.read()
