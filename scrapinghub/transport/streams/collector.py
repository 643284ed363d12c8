"""Pause the garbage collector while records are decoded into a list that grows."""

from __future__ import annotations

import gc
import os

# Effectively infinite, and no value that a program sets itself.
_PAUSED = 2**31 - 1
_NORMAL = gc.get_threshold()


class CollectorPause:
    """A context manager in which no collection begins by itself.

    The collector walks the records of a growing list again and again, and decoded records are never garbage.

    Only the threshold of the youngest generation is changed, to :data:`_PAUSED` and back. So ``gc.disable()`` and
    ``gc.enable()`` of the program take effect at any time, also in another thread, and a threshold that the program
    sets inside a pause stays: it is not :data:`_PAUSED`. Of pauses in several threads, the one that changed it ends
    them all. A process that is forked inside a pause ends it.
    """

    _threshold: tuple[int, int, int] | None = None

    def __enter__(self) -> None:
        threshold = gc.get_threshold()
        # 0 switches the collector off.
        if threshold[0] not in (0, _PAUSED):
            self._threshold = threshold
            _remember(threshold)
            gc.set_threshold(_PAUSED, *threshold[1:])

    def __exit__(self, *error: object) -> None:
        """End the pause; may be called again, after an interruption of the first call."""
        if self._threshold is not None and gc.get_threshold()[0] == _PAUSED:
            gc.set_threshold(*self._threshold)
        self._threshold = None


def _remember(threshold: tuple[int, int, int]) -> None:
    global _NORMAL  # noqa: PLW0603
    _NORMAL = threshold


def _resume_in_child() -> None:
    if gc.get_threshold()[0] == _PAUSED:
        gc.set_threshold(*_NORMAL)


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_resume_in_child)
