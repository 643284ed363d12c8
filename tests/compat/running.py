"""Run a program against a sandbox, with the package of some interpreter, and see what it sends and prints."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import scrapinghub
from scrapinghub.sandbox import Sandbox
from scrapinghub.sandbox.server.request_log import Entry

HERE = Path(__file__).parent
PROGRAMS = sorted((HERE / 'programs').glob('*.py'))
PROJECTS = (123, 456)

#: What stands where a time, an address or something random was.
_HIDDEN = re.compile(r'\b1[6-9]\d{11}\b|127\.0\.0\.1:\d+|\b[0-9a-f]{18,22}\b')


@dataclass(frozen=True)
class Run:
    """What a program did.

    Attributes:
        requests: What it sent, in order.
        lines: What it printed.
        status: How it ended.
        errors: What it said about that.
    """

    requests: list[str]
    lines: list[str]
    status: int
    errors: str = field(compare=False)


@dataclass(frozen=True)
class Difference:
    """A line that only one of the two packages prints or sends, and why.

    Attributes:
        program: Name of the program; ``*`` for all.
        released: Pattern of lines of the released package, or None.
        own: Pattern of lines of ours, or None.
        reason: Why.
    """

    program: str
    released: str | None
    own: str | None
    reason: str


_HINT = 'the text of an error ends with a line of help; the words of the service stand before it, unchanged'
_REQUEST = 'the second line of an error says which request failed and what it concerned'
_ACCEPTED = 'the error of an unknown level names the accepted ones'
_SHORT = 'the error shows 200 characters of a record that is too large, not 1000'

DIFFERENCES: tuple[Difference, ...] = (
    Difference('scan_collections', None, "^There is no record 'k0'", _HINT),
    Difference('scan_collections', None, '^(GET|POST) collections/', _REQUEST),
    Difference('failing_calls', '^level ValueError', '^level ValueError .* Accepted are DEBUG', _ACCEPTED),
    Difference('failing_calls', '^large ValueTooLarge', '^large ValueTooLarge', _SHORT),
    Difference('watch_jobs', None, '^POST run.json: HTTP 400 for project 123$', _REQUEST),
    Difference('watch_jobs', None, '^A job of this spider with the same arguments', _HINT),
)


def run(program: Path, python: str) -> Run:
    """Run a program with the package of an interpreter, against a new sandbox."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(('SH_', 'SHUB_', 'PYTHON'))}
    if python == sys.executable:
        environ['PYTHONPATH'] = str(Path(scrapinghub.__file__).parents[1])
    with Sandbox(PROJECTS) as cloud:
        done = subprocess.run(
            [python, '-W', 'default', str(program)],
            env={**environ, **cloud.environ, 'PYTHONHASHSEED': '0'},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        requests = [told(entry) for entry in cloud.requests]
    return Run(requests, [_masked(line) for line in done.stdout.splitlines()], done.returncode, done.stderr)


def told(entry: Entry) -> str:
    """Return a request as a line: method, path, parameters and body, as they mean and not as they are written."""
    query = sorted((name, value) for name, value in entry.query)
    return _masked(f'{entry.method} {entry.path} {query} {body_of(entry)}')


def body_of(entry: Entry) -> Any:
    """Return the body of a request, decoded."""
    headers = {name.lower(): value for name, value in entry.headers.items()}
    body = entry.body
    if headers.get('content-encoding') == 'gzip':
        body = zlib.decompress(body, 31)
    kind, _, rest = headers.get('content-type', '').partition(';')
    if kind == 'application/x-www-form-urlencoded':
        return sorted(parse_qsl(body.decode(), keep_blank_values=True))
    if kind == 'multipart/form-data':
        boundary = rest.partition('boundary=')[2].encode()
        return sorted(part.strip(b'\r\n-') for part in body.split(boundary))
    try:
        return [json.dumps(json.loads(line), sort_keys=True) for line in body.splitlines()]
    except ValueError:
        return body


def _masked(line: str) -> str:
    return _HIDDEN.sub('…', line)


def problems(program: Path, theirs: Run, ours: Run) -> list[str]:
    """Return the differences between two runs that no reason explains."""
    found = [
        f'{which} ended with status {run.status}: {run.errors[-2000:]}'
        for which, run in (('the released package', theirs), ('this package', ours))
        if run.status
    ]
    known = [difference for difference in DIFFERENCES if difference.program in (program.stem, '*')]
    for what, released, own in (('sent', theirs.requests, ours.requests), ('printed', theirs.lines, ours.lines)):
        only_theirs, only_ours = _without(released, own), _without(own, released)
        left = _unexplained(only_theirs, [difference.released for difference in known])
        found += [f'only the released package {what}: {line}' for line in left]
        left = _unexplained(only_ours, [difference.own for difference in known])
        found += [f'only this package {what}: {line}' for line in left]
        if not only_theirs and not only_ours and released != own and what == 'printed':
            found.append('printed in another order')
    unused = {difference.own for difference in known if difference.own} - {
        pattern
        for pattern in (difference.own for difference in known)
        for line in (*ours.requests, *ours.lines)
        if pattern and re.search(pattern, line)
    }
    found += [f'explained, but not there: {pattern}' for pattern in unused]
    return found


def _without(lines: list[str], others: list[str]) -> list[str]:
    left = list(others)
    found = []
    for line in lines:
        if line in left:
            left.remove(line)
        else:
            found.append(line)
    return found


def _unexplained(lines: list[str], patterns: list[str | None]) -> list[str]:
    return [line for line in lines if not any(pattern and re.search(pattern, line) for pattern in patterns)]


def reasons(program: Path) -> list[str]:
    """Return the reasons for what is known to differ in a program."""
    return [difference.reason for difference in DIFFERENCES if difference.program in (program.stem, '*')]
