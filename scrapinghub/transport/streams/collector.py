"""Pause the garbage collector while records are decoded into lists and tables."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

# Thresholds of the generations 0 and 1: effectively infinite, and a hundred times the usual one. No program sets these.
_OURS = (2**31 - 1, 1009)
_normal = gc.get_threshold()


class CollectorPause:
    """A context manager in which no collection begins by itself.

    The collector walks the records of a growing list again and again, and decoded records are never garbage.

    Only the threshold of one generation is changed, and back. So ``gc.disable()`` and ``gc.enable()`` of the program
    take effect at any time, also in another thread, and a threshold that the program sets inside a pause stays. Of
    pauses in several threads, the one that changed it ends them all. A process that is forked inside a pause ends it.

    Args:
        generation: 0 to begin no collection; 1 to begin those of the older generations seldom.
    """

    def __init__(self, generation: int = 0) -> None:
        self._generation = generation
        self._before: int | None = None

    def __enter__(self) -> None:
        global _normal  # noqa: PLW0603
        threshold, generation = gc.get_threshold(), self._generation
        # A first threshold of 0 switches the collector off.
        if threshold[0] and threshold[generation] < _OURS[generation]:
            self._before = threshold[generation]
            _normal = _replaced(_normal, generation, threshold[generation])
            gc.set_threshold(*_replaced(threshold, generation, _OURS[generation]))

    def __exit__(self, *error: object) -> None:
        """End the pause; may be called again, after an interruption of the first call."""
        threshold = gc.get_threshold()
        if self._before is not None and threshold[self._generation] == _OURS[self._generation]:
            gc.set_threshold(*_replaced(threshold, self._generation, self._before))
        self._before = None


def _replaced(threshold: tuple[int, int, int], generation: int, value: int) -> tuple[int, int, int]:
    return (value, *threshold[1:]) if generation == 0 else (threshold[0], value, threshold[2])


class _Reading(threading.local):
    """What a thread enters while it decodes a part of a body and delivers its records."""

    around_part: AbstractContextManager[object] = nullcontext()


reading = _Reading()


@contextmanager
def pause_while_decoding() -> Iterator[None]:
    """Pause the collector inside this block while streams decode; collect only young objects while they wait.

    Each pause makes a collection of young objects due, and ten of these one of older objects: of all records.
    """
    before = reading.around_part
    part, older = CollectorPause(), CollectorPause(1)
    try:
        reading.around_part = part
        older.__enter__()
        yield
    finally:
        reading.around_part = before
        # The block may end within a part.
        part.__exit__()
        older.__exit__()


def _resume_in_child() -> None:
    for generation, ours in enumerate(_OURS):
        if gc.get_threshold()[generation] == ours:
            gc.set_threshold(*_replaced(gc.get_threshold(), generation, _normal[generation]))


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_resume_in_child)
