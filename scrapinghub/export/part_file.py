"""The unfinished file of a download: JSON lines that survive a killed process.

``NAME.part`` holds whole records, except for an incomplete last line. ``NAME.part.json`` records the job and the
arguments, and is locked while a process writes. Its other lines hold what the source notes, such as the jobs that are
read.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from scrapinghub.exceptions import DownloadConflict
from scrapinghub.transport.codec import count_lines

BLOCK_SIZE = 1024 * 1024


class PartFile:
    """Stores the records of one download in order.

    Args:
        path: Final path of the download.
        arguments: The job and the arguments, as a JSON object; the next process must have the same.

    Attributes:
        path: Path of the unfinished file.
        count: Number of records stored.
        last_line: The last record stored, without its line feed; None if there is none.
        notes: Notes of the source; none are left if no record is stored.

    Raises:
        DownloadConflict: Another process downloads to this path, or an unfinished download of something else is there.
    """

    def __init__(self, path: Path, arguments: Mapping[str, Any]) -> None:
        self.path = path.with_name(f'{path.name}.part')
        self._state_path = path.with_name(f'{path.name}.part.json')
        self.notes = Notes(self._state_path)
        try:
            self._check_arguments(arguments)
            self._file = self.path.open('ab+', buffering=0)
        except BaseException:
            self.notes.close()
            raise
        self.count, self.last_line = self._recover()

    def _check_arguments(self, arguments: Mapping[str, Any]) -> None:
        wanted, stored = _to_line(arguments), self.notes.first_line
        if stored == wanted:
            return
        if self.path.exists() and self.path.stat().st_size:
            raise DownloadConflict(
                f'{self.path} holds an unfinished download of something else: {_shown(stored)}; this '
                f'one is {wanted.decode()}. Delete the file, or choose another path.'
            )
        self.notes.begin(arguments)

    def _recover(self) -> tuple[int, bytes | None]:
        """Remove an incomplete last line; return the number of records and the last one."""
        count, end, size = 0, 0, 0
        for block in self.blocks():
            count += count_lines(block)
            newline = block.rfind(b'\n')
            end = end if newline < 0 else size + newline + 1
            size += len(block)
        self._file.truncate(end)
        if not count:
            self.notes.cut(0)
        return count, self._read_last_line(end)

    def _read_last_line(self, end: int) -> bytes | None:
        """Return the line that ends at a position, without its line feed."""
        line, start = b'', end
        while start and b'\n' not in line[:-1]:
            start = max(0, start - BLOCK_SIZE)
            self._file.seek(start)
            line = self._file.read(end - start)
        return line[:-1].rpartition(b'\n')[2] if end else None

    def size(self) -> int:
        """Return the number of bytes stored."""
        return os.fstat(self._file.fileno()).st_size

    def blocks(self) -> Iterator[bytes]:
        """Yield the stored bytes in blocks."""
        self._file.seek(0)
        while block := self._file.read(BLOCK_SIZE):
            yield block

    def append(self, lines: bytes) -> None:
        """Store records: JSON lines, each with its line feed."""
        _write(self._file, lines)
        self.count += count_lines(lines)

    def cut(self, size: int) -> None:
        """Remove what follows the first ``size`` bytes."""
        self._file.truncate(size)
        self.count, self.last_line = self._recover()

    def publish(self, path: Path) -> None:
        """Give the unfinished file its final name."""
        os.fsync(self._file.fileno())
        self._file.close()
        self.path.replace(path)
        self._remove_state()

    def remove(self) -> None:
        """Delete the unfinished file, after another file was written from it."""
        self._file.close()
        self.path.unlink(missing_ok=True)
        self._remove_state()

    def _remove_state(self) -> None:
        # Windows does not delete open files.
        if os.name == 'nt':
            self.notes.close()
        self._state_path.unlink(missing_ok=True)
        self.notes.close()

    def close(self) -> None:
        """Close the files; the stored records stay for the next attempt."""
        self._file.close()
        self.notes.close()


class Notes:
    """A locked file of JSON values, one on each line: the arguments of a download, then the notes of its source.

    Notes are only added, or removed from the end: a process that is killed leaves whole notes.

    Args:
        path: Path of the file.

    Raises:
        DownloadConflict: Another process has the file open.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _open_locked(path)
        self._lines: list[bytes] = self._file.read().split(b'\n')[:-1]
        self._keep(len(self._lines))

    @property
    def first_line(self) -> bytes | None:
        """The arguments, as JSON text."""
        return self._lines[0] if self._lines else None

    def begin(self, arguments: Mapping[str, Any]) -> None:
        """Replace everything by the arguments of a download."""
        self._keep(0)
        self.add(arguments)

    def read(self) -> list[Any]:
        """Return the notes."""
        try:
            return [json.loads(line) for line in self._lines[1:]]
        except ValueError as error:
            raise damaged(self._path.with_suffix(''), error) from None

    def add(self, note: Any) -> None:
        """Add a note."""
        line = _to_line(note)
        _write(self._file, line + b'\n')
        self._lines.append(line)

    def cut(self, count: int) -> None:
        """Keep only the first notes."""
        self._keep(1 + count)

    def _keep(self, count: int) -> None:
        del self._lines[count:]
        self._file.truncate(sum(len(line) + 1 for line in self._lines))

    def close(self) -> None:
        """Close the file, and unlock it."""
        self._file.close()


def damaged(path: Path, cause: Exception) -> DownloadConflict:
    """Return the error for an unfinished file that cannot be read."""
    error = DownloadConflict(f'{path} is damaged, and the download cannot continue: delete it to start again ({cause})')
    error.original = cause
    return error


def _shown(line: bytes | None) -> str:
    return 'unknown' if line is None else line.decode(errors='backslashreplace')


def _to_line(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, default=str).encode()


def _write(file: BinaryIO, data: bytes) -> None:
    """Write all bytes to a file without a buffer, which may take only some of them."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _open_locked(path: Path) -> Any:
    """Open a file that no other process has open in this way."""
    while True:
        file = path.open('ab+', buffering=0)
        try:
            _lock(file.fileno())
            # Another process may have deleted the file between the two calls.
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                file.seek(0)
                return file
        except OSError as error:
            file.close()
            target = path.name.removesuffix('.part.json')
            conflict = DownloadConflict(f'another process downloads to {target}')
            conflict.original = error
            raise conflict from None
        file.close()


if sys.platform == 'win32':
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
