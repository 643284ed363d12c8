"""Progress of long operations: a ``tqdm`` bar, or a function of the caller."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

Progress: TypeAlias = 'bool | Callable[[int, int | None], object]'
Report: TypeAlias = 'Callable[[int], object]'


def check_progress(progress: Progress) -> None:
    """Raise ``TypeError`` for any other argument."""
    if not isinstance(progress, bool) and not callable(progress):
        raise TypeError(f'progress should be True, False or a function of (done, total), got {progress!r}')


def make_report(
    progress: Progress, description: str, total: Callable[[], int | None], unit: str = ' records'
) -> Report | None:
    """Return a function to call with the number of records done so far; None if nothing is reported.

    Args:
        progress: False for no report, True for a progress bar, or a function that takes ``(done, total)``.
        description: Label of the bar.
        total: Returns the number of records, None if it is unknown; called at the first report.
        unit: Unit of the bar.

    Raises:
        ImportError: ``progress`` is True and ``tqdm`` is not installed.
        TypeError: ``progress`` is neither a boolean nor callable.
    """
    check_progress(progress)
    if progress is True:
        return _BarReport(description, total, unit)
    if progress is False:
        return None
    expected: list[int | None] = []

    def report(done: int) -> None:
        if not expected:
            expected.append(total())
        progress(done, expected[0])

    return report


_INSTALL = 'tqdm: install it with pip install "scrapinghub[progress]"'


class _BarReport:
    """Shows a progress bar; the bar appears at the first report."""

    def __init__(self, description: str, total: Callable[[], int | None], unit: str) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError(f'the progress bar of {description} needs {_INSTALL}', name='tqdm') from error
        self._tqdm = tqdm
        self._options: dict[str, Any] = {'desc': description, 'unit': unit, 'unit_scale': True}
        self._total = total
        self._bar: Any = None

    def __call__(self, done: int) -> None:
        if self._bar is None:
            # In a notebook stderr is not a terminal, but tqdm.auto shows a widget.
            visible = sys.stderr.isatty() or 'ipykernel' in sys.modules
            total = self._total() if visible else None
            self._bar = self._tqdm(total=total, disable=not visible, **self._options)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is, and end its line."""
        if self._bar is not None:
            self._bar.close()


@contextmanager
def reporting(
    progress: Progress, description: str, total: Callable[[], int | None], unit: str = ' records'
) -> Iterator[Report]:
    """Return a function as :func:`make_report` does, and close the bar at the end of the ``with`` block."""
    report = make_report(progress, description, total, unit)
    try:
        yield report or (lambda done: None)
    finally:
        if isinstance(report, _BarReport):
            report.close()
