"""Measure the library beside the released package and beside the bare loop, as ratios within one run.

``python run.py --released PYTHON`` prints the table, ``--picture FILE`` draws it, ``--store`` keeps the ratios, and
``--check`` compares them with the stored ones, with room for noise. ``--quick`` runs every pair once: a smoke test.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
STORED = HERE / 'ratios.json'
# A stored ratio may be missed by this factor: machines differ, and are shared.
ROOM = 1.6


@dataclass
class Case:
    """One line of the table.

    Attributes:
        name: Name of the case in ``worker.py``.
        title: What the table says.
        ours: Implementation name of ours: ``ours``, or ``ours-plain`` for the standard library only.
        bare: Implementation name of the bare loop, or None.
        faster: At least this many times the speed of the released package.
        share: At least this share of the speed of the bare loop, or None.
        figure: ``cpu`` or ``wall``.
    """

    name: str
    title: str
    faster: float
    share: float | None = None
    ours: str = 'ours'
    bare: str | None = 'bare'
    figure: str = 'cpu'
    ratios: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


CASES = (
    Case('items_msgpack', 'items, MessagePack', 3.3, 0.9),
    Case('items_msgpack_gzip', 'items, MessagePack, gzip', 3.3, 0.9),
    Case('items_json', 'items, JSON lines, standard library', 1.7, 0.95, ours='ours-plain'),
    Case('requests_json', 'requests, JSON lines, standard library', 1.7, 0.95, ours='ours-plain'),
    Case('items_json', 'items, JSON lines, extra fast', 5, 0.9, bare='bare-fast'),
    Case('requests_json', 'requests, JSON lines, extra fast', 5, 0.9, bare='bare-fast'),
    Case('collection_scan', 'collection scan', 4, 0.9),
    Case('large_records', '100 records of 1 MiB', 50, 0.8, ours='ours-plain'),
    Case('job_summaries', '20 000 job summaries', 2, 0.9, ours='ours-plain'),
    Case('activity_events', '20 000 activity events', 2, 0.9, ours='ours-plain'),
    Case('frontier_batches', '20 000 frontier batches', 2, 0.9, ours='ours-plain'),
    Case('item_writes', '50 000 items.write and flush: wall', 5, bare=None, figure='wall'),
    Case('item_writes', '50 000 items.write and flush: CPU', 2.5, bare=None),
    Case('frontier_adds', '50 000 frontier adds and flush', 2, bare=None, figure='wall'),
    Case('metadata_calls', '500 metadata calls', 1.7, 1.0),
    Case('import', 'import scrapinghub', 1 / 0.9, bare=None),
)


@contextmanager
def replay() -> Iterator[str]:
    """Run the replaying server; give its address."""
    command = [sys.executable, str(HERE / 'replay.py')]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stdin is not None
        try:
            yield f'http://127.0.0.1:{int(server.stdout.readline())}'
        finally:
            server.stdin.close()
            server.terminate()


def measure(python: str, case: str, implementation: str, url: str) -> dict[str, float]:
    """Run one case in a process of its own; return what it printed."""
    command = [python, '-W', 'ignore', str(HERE / 'worker.py'), case, implementation, url]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f'{case} with {implementation} failed:\n{result.stderr}')
    figures: dict[str, float] = json.loads(result.stdout)
    return figures


def compare(case: Case, released: str, url: str, repeats: int) -> None:
    """Run the implementations of a case in turn."""
    for _ in range(repeats):
        ours = measure(sys.executable, case.name, case.ours, url)
        theirs = measure(released, case.name, 'released', url)
        if ours['number'] != theirs['number']:
            raise SystemExit(f'{case.name}: {ours["number"]} records with ours, {theirs["number"]} with the released')
        case.seconds.append(ours[case.figure])
        case.ratios.append(theirs[case.figure] / ours[case.figure])
        if case.bare is not None:
            bare = measure(sys.executable, case.name, case.bare, url)
            case.shares.append(bare[case.figure] / ours[case.figure])


def million(url: str) -> float:
    """Return by how much the peak memory grows while a million items are iterated, in MiB."""
    return measure(sys.executable, 'million_items', 'ours', url)['growth'] / 1024


def imports(repeats: int) -> float:
    """Return how much longer ``import scrapinghub`` takes than ``import requests``, in milliseconds."""
    def once(implementation: str) -> float:
        return measure(sys.executable, 'import', implementation, '')['wall']

    return 1000 * min(once('ours') - once('bare') for _ in range(repeats))


def table(cases: list[Case], growth: float, extra_import: float) -> str:
    """Return the table as reStructuredText."""
    rows = [('case', 'seconds', 'times the released package', 'share of the bare loop')]
    for case in cases:
        shares = f'{max(case.shares):.2f} (wanted {case.share})' if case.shares else '-'
        ratio = f'{median(case.ratios):.1f} (wanted {case.faster:.2g})'
        rows.append((case.title, f'{median(case.seconds):.3f}', ratio, shares))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    rule = '  '.join('=' * width for width in widths)
    lines = ['  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    text = '\n'.join([rule, lines[0], rule, *lines[1:], rule])
    return (
        f'{text}\n\nPeak memory grows by {growth:.1f} MiB while a million items are iterated (wanted: under 8).\n'
        f'``import scrapinghub`` takes {extra_import:.0f} ms more than ``import requests`` (wanted: at most 15).\n'
    )


def stored_ratios(cases: list[Case]) -> dict[str, dict[str, float]]:
    """Return the ratios in the form in which they are kept."""
    return {
        case.title: {
            'released': round(median(case.ratios), 2),
            **({'bare': round(max(case.shares), 2)} if case.shares else {}),
        }
        for case in cases
    }


def regressions(cases: list[Case]) -> list[str]:
    """Return a line for every ratio that is far below the stored one."""
    kept = json.loads(STORED.read_text())
    now = stored_ratios(cases)
    return [
        f'{title}: {which} was {ratio}, is {now[title][which]}'
        for title, ratios in kept.items()
        if title in now
        for which, ratio in ratios.items()
        if which in now[title] and now[title][which] * ROOM < ratio
    ]


def draw(cases: list[Case], file: Path) -> None:
    """Draw the ratios as bars, in SVG."""
    height, left, width = 26, 290, 760
    longest = max(median(case.ratios) for case in cases)
    scale = (width - left - 60) / min(longest, 20)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height * len(cases) + 40}" '
        'font-family="sans-serif" font-size="13" role="img" aria-label="Speed against the released package">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="{left}" y="18" fill="#444">times the speed of the released package (line: 1 ×)</text>',
    ]
    for number, case in enumerate(cases):
        ratio = median(case.ratios)
        y = 30 + number * height
        length = min(ratio, 20) * scale
        parts.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end" fill="#222">{case.title}</text>')
        parts.append(f'<rect x="{left}" y="{y}" width="{length:.0f}" height="18" fill="#3273c8"/>')
        parts.append(f'<text x="{left + length + 6:.0f}" y="{y + 14}" fill="#222">{ratio:.1f} ×</text>')
    line = left + scale
    parts.append(f'<line x1="{line:.0f}" x2="{line:.0f}" y1="26" y2="{30 + height * len(cases)}" stroke="#c00"/>')
    file.write_text('\n'.join([*parts, '</svg>', '']))


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--released', required=True, help='Python of an environment with the released package')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--only', action='append', help='name of a case; may be repeated')
    parser.add_argument('--quick', action='store_true', help='every pair once')
    parser.add_argument('--picture', type=Path)
    parser.add_argument('--store', action='store_true')
    parser.add_argument('--check', action='store_true')
    arguments = parser.parse_args()
    repeats = 1 if arguments.quick else arguments.repeats
    cases = [case for case in CASES if not arguments.only or case.name in arguments.only]
    with replay() as url:
        for case in cases:
            compare(case, arguments.released, url, repeats)
            print(f'{case.title}: {median(case.ratios):.2f}', file=sys.stderr)
        growth = million(url) if not arguments.only else 0.0
    print(table(cases, growth, imports(repeats)))
    if arguments.picture:
        draw(cases, arguments.picture)
    if arguments.store:
        STORED.write_text(json.dumps(stored_ratios(cases), indent=2) + '\n')
    if arguments.check and (worse := regressions(cases)):
        raise SystemExit('\n'.join(worse))


if __name__ == '__main__':
    main()
