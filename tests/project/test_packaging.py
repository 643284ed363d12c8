"""What the project says about itself in several places is the same in all of them, and `.ci/run` does what it says."""

import ast
import configparser
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import scrapinghub

ROOT = Path(__file__).parents[2]
SET_UP = 'python3 -m venv .venv && .venv/bin/pip install -q tox && '


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding='utf-8')


def setup_arguments() -> dict[str, Any]:
    """Read the literal arguments of the call of `setup` in setup.py, without running it."""
    (call,) = (
        node
        for node in ast.walk(ast.parse(text('setup.py')))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == 'setup'
    )
    arguments = {}
    for keyword in call.keywords:
        try:
            arguments[str(keyword.arg)] = ast.literal_eval(keyword.value)
        except ValueError:
            continue
    return arguments


def tox_settings() -> configparser.ConfigParser:
    settings = configparser.ConfigParser(interpolation=None)
    settings.read_string(text('tox.ini'))
    return settings


def default_environments() -> list[str]:
    return re.split(r'[,\s]+', tox_settings()['tox']['env_list'])


def minor_versions() -> list[str]:
    """List the versions of Python that the classifiers promise."""
    prefix = 'Programming Language :: Python :: '
    names = (entry.removeprefix(prefix) for entry in setup_arguments()['classifiers'] if entry.startswith(prefix))
    return [name for name in names if re.fullmatch(r'3\.\d+', name)]


# What the README promises


def test_the_readme_has_the_two_commands() -> None:
    commands = [line.strip() for line in text('README.rst').splitlines() if line.strip().startswith('python3 ')]
    assert commands == [f'{SET_UP}.venv/bin/tox run -e bookshop', f'{SET_UP}.venv/bin/tox']


PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob('*.rst'), *ROOT.glob('docs/**/*.rst')])


@pytest.mark.parametrize('page', PAGES)
def test_tox_knows_every_environment_that_a_page_names(page: str) -> None:
    known = {*default_environments(), *(name.removeprefix('testenv:') for name in tox_settings().sections())}
    named = {name for names in re.findall(r'tox run (?:-q )?-e ([\w,]+)', text(page)) for name in names.split(',')}
    assert named <= known


def test_the_table_of_extras_is_that_of_setup() -> None:
    table = text('docs/start/installation.rst')
    assert re.findall(r'^    \* - ``(\w+)``$', table, re.MULTILINE) == sorted(setup_arguments()['extras_require'])


def test_every_file_that_tox_and_the_readme_name_is_there() -> None:
    named = re.findall(r'[\w./-]+/[\w.-]+\.(?:py|txt|rst)', text('tox.ini') + text('README.rst'))
    named += [name.replace('{/}', '/') for name in re.findall(r'\{tox_root\}\{/\}(\S+)', text('tox.ini'))]
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


# One version, one list of interpreters, one list of bounds


def test_the_version_stands_in_one_place() -> None:
    version = scrapinghub.__version__
    assert re.fullmatch(r'\d+\.\d+\.\d+', version)
    for name in ('setup.py', 'pyproject.toml', 'tox.ini', 'docs/conf.py', 'README.rst'):
        # Bounds of other packages may happen to be the same number.
        own_words = re.sub(r'\w+[=>]=\S+', '', text(name))
        assert not re.search(rf'(?<![\d.]){re.escape(version)}(?![\d.])', own_words), name


def test_the_changelog_has_this_version_and_dates() -> None:
    headings = re.findall(r'^(\d\S*) \((.+)\)\n-+$', text('CHANGES.rst'), re.MULTILINE)
    dates = dict(headings)
    assert scrapinghub.__version__ in dates
    released = [version for version, _ in headings if dates[version] != 'unreleased']
    assert [version for version, _ in headings][-len(released) :] == released
    assert all(re.fullmatch(r'\d{4}-\d\d-\d\d', dates[version]) for version in released)


def test_the_same_interpreters_are_promised_and_tested() -> None:
    versions = minor_versions()
    assert setup_arguments()['python_requires'] == f'>={versions[0]}'
    environments = [name for name in default_environments() if name.startswith('py')]
    assert environments == [f'py{version.replace(".", "")}' for version in versions]
    assert f'versions=({" ".join(versions)})\n' in text('.ci/run')


def test_the_lowest_versions_tested_are_those_declared() -> None:
    arguments = setup_arguments()
    extras = arguments['extras_require']
    declared = {*arguments['install_requires'], *(line for lines in extras.values() for line in lines)}
    pins = [line for line in text('tests/lowest.txt').splitlines() if not line.startswith(('#', 'w3lib'))]
    assert sorted(line.replace('==', '>=') for line in pins) == sorted(declared)


# .ci/run, in a folder of its own, with stand-ins for everything that it starts

INTERPRETERS = ('3.10', '3.11', '3.12', '3.13')
SUMMARY = '========= {count} passed in 1.23s ========='

Run = Callable[..., 'subprocess.CompletedProcess[str]']


def write_script(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\n{body}\n', encoding='utf-8')
    path.chmod(0o755)


@pytest.fixture
def ci_run(tmp_path: Path) -> Run:
    """Give a function that runs `.ci/run` where tox prints what it is told and some interpreters are missing."""
    bash = shutil.which('bash')
    if bash is None:
        pytest.skip('there is no bash')

    def run(
        *,
        present: tuple[str, ...] = INTERPRETERS,
        results: dict[str, str] | None = None,
        status: int = 0,
        readme: str = f'Tests::\n\n    {SET_UP}.venv/bin/tox\n',
        pyenv: tuple[str, ...] = (),
    ) -> 'subprocess.CompletedProcess[str]':
        checkout, tools, home = tmp_path / 'checkout', tmp_path / 'tools', tmp_path / 'home'
        (checkout / '.ci').mkdir(parents=True)
        shutil.copy(ROOT / '.ci' / 'run', checkout / '.ci' / 'run')
        (checkout / 'README.rst').write_text(readme, encoding='utf-8')
        # The stand-in for the venv module puts pip and tox where the command looks for them.
        write_script(tools / 'python3', f'mkdir -p .venv/bin && cp {tools}/pip {tools}/tox .venv/bin/')
        write_script(tools / 'pip', 'exit 0')
        outcomes = dict.fromkeys(present, 'OK') if results is None else results
        lines = []
        for count, version in enumerate(INTERPRETERS):
            name = f'py{version.replace(".", "")}'
            if outcomes.get(version) == 'OK':
                lines += [f'{name}: commands[0]> pytest', SUMMARY.format(count=100 + count)]
        for version in INTERPRETERS:
            lines.append(f'  py{version.replace(".", "")}: {outcomes.get(version, "SKIP")} (0.01 seconds)')
        printed = '\n'.join(f"echo '{line}'" for line in lines)
        write_script(tools / 'tox', f'command -v python3.12\n{printed}\nexit {status}')
        for version in INTERPRETERS:
            write_script(tools / f'python{version}', f'exit {0 if version in present else 127}')
        for version in pyenv:
            program = f'python{version.rpartition(".")[0]}'
            write_script(home / '.pyenv' / 'versions' / version / 'bin' / program, 'exit 0')
        return subprocess.run(
            [bash, '.ci/run'],
            cwd=checkout,
            env={'PATH': f'{tools}{os.pathsep}/usr/bin{os.pathsep}/bin', 'HOME': str(home)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_ci_runs_the_command_of_the_readme_and_ends_with_what_the_tests_said(ci_run: Run) -> None:
    done = ci_run()
    assert (done.returncode, done.stderr) == (0, '')
    closing = done.stdout.partition('Closing lines of the test runs:\n')[2].splitlines()
    assert [line.strip() for line in closing] == [
        'py310:', '100 passed in 1.23s', 'py311:', '101 passed in 1.23s',
        'py312:', '102 passed in 1.23s', 'py313:', '103 passed in 1.23s',
    ]  # fmt: skip


def test_ci_fails_as_the_command_fails(ci_run: Run) -> None:
    assert ci_run(status=3).returncode == 3


def test_ci_passes_without_an_interpreter_that_is_not_there(ci_run: Run) -> None:
    done = ci_run(present=('3.11', '3.13'))
    assert (done.returncode, done.stderr) == (0, '')


@pytest.mark.parametrize('outcome', ['SKIP', 'FAIL code 1'])
def test_ci_fails_when_an_interpreter_that_is_there_did_not_pass(ci_run: Run, outcome: str) -> None:
    done = ci_run(results={'3.10': 'OK', '3.11': 'OK', '3.12': outcome, '3.13': 'OK'})
    assert done.returncode == 1
    assert 'python3.12' in done.stderr


def test_ci_takes_the_newest_of_each_interpreter_under_pyenv(ci_run: Run) -> None:
    done = ci_run(present=('3.11',), results=dict.fromkeys(('3.11', '3.12'), 'OK'), pyenv=('3.12.9', '3.12.10'))
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.splitlines()[0].endswith('/.pyenv/versions/3.12.10/bin/python3.12')


def test_ci_wants_the_command_in_the_readme(ci_run: Run) -> None:
    done = ci_run(readme='No command here.\n')
    assert done.returncode == 2
    assert 'README.rst' in done.stderr
