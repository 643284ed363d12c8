"""The result of an operation on many records or jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scrapinghub.exceptions import ScrapinghubAPIError
from scrapinghub.transport.http.retries import FINAL_STATUSES

__all__ = ['BulkResult']


@dataclass(repr=False)
class BulkResult:
    """What an operation on many records or jobs did.

    Attributes:
        planned: Keys of everything that was selected; a dry run fills only these.
        done: Keys for which the service confirmed the operation.
        skipped: Keys that matched, but to which the operation does not apply.
        failed: The error for each key for which the operation failed, or was not attempted after an error.
        unknown: Keys for which the operation may or may not have been applied, because a response was lost.

    Example:
        >>> BulkResult(planned=['a', 'b'], done=['a', 'b'])
        <BulkResult: 2 planned, 2 done>
    """

    planned: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, Exception] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        counts = [(name, len(keys)) for name, keys in vars(self).items()]
        shown = ', '.join(f'{count} {name}' for name, count in counts if count or name == 'planned')
        return f'<BulkResult: {shown}>'


def apply_in_chunks(result: BulkResult, send: Callable[[Sequence[str]], object], size: int) -> BulkResult:
    """Apply an operation to the planned keys, chunk by chunk, until one fails.

    Args:
        result: Holds the planned keys, and receives the outcome.
        send: Applies the operation to the keys of one chunk with one request.
        size: Maximum number of keys in a chunk.

    Returns:
        The result.
    """
    for start in range(0, len(result.planned), size):
        chunk, rest = result.planned[start : start + size], result.planned[start + size :]
        try:
            send(chunk)
        except ScrapinghubAPIError as error:
            # Only a refusal shows that nothing was applied.
            if error.status_code not in FINAL_STATUSES:
                result.unknown.extend(chunk)
            else:
                rest = chunk + rest
            result.failed.update(dict.fromkeys(rest, error))
            return result
        result.done.extend(chunk)
    return result
