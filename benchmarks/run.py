"""Measure the library beside the released package and beside the bare loop, as ratios within one run.

The three take turns, each time in a process of its own, so that whatever else the machine does meets all of them.
``--released-in FOLDER`` installs the released package there, ``--released PYTHON`` names one that is installed already;
with neither only the bare loop is compared with. ``--into FOLDER`` writes the table and a picture of the ratios there,
``--store`` keeps the ratios, and
``--check`` compares with the ones that were kept, with room for noise. ``--quick`` is a smoke test of small sizes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cases import Case, Figures, all_cases, table
from picture import draw

HERE = Path(__file__).parent
STORED = HERE / 'ratios.json'
# A kept ratio may be missed by this factor: machines differ, and are shared.
ROOM = 1.6
FLAT_MIB = 8.0
IMPORT_MS = 15.0
# By how much the cost of one record may differ between a thousand of them and millions; a thousand pay for the request.
LINEAR = 2.0


@contextmanager
def replay(sizes: str) -> Iterator[str]:
    """Run the replaying server; give its address."""
    command = [sys.executable, str(HERE / 'replay.py'), sizes]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        try:
            yield f'http://127.0.0.1:{int(server.stdout.readline())}'
        finally:
            server.stdin.close()
            server.terminate()


class Bench:
    """Runs cases, each in a process of its own.

    Args:
        released: Interpreter of the released package; None to leave it out.
        sizes: ``full`` or ``quick``.
        url: Address of the replaying server.
    """

    def __init__(self, released: str | None, sizes: str, url: str) -> None:
        self.released = released
        self._sizes = sizes
        self._url = url

    def measure(self, case: str, implementation: str) -> Figures:
        """Run one case; return what it printed."""
        python, environment = sys.executable, dict(os.environ)
        if implementation == 'released':
            assert self.released is not None
            python = self.released
            # Whatever leads to our package must not lead the released one's interpreter there.
            environment.pop('PYTHONPATH', None)
        command = [python, '-W', 'ignore', str(HERE / 'worker.py'), case, implementation, self._url, self._sizes]
        result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if result.returncode:
            raise SystemExit(f'{case} with {implementation} failed:\n{result.stderr}')
        figures: Figures = json.loads(result.stdout)
        return figures

    def compare(self, cases: list[Case], repeats: int) -> None:
        """Run the implementations of each case in turn; cases that differ only in the figure share their runs."""
        done: dict[tuple[str, str], Case] = {}
        for case in cases:
            twin = done.setdefault((case.name, case.ours), case)
            if twin is case:
                for _ in range(1 if self._sizes == 'quick' else repeats * case.rounds):
                    self._round(case)
                case.check()
            case.results = twin.results
            print(f'{case.title}: {case.ratio or 0:.2f}, {case.best_share or 0:.2f}', file=sys.stderr)

    def _round(self, case: Case) -> None:
        for implementation in case.implementations:
            if implementation != 'released' or self.released is not None:
                case.results.setdefault(implementation, []).append(self.measure(case.name, implementation))

    def look(self) -> tuple[list[str], list[str]]:
        """Look at what is wanted beside the speed.

        Returns:
            What was found, in sentences, and what is not as wanted.
        """
        memory = self.measure('flat_memory', 'ours')
        first = self.measure('first_record', 'ours')
        opened = self.measure('connections', 'ours')
        linear = self.measure('linear_cost', 'ours')
        costs = [f'{cost:.2f} ({int(count):,} items)' for count, cost in linear.items()]
        lines = [
            (
                f'Peak memory grows by {memory["growth"]:.1f} MiB while {memory["number"]:,.0f} items are iterated '
                'with one client, half of them in a stream that had to wait for its consumer.'
            ),
            f'The first record of a slow stream comes before the second is sent: {"yes" if first["early"] else "no"}.',
            f'{opened["threads"]:.0f} threads with one client open {opened["opened"]:.0f} connections, 20 calls each.',
            f'CPU microseconds of an item: {", ".join(costs)}.',
        ]
        missed = []
        if memory['growth'] > FLAT_MIB:
            missed.append(f'memory grows by more than {FLAT_MIB:.0f} MiB')
        if not first['early']:
            missed.append('the first record waits for the second one')
        if opened['opened'] > opened['threads']:
            missed.append('connections are thrown away')
        if self._sizes == 'full' and list(linear.values())[-1] > LINEAR * min(linear.values()):
            missed.append('the cost of a record grows with their number')
        return lines, missed


def extra_import(cases: list[Case]) -> float | None:
    """Return by how many milliseconds our import is longer than that of ``requests``, each at its best."""
    for case in cases:
        if case.name == 'import_client':
            ours, bare = (min(result['wall'] for result in case.results[name]) for name in ('ours', 'bare'))
            return 1000 * (ours - bare)
    return None


def kept(cases: list[Case]) -> dict[str, dict[str, float]]:
    """Return the ratios in the form in which they are kept."""
    return {
        case.title: {
            name: round(value, 2)
            for name, value in (('released', case.ratio), ('bare', case.best_share if case.share else None))
            if value is not None
        }
        for case in cases
    }


def regressions(cases: list[Case]) -> list[str]:
    """Return a line for every ratio that is far below the kept one."""
    now = kept(cases)
    return [
        f'{title}, against {which}: was {ratio}, is {now[title][which]}'
        for title, ratios in json.loads(STORED.read_text(encoding='utf-8')).items()
        for which, ratio in ratios.items()
        if which in now.get(title, {}) and now[title][which] * ROOM < ratio
    ]


def released_python(arguments: argparse.Namespace) -> str | None:
    """Return the interpreter of the released package; install it first if asked to."""
    if arguments.released_in is None:
        given: str | None = arguments.released
        return given
    sys.path.insert(0, str(HERE.parent / 'tests'))
    from compat.released import make_released

    return make_released(arguments.released_in)


def parse() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--released', metavar='PYTHON', help='interpreter that has the released package')
    parser.add_argument('--released-in', metavar='FOLDER', type=Path, help='where to install the released package')
    parser.add_argument('--repeats', type=int, default=5, help='rounds of each case')
    parser.add_argument('--only', nargs='+', metavar='NAME', help='names of cases')
    parser.add_argument('--quick', action='store_true', help='small sizes, one round: whether everything runs')
    parser.add_argument('--into', type=Path, metavar='FOLDER', help='where to write the table and the picture')
    parser.add_argument('--store', action='store_true', help=f'keep the ratios in {STORED.name}')
    parser.add_argument('--check', action='store_true', help='fail if a ratio is far below the kept one')
    return parser.parse_args()


def main() -> None:
    """Run what the command line asks for."""
    arguments = parse()
    sizes = 'quick' if arguments.quick else 'full'
    cases = [case for case in all_cases() if not arguments.only or case.name in arguments.only]
    missed: list[str] = []
    with replay(sizes) as url:
        bench = Bench(released_python(arguments), sizes, url)
        bench.compare(cases, 1 if arguments.quick else arguments.repeats)
        found = [table(cases), '']
        if not arguments.only:
            lines, missed = bench.look()
            found += [f'* {line}' for line in lines]
    longer = extra_import(cases)
    if longer is not None:
        found.append(f'* Importing the client takes {longer:.0f} ms more than importing ``requests``.')
    text = '\n'.join([*found, ''])
    print(text)
    if arguments.into:
        (arguments.into / 'performance.txt').write_text(text, encoding='utf-8')
        (arguments.into / 'performance.svg').write_text(draw(cases), encoding='utf-8')
    if arguments.store:
        STORED.write_text(json.dumps(kept(cases), indent=2) + '\n', encoding='utf-8')
    if not arguments.quick:
        slow = [case.title for case in cases if case.missed]
        print(f'Slower than wanted: {", ".join(slow) or "nothing"}.')
    if arguments.check:
        missed += regressions(cases)
    if missed:
        raise SystemExit('\n'.join(missed))


if __name__ == '__main__':
    main()
