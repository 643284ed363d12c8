"""Compare the library with the released package and with the bare loop, as ratios within one run.

The three take turns, each in a new process, so that the load of the machine affects all of them.
``--released-in FOLDER`` installs the released package there, ``--released PYTHON`` names an interpreter that has it;
without either, only the bare loop is compared. ``--into FOLDER`` writes the table and a picture, ``--store`` stores the
ratios, and ``--check`` fails if a ratio is far below the stored one. ``--quick`` is a smoke test with small sizes.
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

from cases import Case, Figures, all_cases, misses, table
from picture import draw

HERE = Path(__file__).parent
STORED = HERE / 'ratios.json'
# A ratio may be this factor below the stored one: machines differ, and are shared.
ROOM = 1.6
FLAT_MIB = 8.0
IMPORT_MS = 15.0
# Largest ratio between the costs of one record in reads of different length; short reads include the request.
LINEAR = 2.0


@contextmanager
def replay(sizes: str) -> Iterator[str]:
    """Run the replay server and yield its address."""
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
    """Runs cases, each in a new process.

    Args:
        released: Interpreter of the released package; None to leave it out.
        sizes: ``full`` or ``quick``.
        url: Address of the replay server.
    """

    def __init__(self, released: str | None, sizes: str, url: str) -> None:
        self.released = released
        self._sizes = sizes
        self._url = url

    def measure(self, case: str, implementation: str) -> Figures:
        """Run one case and return its figures."""
        python, environment = sys.executable, dict(os.environ)
        if implementation == 'released':
            assert self.released is not None
            python = self.released
            # Our package must not be imported instead of the released one.
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
            first = done.setdefault((case.name, case.ours), case)
            if first is case:
                for _ in range(1 if self._sizes == 'quick' else repeats * case.rounds):
                    self._round(case)
                case.check()
            case.results = first.results
            print(f'{case.title}: {case.ratio or 0:.2f}, {case.best_share or 0:.2f}', file=sys.stderr)

    def _round(self, case: Case) -> None:
        for implementation in case.implementations:
            if implementation != 'released' or self.released is not None:
                case.results.setdefault(implementation, []).append(self.measure(case.name, implementation))

    def look(self) -> tuple[list[str], list[str]]:
        """Measure memory, connections, latency of the first record and the cost for long reads.

        Returns:
            The results as sentences, and the requirements that are not met.
        """
        memory = self.measure('flat_memory', 'ours')
        first = self.measure('first_record', 'ours')
        opened = self.measure('connections', 'ours')
        linear = self.measure('linear_cost', 'ours')
        costs = [f'{cost:.2f} ({int(count):,} items)' for count, cost in linear.items()]
        early = 'yes' if first['early'] else 'no'
        lines = [
            (
                f'Peak memory grows by {memory["growth"]:.1f} MiB while {memory["number"]:,.0f} items are iterated '
                'with one client, half of them in a second stream that is read later.'
            ),
            f'The first record of a slow stream is returned before the second is sent: {early}.',
            f'{opened["threads"]:.0f} threads with one client open {opened["opened"]:.0f} connections, 20 calls each.',
            f'CPU microseconds of an item: {", ".join(costs)}.',
        ]
        missed = []
        if memory['growth'] > FLAT_MIB:
            missed.append(f'memory grows by more than {FLAT_MIB:.0f} MiB')
        if not first['early']:
            missed.append('the first record waits for the second one')
        if opened['opened'] > opened['threads']:
            missed.append('connections are not reused')
        if self._sizes == 'full' and list(linear.values())[-1] > LINEAR * min(linear.values()):
            missed.append('the cost of a record grows with the number of records')
        return lines, missed


def extra_import(cases: list[Case]) -> float | None:
    """Return how many milliseconds longer our import takes than that of ``requests``, best round of each."""
    for case in cases:
        if case.name == 'import_client':
            ours, bare = (min(result['wall'] for result in case.results[name]) for name in ('ours', 'bare'))
            return 1000 * (ours - bare)
    return None


def stored(cases: list[Case]) -> dict[str, dict[str, float]]:
    """Return the ratios in the form in which they are stored."""
    return {
        case.title: {
            name: round(value, 2)
            for name, value in (('released', case.ratio), ('bare', case.best_share if case.share else None))
            if value is not None
        }
        for case in cases
    }


def regressions(cases: list[Case]) -> list[str]:
    """Return a line for every ratio that is far below the stored one."""
    now = stored(cases)
    return [
        f'{title}, against {which}: was {ratio}, is {now[title][which]}'
        for title, ratios in json.loads(STORED.read_text(encoding='utf-8')).items()
        for which, ratio in ratios.items()
        if which in now.get(title, {}) and now[title][which] * ROOM < ratio
    ]


def released_python(arguments: argparse.Namespace) -> str | None:
    """Return the interpreter of the released package; install it with ``--released-in``."""
    if arguments.released_in is None:
        given: str | None = arguments.released
        return given
    sys.path.insert(0, str(HERE.parent / 'tests'))
    from compat.released import make_released

    return make_released(arguments.released_in)


def parse() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--released', metavar='PYTHON', help='interpreter that has the released package')
    parser.add_argument('--released-in', metavar='FOLDER', type=Path, help='where to install the released package')
    parser.add_argument('--repeats', type=int, default=5, help='rounds of each case')
    parser.add_argument('--only', nargs='+', metavar='NAME', help='names of cases')
    parser.add_argument('--quick', action='store_true', help='small sizes, one round: a smoke test')
    parser.add_argument('--into', type=Path, metavar='FOLDER', help='where to write the table and the picture')
    parser.add_argument('--store', action='store_true', help=f'store the ratios in {STORED.name}')
    parser.add_argument('--check', action='store_true', help='fail if a ratio is far below the stored one')
    return parser.parse_args()


def main() -> None:
    """Run the benchmark."""
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
        STORED.write_text(json.dumps(stored(cases), indent=2) + '\n', encoding='utf-8')
    if not arguments.quick:
        print('\n'.join(['Targets missed:', *(misses(cases) or ['none'])]))
    if arguments.check:
        missed += regressions(cases)
    if missed:
        raise SystemExit('\n'.join(missed))


if __name__ == '__main__':
    main()
