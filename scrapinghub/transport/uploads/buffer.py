"""The records of one writer that are not stored yet: pure, no threads, no I/O.

Records are held as the JSON text that will be sent, so that what happens to an object after it was written changes
nothing, and leave from the front, a batch at a time.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

# A post of more would risk the limits of the machines before the service; a thousand usual records are far below.
BATCH_BYTES = 8 * 1024 * 1024
# A thousand records may be a gibibyte: what is held is bounded by size as well as by number.
HELD_BYTES = 8 * BATCH_BYTES


class Buffer:
    """Hold the records of one writer in order.

    Args:
        start: Number of the first record.

    Attributes:
        offset: Number of the first record held, and of the next one to be sent.
        texts: JSON texts of the records held.
        held_bytes: Characters of all of them.
        refused: What the service refused, set aside, as pairs of number and JSON text.
    """

    __slots__ = ('_parts', 'held_bytes', 'offset', 'refused', 'texts')

    def __init__(self, start: int = 0) -> None:
        self.offset = start
        self.held_bytes = 0
        self.refused: list[tuple[int, str]] = []
        self.texts: deque[str] = deque()
        # Sizes of the next batches, where a refused one was divided.
        self._parts: deque[int] = deque()

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def next_number(self) -> int:
        """Number of the record that is written next."""
        return self.offset + len(self.texts)

    def append(self, text: str) -> int:
        """Add a record at the end.

        Args:
            text: Its JSON text.

        Returns:
            Its number.
        """
        texts = self.texts
        texts.append(text)
        self.held_bytes += len(text)
        # Derived, not counted: a signal handler that writes in between breaks nothing.
        return self.offset + len(texts) - 1

    def full(self, limit: int) -> bool:
        """Return whether there is no room: ``limit`` records are held, or too many bytes."""
        return len(self.texts) >= limit or self.held_bytes >= HELD_BYTES

    def ready(self, size: int) -> bool:
        """Return whether a whole batch of ``size`` records, or of the largest body, is held."""
        return len(self.texts) >= size or self.held_bytes >= BATCH_BYTES

    def batch(self, size: int) -> list[str]:
        """Return the records to send next; they stay in the buffer.

        Args:
            size: Most records to return.

        Returns:
            JSON texts from the front: at least one if there is one, at most ``size``, and no more than fit in a body.
        """
        if self._parts:
            size = min(size, self._parts[0])
        texts = list(islice(self.texts, max(size, 1)))
        total = 0
        for count, text in enumerate(texts):
            total += len(text) + 1
            if total > BATCH_BYTES and count:
                return texts[:count]
        return texts

    def stored(self, count: int) -> None:
        """Drop ``count`` records from the front: they are stored."""
        for _ in range(count):
            self._drop_first()
        self._leave_part(count)

    def refuse(self, count: int) -> bool:
        """Say that a batch of ``count`` records from the front, which go by key, was refused for one of them.

        Args:
            count: Size of the batch.

        Returns:
            True if it was one record, which is now set aside; False if the batch was divided and both halves are to be
            sent.
        """
        self._leave_part(count)
        if count > 1:
            self._parts.extendleft((count - count // 2, count // 2))
            return False
        number = self.offset
        self.refused.append((number, self._drop_first()))
        return True

    def take(self) -> list[str]:
        """Empty the buffer.

        Returns:
            The JSON texts of everything that is not stored, in the order in which it was written; the next record
            continues at ``offset``.
        """
        texts = [text for _, text in self.refused] + list(self.texts)
        self.clear()
        return texts

    def peek(self) -> list[str]:
        """Return what :meth:`take` would return, and keep it."""
        return [text for _, text in self.refused] + list(self.texts)

    def disown(self) -> None:
        """Forget everything that is held because another process sends it; the numbers go on after it."""
        self.offset = self.next_number
        self.clear()

    def clear(self) -> None:
        """Forget everything that is held."""
        self.refused.clear()
        self.texts.clear()
        self._parts.clear()
        self.held_bytes = 0

    def _drop_first(self) -> str:
        text = self.texts.popleft()
        self.offset += 1
        self.held_bytes -= len(text)
        return text

    def _leave_part(self, count: int) -> None:
        if self._parts:
            rest = self._parts.popleft() - count
            if rest > 0:
                self._parts.appendleft(rest)
