"""Scans of collections by several prefixes.

Records are sorted by key. Whether that holds over all prefixes of a request, or inside each prefix with one after
another, the service does not say: these cursors continue correctly in both cases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice, pairwise
from typing import Any

from scrapinghub.transport.streams.cursor import Cursor, KeysetCursor, Mismatch, Pairs, RangeCursor, text_order
from scrapinghub.transport.streams.cursors_without_keys import (
    MAX_QUERY,
    DedupeCursor,
    PendingKeysCursor,
    SortedCursor,
    query_size,
    split_names,
)


def scan_cursor(
    params: Pairs, count: int | None = None, *, keys: Iterable[str] | None = None, stop: str | None = None
) -> Cursor:
    """Return the cursor of a scan.

    Args:
        params: Query parameters, without ``count`` and ``key``.
        count: Deliver at most this many records.
        keys: Only the records with these keys; None for any.
        stop: Only records before this key, in a scan without keys and prefixes.

    Raises:
        ValueError: There are too many prefixes for one request, and ``offset`` allows no second one.
    """
    prefixes = [_text(value) for name, value in params if name == 'prefix']
    names = {name for name, _ in params}
    if stop is not None:
        return RangeCursor(params, stop, count, order=text_order, strip=False)
    if keys is not None:
        return _key_cursor(params, count, list(dict.fromkeys(keys)), prefixes)
    if len(split_names('prefix', prefixes)) > 1:
        return _split_cursor(params, count, prefixes)
    if _sorted(prefixes):
        if 'prefixcount' in names:
            return SortedCursor(params, count)
        return KeysetCursor(params, count, order=text_order, strip=False)
    if 'prefixcount' in names or 'offset' in names:
        # There are at most so many keys for each prefix; only a repetition shows what an offset leaves out.
        return DedupeCursor(params, count, field='_key')
    return PrefixCursor(params, count)


def _key_cursor(params: Pairs, count: int | None, keys: list[str], prefixes: list[str]) -> Cursor:
    """Return the cursor of a scan of some keys."""
    limits = [int(value) for name, value in params if name == 'prefixcount']
    if not limits or not keys:
        params, keys = _without_many_prefixes(params, keys, prefixes)
        return PendingKeysCursor(params, 'key', keys, count)
    if len(split_names('key', keys)) == 1 and len(split_names('prefix', prefixes)) <= 1:
        # A request for the rest would count the records of each prefix from zero.
        return DedupeCursor([*params, *(('key', key) for key in keys)], count, field='_key')
    rest = [(name, value) for name, value in params if name not in ('prefix', 'prefixcount')]
    return LimitedKeysCursor(rest, keys, count, prefixes=prefixes or [''], limit=limits[0])


def _without_many_prefixes(params: Pairs, keys: list[str], prefixes: list[str]) -> tuple[Pairs, list[str]]:
    """Return parameters without more prefixes than fit into one request, and the keys that begin with one of them."""
    if len(split_names('prefix', prefixes)) <= 1:
        return params, keys
    rest = [(name, value) for name, value in params if name != 'prefix']
    return rest, [key for key in keys if key.startswith(tuple(prefixes))]


def count_requests(params: Pairs) -> list[Pairs] | None:
    """Return the parameters of the requests that count records; None if only a scan can count them.

    Args:
        params: All parameters.
    """
    prefixes = [_text(value) for name, value in params if name == 'prefix']
    keys = [_text(value) for name, value in params if name == 'key']
    many_keys, many_prefixes = len(split_names('key', keys)) > 1, len(split_names('prefix', prefixes)) > 1
    limited = any(name == 'prefixcount' for name, _ in params)
    if not many_keys and not many_prefixes:
        return [params]
    if keys and limited:
        return None
    if keys:
        params, keys = _without_many_prefixes(params, keys, prefixes)
        rest = [(name, value) for name, value in params if name != 'key']
        # The service counts a key that is given twice in one request once.
        groups = split_names('key', list(dict.fromkeys(keys)))
        return [[*rest, *(('key', key) for key in group)] for group in groups]
    rest = [(name, value) for name, value in params if name != 'prefix']
    groups = split_prefixes(prefixes, nested=limited)
    return [[*rest, *(('prefix', prefix) for prefix in group)] for group in groups]


def _split_cursor(params: Pairs, count: int | None, prefixes: list[str]) -> Cursor:
    """Return the cursor of a scan of more prefixes than fit into one request."""
    names = {name for name, _ in params}
    if 'offset' in names:
        raise ValueError(f'the {len(prefixes)} prefixes do not fit into one request, and offset applies to only one')
    rest = [(name, value) for name, value in params if name != 'prefix']
    first, *further = (
        [*rest, *(('prefix', prefix) for prefix in group)]
        for group in split_prefixes(prefixes, nested='prefixcount' in names)
    )
    cursor: Cursor
    if 'prefixcount' not in names:
        cursor = KeysetCursor(first, count, order=text_order, strip=False)
    elif _sorted(prefixes):
        cursor = SortedCursor(first, count)
    else:
        cursor = DedupeCursor(first, count, field='_key')
    cursor.request_next(further)
    return cursor


def split_prefixes(prefixes: Iterable[str], *, nested: bool = False) -> list[list[str]]:
    """Split prefixes into groups whose query text is not too long; groups are in the order of their keys.

    Args:
        prefixes: The prefixes.
        nested: Whether to keep prefixes that extend another one; they are in the group of that.
    """
    blocks = _nested(prefixes)
    groups: list[list[str]] = []
    size = MAX_QUERY
    for block in blocks.values() if nested else ([outer] for outer in blocks):
        block_size = sum(query_size('prefix', prefix) for prefix in block)
        if size + block_size > MAX_QUERY:
            groups.append([])
            size = 0
        groups[-1] += block
        size += block_size
    return groups


def _nested(prefixes: Iterable[str]) -> dict[str, list[str]]:
    """Return the prefixes that extend no other one, each with those that extend it and itself, sorted."""
    blocks: dict[str, list[str]] = {}
    for prefix in sorted(set(prefixes), key=text_order):
        outer = next(reversed(blocks), prefix)
        blocks.setdefault(outer if prefix.startswith(outer) else prefix, []).append(prefix)
    return blocks


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
        self._groups = _nested(_text(value) for name, value in params if name == 'prefix')
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


class LimitedKeysCursor(PendingKeysCursor):
    """Requests named records, and limits here how many of each prefix are delivered.

    Args:
        params: Query parameters, without ``count``, ``key``, ``prefix`` and ``prefixcount``.
        keys: The keys, of which several groups are requested.
        count: Deliver at most this many records.
        prefixes: Only keys that begin with one of these.
        limit: Maximum number of records for each prefix.
    """

    selecting = True

    def __init__(
        self, params: Pairs, keys: Iterable[str], count: int | None = None, *, prefixes: Sequence[str], limit: int
    ) -> None:
        self._prefixes = list(dict.fromkeys(prefixes))
        super().__init__(params, 'key', [key for key in keys if self._prefixes_of(key)], count)
        self._limit = limit
        # How many of the records delivered are counted, and the numbers of records by prefix.
        self._counted: tuple[int, Counter[str]] = 0, Counter()

    def next_request(self) -> Pairs | None:
        """Return the parameters of the next request; None if no key is pending."""
        params = super().next_request()
        self.selecting = True
        # The service would count records that are not delivered.
        return None if params is None else [(name, value) for name, value in params if name != 'count']

    def _prefixes_of(self, key: str) -> list[str]:
        return [prefix for prefix in self._prefixes if key.startswith(prefix)]

    def select(self, block: list[Any]) -> list[Any]:
        """Return the records that are within the limit of one of their prefixes.

        Raises:
            Mismatch: One is not among those that were requested.
        """
        keys = self.keys_of(super().select(block))
        counts = self._count_delivered()
        new: list[Any] = []
        for record, key in zip(block, keys, strict=False):
            own = self._prefixes_of(key)
            if any(counts[prefix] < self._limit for prefix in own):
                counts.update(own)
                new.append(record)
        return new + block[len(keys) :]

    def _count_delivered(self) -> Counter[str]:
        """Return how many records of each prefix were delivered."""
        counted, counts = self._counted
        keys = islice(self._keys, max(0, counted - self._before), self.delivered - self._before)
        return counts + Counter(prefix for key in keys for prefix in self._prefixes_of(key))

    def _drop_delivered(self) -> None:
        self._counted = self.delivered, self._count_delivered()
        super()._drop_delivered()
