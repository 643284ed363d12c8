"""What is logged, where it goes, and that no key is in it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scrapinghub.transport.http import logs
from support.clocks import ManualClock
from support.scripted_server import KEY, Reply, Server, Wire, json_reply, reply
from support.transports import make_transport

ROOT = Path(__file__).parent.parent

# Asks once in vain and once with success; the address of the service is an argument.
PROGRAM = """\
import sys

from scrapinghub import ScrapinghubClient
from scrapinghub.transport.http import retries

retries.random.random = float
url = sys.argv[1]
with ScrapinghubClient(sys.argv[2], url + '/api', endpoint=url, max_retries=1, max_retry_time=0.5) as client:
    print(client.get_project(1).jobs.count())
"""


def run(code: str, *arguments: str, **environment: str) -> tuple[str, str]:
    """Run a program; return what it wrote to stdout and to stderr."""
    done = subprocess.run(
        [sys.executable, '-c', code, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout, done.stderr


@pytest.fixture
def unsteady() -> Iterator[str]:
    """A service that fails once."""
    answers = iter([reply(b'', status=503), json_reply('7')])
    with Server(lambda request: next(answers)) as server:
        yield server.url


def test_nothing_is_shown_by_default(unsteady: str) -> None:
    assert run(PROGRAM, unsteady, KEY) == ('7\n', '')


@pytest.mark.parametrize('wish', ['debug', ' DEBUG '])
def test_debug_shows_a_line_for_each_request_and_each_retry(unsteady: str, wish: str) -> None:
    out, err = run(PROGRAM, unsteady, KEY, SCRAPINGHUB_LOG=wish)
    assert out == '7\n'
    first, retry, second = err.splitlines()
    assert 'DEBUG scrapinghub.transport.http.transport: GET /jobq/1/count 503, ' in first
    assert first.endswith(' ms, 0 bytes, attempt 1')
    assert 'INFO scrapinghub.transport.http.waits: GET /jobq/1/count failed (attempt 1), next attempt in ' in retry
    assert retry.endswith(' s: HTTP 503 Some Reason')
    assert 'DEBUG scrapinghub.transport.http.transport: GET /jobq/1/count 200, ' in second
    assert second.endswith(' ms, 1 bytes, attempt 2')
    assert KEY not in err


def test_info_shows_the_retries_alone(unsteady: str) -> None:
    _, err = run(PROGRAM, unsteady, KEY, SCRAPINGHUB_LOG='info')
    (line,) = err.splitlines()
    assert 'INFO scrapinghub.transport.http.waits: ' in line


def test_a_program_that_shows_the_log_itself_sees_each_line_once(unsteady: str) -> None:
    own = "import logging\nlogging.basicConfig(format='own %(message)s', level=0)\n"
    own += "logging.getLogger('urllib3').setLevel('ERROR')\n"
    _, err = run(own + PROGRAM, unsteady, KEY, SCRAPINGHUB_LOG='debug')
    assert [line.split(',')[0] for line in err.splitlines() if 'count 200' in line] == ['own GET /jobq/1/count 200']
    assert all(line.startswith('own ') for line in err.splitlines())


def test_an_unknown_level_is_a_warning_that_names_the_known_ones(unsteady: str) -> None:
    _, err = run(PROGRAM, unsteady, KEY, SCRAPINGHUB_LOG='loud')
    assert "UserWarning: SCRAPINGHUB_LOG should be one of debug, info, warning, error, critical, got 'loud'" in err


def test_a_bare_import_sets_nothing_up() -> None:
    code = "import sys, scrapinghub; print('logging' in sys.modules, 'scrapinghub.transport' in sys.modules)"
    assert run(code, SCRAPINGHUB_LOG='debug') == ('False False\n', '')


@pytest.fixture
def quiet() -> Iterator[logging.Logger]:
    """The logger of the library; its handlers and level are put back afterwards."""
    logger = logging.getLogger(logs.ROOT)
    handlers, level = list(logger.handlers), logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def test_the_library_has_no_handler_so_that_python_shows_its_warnings(quiet: logging.Logger) -> None:
    assert quiet.handlers == []
    logs.set_up('')
    assert quiet.handlers == []
    assert quiet.level == logging.NOTSET


def test_every_logger_of_the_library_has_a_name_below_its_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answers = iter([Reply(b'', close=True), reply(b'', status=429), reply(b'1')])
    with Server(lambda request: next(answers)) as server:
        make_transport(server, ManualClock()).get(('items', 1), {'apikey': 'topsecret'})
    ours = [record for record in caplog.records if record.name.partition('.')[0] != 'urllib3']
    assert {record.name.rpartition('.')[2] for record in ours} == {'transport', 'waits'}
    assert [record.levelname for record in ours] == ['DEBUG', 'INFO', 'WARNING', 'DEBUG', 'INFO', 'DEBUG']
    texts = [record.getMessage() for record in ours]
    assert texts[0].startswith('GET /items/1 no response, ')
    assert texts[1].endswith(' s: the server closed the connection without a response')
    assert 'topsecret' not in ''.join(texts)


def test_the_loggers_of_the_libraries_below_hold_no_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Wire({'/jobq/1/count': json_reply('7')}) as wire, wire.client() as client:
        client.get_project(1).jobs.count()
        client.get_job('1/1/1').items.write({'a': 1})
        with pytest.raises(Exception, match='Not Found'):
            client.get_job('1/1/1').items.flush()
        client.get_job('1/1/1').items.writer().take_back()
    assert 'GET /jobq/1/count 200' in caplog.text
    assert KEY not in caplog.text
    assert not [record for record in caplog.records if record.name.startswith('retrying')]
