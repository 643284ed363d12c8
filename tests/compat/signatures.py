"""Print what an installed scrapinghub offers: modules, names, parameters, defaults; one thing a line.

Run by the interpreter of an environment; it stands alone, because the released package is looked at by it too.
"""

import importlib
import inspect
import pkgutil
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType

#: Not part of what a program that imports a client sees.
LEFT_OUT = ('scrapinghub.sandbox', 'scrapinghub.transport')
#: Private names that programs are known to use.
OWED = ('_build_url', '_decode_response', '_get', '_post', '_request')


def modules() -> Iterator[ModuleType]:
    """Import the package and everything in it."""
    package = importlib.import_module('scrapinghub')
    yield package
    for found in sorted(pkgutil.walk_packages(package.__path__, 'scrapinghub.'), key=lambda module: module.name):
        if not found.name.startswith(LEFT_OUT):
            yield importlib.import_module(found.name)


def names_of(module: ModuleType) -> list[str]:
    """Return the public names of a module; those that it loads late too."""
    return sorted(name for name in {*vars(module), *dir(module)} if not name.startswith('_'))


def described(value: object) -> str:
    """Return a default as text that is the same in every process."""
    if callable(value):
        return getattr(value, '__qualname__', repr(value))
    return repr(int(value)) if isinstance(value, int) and not isinstance(value, bool) else repr(value)


def parameters(thing: object) -> str:
    """Return the parameters of a callable, without annotations."""
    try:
        signature = inspect.signature(thing)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return '(...)'
    shown = []
    star = False
    for parameter in signature.parameters.values():
        text = parameter.name
        if parameter.kind is parameter.VAR_POSITIONAL:
            text, star = f'*{text}', True
        elif parameter.kind is parameter.VAR_KEYWORD:
            text = f'**{text}'
        elif parameter.kind is parameter.KEYWORD_ONLY and not star:
            shown.append('*')
            star = True
        if parameter.default is not parameter.empty:
            text += f'={described(parameter.default)}'
        shown.append(text)
    return f'({", ".join(shown)})'


def lines_of_class(path: str, cls: type) -> Iterator[str]:
    """Yield a class and its public attributes, inherited ones included."""
    yield f'{path}{parameters(cls)}'
    foreign = (object, *(base for base in cls.__mro__ if not base.__module__.startswith('scrapinghub')))
    own = [base for base in cls.__mro__ if base not in foreign]
    for name in sorted({name for base in own for name in vars(base)}):
        if name.startswith('_') and name not in OWED:
            continue
        raw = inspect.getattr_static(cls, name)
        if isinstance(raw, (staticmethod, classmethod)) or callable(raw):
            yield f'{path}.{name}{parameters(getattr(cls, name))}'
        elif hasattr(type(raw), '__get__'):
            yield f'{path}.{name} property'
        elif isinstance(raw, (bool, int, float, str, type(None))):
            yield f'{path}.{name} = {described(raw)}'
        else:
            yield f'{path}.{name} constant'


def lines_of(module: ModuleType, everywhere: bool) -> Iterator[str]:
    """Yield the public names of a module that are the package's own."""
    yield f'{module.__name__} module'
    for name in names_of(module):
        value = getattr(module, name)
        path = f'{module.__name__}.{name}'
        home = getattr(value, '__module__', None) or ''
        if inspect.isclass(value) and home.startswith('scrapinghub'):
            yield f'{path} class'
            if everywhere or home == module.__name__:
                yield from lines_of_class(path, value)
        elif inspect.isroutine(value) and home.startswith('scrapinghub'):
            yield f'{path}{parameters(value)}'
        elif name.isupper() and not inspect.isclass(value) and not callable(value):
            yield f'{path} = {value!r}' if isinstance(value, (bool, int, float, str)) else f'{path} constant'


def snapshot(everywhere: bool) -> list[str]:
    """Return all lines, sorted.

    Args:
        everywhere: Whether to list what a class has under each of its paths, and not only where it is defined.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return sorted({line for module in list(modules()) for line in lines_of(module, everywhere)})


if __name__ == '__main__':
    sys.stdout.write('\n'.join(snapshot('--everywhere' in sys.argv)) + '\n')
