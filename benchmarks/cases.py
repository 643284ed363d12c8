"""The table: what is measured, what is wanted of it, and what was measured."""

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
        faster: At least this many times the speed of the released package.
        share: At least this share of the speed of the bare loop, or None.
        ours: Implementation name of ours: ``ours``, or ``ours-plain`` for the standard library only.
        bare: Implementation name of the bare loop, or None.
        figure: ``cpu`` or ``wall``.
        rounds: How many times as often as the others it is run, because it is short.
        results: For each implementation what it cost, one entry for each round.
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
        """What to run in each round, in turn."""
        return [self.ours, 'released'] + ([] if self.bare is None else [self.bare])

    def seconds(self, implementation: str) -> list[float]:
        """Return what each round took."""
        return [result[self.figure] for result in self.results.get(implementation, [])]

    @property
    def ratios(self) -> list[float]:
        """How many times as fast as the released package, for each round."""
        return self._against('released')

    @property
    def shares(self) -> list[float]:
        """Share of the speed of the bare loop, for each round."""
        return [] if self.bare is None else self._against(self.bare)

    def _against(self, other: str) -> list[float]:
        return [their / our for our, their in zip(self.seconds(self.ours), self.seconds(other), strict=False)]

    @property
    def ratio(self) -> float | None:
        """The median of the ratios; None if the released package was not run."""
        return median(self.ratios) if self.ratios else None

    @property
    def best_share(self) -> float | None:
        """The best pair: what the machine does beside can only make a share smaller or, rarely, larger."""
        return max(self.shares) if self.shares else None

    @property
    def missed(self) -> bool:
        """Whether it is slower than wanted."""
        too_slow = self.ratio is not None and self.ratio < self.faster
        return too_slow or (self.best_share is not None and self.share is not None and self.best_share < self.share)

    def check(self) -> None:
        """Raise if the implementations did not do the same."""
        numbers = {result['number'] for results in self.results.values() for result in results}
        if len(numbers) != 1:
            raise SystemExit(f'{self.title}: not the same number of records everywhere: {sorted(numbers)}')


def all_cases() -> list[Case]:
    """Return the lines of the table, nothing measured yet."""
    plain = 'ours-plain'
    return [
        Case('items_msgpack', 'items, MessagePack', 3.3, 0.9),
        Case('items_msgpack_gzip', 'items, MessagePack, gzip', 3.3, 0.9),
        Case('items_json', 'items, JSON, standard library', 1.7, 0.95, ours=plain),
        Case('requests_json', 'requests, JSON, standard library', 1.7, 0.95, ours=plain),
        Case('items_json', 'items, JSON, extra fast', 5, 0.9, bare='bare-fast'),
        Case('requests_json', 'requests, JSON, extra fast', 5, 0.9, bare='bare-fast'),
        Case('collection_scan', 'collection scan', 4, 0.9),
        Case('large_records', 'records of 1 MiB, JSON', 50, 0.8, ours=plain),
        Case('job_summaries', 'job summaries, standard library', 2, 0.9, ours=plain, rounds=4),
        Case('activity_events', 'activity events, standard library', 2, 0.9, ours=plain, rounds=4),
        Case('frontier_batches', 'frontier batches, standard library', 2, 0.9, ours=plain, rounds=4),
        Case('job_summaries', 'job summaries, extra fast', 2, 0.9, bare='bare-fast', rounds=4),
        Case('activity_events', 'activity events, extra fast', 2, 0.9, bare='bare-fast', rounds=4),
        Case('frontier_batches', 'frontier batches, extra fast', 2, 0.9, bare='bare-fast', rounds=4),
        Case('item_writes', 'item writes, wall time', 5, bare=None, figure='wall'),
        Case('item_writes', 'item writes, CPU time', 2.5, bare=None),
        Case('frontier_adds', 'frontier adds', 2, bare=None, figure='wall'),
        Case('metadata_calls', 'metadata calls', 1.7, 1.0, rounds=4),
        Case('import', 'import scrapinghub', 1 / 0.9, rounds=5),
        Case('import_client', 'import of the client', 1.0, rounds=5),
    ]


def table(cases: list[Case]) -> str:
    """Return the table as reStructuredText."""
    rows = [('case', 'seconds', 'times the released package', 'share of the bare loop')]
    for case in cases:
        ratio = '-' if case.ratio is None else f'{spread(case.ratios, case.ratio)}, wanted {case.faster:.2g}'
        share = '-'
        if case.best_share is not None and case.share is not None:
            share = f'{spread(case.shares, case.best_share)}, wanted {case.share}'
        rows.append((case.title, f'{median(case.seconds(case.ours)):.3f}', ratio, share))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    rule = '  '.join('=' * width for width in widths)
    lines = ['  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return '\n'.join([rule, lines[0], rule, *lines[1:], rule])


def spread(values: list[float], shown: float) -> str:
    """Return a number with the range of all that were measured."""
    digits = 0 if shown >= 20 else 1 if shown >= 2 else 2
    return f'{shown:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})'
