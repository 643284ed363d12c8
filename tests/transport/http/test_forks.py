"""After a fork: a child opens connections of its own, and waits for no lock that a thread of its parent held."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from scrapinghub.transport.http.connections import make_session
from scrapinghub.transport.http.transport import Transport
from support.scripted_server import Server, reply
from support.stream_kinds import sample_storage, stream_of
from support.transports import make_transport

pytestmark = [
    pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork here'),
    # The threads are what the tests are about.
    pytest.mark.filterwarnings('ignore:This process .* is multi-threaded:DeprecationWarning'),
]

SECONDS = 20


@contextmanager
def held_by_another_thread(lock: Any) -> Iterator[None]:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait(2 * SECONDS)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(SECONDS)
    try:
        yield
    finally:
        done.set()
        thread.join()


def status_of_child(work: Callable[[], bool]) -> int:
    """Run something in a forked child; return 0 if it returned True, and a negative number if it hung."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    # From here, because it may hang before it gets to its first statement.
    watchdog = threading.Timer(SECONDS, os.kill, (child, signal.SIGKILL))
    watchdog.start()
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        watchdog.cancel()


def pools(transport: Transport) -> Any:
    return transport.session.get_adapter('http://x').poolmanager.pools  # type: ignore[attr-defined]


LOCKS: dict[str, Callable[[Transport, str], Any]] = {
    'the pools': lambda transport, url: pools(transport).lock,
    'cookies': lambda transport, url: transport.session.cookies._cookies_lock,  # type: ignore[attr-defined]
}


@pytest.mark.parametrize('name', LOCKS)
def test_a_child_does_not_wait_for_a_lock_of_its_parent(name: str) -> None:
    with Server(lambda request: reply(str(request.connection).encode(), headers={'Set-Cookie': 'a=b'})) as server:
        transport = make_transport(server)
        assert transport.get(('x',)).value == 1

        def work() -> bool:
            own = transport.get(('x',)).value == 2
            gc.collect()
            return own and transport.session.cookies.get('a') == 'b'

        with held_by_another_thread(LOCKS[name](transport, server.url)):
            assert status_of_child(work) == 0
        # The child has closed nothing of what its parent uses.
        assert transport.get(('x',)).value == 1
        transport.close()


def test_a_child_does_not_wait_for_a_thread_that_makes_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(lambda request: reply(b'1')) as server:
        making, done = threading.Event(), threading.Event()

        def make_slowly(user_agent: str) -> Any:
            if user_agent == 'slow':
                making.set()
                done.wait(2 * SECONDS)
            return make_session(user_agent)

        monkeypatch.setattr('scrapinghub.transport.http.transport.make_session', make_slowly)
        quick, slow = make_transport(server), make_transport(server, user_agent='slow')
        thread = threading.Thread(target=lambda: slow.session)
        thread.start()
        assert making.wait(SECONDS)
        try:
            assert status_of_child(lambda: quick.get(('x',)).value == 1) == 0
        finally:
            done.set()
            thread.join()
        slow.close()


def test_a_child_opens_connections_of_its_own() -> None:
    with Server(lambda request: reply(str(request.connection).encode())) as server:
        transport = make_transport(server)
        assert transport.get(('x',)).value == 1
        assert status_of_child(lambda: transport.get(('x',)).value == 2) == 0
        assert transport.get(('x',)).value == 1
        transport.close()


def test_a_fork_in_the_middle_of_a_stream() -> None:
    storage = sample_storage(framing='chunked', chunk=60)
    storage.items = [{'n': number} for number in range(6000)]
    storage.options['chunk'] = 30_000
    with Server(storage.respond) as server:
        transport = make_transport(server)
        stream = stream_of(transport, 'items')
        begin = [next(stream)['n'] for _ in range(5)]
        assert status_of_child(lambda: begin + [record['n'] for record in stream] == list(range(6000))) == 0
        assert begin + [record['n'] for record in stream] == list(range(6000))
        assert server.requests[-1].get('startafter') is not None
        transport.close()
