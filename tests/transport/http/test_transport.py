"""One road to the wire: what a call sends, what it accepts, how long it waits and what it logs."""

from __future__ import annotations

import contextlib
import gc
import http.server
import logging
import pickle
import shutil
import socket
import ssl
import subprocess
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub.config.credentials import Credentials
from scrapinghub.config.endpoints import Endpoints
from scrapinghub.exceptions import (
    BodyBroken,
    DecodeError,
    NotFound,
    ProxyFailed,
    ReadTimedOut,
    ScrapinghubAPIError,
    TLSFailed,
)
from scrapinghub.transport import codec
from scrapinghub.transport.http import responses
from scrapinghub.transport.http import transport as transport_module
from scrapinghub.transport.http.retries import RetrySettings
from scrapinghub.transport.http.transport import Transport
from support.clocks import ManualClock, TickingClock
from support.scripted_server import JSON_LINES, MSGPACK, Reply, Request, Server, chunked, reply
from support.stream_kinds import sample_storage, stream_of
from support.transports import KEY, make_transport

# What is sent


def test_the_headers_of_a_call() -> None:
    with Server(lambda request: reply(b'1')) as server:
        transport = make_transport(server, user_agent='me/1')
        transport.get(('x',), {'a': [1, 2], 'b': None, 'c': 'é ü'})
        transport.post(('x',), lines=[{'a': 'é'}, 2])
        transport.get(('x',), accept=codec.MSGPACK)
        get, post, packed = server.requests
    assert get.target == '/x?a=1&a=2&c=%C3%A9+%C3%BC'
    assert dict(get.headers, host='') == {
        'host': '',
        'user-agent': 'me/1',
        'accept': '*/*',
        'accept-encoding': 'gzip, deflate',
        'connection': 'keep-alive',
        'authorization': requests.auth._basic_auth_str(KEY, ''),
    }
    assert post.body == b'{"a": "\\u00e9"}\n2'
    assert 'content-type' not in post.headers
    assert packed.headers['accept'] == 'application/x-msgpack'


def test_a_call_may_bring_its_own_credentials_and_headers() -> None:
    with Server(lambda request: reply(b'1')) as server:
        transport = make_transport(server)
        transport.get(('x',), auth=None)
        transport.get(('x',), auth=Credentials('1/2/3', 'token'), headers={'Accept': 'text/csv'})
        none, own = server.requests
    assert 'authorization' not in none.headers
    assert own.headers['authorization'] == requests.auth._basic_auth_str('1/2/3', 'token')
    assert own.headers['accept'] == 'text/csv'


def test_the_job_queue_has_a_host_of_its_own() -> None:
    transport = Transport(None, Endpoints('http://storage/base', 'http://queue', 'http://dash/api'), user_agent='test')
    assert transport.url(('items', 1)) == 'http://storage/base/items/1'
    assert transport.url(('jobq', 1, 'list')) == 'http://queue/jobq/1/list'
    assert transport.url(('jobqueue', 1)) == 'http://storage/base/jobqueue/1'
    assert transport.url(('jobs', '1')) == 'http://storage/base/jobs/1'
    assert transport.url(('run.json',), dash=True) == 'http://dash/api/run.json'
    assert transport.url('/a/b?c') == 'http://storage/base/a/b?c'


# Names in paths


@pytest.fixture(scope='module')
def echo() -> Iterator[tuple[Server, Transport]]:
    with Server(lambda request: reply(b'1')) as server:
        transport = make_transport(server)
        yield server, transport
        transport.close()


@given(st.lists(st.text(max_size=6), min_size=1, max_size=3))
def test_any_text_reaches_the_server_as_itself(echo: tuple[Server, Transport], names: list[str]) -> None:
    server, transport = echo
    path = ('base', *names)
    if any(name in ('', '.', '..') for name in names):
        with pytest.raises(ValueError, match='cannot be part of a path'):
            transport.get(path)
        return
    transport.get(path)
    assert server.requests[-1].segments == list(path)


@pytest.mark.parametrize(
    'name', ['a/b', 'a?b', 'site#1', '%2e%2e', '%', '%41', 'a b', '+', 'é', '\n', '...', '~', ';x', '\\', '\0', '日本']
)
def test_awkward_names(echo: tuple[Server, Transport], name: str) -> None:
    server, transport = echo
    transport.delete(('base', name, 'end'))
    assert server.requests[-1].segments == ['base', name, 'end']


@pytest.mark.parametrize('name', ['', '.', '..', '\ud800'])
def test_names_that_no_path_can_hold(name: str) -> None:
    with pytest.raises(ValueError, match='cannot be part of a path'):
        make_transport('http://host').url(('a', name))


# What is accepted


def test_an_answer_cut_at_every_byte_is_never_taken_for_a_value() -> None:
    whole = reply(b'{"a": [1, 2]}', content_type='application/json')
    place = 0

    def respond(request: Request) -> Reply:
        return Reply(whole.data[:place], close=True)

    with Server(respond) as server:
        transport = make_transport(server)
        for place in range(len(whole.data)):  # noqa: B007 - read by the server
            with pytest.raises(ScrapinghubAPIError) as caught:
                transport.post(('x',), value=1)
            assert caught.value.maybe_applied
        place = len(whole.data)
        assert transport.post(('x',), value=1).value == {'a': [1, 2]}
        transport.close()


def test_a_value_without_a_length_has_to_come_twice() -> None:
    answers = [b'12', b'1234', b'{"a": 1}\n', b'{"a": 1}\n{"a": 2}\n', b'', b'{"a": 1}\n', b'1234', b'1234']
    with Server(lambda request: reply(answers.pop(0), framing='close')) as server:
        transport = make_transport(server)
        assert transport.get(('x',)).value == 1234
        assert answers == []
        transport.close()


def test_a_value_without_a_length_that_is_never_the_same() -> None:
    counter = iter(range(100))
    with Server(lambda request: reply(str(next(counter)).encode(), framing='close')) as server:
        transport = make_transport(server, retries=RetrySettings(1))
        with pytest.raises(BodyBroken, match='does not say how long it is'):
            transport.get(('x',))
        assert transport.post(('x',), value=1).value == 4
        transport.close()


def test_html_where_a_value_is_owed() -> None:
    page = b'<html><body>' + b'Sign in ' * 1000
    with Server(lambda request: reply(page, content_type='text/html')) as server:
        with pytest.raises(DecodeError) as caught:
            make_transport(server).get(('x',), expects=codec.JSON)
        assert len(server.requests) == 1
    assert "it begins: '<html><body>Sign in" in str(caught.value)
    assert len(str(caught.value)) < 500
    assert caught.value.status_code == 200


@pytest.mark.parametrize('status', [204, 200])
def test_an_empty_answer_has_no_value(status: int) -> None:
    with Server(lambda request: reply(b'', status=status)) as server:
        assert make_transport(server).get(('x',)).value is None


@pytest.mark.parametrize('status', [300, 304, 302, 301, 307])
def test_an_answer_that_is_neither_good_nor_an_error(status: int) -> None:
    with Server(lambda request: reply(b'', status=status)) as server:
        with pytest.raises(ScrapinghubAPIError, match=str(status)) as caught:
            make_transport(server).get(('x',))
        with pytest.raises(ScrapinghubAPIError, match=str(status)):
            list(stream_of(make_transport(server), 'items'))
    assert caught.value.status_code == status


def test_a_value_that_is_too_large_is_an_error_wherever_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, 'VALUE_BYTES', 1000)
    with Server(lambda request: reply(b'1\n' * 1000)) as server:
        with pytest.raises(DecodeError, match='more than 1000 bytes'):
            make_transport(server).get(('x',))
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ('content_type', 'body', 'message'),
    [
        (MSGPACK, b'\x80' * 5000, 'more than 1000 values'),
        (JSON_LINES, b'{}\n' * 5000, 'more than 1000 values'),
        ('application/json', b'[' + b'[],' * 5000 + b'[]]', 'the value is larger than 1000 bytes'),
        (MSGPACK, b'\xdc\x13\x88' + b'\x80' * 5000, 'a record is larger than 1000 bytes'),
        (JSON_LINES, b'[' + b'[],' * 5000 + b'[]]', 'a record is larger than 1000 bytes'),
    ],
)
def test_small_values_that_would_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch, content_type: str, body: bytes, message: str
) -> None:
    for module, name in ((responses, 'JSON_BYTES'), (responses, 'MAX_VALUES'), (codec, 'PIECE_SIZE')):
        monkeypatch.setattr(module, name, 1000)
    with Server(lambda _: reply(body, content_type=content_type, encoding='gzip')) as server:
        transport = make_transport(server, max_record=1000)
        with pytest.raises(DecodeError, match=message):
            transport.get(('x',))
        transport.close()


def test_a_value_that_trickles_in_is_bounded_by_the_clock() -> None:
    def trickle() -> Iterator[bytes]:
        while True:
            yield chunked([b' '])[:-5]

    with Server(lambda request: Reply(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', trickle())) as server:
        transport = make_transport(server, TickingClock(1.0), timeout=10)
        with pytest.raises(ReadTimedOut, match='within 50 seconds'):
            transport.get(('x',))
        transport.close()


def test_the_explanation_of_an_error_that_breaks_off_does_not_hide_the_error() -> None:
    for broken in (
        reply(b'explanation', status=404, cut=3),
        reply(b'explanation', status=404, encoding='gzip', cut=12),
        reply(b'no gzip', status=404, headers={'Content-Encoding': 'gzip'}),
    ):
        with Server(lambda request, broken=broken: broken) as server:  # type: ignore[misc]
            with pytest.raises(NotFound) as caught:
                make_transport(server).get(('x',))
            assert len(server.requests) == 1
        assert caught.value.status_code == 404


def test_the_explanation_of_an_error_is_read_to_64_kib() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield chunked([b'x' * 65536])[:-5]

    head = b'HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n'
    with Server(lambda request: Reply(head, endless())) as server:
        with pytest.raises(ScrapinghubAPIError) as caught:
            make_transport(server).get(('x',))
        assert len(caught.value.message or '') == 64 * 1024


def test_an_error_that_trickles_in_is_bounded_by_the_clock() -> None:
    def trickle() -> Iterator[bytes]:
        while True:
            yield chunked([b' '])[:-5]

    head = b'HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n'
    with Server(lambda request: Reply(head, trickle())) as server, pytest.raises(ScrapinghubAPIError) as caught:
        make_transport(server, TickingClock(1.0), timeout=5).get(('x',))
    assert caught.value.status_code == 400


# Time-outs and logs


def test_a_call_may_have_a_time_out_of_its_own() -> None:
    gate = threading.Event()
    with Server(lambda request: Reply(b'', hold=gate)) as server:
        clock = ManualClock()
        with pytest.raises(ReadTimedOut):
            make_transport(server, clock, timeout=60).get(('x',), timeout=0.02)
        gate.set()
        assert len(clock.waits) == 3


def test_one_line_is_logged_for_each_request(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, 'scrapinghub')
    with Server(lambda request: reply(b'12', framing='chunked')) as server:
        transport = make_transport(server)
        transport.get(('items', 'é'), {'apikey': 'topsecret'})
        list(stream_of(transport, 'samples'))
    assert [record.getMessage() for record in caplog.records] == [
        'GET /items/%C3%A9 200, 0 ms, stream bytes, attempt 1',
        'GET /samples/1 200, 0 ms, stream bytes, attempt 1',
    ]


# Proxies and certificates


class ForwardingProxy:
    """A proxy that forwards plain requests and opens tunnels to one address."""

    def __init__(self, tunnel_to: int | None = None) -> None:
        proxy = self
        self.lines: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_GET(self) -> None:
                proxy.lines.append(self.requestline)
                body = b'"proxied"'
                self.send_response(200)
                self.send_header('Content-Type', 'application/json')
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_CONNECT(self) -> None:
                proxy.lines.append(self.requestline)
                self.send_error(403)

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.server.server_port}'

    def __enter__(self) -> ForwardingProxy:
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the proxies and certificates of this machine."""
    for name in transport_module.ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures('no_proxies')
def test_a_proxy_from_the_environment_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = []
    environment = requests.utils.get_environ_proxies
    with ForwardingProxy() as proxy:
        monkeypatch.setenv('http_proxy', proxy.url)

        def counted(url: str, no_proxy: str | None = None) -> Any:
            looked_up.append(url)
            return environment(url, no_proxy=no_proxy)

        monkeypatch.setattr('requests.sessions.get_environ_proxies', counted)
        transport = make_transport('http://storage.invalid')
        for _ in range(3):
            assert transport.get(('x',)).value == 'proxied'
        transport.close()
    assert proxy.lines == ['GET http://storage.invalid/x HTTP/1.1'] * 3
    assert looked_up == ['http://storage.invalid']


@pytest.mark.usefixtures('no_proxies')
@pytest.mark.parametrize('name', ['http_proxy', 'HTTP_PROXY', 'all_proxy'])
def test_a_proxy_that_is_set_after_the_first_request_is_used(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with (
        Server(lambda request: reply(b'"direct"', content_type='application/json')) as server,
        ForwardingProxy() as proxy,
    ):
        transport = make_transport(server)
        assert transport.get(('x',)).value == 'direct'
        monkeypatch.setenv(name, proxy.url)
        assert transport.get(('x',)).value == 'proxied'
        monkeypatch.setenv('no_proxy', '127.0.0.1')
        assert transport.get(('x',)).value == 'direct'
        monkeypatch.delenv('no_proxy')
        assert transport.get(('x',)).value == 'proxied'
        transport.session.trust_env = False
        assert transport.get(('x',)).value == 'direct'
        transport.close()


@pytest.mark.usefixtures('no_proxies')
def test_a_proxy_of_the_session_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        Server(lambda request: reply(b'"direct"', content_type='application/json')) as server,
        ForwardingProxy() as proxy,
    ):
        transport = make_transport(server)
        assert transport.get(('x',)).value == 'direct'
        transport.session.proxies['http'] = proxy.url
        assert transport.get(('x',)).value == 'proxied'
        transport.session.proxies = {}
        assert transport.get(('x',)).value == 'direct'
        transport.close()


@pytest.mark.usefixtures('no_proxies')
def test_certificates_that_are_set_after_the_first_request_are_used(
    tls_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TLSServer(tls_files) as url:
        transport = make_transport(url, retries=RetrySettings(0))
        with pytest.raises(TLSFailed):
            transport.get(('x',))
        monkeypatch.setenv('REQUESTS_CA_BUNDLE', str(tls_files / 'cert.pem'))
        assert transport.get(('x',)).value == 1
        monkeypatch.delenv('REQUESTS_CA_BUNDLE')
        with pytest.raises(TLSFailed):
            transport.get(('x',))
        transport.session.verify = str(tls_files / 'cert.pem')
        assert transport.get(('x',)).value == 1
        transport.close()


@pytest.mark.usefixtures('no_proxies')
def test_the_settings_of_a_session_are_passed_on() -> None:
    transport = make_transport('https://storage.invalid')
    assert transport._settings_for('https://storage.invalid/x')['verify'] is True
    transport.session.verify = False
    transport.session.cert = '/cert.pem'
    settings = transport._settings_for('https://storage.invalid/x')
    assert (settings['verify'], settings['cert']) == (False, '/cert.pem')


def test_no_proxy_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('http_proxy', 'http://127.0.0.1:9')
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    with Server(lambda request: reply(b'1')) as server:
        assert make_transport(server).get(('x',)).value == 1


def test_a_proxy_that_refuses_the_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    with ForwardingProxy() as proxy:
        monkeypatch.setenv('https_proxy', proxy.url.replace('http://', 'http://me:topsecret@'))
        monkeypatch.delenv('no_proxy', raising=False)
        monkeypatch.delenv('NO_PROXY', raising=False)
        with pytest.raises(ProxyFailed) as caught:
            make_transport('https://storage.invalid').get(('x',))
    assert [line.split()[:2] for line in proxy.lines] == [['CONNECT', 'storage.invalid:443']] * 4
    assert 'topsecret' not in str(caught.value)
    # urllib3 2.2 does not close the response of the proxy: the garbage collector does, with a warning.
    del caught
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', ResourceWarning)
        gc.collect()


def test_certificates_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    bundle = tmp_path / 'bundle.pem'
    bundle.write_text('')
    monkeypatch.setenv('REQUESTS_CA_BUNDLE', str(bundle))
    transport = make_transport('https://storage.invalid')
    assert transport._settings_for('https://storage.invalid/x')['verify'] == str(bundle)
    monkeypatch.delenv('REQUESTS_CA_BUNDLE')
    monkeypatch.setenv('CURL_CA_BUNDLE', '')
    assert make_transport('https://storage.invalid')._settings_for('https://storage.invalid/x')['verify'] is True


def test_a_server_whose_certificate_is_not_trusted(tls_files: Path) -> None:
    clock = ManualClock()
    with TLSServer(tls_files) as url, pytest.raises(TLSFailed) as caught:
        make_transport(url, clock).get(('x',))
    assert 'CERTIFICATE_VERIFY_FAILED' in str(caught.value.original)
    assert clock.waits == []


def test_certificates_are_checked_unless_that_is_switched_off(tls_files: Path) -> None:
    with TLSServer(tls_files) as url:
        transport = make_transport(url)
        with pytest.raises(TLSFailed):
            transport.get(('x',), options={'verify': None})
    for verify in ('', 0):
        with pytest.raises(ValueError, match='verify should be the path of a file'):
            transport.get(('x',), options={'verify': verify})


@pytest.fixture
def tls_files(tmp_path: Path) -> Path:
    """A folder with a certificate of 127.0.0.1 and its key."""
    openssl = shutil.which('openssl')
    if openssl is None:
        pytest.skip('openssl makes the certificate')
    subprocess.run(
        [openssl, 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'key.pem', '-out', 'cert.pem',
         '-days', '2', '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'],
        check=True, capture_output=True, cwd=tmp_path,
    )  # fmt: skip
    return tmp_path


class TLSServer:
    """A server that answers 1 to each request, each on a connection of its own."""

    def __init__(self, files: Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(files / 'cert.pem', files / 'key.pem')
        self.listener = socket.create_server(('127.0.0.1', 0))

    def __enter__(self) -> str:
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return f'https://127.0.0.1:{self.listener.getsockname()[1]}'

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with (
                connection,
                contextlib.suppress(OSError),
                self.context.wrap_socket(connection, server_side=True) as tls,
            ):
                tls.recv(65536)
                tls.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1')

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


# Connections


def test_one_connection_serves_many_calls() -> None:
    statuses = iter([200, 404, 200, 400, 503, 200])
    with Server(lambda request: reply(b'1', status=next(statuses))) as server:
        transport = make_transport(server)
        statuses_raised = []
        for _ in range(5):
            try:
                transport.get(('x',))
            except ScrapinghubAPIError as error:
                statuses_raised.append(error.status_code)
        assert statuses_raised == [404, 400]
        assert len(server.requests) == 6
        assert server.connections == 1


def test_thirty_two_threads_share_their_connections() -> None:
    storage = sample_storage()
    barrier = threading.Barrier(32)
    with Server(storage.respond) as server:
        transport = make_transport(server)

        def work(number: int) -> int:
            barrier.wait(20)
            for _ in range(6):
                assert len(list(stream_of(transport, 'items'))) == 12
                assert transport.get(('samples', number)).values[0] == [0, storage.items[0]]
            return number

        with ThreadPoolExecutor(32) as pool:
            assert sorted(pool.map(work, range(32))) == list(range(32))
        assert len(server.requests) == 32 * 12
        assert server.connections <= 32
        transport.close()
        assert server.wait_until(lambda: server.closed == server.connections)


# Credentials


def test_credentials_are_a_pair_that_is_never_shown() -> None:
    credentials = Credentials(KEY)
    assert credentials == (KEY, '')
    assert Credentials('1/2/3', 'token') == ('1/2/3', 'token')
    for text in (repr(credentials), str(credentials), f'{credentials}', f'{[credentials]}', f'{credentials!r}'):
        assert KEY not in text
    again = pickle.loads(pickle.dumps(credentials))
    assert again == credentials
    assert type(again) is Credentials
