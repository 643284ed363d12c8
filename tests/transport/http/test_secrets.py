"""No key is shown: not in texts, logs, exceptions, or the locals of our frames."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
import responses

import scrapinghub
from scrapinghub.client._support.dash import Dash
from scrapinghub.config.credentials import Credentials
from scrapinghub.exceptions import ScrapinghubAPIError
from scrapinghub.transport import codec
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.retries import RetrySettings
from scrapinghub.transport.http.transport import Transport
from support.scripted_server import Reply, Request, Server, reply
from support.storage import cut_part, instead
from support.stream_kinds import sample_storage, stream_of
from support.transports import KEY, make_transport

PACKAGE = str(Path(scrapinghub.__file__).parent)
TOKEN = 'eyJ0b2tlbg.topsecret.signature'
SECRETS = (
    KEY,
    TOKEN,
    base64.b64encode(f'{KEY}:'.encode()).decode(),
    base64.b64encode(f'1/2/3:{TOKEN}'.encode()).decode(),
)

Act = Callable[[Transport], object]


def echo(request: Request) -> str:
    """Return the credentials of a request, in the forms in which a server may send them back."""
    header = request.headers.get('authorization', '')
    pair = base64.b64decode(header.partition(' ')[2]).decode()
    user, _, password = pair.partition(':')
    return f'{header} {pair} {password or user} {header.replace("/", chr(92) + "/")} {quote(header, safe="")}'


def echo_head(request: Request) -> Reply:
    return Reply(f'HTTP/1.1 500 {echo(request)}\r\nX-Echo: {echo(request)}\r\nContent-Length: 0\r\n\r\n'.encode())


ANSWERS: dict[str, Callable[[Request], Reply]] = {
    'refused': lambda request: reply(b'no', status=401),
    'failed': lambda request: reply(b'', status=500),
    'unavailable': lambda request: reply(b'', status=503),
    'closed': lambda request: Reply(b'', close=True),
    'reset': lambda request: Reply(b'', reset=True),
    'cut': lambda request: reply(b'123456', cut=3),
    'damaged': lambda request: reply(b'x', headers={'Content-Encoding': 'gzip'}),
    'html': lambda request: reply(b'<html>', content_type='text/html'),
    'no json': lambda request: reply(b'{', content_type='application/json'),
    'elsewhere': lambda request: reply(status=302, headers={'Location': 'http://other.invalid/'}),
    'in circles': lambda request: reply(status=302, headers={'Location': request.path}),
    'not modified': lambda request: reply(status=304),
    'echo': lambda request: reply(echo(request).encode(), status=400),
    'echo in a message': lambda request: reply(json.dumps({'message': echo(request)}).encode(), status=403),
    'compressed echo': lambda request: reply(echo(request).encode(), status=404, encoding='gzip'),
    'echo in a page': lambda request: reply(echo(request).encode(), content_type='text/html'),
    'echo in a head': echo_head,
    'echo in a redirect': lambda request: reply(status=302, headers={'Location': f'http://x.invalid/{echo(request)}'}),
    'echo instead of http': lambda request: Reply(echo(request).encode() + b'\r\n', close=True),
    'echo after an informational response': lambda request: Reply(
        f'HTTP/1.1 103 Early Hints\r\n\r\nAuthorization: {echo(request)}\r\n\r\n'.encode(), close=True
    ),
    'echo at a cut of the head': lambda request: Reply(
        f'HTTP/1.1 200 OK\r\nX-Echo: {echo(request)}'.encode(), close=True
    ),
    'echo in a head, and a broken body': lambda request: reply(b'123456', cut=3, headers={'X-Echo': echo(request)}),
    'echo in a head, and a damaged body': lambda request: reply(
        b'x', headers={'Content-Encoding': 'gzip', 'X-Echo': echo(request)}
    ),
    'echo in a head, and no json': lambda request: reply(b'{]', headers={'X-Echo': echo(request)}),
    'echo as the size of a chunk': lambda request: Reply(
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n'
        + echo(request).encode()
        + b'\r\n1\r\n',
        close=True,
    ),
    'echo without a colon': lambda request: Reply(
        f'HTTP/1.1 500 Failed\r\nContent-Length: 0\r\n{echo(request).replace(":", "")}\r\n\r\n'.encode()
    ),
    'echo of the dash': lambda request: reply(json.dumps({'status': 'error', 'message': echo(request)}).encode() * 2),
}
ACTS: dict[str, Act] = {
    'get': lambda transport: transport.get(('x',)),
    'post': lambda transport: transport.post(('x',), value={'a': 1}),
    'delete': lambda transport: transport.delete(('x',)),
    'token': lambda transport: transport.get(('x',), auth=Credentials('1/2/3', TOKEN)),
    'stream': lambda transport: list(stream_of(transport, 'items')),
    'stream of messagepack': lambda transport: list(stream_of(transport, 'samples', codec.MSGPACK)),
    'dash': lambda transport: Dash(transport).get(('jobs', 'list.json')),
    'dash form': lambda transport: Dash(transport).post(('run.json',), {'a': 'b'}),
}


def assert_hidden(text: str) -> None:
    for secret in SECRETS:
        assert secret not in text


def assert_error_hides(error: BaseException, with_locals: bool = True) -> None:
    """Look at an error as a crash reporter does: with the locals of every frame of the package."""
    shown: BaseException | None = error
    chain = []
    while shown is not None and shown not in chain:
        chain.append(shown)
        shown = getattr(shown, 'http_error', None) or shown.__cause__ or shown.__context__
    for link in chain:
        assert_hidden(f'{link} {link!r} {link.args!r} {getattr(link, "hint", "")}')
        frames = traceback.TracebackException.from_exception(link, capture_locals=True)
        for frame in frames.stack:
            if with_locals and frame.filename.startswith(PACKAGE):
                assert_hidden(str(frame.locals))
        request = getattr(link, 'request', None)
        response = getattr(link, 'response', None)
        for headers in (getattr(request, 'headers', {}), getattr(getattr(response, 'request', None), 'headers', {})):
            assert 'authorization' not in headers
        if isinstance(response, requests.Response):
            assert_hidden(f'{response.headers} {response.text} {response.reason}')
    assert_hidden(''.join(traceback.format_exception(error)))
    assert_hidden(str(vars(error)))
    assert_hidden(pickle.dumps(error, 0).decode('latin-1'))
    for link in chain:
        # Dask pickles the causes, too.
        assert_hidden(f'{getattr(link, "doc", "")} {getattr(link, "object", "")}')


@pytest.mark.parametrize('act', ACTS)
@pytest.mark.parametrize('answer', ANSWERS)
def test_no_key_is_shown_when_a_call_fails(answer: str, act: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Server(ANSWERS[answer]) as server:
        transport = make_transport(server, retries=RetrySettings(1))
        with pytest.raises(ScrapinghubAPIError) as caught:
            ACTS[act](transport)
        transport.close()
    # The locals of functions that read a response hold it as it arrived.
    assert_error_hides(caught.value, with_locals='echo' not in answer)
    assert_hidden(caplog.text)
    pickle.loads(pickle.dumps(caught.value))


def test_the_request_of_a_response_holds_no_key_although_it_was_sent() -> None:
    with Server(lambda request: reply(b'1')) as server:
        response = make_transport(server).get(('x',)).response
        assert 'authorization' not in response.request.headers
        assert 'authorization' in server.requests[0].headers


@responses.activate
def test_tests_of_programs_still_see_the_credentials_that_were_sent() -> None:
    responses.add('GET', 'http://storage.invalid/x', body='1')
    make_transport('http://storage.invalid').get(('x',))
    assert responses.calls[0].request.headers['Authorization'] == requests.auth._basic_auth_str(KEY, '')


def test_no_key_is_shown_when_a_stream_gives_up() -> None:
    storage = sample_storage()
    storage.faults = [cut_part(0.5), *[instead(503)] * 9]
    with Server(storage.respond) as server:
        transport = make_transport(server, retries=RetrySettings(1))
        with pytest.raises(ScrapinghubAPIError) as caught:
            list(stream_of(transport, 'items'))
    assert_error_hides(caught.value)


def test_no_key_is_shown_where_there_is_no_server() -> None:
    for url in ('http://127.0.0.1:1', 'https://127.0.0.1:1', 'http://nowhere.invalid:1x'):
        with pytest.raises(ScrapinghubAPIError) as caught:
            make_transport(url, retries=RetrySettings(0)).get(('x',))
        assert_error_hides(caught.value)


@pytest.mark.parametrize('body', [b'', b'{"error": "x"}', b'{"message": ""}'])
def test_an_address_that_holds_a_key_is_not_shown(body: bytes) -> None:
    with Server(lambda request: reply(body, status=400, content_type='application/json')) as server:
        transport = make_transport(server.url.replace('//', f'//{KEY}:@'), credentials=None)
        with pytest.raises(ScrapinghubAPIError) as caught:
            transport.get(('x',), {'apikey': KEY})
    assert str(caught.value) == f'400 Client Error: Bad Request for url: {server.url}/x\nGET x: HTTP 400'
    error: BaseException | None = caught.value
    while error is not None:
        assert_hidden(f'{error} {error!r} {error.args!r}')
        error = error.__cause__


def test_a_key_that_a_cookie_echoes_is_not_shown() -> None:
    answer = Reply(f'HTTP/1.1 500 No\r\nSet-Cookie: seen={KEY}; Path=/\r\nContent-Length: 0\r\n\r\n'.encode())
    with Server(lambda request: answer) as server, pytest.raises(ScrapinghubAPIError) as caught:
        make_transport(server, retries=RetrySettings(0)).get(('x',))
    assert isinstance(caught.value.http_error, requests.HTTPError)
    assert caught.value.http_error.response.cookies['seen'] == '***'
    assert_error_hides(caught.value)


def test_credentials_of_the_session_are_not_shown() -> None:
    with Server(echo_head) as server:
        transport = make_transport(server, retries=RetrySettings(0))
        transport.session.auth = (KEY, '')
        transport.session.headers.update({'X-Apikey': KEY, 'Session-Token': TOKEN, 'X-Team': 'books'})
        with pytest.raises(ScrapinghubAPIError) as caught:
            transport.get(('x',))
    assert_error_hides(caught.value)
    assert isinstance(caught.value.http_error, requests.HTTPError)
    assert caught.value.http_error.response.request.headers['X-Team'] == 'books'


def test_no_key_is_shown_by_the_objects_that_hold_it() -> None:
    transport = make_transport('http://host')
    assert transport.credentials == (KEY, '')
    call = Call('GET', 'http://host', auth=Credentials('1/2/3', TOKEN))
    for thing in (transport, transport.credentials, call, transport.session, vars(transport), vars(call)):
        assert_hidden(f'{thing!r} {thing}')
