"""The retry loop with the interface of older releases: an object with ``call``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import requests

from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.retries import Attempts, RetrySettings, retry
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.http.waits import Clock

_within_a_loop: ContextVar[bool] = ContextVar('within_a_loop', default=False)


@contextmanager
def one_loop() -> Iterator[None]:
    """Disable retries of inner calls: a stream has its own retry loop, and calls functions that have one too."""
    token = _within_a_loop.set(True)
    try:
        yield
    finally:
        _within_a_loop.reset(token)


class Retrier:
    """Repeats a function after transient failures.

    Args:
        settings: Number and time limit of retries.
        clock: Measures and waits.
    """

    def __init__(self, settings: RetrySettings, clock: Clock) -> None:
        self.settings = settings
        self._clock = clock

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function until it succeeds or the budget is spent.

        Args:
            function: Makes a request and raises errors of ``requests``.
            *args: Its arguments.
            **kwargs: Its keyword arguments.

        Returns:
            The result of the function.

        Raises:
            requests.RequestException: The last failure.
        """
        if isinstance(function, Invocation):
            return function.repeat()
        attempts = Attempts(self.settings.for_call, self._clock, 'the request')
        return _repeat(lambda: function(*args, **kwargs), attempts)


def _repeat(function: Callable[[], Any], attempts: Attempts) -> Any:
    return function() if _within_a_loop.get() else retry(function, attempts)


class Invocation:
    """A request with its retry loop; calling it sends the request once.

    Args:
        transport: Sends the request.
        call: The request.
        attempts: The retry loop.
        stream: Whether to leave the body unread.
    """

    def __init__(self, transport: Transport, call: Call, attempts: Attempts, *, stream: bool) -> None:
        self._send = transport.open if stream else transport.complete
        self._call = call
        self._number = 0
        self._attempts = attempts

    def __call__(self) -> requests.Response:
        """Send the call once."""
        self._number += 1
        return self._send(self._call, self._number)

    def repeat(self) -> Any:
        """Send the call as often as its loop allows."""
        return _repeat(self, self._attempts)
