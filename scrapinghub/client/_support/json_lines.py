"""Blocks of JSON lines: the records of a download, as the service sends them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from datetime import timedelta
from itertools import islice
from typing import Any
from weakref import WeakSet

from scrapinghub.exceptions import DecodeError
from scrapinghub.transport.codec import count_lines, raw_field
from scrapinghub.transport.streams.stream import RecordStream

Blocks = Generator[bytes, None, None]

# Lines that begin with an object and its first name.
_OBJECTS = re.compile(rb'(?:\{"[^\n]*\}\n)*').fullmatch
_PLAIN_NAME = re.compile(r'[A-Za-z0-9_-]+').fullmatch
# The key where the service puts it: as the last field of a line, or as the first one. A line ends nowhere else, and
# inside a text quotes have a backslash before them.
_MIDDLE_KEY = re.compile(rb',\s*"_key"\s*:\s*"[^"\\]*"')
_LAST_KEY = re.compile(rb',\s?"_key":\s?"[^"\\\n]*"\}\n')
_FIRST_KEY = re.compile(rb'^\{"_key":\s?"[^"\\\n]*",\s?', re.MULTILINE)


def describe_ages(filters: Mapping[str, Any]) -> dict[str, str]:
    """Return the times of filters that are given as ages: a program that is started again gives the same ones."""
    return {name: f'{value} ago' for name, value in filters.items() if isinstance(value, timedelta)}


class OpenStreams:
    """The streams of a download, to stop them when it ends early."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: WeakSet[RecordStream[bytes]] = WeakSet()
        self._stopped = False

    def add(self, stream: RecordStream[bytes]) -> None:
        """Remember a stream while it is open; it has the retry budget of a stream that has returned records."""
        stream.continues_other()
        with self._lock:
            self._streams.add(stream)
            if self._stopped:
                stream.stop()

    def stop(self) -> None:
        """Let no stream send a further request."""
        with self._lock:
            self._stopped = True
            for stream in self._streams:
                stream.stop()


def join_lines(stream: RecordStream[bytes], skip: int = 0, convert: Callable[[bytes], bytes] | None = None) -> Blocks:
    """Yield the JSON lines of a raw stream in blocks, as they arrive.

    Args:
        stream: A stream of JSON texts.
        skip: Number of records to leave out.
        convert: Called with each record; what it returns is a line.
    """
    lines: list[bytes] = []
    arrived: list[int] = []
    stream.on_progress = arrived.append
    with stream:
        records = islice(stream, skip, None)
        for line in records if convert is None else map(convert, records):
            if arrived:
                # A part of the response ended before this line.
                arrived.clear()
                yield b''.join(lines)
                lines.clear()
            lines += (line, b'\n')
    yield b''.join(lines)


class NumberedLines:
    """Records of a job whose numbers follow one another, without their keys.

    Args:
        job_key: Key of the job.
        start: Number of the first record.
        find_gap: Called with the number that a record should have, before it is returned.
        keep_keys: Whether not to remove the keys.

    Attributes:
        following: Number of the next record, if there is no further gap.
    """

    def __init__(self, job_key: str, start: int, find_gap: Callable[[int], object], *, keep_keys: bool) -> None:
        self.following = start
        self._job_key = job_key
        self._find_gap = find_gap
        self._keep_keys = keep_keys
        # What the service writes after commas and colons; the slow way finds out.
        self._space = ''

    def take(self, line: bytes) -> bytes:
        """Return the line of the next record."""
        number, space = self.following, self._space
        self.following = number + 1
        key = f'"_key":{space}"{self._job_key}/{number}"'
        # Items have the key as the last field, log entries and requests as the first one.
        last = f',{space}{key}}}'.encode()
        if line.endswith(last):
            return line if self._keep_keys else line[: -len(last)] + b'}'
        first = f'{{{key},{space}'.encode()
        if line.startswith(first):
            return line if self._keep_keys else b'{' + line[len(first) :]
        found = str(raw_field(line, '_key', None)).rpartition('/')[2]
        if found != str(number):
            self._find_gap(number)
            self.following = int(found) + 1 if found.isdecimal() else number + 1
        self._space = '' if space else ' '
        return line if self._keep_keys else _cut_keys(line + b'\n')[:-1]


def skip_lines(blocks: Iterable[bytes], count: int) -> Blocks:
    """Yield blocks of lines without the first ``count`` lines."""
    for block in blocks:
        if not count:
            yield block
            continue
        size = count_lines(block)
        if size > count:
            yield block.split(b'\n', count)[count]
        count = max(0, count - size)


def cut_keys(blocks: Iterable[bytes]) -> Blocks:
    """Remove the field ``_key`` from blocks of JSON lines, and change nothing else."""
    for block in blocks:
        yield _cut_keys(block)


def _cut_keys(block: bytes) -> bytes:
    size = count_lines(block)
    for pattern, rest in ((_LAST_KEY, b'}\n'), (_FIRST_KEY, b'{')):
        cut, found = pattern.subn(rest, block)
        if found == size:
            return cut
    if size > 1:
        return b''.join(_cut_keys(line + b'\n') for line in block.split(b'\n')[:-1])
    if block.count(b'"_key"') == 1:
        # No nested object has one, and in text the quotes would be escaped.
        cut, found = _MIDDLE_KEY.subn(b'', block)
        if found:
            return cut
    record = json.loads(block)
    record.pop('_key', None)
    # Not as UTF-8: text may hold what only an escape sequence can represent.
    return json.dumps(record, separators=(',', ':')).encode() + b'\n'


def add_field(blocks: Iterable[bytes], name: str, value: str) -> Blocks:
    """Add a field in front of the others to blocks of JSON lines, without parsing them where the name cannot occur.

    Args:
        blocks: The blocks.
        name: Name of the field.
        value: Its value: the key of the job.

    Raises:
        ValueError: A record has a field of this name.
    """
    field = json.dumps({name: value}).encode()[:-1]
    # A JSON text may hold the letters of the name as numbers.
    occurs = re.compile(rb'"%b"|\\u00[2-7]' % name.encode()).search if _PLAIN_NAME(name) else bool
    for block in blocks:
        if not block:
            yield block
        elif occurs(block) or not _OBJECTS(block):
            yield b''.join(_add_field(line, name, value, field) for line in block.split(b'\n')[:-1])
        else:
            yield field + b',' + block[1:-1].replace(b'\n{', b'\n' + field + b',') + b'\n'


def name_taken(name: str, job_key: str) -> ValueError:
    """Return the error for a record that has the field that would be added."""
    return ValueError(f'job {job_key} has records with the field {name!r}: choose another job_key')


def _add_field(line: bytes, name: str, value: str, field: bytes) -> bytes:
    record = json.loads(line)
    if not isinstance(record, dict):
        raise DecodeError(f'a record of job {value} is not an object: {line[:100]!r}')
    if name in record:
        raise name_taken(name, value)
    rest = line.strip()[1:].lstrip()
    return field + (b'' if rest == b'}' else b',') + rest + b'\n'
