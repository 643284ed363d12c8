"""``python -m scrapinghub.sandbox``, as its own process."""

from __future__ import annotations

import io
import shlex
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import requests

from scrapinghub.sandbox import Sandbox
from scrapinghub.sandbox.__main__ import main
from scrapinghub.sandbox.demo import seed_demo
from support.caller import Caller

NAMES = ['SHUB_STORAGE', 'SHUB_JOBQ', 'SHUB_APIURL', 'SH_APIKEY']
PATIENCE = 30


class Program:
    """The running program and the variables that it printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.environ: dict[str, str] = {}
        for name in NAMES:
            words = shlex.split(process.stdout.readline())
            assert words[0] == 'export', words
            key, _, value = words[1].partition('=')
            assert key == name
            self.environ[key] = value
        self.url = self.environ['SHUB_STORAGE']

    def caller(self) -> Caller:
        return Caller(self.url, (self.environ['SH_APIKEY'], ''))

    def stop(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


@contextmanager
def running(*arguments: str) -> Iterator[Program]:
    process = subprocess.Popen(
        [sys.executable, '-m', 'scrapinghub.sandbox', *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Program(process)
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def refused(*arguments: str) -> str:
    """Run the program with arguments that it refuses, return the one line that it says."""
    out, err = io.StringIO(), io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # In this process: a new one takes half a second.
    try:
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as caught:
            main([*arguments])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert (caught.value.code, out.getvalue()) == (2, '')
    (line,) = err.getvalue().splitlines()
    return line


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_it_prints_the_variables_serves_and_ends_when_interrupted(number: signal.Signals) -> None:
    with running() as program:
        assert program.environ['SHUB_JOBQ'] == program.url
        assert program.environ['SHUB_APIURL'] == f'{program.url}api/'
        with program.caller() as caller:
            assert caller.push(project=77) == '77/1/1'
        status, out, err = program.stop(number)
    assert (status, out) == (0, '')
    assert program.url in err
    assert program.environ['SH_APIKEY'] not in err


def test_projects_key_and_log() -> None:
    with running('--project', '5', '6', '--project', '7', '--apikey', 'sesame', '--log') as program:
        assert program.environ['SH_APIKEY'] == 'sesame'
        with program.caller() as caller:
            assert [caller.get(f'jobq/{project}/count').status_code for project in (5, 6, 7, 8)] == [200] * 3 + [403]
            assert requests.get(f'{program.url}jobq/5/count?apikey=sesame&state=pending', timeout=PATIENCE).text == '0'
        status, _, err = program.stop()
    assert status == 0
    assert 'GET /jobq/8/count -> 403' in err
    assert 'GET /jobq/5/count?apikey=***&state=pending -> 200 1 bytes' in err
    assert 'sesame' not in err


def test_data_survive_in_a_file(tmp_path: Path) -> None:
    path = str(tmp_path / 'cloud.db')
    with running('--db', path, '--project', '1') as program, program.caller() as caller:
        key = caller.push(state='running')
        caller.post(f'items/{key}', {'a': 1})
        assert program.stop()[0] == 0
    with running('--db', path, '--project', '1') as program, program.caller() as caller:
        assert caller.read(f'items/{key}') == [{'a': 1}]


def test_the_demo_is_seeded_once(tmp_path: Path) -> None:
    path = str(tmp_path / 'cloud.db')
    for words in ('Project 9 contains demo data', 'Project 9 already has jobs'):
        with running('--db', path, '--project', '9', '--seed-demo') as program:
            assert requests.get(f'{program.url}system/ts', timeout=PATIENCE).ok
            assert words in program.stop()[2]


def test_the_printed_quick_start_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with running('--project', '9', '--seed-demo') as program:
        for name, value in program.environ.items():
            monkeypatch.setenv(name, value)
        assert program.process.stderr is not None
        printed = [program.process.stderr.readline() for _ in range(6)]
        code = textwrap.dedent(''.join(line for line in printed if line.startswith('    ')))
        names: dict[str, Any] = {}
        exec(code, names)
        names['client'].close()
    assert capsys.readouterr().out.count("'_type': 'Book'") == 3


def test_a_port_in_use_is_told_in_one_line() -> None:
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        line = refused('--port', str(port))
    assert line == (
        f'python -m scrapinghub.sandbox: error: port {port} is in use: choose another, '
        'or leave --port out to take a free one'
    )


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--port', '65536'], 'a port is a number from 0 to 65535'),
        (['--port', 'x'], 'a port is a number'),
        (['--project', '0'], 'a project id is a positive integer'),
        (['--project', '1/2'], 'a project id is a positive integer'),
        (['--apikey', ''], 'an API key is printable ASCII text'),
        (['--apikey', 'a:b'], 'an API key is printable ASCII text'),
        (['--db', '/'], 'cannot keep the data in /'),
        (['--what'], 'unrecognized arguments: --what'),
    ],
)
def test_wrong_arguments_are_told_in_one_line(arguments: list[str], words: str) -> None:
    assert words in refused(*arguments)


def test_a_file_that_is_no_database_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / 'text'
    path.write_text('no database' * 100, encoding='utf-8')
    assert 'cannot keep the data in' in refused('--db', str(path))
    assert path.read_text(encoding='utf-8') == 'no database' * 100


@pytest.mark.parametrize('library', ['werkzeug', 'msgpack'])
def test_a_missing_extra_is_told_in_one_line(library: str) -> None:
    code = f'import sys; sys.modules[{library!r}] = None; from scrapinghub.sandbox.__main__ import main; main([])'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr == (
        f'python -m scrapinghub.sandbox: error: the sandbox needs {library}: '
        'install it with pip install "scrapinghub[sandbox]"\n'
    )


def test_the_demo_has_something_of_everything(cloud: Sandbox, caller: Caller) -> None:
    before = cloud.clock()
    assert seed_demo(cloud, 1)

    names = ('pending', 'running', 'finished')
    states = {state: int(caller.get(f'jobq/1/count?state={state}').text) for state in names}
    assert states == {'pending': 2, 'running': 1, 'finished': 5}
    running = caller.get('jobq/1/list?state=running').json()
    assert caller.get(f'jobs/{running["key"]}/spider').json() == 'prices'
    for kind in ('items', 'logs', 'requests', 'samples'):
        assert caller.call('GET', f'{kind}/{running["key"]}').content
    assert {line['type'] for line in caller.read('collections/1/list')} == {'s', 'cs'}
    assert caller.get('hcf/1/books/list').json() == ['0', '1']
    assert caller.get('projects/1/settings').json()['job_runtime_limit'] == 24
    events = caller.read('activity/1', meta='_ts')
    kinds = {event['event'] for event in events}
    assert {'job:scheduled', 'job:started', 'job:completed', 'job:cancelled', 'job:deleted'} <= kinds
    assert all(before - 27 * 3_600_000 <= event['_ts'] <= before for event in events)
    assert cloud.clock() == before
    assert not seed_demo(cloud, 1)
    assert seed_demo(cloud, 2)
