"""Ctrl-C at every place where it can arrive: nothing is lost, nothing comes twice, no iterator ends in silence."""

from __future__ import annotations

import io
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import pytest

import scrapinghub
from scrapinghub.transport import codec
from scrapinghub.transport.http import body
from support.scripted_server import Server
from support.storage import cut_part
from support.stream_kinds import KINDS, exact, sample_storage, stream_of
from support.transports import make_transport

# An interruption inside a destructor is reported by the interpreter and goes no further.
pytestmark = pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')

PACKAGE = str(Path(scrapinghub.__file__).parent)


class Interrupter:
    """Raise KeyboardInterrupt at one of the places where the interpreter looks for signals: when a function of the
    package begins or goes on, and after each function of C that it has called.

    Args:
        place: At which of these places, counted from 0.

    Attributes:
        met: How many places were met.
    """

    def __init__(self, place: int) -> None:
        self.place = place
        self.met = 0

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        if event not in ('call', 'c_return') or not frame.f_code.co_filename.startswith(PACKAGE):
            return
        if arg is sys.setprofile:
            return
        self.met += 1
        if self.met - 1 == self.place:
            raise KeyboardInterrupt


def consume(stream: Iterator[Any], interrupter: Interrupter) -> list[Any]:
    """Return what the stream delivers until it ends or is interrupted."""
    got: list[Any] = []
    sys.setprofile(interrupter)
    try:
        got.extend(stream)
    except KeyboardInterrupt:
        pass
    finally:
        sys.setprofile(None)
    return got


@pytest.mark.parametrize(
    ('name', 'accept'),
    [
        ('items', codec.JSON_LINES),
        ('items', codec.MSGPACK),
        ('collection', codec.MSGPACK),
        ('logs', codec.MSGPACK),
        ('collection by keys', codec.MSGPACK),
        ('activity', codec.JSON_LINES),
        ('all jobs', codec.JSON_LINES),
        ('frontier', codec.JSON_LINES),
        ('collection by order', codec.JSON_LINES),
    ],
)
def test_ctrl_c_at_every_place(name: str, accept: str) -> None:
    storage = sample_storage(framing='chunked', chunk=150)
    truth = exact(KINDS[name].truth(storage))
    with Server(storage.respond) as server:
        transport = make_transport(server)
        storage.faults = [cut_part(0.6)]
        counter = Interrupter(-1)
        assert exact(consume(stream_of(transport, name, accept), counter)) == truth
        assert counter.met > 200

        # How many pieces an answer arrives in differs from time to time, and so does what is met at a place.
        for place in range(0, counter.met, max(1, counter.met // 15)):
            storage.faults = [cut_part(0.6)]
            stream = stream_of(transport, name, accept)
            got = consume(stream, Interrupter(place)) + consume(stream, Interrupter(place // 2)) + list(stream)
            assert exact(got) == truth, f'interrupted at place {place}'
            assert list(stream) == []
        transport.close()


def test_a_real_signal_in_the_consumer() -> None:
    storage = sample_storage()
    with Server(storage.respond) as server:
        transport = make_transport(server)
        stream = stream_of(transport, 'items')
        got: list[Any] = []

        def consume_some() -> None:
            for record in stream:
                got.append(record)
                if len(got) in (1, 5, 12):
                    signal.raise_signal(signal.SIGINT)

        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                consume_some()
        consume_some()
        assert exact(got) == exact(storage.items)
        transport.close()


def test_an_interruption_while_an_answer_begins_is_not_told_as_another_error(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = sample_storage()

    def interrupted(raw: Any) -> NoReturn:
        # What is made and never stored closes the connection when it goes.
        io.BufferedReader(raw)
        raise KeyboardInterrupt

    with Server(storage.respond) as server:
        transport = make_transport(server)
        stream = stream_of(transport, 'items')
        with monkeypatch.context() as patch:
            patch.setattr(body, '_WholeLines', interrupted)
            with pytest.raises(KeyboardInterrupt):
                next(stream)
        assert exact(list(stream)) == exact(storage.items)
        transport.close()


def test_no_request_takes_a_lock_that_an_interruption_could_leave_to_the_next_one() -> None:
    storage = sample_storage(framing='chunked', chunk=150)
    kinds = (type(threading.Lock()), type(threading.RLock()))
    taken: list[Any] = []

    def note(frame: FrameType, event: str, arg: Any) -> None:
        # A lock that is taken by a with statement itself is released whatever happens, and makes no such call.
        if event == 'c_call' and arg.__name__ in ('acquire', '__enter__') and isinstance(arg.__self__, kinds):
            taken.append(arg.__self__)

    def locks_of_a_read() -> list[Any]:
        taken.clear()
        sys.setprofile(note)
        try:
            list(stream_of(transport, 'items'))
        finally:
            sys.setprofile(None)
        return taken[:]

    with Server(storage.respond) as server:
        transport = make_transport(server)
        # Once for what is made at first use.
        locks_of_a_read()
        first, second = locks_of_a_read(), locks_of_a_read()
        assert not [lock for lock in first if any(lock is other for other in second)]
        transport.close()
