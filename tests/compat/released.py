"""Hold this package against the released one: ``signatures``, or ``programs`` that are run with both.

Run by tox. The released package gets an environment of its own below the folder that is given.
"""

import subprocess
import sys
import venv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from compat import comparing, running


def make_released(folder: Path) -> str:
    """Install the released package, unless it is there, and return its interpreter."""
    python = folder / 'bin' / 'python'
    if not python.exists():
        venv.create(folder, with_pip=True)
        wanted = f'scrapinghub[msgpack]=={comparing.RELEASED_VERSION}'
        subprocess.run([python, '-m', 'pip', 'install', '-q', '--disable-pip-version-check', wanted], check=True)
    return str(python)


def compare_signatures(python: str) -> list[str]:
    """Take the snapshot anew and return what is wrong with it, or with us."""
    fresh = comparing.released_snapshot(python)
    kept = comparing.RELEASED.read_text(encoding='utf-8').splitlines()
    stale = [f'{comparing.RELEASED.name} does not have: {line}' for line in fresh if line not in kept]
    stale += [f'{comparing.RELEASED.name} has, and the package has not: {line}' for line in kept if line not in fresh]
    own = comparing.own_snapshot()
    for line, (path, ours) in comparing.differences(fresh, own).items():
        print(f'{"differs" if ours else "missing"}: {line}\n    here: {" | ".join(ours) or "-"}')
        print(f'    why: {comparing.reason_for(path)}')
    return stale + comparing.problems(fresh, own)


def compare_programs(python: str) -> list[str]:
    """Run every program with both packages and return what differs without a reason."""
    found = []
    for program in running.PROGRAMS:
        theirs, ours = running.run(program, python), running.run(program, sys.executable)
        problems = running.problems(program, theirs, ours)
        print(f'{program.stem}: {len(theirs.requests)} requests, {len(theirs.lines)} lines; {len(problems)} problems')
        for reason in running.reasons(program):
            print(f'    differs: {reason}')
        found += [f'{program.stem}: {problem}' for problem in problems]
    return found


def main(what: str, folder: str) -> int:
    """Compare, and return the exit status."""
    python = make_released(Path(folder))
    found = compare_signatures(python) if what == 'signatures' else compare_programs(python)
    for problem in found:
        print(problem, file=sys.stderr)
    print('no difference without a reason' if not found else f'{len(found)} differences without a reason')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
