"""Which batches of a frontier are processed: pure bookkeeping, without Scrapy and without the network."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count


class Work:
    """One request, from its batch or made from the answer to one, until everything that it leads to is processed.

    Attributes:
        batch: Id of the batch.
        answered: Whether the spider was given the answer.
        items: Number of items that are in the pipelines.
        ended: Whether the callback has ended, or the request was given up.
    """

    def __init__(self, batch: str) -> None:
        self.batch = batch
        self.answered = False
        self.items = 0
        self.ended = False


class Batches:
    """The batches that were read from a slot and are not deleted yet."""

    def __init__(self) -> None:
        self._works: dict[int, Work] = {}
        self._numbers = count(1)
        # Number of works that are not done, and of requests in the queue of the slot, by batch.
        self._open: dict[str, int] = {}
        self._sizes: dict[str, int] = {}

    def __contains__(self, batch: str) -> bool:
        return batch in self._sizes

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def size(self) -> int:
        """Number of requests that the batches have in the queue of the slot."""
        return sum(self._sizes.values())

    @property
    def open_works(self) -> int:
        """Number of requests that are not processed."""
        return len(self._works)

    def add(self, batch: str, size: int) -> None:
        """Add a batch.

        Args:
            batch: Its id.
            size: Number of its requests.
        """
        self._sizes[batch] = size
        self._open.setdefault(batch, 0)

    def begin(self, batch: str) -> int:
        """Begin a request of a batch.

        Args:
            batch: Id of the batch.

        Returns:
            The number of the work.
        """
        number = next(self._numbers)
        self._works[number] = Work(batch)
        self._open[batch] += 1
        return number

    def get(self, number: int | None) -> Work | None:
        """Return a work that is not done; None if there is no such work."""
        return None if number is None else self._works.get(number)

    def item_added(self, number: int) -> None:
        """Say that a request has led to an item."""
        self._works[number].items += 1

    def item_ended(self, number: int | None) -> None:
        """Say that an item has left the pipelines, stored or not."""
        work = self.get(number)
        if work is not None and number is not None:
            work.items -= 1
            self._settle(number, work)

    def end(self, number: int | None) -> None:
        """Say that the callback of a request has ended, or that the request was given up."""
        work = self.get(number)
        if work is not None and number is not None:
            work.ended = True
            self._settle(number, work)

    def end_all(self) -> None:
        """Say that nothing is processed any longer."""
        for number, work in list(self._works.items()):
            work.items = 0
            self.end(number)

    def _settle(self, number: int, work: Work) -> None:
        if work.ended and work.items <= 0:
            del self._works[number]
            self._open[work.batch] -= 1

    def done(self) -> list[str]:
        """Return the ids of the batches whose requests are all processed."""
        return [batch for batch in self._sizes if not self._open[batch]]

    def remove(self, batches: Iterable[str]) -> None:
        """Forget batches that were deleted from the slot."""
        for batch in batches:
            del self._sizes[batch], self._open[batch]
