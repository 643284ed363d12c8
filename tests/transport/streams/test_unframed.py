"""Responses without a length that end with the connection: complete when two repetitions have no new record."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from scrapinghub.transport import codec
from support.scripted_server import Reply, Request, Server, reply
from support.storage import cut
from support.stream_kinds import KIND_AND_ACCEPT, KINDS, exact, sample_storage, stream_of
from support.transports import make_transport


def end_of_record(answer: Reply, accept: str) -> int:
    """Return where the second record of a response ends."""
    body = answer.data.partition(b'\r\n\r\n')[2]
    if accept != codec.MSGPACK:
        return body.index(b'\n', body.index(b'\n') + 1) + 1
    decoder = codec.MsgpackDecoder()
    return next(size for size in range(len(body)) if len(decoder.feed(body[size : size + 1])) and size > 20) + 1


@pytest.mark.parametrize(('name', 'accept'), KIND_AND_ACCEPT)
def test_a_cut_between_two_records_is_noticed_although_a_repetition_was_empty(name: str, accept: str) -> None:
    storage = sample_storage(framing='close')
    truth = exact(KINDS[name].truth(storage))
    with Server(storage.respond) as server:
        transport = make_transport(server)
        # Of the repetitions the first one is cut before its first byte.
        storage.faults = [lambda answer: cut(end_of_record(answer, accept))(answer), cut(0)]
        assert exact(list(stream_of(transport, name, accept))) == truth
        assert len(server.requests) >= 3
        transport.close()


@pytest.mark.parametrize(('name', 'accept'), KIND_AND_ACCEPT)
def test_a_record_is_requested_again_until_two_responses_are_empty(name: str, accept: str) -> None:
    storage = sample_storage(framing='close')
    truth = exact(KINDS[name].truth(storage))
    with Server(storage.respond) as server:
        transport = make_transport(server)
        storage.faults = [cut(0), lambda answer: cut(end_of_record(answer, accept))(answer), cut(0)]
        assert exact(list(stream_of(transport, name, accept))) == truth
        transport.close()


def test_the_end_of_a_gzip_member_does_not_end_a_body_without_length() -> None:
    items = [{'n': number, '_key': f'1/2/3/{number}'} for number in range(20)]

    def respond(request: Request) -> Reply:
        after = request.get('startafter')
        rest = items if after is None else items[int(after.split('/')[3]) + 1 :]
        # Only the first of several members arrives.
        member = gzip.compress(b''.join(json.dumps(item).encode() + b'\n' for item in rest[:5]))
        return reply(member, framing='close', headers={'Content-Encoding': 'gzip'})

    with Server(respond) as server:
        got: list[Any] = list(stream_of(make_transport(server), 'items'))
        assert got == [{'n': number} for number in range(20)]
        assert len(server.requests) == 6
