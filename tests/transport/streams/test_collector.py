"""The garbage collector is paused only while a list grows, and stays as the program has set it."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator

import pytest

from scrapinghub import ScrapinghubClient
from scrapinghub.transport.streams.collector import CollectorPause
from support.scripted_server import KEY, Reply, Request, Server, lines_reply

THRESHOLD = (600, 9, 8)


@pytest.fixture(autouse=True)
def threshold() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*THRESHOLD)
    yield
    gc.set_threshold(*before)


@pytest.mark.parametrize('generation', [0, 1])
def test_the_threshold_is_restored(generation: int) -> None:
    pause = CollectorPause(generation)
    for _ in range(2):
        with pause:
            assert gc.get_threshold()[generation] > 1000
            assert gc.get_threshold()[1 - generation] == THRESHOLD[1 - generation]
            assert gc.isenabled()
        assert gc.get_threshold() == THRESHOLD
    pause.end()
    assert gc.get_threshold() == THRESHOLD


def test_the_outermost_block_ends_a_pause() -> None:
    pause = CollectorPause()
    with pause:
        with pause:
            pass
        assert gc.get_threshold()[0] > 10**9
    assert gc.get_threshold() == THRESHOLD


@pytest.mark.parametrize('own', [(0, 9, 8), (123, 4, 5)])
def test_what_the_program_sets_stays(own: tuple[int, int, int]) -> None:
    with CollectorPause():
        gc.set_threshold(*own)
        with CollectorPause():
            pass
        assert gc.get_threshold() == own
    assert gc.get_threshold() == own


def test_a_collector_that_is_off_stays_off() -> None:
    gc.set_threshold(0)
    with CollectorPause():
        assert gc.get_threshold()[0] == 0
    gc.disable()
    try:
        with CollectorPause():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_pauses_of_several_threads_end() -> None:
    inside, leave = threading.Barrier(4), threading.Barrier(4)

    def pause() -> None:
        with CollectorPause():
            inside.wait()
            leave.wait()

    threads = [threading.Thread(target=pause) for _ in range(3)]
    for thread in threads:
        thread.start()
    inside.wait()
    assert gc.get_threshold()[0] > 10**9
    leave.wait()
    for thread in threads:
        thread.join()
    assert gc.get_threshold() == THRESHOLD


def test_threads_do_not_overwrite_the_thresholds_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    older, all_objects = CollectorPause(1), CollectorPause()
    older.__enter__()
    all_objects.__enter__()
    other = threading.Thread(target=all_objects.__exit__)
    get_threshold = gc.get_threshold

    def get_while_the_other_ends() -> tuple[int, int, int]:
        threshold = get_threshold()
        if threading.current_thread() is threading.main_thread() and other.ident is None:
            other.start()
            # It waits for the lock; without one, it would end here.
            other.join(0.2)
        return threshold

    monkeypatch.setattr(gc, 'get_threshold', get_while_the_other_ends)
    older.__exit__()
    other.join()
    assert get_threshold() == THRESHOLD


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs os.fork')
@pytest.mark.filterwarnings('ignore:.*fork:DeprecationWarning')
def test_a_child_that_is_forked_in_a_pause_collects() -> None:
    with CollectorPause(), CollectorPause(1):
        child = os.fork()
        if not child:
            os._exit(gc.get_threshold() != THRESHOLD)
        assert os.waitpid(child, 0)[1] == 0
        assert gc.get_threshold()[0] > 10**9


def count_collections(action: Callable[[], object]) -> int:
    """Return how many collections begin in this thread during an action."""
    thread, begun = threading.get_ident(), []

    def observe(phase: str, info: dict[str, int]) -> None:
        if phase == 'start' and threading.get_ident() == thread:
            begun.append(info['generation'])

    gc.callbacks.append(observe)
    try:
        action()
    finally:
        gc.callbacks.remove(observe)
    return len(begun)


def test_a_list_is_decoded_in_pauses_and_requested_outside() -> None:
    records = [{'n': number} for number in range(20_000)]
    outside: set[tuple[int, int, int]] = set()

    def respond(request: Request) -> Reply:
        outside.add(gc.get_threshold())
        return lines_reply(*records)

    with Server(respond) as server, ScrapinghubClient(KEY, endpoint=server.url) as client:
        items = client.get_job('1/2/3').items
        paused = count_collections(lambda: items.list(count=20_000))
        usual = count_collections(lambda: list(items.iter(count=20_000)))
    # Young objects are collected while the client waits for the response, older ones seldom.
    assert {generations[0] for generations in outside} == {THRESHOLD[0]}
    assert {generations[1] for generations in outside} == {THRESHOLD[1], 1009}
    assert paused < usual / 2
    assert gc.get_threshold() == THRESHOLD


def test_tables_are_made_in_pauses() -> None:
    records = [{'n': number, 'tags': [str(number)]} for number in range(20_000)]
    with (
        Server(lambda request: lines_reply(*records)) as server,
        ScrapinghubClient(KEY, endpoint=server.url) as client,
    ):
        items = client.get_job('1/2/3').items
        usual = count_collections(lambda: list(items.iter()))
        for method in (items.to_arrow, items.to_pandas, items.schema):
            # The first call imports the libraries.
            method()
            assert count_collections(method) < usual / 2
            assert gc.get_threshold() == THRESHOLD


def test_an_interruption_of_the_beginning_of_a_pause_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    set_threshold = gc.set_threshold

    def interrupt(*threshold: int) -> None:
        set_threshold(*threshold)
        if threshold[0] != THRESHOLD[0]:
            raise KeyboardInterrupt

    with (
        Server(lambda request: lines_reply({'n': 1})) as server,
        ScrapinghubClient(KEY, endpoint=server.url) as client,
    ):
        items = client.get_job('1/2/3').items
        for method in (items.list, items.to_arrow, items.to_pandas, items.schema):
            monkeypatch.setattr(gc, 'set_threshold', interrupt)
            with pytest.raises(KeyboardInterrupt):
                method()
            monkeypatch.undo()
            assert gc.get_threshold() == THRESHOLD


def test_an_interrupted_list_ends_the_pause() -> None:
    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with Server(lambda request: lines_reply({'n': 1})) as server:
        with ScrapinghubClient(KEY, endpoint=server.url) as client, pytest.raises(KeyboardInterrupt):
            client.get_job('1/2/3').items.list(count=1, progress=stop)
        assert gc.get_threshold() == THRESHOLD
