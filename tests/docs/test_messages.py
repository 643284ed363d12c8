"""Errors name their subject: a class in its docstring, a message by an argument or a value.

``python tests/docs/test_messages.py`` prints all of them as one list, to be read.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeGuard

import pytest

from scrapinghub import exceptions

ROOT = Path(__file__).parents[2]
FOLDERS = ('client', 'config', 'export', 'scrapy', 'cli')
# A hint that names the subject is added to these.
WORDS_OF_THE_SERVICE = {'Not Found'}


class Message(NamedTuple):
    """A message that is raised, with ``{}`` around a value that is filled in."""

    place: str
    error: str
    text: str
    arguments: tuple[str, ...]


def messages() -> Iterator[Message]:
    """Find the literal messages of the exceptions that the public parts of the package raise."""
    for folder in FOLDERS:
        for path in sorted((ROOT / 'scrapinghub' / folder).rglob('*.py')):
            tree = ast.parse(path.read_text(encoding='utf-8'))
            constants = dict(constant_texts(tree))
            for function in ast.walk(tree):
                if not isinstance(function, ast.FunctionDef):
                    continue
                arguments = tuple(node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg))
                for node in ast.walk(function):
                    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                        calls = filter(with_text, (node.exc, node.cause))
                        texts = [template(call.args[0], constants) for call in calls]
                        if texts[0] is not None:
                            place = f'{path.relative_to(ROOT)}:{node.lineno}'
                            text = ' / '.join(text for text in texts if text)
                            yield Message(place, ast.unparse(node.exc.func), text, arguments)


def with_text(node: ast.expr | None) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and bool(node.args)


def constant_texts(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the texts that are assigned to names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            text = template(node.value, {})
            if text is not None:
                yield node.targets[0].id, text


def template(node: ast.expr, constants: dict[str, str]) -> str | None:
    """Return the text of an expression; None if it is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [template(part, constants) or '' for part in node.values]
        return ''.join(parts)
    if isinstance(node, ast.FormattedValue):
        known = template(node.value, constants) if isinstance(node.value, ast.Name) else None
        return known if known is not None else f'{{{ast.unparse(node.value)}}}'
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    return None


MESSAGES = list(messages())


@pytest.mark.parametrize('name', exceptions.__all__)
def test_the_docstring_of_an_exception_says_when_it_is_raised(name: str) -> None:
    text = inspect.getdoc(getattr(exceptions, name)) or ''
    assert re.match(r'[A-Z].{15,}\.', text), name


@pytest.mark.parametrize('message', MESSAGES, ids=lambda message: message.place)
def test_a_message_names_its_subject(message: Message) -> None:
    arguments = '|'.join(name.replace('_', '[_ ]') for name in message.arguments)
    # A value that is filled in, an argument of the function, another name of Python, or a setting.
    words = re.search(rf'\w_\w|\b({arguments})\b', message.text, re.IGNORECASE)
    named = words or re.search(r'\{|\b[A-Z]{4,}\b', message.text)
    assert named or message.text in WORDS_OF_THE_SERVICE, f'{message.place} {message.error}: {message.text}'


if __name__ == '__main__':
    for message in MESSAGES:
        print(f'{message.place}  {message.error}: {message.text}')  # noqa: T201
