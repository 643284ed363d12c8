"""The values of a response."""

from __future__ import annotations

import pytest

from scrapinghub.config.credentials import Credentials
from scrapinghub.config.endpoints import Endpoints
from scrapinghub.exceptions import NetworkError, NotFound
from scrapinghub.sandbox import Sandbox
from scrapinghub.transport import codec
from scrapinghub.transport.http.retries import RetrySettings
from scrapinghub.transport.http.transport import Transport
from support.scripted_server import Reply, Server, reply
from support.transports import make_transport


def answer(coding: str) -> Reply:
    head = f'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: {coding}\r\n\r\n'
    return Reply(head.encode() + b'2\r\n15\r\n0\r\n\r\n')


@pytest.mark.parametrize('coding', ['chunked', 'chunked ', 'chunked\t', 'Chunked', 'identity, chunked', ' ,chunked'])
def test_chunks_are_recognised_in_every_spelling(coding: str) -> None:
    with Server(lambda request: answer(coding)) as server:
        transport = make_transport(server)
        assert [transport.get(('x',)).value for _ in range(2)] == [15, 15]
        assert server.connections == 1
        transport.close()


@pytest.mark.parametrize('coding', ['gzip, chunked', 'chunked, chunked', 'gzip', 'chunkedx'])
def test_another_transfer_encoding_is_an_error(coding: str) -> None:
    with Server(lambda request: answer(coding)) as server:
        transport = make_transport(server, retries=RetrySettings(0))
        with pytest.raises(NetworkError, match='Transfer-Encoding'):
            transport.get(('x',))
        transport.close()


@pytest.mark.parametrize('charset', ['undefined', 'idna', 'punycode', '"a\0b"', 'none-such'])
def test_an_error_may_name_a_charset_that_decodes_no_bytes(charset: str) -> None:
    kind = f'text/plain; charset={charset}'
    with Server(lambda request: reply(b'\xffabc', status=404, content_type=kind)) as server:
        transport = make_transport(server)
        with pytest.raises(NotFound, match='abc'):
            transport.get(('x',))
        transport.close()


@pytest.mark.parametrize('expects', [codec.JSON, None])
def test_an_array_is_one_value(expects: str | None) -> None:
    with Sandbox(projects=[123]) as cloud:
        base = cloud.url.rstrip('/')
        endpoints = Endpoints(base, base, f'{base}/api')
        transport = Transport(Credentials(cloud.apikey), endpoints, user_agent='test')
        transport.post(('jobq', 123, 'push'), value={'spider': 'books', 'tags': ['a', 'b']})
        assert transport.get(('jobs', 123, 1, 1, 'tags'), expects=expects).values == [['a', 'b']]
        transport.close()
