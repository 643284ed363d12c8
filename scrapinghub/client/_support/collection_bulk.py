"""Select and copy many records of a collection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from scrapinghub.exceptions import ScrapinghubAPIError, StreamInterrupted
from scrapinghub.transport.codec import encode_json

Record = dict[str, Any]

# Limits of one request of a copy: number of records, and bytes of JSON text after which it is sent.
_BATCH_RECORDS = 1000
_BATCH_BYTES = 4 * 1024 * 1024


def match_record(
    record: Mapping[str, Any],
    *,
    prefix: Sequence[str] | None = None,
    startts: int | None = None,
    endts: int | None = None,
) -> bool | None:
    """Return whether a record matches all filters; None if it has no time although one is needed.

    Args:
        record: The record, with ``_key`` and ``_ts``.
        prefix: Prefixes of the key; None for any key.
        startts: Earliest time, in milliseconds; None for any time.
        endts: Time before which the record was stored; None for any time.
    """
    if prefix is not None and not record['_key'].startswith(tuple(prefix)):
        return False
    if startts is None and endts is None:
        return True
    stored_at = record.get('_ts')
    if not isinstance(stored_at, int):
        return None
    return (startts is None or startts <= stored_at) and (endts is None or stored_at < endts)


def copy_records(
    records: Iterable[Record], store: Callable[[Sequence[Record]], object], last_key: str | None = None
) -> int:
    """Store records in batches.

    Args:
        records: The records, with ``_key``.
        store: Stores the records of one batch.
        last_key: Key of the last record that is stored already.

    Returns:
        The number of stored records.

    Raises:
        StreamInterrupted: Reading or storing failed; the error holds the key of the last record stored.
    """
    copied = 0
    try:
        for batch in _split(records):
            store(batch)
            copied += len(batch)
            last_key = batch[-1]['_key']
    except ScrapinghubAPIError as error:
        raise _interrupted(error, copied, last_key) from None
    return copied


def _split(records: Iterable[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(encode_json(record))
        if len(batch) >= _BATCH_RECORDS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _interrupted(error: ScrapinghubAPIError, copied: int, last_key: str | None) -> StreamInterrupted:
    if not isinstance(error, StreamInterrupted):
        error = StreamInterrupted.caused_by(error, delivered=copied, last_key=last_key)
    error.delivered, error.last_key = copied, last_key
    error.hint = f'{copied} records were copied.'
    if last_key is not None:
        error.add_hint(f'To continue, pass startafter={last_key!r}.')
    return error
