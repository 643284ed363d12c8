"""Waiting between attempts: it is visible, short for hosts that never responded, and skipped in tests of programs."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from scrapinghub.exceptions import ConnectionFailed, ServerError, StreamInterrupted
from scrapinghub.transport.http import waits
from scrapinghub.transport.http.retries import Attempts, Policy, RetrySettings
from support.clocks import ManualClock
from support.scripted_server import Reply, Server, reply
from support.storage import instead
from support.stream_kinds import sample_storage, stream_of
from support.transports import make_transport

ROOT = Path(__file__).parents[3]
URL = 'http://storage.invalid/items/1'
RESET = requests.ConnectionError('reset')


@pytest.fixture
def unused() -> str:
    """The address of a port on which nothing listens."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        return f'http://127.0.0.1:{listener.getsockname()[1]}'


@pytest.fixture
def warnings_of(caplog: pytest.LogCaptureFixture) -> Iterator[list[logging.LogRecord]]:
    """The warnings that were logged."""
    records: list[logging.LogRecord] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING:
                records.append(record)

    handler = Collector()
    logging.getLogger('scrapinghub').addHandler(handler)
    yield records
    logging.getLogger('scrapinghub').removeHandler(handler)


def fail_for(seconds: float, policy: Policy, clock: ManualClock, url: str = URL) -> Attempts:
    """Let one operation fail until some time has passed."""
    attempts = Attempts(lambda: policy, clock, 'GET /items/1', url=url)
    end = clock.now + seconds
    while clock.now < end:
        attempts.wait_after(RESET)
    return attempts


# What is logged


def test_a_short_wait_is_no_warning(warnings_of: list[logging.LogRecord]) -> None:
    fail_for(1.5, Policy(backoff_ms=250), ManualClock())
    assert warnings_of == []


def test_a_long_outage_is_one_warning_after_two_seconds_and_one_a_minute(
    warnings_of: list[logging.LogRecord],
) -> None:
    clock = ManualClock()
    fail_for(600, Policy(seconds=3600, backoff_ms=250, limit_ms=5000), clock)
    assert 10 <= len(warnings_of) <= 11
    first = warnings_of[0].getMessage()
    assert 'GET /items/1' in first
    assert 'storage.invalid' in first
    assert 'reset' in first
    assert '3600 s' in first
    assert 'max_retry_time' in first


def test_a_long_pause_is_one_warning_a_minute(warnings_of: list[logging.LogRecord]) -> None:
    response = requests.Response()
    response.status_code = 429
    response.headers['Retry-After'] = '300'
    clock = ManualClock()
    attempts = Attempts(RetrySettings(3, 3600).for_call, clock, 'GET /items/1', url=URL)
    attempts.wait_after(requests.HTTPError('429', response=response))
    assert sum(clock.waits) == 300
    assert 5 <= len(warnings_of) <= 6


def test_each_pause_is_logged_for_those_who_look(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, 'scrapinghub')
    fail_for(1.5, Policy(backoff_ms=250), ManualClock())
    assert [record.levelname for record in caplog.records] == ['INFO', 'INFO']


def test_a_writer_names_its_own_limit(warnings_of: list[logging.LogRecord]) -> None:
    fail_for(10, RetrySettings.for_upload(), ManualClock())
    assert 'max_outage' in warnings_of[0].getMessage()


def test_a_program_without_logging_sees_that_it_waits(unused: str) -> None:
    program = """\
import sys

from scrapinghub import ScrapinghubClient
from scrapinghub.transport.http import waits

waits.time.sleep = print
with ScrapinghubClient('k' * 32, sys.argv[1] + '/api', endpoint=sys.argv[1], max_retries=2, max_retry_time=9) as client:
    try:
        client.get_project(1).jobs.count()
    except OSError:
        pass
"""
    done = subprocess.run(
        [sys.executable, '-c', program, unused],
        cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    (line,) = done.stderr.splitlines()
    assert 'GET /jobq/1/count' in line
    assert '127.0.0.1' in line


# A host that has never responded


def test_a_host_that_never_responded_is_given_up_after_five_seconds(
    unused: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    with pytest.raises(ConnectionFailed, match='has never responded') as caught:
        make_transport(unused, clock).get(('x',))
    assert len(clock.waits) == 3
    assert sum(clock.waits) <= 5
    assert 'max_retry_time' in str(caught.value)
    assert [line for line in caplog.messages if 'Retries end after 5 s;' in line] == caplog.messages[-1:]


def test_a_stream_from_a_host_that_never_responded_is_given_up_as_soon(unused: str) -> None:
    clock = ManualClock()
    with pytest.raises(StreamInterrupted, match='has never responded'):
        list(stream_of(make_transport(unused, clock), 'items'))
    assert sum(clock.waits) <= 5


def test_a_host_whose_name_cannot_be_resolved_is_given_up_as_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*args: object, **kwargs: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, 'Name or service not known')

    monkeypatch.setattr(socket, 'getaddrinfo', look_up)
    clock = ManualClock()
    with pytest.raises(ConnectionFailed, match='cannot be resolved'):
        make_transport('http://storage.invalid', clock).get(('x',))
    assert sum(clock.waits) <= 5


@pytest.mark.parametrize('settings', [RetrySettings(3), RetrySettings(3, 60), RetrySettings(None, 60)])
def test_limits_that_are_given_hold_for_every_host(unused: str, settings: RetrySettings) -> None:
    clock = ManualClock()
    with pytest.raises(ConnectionFailed):
        make_transport(unused, clock, retries=settings).get(('x',))
    assert len(clock.waits) == 3
    assert sum(clock.waits) > 5


def test_a_host_that_responded_once_has_the_whole_budget() -> None:
    clock = ManualClock()
    with Server(lambda request: reply(b'1')) as server:
        transport = make_transport(server, clock)
        transport.get(('x',))
        transport.close()
    with pytest.raises(ConnectionFailed):
        transport.get(('x',))
    assert sum(clock.waits) > 5


def test_a_host_that_responds_with_an_error_has_the_whole_budget() -> None:
    clock = ManualClock()
    with Server(lambda request: reply(b'', status=503)) as server, pytest.raises(ServerError):
        make_transport(server, clock).get(('x',))
    assert sum(clock.waits) > 5


# Tests of programs


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(waits.INSTANT_VARIABLE, '1')


@pytest.mark.usefixtures('instant')
def test_pauses_are_skipped_on_this_machine() -> None:
    clock = ManualClock()
    replies = iter([reply(b'', status=503, headers={'Retry-After': '30'}), Reply(b'', close=True), reply(b'1')])
    with Server(lambda request: next(replies)) as server:
        assert make_transport(server, clock).get(('x',)).value == 1
    assert max(clock.waits) <= waits.INSTANT_PAUSE


@pytest.mark.usefixtures('instant')
def test_pauses_that_are_skipped_count() -> None:
    clock = ManualClock()
    storage = sample_storage()
    storage.faults = [None, *[instead(503)] * 1000]
    with Server(storage.respond) as server:
        stream = stream_of(make_transport(server, clock, retries=RetrySettings(50, 600)), 'samples')
        list(stream)
        with pytest.raises(StreamInterrupted):
            list(stream_of(make_transport(server, clock, retries=RetrySettings(50, 600)), 'samples'))
    assert len(clock.waits) < 60
    assert sum(clock.waits) < 1


@pytest.mark.usefixtures('instant')
@pytest.mark.parametrize('host', ['storage.invalid', '10.0.0.1', '127.0.0.1.example', 'localhost.example', '[2001::1]'])
def test_pauses_are_not_skipped_for_other_machines(host: str) -> None:
    clock = ManualClock()
    fail_for(5, Policy(backoff_ms=1000), clock, f'http://{host}:80/x')
    assert clock.waits == [2, 4]


@pytest.mark.usefixtures('instant')
@pytest.mark.parametrize('host', ['127.0.0.1', '127.8.9.1', 'localhost', '[::1]'])
def test_the_names_of_this_machine(host: str) -> None:
    assert waits.instant(f'http://{host}:8000/x')


def test_pauses_are_kept_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, '', '0'):
        monkeypatch.setenv(waits.INSTANT_VARIABLE, value) if value is not None else None
        assert not waits.instant('http://127.0.0.1/x')


@pytest.mark.usefixtures('instant')
def test_skipped_pauses_are_logged_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, '_logged', set())
    caplog.set_level(logging.INFO, 'scrapinghub')
    for _ in range(3):
        waits.instant('http://127.0.0.1/x')
    (record,) = caplog.records
    assert waits.INSTANT_VARIABLE in record.getMessage()
