"""How often, how long and after what a request is repeated."""

from __future__ import annotations

import logging
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from email.utils import format_datetime
from itertools import chain, repeat
from typing import Any

import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub.exceptions import (
    ConnectionFailed,
    ConnectTimedOut,
    NotFound,
    ReadTimedOut,
    ScrapinghubAPIError,
    ServerError,
    TLSFailed,
)
from scrapinghub.transport.http import retries
from scrapinghub.transport.http.retries import Attempts, Repeat, RetrySettings
from scrapinghub.transport.http.waits import SystemClock
from support.clocks import ManualClock
from support.scripted_server import Reply, Request, Server, reply
from support.transports import make_transport


@pytest.fixture
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, 'random', lambda: 0.0)


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv('TZ', 'Pacific/Kiritimati')
        time.tzset()
        yield
    time.tzset()


def status_error(status: int, **headers: str) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    response.reason = 'Reason'
    response.headers.update({name.replace('_', '-'): value for name, value in headers.items()})
    return requests.HTTPError(response=response)


def pauses_of(
    policy: Any, clock: ManualClock | None = None, error: requests.RequestException | None = None
) -> list[float]:
    """Fail again and again until the budget is spent; return the pauses."""
    clock = clock or ManualClock()
    attempts = Attempts(lambda: policy, clock, 'GET /x')
    failure = error or requests.ConnectionError('x')
    for _ in range(20_000):
        try:
            attempts.wait_after(failure)
        except requests.RequestException:
            return clock.waits
    raise AssertionError('never gave up')


@pytest.mark.usefixtures('no_jitter')
@pytest.mark.parametrize(
    ('max_retries', 'max_retry_time', 'expected'),
    [
        (None, None, [4, 8, 16]),
        (3, 1, [1 / 15, 2 / 15, 4 / 15]),
        (None, 10, [2 / 3, 4 / 3, 8 / 3]),
        (5, None, [1, 2, 4, 8, 16]),
        (1, None, [1]),
        (1, 60, [20]),
        (0, None, []),
        (0, 10, []),
        (0, 0, []),
        (None, 0, [4, 8, 16]),
        (5, 0, [60 * 2**n / 126 for n in range(1, 6)]),
    ],
)
def test_the_budget_of_a_call(max_retries: int | None, max_retry_time: float | None, expected: list[float]) -> None:
    assert pauses_of(RetrySettings(max_retries, max_retry_time).for_call()) == pytest.approx(expected)


def test_jitter_is_up_to_half_a_second() -> None:
    found = {round(pauses_of(RetrySettings(1).for_call())[0] - 1, 6) for _ in range(50)}
    assert len(found) > 10
    assert all(0 <= jitter <= 0.5 for jitter in found)


def test_the_time_of_the_attempts_counts() -> None:
    clock = ManualClock()
    attempts = Attempts(RetrySettings(3, 60).for_call, clock, 'GET /x')
    clock.advance(59.9)
    attempts.wait_after(requests.ConnectionError())
    with pytest.raises(requests.ConnectionError):
        attempts.wait_after(requests.ConnectionError())
    assert attempts.number == 2


@pytest.mark.usefixtures('no_jitter')
def test_the_budget_of_a_stream_is_three_hours_without_progress() -> None:
    pauses = pauses_of(RetrySettings().for_stream())
    assert pauses[:7] == [1, 2, 4, 8, 16, 32, 60]
    assert set(pauses[7:]) == {60}
    assert 3 * 3600 <= sum(pauses) < 3 * 3600 + 61


@pytest.mark.usefixtures('no_jitter')
@pytest.mark.parametrize('given_settings', [RetrySettings(2), RetrySettings(None, 5), RetrySettings(0)])
def test_limits_that_were_given_bound_a_stream_too(given_settings: RetrySettings) -> None:
    assert pauses_of(given_settings.for_stream()) == pytest.approx(pauses_of(given_settings.for_call()))


@pytest.mark.usefixtures('no_jitter')
def test_the_budget_of_a_writer() -> None:
    pauses = pauses_of(RetrySettings.for_upload())
    assert pauses[0] < 1
    assert max(pauses) == 30
    assert 30 * 3600 <= sum(pauses) < 30 * 3600 + 31
    assert sum(pauses_of(RetrySettings.for_upload(10))) < 30
    assert pauses_of(RetrySettings.for_upload(0)) == []


@pytest.mark.parametrize('value', [-1, 'x', True, float('nan'), float('inf')])
@pytest.mark.parametrize('name', ['max_retries', 'max_retry_time'])
def test_settings_that_make_no_sense(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f'{name} should be'):
        RetrySettings(**{name: value})


# Clocks


@given(
    st.lists(st.floats(-1e6, 1e6), max_size=12),
    st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=12),
    st.integers(0, 5) | st.none(),
    st.integers(0, 100) | st.none(),
)
def test_clocks_that_jump(steps: list[float], walls: list[float], tries: int | None, seconds: int | None) -> None:
    clock = ManualClock()
    jumps = iter(steps)

    def jump(_pause: float) -> None:
        clock.wall_offset = walls[len(clock.waits) % len(walls)]
        clock.now += next(jumps, 0.0)

    clock.on_wait = jump
    pauses = pauses_of(RetrySettings(tries, seconds).for_call(), clock)
    most = 3 if tries is None else tries
    assert len(pauses) <= most
    assert all(0 <= pause <= 2**6 + 100 for pause in pauses)


# Retry-After


def test_retry_after_in_seconds() -> None:
    assert pauses_of(RetrySettings().for_call(), error=status_error(429, Retry_After='20')) == [20, 20]


def test_retry_after_less_than_our_pause() -> None:
    assert pauses_of(RetrySettings(1).for_call(), error=status_error(503, Retry_After='0'))[0] >= 1


@pytest.mark.parametrize('zone', ['GMT', '+0000', '-0000'])
@pytest.mark.usefixtures('far_from_utc')
def test_retry_after_as_a_date(zone: str) -> None:
    clock = ManualClock()
    clock.wall_offset = 5e8
    date = format_datetime(datetime.fromtimestamp(clock.time() + 30, timezone.utc)).replace('+0000', zone)
    attempts = Attempts(RetrySettings().for_call, clock, 'GET /x')
    assert attempts.pause_after(status_error(503, Retry_After=date)) == pytest.approx(30, abs=1)


def test_retry_after_a_date_that_is_over() -> None:
    date = 'Wed, 21 Oct 2015 07:28:00 GMT'
    assert pauses_of(RetrySettings(1).for_call(), error=status_error(503, Retry_After=date))[0] < 2


@pytest.mark.parametrize(
    'value',
    [
        '\xb2',
        'soon',
        '-1',
        '-' + '9' * 5000,
        'Mon, 1 Jan',
        'Mon, 01 Jan -9 0:0:0 GMT',
        '1.5',
        '',
        ' ',
        'Wed, 99 Oct 2015 07:28:00 GMT',
        '1e3',
    ],
)
def test_a_retry_after_that_says_nothing(value: str) -> None:
    error = status_error(503, Retry_After=value)
    assert len(pauses_of(RetrySettings(2).for_call(), error=error)) == 2


FAR_DATES = ('Fri, 31 Dec 9999 23:59:59 GMT', 'Mon, 01 Jan 99999999999 00:00:00 GMT', 'Mon, 01 Jan 10000 00:00:00 GMT')


@pytest.mark.parametrize('value', ['61', '9' * 400, '9' * 5000, *FAR_DATES])
def test_retry_after_beyond_the_budget(value: str) -> None:
    attempts = Attempts(RetrySettings().for_call, ManualClock(), 'GET /x')
    error = status_error(429, Retry_After=value)
    with pytest.raises(requests.HTTPError) as caught:
        attempts.pause_after(error)
    assert caught.value is error
    assert attempts.number == 1
    assert attempts.hint is not None
    assert 'Retry-After' in attempts.hint
    assert len(attempts.hint) < 300


@pytest.mark.parametrize('value', ['9' * 400, '100000000', *FAR_DATES])
def test_retry_after_of_years_without_a_limit_of_time(value: str) -> None:
    attempts = Attempts(RetrySettings(3).for_call, ManualClock(), 'GET /x')
    with pytest.raises(requests.HTTPError):
        attempts.pause_after(status_error(503, Retry_After=value))
    assert attempts.hint is not None


@pytest.mark.parametrize('value', ['7200', '9' * 5000, *FAR_DATES])
def test_a_writer_waits_an_hour_at_most_whatever_is_asked(value: str) -> None:
    attempts = Attempts(RetrySettings.for_upload, ManualClock(), 'POST /items/1')
    for _ in range(3):
        assert attempts.pause_after(status_error(503, Retry_After=value)) == 3600


@given(
    st.text(st.characters(max_codepoint=255), max_size=40) | st.from_regex(r'(Mon, )?\d{1,12} \w{3} \d{1,12} .{0,12}')
)
def test_any_retry_after_is_a_pause_or_the_error(value: str) -> None:
    attempts = Attempts(RetrySettings(3).for_call, ManualClock(), 'GET /x')
    error = status_error(503, Retry_After=value)
    try:
        assert 0 <= attempts.pause_after(error) <= retries.MAX_RETRY_AFTER_SECONDS
    except requests.HTTPError as raised:
        assert raised is error  # noqa: PT017


def test_the_user_reads_what_the_service_asked_for() -> None:
    with Server(lambda request: reply(b'slow down', status=429, headers={'Retry-After': '3600'})) as server:
        with pytest.raises(ScrapinghubAPIError) as caught:
            make_transport(server).get(('x',))
        assert len(server.requests) == 1
    assert str(caught.value).startswith(
        'slow down\nGET x: HTTP 429\nThe service asks to wait 3600 seconds (Retry-After)'
    )
    assert caught.value.status_code == 429


# What is repeated


@pytest.mark.parametrize('status', [408, 429, 502, 503, 504])
def test_statuses_that_are_repeated(status: int) -> None:
    answers = iter([reply(status=status), reply(status=status), reply(b'1')])
    with Server(lambda request: next(answers)) as server:
        assert make_transport(server).get(('x',)).value == 1
        assert len(server.requests) == 3


@pytest.mark.parametrize('status', [400, 401, 403, 404, 405, 409, 413, 414, 500, 501, 505, 511])
def test_statuses_that_are_not_repeated(status: int) -> None:
    with Server(lambda request: reply(b'no', status=status)) as server:
        with pytest.raises(ScrapinghubAPIError) as caught:
            make_transport(server).get(('x',))
        assert len(server.requests) == 1
    assert (caught.value.message, caught.value.status_code) == ('no', status)
    assert not isinstance(caught.value, requests.RequestException)


BREAKS: dict[str, Callable[[Request], Reply]] = {
    'closed': lambda request: Reply(b'', close=True),
    'reset': lambda request: Reply(b'', reset=True),
    'half a status line': lambda request: Reply(b'HTTP/1.1 2', close=True),
    'no HTTP': lambda request: Reply(b'hello\r\n\r\n', close=True),
    'half the headers': lambda request: Reply(b'HTTP/1.1 200 OK\r\nContent-Le', close=True),
    'half the body': lambda request: reply(b'12345', cut=2),
    'half a chunk': lambda request: reply(b'12345', framing='chunked', cut=4),
    'half of a gzip body': lambda request: reply(b'12345', encoding='gzip', cut=9),
    'thousands of headers': lambda request: reply(headers={f'X-{number}': 'x' for number in range(5000)}),
    'an endless header': lambda request: reply(headers={'X': 'x' * 100_000}),
}


@pytest.mark.parametrize('how', BREAKS)
def test_broken_answers_are_repeated(how: str) -> None:
    broken = [True, True]

    def respond(request: Request) -> Reply:
        return BREAKS[how](request) if broken and broken.pop() else reply(b'1')

    with Server(respond) as server:
        assert make_transport(server).get(('x',)).value == 1
        assert len(server.requests) == 3


@pytest.mark.parametrize('how', BREAKS)
def test_a_post_whose_answer_was_lost_is_not_repeated(how: str) -> None:
    with Server(BREAKS[how]) as server:
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)) as caught:
            make_transport(server).post(('x',), value=1)
        assert len(server.requests) == 1
    error = caught.value
    assert isinstance(error, ScrapinghubAPIError)
    assert error.maybe_applied
    assert 'may have carried this request out' in str(error)
    assert error.method == 'POST'


@pytest.mark.parametrize('status', [408, 502, 503, 504])
def test_a_post_that_a_proxy_answered_for_the_service(status: int) -> None:
    with Server(lambda request: reply(b'<html>', status=status)) as server:
        with pytest.raises(ScrapinghubAPIError) as caught:
            make_transport(server).post(('x',), value=1)
        assert len(server.requests) == 1
    assert caught.value.maybe_applied
    assert str(caught.value).startswith('<html>\n')


def test_a_refused_post_was_not_applied() -> None:
    with Server(lambda request: reply(b'no', status=400)) as server, pytest.raises(ScrapinghubAPIError) as caught:
        make_transport(server).post(('x',), value=1)
    assert not caught.value.maybe_applied
    assert caught.value.hint is None


def test_a_post_that_times_out() -> None:
    gate = threading.Event()
    with Server(lambda request: Reply(b'', hold=gate)) as server:
        with pytest.raises(ReadTimedOut) as caught:
            make_transport(server, timeout=0.3).post(('x',), value=1)
        gate.set()
        assert len(server.requests) == 1
    assert caught.value.maybe_applied


@pytest.mark.parametrize('method', ['GET', 'DELETE'])
def test_gets_and_deletes_that_time_out_are_repeated(method: str) -> None:
    gate = threading.Event()
    answers = chain([Reply(b'', hold=gate)], repeat(reply(b'1')))
    with Server(lambda request: next(answers)) as server:
        transport = make_transport(server, timeout=0.3)
        answer = transport.get(('x',)) if method == 'GET' else transport.delete(('x',))
        gate.set()
        assert answer.value == 1


def test_a_post_like_a_get_is_repeated() -> None:
    answers = iter([Reply(b'', reset=True), reply(status=503), reply(b'1')])
    with Server(lambda request: next(answers)) as server:
        assert make_transport(server).post(('x',), value=1, repeat=Repeat.ALWAYS).value == 1
        assert [request.body for request in server.requests] == [b'1'] * 3


# What was certainly never received


def test_a_refused_connection() -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
    clock = ManualClock()
    with pytest.raises(ConnectionFailed) as caught:
        make_transport(f'http://127.0.0.1:{port}', clock).post(('x',), value=1)
    assert len(clock.waits) == 3
    assert not caught.value.maybe_applied


def test_an_unknown_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(-2, 'Name or service not known')

    monkeypatch.setattr(socket, 'getaddrinfo', fail)
    clock = ManualClock()
    with pytest.raises(ConnectionFailed) as caught:
        make_transport('http://unknown.invalid', clock).post(('x',), value=1)
    assert len(clock.waits) == 3
    assert not caught.value.maybe_applied


def test_a_connection_that_is_not_opened_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise TimeoutError('timed out')

    monkeypatch.setattr('urllib3.util.connection.create_connection', fail)
    clock = ManualClock()
    with pytest.raises(ConnectTimedOut) as caught:
        make_transport('http://127.0.0.1:1', clock).post(('x',), value=1)
    assert len(clock.waits) == 3
    assert not caught.value.maybe_applied


def test_too_many_requests() -> None:
    answers = iter([reply(status=429), reply(status=429), reply(b'1')])
    with Server(lambda request: next(answers)) as server:
        assert make_transport(server).post(('x',), value=1).value == 1
        assert [request.body for request in server.requests] == [b'1'] * 3


def serve_without_tls(listener: socket.socket, answer: bytes, times: int) -> None:
    for _ in range(times):
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)


def test_a_handshake_that_fails_was_never_received() -> None:
    clock = ManualClock()
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
        answer = b'HTTP/1.0 400 Bad Request\r\n\r\n'
        thread = threading.Thread(target=serve_without_tls, args=(listener, answer, 4), daemon=True)
        thread.start()
        with pytest.raises(TLSFailed) as caught:
            make_transport(f'https://127.0.0.1:{port}', clock).post(('x',), value=1)
        thread.join(10)
    assert len(clock.waits) == 3
    assert not caught.value.maybe_applied


def test_a_handshake_that_takes_too_long_was_never_received() -> None:
    clock = ManualClock()
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ReadTimedOut) as caught:
            make_transport(f'https://127.0.0.1:{port}', clock, timeout=0.05).post(('x',), value=1)
    assert len(clock.waits) == 3
    assert not caught.value.maybe_applied


def test_certificate_errors_are_not_repeated() -> None:
    inner = ssl.SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed')
    error = requests.exceptions.SSLError(
        urllib3.exceptions.MaxRetryError(None, '/', urllib3.exceptions.SSLError(inner))  # type: ignore[arg-type]
    )
    assert not retries.is_transient(error)


@pytest.mark.parametrize('url', ['nonsense', 'ftp://host', 'http://', 'http://host:port', 'http://[1'])
def test_bad_addresses_are_not_repeated(url: str) -> None:
    clock = ManualClock()
    with pytest.raises((ScrapinghubAPIError, ValueError)):
        make_transport(url, clock).get(('x',))
    assert clock.waits == []


# What the log says


def test_every_pause_is_logged_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, 'scrapinghub')
    answers: Iterator[Reply] = iter([Reply(b'', close=True), reply(status=503), reply(b'1')])
    with Server(lambda request: next(answers)) as server:
        make_transport(server).get(('items', 1), {'apikey': 'topsecret'})
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in lines] == ['DEBUG', 'INFO', 'WARNING', 'DEBUG', 'INFO', 'DEBUG']
    assert lines[0][1].startswith('GET /items/1 no response, 0 ms, - bytes, attempt 1')
    assert lines[1][1].startswith('GET /items/1 failed (attempt 1), next attempt in 4.')
    assert lines[1][1].partition(' s: ')[2]
    assert 'HTTP 503' in lines[4][1]
    assert lines[5][1].startswith('GET /items/1 200, 0 ms, 1 bytes, attempt 3')
    assert 'topsecret' not in caplog.text


def test_the_last_error_is_raised_as_it_is() -> None:
    statuses = iter([500, 503, 503, 503, 504])
    next(statuses)
    with Server(lambda request: reply(b'words', status=next(statuses))) as server:
        with pytest.raises(ServerError) as caught:
            make_transport(server).get(('x',))
        assert len(server.requests) == 4
    assert caught.value.status_code == 504
    assert caught.value.message == 'words'
    assert isinstance(caught.value.original, requests.HTTPError)
    assert not isinstance(caught.value, NotFound)


def test_the_clock_of_the_machine_can_be_woken() -> None:
    clock = SystemClock()
    wake = threading.Event()
    assert clock.wait(0) is False
    assert clock.wait(0, wake) is False
    wake.set()
    assert clock.wait(30, wake) is True
    assert clock.monotonic() <= clock.monotonic()
    assert clock.time() > 1.7e9
