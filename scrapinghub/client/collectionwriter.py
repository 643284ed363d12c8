"""The batch writer of a collection."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import six

from scrapinghub.transport.uploads.uploader import Writer

__all__ = ['CollectionWriter']


class CollectionWriter(Writer):
    """Write records to a collection, in batches: ``collection.create_writer()``.

    Safe to share between threads. As a context manager it is closed at the end: all is stored then, or an error tells
    what is not.

    Example:
        >>> with foo_store.create_writer() as writer:
        ...     writer.write([{'_key': 'first', 'value': 1}, {'_key': 'second', 'value': 2}])
        0
    """

    def __enter__(self) -> CollectionWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, record: Mapping[str, Any] | list[Mapping[str, Any]]) -> int:
        """Queue a record, or a list of records; block while the queue is full.

        Args:
            record: A dict with its key, a text, under ``_key``; or a list of them, of which all are queued or none.

        Returns:
            A number that counts the records of this writer; of the first one for a list.

        Raises:
            TypeError: A record is no dict.
            ValueTooLarge: A record is larger than 1 MiB.
            UploadError: Earlier records were refused; the error holds them.
            AssertionError: The writer is closed.
        """
        if isinstance(record, list):
            return super().write([with_text_key(each) for each in record])
        return super().write(with_text_key(record))


def with_text_key(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of a collection as a dict whose key is text, if it came as bytes.

    Raises:
        TypeError: It is no mapping.
    """
    if not isinstance(record, Mapping):
        raise TypeError(f'a record of a collection should be a dict with a _key, got {record!r}')
    record = record if isinstance(record, dict) else dict(record)
    if isinstance(record.get('_key'), bytes):
        record = {**record, '_key': six.ensure_text(record['_key'])}
    return record
