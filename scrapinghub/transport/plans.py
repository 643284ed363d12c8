"""What a stream asks for, and how it goes on when its answer breaks off.

There are two ways: ask from a key (:class:`AfterKey`), or ask again and drop what was delivered, checking that it is
the same (all others). A plan holds the progress of its stream, so a stream can go on after any error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, repeat
from operator import length_hint
from typing import Any
from urllib.parse import quote_plus

from scrapinghub.transport.codec import Decoder, Malformed

Pairs = list[tuple[str, Any]]

# Servers and proxies refuse longer request lines; the rest of the address needs room too.
MAX_QUERY = 6000

_KEY_TYPES = {str, type(None)}


class NotTheSame(Exception):
    """A repeated answer does not begin with what was delivered: going on would lose or repeat records."""


class Plan:
    """Base of the plans: counts, limits, and remembers the key of the last record.

    An interruption such as Ctrl-C may come at any call, also between the delivery of records and their being counted.
    What was delivered is therefore read from the iterator that hands the records out, and :meth:`settle` may be begun
    several times: it computes everything from what was known when the block was taken.

    Args:
        params: Query parameters, without ``count``.
        count: Deliver at most this many records; None for all.
        field: Name of the field that holds the key of a record; None if records have no keys.
        strip: Whether to remove that field from the records.

    Attributes:
        delivered: Number of records delivered.
        last_key: Key of the last of them; None if there is none.
        error: Set if a record is not what this stream can hold.
        direct: Whether records may be handed out by :meth:`decode_and_hand_out`.
        unfinished: Whether that was broken off: the rest of the records that it was decoding is lost.
    """

    def __init__(
        self, params: Pairs, count: int | None = None, *, field: str | None = None, strip: bool = False
    ) -> None:
        self.params = params
        self.count = count
        self.delivered = 0
        self.last_key: Any = None
        self.error: Malformed | None = None
        self._field = field
        self._strip = strip
        # Called with the key of each record that was handed out directly, once the next one comes.
        self._remember: Callable[[Any], None] | None = None
        self._keys: list[Any] = []
        self._handing: Iterator[Any] | None = None
        self._handed = 0
        self._before = 0
        self._resumed = False
        self._answers = 0
        self.unfinished = False

    # What the stream calls, in this order

    def ask(self) -> Pairs | None:
        """Return the parameters of the next request; None if nothing is left to ask for."""
        self.settle()
        self.error = None
        self.unfinished = False
        self._resumed = self.delivered > 0
        if self._answers or self.full:
            return None
        return self._first() if self.delivered == 0 else self._again()

    def take(self, block: list[Any]) -> list[Any]:
        """Return those records of a block that are to be delivered.

        Raises:
            NotTheSame: The server did not go on where it was asked to.
        """
        keys = self._keys_of(block)
        if self._field is not None:
            block = block[:len(keys)]
        if self._resumed and block:
            block, keys = self._admit(block, keys)
        if self.count is not None and self.delivered + len(block) > self.count:
            block = block[:self.count - self.delivered]
        self._keys = keys
        return block

    def _keys_of(self, block: list[Any]) -> list[Any]:
        """Return the keys of the records of a block; set ``error`` and leave out what follows if one cannot have it."""
        keys: list[Any] = []
        if self._field is None:
            return keys
        try:
            # The methods of dict themselves: to look them up at each record takes longer than what they do.
            keys.extend(map(_take_key(self._strip), block, repeat(self._field), repeat(None)))
        except TypeError:
            self._ask_for_keys(block, keys)
        try:
            # The quickest way to see that all are texts.
            ''.join(keys)
        except TypeError:
            self._check_keys(keys)
        return keys

    def _check_keys(self, keys: list[Any]) -> None:
        """Leave out the first key that cannot be one, and what follows; set ``error`` then."""
        if not set(map(type, keys)) <= _KEY_TYPES:
            place = [type(key) in _KEY_TYPES for key in keys].index(False)
            self.error = Malformed(f'the key of a record is no text but {type(keys[place]).__name__}')
            del keys[place:]

    def _ask_for_keys(self, block: list[Any], keys: list[Any]) -> None:
        """Append the keys of records that may be other than dicts: those handed on verbatim have a ``get`` as well."""
        try:
            keys.extend(record.pop(self._field, None) if self._strip else record.get(self._field)
                        for record in block[len(keys):])
        except (AttributeError, TypeError):
            self.error = Malformed(f'a record is no object but {type(block[len(keys)]).__name__}')

    def hand_out(self, records: list[Any]) -> Iterator[Any]:
        """Return an iterator over what :meth:`take` returned; what is taken from it is delivered."""
        self._before, self._handed = self.delivered, len(records)
        handing = iter(records)
        self._handing = handing
        return handing

    @property
    def direct(self) -> bool:
        """See above."""
        return False

    def decode_and_hand_out(self, decoder: Decoder, piece: bytes) -> Iterator[Any]:
        """Decode the records that a piece of an answer completes one by one, as they are taken.

        Each is counted in the moment in which it is delivered. Whoever calls this sets ``unfinished`` before, and asks
        for the rest again if it is still set afterwards.

        Args:
            decoder: The decoder of the answer.
            piece: The next piece.
        """
        take_key, field, remember = _take_key(self._strip), self._field, self._remember
        delivered = self.delivered
        left = None if self.count is None else self.count - delivered
        records: Iterator[Any] | None = islice(decoder.iterate(piece), left)
        while records is not None:
            try:
                for record in records:
                    try:
                        key = take_key(record, field, None)
                    except TypeError:
                        self.error = Malformed(f'a record is no object but {type(record).__name__}')
                        break
                    if type(key) is not str and key is not None:
                        self.error = Malformed(f'the key of a record is no text but {type(key).__name__}')
                        break
                    if remember is not None and delivered:
                        remember(self.last_key)
                    delivered += 1
                    # No call from here on: an interruption finds the record counted and delivered, or neither.
                    self.last_key = key
                    self.delivered = delivered
                    yield record
                records = None
            except decoder.failures as failure:
                left = None if self.count is None else self.count - delivered
                records = islice(decoder.recover(failure), left)
        self.unfinished = False

    def settle(self) -> None:
        """Count what was taken from the last iterator as delivered."""
        if self._handing is not None:
            self._settle(self._handed - length_hint(self._handing))
            self._handing = None

    def _settle(self, number: int) -> None:
        """Count the first ``number`` records of the present block; may be called again for the same block."""
        self.delivered = self._before + number
        if number and self._keys:
            self.last_key = self._keys[number - 1]

    def complete(self) -> None:
        """Note that an answer was complete.

        Raises:
            NotTheSame: It ended before what was delivered.
        """
        self._answers += 1

    def may_hold_more(self) -> None:
        """Note that an answer ended without saying whether it is complete: it is asked again."""

    def fall_back(self) -> bool:
        """Choose another way after :class:`NotTheSame`; return False if there is none."""
        return False

    # What the plans differ in

    @property
    def full(self) -> bool:
        """Whether as many records as wanted have been delivered."""
        return self.count is not None and self.delivered >= self.count

    def _first(self) -> Pairs:
        return self.params if self.count is None else [*self.params, ('count', self.count)]

    def _again(self) -> Pairs:
        return self._first()

    def _admit(self, block: list[Any], keys: list[Any]) -> tuple[list[Any], list[Any]]:
        raise NotImplementedError


def _take_key(strip: bool) -> Callable[[Any, Any, None], Any]:
    return dict.pop if strip else dict.get


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
        self._remember = self._seen.add
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
        # What is handed out directly is remembered one record late.
        self._seen.add(self._identity(self.last_key))
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
                block = block[:len(self._weights)]
            if self._resumed:
                block = block[:self._fitting(self._enough - self._weighed)]
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


def _portrait(record: Any) -> str:
    """Return what tells records without keys apart; made before the consumer can change the record."""
    try:
        return json.dumps(record, sort_keys=True, default=str)
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
        self._groups = _split(name, list(dict.fromkeys(wanted)))
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


def _split(name: str, values: Sequence[Any]) -> list[list[Any]]:
    """Split values into groups whose query text is not too long; several groups are in the order of the service."""
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
