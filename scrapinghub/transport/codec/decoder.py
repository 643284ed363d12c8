"""The interface of the decoders: bytes to records, incremental, without I/O.

A decoder is fed the pieces of a body and returns the records that they complete. Something that it cannot decode is
kept in ``error`` and ends it; the records before are returned.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgpack

# The service accepts records of 1 MiB of JSON. Such a record can have 2.3 MiB as MessagePack, and 3 MiB with escaped
# text. Its objects can need 70 times as much memory.
MAX_RECORD_BYTES = 4 * 1024 * 1024
# For values that hold many records: a batch of a frontier, or a summary of all jobs.
MAX_VALUE_BYTES = 64 * 1024 * 1024


class Malformed(ValueError):
    """A body does not hold what its content type says."""


def too_large(limit: int) -> Malformed:
    """Return the error for a record that is larger than the limit, in bytes."""
    return Malformed(f'a record is larger than {limit} bytes; raise this limit with client.transport.max_record')


# What an iterator over records may raise where it cannot decode. TypeError: MessagePack has a list or a map as the key
# of a map.
FAILURES = (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException)


class Decoder:
    """Turns the pieces of one body into records.

    Args:
        max_record: Maximum size of a record, in bytes.

    Attributes:
        error: What cannot be decoded; None as long as everything can.
        failures: What an iterator from :meth:`iterate` may raise.
        lazy: Whether such an iterator decodes a record when it is requested. That is faster than a list of all of them:
            the first records of a long list have left the caches of the processor before they are used.
    """

    error: Malformed | None = None
    failures: tuple[type[Exception], ...] = FAILURES
    lazy = False

    def __init__(self, max_record: int = MAX_RECORD_BYTES) -> None:
        self._max_record = max_record
        self._incomplete = 0

    def iterate(self, data: bytes) -> Iterator[Any]:
        """Return an iterator over the records that ``data`` completes; exhaust it before the next call.

        The iterator is implemented in C, so that it costs a record nothing. It cannot set ``error``: where it cannot
        decode, it raises one of ``failures``, and :meth:`recover` returns the rest.
        """
        raise NotImplementedError

    def recover(self, failure: Exception) -> Iterator[Any]:
        """Return the records that can be decoded after a failure of an iterator from :meth:`iterate`."""
        raise failure

    def feed(self, data: bytes) -> list[Any]:
        """Return the records that ``data`` completes; none once ``error`` is set."""
        records: list[Any] = []
        try:
            # On an error, extend keeps the records before it.
            records.extend(self.iterate(data))
        except self.failures as failure:
            records.extend(self.recover(failure))
        # The elements of an incomplete list of MessagePack leave the buffer of the unpacker, which does not limit their
        # number.
        self._incomplete = 0 if records else self._incomplete + len(data)
        if self._incomplete > self._max_record and self.error is None:
            self._fail_size()
        return records

    def finish(self) -> list[Any]:
        """Return the records that the end of the body completes; set ``error`` if it ends inside a record."""
        raise NotImplementedError

    def _fail(self, message: str, cause: Exception | None = None) -> None:
        self.error = Malformed(message)
        self.error.__cause__ = cause

    def _fail_size(self, cause: Exception | None = None) -> None:
        self.error = too_large(self._max_record)
        self.error.__cause__ = cause
