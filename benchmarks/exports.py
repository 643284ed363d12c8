"""Measure downloads and tables beside the code that users write without them: processor time and peak memory.

Each runs in a new process, in turns. ``--into FOLDER`` writes the table, and ``--sizes million`` shows the peak memory
for a million items.

Usage: python benchmarks/exports.py [--sizes full|quick|million] [--repeats N] [--into FOLDER]
"""

from __future__ import annotations

import argparse
import csv
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from run import replay
from sizes import SIZES
from worker import client, peak

KEY = '1/2/5'


def write_lines(items: Any, folder: Path) -> None:
    """Store items as JSON lines."""
    with (folder / 'items.jl').open('w') as file:
        for item in items.iter():
            file.write(json.dumps(item) + '\n')


def write_csv(items: Any, folder: Path) -> None:
    """Store items as CSV: the fields are known when all items were read."""
    found = items.list()
    fields = dict.fromkeys(name for item in found for name in item)
    with (folder / 'items.csv').open('w', newline='') as file:
        writer = csv.DictWriter(file, list(fields))
        writer.writeheader()
        for item in found:
            writer.writerow({k: v if isinstance(v, str) else json.dumps(v) for k, v in item.items()})


def write_parquet(items: Any, folder: Path) -> None:
    """Store items as Parquet."""
    from pyarrow import parquet

    parquet.write_table(make_table(items, folder), folder / 'items.parquet')


def make_table(items: Any, _folder: Path) -> Any:
    """Load items into an Arrow table."""
    import pyarrow as pa

    return pa.Table.from_pylist(items.list())


def make_frame(items: Any, _folder: Path) -> Any:
    """Load items into a DataFrame."""
    import pandas as pd

    return pd.DataFrame(list(items.iter()))


def make_frame_without_collector(items: Any, folder: Path) -> Any:
    """Load items into a DataFrame with the garbage collector switched off."""
    gc.disable()
    frame = make_frame(items, folder)
    gc.enable()
    return frame


Way = Callable[[Any, Path], Any]

CASES: dict[str, tuple[str, Way, Way]] = {
    'lines': ('``download("items.jl")``', lambda items, folder: items.download(folder / 'a.jl'), write_lines),
    'csv': ('``download("items.csv")``', lambda items, folder: items.download(folder / 'a.csv'), write_csv),
    'parquet': (
        '``download("items.parquet")``',
        lambda items, folder: items.download(folder / 'a.parquet'),
        write_parquet,
    ),
    'arrow': ('``to_arrow()``', lambda items, _folder: items.to_arrow(), make_table),
    'pandas': ('``to_pandas()``', lambda items, _folder: items.to_pandas(), make_frame),
    'paused': (
        '``to_pandas()``, by hand without garbage collector',
        lambda items, _folder: items.to_pandas(),
        make_frame_without_collector,
    ),
}


def measure(case: str, way: str, url: str) -> None:
    """Run a case in this process; print processor time, duration and peak memory."""
    # What is loaded on first use is not measured.
    if case in ('parquet', 'arrow', 'pandas', 'paused'):
        __import__('pyarrow.parquet')
    if case in ('pandas', 'paused'):
        __import__('pandas').DataFrame([{'a': 1}])
    _, ours, by_hand = CASES[case]
    # The server prepares a million items in more than a minute.
    with client(url, connection_timeout=600) as sh, tempfile.TemporaryDirectory() as folder:
        items = sh.get_job(KEY).items
        next(items.iter())
        cpu, wall = time.process_time(), time.perf_counter()
        kept = (ours if way == 'ours' else by_hand)(items, Path(folder))
        figures = {'cpu': time.process_time() - cpu, 'wall': time.perf_counter() - wall, 'peak': peak() / 1024}
        del kept
    print(json.dumps(figures))


def run(case: str, way: str, url: str) -> dict[str, float]:
    """Run a case in a new process."""
    command = [sys.executable, '-W', 'ignore', __file__, '--measure', case, way, url]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f'{case}, {way} failed:\n{result.stderr}')
    figures: dict[str, float] = json.loads(result.stdout)
    return figures


def table(count: int, repeats: int, url: str, cases: list[str]) -> str:
    """Run the cases in turns, and return the table as reStructuredText."""
    lines = [
        '.. list-table::',
        '    :header-rows: 1',
        '',
        f'    * - {count:,} products',
        '      - seconds',
        '      - by hand',
        '      - speed-up',
        '      - peak memory',
        '      - by hand',
    ]
    for case in cases:
        rounds = [{way: run(case, way, url) for way in ('ours', 'by hand')} for _ in range(repeats)]
        ours, theirs = ([one[way] for one in rounds] for way in ('ours', 'by hand'))
        ratio = median(their['cpu'] / our['cpu'] for our, their in zip(ours, theirs, strict=True))
        lines += [
            f'    * - {CASES[case][0]}',
            f'      - {median(one["cpu"] for one in ours):.2f}',
            f'      - {median(one["cpu"] for one in theirs):.2f}',
            f'      - {ratio:.1f}×',
            f'      - {median(one["peak"] for one in ours):.0f} MiB',
            f'      - {median(one["peak"] for one in theirs):.0f} MiB',
        ]
        print(*lines[-6:], sep='\n', file=sys.stderr)
    return '\n'.join([*lines, ''])


def main() -> None:
    """Run the benchmark, or one case of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sizes', choices=SIZES, default='full', help='number of items')
    parser.add_argument('--repeats', type=int, default=5, help='rounds of each case')
    parser.add_argument('--only', nargs='+', metavar='NAME', choices=CASES, default=list(CASES), help='names of cases')
    parser.add_argument('--into', type=Path, metavar='FOLDER', help='where to write the table')
    parser.add_argument('--measure', nargs=3, metavar=('CASE', 'WAY', 'URL'), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(*arguments.measure)
        return
    with replay(arguments.sizes) as url:
        text = table(SIZES[arguments.sizes].products, arguments.repeats, url, arguments.only)
    print(text)
    if arguments.into:
        (arguments.into / 'exports.txt').write_text(text, encoding='utf-8')


if __name__ == '__main__':
    main()
