"""Docstrings of the public classes have the sections that readers and editors expect."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, is_typeddict

import pytest

ROOT = Path(__file__).parents[2]

if not (ROOT / 'docs').exists():
    pytest.skip('the documentation is not here', allow_module_level=True)


def public_classes() -> Iterator[type]:
    """Yield the classes of the modules that the API reference shows."""
    pages = '\n'.join(page.read_text(encoding='utf-8') for page in (ROOT / 'docs' / 'api').glob('*.rst'))
    for name in sorted(set(re.findall(r'automodule:: (scrapinghub\.client\S*)', pages))):
        for value in vars(importlib.import_module(name)).values():
            if inspect.isclass(value) and value.__module__ == name and not value.__name__.startswith('_'):
                yield value


CLASSES = [cls for cls in public_classes() if not is_typeddict(cls) and not issubclass(cls, int)]


def public_methods() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the methods of these classes, inherited ones included, each once."""
    seen = set()
    for cls in CLASSES:
        for name, function in inspect.getmembers(cls, inspect.isfunction):
            ours = function.__module__.startswith('scrapinghub.client') and not name.startswith('_')
            if ours and function not in seen:
                seen.add(function)
                yield f'{cls.__name__}.{name}', function


METHODS = dict(public_methods())


@pytest.mark.parametrize('name', METHODS)
def test_a_method_documents_its_arguments_and_its_result_with_an_example(name: str) -> None:
    function = METHODS[name]
    text = inspect.getdoc(function) or ''
    missing = [
        parameter
        for parameter in list(inspect.signature(function).parameters)[1:]
        if not re.search(rf'^    \**{parameter}: ', text, re.MULTILINE)
    ]
    assert not missing, f'{name} does not document {", ".join(missing)}'
    returns = inspect.get_annotations(function).get('return') not in (None, 'None')
    assert not returns or re.search(r'Returns:|Yields:|^Return ', text, re.MULTILINE), f'{name} documents no result'
    assert 'Example:' in text, f'{name} has no example'


@pytest.mark.parametrize('cls', CLASSES, ids=lambda cls: cls.__name__)
def test_a_class_has_an_example(cls: type) -> None:
    assert 'Example:' in (inspect.getdoc(cls) or '')
