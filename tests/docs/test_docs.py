"""Every example of the documentation and of the docstrings runs as it stands, and every page can be reached."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from scrapinghub import exceptions
from scrapinghub.sandbox import Sandbox
from support.docworld import NAMES, world
from support.pages import FLAGS, LANGUAGES, ROOT, Reader, demo, parse, seeded

DOCS = ROOT / 'docs'

if not DOCS.exists():
    pytest.skip('the documentation is not here', allow_module_level=True)


@pytest.fixture(scope='module')
def cloud() -> Iterator[Sandbox]:
    with Sandbox(projects=[123]) as cloud:
        yield cloud


@pytest.fixture
def names(cloud: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What an example finds: see :func:`docworld.world`."""
    for name, value in {**cloud.environ, 'NO_PROXY': '127.0.0.1'}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with world(cloud) as names:
        yield names


# Pages


PAGES = [ROOT / 'README.rst', *sorted(DOCS.rglob('*.rst'))]
# A project for Scrapy: test_docs_scrapy.py runs it.
ELSEWHERE = DOCS / 'guides' / 'scrapy.rst'


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


PAGES_WITH_EXAMPLES = [page for page in PAGES if page != ELSEWHERE and list(parse(page))]


@pytest.fixture(scope='session')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seeded(tmp_path_factory.mktemp('demo'))


@pytest.mark.parametrize('page', PAGES_WITH_EXAMPLES, ids=name_of)
def test_the_examples_of_a_page_run_as_shown(
    page: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / 'reader'
    folder.mkdir()
    monkeypatch.chdir(folder)
    with demo(data, tmp_path) as cloud:
        for name, value in {**cloud.environ, 'NO_PROXY': '127.0.0.1'}.items():
            monkeypatch.setenv(name, value)
        reader = Reader(folder, monkeypatch, complete=page.stem == 'cookbook')
        try:
            reader.follow(page)
        finally:
            reader.close()


def test_most_pages_have_examples() -> None:
    assert len(PAGES_WITH_EXAMPLES) > 20


def test_every_block_of_a_page_is_of_a_kind_that_is_known() -> None:
    for page in PAGES:
        languages = set(re.findall(r'\.\. code(?:-block)?:: *(\S*)', page.read_text(encoding='utf-8')))
        assert languages <= set(LANGUAGES), page


def test_the_extras_that_pages_install_exist() -> None:
    wanted = set()
    for page in PAGES:
        for names in re.findall(r"pip install '(?:scrapinghub|\.)\[([\w,]+)\]'", page.read_text(encoding='utf-8')):
            wanted |= set(names.split(','))
    table = (DOCS / 'start' / 'installation.rst').read_text(encoding='utf-8')
    assert wanted <= set(re.findall(r'^    \* - ``(\w+)``', table, re.MULTILINE))


# Docstrings


class Docstring(NamedTuple):
    """A docstring with examples, and where it stands."""

    module: str
    name: str
    test: doctest.DocTest


def docstrings() -> Iterator[Docstring]:
    """Find the docstrings that have examples, in the sources: a name may have moved to another module."""
    parser = doctest.DocTestParser()
    for path in sorted((ROOT / 'scrapinghub').rglob('*.py')):
        parts = path.relative_to(ROOT).with_suffix('').parts
        module = '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)
        if module.endswith('__main__'):
            continue
        for name, node in defined(ast.parse(path.read_text(encoding='utf-8'))):
            text = ast.get_docstring(node, clean=False) or ''
            line = node.body[0].lineno - 1 if node.body else 0
            test = parser.get_doctest(text, {}, f'{module}.{name}', str(path), line)
            if test.examples:
                yield Docstring(module, name, test)


Documented = ast.Module | ast.ClassDef | ast.FunctionDef


def defined(tree: Documented, prefix: str = '') -> Iterator[tuple[str, Documented]]:
    """Yield a module, its classes and all functions, with their names."""
    yield prefix.rstrip('.'), tree
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield from defined(node, f'{prefix}{node.name}.')


DOCSTRINGS = list(docstrings())


@pytest.mark.parametrize('docstring', DOCSTRINGS, ids=lambda docstring: f'{docstring.module}.{docstring.name}')
def test_the_example_of_a_docstring_runs_as_shown(docstring: Docstring, request: pytest.FixtureRequest) -> None:
    # Filling the sandbox takes most of the time, and not every example needs it.
    plain = NAMES.isdisjoint(re.findall(r'\w+', ' '.join(example.source for example in docstring.test.examples)))
    names: dict[str, Any] = {} if plain else request.getfixturevalue('names')
    docstring.test.globs = {**vars(importlib.import_module(docstring.module)), **names}
    said: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(docstring.test, out=said.append, clear_globs=False)
    names.update(docstring.test.globs)
    assert not said, ''.join(said)


def test_public_classes_and_their_methods_have_examples() -> None:
    found = {(docstring.module, docstring.name) for docstring in DOCSTRINGS}
    assert len(found) > 80
    for module, name in (('client', 'ScrapinghubClient'), ('client.items', 'Items.list_iter'), ('client.job', 'Job')):
        assert (f'scrapinghub.{module}', name) in found


# The whole


def test_the_page_on_errors_names_every_exception() -> None:
    page = (DOCS / 'concepts' / 'errors.rst').read_text(encoding='utf-8')
    assert set(re.findall(r'\* - :class:`~scrapinghub.exceptions.(\w+)`', page)) == set(exceptions.__all__)


def test_every_public_module_is_in_the_reference() -> None:
    pages = '\n'.join(page.read_text(encoding='utf-8') for page in (DOCS / 'api').glob('*.rst'))
    shown = set(re.findall(r'\.\. automodule:: (\S+)', pages))
    public = {path.stem for path in (ROOT / 'scrapinghub' / 'client').glob('[a-z]*.py')}
    # Other modules show the classes of these.
    public -= {'exceptions', 'job', 'frontier_slots'}
    assert shown >= {f'scrapinghub.client.{name}' for name in public}
    assert shown >= {'scrapinghub.client', 'scrapinghub.exceptions'}


def test_every_page_is_reached_from_the_front_page() -> None:
    reached, todo = set(), ['index']
    while todo:
        page = todo.pop()
        if page in reached:
            continue
        reached.add(page)
        text = (DOCS / f'{page}.rst').read_text(encoding='utf-8')
        folder = Path(page).parent
        for block in re.findall(r'\.\. toctree::\n((?:    .*\n|\n)+)', text + '\n'):
            entries = [line.strip() for line in block.splitlines() if line.strip() and not line.strip().startswith(':')]
            todo += [(folder / re.sub(r'.*<(.*)>', r'\1', entry)).as_posix() for entry in entries]
    assert reached == {page.relative_to(DOCS).with_suffix('').as_posix() for page in DOCS.rglob('*.rst')}
