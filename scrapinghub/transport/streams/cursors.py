"""How a stream goes on when its answer breaks off.

There are two ways: ask from a key (:class:`AfterKey`), or ask again and drop what was delivered, checking that it is
the same (all others).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import quote_plus

from scrapinghub.transport.codec import Malformed
from scrapinghub.transport.streams.cursor import NotTheSame, Pairs, Plan

# Servers and proxies refuse longer request lines; the rest of the address needs room too.
MAX_QUERY = 6000


def number_order(key: str) -> tuple[int, ...]:
    """Return what sorts keys such as ``1/2/3/10`` by their numbers."""
    return tuple(map(int, key.split('/')))


def text_order(key: str) -> bytes:
    """Return what sorts keys as the service sorts text: by its bytes."""
    return key.encode('utf-8', 'surrogatepass')


class AfterKey(Plan):
    """Go on after the key of the last record: items, requests, logs in JSON, collections.

    Args:
        params: Query parameters, without ``count``; they ask for ``_key``.
        count: Deliver at most this many records.
        order: How keys compare.
        strip: Whether to remove ``_key`` from the records.
    """

    def __init__(
        self, params: Pairs, count: int | None = None, *, order: Callable[[str], Any] = number_order, strip: bool = True
    ) -> None:
        super().__init__(params, count, field='_key', strip=strip)
        self._order = order
        self._checked = False

    @property
    def direct(self) -> bool:
        """Whether nothing is left to be checked or cut off, as it is for the first records after an error."""
        return (self._checked or not self._resumed) and not self.full

    def _again(self) -> Pairs:
        if self.last_key is None:
            raise NotTheSame('the records came without the keys that were asked for, so that the stream cannot go on')
        self._checked = False
        kept = [(name, value) for name, value in self.params if name not in ('start', 'startafter', 'offset')]
        kept.append(('startafter', self.last_key))
        if self.count is not None:
            kept.append(('count', self.count - self.delivered))
        return kept

    def _admit(self, block: list[Any], keys: list[Any]) -> tuple[list[Any], list[Any]]:
        if not self._checked:
            if not self._follows(keys[0]):
                raise NotTheSame(f'asked for what follows {self.last_key!r}, the server went on with {keys[0]!r}')
            self._checked = True
        return block, keys

    def _follows(self, key: str | None) -> bool:
        try:
            return key is not None and bool(self._order(key) > self._order(self.last_key))
        except ValueError:
            return False


class ByOrder(Plan):
    """Ask again and drop everything up to the last key: records that come in the order of their keys.

    Args:
        params: Query parameters, without ``count``.
        count: Deliver at most this many records.
        field: Name of the key field.
    """

    def __init__(self, params: Pairs, count: int | None = None, *, field: str = '_key') -> None:
        super().__init__(params, count, field=field)

    def _admit(self, block: list[Any], keys: list[Any]) -> tuple[list[Any], list[Any]]:
        if self.last_key is None or None in keys:
            raise NotTheSame('the records came without keys, so that the stream cannot go on')
        last = text_order(self.last_key)
        new = [place for place, key in enumerate(keys) if text_order(key) > last]
        return [block[place] for place in new], [keys[place] for place in new]


class ByKeys(Plan):
    """Ask again and drop the records whose keys were delivered: listings that may change meanwhile.

    Args:
        params: Query parameters, without ``count``.
        count: Deliver at most this many records.
        field: Name of the key field.
        identity: What of the key tells records apart; the key itself if None.
        weight: What a record counts towards ``enough``.
        enough: A repeated answer is cut when the delivered records weigh this much; None for no limit.
    """

    def __init__(
        self,
        params: Pairs,
        count: int | None = None,
        *,
        field: str,
        identity: Callable[[Any], Any] | None = None,
        weight: Callable[[Any], int] | None = None,
        enough: int | None = None,
    ) -> None:
        super().__init__(params, count, field=field)
        self._identity = _itself if identity is None else _unless_none(identity)
        self._weight = weight
        self._enough = enough
        self._seen: set[Any] = set()
        # What was handed out directly and is not in the set yet.
        self._fresh: list[Any] = []
        self._remember = self._fresh.append
        self._weights: list[int] = []
        self._weighed = 0
        self._weighed_before = 0

    @property
    def direct(self) -> bool:
        """Whether nothing is left out, and nothing but the keys is remembered."""
        return not (self._resumed or self._identity is not _itself or self._enough is not None or self.full)

    @property
    def full(self) -> bool:
        """Whether a repeated answer need not be read any further."""
        return super().full or (self._resumed and self._enough is not None and self._weighed >= self._enough)

    def _again(self) -> Pairs:
        # Of a piece that was broken off, the last record is remembered by its plan only.
        self._seen.update(self._fresh, [self._identity(self.last_key)])
        self._fresh.clear()
        return self._first()

    def take(self, block: list[Any]) -> list[Any]:
        """Return those records of a block that are to be delivered."""
        block = super().take(block)
        self._weighed_before = self._weighed
        if self._weight is not None and self._enough is not None:
            self._weights = []
            try:
                self._weights.extend(map(self._weight, block))
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                self.error = Malformed(f'a record is not of the shape that was asked for: {error!r}')
                block = block[: len(self._weights)]
            if self._resumed:
                block = block[: self._fitting(self._enough - self._weighed)]
        return block

    def _fitting(self, left: int) -> int:
        for number, weight in enumerate(self._weights):
            if left <= 0:
                return number
            left -= weight
        return len(self._weights)

    def _settle(self, number: int) -> None:
        keys = self._keys[:number]
        self._seen.update(keys if self._identity is _itself else map(self._identity, keys))
        self._weighed = self._weighed_before + sum(self._weights[:number])
        super()._settle(number)

    def _admit(self, block: list[Any], keys: list[Any]) -> tuple[list[Any], list[Any]]:
        if None in keys or None in self._seen:
            raise NotTheSame('the records came without keys, so that the stream cannot go on')
        new = [place for place, key in enumerate(keys) if self._identity(key) not in self._seen]
        return [block[place] for place in new], [keys[place] for place in new]


def _itself(key: Any) -> Any:
    return key


def _unless_none(identity: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda key: None if key is None else identity(key)


_PORTRAIT = json.JSONEncoder(sort_keys=True, default=str).encode


def _portrait(record: Any) -> str:
    """Return what tells records without keys apart; made before the consumer can change the record."""
    try:
        return _PORTRAIT(record)
    except (TypeError, ValueError):
        # MessagePack has maps whose keys cannot be sorted.
        return repr(record)


class ByPosition(Plan):
    """Ask again, drop as many records as were delivered, and check that the last of them is the same.

    Args:
        params: Query parameters, without ``count``.
        count: Deliver at most this many records.
        seek: Returns the parameters that begin at a position, counted from 0; None if every repetition begins at the
            first record.
        strip: Name of a field to remove from the records; None for none.
    """

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
        self._marked = 0
        self._mark = ''
        self._next_mark = ''
        self._size = 0
        self._position = 0

    def _again(self) -> Pairs:
        self._position = 0
        if self._seek is None or not self._marked:
            return self._first()
        # The last record whose portrait is known comes once more, to be compared.
        self._position = self._marked - 1
        params = self._seek(self._position)
        return params if self.count is None else [*params, ('count', self.count - self._position)]

    def take(self, block: list[Any]) -> list[Any]:
        """Return those records of a block that are to be delivered."""
        block = super().take(block)
        self._size = len(block)
        if block:
            self._next_mark = _portrait(block[-1])
        return block

    def _settle(self, number: int) -> None:
        # The last record of every block that was delivered whole is remembered.
        super()._settle(number)
        if number and number == self._size:
            self._marked, self._mark = self.delivered, self._next_mark

    def _admit(self, block: list[Any], keys: list[Any]) -> tuple[list[Any], list[Any]]:
        start = self._position
        self._position += len(block)
        if start < self._marked <= self._position and _portrait(block[self._marked - 1 - start]) != self._mark:
            raise NotTheSame(f'record number {self._marked} is another one when it is asked for again')
        left = max(0, self.delivered - start)
        return block[left:], keys[left:]

    def complete(self) -> None:
        """Note that an answer was complete."""
        if self._resumed and self._position < self.delivered:
            raise NotTheSame(f'{self.delivered} records were delivered, and now there are only {self._position}')
        super().complete()

    def fall_back(self) -> bool:
        """Begin at the first record if beginning further on did not fit: numbers may have gaps."""
        had, self._seek = self._seek, None
        return had is not None


class Growing(ByPosition):
    """As :class:`ByPosition`, for records that come newest first and become more: it looks for the first one delivered.

    Args:
        params: Query parameters, without ``count``.
        count: Deliver at most this many records.
    """

    def __init__(self, params: Pairs, count: int | None = None) -> None:
        super().__init__(params, count)
        self._anchor: str | None = None
        self._anchored = False

    def _again(self) -> Pairs:
        self._position = 0
        self._anchored = False
        return self.params

    def take(self, block: list[Any]) -> list[Any]:
        """Return those records of a block that are to be delivered."""
        if self.delivered == 0 and block:
            self._anchor = _portrait(block[0])
        return super().take(block)

    def _admit(self, block: list[Any], keys: list[Any]) -> tuple[list[Any], list[Any]]:
        if not self._anchored:
            portraits = list(map(_portrait, block))
            if self._anchor not in portraits:
                return [], []
            place = portraits.index(self._anchor)
            self._anchored = True
            block = block[place:]
        return super()._admit(block, keys)


class Remaining(Plan):
    """Ask for those of the named records that have not been delivered.

    Args:
        params: Query parameters, without ``count`` and without the names.
        name: Parameter that carries the names, such as ``key`` or ``index``.
        wanted: The names, as they are sent.
        count: Deliver at most this many records.
        name_of: Returns the name of a record from its key.
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
        self._name_of = name_of or _itself
        self._groups = split_names(name, list(dict.fromkeys(wanted)))
        self._asked: set[str] = set()

    def ask(self) -> Pairs | None:
        """Return the parameters of the next request; None if nothing is left to ask for."""
        self.settle()
        self.error = None
        self._resumed = self.delivered > 0
        while self._groups and not self._groups[0]:
            # All of them have been delivered: without a name the request would ask for everything.
            del self._groups[0]
        if self.full or not self._groups:
            return None
        self._asked = set(map(str, self._groups[0]))
        params = [*self.params, *((self._name, value) for value in self._groups[0])]
        return params if self.count is None else [*params, ('count', self.count - self.delivered)]

    def _admit(self, block: list[Any], keys: list[Any]) -> tuple[list[Any], list[Any]]:
        for key in keys:
            if self._named(key) not in self._asked:
                raise NotTheSame(f'asked for the records not yet delivered, the server answered with {key!r}')
        return block, keys

    def _settle(self, number: int) -> None:
        # What was delivered is crossed off.
        got = set(map(self._named, self._keys[:number]))
        if got and self._groups:
            self._groups[0] = [value for value in self._groups[0] if str(value) not in got]
        super()._settle(number)

    def _named(self, key: str | None) -> str | None:
        try:
            return None if key is None else str(self._name_of(key))
        except ValueError:
            return None

    def complete(self) -> None:
        """Go on to the next group of names."""
        del self._groups[:1]


def split_names(name: str, values: Sequence[Any]) -> list[list[Any]]:
    """Split values into groups whose query text is not too long; several groups are in the order of the service.

    Args:
        name: Parameter that carries the values.
        values: The values.
    """
    sizes = [len(quote_plus(str(value))) + len(name) + 2 for value in values]
    if sum(sizes) <= MAX_QUERY:
        return [list(values)] if values else []
    groups: list[list[Any]] = [[]]
    room = MAX_QUERY
    for value in sorted(values, key=lambda value: text_order(str(value))):
        size = len(quote_plus(str(value))) + len(name) + 2
        if size > room and groups[-1]:
            groups.append([])
            room = MAX_QUERY
        groups[-1].append(value)
        room -= size
    return groups
