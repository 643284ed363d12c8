"""The fixtures for pytest, in a pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import scrapinghub

pytest_plugins = ['pytester']

PLUGIN = 'scrapinghub.sandbox.pytest_plugin'
INSTALLED = any(entry.value == PLUGIN for entry in entry_points(group='pytest11'))

#: Two tests that would see each other's traces.
TWO_TESTS = """
import threading

def one(scrapinghub_sandbox, scrapinghub_client):
    job = scrapinghub_client.get_project(7).jobs.run('spider')
    assert job.key == '7/1/1'
    scrapinghub_sandbox.faults.add(status=503, times=None, path='/nothing')
    scrapinghub_sandbox.clock.freeze(1)
    with open('servers', 'a') as file:
        print(scrapinghub_sandbox.url, file=file)

test_one = one
test_two = one

def test_three(scrapinghub_sandbox):
    assert scrapinghub_sandbox.faults.rules == []
    assert scrapinghub_sandbox.clock() > 1
"""


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A pytest that has the plugin, installed or not, and no other settings than its own."""
    home = str(Path(scrapinghub.__file__).parent.parent)
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([home, *filter(None, [os.environ.get('PYTHONPATH')])]))
    if not INSTALLED:
        monkeypatch.setenv('PYTEST_PLUGINS', PLUGIN)
    return pytester


def run(inner: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return inner.runpytest_inprocess('-p', 'no:cacheprovider', '-W', 'error', *arguments)


def servers(inner: pytest.Pytester) -> int:
    return len(set((inner.path / 'servers').read_text(encoding='utf-8').split()))


def test_each_test_has_a_server_of_its_own(inner: pytest.Pytester) -> None:
    inner.makepyfile(TWO_TESTS)
    run(inner).assert_outcomes(passed=3)


@pytest.mark.parametrize('by', ['option', 'setting'])
def test_a_session_shares_a_server_and_begins_each_test_empty(inner: pytest.Pytester, by: str) -> None:
    inner.makepyfile(TWO_TESTS)
    if by == 'setting':
        inner.makeini('[pytest]\nscrapinghub_sandbox = session\n')
    run(inner, *(['--scrapinghub-sandbox=session'] if by == 'option' else [])).assert_outcomes(passed=3)
    assert servers(inner) == 1


def test_the_option_is_stronger_than_the_setting(inner: pytest.Pytester) -> None:
    inner.makepyfile("""
        def test_names(scrapinghub_sandbox, request):
            assert request.config.getoption('--scrapinghub-sandbox') == 'test'
    """)
    inner.makeini('[pytest]\nscrapinghub_sandbox = nonsense\n')
    run(inner, '--scrapinghub-sandbox=test').assert_outcomes(passed=1)
    result = run(inner)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(['ERROR: scrapinghub_sandbox must be "test" or "session", not \'nonsense\'*'])


def test_a_program_finds_the_sandbox_in_its_environment(
    inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('SH_APIKEY', 'real')
    monkeypatch.setenv('SHUB_JOBAUTH', 'real')
    monkeypatch.setenv('HTTP_PROXY', 'http://127.0.0.1:9')
    monkeypatch.setenv('NO_PROXY', 'internal.example')
    inner.makepyfile("""
        import os
        import subprocess
        import sys

        PROGRAM = '''
        from scrapinghub import ScrapinghubClient
        with ScrapinghubClient() as client:
            store = client.get_project(1).collections.get_store('things')
            store.set({'_key': 'a', 'value': 1})
        '''

        def test_another_process(scrapinghub_sandbox, scrapinghub_client):
            assert os.environ['SH_APIKEY'] == scrapinghub_sandbox.apikey
            assert 'SHUB_JOBAUTH' not in os.environ
            assert os.environ['NO_PROXY'] == 'internal.example,127.0.0.1'
            subprocess.run([sys.executable, '-c', PROGRAM.replace('        ', '')], check=True, timeout=30)
            things = scrapinghub_client.get_project(1).collections.get_store('things')
            assert things.get('a') == {'value': 1}

        def test_the_environment_is_as_before():
            assert os.environ['SH_APIKEY'] == os.environ['SHUB_JOBAUTH'] == 'real'
            assert os.environ['NO_PROXY'] == 'internal.example'
    """)
    run(inner).assert_outcomes(passed=2)


def test_what_was_written_is_sent_when_the_test_ends(inner: pytest.Pytester) -> None:
    inner.makepyfile("""
        import pytest

        @pytest.fixture
        def written(scrapinghub_sandbox):
            yield
            import msgpack, requests
            answer = requests.get(scrapinghub_sandbox.url + 'items/1/1/1', auth=(scrapinghub_sandbox.apikey, ''))
            assert answer.json() == {'a': 1}

        def test_write(written, scrapinghub_client):
            job = scrapinghub_client.get_project(1).jobs.run('spider', meta={'state': 'running'})
            job.items.write({'a': 1})
    """)
    run(inner).assert_outcomes(passed=1)


def test_the_plugin_imports_nothing_until_a_fixture_is_used() -> None:
    code = f'import sys, pytest; before = set(sys.modules); import {PLUGIN}; print(*sorted(set(sys.modules) - before))'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.partition('.')[0] == 'scrapinghub'} == {
        'scrapinghub',
        'scrapinghub.sandbox',
        PLUGIN,
    }
    assert not {name.partition('.')[0] for name in loaded} - {'scrapinghub'} - set(sys.stdlib_module_names)


def test_the_package_ships_the_plugin() -> None:
    setup = Path(scrapinghub.__file__).parent.parent / 'setup.py'
    if not setup.exists():
        pytest.skip('the source of the package is not here')
    assert f"'scrapinghub_sandbox = {PLUGIN}'" in setup.read_text(encoding='utf-8')
