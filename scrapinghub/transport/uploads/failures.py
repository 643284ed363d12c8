"""Errors and messages about records that are not stored."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from scrapinghub.exceptions import ScrapinghubAPIError, UploadError

if TYPE_CHECKING:
    from scrapinghub.transport.uploads.queue import WriteQueue

SHOWN_CHARACTERS = 200


def upload_error(queue: WriteQueue, reason: str | None = None) -> UploadError:
    """Return the error that holds the records of a queue that are not stored.

    Args:
        queue: The queue.
        reason: What happened; by default what the service answered.

    Returns:
        The error; raise it ``from None``: its ``original`` is the error of the queue.
    """
    texts = [*queue.refused.values(), *queue.texts()]
    records = [json.loads(text) for text in texts]
    hint = _hint(queue, texts)
    if not isinstance(queue.error, ScrapinghubAPIError):
        error = UploadError(reason or str(queue.error), records=records)
        error.url, error.hint = queue.shown_url, hint
    else:
        error = UploadError.caused_by(queue.error, records=records, url=queue.shown_url, hint=hint)
        if reason:
            error.hint = f'{reason}: {hint}'
    error.original = queue.error
    return error


def _hint(queue: WriteQueue, texts: list[str]) -> str:
    keyed = queue.options.keyed
    hint = ''
    if queue.refused_alone and texts:
        which = 'The refused record is' if keyed else f'Record {queue.offset} was refused:'
        hint = f'{which} {shorten(texts[0])}. '
    where = '' if keyed else f', from number {queue.offset} on'
    hint += f'{len(texts)} records for {queue.shown_url} are not stored{where}. This error holds them; '
    if queue.failed:
        return hint + 'writer.take_back() returns them, and the writer can be used again.'
    return hint + 'the writer continues to send them, unless writer.take_back() is called.'


def shorten(text: str) -> str:
    """Return the beginning of a record, for an error."""
    return text if len(text) <= SHOWN_CHARACTERS else f'{text[:SHOWN_CHARACTERS]}...'


def describe_losses(queues: list[WriteQueue], spool: object) -> list[str]:
    """Return a line for each queue whose records are not stored when the process ends.

    Args:
        queues: The queues.
        spool: Where the records are kept; None if they are lost.
    """
    fate = 'are lost' if spool is None else f'are kept in the spool {spool}'
    lines = []
    for queue in queues:
        # Only what was to be sent: log handlers may have written lines about these very requests meanwhile.
        number = max(0, queue.flush_to - queue.offset) + len(queue.refused)
        if number:
            reason = str(queue.error or 'there was no time to send them').strip().partition('\n')[0]
            lines.append(f'{number} records for {queue.shown_url} were not stored and {fate}: {reason}')
    return lines


def not_stored(timeout: float | None) -> str:
    """Return why a flush ended before the records were stored."""
    return 'the client was closed before' if timeout is None else f'not stored within {timeout} seconds'
