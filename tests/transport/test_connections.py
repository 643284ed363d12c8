"""Heads of answers that have no end: an error of our own, within bounded time and memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from scrapinghub.exceptions import NetworkError, StreamInterrupted
from scrapinghub.transport.bodies import Body
from scrapinghub.transport.plans import AfterKey
from scrapinghub.transport.retries import RetrySettings
from scrapinghub.transport.session import Call
from scrapinghub.transport.streams import RecordStream
from transport.making import make_transport
from transport.servers import JSON_LINES, Reply, Server

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
        response = transport.open(Call('GET', f'{server.url}/x'))
        threading.Event().wait(1.1)
        assert Body(response).read(100) == b'{"a": 1}\n'
        transport.close()


def test_a_trailer_without_end_after_the_records_of_a_stream() -> None:
    with Server(lambda _: Reply(LAST_CHUNK, trickling(b'X-Trailer: some\r\n'))) as server:
        transport = make_transport(server, timeout=0.3, retries=RetrySettings(0))
        stream: RecordStream[object] = RecordStream(transport, Call('GET', f'{server.url}/x'), AfterKey([]))
        assert next(stream) == {'a': 1}
        with pytest.raises(StreamInterrupted):
            next(stream)
        transport.close()
