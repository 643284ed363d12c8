"""The cases, their targets and results."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

Figures = dict[str, float]


@dataclass
class Case:
    """One line of the table.

    Attributes:
        name: Name of the case in ``worker.py``.
        title: What the table says.
        faster: Target: this many times the speed of the released package.
        share: Target: this many times the speed of the bare loop, or None.
        ours: Implementation name of ours: ``ours``, or ``ours-plain`` for the standard library only.
        bare: Implementation name of the bare loop, or None.
        figure: ``cpu`` or ``wall``.
        rounds: Factor of the number of rounds: short cases run more often.
        results: The cost of each implementation, one entry for each round.
    """

    name: str
    title: str
    faster: float
    share: float | None = None
    ours: str = 'ours'
    bare: str | None = 'bare'
    figure: str = 'cpu'
    rounds: int = 1
    results: dict[str, list[Figures]] = field(default_factory=dict)

    @property
    def implementations(self) -> list[str]:
        """The implementations to run in each round."""
        return [self.ours, 'released'] + ([] if self.bare is None else [self.bare])

    def seconds(self, implementation: str) -> list[float]:
        """Return the duration of each round."""
        return [result[self.figure] for result in self.results.get(implementation, [])]

    @property
    def ratios(self) -> list[float]:
        """How many times as fast as the released package, for each round."""
        return self._against('released')

    @property
    def shares(self) -> list[float]:
        """How many times as fast as the bare loop, for each round."""
        return [] if self.bare is None else self._against(self.bare)

    def _against(self, other: str) -> list[float]:
        return [their / our for our, their in zip(self.seconds(self.ours), self.seconds(other), strict=False)]

    @property
    def ratio(self) -> float | None:
        """The median of the ratios; None if the released package was not run."""
        return median(self.ratios) if self.ratios else None

    @property
    def best_share(self) -> float | None:
        """The best pair of a round: it measures a limit, and a disturbed round says nothing about a limit."""
        return max(self.shares) if self.shares else None

    def check(self) -> None:
        """Raise if the implementations did not do the same."""
        numbers = {result['number'] for results in self.results.values() for result in results}
        if len(numbers) != 1:
            raise SystemExit(f'{self.title}: not the same number of records everywhere: {sorted(numbers)}')


def all_cases() -> list[Case]:
    """Return the lines of the table, without results."""
    plain = 'ours-plain'
    return [
        Case('products_msgpack', 'products, MessagePack', 2.8, 1.15),
        Case('products_msgpack_gzip', 'products, MessagePack, gzip', 2.8, 1.25),
        Case('products_list', 'products, MessagePack, list()', 3.5, bare=None),
        Case('products_typed', 'products, three fields of a type', 6, bare=None),
        Case('products_json', 'products, JSON, standard library', 1.7, 0.95, ours=plain),
        Case('products_json', 'products, JSON, extra fast', 4, 0.9, bare='bare-fast'),
        Case('product_writes', 'product writes, CPU time', 2, bare=None),
        Case('items_msgpack', 'small items, MessagePack', 3.3, 0.9),
        Case('items_msgpack_gzip', 'small items, MessagePack, gzip', 3.3, 0.9),
        Case('items_json', 'small items, JSON, standard library', 1.7, 0.95, ours=plain),
        Case('items_json', 'small items, JSON, extra fast', 5, 0.9, bare='bare-fast'),
        Case('requests_json', 'requests, JSON, standard library', 1.7, 0.95, ours=plain),
        Case('requests_json', 'requests, JSON, extra fast', 5, 0.9, bare='bare-fast'),
        Case('collection_scan', 'collection scan', 4, 0.9),
        Case('large_records', 'records of 1 MiB, JSON', 50, 0.8, ours=plain),
        Case('job_summaries', 'job summaries, standard library', 2, 0.9, ours=plain, rounds=4),
        Case('activity_events', 'activity events, standard library', 2, 0.9, ours=plain, rounds=4),
        Case('frontier_batches', 'frontier batches, standard library', 2, 0.9, ours=plain, rounds=4),
        Case('job_summaries', 'job summaries, extra fast', 2, 0.9, bare='bare-fast', rounds=4),
        Case('activity_events', 'activity events, extra fast', 2, 0.9, bare='bare-fast', rounds=4),
        Case('frontier_batches', 'frontier batches, extra fast', 2, 0.9, bare='bare-fast', rounds=4),
        Case('item_writes', 'small item writes, wall time', 5, bare=None, figure='wall'),
        Case('item_writes', 'small item writes, CPU time', 2.5, bare=None),
        Case('frontier_adds', 'frontier adds', 2, bare=None, figure='wall'),
        Case('metadata_calls', 'metadata calls', 1.9, 1.0, rounds=4),
        Case('import', 'import scrapinghub', 1 / 0.9, rounds=5),
        Case('import_client', 'import of the client', 1.0, rounds=5),
    ]


def table(cases: list[Case]) -> str:
    """Return the table as reStructuredText."""
    rows = [('case', 'seconds', 'speed-up', 'against the bare loop')]
    for case in cases:
        speedup, share = case.ratio, case.best_share
        rows.append(
            (
                case.title,
                f'{median(case.seconds(case.ours)):.3f}',
                '–' if speedup is None else f'{rounded(speedup)}× ({spread(case.ratios)})',
                '–' if share is None else f'{rounded(share)}× ({spread(case.shares)})',
            )
        )
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    rule = '  '.join('=' * width for width in widths)
    lines = ['  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return '\n'.join([rule, lines[0], rule, *lines[1:], rule])


def misses(cases: list[Case]) -> list[str]:
    """Return a line for each target that is missed."""
    lines = []
    for case in cases:
        if case.ratio is not None and case.ratio < case.faster:
            lines.append(f'{case.title}: {rounded(case.ratio)} times the released package, target {case.faster:.2g}')
        if case.best_share is not None and case.share is not None and case.best_share < case.share:
            lines.append(f'{case.title}: {rounded(case.best_share)} times the bare loop, target {case.share:.2g}')
    return lines


def rounded(value: float) -> str:
    """Return a ratio with two significant digits, at least."""
    return f'{value:.{0 if value >= 20 else 1 if value >= 2 else 2}f}'


def spread(values: list[float]) -> str:
    """Return the range of all that were measured."""
    return f'{rounded(min(values))} to {rounded(max(values))}'
