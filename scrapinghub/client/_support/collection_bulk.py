"""Rename a collection, and delete or copy many of its records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from scrapinghub.client._support.streams import explain_lost_response
from scrapinghub.client.bulk import BulkResult
from scrapinghub.client.shapes import CollectionInfo
from scrapinghub.exceptions import NotFound, ScrapinghubAPIError, StreamInterrupted
from scrapinghub.transport.codec import encode_json
from scrapinghub.transport.http.retries import Repeat
from scrapinghub.transport.http.transport import Transport

Record = dict[str, Any]

# Limits of one request of a copy: number of records, and bytes of JSON text after which it is sent.
_BATCH_RECORDS = 1000
_BATCH_BYTES = 4 * 1024 * 1024


def rename_collection(
    transport: Transport, project: str, type_: str, name: str, new_name: str, existing: Sequence[CollectionInfo]
) -> None:
    """Rename a collection after checking that no other collection is concerned.

    Args:
        transport: Sends the request.
        project: Id of the project.
        type_: Type of the collection.
        name: Name of the collection.
        new_name: The new name.
        existing: All collections of the project.

    Raises:
        NotFound: The collection does not exist.
        ValueError: The new name is in use, or collections of other types have the same name.
    """
    types = [each['type'] for each in existing if each['name'] == name]
    if type_ not in types:
        raise NotFound(f'There is no collection {project}/{type_}/{name}.')
    if len(types) > 1:
        raise ValueError(f'the service would rename all collections named {name!r}: types {", ".join(types)}')
    if any(each['name'] == new_name for each in existing):
        raise ValueError(f'a collection named {new_name!r} exists already')
    advice = (
        'The service may have renamed the collection although its response was lost, so the request was not repeated. '
        'Look at project.collections.list().'
    )
    params = {'name': name, 'new_name': new_name}
    with explain_lost_response(advice):
        transport.post(('collections', project, 'rename'), params=params, repeat=Repeat.UNRECEIVED)


def plan_deletion(
    records: Iterable[Record],
    *,
    prefix: Sequence[str] | None = None,
    startts: int | None = None,
    endts: int | None = None,
) -> BulkResult:
    """Return the keys of the records that match all filters. Records without a time that is needed are skipped.

    Args:
        records: The records, with ``_key`` and ``_ts``.
        prefix: Prefixes of the key; None for any key.
        startts: Earliest time, in milliseconds; None for any time.
        endts: Time before which the record was stored; None for any time.
    """
    result = BulkResult()
    for record in records:
        key, stored_at = record['_key'], record.get('_ts')
        if prefix is not None and not key.startswith(tuple(prefix)):
            continue
        if startts is None and endts is None:
            result.planned.append(key)
        elif not isinstance(stored_at, int):
            result.skipped.append(key)
        elif (startts is None or startts <= stored_at) and (endts is None or stored_at < endts):
            result.planned.append(key)
    return result


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
