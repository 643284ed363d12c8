"""Record streams: they survive broken connections and deliver every record once, or raise."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, repeat, takewhile
from operator import attrgetter
from typing import Any, TypeVar

import requests

from scrapinghub.exceptions import DecodeError, StreamInterrupted
from scrapinghub.transport import codec
from scrapinghub.transport.http.body import Body
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.responses import undecodable
from scrapinghub.transport.http.retries import Attempts, is_transient
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.streams.cursor import NotTheSame, Pairs, Plan

T = TypeVar('T')
P = TypeVar('P', bound='Pieces[Any]')

# How much is decoded into one list. Of more than that, the first record has left the caches of the processor before the
# last one is decoded, and so many objects are alive at once that the garbage collector goes through them each time.
PART_SIZE = 16 * 1024


class Ending:
    """Context manager inside the generator of a :class:`Resumable`: only who leaves it without an error ends it.

    Attributes:
        open: Whether the iteration goes on.
    """

    __slots__ = ('open',)

    def __init__(self) -> None:
        self.open = True

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.open = False


class Resumable(chain[T]):
    """An iterator over a generator that may fail and is then started again; it never ends in silence.

    After a generator that ended in any other way than through its :class:`Ending` comes a new one, which goes on where
    that one stopped. All between them is done by iterators of the standard library, of which this is one: Ctrl-C can
    arrive inside any function written in Python, even before its first statement, and a record costs what the generator
    costs.

    Args:
        generate: A generator function. It goes on where its last generator stopped, with the object that it is given in
            a ``with`` statement around all of it.
    """

    __slots__ = ('__weakref__',)

    def __new__(cls, generate: Callable[[Ending], Iterator[T]]) -> Resumable[T]:
        """Make the iterator."""
        return super().__new__(cls, chain.from_iterable(_generators(generate)))


def _generators(generate: Callable[[Ending], Iterator[T]]) -> Iterator[Iterator[T]]:
    return map(generate, takewhile(attrgetter('open'), repeat(Ending())))


class Pieces(chain[T]):
    """The same over a generator that yields iterators: what these have, one after another.

    A record passes through iterators of the standard library only: neither can an interruption lose it, nor does the
    generator cost each record something.

    Args:
        generate: As of :class:`Resumable`, for a generator of iterators.
    """

    __slots__ = ('__weakref__',)

    def __new__(cls: type[P], generate: Callable[[Ending], Iterator[Iterator[Any]]]) -> P:
        """Make the iterator."""
        return super().__new__(cls, chain.from_iterable(map(chain.from_iterable, _generators(generate))))


class RecordStream(Pieces[T]):
    """An iterator over the records of one call; the first request goes out at the first ``next()``.

    Iterating again after an error goes on after the last record delivered. Not to be shared between threads.

    Args:
        transport: The way to the wire.
        call: What to ask; its parameters come from the plan.
        plan: What to ask for, and how to go on.
        source: How to ask; the transport itself if None.
    """

    __slots__ = ()

    def __new__(cls, transport: Transport, call: Call, plan: Plan, source: Source | None = None) -> RecordStream[T]:
        """Make the iterator."""
        return super().__new__(cls, partial(_deliver, transport, call, plan, source or Source(transport)))


class Source:
    """Where a stream gets its answers from, and what its failures become.

    Args:
        transport: The way to the wire.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def open(self, call: Call, number: int) -> requests.Response:
        """Return an answer of good status, its body not read; ``number`` counts the attempts."""
        return self._transport.open(call, number)

    def attempts(self, call: Call, delivered: int) -> Attempts:
        """Return the retry loop of a stream, made anew whenever there has been progress."""
        if not delivered:
            return self._transport.attempts(call)
        return self._transport.attempts(call, self._transport.retries.for_stream)

    def decoder(self, call: Call, response: requests.Response) -> codec.Decoder:
        """Return a new decoder for an answer.

        Raises:
            Malformed: The answer is of a type that no call asks for.
        """
        content_type = response.headers.get('Content-Type')
        limit = self._transport.max_record
        return codec.decoder_for(content_type, asked=call.expects or call.accept, max_record=limit, spread=True)

    def explain(self, error: requests.RequestException, attempts: Attempts, plan: Plan) -> Exception:
        """Return the exception that the user gets for a failure; it may be the failure itself."""
        ours = self._transport.translate_error(error, attempts)
        if not is_transient(error):
            return ours
        return StreamInterrupted.caused_by(ours, delivered=plan.delivered, last_key=plan.last_key)


class _BadRecord(requests.exceptions.ContentDecodingError):
    """A record cannot be decoded: transmission may have damaged it, so it is asked for once more."""


class _Damaged(_BadRecord):
    """The same in a compressed answer, none of whose last piece was handed on."""


class _CutRecord(requests.exceptions.ChunkedEncodingError):
    """A body ends inside a record, although its framing says that it is complete."""


# So often a body may end inside the same record before that record is taken for the reason.
_CUTS_AT_ONE_PLACE = 4


class _Interrupted(Exception):
    """Ctrl-C broke the delivery of a piece off; the program has seen it, and goes on."""


def _deliver(transport: Transport, call: Call, plan: Plan, source: Source, ending: Ending) -> Iterator[Iterator[Any]]:
    with ending:
        plan.settle()
        recovery = _Recovery(transport, call, plan, source)
        while (params := recovery.ask()) is not None:
            response: requests.Response | None = None
            try:
                asked = replace(call, params=params)
                response = source.open(asked, recovery.attempt)
                body = Body(response)
                if recovery.verifying:
                    recovery.verify(body)
                    continue
                recovery.began(params, body)
                decoder = _LateDecoder(transport, source, asked, response)
                yield from _hand_out_pieces(transport, recovery, body, decoder)
                recovery.answered(body)
            except _Interrupted:
                # Ask for the rest.
                continue
            except NotTheSame as error:
                recovery.moved(error)
            except requests.RequestException as error:
                recovery.broke(error)
            finally:
                if response is not None:
                    response.close()


class _Recovery:
    """What a stream does between two answers: ask on, wait, or give up."""

    def __init__(self, transport: Transport, call: Call, plan: Plan, source: Source) -> None:
        self._transport = transport
        self._call = call
        self._plan = plan
        self._source = source
        self._attempts = source.attempts(call, plan.delivered)
        self._progress = plan.delivered
        self._before = plan.delivered
        self._bad_place = -1
        self._withheld: tuple[int, str] | None = None
        self._cuts = 0
        self._doubted: Pairs | None = None
        self._answer: tuple[Pairs, Body] | None = None
        self.verifying = False

    @property
    def plan(self) -> Plan:
        """What the stream asks for."""
        return self._plan

    @property
    def attempt(self) -> int:
        """Number of the present attempt."""
        return self._attempts.number

    def ask(self) -> Pairs | None:
        """Return the parameters of the next request, None at the end."""
        self._before = self._plan.delivered
        if self.verifying and self._answer is not None:
            return self._answer[0]
        try:
            return self._plan.ask()
        except NotTheSame as error:
            raise self._lost(error) from error

    def began(self, params: Pairs, body: Body) -> None:
        """Remember an answer, and what was asked."""
        self._answer = params, body

    def withholds(self, body: Body, place: int, error: Exception) -> bool:
        """Return whether a piece with a bad record is to be dropped whole, since its compression may be damaged.

        When the same record has the same error a second time, it is the record itself that is bad.

        Args:
            body: The answer.
            place: How many records of the stream are in front of the bad one.
            error: What is wrong with it.
        """
        before, self._withheld = self._withheld, (place, str(error))
        return body.compressed and self._withheld != before

    def verify(self, body: Body) -> None:
        """Compare an answer that was asked for again with the damaged one: what was delivered must be the same.

        Raises:
            StreamInterrupted: It is not: records that were delivered may be damaged.
        """
        assert self._answer is not None
        if not body.begins_like(self._answer[1]):
            raise self._lost(
                NotTheSame(
                    'a compressed answer was damaged on its way, and not all of what was delivered of it is the same '
                    'when it is asked for again'
                )
            )
        self.verifying = False

    def answered(self, body: Body) -> None:
        """Decide whether an answer that ended was complete."""
        plan = self._plan
        asked = None if self._answer is None else self._answer[0]
        if body.ambiguous and not plan.full and (plan.delivered > self._before or self._doubted != asked):
            # Each question has to be answered with nothing new twice: one answer may be cut before its first byte.
            self._doubted = asked
            plan.may_hold_more()
        else:
            plan.complete()
        # A walk asks several times: each answer that ended well is progress, new records or not.
        self._bad_place = -1
        self._attempts = self._source.attempts(self._call, plan.delivered)

    def moved(self, error: NotTheSame) -> None:
        """Choose another way to go on, or raise."""
        if not self._plan.fall_back():
            raise self._lost(error) from error
        self._bad_place = -1

    def broke(self, error: requests.RequestException) -> None:
        """Wait until the next attempt is due, or raise."""
        plan = self._plan
        if isinstance(error, requests.exceptions.ContentDecodingError) and self._answer is not None:
            # Whatever was used of a damaged stream must be verified, even if nothing more is wanted of it.
            self.verifying = self.verifying or self._answer[1].used > 0
        if plan.full and not self.verifying:
            return
        if isinstance(error, (_BadRecord, _CutRecord)):
            self._count_bad(error)
        if plan.delivered > self._progress:
            self._progress = plan.delivered
            self._attempts = self._source.attempts(self._call, plan.delivered)
        try:
            seconds = self._attempts.pause_after(error)
        except requests.RequestException:
            told = self._source.explain(error, self._attempts, plan)
            if told is error:
                raise
            raise told from error
        self._transport.clock.wait(seconds)

    def _count_bad(self, error: _BadRecord | _CutRecord) -> None:
        """Raise if a record is bad, and not only this copy of it."""
        again = self._bad_place == self._plan.delivered
        self._bad_place = self._plan.delivered
        self._cuts = self._cuts + 1 if again and isinstance(error, _CutRecord) else 1
        if self._cuts >= _CUTS_AT_ONE_PLACE or (again and type(error) is _BadRecord):
            raise self._undecodable(error) from error

    def _lost(self, error: NotTheSame) -> StreamInterrupted:
        cause = DecodeError(f'{self._call}: {error}')
        return StreamInterrupted.caused_by(cause, delivered=self._plan.delivered, last_key=self._plan.last_key)

    def _undecodable(self, error: Exception) -> DecodeError:
        plan = self._plan
        where = f'record number {plan.delivered + 1}'
        if plan.last_key is not None:
            where += f' (the one after key {plan.last_key})'
        return DecodeError(f'{self._call}: {where} cannot be decoded, again and again: {error}')


class _LateDecoder:
    """The decoder of an answer, chosen when its body begins: an empty body may be of any type.

    Args:
        transport: The way to the wire.
        source: Chooses the decoder.
        call: What was asked.
        response: The answer.
    """

    def __init__(self, transport: Transport, source: Source, call: Call, response: requests.Response) -> None:
        self.response = response
        self._transport = transport
        self._source = source
        self._call = call
        self._chosen: codec.Decoder | None = None

    def for_piece(self, piece: bytes) -> codec.Decoder:
        """Return the decoder for the next piece of the body."""
        if self._chosen is None:
            try:
                self._chosen = self._source.decoder(self._call, self.response)
            except codec.Malformed as error:
                raise undecodable(self._call, self.response, piece, error) from error
        return self._chosen

    def finish(self) -> list[Any]:
        """Return the records that the end of the body completes."""
        return [] if self._chosen is None else self._chosen.finish()

    def error_of(self, plan: Plan) -> Exception | None:
        """Return what is wrong with a record: it cannot be decoded, or is not what the stream can hold."""
        return plan.error or self._error

    def check(self, plan: Plan) -> None:
        """Raise if something is wrong with a record."""
        error = self.error_of(plan)
        if error is not None:
            raise _BadRecord(str(error), response=self.response) from error

    def check_end(self, plan: Plan) -> None:
        """Raise if the body ends inside a record, or its last record is not what the stream can hold."""
        if self._error is not None:
            text = f'the body ends inside a record: {self._error}'
            raise _CutRecord(text, response=self.response) from self._error
        self.check(plan)

    @property
    def _error(self) -> codec.Malformed | None:
        return None if self._chosen is None else self._chosen.error


def _parts(plan: Plan, body: Body, decoders: _LateDecoder) -> Iterator[tuple[bytes, codec.Decoder, bool]]:
    """Yield what to decode next, the decoder, and whether records may be handed out as they are decoded."""
    for piece in body:
        decoder = decoders.for_piece(piece)
        if body.compressed:
            # A piece with a bad record is dropped whole.
            yield piece, decoder, False
        elif plan.direct and decoder.one_by_one:
            yield piece, decoder, True
        else:
            for start in range(0, len(piece) or 1, PART_SIZE):
                yield piece[start : start + PART_SIZE], decoder, False


def _hand_out_pieces(
    transport: Transport, recovery: _Recovery, body: Body, decoders: _LateDecoder
) -> Iterator[Iterator[Any]]:
    """Yield an iterator over the records of each piece of an answer as it arrives."""
    plan = recovery.plan
    clock = transport.clock
    process = os.getpid()
    patience = transport.body_timeout
    waiting_since = clock.monotonic()
    unfinished = 0
    for piece, decoder, direct in _parts(plan, body, decoders):
        before = plan.delivered
        if direct:
            plan.unfinished = True
            yield plan.decode_and_hand_out(decoder, piece)
            if plan.unfinished:
                raise _Interrupted
            arrived = plan.delivered > before
        else:
            records = decoder.feed(piece)
            arrived = bool(records)
            taken = plan.take(records) if records else records
            error = decoders.error_of(plan)
            if error is not None and recovery.withholds(body, before + len(taken), error):
                body.withdraw()
                raise _Damaged(str(error), response=decoders.response) from error
            if taken:
                yield plan.hand_out(taken)
                plan.settle()
        decoders.check(plan)
        if plan.full and arrived and plan.delivered == before:
            # More than was asked for: not worth waiting for the end.
            return
        if arrived:
            # The consumer may take its time; only the wait for the server counts.
            waiting_since = clock.monotonic()
            unfinished = 0
        elif clock.monotonic() - waiting_since > patience:
            raise requests.ReadTimeout(f'no complete record within {patience:.0f} seconds', response=decoders.response)
        else:
            unfinished += len(piece)
            if unfinished > transport.max_record:
                large = codec.Malformed(f'a record is larger than {transport.max_record} bytes')
                raise _BadRecord(str(large), response=decoders.response) from large
        if os.getpid() != process:
            raise requests.ConnectionError('the process was forked; the connection belongs to its parent')
    if not plan.full:
        yield plan.hand_out(plan.take(decoders.finish()))
        plan.settle()
        decoders.check_end(plan)
