"""Scans of collections by several prefixes.

Records are sorted by key. Whether that holds over all prefixes of a request, or inside each prefix with one after
another, the service does not say: these cursors continue correctly in both cases.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice, pairwise
from typing import Any

from scrapinghub.transport.streams.cursor import Cursor, KeysetCursor, Mismatch, Pairs, text_order
from scrapinghub.transport.streams.cursors import DedupeCursor, PendingKeysCursor, SortedCursor, split_names


def scan_cursor(params: Pairs, count: int | None = None, *, keys: Iterable[str] | None = None) -> Cursor:
    """Return the cursor of a scan.

    Args:
        params: Query parameters, without ``count`` and ``key``.
        count: Deliver at most this many records.
        keys: Only the records with these keys; None for any.

    Raises:
        ValueError: There are too many keys for one request, and ``prefixcount`` allows no second one.
    """
    prefixes = [_text(value) for name, value in params if name == 'prefix']
    names = {name for name, _ in params}
    if keys is not None:
        wanted = list(dict.fromkeys(keys))
        if 'prefixcount' not in names or not wanted:
            return PendingKeysCursor(params, 'key', wanted, count)
        # A request for the rest would count the records of each prefix from zero.
        if len(split_names('key', wanted)) > 1:
            raise ValueError(
                f'the {len(wanted)} keys do not fit into one request, and prefixcount cannot be kept over several: ask '
                'for fewer keys, or leave prefixcount out'
            )
        return DedupeCursor([*params, *(('key', key) for key in wanted)], count, field='_key')
    if _sorted(prefixes):
        if 'prefixcount' in names:
            return SortedCursor(params, count)
        return KeysetCursor(params, count, order=text_order, strip=False)
    if 'prefixcount' in names or 'offset' in names:
        # There are at most so many keys for each prefix; what an offset leaves out is known only by asking again.
        return DedupeCursor(params, count, field='_key')
    return PrefixCursor(params, count)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _sorted(prefixes: Sequence[str]) -> bool:
    """Return whether prefix by prefix is also the order of the keys: they ascend, and none extends another one."""
    return all(
        not after.startswith(before) and text_order(before) < text_order(after) for before, after in pairwise(prefixes)
    )


class PrefixCursor(Cursor):
    """Continues in each prefix after the last of its records: scans of several prefixes.

    The first request is for all of them. Those after a break are for one prefix each: first for the one that broke off,
    then for the others in ascending order. Prefixes that extend another one are requested with that.

    Args:
        params: Query parameters with several ``prefix``, without ``count``; they request ``_key``.
        count: Deliver at most this many records.
    """

    selecting = True

    def __init__(self, params: Pairs, count: int | None = None) -> None:
        super().__init__(params, count, field='_key')
        # The prefixes by those that extend no other one.
        self._groups: dict[str, list[str]] = {}
        for prefix in sorted({_text(value) for name, value in params if name == 'prefix'}, key=text_order):
            outer = next(reversed(self._groups), prefix)
            self._groups.setdefault(outer if prefix.startswith(outer) else prefix, []).append(prefix)
        self._prefixes = frozenset(prefix for inner in self._groups.values() for prefix in inner)
        self._lengths = sorted(set(map(len, self._prefixes)), reverse=True)
        # The last record delivered for each prefix, by the longest prefix that it fits.
        self._last: dict[str, str] = {}
        # The keys of the present block, and how many records were delivered before it.
        self._block: list[Any] = []
        self._before = 0
        self._left: list[str] | None = None
        self._bound = b''
        self._strays = False

    def _resume(self) -> Pairs:
        self._note_delivered()
        if self._strays:
            raise Mismatch('records have no keys, or keys of other prefixes, so the stream cannot continue')
        if self._left is None:
            broken = str(self.last_key)
            self._left = sorted(self._groups, key=lambda outer: not broken.startswith(outer))
        outer = self._left[0]
        params = [(name, value) for name, value in self.params if name not in ('prefix', 'start', 'startafter')]
        params += [('prefix', outer), *self._beginning(self._groups[outer])]
        if self.count is not None and len(self._groups[outer]) == 1:
            # Elsewhere records are dropped here that the service would count.
            params.append(('count', self.count - self.delivered))
        return params

    def _beginning(self, prefixes: list[str]) -> Pairs:
        """Return where to begin: at the first record that may not have been delivered."""
        given = [(name, value) for name, value in self.params if name in ('start', 'startafter')]
        lasts = [self._last[prefix] for prefix in prefixes if prefix in self._last]
        begun = [text_order(_text(value)) for _, value in given]
        # Of a prefix of which nothing was delivered, everything may be missing.
        firsts = [prefix for prefix in prefixes if prefix not in self._last]
        self._bound = max(begun, default=b'')
        if not lasts:
            return given
        last = min(lasts, key=text_order)
        if not firsts or text_order(last) < text_order(firsts[0]):
            self._bound = text_order(last)
            return [('startafter', last)]
        if text_order(firsts[0]) <= self._bound:
            return given
        self._bound = text_order(firsts[0])
        return [('start', firsts[0])]

    def _prefix_of(self, key: str) -> str | None:
        return next((key[:length] for length in self._lengths if key[:length] in self._prefixes), None)

    def _note_delivered(self) -> None:
        """Note the last key of each prefix; nothing changes if it is done twice for the same block."""
        for key in islice(self._block, self.delivered - self._before):
            prefix = None if key is None else self._prefix_of(key)
            if prefix is None:
                self._strays = True
            elif prefix not in self._last or text_order(self._last[prefix]) < text_order(key):
                self._last[prefix] = key

    def select(self, block: list[Any]) -> list[Any]:
        """Return the records that were not delivered.

        Raises:
            Mismatch: A record is not one of those that were requested.
        """
        self._note_delivered()
        keys = self.keys_of(block)
        new = list(range(len(keys))) if self._left is None else self._new(keys, self._left[0])
        selected = [block[i] for i in new] + block[len(keys) :]
        new_keys = [keys[i] for i in new]
        # No call between these: an interruption finds the new block or the old one.
        self._block = new_keys
        self._before = self.delivered
        return selected

    def _new(self, keys: list[Any], outer: str) -> list[int]:
        new: list[int] = []
        for i, key in enumerate(keys):
            if key is None or not key.startswith(outer) or text_order(key) < self._bound:
                raise Mismatch(f'asked for keys from {self._bound!r}, the server continued with {key!r}')
            last = self._last.get(self._prefix_of(key) or '')
            if last is None or text_order(key) > text_order(last):
                new.append(i)
        return new

    def complete(self) -> None:
        """Continue with the next prefix, if they are requested one by one."""
        if self._left is None or len(self._left) == 1:
            super().complete()
        else:
            del self._left[:1]
