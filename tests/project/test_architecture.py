"""Rules of the code that no tool checks; `lint-imports` and ruff check the others, see pyproject.toml."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = 'scrapinghub'

# Not loaded by importing the client: older clients, the sandbox, and everything that is an extra.
NOT_LOADED = (
    'click', 'dotenv', 'isal', 'numpy', 'pandas', 'pyarrow', 'pytest', 'scrapinghub.hubstorage', 'scrapinghub.legacy',
    'scrapinghub.sandbox', 'scrapy', 'tqdm', 'werkzeug', 'yaml',
)  # fmt: skip

# Lines: of a function without its docstring, of a module with everything.
LONGEST_FUNCTION = 60
LONGEST_MODULE = 400


@pytest.mark.parametrize('statement', ['import scrapinghub', 'from scrapinghub import ScrapinghubClient'])
def test_importing_the_client_loads_nothing_optional(statement: str) -> None:
    code = f'import sys; {statement}; print(*[name for name in sys.argv[1:] if name in sys.modules])'
    done = subprocess.run(
        [sys.executable, '-c', code, *NOT_LOADED], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    assert done.stdout.split() == []


def long_functions(source: str) -> Iterator[str]:
    """Yield the functions with more lines than allowed."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if ast.get_docstring(node) is not None:
                docstring = node.body[0]
                lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
            if lines > LONGEST_FUNCTION:
                yield f'{node.name}: {lines} lines'


def test_functions_and_modules_are_short() -> None:
    too_long = []
    for path in sorted((ROOT / PACKAGE).rglob('*.py')):
        name = path.relative_to(ROOT).as_posix()
        source = path.read_text(encoding='utf-8')
        too_long += [f'{name}, {function}' for function in long_functions(source)]
        lines = len(source.splitlines())
        if lines > LONGEST_MODULE:
            too_long.append(f'{name}: {lines} lines')
    assert too_long == []


def test_a_long_function_is_found() -> None:
    body = '    pass\n' * LONGEST_FUNCTION
    assert list(long_functions(f'def f():\n    """Do it.\n\n    More.\n    """\n{body}')) == ['f: 61 lines']
    assert list(long_functions('def f():\n    """Do it.\n' + '\n' * 100 + '    """\n    pass\n')) == []
