"""Follow a page of the documentation as a reader does: type its commands, run its code, compare what it shows."""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sybil import Document, Example
from sybil.parsers.rest import CodeBlockParser, DocTestParser, SkipParser

from scrapinghub import ScrapinghubClient
from scrapinghub.sandbox import Sandbox
from scrapinghub.sandbox.demo import seed_demo

ROOT = Path(__file__).parents[2]
PROJECT = 123
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# The kinds of blocks that a page may have; see docs/project/documentation.rst.
LANGUAGES = ('python', 'shell', 'text', 'ini', 'yaml', 'none')
SERVER = 'python -m scrapinghub.sandbox'


def parse(page: Path, reader: Reader | None = None) -> Document:
    """Find the sessions and blocks of a page, to be followed by ``reader``."""
    blocks = [CodeBlockParser(language, getattr(reader, language, None)) for language in LANGUAGES]
    return Document.parse(str(page), DocTestParser(FLAGS), SkipParser(), *blocks)


def seeded(folder: Path) -> Path:
    """Return a file with the data of ``python -m scrapinghub.sandbox --project 123 --seed-demo``."""
    path = folder / 'demo.db'
    with Sandbox(projects=[PROJECT], db=str(path)) as cloud:
        seed_demo(cloud, PROJECT)
    return path


@contextlib.contextmanager
def demo(data: Path, folder: Path) -> Iterator[Sandbox]:
    """Run a sandbox on a copy of seeded data."""
    copy = folder / 'copy.db'
    shutil.copy(data, copy)
    with Sandbox(projects=[PROJECT], db=str(copy)) as cloud:
        yield cloud


class Reader:
    """A reader with one terminal and one Python session, who works in a folder and follows one page.

    A ``text`` block is compared with what the block before it printed. A block with a caption is saved as a file.

    Args:
        folder: Where the reader works.
        patch: Changes the environment variables.
        complete: Whether every block of Python is a program by itself, as in the cookbook.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, *, complete: bool = False) -> None:
        self._folder = folder
        self._patch = patch
        self._complete = complete
        self._sessions: list[dict[str, Any]] = []
        self._servers: list[subprocess.Popen[str]] = []
        # What the last block printed, and whether the page has to show it.
        self._printed = ''
        self._must_show = False

    def follow(self, page: Path) -> None:
        """Run everything on a page, in order."""
        document = parse(page, self)
        self._sessions.append(document.namespace)
        for example in document:
            example.evaluate()
        assert not self._not_shown(), f'{page}: {self._not_shown()}'

    def python(self, example: Example) -> str | None:
        """Run a block of Python, or save it as a file."""
        code, problem = str(example.parsed), self._not_shown()
        if problem or self._save(example, code):
            return problem
        names: dict[str, Any] = {} if self._complete else example.namespace
        names['__name__'] = '__main__'
        self._sessions.append(names)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, f'{example.path}:{example.line}', 'exec', dont_inherit=True), names)
        self._printed, self._must_show = printed.getvalue(), bool(printed.getvalue())
        return None

    def shell(self, example: Example) -> str | None:
        """Type the commands of a block into the terminal; what they print need not be shown."""
        problem = self._not_shown()
        if problem:
            return problem
        commands = str(example.parsed).replace('\\\n', '').splitlines()
        self._printed, self._must_show = ''.join(map(self._run, commands)), False
        return None

    def text(self, example: Example) -> str | None:
        """Compare what the last block printed with what the page shows."""
        shown, printed = str(example.parsed), self._printed
        self._printed, self._must_show = '', False
        if doctest.OutputChecker().check_output(normal(shown), normal(printed), FLAGS):
            return None
        return f'the output is\n{printed}\nand the page shows\n{shown}'

    def ini(self, example: Example) -> str | None:
        """Save a configuration file."""
        self._save(example, str(example.parsed))
        return self._not_shown()

    yaml = ini

    def none(self, _example: Example) -> str | None:
        """Leave what is not executed, such as the cells of a notebook."""
        return self._not_shown()

    def close(self) -> None:
        """Close the clients and sandboxes of the session, and stop the servers."""
        values = [value for names in self._sessions for value in names.values()]
        for kind in (ScrapinghubClient, Sandbox):
            for value in {id(value): value for value in values if isinstance(value, kind)}.values():
                value.close()
        for server in self._servers:
            server.terminate()
            server.communicate(timeout=10)

    def _not_shown(self) -> str | None:
        return f'the page does not show the output {self._printed!r}' if self._must_show else None

    def _save(self, example: Example, content: str) -> bool:
        name = (example.region.lexemes or {}).get('options', {}).get('caption')
        if name:
            (self._folder / name).write_text(content, encoding='utf-8')
        return bool(name)

    def _run(self, command: str) -> str:
        if not command.strip() or command.startswith(('#', 'pip install ')):
            return ''
        if command.startswith('export '):
            self._export(command)
            return ''
        if command.startswith(SERVER):
            return self._serve(command)
        done = subprocess.run(
            ['bash', '-c', command],
            env=environment(),
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f'{command}\n{done.stdout}\n{done.stderr}'
        return done.stdout

    def _export(self, line: str) -> None:
        name, _, value = line.strip().removeprefix('export ').partition('=')
        self._patch.setenv(name, value)

    def _serve(self, command: str) -> str:
        """Start a sandbox in another terminal, and paste the lines that it prints into this one."""
        arguments = [sys.executable, *command.split()[1:]]
        server = subprocess.Popen(
            arguments, env=environment(), cwd=self._folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._servers.append(server)
        assert server.stdout is not None
        lines = [server.stdout.readline() for _ in range(4)]
        for line in lines:
            self._export(line)
        return ''.join(lines)


def environment() -> dict[str, str]:
    """Return the environment of the terminal: this Python, this package and its pytest plugin."""
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])
    plugin = {'PYTEST_DISABLE_PLUGIN_AUTOLOAD': '1', 'PYTEST_PLUGINS': 'scrapinghub.sandbox.pytest_plugin'}
    return {**os.environ, 'PATH': tools, 'PYTHONPATH': str(ROOT), **plugin}


def normal(text: str) -> str:
    """Replace what differs from run to run: ports and API keys."""
    text = re.sub(r'127\.0\.0\.1:\d+', '127.0.0.1:PORT', text)
    return re.sub(r'\b[0-9a-f]{32}\b', 'KEY', text)
