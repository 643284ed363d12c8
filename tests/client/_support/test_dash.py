"""The dash: forms in, JSON objects with a status out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scrapinghub.client._support.dash import Dash
from scrapinghub.exceptions import (
    APIError,
    BadRequest,
    DecodeError,
    NotFound,
    ScrapinghubAPIError,
    ServerError,
    Unauthorized,
)
from scrapinghub.transport.http.retries import Repeat
from support.scripted_server import Reply, Request, Server, reply
from support.transports import make_transport

JSON = 'application/json'


def ask(answer: Reply, act: Callable[[Dash], Any] = lambda dash: dash.get(('x.json',))) -> tuple[Any, list[Request]]:
    with Server(lambda request: answer) as server:
        result = act(Dash(make_transport(server, dash_user_agent='dash/1')))
    return result, server.requests


def test_a_get_and_a_form() -> None:
    answer = reply(b'{"status": "ok", "a": 1}', content_type=JSON)
    result, sent = ask(answer, lambda dash: dash.get(('jobs', 'list.json'), {'project': 1, 'state': ['a', 'b']}))
    assert result == {'status': 'ok', 'a': 1}
    assert sent[0].target == '/jobs/list.json?project=1&state=a&state=b'
    assert sent[0].headers['user-agent'] == 'dash/1'
    _, sent = ask(answer, lambda dash: dash.post(('run.json',), {'spider': 'é', 'add_tag': ['a', 'b']}))
    assert sent[0].body == b'spider=%C3%A9&add_tag=a&add_tag=b'
    assert sent[0].headers['content-type'] == 'application/x-www-form-urlencoded'


def test_the_second_version() -> None:
    answer = reply(b'{"tags": []}', content_type=JSON)
    result, sent = ask(answer, lambda dash: dash.call('PATCH', ('v2', 'x'), value={'add': ['é']}))
    assert result == {'tags': []}
    assert (sent[0].method, sent[0].headers['content-type']) == ('PATCH', JSON)
    assert sent[0].body == b'{"add": ["\\u00e9"]}'
    with pytest.raises(BadRequest) as caught:
        ask(
            reply(b'{"non_field_errors": ["x"]}', status=400, content_type=JSON), lambda dash: dash.call('GET', ('v2',))
        )
    assert caught.value.status_code == 400


@pytest.mark.parametrize('status', [200, 400, 403, 409])
@pytest.mark.parametrize(
    ('body', 'cls', 'words'),
    [
        (b'{"status": "error", "message": "no"}', BadRequest, 'no'),
        (b'{"status": "badrequest", "message": "no"}', BadRequest, 'no'),
        (b'{"status": "error", "message": "Authentication failed"}', Unauthorized, 'Authentication failed'),
        (b'{"status": "error"}', ScrapinghubAPIError, 'JSON response does not contain status'),
        (b'{"a": 1}', ScrapinghubAPIError, 'JSON response does not contain status'),
        (b'[]', ScrapinghubAPIError, 'JSON response does not contain status'),
        (b'{"status": "odd"}', ScrapinghubAPIError, 'Unknown response status: odd'),
    ],
)
def test_the_body_decides(status: int, body: bytes, cls: type[ScrapinghubAPIError], words: str) -> None:
    with pytest.raises(ScrapinghubAPIError) as caught:
        ask(reply(body, status=status, content_type=JSON))
    assert type(caught.value) is cls
    assert str(caught.value).startswith(words)
    assert caught.value.status_code == status
    assert caught.value.method == 'GET'


def test_what_the_status_decides() -> None:
    with pytest.raises(NotFound, match='Not found'):
        ask(reply(b'<html>', status=404, content_type='text/html'))
    with pytest.raises(ServerError, match='Internal server error') as caught:
        ask(reply(b'<html>', status=500, content_type='text/html'))
    assert isinstance(caught.value.http_error, APIError)
    assert caught.value.status_code == 500


@pytest.mark.parametrize('status', [200, 400, 401, 403])
def test_what_is_no_json(status: int) -> None:
    with pytest.raises(DecodeError, match=r'it begins: .<html>') as caught:
        ask(reply(b'<html>', status=status, content_type='text/html'))
    assert isinstance(caught.value, ValueError)
    assert caught.value.status_code == status


def test_a_form_is_not_repeated_unless_it_may_be() -> None:
    answers = iter([reply(status=503), reply(b'{"status": "ok"}', content_type=JSON)])
    with Server(lambda request: next(answers)) as server:
        with pytest.raises(ServerError) as caught:
            Dash(make_transport(server)).post(('run.json',), {})
        assert len(server.requests) == 1
        assert caught.value.maybe_applied
        assert 'may have carried this request out' in str(caught.value)
        assert Dash(make_transport(server)).post(('x.json',), {}, repeat=Repeat.ALWAYS) == {'status': 'ok'}
