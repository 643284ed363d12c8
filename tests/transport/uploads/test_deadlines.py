"""Waits while an exception ends the program: limited in all, however the blocks are nested."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from scrapinghub import ScrapinghubClient
from scrapinghub.transport.uploads import deadlines
from scrapinghub.transport.uploads.deadlines import deadline_after, seconds_while_handling
from support.clocks import ManualClock
from support.scripted_server import KEY, reply
from support.storage import Storage

JOB = '1/2/3'


def raised(action: Callable[[], Any]) -> BaseException:
    try:
        action()
    except BaseException as error:  # noqa: BLE001
        return error
    raise AssertionError('nothing was raised')


def test_blocks_that_one_exception_leaves_share_the_time() -> None:
    error = ValueError()
    assert deadline_after(error, 100.0) is None
    assert deadline_after(error, 100.0, any_error=True) == 130.0
    assert deadline_after(error, 125.0, any_error=True) == 130.0
    assert deadline_after(None, 100.0, any_error=True) is None


def test_ctrl_c_leaves_ten_seconds_and_a_further_one_none() -> None:
    first = KeyboardInterrupt()
    assert deadline_after(first, 100.0) == 110.0

    def interrupt_again() -> None:
        try:
            raise first
        finally:
            assert seconds_while_handling(ManualClock(103.0), any_error=False) == 7.0
            raise KeyboardInterrupt

    second = raised(interrupt_again)
    assert deadline_after(second, 104.0) == 104.0
    assert deadline_after(second, 105.0) == 104.0


def test_ctrl_c_during_the_wait_after_an_error_ends_it() -> None:
    error, interrupt = ValueError(), KeyboardInterrupt()
    assert deadline_after(error, 100.0, any_error=True) == 130.0
    interrupt.__context__ = error
    assert deadline_after(interrupt, 104.0, any_error=True) == 104.0


def leave_by(client: ScrapinghubClient, error: BaseException) -> float:
    """Leave nested blocks during an outage; return how long that took."""
    started = time.monotonic()

    def work() -> None:
        collections = client.get_project(1).collections
        with client, client.get_job(JOB).items.writer() as outer:
            outer.write({'n': 0})
            collections.get_store('s').create_writer().write({'_key': 'a'})
            with collections.get_store('t').create_writer() as inner:
                inner.write({'_key': 'b'})
                raise error

    assert raised(work) is error
    return time.monotonic() - started


@pytest.mark.parametrize('error', [KeyboardInterrupt(), LookupError()])
def test_nested_blocks_end_in_time_during_an_outage(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exception that ends the blocks is raised, and what is not stored is reported with the reason."""
    monkeypatch.setattr(deadlines, 'AFTER_INTERRUPT', 0.2)
    monkeypatch.setattr(deadlines, 'AFTER_ERROR', 0.2)
    storage = Storage(before=lambda post: reply(b'down\n', status=503))
    with storage.serving() as server:
        assert leave_by(ScrapinghubClient(KEY, endpoint=server.url), error) < 5
    said = capsys.readouterr().err
    assert said.count('were not stored and are lost: ') == 3, said
    assert set(re.findall('are lost: (.*)', said)) <= {'down', 'there was no time to send them'}


def test_a_refusal_does_not_replace_the_exception(capsys: pytest.CaptureFixture[str]) -> None:
    storage = Storage(before=lambda post: reply(b'no\n', status=401))
    with storage.serving() as server:
        leave_by(ScrapinghubClient(KEY, endpoint=server.url), KeyboardInterrupt())
    assert capsys.readouterr().err.count('were not stored and are lost: ') == 3


def test_a_further_ctrl_c_ends_all_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, 'AFTER_INTERRUPT', 60.0)
    storage = Storage(before=lambda post: reply(status=503))
    main = threading.main_thread().ident
    assert main is not None
    with storage.serving() as server:
        client = ScrapinghubClient(KEY, endpoint=server.url)
        timer = threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT))
        started = time.monotonic()

        def work() -> None:
            with client, client.get_project(1).collections.get_store('s').create_writer() as writer:
                writer.write({'_key': 'a'})
                timer.start()
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            work()
        timer.join()
        assert time.monotonic() - started < 10
        assert client.close(0) is False


def test_closing_while_ctrl_c_is_handled_is_limited(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(deadlines, 'AFTER_INTERRUPT', 0.2)
    storage = Storage(before=lambda post: reply(status=503))
    with storage.serving() as server:
        client = ScrapinghubClient(KEY, endpoint=server.url)

        def work() -> None:
            try:
                client.get_job(JOB).items.write({'n': 0})
                raise KeyboardInterrupt
            finally:
                client.get_job(JOB).items.close()
                assert client.close() is False

        with pytest.raises(KeyboardInterrupt):
            work()
    assert f'1 records for {server.url}/items/{JOB} were not stored' in capsys.readouterr().err


def test_a_client_that_is_closed_before_it_wrote_can_write() -> None:
    storage = Storage()
    with storage.serving() as server:
        client = ScrapinghubClient(KEY, endpoint=server.url)
        with client:
            pass
        assert client.close() is True
        client.get_job(JOB).items.write({'n': 0})
        assert client.close() is True
        with pytest.raises(AssertionError):
            client.get_job(JOB).items.write({'n': 1})
    assert storage.stored(f'/items/{JOB}') == [{'n': 0}]
