"""Redirects: which are followed, and that a key is only ever sent to the host that was checked."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import requests
import urllib3.util.connection
from hypothesis import example, given
from hypothesis import strategies as st

from scrapinghub.exceptions import ScrapinghubAPIError, UnexpectedRedirect
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.redirects import redirect_target
from scrapinghub.transport.http.retries import RetrySettings
from support.scripted_server import Reply, Request, Server, reply
from support.stream_kinds import exact, sample_storage, stream_of
from support.transports import KEY, make_transport


class Redirecting:
    """A server that redirects from one path to others."""

    def __init__(self, **targets: str) -> None:
        self.targets = targets
        self.server = Server(self.respond)

    def respond(self, request: Request) -> Reply:
        name = request.segments[0]
        if name in self.targets:
            location = self.targets[name].format(url=self.server.url, port=self.server.port)
            return reply(b'moved', status=302, headers={'Location': location})
        return reply(b'"here"', content_type='application/json')


def test_a_redirect_is_followed_on_the_same_host() -> None:
    redirecting = Redirecting(a='/b?x=1', b='{url}/c', c='d')
    with redirecting.server as server:
        assert make_transport(server).get(('a',), {'q': 1}).value == 'here'
        assert [request.target for request in server.requests] == ['/a?q=1', '/b?x=1', '/c', '/d']
        assert {request.headers.get('authorization') for request in server.requests} == {
            requests.auth._basic_auth_str(KEY, '')
        }


@pytest.mark.parametrize(
    ('location', 'why'),
    [
        ('http://other.invalid/x', 'another host'),
        ('//other.invalid/x', 'another host'),
        ('http://127.0.0.1:9/x', 'another port'),
        ('ftp://127.0.0.1:{port}/x', 'less secure'),
        ('file:///etc/passwd', 'another host'),
        ('http://127.0.0.1:99999/x', 'cannot be parsed'),
        ('http://127.0.0.1:port/x', 'cannot be parsed'),
        ('http://[1', 'cannot be parsed'),
        ('http://user:secret@other.invalid/x?key=secret', 'has credentials'),
        ('http://127.0.0.1.other.invalid:{port}/', 'another host'),
    ],
)
def test_a_redirect_that_is_not_followed(location: str, why: str) -> None:
    redirecting = Redirecting(a=location)
    with redirecting.server as server:
        with pytest.raises(UnexpectedRedirect, match=why) as caught:
            make_transport(server).get(('a',))
        assert len(server.requests) == 1
    assert caught.value.status_code == 302
    assert 'secret' not in str(caught.value)


@pytest.mark.parametrize('method', ['post', 'delete'])
def test_only_a_get_is_redirected(method: str) -> None:
    redirecting = Redirecting(a='/b')
    with redirecting.server as server:
        with pytest.raises(UnexpectedRedirect, match='sent to one address only'):
            getattr(make_transport(server), method)(('a',))
        assert len(server.requests) == 1


def test_a_loop_of_redirects_ends() -> None:
    redirecting = Redirecting(a='/b', b='/a')
    with redirecting.server as server:
        with pytest.raises(UnexpectedRedirect, match='more than 5 times'):
            make_transport(server).get(('a',))
        assert len(server.requests) == 6


def test_the_body_of_a_redirect_is_not_read() -> None:
    gate = threading.Event()

    def respond(request: Request) -> Reply:
        if request.path == '/a':
            head = b'HTTP/1.1 301 Moved\r\nLocation: /b\r\nContent-Length: 100000000000\r\n\r\nbegin'
            return Reply(head, hold=gate, close=True)
        gate.set()
        return reply(b'1')

    with Server(respond) as server:
        assert make_transport(server).get(('a',)).value == 1
        assert len(server.requests) == 2


def test_a_stream_follows_redirects_too() -> None:
    storage = sample_storage()

    def respond(request: Request) -> Reply:
        if 'moved' not in request.path:
            return reply(status=307, headers={'Location': f'/items/moved?{request.target.partition("?")[2]}'})
        return storage.respond(request)

    with Server(respond) as server:
        assert exact(list(stream_of(make_transport(server), 'items'))) == exact(storage.items)


def test_from_http_to_https_of_the_same_host() -> None:
    response = requests.Response()
    response.url = 'http://storage.invalid/a'
    call = Call('GET', 'http://storage.invalid/a')
    for location in ('https://storage.invalid/b', 'https://storage.invalid:443/b', 'http://storage.invalid:80/b'):
        response.headers['Location'] = location
        assert redirect_target(call, response) == location
    response.url = 'https://storage.invalid/a'
    response.headers['Location'] = 'http://storage.invalid/b'
    with pytest.raises(UnexpectedRedirect, match='less secure'):
        redirect_target(call, response)


# The host that is connected is the host that was checked

PARTS = (
    'http://', 'https://', 'HTTP:', 'ftp://', '//', '/', '\\', '@', ':', '{port}', '80', '127.0.0.1', 'localhost',
    'other.test', 'user:word', '[::1]', '[', ']', '?', '#', '%2f', '%40', '%5c', '%00', '..', ';', ' ', '\t', '\x00',
    '\x7f', '\xe9', 'x',
)  # fmt: skip


class Connected:
    """Records where connections are opened, and opens only those to one server."""

    def __init__(self) -> None:
        self.server = Server(self.respond)
        self.addresses: list[tuple[str, int]] = []
        self.location = ''
        self._open = urllib3.util.connection.create_connection

    def respond(self, request: Request) -> Reply:
        if request.path == '/start' and not request.query:
            return reply(status=302, headers={'Location': self.location})
        return reply(b'1')

    def create_connection(self, address: tuple[str, int], *args: Any, **kwargs: Any) -> Any:
        self.addresses.append(address)
        if address != ('127.0.0.1', self.server.port):
            raise ConnectionRefusedError('not opened in a test')
        return self._open(address, *args, **kwargs)


@pytest.fixture(scope='module')
def connected() -> Iterator[Connected]:
    connected = Connected()
    with connected.server:
        yield connected


@given(st.lists(st.sampled_from(PARTS), max_size=8).map(''.join))
@example('http://other.test:{port}\\@127.0.0.1:{port}/')
@example('http://other.test\\@127.0.0.1:{port}/')
@example('http://127.0.0.1:{port}@other.test/')
@example('http://127.0.0.1:{port}\t@other.test/')
@example('http://127.0.0.1:{port}#@other.test/')
@example('http://127.0.0.1:{port}?@other.test/')
@example('//other.test\\@127.0.0.1:{port}/x')
@example('https://127.0.0.1:80\\@other.test/')
def test_the_host_that_is_connected_is_the_host_that_was_checked(connected: Connected, location: str) -> None:
    connected.location = location.replace('{port}', str(connected.server.port))
    connected.addresses.clear()
    transport = make_transport(connected.server, retries=RetrySettings(0))
    patch = mock.patch('urllib3.util.connection.create_connection', connected.create_connection)
    with patch, contextlib.suppress(ScrapinghubAPIError):
        transport.get(('start',))
    transport.close()
    for host, port in connected.addresses:
        assert host == '127.0.0.1'
        # Only a change to https of the same host may use another port.
        assert port == connected.server.port or location.lower().startswith('https:')


@pytest.mark.parametrize(
    ('location', 'reason'),
    [
        ('/a\\b', 'backslash'),
        ('http://other.test\\@127.0.0.1:{port}/', 'backslash'),
        ('/a\tb', 'control characters'),
        ('/a\x7fb', 'control characters'),
        ('/a\x85b', 'control characters'),
        ('http://key:@127.0.0.1:{port}/', 'has credentials'),
        ('http://[1', 'cannot be parsed'),
    ],
)
def test_an_ambiguous_redirect_is_refused(location: str, reason: str) -> None:
    redirecting = Redirecting(a=location)
    with redirecting.server as server:
        with pytest.raises(UnexpectedRedirect, match=reason):
            make_transport(server).get(('a',))
        assert len(server.requests) == 1


def test_a_redirect_to_a_path_in_utf_8_is_followed() -> None:
    redirecting = Redirecting(a='/caf\xc3\xa9?x=\xc3\xa9')
    with redirecting.server as server:
        assert make_transport(server).get(('a',)).value == 'here'
        assert server.requests[1].target == '/caf%C3%A9?x=%C3%A9'


def test_a_location_that_no_header_can_hold_is_refused() -> None:
    # A stand-in for a response may have any text there.
    response = requests.Response()
    response.url = 'http://storage.invalid/a'
    response.headers['Location'] = 'http://storage.invalid/\u0440'
    with pytest.raises(UnexpectedRedirect, match='cannot be parsed'):
        redirect_target(Call('GET', response.url), response)
