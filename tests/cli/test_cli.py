"""The command line, as a process against the sandbox."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scrapinghub.sandbox import Sandbox
from scrapinghub.sandbox.demo import seed_demo

COMMAND = (sys.executable, '-m', 'scrapinghub')


@pytest.fixture(scope='module')
def cloud() -> Iterator[Sandbox]:
    with Sandbox(projects=[123, 456]) as cloud:
        seed_demo(cloud, 123)
        yield cloud


def run(cloud: Sandbox, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=60,
        env={**os.environ, **cloud.environ, **environment},
    )


def rows(cloud: Sandbox, *arguments: str) -> list[dict[str, object]]:
    result = run(cloud, *arguments)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def run_in_terminal(
    cloud: Sandbox,
    *arguments: str,
    answer: bytes = b'',
    before_answer: Callable[[], object] = lambda: None,
    columns: int = 80,
    **variables: str,
) -> tuple[int, str]:
    """Run a command in a terminal, answer its prompt, and return its status and what the terminal shows."""
    leader, follower = pty.openpty()
    own = {name: value for name, value in os.environ.items() if name != 'NO_COLOR'}
    environment = {**own, **cloud.environ, 'COLUMNS': str(columns), 'TERM': 'xterm', **variables}
    with subprocess.Popen(
        [*COMMAND, *arguments], stdin=follower, stdout=follower, stderr=follower, env=environment
    ) as process:
        os.close(follower)
        shown = b''
        try:
            while part := os.read(leader, 4096):
                shown += part
                if answer and b'[y/N]' in shown:
                    before_answer()
                    os.write(leader, answer)
                    answer = b''
        except OSError:
            # The terminal is closed when the process ends.
            pass
        status = process.wait(60)
    os.close(leader)
    return status, shown.decode()


def test_a_pipe_gets_json_lines(cloud: Sandbox) -> None:
    assert [row['key'] for row in rows(cloud, 'jobs', '123', '--state', 'finished', '--count', '2')] == [
        '123/1/4',
        '123/1/3',
    ]
    assert {row['spider'] for row in rows(cloud, 'jobs', '123/1')} == {'books'}
    assert [row['title'] for row in rows(cloud, 'items', '123/1/2', '-n', '1', '--fields', 'title')] == [
        'Île flottante, vol. 5'
    ]
    assert rows(cloud, 'logs', 'https://app.zyte.com/p/123/1/2', '-n', '1')[0]['level']
    assert rows(cloud, 'show', '123/1/2')[0]['close_reason'] == 'finished'
    assert rows(cloud, 'whoami')[0]['username']
    assert {'type': 's', 'name': 'books'} in rows(cloud, 'collections', '123', 'list')


def test_a_terminal_gets_a_table_that_fits(cloud: Sandbox) -> None:
    for columns in (80, 160):
        status, shown = run_in_terminal(cloud, 'jobs', '123', columns=columns)
        lines = shown.replace('\x1b[1m', '').replace('\x1b[0m', '').splitlines()
        assert status == 0
        assert lines[0].split()[:2] == ['key', 'spider']
        assert max(map(len, lines)) <= columns
        # A part of a time would be of no use.
        assert all(re.search(r' \d{4}-\d\d-\d\d \d\d:\d\d:\d\d', line) for line in lines[1:])
    assert '\x1b' in shown
    assert '\x1b' not in run_in_terminal(cloud, 'jobs', '123', NO_COLOR='1')[1]


def test_a_column_that_was_asked_for_is_shown(cloud: Sandbox) -> None:
    status, shown = run_in_terminal(cloud, 'items', '123/1/2', '-n', '1', '--fields', 'title, nothing', NO_COLOR='1')
    assert status == 0
    assert shown.splitlines()[0].split() == ['title', 'nothing']


def test_new_items_are_shown_when_they_are_stored() -> None:
    with Sandbox() as cloud, cloud.client() as client:
        job = client.get_project(1).jobs.run('books', meta={'state': 'running'})
        job.items.write({'name': 'a', 'text': 'short'})
        job.items.flush()
        leader, follower = pty.openpty()
        environment = {**os.environ, **cloud.environ, 'COLUMNS': '80', 'NO_COLOR': '1'}
        command = [*COMMAND, 'items', job.key, '-f']
        with subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=environment) as process:
            os.close(follower)
            shown = b''
            while b'short' not in shown:
                shown += os.read(leader, 4096)
            job.items.write({'name': 'b', 'text': 'longer than the first'})
            job.items.flush()
            while b'longer than the first' not in shown:
                shown += os.read(leader, 4096)
            job.finish()
            assert process.wait(60) == 0
        os.close(leader)


def test_jobs_are_run_waited_for_and_cancelled(cloud: Sandbox) -> None:
    (job,) = rows(cloud, 'run', '123', 'books', '-a', 'page=1', '-s', 'DOWNLOAD_DELAY=1', '--tag', 't', '--units', '1')
    shown = rows(cloud, 'show', str(job['key']))[0]
    assert shown['spider_args'] == {'page': '1'}
    assert shown['tags'] == ['t']
    assert rows(cloud, 'cancel', str(job['key'])) == [{'key': job['key'], 'result': 'cancelled'}]
    result = run(cloud, 'wait', str(job['key']), '123/1/2')
    assert len(result.stdout.splitlines()) == 2
    assert result.returncode == 1
    assert f'scrapinghub logs {job["key"]}' in result.stderr
    finished = run(cloud, 'wait', '123/1/2')
    assert (finished.returncode, finished.stderr) == (0, '')
    assert run(cloud, 'wait', '123/2/3', '--timeout', '0').returncode == 1


def test_delete_and_tag_act_on_the_listed_jobs_after_a_confirmation(cloud: Sandbox) -> None:
    for _ in range(2):
        rows(cloud, 'run', '456', 'old', '-a', f'n={_}', '--tag', 'x')
    key = '456/1/1'
    selection = ('--has-tag', 'x', '--state', 'pending')
    assert run(cloud, 'delete', '456', *selection).returncode == 2
    assert len(rows(cloud, 'delete', '456', *selection, '--dry-run')) == 2
    assert [row['result'] for row in rows(cloud, 'tag', '456', *selection, '--add', 'y', '--yes')] == ['changed'] * 2
    status, shown = run_in_terminal(cloud, 'delete', '456', *selection, answer=b'n\n')
    assert status == 130
    assert 'Delete 2 jobs?' in shown
    assert rows(cloud, 'show', key)[0]['state'] == 'pending'

    def run_another() -> None:
        assert rows(cloud, 'run', '456', 'old', '-a', 'n=another', '--tag', 'x')[0]['key'] == '456/1/3'

    status, shown = run_in_terminal(cloud, 'delete', '456', *selection, answer=b'y\n', before_answer=run_another)
    assert status == 0
    states = [rows(cloud, 'show', f'456/1/{number}')[0]['state'] for number in (1, 2, 3)]
    assert states == ['deleted', 'deleted', 'pending']
    no_filter = run(cloud, 'delete', '456', '--state', 'finished', '--yes')
    assert no_filter.returncode == 2
    assert '--has-tag' in no_filter.stderr


def test_downloads_collections_and_periodic_jobs(cloud: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / 'items.jl'
    assert run(cloud, 'download', 'items', '123/1/2', str(path)).stdout.strip() == str(path)
    assert len(path.read_text().splitlines()) == 44
    again = run(cloud, 'download', 'items', '123/1/2', str(path))
    assert (again.returncode, again.stderr.strip().endswith('use --overwrite to replace it')) == (1, True)
    assert len(rows(cloud, 'collections', '123', 'scan', 'books', '--count', '3')) == 3
    rows(cloud, 'collections', '123', 'copy', 'books', '456/copied')
    assert rows(cloud, 'collections', '456', 'scan', 'copied') == rows(cloud, 'collections', '123', 'scan', 'books')
    (created,) = rows(cloud, 'periodic-jobs', '456', 'create', 'books', '--cron', '0 9 * * *', '-a', 'x=1')
    identifier = str(created['id'])
    shown = run_in_terminal(cloud, 'periodic-jobs', '456', 'list', NO_COLOR='1')[1]
    assert re.search(r'  \d{4}-\d\d-\d\d 09:00:00\s', shown)
    assert rows(cloud, 'periodic-jobs', '456', 'pause', identifier)[0]['disabled'] is True
    assert run(cloud, 'periodic-jobs', '456', 'delete', identifier).returncode == 0
    assert rows(cloud, 'periodic-jobs', '456', 'list') == []


def test_errors_are_one_line_and_show_no_key(cloud: Sandbox) -> None:
    for arguments, status in (
        (('jobs', '123', '--state', 'nope'), 2),
        (('items', '1/2'), 2),
        (('items', '123/1/2', '--filter', '["price"'), 2),
        (('show', '123/1/999'), 1),
        (('jobs', '123', '--since', 'soon'), 2),
        (('periodic-jobs', '123', 'create', 'a', '--cron', '* *'), 2),
        (('run', '123', 'books', '-a', 'x'), 2),
    ):
        result = run(cloud, *arguments)
        assert result.returncode == status, arguments
        assert 'Traceback' not in result.stderr
        assert result.stderr.strip()
        assert cloud.apikey not in result.stderr
    dead = run(cloud, 'whoami', '--endpoint', 'http://127.0.0.1:9', SHUB_APIURL='http://127.0.0.1:9/api/')
    assert dead.returncode == 1
    assert 'refused' in dead.stderr
    assert 'Traceback' in run(cloud, 'show', '123/1/999', '--debug').stderr
    without_key = run(cloud, 'whoami', SH_APIKEY='')
    assert (without_key.returncode, 'set the environment variable SH_APIKEY' in without_key.stderr) == (2, True)
    elsewhere = run(cloud, 'jobs', '123', '--endpoint', 'http://127.0.0.1:9')
    assert (elsewhere.returncode, 'refused' in elsewhere.stderr) == (1, True)


def test_a_closed_pipe_and_ctrl_c_end_a_command_quietly(cloud: Sandbox) -> None:
    environment = {**os.environ, **cloud.environ}
    with subprocess.Popen(
        [*COMMAND, 'items', '123/1/2'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b''
    with subprocess.Popen([*COMMAND, 'wait', '123/2/3'], stderr=subprocess.PIPE, env=environment) as process:
        before = len(cloud.requests)
        while len(cloud.requests) == before:
            pass
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_a_download_to_a_pipe_needs_no_progress_bar(cloud: Sandbox, tmp_path: Path) -> None:
    program = 'import sys; sys.modules["tqdm"] = None; import scrapinghub.__main__ as m; m.main()'
    command = [sys.executable, '-c', program, 'download', 'items', '123/1/2', str(tmp_path / 'a.csv')]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **cloud.environ},
        stdin=subprocess.DEVNULL,
    )
    assert (result.returncode, result.stderr) == (0, '')


def test_a_missing_extra_is_one_line() -> None:
    program = 'import sys; sys.modules["click"] = None; import scrapinghub.__main__ as m; m.main()'
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.strip() == 'the command line needs click: install it with pip install "scrapinghub[cli]"'
