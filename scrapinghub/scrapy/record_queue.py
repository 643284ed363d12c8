"""Write the records of one family without blocking the event loop, and keep them on disk until they are stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from scrapinghub.exceptions import UploadError, ValueTooLarge
from scrapinghub.transport.codec import encode_json

MAX_RECORD_BYTES = 1024 * 1024
# Size at which a new file is begun, in bytes.
MAX_FILE_BYTES = 8 * 1024 * 1024


class RecordWriter(Protocol):
    """The part of a batch writer that a queue uses."""

    @property
    def full(self) -> bool:
        """Whether the next :meth:`write` would wait."""
        ...

    @property
    def offset(self) -> int:
        """Number of the first record that is not stored."""
        ...

    @property
    def next_number(self) -> int:
        """Number of the record that is written next."""
        ...

    def write(self, record: Any) -> int:
        """Queue a record for upload and return its number."""
        ...


class _File(NamedTuple):
    """A file of a queue, and the number of its first record."""

    path: Path
    first: int


class RecordQueue:
    """Pass records to a batch writer, and keep them in files until they are stored.

    Records for which the writer has no room wait in the files. Each line of a file is a JSON array of the number of a
    record and the record. A file is deleted when all its records are stored. After a crash, :func:`read_records`
    returns the records of the files: some of them may be stored, under the same number.

    All methods are called in the thread of the event loop.

    Args:
        writer: The writer. It needs no spool.
        folder: Folder of the files.
        name: Beginning of their names.
        max_file_bytes: Size at which a new file is begun, in bytes.

    Attributes:
        waiting: Number of records that the writer has not taken.
        error: Why a record could not be taken; the writer is given no further one after that.
    """

    def __init__(self, writer: RecordWriter, folder: Path, name: str, *, max_file_bytes: int = MAX_FILE_BYTES) -> None:
        self.waiting = 0
        self.error: UploadError | OSError | None = None
        self._writer = writer
        self._folder = folder
        self._name = name
        self._max_file_bytes = max_file_bytes
        self._next = writer.next_number
        self._files: list[_File] = []
        self._appended: BinaryIO | None = None
        self._size = 0
        # The file, and the place in it, of the first record that waits.
        self._read: BinaryIO | None = None
        self._read_index = 0

    def put(self, record: Any) -> int:
        """Take a record. Does not wait for the network.

        Args:
            record: A JSON value.

        Returns:
            The number of the record.

        Raises:
            ValueTooLarge: The JSON text is larger than 1 MiB.
            TypeError, ValueError: The record cannot be encoded as JSON.
        """
        text = encode_json(record).encode()
        if len(text) > MAX_RECORD_BYTES:
            raise ValueTooLarge(f'a record of {len(text)} bytes is larger than {MAX_RECORD_BYTES} bytes')
        number = self._next
        self._next = number + 1
        try:
            place = self._append(number, b'[%d,%b]\n' % (number, text))
        except OSError as error:
            self.error = error
            return number
        if self.waiting or self.error is not None or self._writer.full or not self._write(record):
            if not self.waiting:
                self._open_for_reading(len(self._files) - 1, place)
            self.waiting += 1
        return number

    @property
    def is_stored(self) -> bool:
        """Whether all records are stored."""
        return self._writer.offset >= self._next

    def move(self) -> None:
        """Pass records from the files to the writer, as many as it has room for."""
        while self.waiting and self.error is None and not self._writer.full:
            assert self._read is not None
            line = self._read.readline()
            if not line:
                self._open_for_reading(self._read_index + 1, 0)
            elif self._write(json.loads(line)[1]):
                self.waiting -= 1
        self._delete_stored()

    def close(self) -> None:
        """Close the files."""
        for file in (self._appended, self._read):
            if file is not None:
                file.close()

    def _write(self, record: Any) -> bool:
        try:
            self._writer.write(record)
        except (UploadError, OSError) as error:
            self.error = error
            return False
        return True

    def _append(self, number: int, line: bytes) -> int:
        """Append a line to the last file, and return its place in it."""
        if self._appended is None or self._size >= self._max_file_bytes:
            self._begin_file(number)
        assert self._appended is not None
        self._appended.write(line)
        place = self._size
        self._size += len(line)
        return place

    def _begin_file(self, number: int) -> None:
        if self._appended is not None:
            self._appended.close()
        path = self._folder / f'{self._name}-{number}.jl'
        # Not buffered: the lines of the file survive the end of the process.
        self._appended, self._size = path.open('ab', buffering=0), 0
        self._files.append(_File(path, number))
        self._delete_stored()

    def _open_for_reading(self, index: int, place: int) -> None:
        if self._read is not None:
            self._read.close()
        self._read_index = index
        self._read = self._files[index].path.open('rb')
        self._read.seek(place)

    def _delete_stored(self) -> None:
        while len(self._files) > 1 and self._files[1].first <= self._writer.offset:
            self._files.pop(0).path.unlink()
            self._read_index -= 1


def read_records(folder: Path, name: str) -> Iterator[tuple[int, Any]]:
    """Return the records in the files of a queue.

    Args:
        folder: Folder of the files.
        name: Beginning of their names.

    Yields:
        The number of a record and the record, in the order of the numbers.
    """
    files = [(int(path.stem.rpartition('-')[2]), path) for path in folder.glob(f'{name}-*.jl')]
    for _, path in sorted(files):
        with path.open('rb') as lines:
            for line in lines:
                # A process that was killed may leave half a line at the end.
                if not line.endswith(b'\n'):
                    return
                number, record = json.loads(line)
                yield number, record
