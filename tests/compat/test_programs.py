"""The programs run with this package; that they do the same with the released one is shown by ``tox -e released``."""

import sys
from pathlib import Path

import pytest

from compat import running
from compat.running import Run


@pytest.mark.parametrize('program', running.PROGRAMS, ids=lambda program: program.stem)
def test_a_program_runs(program: Path) -> None:
    done = running.run(program, sys.executable)
    assert done.status == 0, done.errors
    assert done.requests
    assert 'Deprecat' not in done.errors


PROGRAM = Path('any.py')


@pytest.mark.parametrize(
    ('theirs', 'ours', 'problem'),
    [
        (Run(['GET /a'], [], 0, ''), Run([], [], 0, ''), 'only the released package sent: GET /a'),
        (Run([], [], 0, ''), Run(['GET /a'], [], 0, ''), 'only this package sent: GET /a'),
        (Run(['GET /a'], [], 0, ''), Run(['GET /a', 'GET /a'], [], 0, ''), 'only this package sent: GET /a'),
        (Run([], ['1'], 0, ''), Run([], ['2'], 0, ''), 'only the released package printed: 1'),
        (Run([], ['1', '2'], 0, ''), Run([], ['2', '1'], 0, ''), 'printed in another order'),
        (Run([], [], 0, ''), Run([], [], 1, 'Oh'), 'this package ended with status 1: Oh'),
    ],
)
def test_a_difference_is_found(theirs: Run, ours: Run, problem: str) -> None:
    assert problem in running.problems(PROGRAM, theirs, ours)


def test_equal_runs_have_no_problem() -> None:
    assert running.problems(PROGRAM, Run(['GET /a'], ['1'], 0, ''), Run(['GET /a'], ['1'], 0, 'other')) == []


def test_a_reason_for_what_is_not_there_is_found() -> None:
    program = Path(f'{running.DIFFERENCES[0].program}.py')
    empty = Run([], [], 0, '')
    assert [problem for problem in running.problems(program, empty, empty) if problem.startswith('explained')]
