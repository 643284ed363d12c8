"""Record streams: they survive broken connections and deliver every record once, or raise."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, repeat, takewhile
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import requests

from scrapinghub.exceptions import DecodeError, StreamInterrupted
from scrapinghub.transport import codec
from scrapinghub.transport.bodies import Body
from scrapinghub.transport.plans import NotTheSame, Pairs, Plan
from scrapinghub.transport.retries import Attempts, may_pass
from scrapinghub.transport.session import Call, Transport

T_co = TypeVar('T_co', covariant=True)


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


class Resumable(Generic[T_co]):
    """An iterator over a generator that may fail and is then started again; it never ends in silence.

    After a generator that ended in any other way than through its :class:`Ending` comes a new one, which goes on where
    that one stopped. All between them is done by iterators of the standard library: Ctrl-C can arrive inside any
    function written in Python, even before its first statement, and a record costs what the generator costs.

    Args:
        generate: A generator function. It goes on where its last generator stopped, with the object that it is given in
            a ``with`` statement around all of it.
    """

    __slots__ = ('__next__', '__weakref__')

    def __init__(self, generate: Callable[[Ending], Iterator[T_co]]) -> None:
        generators = map(generate, takewhile(attrgetter('open'), repeat(Ending())))
        object.__setattr__(self, '__next__', chain.from_iterable(generators).__next__)

    if TYPE_CHECKING:

        def __next__(self) -> T_co:
            """Return the next record."""
            ...

    def __iter__(self) -> Resumable[T_co]:
        return self


class RecordStream(Resumable[T_co]):
    """An iterator over the records of one call; the first request goes out at the first ``next()``.

    Iterating again after an error goes on after the last record delivered. Not to be shared between threads.

    Args:
        transport: The way to the wire.
        call: What to ask; its parameters come from the plan.
        plan: What to ask for, and how to go on.
        source: How to ask; the transport itself if None.
    """

    __slots__ = ()

    def __init__(self, transport: Transport, call: Call, plan: Plan, source: Source | None = None) -> None:
        source = source or Source(transport)
        super().__init__(partial(_deliver, transport, call, plan, source))


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
        return Attempts(self._transport.retries.for_stream(), self._transport.clock, call.what)

    def decoder(self, call: Call, response: requests.Response) -> codec.Decoder:
        """Return a new decoder for an answer.

        Raises:
            Malformed: The answer is of a type that no call asks for.
        """
        content_type = response.headers.get('Content-Type')
        limit = self._transport.max_record
        return codec.decoder_for(content_type, asked=call.accept, max_record=limit, spread=True)

    def explain(self, error: requests.RequestException, attempts: Attempts, plan: Plan) -> Exception:
        """Return the exception that the user gets for a failure; it may be the failure itself."""
        ours = self._transport.explain(error, attempts)
        if not may_pass(error):
            return ours
        return StreamInterrupted.caused_by(ours, delivered=plan.delivered, last_key=plan.last_key)


class _BadRecord(requests.exceptions.ContentDecodingError):
    """A record cannot be decoded: transmission may have damaged it, so it is asked for once more."""


def _deliver(transport: Transport, call: Call, plan: Plan, source: Source, ending: Ending) -> Iterator[Any]:
    with ending:
        plan.settle()
        recovery = _Recovery(transport, call, plan, source)
        while (params := recovery.ask()) is not None:
            response: requests.Response | None = None
            try:
                asked = replace(call, params=params)
                response = source.open(asked, recovery.attempt)
                body = Body(response)
                for block in _blocks(transport, source, asked, response, body):
                    records = plan.take(block)
                    # Not ``yield from``: nothing may come between taking a record and handing it out.
                    for record in plan.hand_out(records):  # noqa: UP028
                        yield record
                    plan.settle()
                    if plan.error is not None:
                        raise _BadRecord(str(plan.error), response=response)
                    if plan.full and not records:
                        # More than was asked for: not worth waiting for the end.
                        break
                recovery.answered(body)
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
        self._asked_again = False

    @property
    def attempt(self) -> int:
        """Number of the present attempt."""
        return self._attempts.number

    def ask(self) -> Pairs | None:
        """Return the parameters of the next request, None at the end."""
        self._before = self._plan.delivered
        try:
            return self._plan.ask()
        except NotTheSame as error:
            raise self._lost(error) from error

    def answered(self, body: Body) -> None:
        """Decide whether an answer that ended was complete."""
        plan = self._plan
        if body.ambiguous and not plan.full and (plan.delivered > self._before or not self._asked_again):
            self._asked_again = True
            plan.may_hold_more()
        else:
            plan.complete()

    def moved(self, error: NotTheSame) -> None:
        """Choose another way to go on, or raise."""
        if not self._plan.fall_back():
            raise self._lost(error) from error

    def broke(self, error: requests.RequestException) -> None:
        """Wait until the next attempt is due, or raise."""
        plan = self._plan
        if plan.full:
            return
        if isinstance(error, _BadRecord):
            if self._bad_place == plan.delivered:
                raise self._undecodable(error) from error
            self._bad_place = plan.delivered
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

    def _lost(self, error: NotTheSame) -> StreamInterrupted:
        cause = DecodeError(f'{self._call.what}: {error}')
        return StreamInterrupted.caused_by(cause, delivered=self._plan.delivered, last_key=self._plan.last_key)

    def _undecodable(self, error: Exception) -> DecodeError:
        plan = self._plan
        where = f'record number {plan.delivered + 1}'
        if plan.last_key is not None:
            where += f' (the one after key {plan.last_key})'
        return DecodeError(f'{self._call.what}: {where} cannot be decoded, twice in a row: {error}')


def _blocks(
    transport: Transport, source: Source, call: Call, response: requests.Response, body: Body
) -> Iterator[list[Any]]:
    """Yield the records of an answer as they arrive, a list for each piece of it."""
    decoder: codec.Decoder | None = None
    clock = transport.clock
    process = os.getpid()
    patience = transport.patience
    waiting_since = clock.monotonic()
    for piece in body:
        if decoder is None:
            decoder = _decoder(transport, source, call, response, piece)
        records = decoder.feed(piece)
        if records:
            yield records
            # The consumer may take its time; only the wait for the server counts.
            waiting_since = clock.monotonic()
        elif clock.monotonic() - waiting_since > patience:
            raise requests.ReadTimeout(f'no complete record within {patience:.0f} seconds', response=response)
        if decoder.error is not None:
            raise _BadRecord(str(decoder.error), response=response) from decoder.error
        if os.getpid() != process:
            raise requests.ConnectionError('the process was forked; the connection belongs to its parent')
    if decoder is not None:
        records = decoder.finish()
        if records:
            yield records
        if decoder.error is not None:
            raise _BadRecord(str(decoder.error), response=response) from decoder.error


def _decoder(
    transport: Transport, source: Source, call: Call, response: requests.Response, piece: bytes
) -> codec.Decoder:
    try:
        return source.decoder(call, response)
    except codec.Malformed as error:
        raise transport.undecodable(call, response, piece, error) from error
