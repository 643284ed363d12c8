"""The batch writer of a collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import six

from scrapinghub.transport.uploads.uploader import Writer

__all__ = ['CollectionWriter']


class CollectionWriter(Writer):
    """Write records to a collection, in batches: ``collection.create_writer()``.

    Safe to share between threads. At the end of a ``with`` block it is closed: all records are stored then, or an
    exception holds those that are not. If an exception ends the block, the writer waits at most 30 seconds (10 after
    Ctrl-C), and that exception is raised.

    Example:
        >>> with foo_store.create_writer() as writer:
        ...     writer.write([{'_key': 'first', 'value': 1}, {'_key': 'second', 'value': 2}])
        0
    """

    def write(self, record: Mapping[str, Any] | list[Mapping[str, Any]]) -> int:
        """Queue a record, or a list of records. Blocks while the queue is full.

        Args:
            record: A dict with its key, a text, in ``_key``; or a list of dicts, which is queued as a whole.

        Returns:
            The number of the record, or of the first record of a list, counted from 0 for this writer.

        Raises:
            TypeError: A record is not a dict.
            ValueTooLarge: A record is larger than 1 MiB.
            UploadError: Earlier records were refused; the error holds them.
            AssertionError: The writer is closed.

        Example:
            >>> with foo_store.create_writer() as writer:
            ...     writer.write({'_key': 'third', 'value': 3})
            0
        """
        if isinstance(record, list):
            return super().write([with_text_key(each) for each in record])
        return super().write(with_text_key(record))


def with_text_key(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of a collection as a dict. A key that is bytes becomes text.

    Raises:
        TypeError: The record is not a mapping.
    """
    if not isinstance(record, Mapping):
        raise TypeError(f'a record of a collection should be a dict with a _key, got {record!r}')
    record = record if isinstance(record, dict) else dict(record)
    if isinstance(record.get('_key'), bytes):
        record = {**record, '_key': six.ensure_text(record['_key'])}
    return record
