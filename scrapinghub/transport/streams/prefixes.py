"""How the scan of a collection goes on when its answer breaks off, whatever the order of several prefixes.

Records come in the order of their keys. Whether that holds over all the prefixes asked for, or inside each of them with
one prefix after another, the service does not say: what goes on here is right for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from scrapinghub.transport.streams.cursor import NotTheSame, Pairs, Plan
from scrapinghub.transport.streams.cursors import AfterKey, ByKeys, ByOrder, Remaining, split_names, text_order


def scan_plan(params: Pairs, count: int | None = None, *, keys: Iterable[str] | None = None) -> Plan:
    """Return how a scan goes on after its connection broke.

    Args:
        params: Query parameters, without ``count`` and ``key``.
        count: Deliver at most this many records.
        keys: Only the records of these keys; None for any.

    Raises:
        ValueError: There are too many keys for one request, and ``prefixcount`` allows no second one.
    """
    prefixes = [_text(value) for name, value in params if name == 'prefix']
    names = {name for name, _ in params}
    if keys is not None:
        wanted = list(dict.fromkeys(keys))
        if 'prefixcount' not in names or not wanted:
            return Remaining(params, 'key', wanted, count)
        # A request for the rest would begin to count the records of each prefix anew.
        if len(split_names('key', wanted)) > 1:
            raise ValueError(
                f'the {len(wanted)} keys do not fit into one request, and prefixcount cannot be kept over several: ask '
                'for fewer keys, or leave prefixcount out'
            )
        return ByKeys([*params, *(('key', key) for key in wanted)], count, field='_key')
    if _in_order(prefixes):
        if 'prefixcount' in names:
            return ByOrder(params, count)
        return AfterKey(params, count, order=text_order, strip=False)
    if 'prefixcount' in names or 'offset' in names:
        # Of the keys there are at most so many for each prefix; what an offset leaves out is told by asking again only.
        return ByKeys(params, count, field='_key')
    return ByPrefix(params, count)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _in_order(prefixes: Sequence[str]) -> bool:
    """Return whether prefix by prefix is the order of the keys, too: they ascend, and none extends another one."""
    return all(
        not after.startswith(before) and text_order(before) < text_order(after) for before, after in pairwise(prefixes)
    )


class ByPrefix(Plan):
    """Go on in each prefix after the last of its records: scans of several prefixes.

    The first request asks for all of them. Those after a break ask for one prefix each: first for the one that broke
    off, then for the others in ascending order. Prefixes that extend another one are asked for with that.

    Args:
        params: Query parameters with several ``prefix``, without ``count``; they ask for ``_key``.
        count: Deliver at most this many records.
    """

    def __init__(self, params: Pairs, count: int | None = None) -> None:
        super().__init__(params, count, field='_key')
        # The prefixes by those that extend no other one.
        self._blocks: dict[str, list[str]] = {}
        for prefix in sorted({_text(value) for name, value in params if name == 'prefix'}, key=text_order):
            outer = next(reversed(self._blocks), prefix)
            self._blocks.setdefault(outer if prefix.startswith(outer) else prefix, []).append(prefix)
        self._known = frozenset(prefix for inner in self._blocks.values() for prefix in inner)
        self._lengths = sorted(set(map(len, self._known)), reverse=True)
        # The last record delivered, by the longest prefix that it fits: up to there all of those have been.
        self._last: dict[str, str] = {}
        self._left: list[str] | None = None
        self._bound = b''
        self._strays = False

    def _again(self) -> Pairs:
        if self._strays:
            raise NotTheSame('records came without keys, or with keys of other prefixes: the stream cannot go on')
        if self._left is None:
            broken = str(self.last_key)
            self._left = sorted(self._blocks, key=lambda outer: not broken.startswith(outer))
        outer = self._left[0]
        params = [(name, value) for name, value in self.params if name not in ('prefix', 'start', 'startafter')]
        params += [('prefix', outer), *self._beginning(self._blocks[outer])]
        if self.count is not None and len(self._blocks[outer]) == 1:
            # Elsewhere records are left out here that the service would count.
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
        return next((key[:length] for length in self._lengths if key[:length] in self._known), None)

    def _admit(self, block: list[Any], keys: list[Any]) -> tuple[list[Any], list[Any]]:
        assert self._left is not None
        new: list[int] = []
        for place, key in enumerate(keys):
            if key is None or not key.startswith(self._left[0]) or text_order(key) < self._bound:
                raise NotTheSame(f'asked for keys from {self._bound!r} on, the server went on with {key!r}')
            last = self._last.get(self._prefix_of(key) or '')
            if last is None or text_order(key) > text_order(last):
                new.append(place)
        return [block[place] for place in new], [keys[place] for place in new]

    def _settle(self, number: int) -> None:
        for key in self._keys[:number]:
            prefix = None if key is None else self._prefix_of(key)
            if prefix is None:
                self._strays = True
            elif prefix not in self._last or text_order(self._last[prefix]) < text_order(key):
                self._last[prefix] = key
        super()._settle(number)

    def complete(self) -> None:
        """Go on to the next prefix, if they are asked for one by one."""
        if self._left is not None:
            del self._left[:1]
        if not self._left:
            super().complete()
