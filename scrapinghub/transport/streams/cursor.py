"""The state of a stream: what to request next, and which records of a response are new.

A cursor outlives errors and interruptions. The stream sets ``delivered`` and ``last`` as it delivers a record; a cursor
derives everything else from them when it is asked the next time.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import repeat
from typing import Any

from scrapinghub.transport.codec import Malformed, raw_field

Pairs = list[tuple[str, Any]]


class Mismatch(Exception):
    """A repeated response differs from what was delivered: to continue would lose or repeat records."""


class Cursor:
    """Base of the cursors.

    Args:
        params: Query parameters, without ``count``.
        count: Deliver at most this many records; None for all.
        field: Name of the field that holds the key of a record; None if records have no keys.
        strip: Whether to remove that field from the records.

    Attributes:
        params: Query parameters of the present request; :meth:`request_next` adds further ones.
        delivered: Number of records delivered.
        last: Key of the last of them, or the record itself if there is no ``take_key``; None if there is none.
        raw: Whether records are the bytes that the service sent.
        selecting: Whether :meth:`select` has to see the records before they are delivered.
        remember: Called with each key just before its record is delivered; None if the last key is enough.
    """

    raw = False
    selecting = False
    remember: Callable[[Any], object] | None = None

    def __init__(
        self, params: Pairs, count: int | None = None, *, field: str | None = None, strip: bool = False
    ) -> None:
        self.params = params
        self.count = count
        self.field = field
        self.strip = strip
        self.delivered = 0
        self.last: Any = None
        self._complete = False
        self._further: list[Pairs] = []
        self._requested = 0

    @property
    def take_key(self) -> Callable[[Any, Any, None], Any] | None:
        """What returns the key of a record, and removes it if it is to be; None if the key of each is not needed."""
        if self.field is None or (self.raw and self.remember is None):
            return None
        if self.raw:
            return raw_field
        return dict.pop if self.strip else dict.get

    @property
    def last_key(self) -> Any:
        """Key of the last record delivered; None if there is none."""
        if self.field is None or self.last is None:
            return None
        return self.last if self.take_key is not None else raw_field(self.last, self.field, None)

    @property
    def full(self) -> bool:
        """Whether as many records as wanted have been delivered."""
        return self.count is not None and self.delivered >= self.count

    def next_request(self) -> Pairs | None:
        """Return the parameters of the next request; None at the end.

        Raises:
            Mismatch: The stream cannot continue.
        """
        if self._complete or self.full:
            return None
        return self._resume() if self.delivered else self._first()

    def _first(self) -> Pairs:
        return self.params if self.count is None else [*self.params, ('count', self.count)]

    def _resume(self) -> Pairs:
        """Return the parameters of a request after some records were delivered."""
        raise NotImplementedError

    def select(self, block: list[Any]) -> list[Any]:
        """Return the new records among those that have arrived. Called with each of them once, in order.

        Records that cannot belong to the stream stay among them, so that the stream can report them.

        Raises:
            Mismatch: The server did not continue where it was asked to.
        """
        raise NotImplementedError

    def complete(self) -> None:
        """Note that a response was complete.

        Raises:
            Mismatch: It ended before what was delivered.
        """
        if self._requested == len(self._further):
            self._complete = True
            return
        following = self._further[self._requested]
        # No call between these: an interruption finds both or neither.
        self._requested += 1
        self.params = following

    def request_next(self, further: list[Pairs]) -> None:
        """Let requests with other parameters follow the first one, in this order."""
        self._further = further

    def fall_back(self) -> bool:
        """Choose another way to continue after a :class:`Mismatch`; return False if there is none."""
        return False

    def keys_of(self, block: list[Any]) -> list[Any]:
        """Return the keys of records, up to the first one that cannot have a key."""
        keys: list[Any] = []
        read_key: Callable[[Any, Any, None], Any] = raw_field if self.raw else dict.get
        with suppress(TypeError):
            # On an error, extend keeps the keys before it.
            keys.extend(map(read_key, block, repeat(self.field), repeat(None)))
        try:
            # The quickest way to see that all are texts.
            ''.join(keys)
        except TypeError:
            bad = next((i for i, key in enumerate(keys) if key is not None and type(key) is not str), len(keys))
            del keys[bad:]
        return keys

    def error_of(self, record: Any) -> Malformed:
        """Return what is wrong with a record that cannot have a key."""
        if self.raw:
            return Malformed(f'a record cannot be decoded: {record[:80]!r}')
        if not isinstance(record, dict):
            return Malformed(f'a record is not an object but of type {type(record).__name__}')
        key = record.get(self.field)
        return Malformed(f'the key of a record is not a text but of type {type(key).__name__}')


class KeysetCursor(Cursor):
    """Continues after the key of the last record: items, requests, logs in JSON, collections.

    Args:
        params: Query parameters, without ``count``; they request ``_key``.
        count: Deliver at most this many records.
        order: Returns what keys are compared by; by their numbers by default.
        strip: Whether to remove ``_key`` from the records.
    """

    def __init__(
        self,
        params: Pairs,
        count: int | None = None,
        *,
        order: Callable[[str], Any] | None = None,
        strip: bool = True,
    ) -> None:
        super().__init__(params, count, field='_key', strip=strip)
        self._order = order or number_order

    def _resume(self) -> Pairs:
        if self.last_key is None:
            raise Mismatch('the records have no keys although keys were requested, so the stream cannot continue')
        # The first record of the response has to follow the last one delivered.
        self.selecting = True
        params = [(name, value) for name, value in self.params if name not in ('start', 'startafter', 'offset')]
        params.append(('startafter', self.last_key))
        if self.count is not None:
            params.append(('count', self.count - self.delivered))
        return params

    def select(self, block: list[Any]) -> list[Any]:
        """Return all records, after a check of the first one.

        Raises:
            Mismatch: It does not follow the last record delivered.
        """
        for key in self.keys_of(block[:1]):
            if not self._follows(key):
                raise Mismatch(f'asked for what follows {self.last_key!r}, the server continued with {key!r}')
            self.selecting = False
        return block

    def _follows(self, key: str | None) -> bool:
        try:
            return key is not None and bool(self._order(key) > self._order(self.last_key))
        except ValueError:
            return False


class RangeCursor(KeysetCursor):
    """A :class:`KeysetCursor` that ends before a key.

    Args:
        params: Query parameters, without ``count``; they request ``_key``.
        stop: The first key that is not delivered.
        count: Maximum number of records.
        exact: Whether so many records have to be there.
        order: See :class:`KeysetCursor`.
        strip: See :class:`KeysetCursor`.
    """

    selecting = True

    def __init__(
        self,
        params: Pairs,
        stop: str,
        count: int | None = None,
        *,
        exact: bool = False,
        order: Callable[[str], Any] | None = None,
        strip: bool = True,
    ) -> None:
        super().__init__(params, count, order=order, strip=strip)
        self._exact = exact
        self._stop = self._order(stop)
        # How many records are delivered when the range ends; None while its end has not arrived. With `exact`, only the
        # number of records ends the range: complete() has to see that some are missing.
        self._end: int | None = None

    @property
    def full(self) -> bool:
        """Whether the range has ended."""
        return super().full or (self._end is not None and self.delivered >= self._end)

    def _resume(self) -> Pairs:
        self._end = None
        return super()._resume()

    def select(self, block: list[Any]) -> list[Any]:
        """Return the records before the end of the range, after a check of the first one.

        Raises:
            Mismatch: It does not follow the last record delivered.
        """
        if self.delivered:
            super().select(block)
            self.selecting = True
        if self._is_before_stop(block[-1]):
            return block
        keys = self.keys_of(block)
        size = next((i for i, key in enumerate(keys) if key is not None and self._order(key) >= self._stop), None)
        if size is None:
            return block
        if not self._exact:
            self._end = self.delivered + size
        return block[:size]

    def _is_before_stop(self, record: Any) -> bool:
        keys = self.keys_of([record])
        return bool(keys) and keys[0] is not None and bool(self._order(keys[0]) < self._stop)

    def complete(self) -> None:
        """Note that a response was complete.

        Raises:
            Mismatch: Records are missing.
        """
        if self._exact and self.count is not None and self.delivered < self.count:
            raise Mismatch(f'the range should have {self.count} records, and there are only {self.delivered}')
        super().complete()


def number_order(key: str) -> tuple[int, ...]:
    """Return what sorts keys such as ``1/2/3/10`` by their numbers."""
    return tuple(map(int, key.split('/')))


def text_order(key: str) -> bytes:
    """Return what sorts keys as the service sorts text: by its bytes."""
    return key.encode('utf-8', 'surrogatepass')
