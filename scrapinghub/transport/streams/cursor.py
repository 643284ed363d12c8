"""What a stream asks for, what it delivers of the answers, and how far it has come.

A plan holds the progress of its stream, so that the stream can go on after any error. The ways in which plans go on are
those of :mod:`scrapinghub.transport.streams.cursors`, and of the modules for listings of jobs and scans of collections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, repeat
from operator import length_hint
from typing import Any

from scrapinghub.transport.codec import Decoder, Malformed

Pairs = list[tuple[str, Any]]


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
        # Called with the key of each record that was handed out directly, once it has been: when the next one comes, or
        # at the end of the piece. An interruption in between finds it in ``last_key``.
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
            block = block[: len(keys)]
        if self._resumed and block:
            block, keys = self._admit(block, keys)
        if self.count is not None and self.delivered + len(block) > self.count:
            block = block[: self.count - self.delivered]
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
        for place, key in enumerate(keys):
            if type(key) is not str and key is not None:
                self.error = _no_text(key)
                del keys[place:]
                return

    def _ask_for_keys(self, block: list[Any], keys: list[Any]) -> None:
        """Append the keys of records that may be other than dicts: those handed on verbatim have a ``get`` as well."""
        try:
            keys.extend(
                record.pop(self._field, None) if self._strip else record.get(self._field)
                for record in block[len(keys) :]
            )
        except (AttributeError, TypeError):
            self.error = _no_object(block[len(keys)])

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
        records: Iterator[Any] | None = _at_most(left, decoder.iterate(piece))
        while records is not None:
            try:
                for record in records:
                    try:
                        key = take_key(record, field, None)
                    except TypeError:
                        self.error = _no_object(record)
                        break
                    if type(key) is not str and key is not None:
                        self.error = _no_text(key)
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
                records = _at_most(left, decoder.recover(failure))
        if remember is not None and delivered:
            remember(self.last_key)
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


def _at_most(number: int | None, records: Iterator[Any]) -> Iterator[Any]:
    return records if number is None else islice(records, number)


def _no_object(record: Any) -> Malformed:
    return Malformed(f'a record is no object but {type(record).__name__}')


def _no_text(key: Any) -> Malformed:
    return Malformed(f'the key of a record is no text but {type(key).__name__}')


def _take_key(strip: bool) -> Callable[[Any, Any, None], Any]:
    return dict.pop if strip else dict.get
