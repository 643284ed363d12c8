"""How many records each case of the benchmark has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Numbers of records and calls.

    Attributes:
        items: Small items and requests of a job, records of a collection.
        products: Items as shops have them.
        listed: Job summaries, activity events, frontier batches.
        large: Records of one MiB.
        writes: Items written, requests added to a frontier.
        calls: Metadata calls.
        flat: Items iterated to measure the growth of memory.
        linear: Numbers of items between which the cost of one item must not change.
        threads: Threads that share one client.
    """

    items: int
    products: int
    listed: int
    large: int
    writes: int
    calls: int
    flat: int
    linear: tuple[int, ...]
    threads: int


SIZES = {
    'full': Sizes(
        200_000, 100_000, 20_000, 100, 50_000, 500, 1_000_000, (1_000, 10_000, 100_000, 1_000_000, 10_000_000), 32
    ),
    # For the peak memory of exports.
    'million': Sizes(1, 1_000_000, 1, 1, 1, 1, 1, (1,), 1),
    # A smoke test, without meaningful times.
    'quick': Sizes(2_000, 1_000, 2_000, 2, 2_000, 20, 100_000, (1_000, 10_000), 32),
}
