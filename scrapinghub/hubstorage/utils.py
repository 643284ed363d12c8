"""Small functions that programs import from here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from queue import Empty, Queue
from typing import Any

from scrapinghub.transport.uploads.writer import format_size as sizeof_fmt

__all__ = ['apipoll', 'iterqueue', 'millitime', 'sizeof_fmt', 'urlpathjoin', 'xauth']


def urlpathjoin(*parts: Any) -> str | None:
    """Join parts of a path or URL with single slashes.

    Args:
        *parts: Texts and numbers; tuples are joined inside, None is left out.

    Returns:
        The path; None if there is no part.

    Example:
        >>> urlpathjoin('https://storage.example/', 'items', (1, 2, 3), None)
        'https://storage.example/items/1/2/3'
    """
    texts = list(_flat(parts))
    if not texts:
        return None
    return '/'.join([*(text.rstrip('/') for text in texts[:-1]), texts[-1]])


def _flat(parts: tuple[Any, ...]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, tuple):
            yield from _flat(part)
        elif part is not None:
            yield str(part)


def xauth(auth: Any) -> Any:
    """Return credentials as a pair.

    Args:
        auth: A text ``user`` or ``user:password``; None and tuples are returned as they are.

    Returns:
        User and password, or None.

    Example:
        >>> xauth('user:pass')
        ('user', 'pass')
    """
    if auth is None or isinstance(auth, tuple):
        return auth
    if not isinstance(auth, str):
        # The value is not shown: it may hold a key.
        raise TypeError(f'auth should be a string or a tuple of user and password, got {type(auth).__name__}')
    user, _, password = auth.strip().partition(':')
    return user.strip() if not password else user, password


def millitime(*a: Any, **kw: Any) -> int:
    """Return the present time in milliseconds since the epoch; arguments are ignored."""
    return int(time.time() * 1000)


class iterqueue:  # noqa: N801 - the name is a contract
    """Iterate over what a queue holds, without ever waiting for more.

    Args:
        queue: The queue. Returned values are removed from it.
        maxcount: Return at most this many, in all iterations together; None for all.

    Attributes:
        count: How many were returned.
    """

    def __init__(self, queue: Queue[Any], maxcount: int | None = None) -> None:
        self.queue = queue
        self.maxcount = maxcount
        self.count = 0

    def __iter__(self) -> Iterator[Any]:
        while self.maxcount is None or self.count < self.maxcount:
            try:
                item = self.queue.get_nowait()
            except Empty:
                return
            self.count += 1
            yield item


def apipoll(endpoint: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function until it returns a value, or the time limit is reached.

    Args:
        endpoint: The function.
        *args: Its arguments.
        **kwargs: Its keyword arguments; among them ``poll_wait``, seconds between two calls (1 by default), and
            ``max_poll``, seconds in all (60), which the function gets too.

    Returns:
        The first result that is not None; None if there was none in time.
    """
    pause = kwargs.get('poll_wait', 1)
    end = time.monotonic() + kwargs.get('max_poll', 60)
    while True:
        result = endpoint(*args, **kwargs)
        if result is not None or time.monotonic() >= end:
            return result
        time.sleep(pause)
