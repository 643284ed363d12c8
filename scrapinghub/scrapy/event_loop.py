"""Threads and timers for components that run in the event loop of a crawl."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from scrapy.utils.defer import maybe_deferred_to_future
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar('T')


class EventLoop:
    """The event loop in which a crawl runs: a reactor of Twisted, or asyncio where Scrapy uses no reactor.

    Made in the thread of the event loop, after Scrapy has installed the reactor.
    """

    def __init__(self) -> None:
        self._call_from_thread: Callable[..., object]
        self._call_later: Callable[..., object]
        # Importing the module would install a reactor.
        reactor: Any = sys.modules.get('twisted.internet.reactor')
        if reactor is not None:
            self._call_from_thread, self._call_later = reactor.callFromThread, reactor.callLater
        else:
            loop = asyncio.get_event_loop()
            self._call_from_thread, self._call_later = loop.call_soon_threadsafe, loop.call_later

    def call_from_thread(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function in the event loop; safe in every thread and in signal handlers."""
        # The loop may be closed: the crawl has ended.
        with suppress(RuntimeError):
            self._call_from_thread(function, *args)

    def call_later(self, seconds: float, function: Callable[..., object], *args: Any) -> None:
        """Call a function in the event loop after some seconds."""
        self._call_later(seconds, function, *args)

    async def sleep(self, seconds: float) -> None:
        """Wait for some seconds without blocking the event loop."""
        deferred: Deferred[None] = Deferred()
        self._call_later(seconds, deferred.callback, None)
        await maybe_deferred_to_future(deferred)

    async def in_thread(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function that may block in a new thread, and wait for its result.

        The thread ends with the process: Scrapy can be stopped while the function waits for the network. The pools of
        Twisted and asyncio would delay the exit until it returns.
        """
        deferred: Deferred[T] = Deferred()

        def run() -> None:
            try:
                result = function(*args)
            except BaseException:  # noqa: BLE001 - raised in the coroutine that waits
                self.call_from_thread(deferred.errback, Failure())  # type: ignore[no-untyped-call]
            else:
                self.call_from_thread(deferred.callback, result)

        threading.Thread(target=run, name='scrapinghub-scrapy', daemon=True).start()
        return await maybe_deferred_to_future(deferred)
