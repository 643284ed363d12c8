"""The rules of the house, kept over the syntax trees of the package.

The rules are the data at the top. Each check is a function from one module's tree to the violations in it, so that the
second half of this file can show that each of them is able to find something.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = 'scrapinghub'

# From the ground up: a module imports modules of its own layer and of the layers before it. The first pattern that fits
# a module places it.
LAYERS: tuple[tuple[str, ...], ...] = (
    ('scrapinghub.exceptions', 'scrapinghub.transport', 'scrapinghub.transport.*'),
    ('scrapinghub.config', 'scrapinghub.config.*'),
    (
        'scrapinghub.client._support',
        'scrapinghub.client._support.*',
        'scrapinghub.client.exceptions',
        'scrapinghub.client.notebook',
        'scrapinghub.client.shapes',
        'scrapinghub.client.utils',
    ),
    ('scrapinghub.client', 'scrapinghub.client.*'),
    ('scrapinghub.hubstorage', 'scrapinghub.hubstorage.*', 'scrapinghub.legacy', 'scrapinghub.legacy.*'),
    ('scrapinghub',),
)
# Of the top module everybody may know this: it is set before anything is loaded, and stands where packaging reads it.
VERSION = ('__version__',)
# May be imported from below as well, inside a function: nobody pays for them, or depends on them, until they are used.
LEAVES = ('scrapinghub.hubstorage', 'scrapinghub.hubstorage.*', 'scrapinghub.legacy', 'scrapinghub.legacy.*')
# Shares no line with the rest, so that client and server are checked against each other.
ISLAND = ('scrapinghub.sandbox', 'scrapinghub.sandbox.*')
# But the fixtures for pytest hand out a client of the sandbox: they import it, inside the fixture.
BRIDGE = 'scrapinghub.sandbox.pytest_plugin'

ON_THE_WIRE = ('scrapinghub.transport.*', 'scrapinghub.client._support.dash')
# Which module may import which library.
LIBRARIES: dict[str, tuple[str, ...]] = {
    # Most of these only sort the library's errors: see SENDERS.
    'requests': (*ON_THE_WIRE, 'scrapinghub.exceptions', *LEAVES),
    'urllib3': (*ON_THE_WIRE, 'scrapinghub.exceptions'),
    'retrying': ('scrapinghub.transport.http.retries',),
    'msgspec': ('scrapinghub.transport.codec',),
    'msgpack': ('scrapinghub.transport.codec', *ISLAND),
    'six': ('scrapinghub.client.*', 'scrapinghub.config.*', 'scrapinghub.transport.codec', *LEAVES),
    'dotenv': ('scrapinghub.config.credentials',),
    'werkzeug': ISLAND,
    'pytest': ('scrapinghub.sandbox.pytest_plugin',),
}

# What sends a request past the transport, and the one module that makes a session.
SENDERS = ('delete', 'get', 'head', 'options', 'patch', 'post', 'put', 'request', 'Session', 'session', 'PoolManager')
SENDER = ('scrapinghub.transport.http.transport',)

# What starts a thread, and where that may happen.
THREAD_STARTERS = ('Thread', 'Timer', 'ThreadPoolExecutor', 'ThreadingMixIn', 'ThreadingHTTPServer', 'start_new_thread')
THREAD_OWNERS = ('scrapinghub.transport.uploads.workers', *ISLAND)

# Not loaded by a bare `import scrapinghub`.
NOT_LOADED = ('scrapinghub.hubstorage', 'scrapinghub.legacy', 'scrapinghub.sandbox', 'werkzeug', 'dotenv', 'pytest')

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One source file of the package."""

    name: str
    tree: ast.Module
    is_package: bool = False


@dataclass(frozen=True)
class Import:
    """One imported module, as it is reached at run time."""

    target: str
    line: int
    in_function: bool
    names: tuple[str, ...] = ()


def fits(name: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether one of the patterns fits the name."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def read_modules() -> dict[str, Module]:
    """Parse every module of the package."""
    modules = {}
    for path in sorted((ROOT / PACKAGE).rglob('*.py')):
        parts = path.relative_to(ROOT).with_suffix('').parts
        is_package = parts[-1] == '__init__'
        name = '.'.join(parts[:-1] if is_package else parts)
        modules[name] = Module(name, ast.parse(path.read_text(encoding='utf-8'), str(path)), is_package)
    return modules


MODULES = read_modules()


def imports(module: Module, known: frozenset[str] = frozenset(MODULES)) -> Iterator[Import]:
    """Yield what a module imports when it is run; names only needed for types do not count."""

    def walk(node: ast.AST, in_function: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, in_function)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ''
            if node.level:
                package = module.name.split('.')[: None if module.is_package else -1]
                base = '.'.join([*package[: len(package) - node.level + 1], *([base] if base else [])])
            for alias in node.names:
                full = f'{base}.{alias.name}'
                yield Import(full if full in known else base, node.lineno, in_function, (alias.name,))
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ('TYPE_CHECKING', 'typing.TYPE_CHECKING'):
            for statement in node.orelse:
                yield from walk(statement, in_function)
        else:
            inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                yield from walk(child, inside)

    return walk(module.tree, False)


def layer(name: str) -> int | None:
    """Give the number of a module's layer; None where it has none."""
    # A pattern without a star comes first wherever it stands: `scrapinghub.transport.*` is for what is not named.
    for exact in (True, False):
        for number, patterns in enumerate(LAYERS):
            chosen = tuple(pattern for pattern in patterns if exact == ('*' not in pattern))
            if fits(name, chosen):
                return number
    return None


def check_layers(module: Module) -> Iterator[str]:
    """Find imports that go upwards, into the island, or out of it."""
    on_island = fits(module.name, ISLAND)
    own = layer(module.name)
    if own is None and not on_island:
        yield f'{module.name} has no place in LAYERS'
        return
    for found in imports(module):
        target = found.target
        if target.partition('.')[0] != PACKAGE or (target, found.names) == (PACKAGE, VERSION):
            continue
        where = f'{module.name}:{found.line} imports {target}'
        if on_island or fits(target, ISLAND):
            bridged = module.name == BRIDGE and target == PACKAGE and found.in_function
            if not (on_island and fits(target, ISLAND)) and not bridged:
                yield f'{where}: the sandbox and the rest know nothing of each other'
            continue
        other = layer(target)
        if other is None:
            yield f'{where}, which has no place in LAYERS'
        elif own is not None and other > own and not (found.in_function and fits(target, LEAVES)):
            yield f'{where}, which stands above it'


def check_libraries(module: Module) -> Iterator[str]:
    """Find libraries that are imported where they have no business."""
    for found in imports(module):
        library = found.target.partition('.')[0]
        if library == PACKAGE or library in sys.stdlib_module_names:
            continue
        if library not in LIBRARIES:
            yield f'{module.name}:{found.line} imports {library}, which LIBRARIES does not know'
        elif not fits(module.name, LIBRARIES[library]):
            yield f'{module.name}:{found.line} imports {library}, which belongs to {", ".join(LIBRARIES[library])}'


def check_senders(module: Module) -> Iterator[str]:
    """Find requests that go out, and sessions that are made, beside the one of the transport."""
    if fits(module.name, SENDER):
        return
    for found in imports(module):
        if found.target.partition('.')[0] in ('requests', 'urllib3') and set(found.names) & set(SENDERS):
            yield f'{module.name}:{found.line} imports {", ".join(found.names)} from {found.target}'
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SENDERS:
            owner = ast.unparse(node.func.value)
            if owner in ('requests', 'requests.sessions', 'urllib3'):
                yield f'{module.name}:{node.lineno} calls {owner}.{node.func.attr}'


def check_threads(module: Module) -> Iterator[str]:
    """Find threads that start outside the modules that own them."""
    if fits(module.name, THREAD_OWNERS):
        return
    for node in ast.walk(module.tree):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None
        if name in THREAD_STARTERS:
            yield f'{module.name}:{getattr(node, "lineno", 0)} uses {name}'


def is_private(name: str) -> bool:
    """Tell whether a name is meant for its owner only."""
    return name.startswith('_') and not name.startswith('__')


def check_private_names(module: Module) -> Iterator[str]:
    """Find attributes of other objects, and names of other modules, that are private to them."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            owner = ast.unparse(node.value)
            if owner not in ('self', 'cls', 'super()'):
                yield f'{module.name}:{node.lineno} reaches into {owner}.{node.attr}'
    for found in imports(module):
        for name in found.names:
            if is_private(name):
                yield f'{module.name}:{found.line} imports {name} from {found.target}'


def public_definitions(module: Module) -> Iterator[tuple[str, Definition]]:
    """Yield every class, function and method that a user can see."""

    def walk(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, Definition]]:
        for node in body:
            if isinstance(node, Definition) and not node.name.startswith('_'):
                yield f'{prefix}.{node.name}', node
                if isinstance(node, ast.ClassDef):
                    yield from walk(node.body, f'{prefix}.{node.name}')

    return walk(module.tree.body, module.name)


def decorators(node: Definition) -> set[str]:
    """Name the decorators of a definition by their last part."""
    plain = (decorator.func if isinstance(decorator, ast.Call) else decorator for decorator in node.decorator_list)
    return {ast.unparse(decorator).rpartition('.')[2] for decorator in plain}


def check_docstrings(module: Module) -> Iterator[str]:
    """Find public things without a docstring, or with a first line that is no imperative sentence."""
    if not ast.get_docstring(module.tree):
        yield f'{module.name} has no docstring'
    for name, node in public_definitions(module):
        names = decorators(node)
        if names & {'overload', 'setter', 'deleter'}:
            continue
        first = (ast.get_docstring(node) or '').partition('\n')[0]
        if not first:
            yield f'{name} has no docstring'
        elif not first.endswith('.'):
            yield f'{name}: the first line of its docstring does not end in a period: {first!r}'
        elif not isinstance(node, ast.ClassDef) and not names & {'property', 'cached_property'}:
            word = re.split(r'\W', first)[0]
            if re.fullmatch(r'[A-Z][a-z]*([^s]s|ing)', word) and word != 'Bring':
                yield f'{name}: the first line of its docstring is no imperative: {first!r}'


Check = Callable[[Module], Iterator[str]]
CHECKS: tuple[Check, ...] = (
    check_layers,
    check_libraries,
    check_senders,
    check_threads,
    check_private_names,
    check_docstrings,
)


@pytest.mark.parametrize('check', CHECKS, ids=lambda check: check.__name__)
def test_the_package_keeps_the_rule(check: Check) -> None:
    problems = [problem for module in MODULES.values() for problem in check(module)]
    assert not problems, '\n'.join(problems)


def test_import_loads_nothing_that_is_not_needed() -> None:
    code = f'import sys, {PACKAGE}; print(*[name for name in sys.argv[1:] if name in sys.modules])'
    done = subprocess.run(
        [sys.executable, '-c', code, *NOT_LOADED], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    assert done.stdout.split() == []


BAD_SOURCES: list[tuple[Check, str, str]] = [
    (check_layers, 'scrapinghub.transport.http.transport', 'def late():\n    from scrapinghub import client'),
    (check_layers, 'scrapinghub.client.jobs', 'from ..legacy import Connection'),
    (check_layers, 'scrapinghub.sandbox.store.database', 'from scrapinghub.transport.codec import decode'),
    (check_layers, 'scrapinghub.client.items', 'def late():\n    from scrapinghub.sandbox import Sandbox'),
    (check_layers, 'scrapinghub.sandbox.pytest_plugin', 'from scrapinghub import ScrapinghubClient'),
    (check_layers, 'scrapinghub.sandbox.store.database', 'def late():\n    from scrapinghub import ScrapinghubClient'),
    (check_layers, 'scrapinghub.attic', ''),
    (check_libraries, 'scrapinghub.client.items', 'import requests'),
    (check_libraries, 'scrapinghub.client.items', 'def late():\n    from msgpack import Unpacker'),
    (check_libraries, 'scrapinghub.transport.http.transport', 'import httpx'),
    (check_senders, 'scrapinghub.hubstorage.client', 'import requests\nrequests.Session()'),
    (check_senders, 'scrapinghub.legacy', 'import requests\nrequests.get("https://example.com")'),
    (check_senders, 'scrapinghub.legacy', 'from requests import Session'),
    (check_threads, 'scrapinghub.transport.http.transport', 'import threading\nthreading.Thread(target=print).start()'),
    (check_threads, 'scrapinghub.client.jobs', 'from threading import Timer\nTimer(1, print)'),
    (check_private_names, 'scrapinghub.client.jobs', 'client._session.get()'),
    (check_private_names, 'scrapinghub.client.jobs', 'self._client._transport'),
    (check_private_names, 'scrapinghub.client.jobs', 'from scrapinghub.client.items import _path'),
    (check_docstrings, 'scrapinghub.client.jobs', ''),
    (check_docstrings, 'scrapinghub.client.jobs', '"""Doc."""\ndef get(): pass'),
    (check_docstrings, 'scrapinghub.client.jobs', '"""Doc."""\nclass Jobs:\n    """Jobs."""\n    def get(self): pass'),
    (check_docstrings, 'scrapinghub.client.jobs', '"""Doc."""\ndef get():\n    """Get it"""'),
    (check_docstrings, 'scrapinghub.client.jobs', '"""Doc."""\ndef get():\n    """Gets it."""'),
    (check_docstrings, 'scrapinghub.client.jobs', '"""Doc."""\ndef get():\n    """Getting it."""'),
]

GOOD_SOURCES: list[tuple[Check, str, str]] = [
    (
        check_layers,
        'scrapinghub.client.jobs',
        'from .items import Items\nfrom ..transport import codec',
    ),
    (check_layers, 'scrapinghub.client', 'def late():\n    from scrapinghub.hubstorage import HubstorageClient'),
    (check_layers, BRIDGE, 'def fixture():\n    from scrapinghub import ScrapinghubClient'),
    (check_layers, 'scrapinghub.client.jobs', 'if TYPE_CHECKING:\n    from .projects import Project'),
    (check_libraries, 'scrapinghub.transport.http.transport', 'import json\nimport requests.adapters'),
    (check_senders, 'scrapinghub.legacy', 'import requests\ntry: pass\nexcept requests.Timeout: pass'),
    (check_threads, 'scrapinghub.transport.http.transport', 'import threading\nthreading.Lock()'),
    (check_private_names, 'scrapinghub.client.jobs', 'self._client.transport.__class__'),
    (check_docstrings, 'scrapinghub.client.jobs', '"""Doc."""\ndef get():\n    """Process it."""\ndef _own(): pass'),
]


def violations(check: Check, name: str, source: str) -> list[str]:
    return list(check(Module(name, ast.parse(source))))


@pytest.mark.parametrize(('check', 'name', 'source'), BAD_SOURCES)
def test_a_violation_is_found(check: Check, name: str, source: str) -> None:
    assert len(violations(check, name, source)) == 1


@pytest.mark.parametrize(('check', 'name', 'source'), GOOD_SOURCES)
def test_what_is_allowed_is_left_alone(check: Check, name: str, source: str) -> None:
    assert violations(check, name, source) == []
