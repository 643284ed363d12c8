"""No key is shown: not in texts, logs, exceptions, or the locals of our frames."""

from __future__ import annotations

import base64
import logging
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

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


def assert_error_hides(error: BaseException) -> None:
    """Look at an error as a crash reporter does: with the locals of every frame of the package."""
    shown: BaseException | None = error
    chain = []
    while shown is not None and shown not in chain:
        chain.append(shown)
        shown = shown.__cause__ or shown.__context__
    for link in chain:
        assert_hidden(f'{link} {link!r} {link.args!r} {getattr(link, "hint", "")}')
        frames = traceback.TracebackException.from_exception(link, capture_locals=True)
        for frame in frames.stack:
            if frame.filename.startswith(PACKAGE):
                assert_hidden(str(frame.locals))
    assert_hidden(''.join(traceback.format_exception(error)))
    assert_hidden(str(vars(error)))


@pytest.mark.parametrize('act', ACTS)
@pytest.mark.parametrize('answer', ANSWERS)
def test_no_key_is_shown_when_a_call_fails(answer: str, act: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Server(ANSWERS[answer]) as server:
        transport = make_transport(server, retries=RetrySettings(1))
        with pytest.raises(ScrapinghubAPIError) as caught:
            ACTS[act](transport)
        transport.close()
    assert_error_hides(caught.value)
    assert_hidden(caplog.text)
    pickle.loads(pickle.dumps(caught.value))


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
    assert str(caught.value) == f'400 Client Error: Bad Request for url: {server.url}/x'
    error: BaseException | None = caught.value
    while error is not None:
        assert_hidden(f'{error} {error!r} {error.args!r}')
        error = error.__cause__


def test_no_key_is_shown_by_the_objects_that_hold_it() -> None:
    transport = make_transport('http://host')
    assert transport.credentials == (KEY, '')
    call = Call('GET', 'http://host', auth=Credentials('1/2/3', TOKEN))
    for thing in (transport, transport.credentials, call, transport.session, vars(transport), vars(call)):
        assert_hidden(f'{thing!r} {thing}')
