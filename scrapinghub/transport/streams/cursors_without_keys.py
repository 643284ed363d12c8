"""The cursors of streams that cannot continue after a key: they request again, and drop what was delivered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any
from urllib.parse import quote_plus

from scrapinghub.transport.streams.cursor import Cursor, Mismatch, Pairs, text_order

# Servers and proxies refuse longer request lines; the rest of the address needs room too.
MAX_QUERY = 6000

_NO_KEYS = 'the records have no keys, so the stream cannot continue'


class SortedCursor(Cursor):
    """Requests everything again and drops the records up to the last key: records that are sorted by key.

    Args:
        params: Query parameters, without ``count``.
        count: Deliver at most this many records.
        field: Name of the key field.
    """

    def __init__(self, params: Pairs, count: int | None = None, *, field: str = '_key') -> None:
        super().__init__(params, count, field=field)

    def _resume(self) -> Pairs:
        self.selecting = True
        return self._first()

    def select(self, block: list[Any]) -> list[Any]:
        """Return the records after the last key."""
        keys = self.keys_of(block)
        if self.last_key is None or None in keys:
            raise Mismatch(_NO_KEYS)
        last = text_order(self.last_key)
        new = [record for record, key in zip(block, keys, strict=False) if text_order(key) > last]
        return new + block[len(keys) :]


class DedupeCursor(Cursor):
    """Requests everything again and drops the records with known keys: listings that may change meanwhile.

    Args:
        params: Query parameters, without ``count``.
        count: Deliver at most this many records.
        field: Name of the key field.
        identity: Returns the part of a key that identifies a record; the key itself by default.
        weight: Returns what a record counts towards ``enough``.
        enough: The stream ends when the records of a repeated response weigh this much with those before; None for no
            limit.
    """

    def __init__(
        self,
        params: Pairs,
        count: int | None = None,
        *,
        field: str,
        identity: Callable[[str], Any] | None = None,
        weight: Callable[[Any], int] | None = None,
        enough: int | None = None,
    ) -> None:
        super().__init__(params, count, field=field)
        self._identity = identity
        self._weight = weight
        self._enough = enough
        # The keys of the records delivered, in order; an interruption may leave one more at the end.
        self._keys: list[Any] = []
        self.remember = self._keys.append
        self._known: set[Any] = set()
        self._weights: list[int] = []
        self.selecting = identity is not None or enough is not None

    @property
    def full(self) -> bool:
        """Whether as many records as wanted have been delivered."""
        if super().full:
            return True
        return bool(self._known) and self._enough is not None and self._delivered_weight >= self._enough

    @property
    def _delivered_weight(self) -> int:
        return sum(self._weights[: self.delivered])

    def _resume(self) -> Pairs:
        del self._keys[self.delivered :]
        del self._weights[self.delivered :]
        if None in self._keys:
            raise Mismatch(_NO_KEYS)
        self._known = set(map(self._identify, self._keys))
        self.selecting = True
        return self._first()

    def _identify(self, key: str) -> Any:
        return key if self._identity is None else self._identity(key)

    def select(self, block: list[Any]) -> list[Any]:
        """Return the records whose keys are not known, while they are wanted."""
        keys = self.keys_of(block)
        new, bad = block[: len(keys)], block[len(keys) :]
        if self._known:
            if None in keys:
                raise Mismatch(_NO_KEYS)
            new = [record for record, key in zip(block, keys, strict=False) if self._identify(key) not in self._known]
        if self._weight is None or self._enough is None:
            return new + bad
        weights = list(map(self._weight, new))
        if self._known:
            before = accumulate(weights, initial=self._delivered_weight)
            new = [record for record, weight in zip(new, before, strict=False) if weight < self._enough]
        self._weights.extend(weights)
        return new + bad


_PORTRAIT = json.JSONEncoder(sort_keys=True, default=str).encode


def _portrait(record: Any) -> str:
    """Return a text that identifies a record without a key; made before the consumer can change the record."""
    try:
        # The service may send the fields of a record in another order the next time.
        return _PORTRAIT(json.loads(record) if isinstance(record, bytes) else record)
    except (TypeError, ValueError):
        # MessagePack has maps whose keys cannot be sorted.
        return repr(record)


class SkipCursor(Cursor):
    """Requests again, skips as many records as were delivered, and checks that the last of them is the same.

    Args:
        params: Query parameters, without ``count``.
        count: Deliver at most this many records.
        seek: Returns the parameters of a request that begins at a position, counted from 0; None if each response
            begins at the first record.
        strip: Name of a field to remove from the records; None for none.
    """

    selecting = True

    def __init__(
        self,
        params: Pairs,
        count: int | None = None,
        *,
        seek: Callable[[int], Pairs] | None = None,
        strip: str | None = None,
    ) -> None:
        super().__init__(params, count, field=strip, strip=strip is not None)
        self._seek = seek
        # How many records of the present response have arrived, the skipped ones included.
        self._position = 0
        # The last record of a block that was delivered as a whole, and that of the present block: number and portrait.
        self._mark = 0, ''
        self._next_mark = 0, ''

    def _first(self) -> Pairs:
        self._position = 0
        return super()._first()

    def _resume(self) -> Pairs:
        self._keep_mark()
        marked = self._mark[0]
        if self._seek is None or not marked:
            return self._first()
        # The last record whose portrait is known is requested again, to be compared.
        self._position = marked - 1
        params = self._seek(self._position)
        return params if self.count is None else [*params, ('count', self.count - self._position)]

    def _keep_mark(self) -> None:
        if self.delivered >= self._next_mark[0]:
            self._mark = self._next_mark

    def select(self, block: list[Any]) -> list[Any]:
        """Return the records after those that were delivered.

        Raises:
            Mismatch: A record that was delivered is not the same.
        """
        self._keep_mark()
        start, end = self._position, self._position + len(block)
        marked, mark = self._mark
        if start < marked <= end and _portrait(block[marked - 1 - start]) != mark:
            raise Mismatch(f'record number {marked} is another one when it is requested again')
        new = block[max(0, self.delivered - start) :]
        if new:
            self._next_mark = end, _portrait(new[-1])
        self._position = end
        return new

    def complete(self) -> None:
        """Note that a response was complete.

        Raises:
            Mismatch: It ended before what was delivered.
        """
        if self._position < self.delivered:
            raise Mismatch(f'{self.delivered} records were delivered, and now there are only {self._position}')
        super().complete()

    def fall_back(self) -> bool:
        """Begin at the first record if a later position did not fit: numbers may have gaps."""
        seek, self._seek = self._seek, None
        return seek is not None


class NewestFirstCursor(SkipCursor):
    """A :class:`SkipCursor` for a growing list, the newest record first: it looks for the first one delivered.

    Args:
        params: Query parameters, without ``count``.
        count: Deliver at most this many records.
    """

    def __init__(self, params: Pairs, count: int | None = None) -> None:
        super().__init__(params, count)
        self._anchor: str | None = None
        self._anchored = True

    def _first(self) -> Pairs:
        self._anchor = None
        return super()._first()

    def _resume(self) -> Pairs:
        self._keep_mark()
        self._position = 0
        self._anchored = False
        return self.params

    def select(self, block: list[Any]) -> list[Any]:
        """Return the records after those that were delivered."""
        if self._anchor is None:
            self._anchor = _portrait(block[0])
        if not self._anchored:
            portraits = list(map(_portrait, block))
            if self._anchor not in portraits:
                return []
            block = block[portraits.index(self._anchor) :]
            self._anchored = True
        return super().select(block)


class PendingKeysCursor(Cursor):
    """Requests those of the named records that have not been delivered.

    Args:
        params: Query parameters, without ``count`` and without the names.
        name: Parameter that carries the names, such as ``key`` or ``index``.
        wanted: The names, as they are sent.
        count: Deliver at most this many records.
        name_of: Returns the name of a record from its key; the key itself by default.
        strip: Whether to remove ``_key`` from the records.
    """

    def __init__(
        self,
        params: Pairs,
        name: str,
        wanted: Iterable[Any],
        count: int | None = None,
        *,
        name_of: Callable[[str], Any] | None = None,
        strip: bool = False,
    ) -> None:
        super().__init__(params, count, field='_key', strip=strip)
        self._name = name
        self._name_of = name_of or str
        # Each group fits into one request.
        self._pending = split_names(name, list(dict.fromkeys(wanted)))
        # The keys of the present group that were delivered; an interruption may leave one more at the end.
        self._keys: list[Any] = []
        self._before = 0
        self.remember = self._keys.append

    def next_request(self) -> Pairs | None:
        """Return the parameters of the next request; None if no name is pending."""
        self._drop_delivered()
        # Without a name, the request would be for all records.
        while self._pending and not self._pending[0]:
            del self._pending[0]
        if self.full or not self._pending:
            return None
        self.selecting = self.delivered > 0
        params = [*self.params, *((self._name, value) for value in self._pending[0])]
        return params if self.count is None else [*params, ('count', self.count - self.delivered)]

    def _drop_delivered(self) -> None:
        got = set(map(self._named, self._keys[: self.delivered - self._before]))
        if got and self._pending:
            self._pending[0] = [value for value in self._pending[0] if str(value) not in got]
        self._keys.clear()
        self._before = self.delivered

    def _named(self, key: str | None) -> str | None:
        try:
            return None if key is None else str(self._name_of(key))
        except ValueError:
            return None

    def select(self, block: list[Any]) -> list[Any]:
        """Return all records.

        Raises:
            Mismatch: One is not among those that were requested.
        """
        asked = set(map(str, self._pending[0]))
        for key in self.keys_of(block):
            if self._named(key) not in asked:
                raise Mismatch(f'asked for the records not yet delivered, the server answered with {key!r}')
        return block

    def complete(self) -> None:
        """Continue with the next group of names."""
        self._drop_delivered()
        del self._pending[:1]


def _order_of(value: Any) -> tuple[int, bytes]:
    """Return what the service sorts by: record numbers as numbers, keys as text."""
    return (value, b'') if isinstance(value, int) else (0, text_order(str(value)))


def query_size(name: str, value: Any) -> int:
    """Return how long a parameter is in the query of a request."""
    return len(quote_plus(str(value))) + len(name) + 2


def split_names(name: str, values: Sequence[Any]) -> list[list[Any]]:
    """Split values into groups whose query text is not too long; several groups are in the order of the service.

    Args:
        name: Parameter that carries the values.
        values: The values.
    """
    if sum(query_size(name, value) for value in values) <= MAX_QUERY:
        return [list(values)] if values else []
    groups: list[list[Any]] = [[]]
    room = MAX_QUERY
    for value in sorted(values, key=_order_of):
        size = query_size(name, value)
        if size > room and groups[-1]:
            groups.append([])
            room = MAX_QUERY
        groups[-1].append(value)
        room -= size
    return groups
