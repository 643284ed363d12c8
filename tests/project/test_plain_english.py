"""Pages, docstrings, comments and messages use plain words: see plain_english.txt."""

import ast
import io
import json
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name('plain_english.txt')
# How many of these words in a thousand a unit may still have; the numbers only become smaller.
TODAY = Path(__file__).with_name('plain_english.json')
PER_THOUSAND = 2

# A block that a reader copies, or that is generated, is not prose.
NOT_PROSE = re.compile(r'\s*\.\. (code-block|literalinclude|image|figure|raw|toctree|auto|py:|include)')


def read_list() -> dict[str, str]:
    """Map each word form to the preferred terms."""
    preferred = {}
    for line in LIST.read_text(encoding='utf-8').splitlines():
        if line.strip() and not line.startswith('#'):
            forms, _, terms = line.partition(' -> ')
            for form in forms.split(', '):
                assert form not in preferred, form
                preferred[form] = terms
    return preferred


PREFERRED = read_list()
AVOIDED = re.compile(r'(?<![\w-])(' + '|'.join(sorted(PREFERRED, key=len, reverse=True)) + r')(?![\w-])', re.IGNORECASE)


def prose(text: str) -> str:
    """Leave out of reStructuredText what is not prose: code, roles, examples."""
    lines = []
    block: int | None = None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if block is not None and line.strip() and indent <= block:
            block = None
        if block is None:
            if NOT_PROSE.match(line):
                block = indent
                continue
            if line.rstrip().endswith('::'):
                block = indent
            lines.append(line)
    text = re.sub(r'``.*?``|:[\w:]+:`.*?`', 'X', '\n'.join(lines), flags=re.DOTALL)
    return re.sub(r'^\s*(>>>|\.\.\.).*$', '', text, flags=re.MULTILINE)


def code_texts(source: str) -> Iterator[str]:
    """Yield docstrings, comments and messages of a module."""
    tree = ast.parse(source)
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text is not None:
                docstrings.add(id(node.body[0].value))  # type: ignore[attr-defined]
                yield prose(text)
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
        if is_text and ' ' in node.value.strip():  # type: ignore[attr-defined]
            yield node.value  # type: ignore[attr-defined]
    # Comments of several lines are one text.
    comments = [
        token for token in tokenize.generate_tokens(io.StringIO(source).readline) if token[0] == tokenize.COMMENT
    ]
    yield '\n'.join(token.string.lstrip('#') for token in comments)


def units() -> dict[str, str]:
    """Collect the text of each page, and of each folder of code."""
    texts: dict[str, list[str]] = defaultdict(list)
    for page in [*ROOT.glob('*.rst'), *ROOT.glob('docs/**/*.rst')]:
        texts[page.relative_to(ROOT).as_posix()].append(prose(page.read_text(encoding='utf-8')))
    for folder in ('scrapinghub', 'examples', 'benchmarks'):
        for module in (ROOT / folder).rglob('*.py'):
            name = module.parent.relative_to(ROOT).as_posix()
            texts[name] += code_texts(module.read_text(encoding='utf-8'))
    return {name: '\n\n'.join(parts) for name, parts in sorted(texts.items())}


UNITS = units()


@pytest.mark.parametrize('unit', UNITS)
def test_the_text_uses_plain_words(unit: str) -> None:
    text = UNITS[unit]
    found = [
        f'{match[0]!r} in "{" ".join(text[max(0, match.start() - 40) : match.end() + 40].split())}": '
        f'better {PREFERRED[match[0].lower()]}'
        for match in AVOIDED.finditer(text)
    ]
    words = len(re.findall(r"[A-Za-z][A-Za-z'’-]*", text))
    rate = json.loads(TODAY.read_text(encoding='utf-8')).get(unit, PER_THOUSAND)
    # One is allowed in a text of any length.
    limit = max(1, words * rate // 1000)
    assert len(found) <= limit, '\n'.join([f'{unit}: {len(found)} in {words} words, allowed are {limit}', *found])


def test_code_is_not_prose() -> None:
    text = prose('A list::\n\n    come = tell()\n\nOf ``stand`` and :meth:`come`.\n\n>>> tell()\n\nEnd.')
    assert text.split() == ['A', 'list::', 'Of', 'X', 'and', 'X.', 'End.']


def test_docstrings_comments_and_messages_are_read() -> None:
    source = '"""Module."""\ndef f():\n    """Do it."""\n    # Why.\n    raise ValueError(f"bad name: {name}", "x")\n'
    assert list(code_texts(source)) == ['Module.', 'Do it.', 'bad name: ', ' Why.']
