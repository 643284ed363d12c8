"""Record streams as objects: closing them, their progress, what they show of themselves."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from scrapinghub.transport.streams.stream import RecordStream
from support.scripted_server import Reply, Request, Server, chunked, reply
from support.storage import JOB
from support.stream_kinds import KIND_AND_ACCEPT, KINDS, exact, sample_storage, stream_of
from support.transports import make_transport

LINES = [b'{"_key": "1/2/3/%d"}\n' % number for number in range(4)]


@pytest.fixture
def endless() -> Iterator[Server]:
    """A server whose answers begin with four records and never end."""
    gate = threading.Event()

    def respond(request: Request) -> Reply:
        if request.path == '/other':
            return reply(b'1')
        head = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
        return Reply(head + chunked([b''.join(LINES)])[:-5], iter(lambda: None, None), hold=gate)

    with Server(respond) as server:
        yield server
        gate.set()


def test_a_closed_stream_has_released_its_connection_and_ends(endless: Server) -> None:
    transport = make_transport(endless)
    stream = stream_of(transport, 'items')
    iterator = iter(stream)
    assert [next(stream), next(iterator)] == [{}, {}]
    stream.close()
    assert list(iterator) == list(stream) == []
    assert transport.get(('other',)).value == 1
    assert len(endless.requests) == 2
    stream.close()
    transport.close()


def test_closing_a_stream_inside_its_loop_ends_the_loop(endless: Server) -> None:
    transport = make_transport(endless)
    stream = stream_of(transport, 'items')
    got = []
    for record in stream:
        got.append(record)
        stream.close()
    assert got == [{}]
    transport.close()


@pytest.mark.parametrize('use', [contextlib.closing, lambda stream: stream])
def test_a_stream_is_a_context_manager(endless: Server, use: Any) -> None:
    transport = make_transport(endless)
    with use(stream_of(transport, 'items')) as stream:
        next(stream)
    assert list(stream) == []
    transport.close()


def test_a_stream_that_is_closed_before_it_began_sends_nothing(endless: Server) -> None:
    stream = stream_of(make_transport(endless), 'items')
    stream.close()
    assert list(stream) == []
    assert endless.requests == []


@pytest.mark.parametrize(('name', 'accept'), KIND_AND_ACCEPT)
def test_a_closed_stream_delivers_nothing_more(name: str, accept: str) -> None:
    for options in ({}, {'encoding': 'gzip'}):
        storage = sample_storage(**options)
        with Server(storage.respond) as server:
            transport = make_transport(server)
            stream = stream_of(transport, name, accept)
            iterator = iter(stream)
            next(iterator)
            stream.close()
            assert list(iterator) == []
            assert stream.delivered == 1
            transport.close()


def test_the_first_request_can_be_sent_before_the_first_record_is_wanted() -> None:
    storage = sample_storage()
    with Server(storage.respond) as server:
        transport = make_transport(server)
        for name, kind in KINDS.items():
            server.requests.clear()
            stream = stream_of(transport, name)
            stream.start()
            stream.start()
            assert len(server.requests) == 1
            assert exact(list(stream)) == exact(kind.truth(storage))
        stream = stream_of(transport, 'items')
        stream.start()
        stream.close()
        assert list(stream) == []
        transport.close()


def test_a_stream_shows_its_resource_and_its_progress() -> None:
    storage = sample_storage()
    with Server(storage.respond) as server:
        stream = stream_of(make_transport(server), 'items')
        assert repr(stream) == '<RecordStream items/1, 0 records>'
        next(stream)
        next(stream)
        assert repr(stream) == '<RecordStream items/1, 2 records>'
        assert (stream.delivered, stream.last_key) == (2, f'{JOB}/1')


@pytest.mark.parametrize(('name', 'accept'), KIND_AND_ACCEPT)
def test_the_callback_is_called_with_the_number_of_records(name: str, accept: str) -> None:
    storage = sample_storage()
    with Server(storage.respond) as server:
        stream: RecordStream[Any] = stream_of(make_transport(server), name, accept)
        calls: list[int] = []
        stream.on_progress = calls.append
        number = len(list(stream))
        assert calls == sorted(calls)
        assert calls[-1] == number == stream.delivered


@pytest.mark.parametrize('error', [ValueError('mine'), requests.ConnectionError('mine')])
def test_an_error_of_the_callback_is_raised_as_it_is(error: Exception) -> None:
    storage = sample_storage()
    with Server(storage.respond) as server:
        stream = stream_of(make_transport(server), 'items')

        def fail(delivered: int) -> None:
            raise error

        stream.on_progress = fail
        got: list[Any] = []
        with pytest.raises(type(error)) as caught:
            got.extend(stream)
        assert caught.value is error
        assert len(server.requests) == 1
        stream.on_progress = None
        assert exact([*got, *stream]) == exact(storage.items)
