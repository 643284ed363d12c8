"""Write the records of one family without blocking the event loop."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from scrapinghub.exceptions import UploadError, ValueTooLarge
from scrapinghub.transport.codec import encode_json

MAX_BYTES = 1024 * 1024


class RecordWriter(Protocol):
    """The part of a batch writer that a queue uses."""

    @property
    def full(self) -> bool:
        """Whether the next :meth:`write` would wait."""
        ...

    @property
    def next_number(self) -> int:
        """Number of the record that is written next."""
        ...

    def write(self, record: Any) -> int:
        """Queue a record for upload and return its number."""
        ...


class RecordQueue:
    """Pass records to a batch writer, and keep them in a file while the writer has no room.

    Each line of the file is a JSON array of the number of a record and the record. After a crash,
    :func:`read_records` returns those that did not reach the spool of the writer.

    All methods are called in the thread of the event loop.

    Args:
        writer: The writer.
        path: Path of the file, which is made when it is needed.

    Attributes:
        waiting: Number of records in the file that the writer has not taken.
        error: Why a record could not be taken; the writer is given no further one after that.
    """

    def __init__(self, writer: RecordWriter, path: Path) -> None:
        self.waiting = 0
        self.error: UploadError | OSError | None = None
        self._writer = writer
        self._path = path
        self._next = writer.next_number
        self._appended: BinaryIO | None = None
        self._read: BinaryIO | None = None

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
        number = self._next
        if self.waiting or self.error is not None or self._writer.full or not self._write(record):
            self._append(number, record)
        self._next = number + 1
        return number

    def move(self) -> None:
        """Pass records from the file to the writer, as many as it has room for."""
        if self._read is None:
            return
        while self.waiting and self.error is None and not self._writer.full:
            position = self._read.tell()
            if not self._write(json.loads(self._read.readline())[1]):
                self._read.seek(position)
                return
            self.waiting -= 1
        if not self.waiting:
            os.truncate(self._path, 0)
            self._read.seek(0)

    def close(self) -> None:
        """Close the file."""
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

    def _append(self, number: int, record: Any) -> None:
        text = encode_json(record).encode()
        if len(text) > MAX_BYTES:
            raise ValueTooLarge(f'a record of {len(text)} bytes is larger than {MAX_BYTES}')
        try:
            if self._appended is None:
                # Not buffered: the records in the file survive the end of the process.
                self._appended = self._path.open('ab', buffering=0)
                self._read = self._path.open('rb')
            self._appended.write(b'[%d,%b]\n' % (number, text))
        except OSError as error:
            self.error = error
        else:
            self.waiting += 1


def read_records(path: Path, start: int) -> Iterator[Any]:
    """Return the records in the file of a queue.

    Args:
        path: Path of the file, which need not exist.
        start: Number of the first record to return.

    Yields:
        The records with this number and later ones, in order.
    """
    if not path.exists():
        return
    with path.open('rb') as lines:
        for line in lines:
            # A process that was killed may leave half a line at the end.
            if not line.endswith(b'\n'):
                return
            number, record = json.loads(line)
            if number >= start:
                yield record
