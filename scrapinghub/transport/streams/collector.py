"""Pause the garbage collector while records are decoded into lists and tables.

The collector walks the records of a growing list again and again, and decoded records are never garbage.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

# Thresholds of the generations 0 and 1 in a pause: effectively infinite, and a hundred times the usual one. No program
# sets these values.
_PAUSED = (2**31 - 1, 1009)
_normal = gc.get_threshold()
# A threshold is set together with the others: without a lock, two threads could leave the collector off for ever.
_lock = threading.RLock()


class CollectorPause:
    """A context manager in which collections of one generation do not begin by themselves.

    Only the threshold of this generation is changed, and back. So ``gc.disable()`` and ``gc.enable()`` of the program
    take effect at any time, also in another thread, and a threshold that the program sets inside a pause stays. Of
    pauses in several threads, the one that changed it ends them all. A process that is forked inside a pause ends it.
    Blocks of one pause can be nested: the outermost one ends it.

    Args:
        generation: 0 for no collection at all; 1 for collections of young objects only, and rare ones of older objects.
    """

    def __init__(self, generation: int = 0) -> None:
        self._generation = generation
        self._depth = 0
        self._before: int | None = None

    def __enter__(self) -> None:
        global _normal  # noqa: PLW0603
        with _lock:
            self._depth += 1
            threshold = gc.get_threshold()
            before = threshold[self._generation]
            # A first threshold of 0 switches the collector off.
            if threshold[0] and before < _PAUSED[self._generation]:
                self._before = before
                _normal = _replaced(_normal, self._generation, before)
                gc.set_threshold(*_replaced(threshold, self._generation, _PAUSED[self._generation]))

    def __exit__(self, *error: object) -> None:
        with _lock:
            self._depth -= 1
            if self._depth <= 0:
                self.end()

    def end(self) -> None:
        """End the pause, also inside its blocks or after an interruption of their end."""
        with _lock:
            self._depth = 0
            if self._before is not None:
                _restore(self._generation, self._before)
                self._before = None


def _restore(generation: int, value: int) -> None:
    """Set the threshold of a generation, unless the program has set it."""
    threshold = gc.get_threshold()
    if threshold[generation] == _PAUSED[generation]:
        gc.set_threshold(*_replaced(threshold, generation, value))


def _replaced(threshold: tuple[int, int, int], generation: int, value: int) -> tuple[int, int, int]:
    return (value, *threshold[1:]) if generation == 0 else (threshold[0], value, threshold[2])


class _Decoding(threading.local):
    """What a thread enters while it decodes or converts records.

    Attributes:
        pause: A pause inside :func:`pause_while_decoding`, and a context manager without effect elsewhere.
    """

    pause: AbstractContextManager[object] = nullcontext()


decoding = _Decoding()


@contextmanager
def pause_while_decoding() -> Iterator[None]:
    """Pause the collector inside this block while records are decoded; collect only young objects while streams wait.

    Each pause makes a collection of young objects due, and ten of these one of older objects: of all records. Whatever
    interrupts the block, the thresholds are restored at its end.
    """
    before = decoding.pause
    all_objects, older_objects = CollectorPause(), CollectorPause(1)
    try:
        decoding.pause = all_objects
        older_objects.__enter__()
        yield
    finally:
        decoding.pause = before
        # The block may end while a stream is inside a part.
        all_objects.end()
        older_objects.end()


def _resume_in_child() -> None:
    global _lock  # noqa: PLW0603
    # Another thread of the parent may have held it.
    _lock = threading.RLock()
    for generation, value in enumerate(_normal[:2]):
        _restore(generation, value)


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_resume_in_child)
