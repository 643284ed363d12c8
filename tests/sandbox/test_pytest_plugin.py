"""The fixtures for pytest, in a pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import scrapinghub

pytest_plugins = ['pytester']

PLUGIN = 'scrapinghub.sandbox.pytest_plugin'

#: Two tests that would see each other's traces.
TWO_TESTS = """
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
    """A pytest that has this plugin, installed or not, and no other."""
    home = str(Path(scrapinghub.__file__).parent.parent)
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([home, *filter(None, [os.environ.get('PYTHONPATH')])]))
    monkeypatch.setenv('PYTEST_DISABLE_PLUGIN_AUTOLOAD', '1')
    monkeypatch.setenv('PYTEST_PLUGINS', PLUGIN)
    return pytester


def run(inner: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    # In a process of its own: pytest would take the modules away again that an inner run in this one has loaded.
    return inner.runpytest_subprocess('-p', 'no:cacheprovider', '-W', 'error', *arguments, timeout=60)


def servers(inner: pytest.Pytester) -> int:
    return len(set((inner.path / 'servers').read_text(encoding='utf-8').split()))


#: What a program under test finds, and what it leaves behind.
PROGRAMS = """
import os
import subprocess
import sys

import pytest

PROGRAM = '''
from scrapinghub import ScrapinghubClient
with ScrapinghubClient() as client:
    client.get_project(1).collections.get_store('things').set({'_key': 'a', 'value': 1})
'''

def test_another_process(scrapinghub_sandbox, scrapinghub_client):
    assert os.environ['SH_APIKEY'] == scrapinghub_sandbox.apikey
    assert 'SHUB_JOBAUTH' not in os.environ
    assert os.environ['NO_PROXY'] == 'internal.example,127.0.0.1'
    subprocess.run([sys.executable, '-c', PROGRAM], check=True, timeout=30)
    things = scrapinghub_client.get_project(1).collections.get_store('things')
    assert things.get('a') == {'value': 1}

def test_the_environment_is_as_before():
    assert os.environ['SH_APIKEY'] == os.environ['SHUB_JOBAUTH'] == 'real'
    assert os.environ['NO_PROXY'] == 'internal.example'

@pytest.fixture
def written(scrapinghub_sandbox):
    yield
    (entry,) = scrapinghub_sandbox.requests.matching('POST', '/items/1/1/1')
    assert entry.query == [('start', '0')]

def test_what_was_written_is_sent_when_the_test_ends(written, scrapinghub_client):
    job = scrapinghub_client.get_project(1).jobs.run('spider', meta={'state': 'running'})
    job.items.write({'a': 1})
"""


def test_each_test_has_a_sandbox_that_its_programs_find(
    inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('SH_APIKEY', 'real')
    monkeypatch.setenv('SHUB_JOBAUTH', 'real')
    monkeypatch.setenv('HTTP_PROXY', 'http://127.0.0.1:9')
    monkeypatch.setenv('NO_PROXY', 'internal.example')
    inner.makepyfile(test_isolation=TWO_TESTS, test_programs=PROGRAMS)
    run(inner).assert_outcomes(passed=6)


def test_a_session_shares_a_server_and_begins_each_test_empty(inner: pytest.Pytester) -> None:
    inner.makepyfile(TWO_TESTS)
    inner.makeini('[pytest]\nscrapinghub_sandbox = session\n')
    run(inner).assert_outcomes(passed=3)
    assert servers(inner) == 1


def test_the_option_is_stronger_than_the_setting(inner: pytest.Pytester) -> None:
    inner.makepyfile(TWO_TESTS)
    inner.makeini('[pytest]\nscrapinghub_sandbox = nonsense\n')
    run(inner, '--scrapinghub-sandbox=session').assert_outcomes(passed=3)
    assert servers(inner) == 1
    result = run(inner)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(['ERROR: scrapinghub_sandbox must be "test" or "session", not \'nonsense\'*'])


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
