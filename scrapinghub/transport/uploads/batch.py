"""Records on their way out of a queue."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scrapinghub.transport.http.retries import Attempts

# A larger body would reach limits of proxies and servers; a thousand records are usually far smaller.
BATCH_BYTES = 8 * 1024 * 1024


@dataclass
class Batch:
    """The records of one request.

    Attributes:
        offset: Number of the first record.
        texts: The records as JSON.
        attempts: The retry loop of this batch.
    """

    offset: int
    texts: list[str] = field(repr=False)
    attempts: Attempts = field(repr=False)

    @property
    def end(self) -> int:
        """Number after the last record."""
        return self.offset + len(self.texts)


@dataclass
class Taken:
    """Records that a program took back, with everything that is needed to put them back.

    Attributes:
        records: The records, decoded; None before they are removed from the queue.
        texts: The records behind the refused ones, as JSON.
        refused: Refused records with keys, as JSON, by number.
        error: Why the records were not sent.
        halted: Whether the queue sent nothing.
        refused_alone: Whether the service refused one record for itself.
    """

    records: list[Any] | None = None
    texts: list[str] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    error: Exception | None = None
    halted: bool = False
    refused_alone: bool = False


def fit_into_request(texts: list[str]) -> list[str]:
    """Return the first texts: at least one, and no more than fit into a request."""
    total = 0
    for count, text in enumerate(texts):
        total += len(text) + 1
        if total > BATCH_BYTES and count:
            return texts[:count]
    return texts
