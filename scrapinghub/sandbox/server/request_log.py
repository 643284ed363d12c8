"""A log of the latest requests, without credentials."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from werkzeug.wrappers import Request

from scrapinghub.sandbox.server.exchange import Exchange
from scrapinghub.sandbox.server.request_reader import RAW_PATH

#: Replaces a credential.
HIDDEN = '***'
#: Query parameters and headers (in lower case) that hold credentials.
SECRET_PARAMETERS = frozenset(('apikey',))
SECRET_HEADERS = frozenset(('authorization', 'proxy-authorization', 'cookie'))

MOST_ENTRIES = 1000
MOST_BYTES = 32 * 1024 * 1024


def raw_path(request: Request) -> str:
    """Return the path as it was sent, percent-encoded."""
    path: str = request.environ[RAW_PATH]
    return path


def public_query(request: Request) -> list[tuple[str, str]]:
    """Return the query parameters as pairs, in order, without credentials."""
    return [
        (name, HIDDEN if name.lower() in SECRET_PARAMETERS else value) for name, value in request.args.items(multi=True)
    ]


@dataclass(frozen=True)
class Entry:
    """One request. Its outcome is final when :attr:`over` is true, shortly after the client has read the response.

    Attributes:
        method: The method.
        path: The path as it was sent, percent-encoded.
        query: The query parameters as pairs, in order; an API key among them is hidden.
        headers: The headers; the values of those that hold credentials are hidden.
        body: The body as it was sent, compressed if it was.
        time: When it was received, in milliseconds since the epoch by the service's clock.
        exchange: Its outcome.
    """

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes = field(repr=False)
    time: int
    exchange: Exchange = field(repr=False)

    @property
    def status(self) -> int | None:
        """Status of the response, ``None`` until one is sent."""
        return self.exchange.status

    @property
    def bytes(self) -> int:
        """Bytes of the response body sent so far, as transferred."""
        return self.exchange.body_bytes

    @property
    def complete(self) -> bool:
        """Whether the whole response was sent."""
        return self.exchange.complete

    @property
    def over(self) -> bool:
        """Whether the request is finished, with or without a response."""
        return self.exchange.over

    @property
    def duration(self) -> float:
        """Seconds until the response was sent or abandoned."""
        return self.exchange.duration

    @property
    def connection(self) -> int:
        """Number of the TCP connection, counted from 1."""
        return self.exchange.connection

    @property
    def fault(self) -> str | None:
        """Name of the fault that was applied to the request, ``None`` without one."""
        return self.exchange.fault

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, which has the length of the body only."""
        return {
            'method': self.method,
            'path': self.path,
            'query': [list(pair) for pair in self.query],
            'headers': self.headers,
            'body_bytes': len(self.body),
            'status': self.status,
            'bytes': self.bytes,
            'complete': self.complete,
            'over': self.over,
            'time': self.time,
            'duration': round(self.duration, 6),
            'connection': self.connection,
            'fault': self.fault,
        }

    def __str__(self) -> str:
        query = '&'.join(f'{name}={value}' for name, value in self.query)
        target = f'{self.path}?{query}' if query else self.path
        outcome = 'no response' if self.status is None else f'{self.status} {self.bytes} bytes'
        rest = '' if self.fault is None else f' [fault: {self.fault}]'
        return f'{self.method} {target} -> {outcome} in {self.duration * 1000:.1f} ms{rest}'


class RequestLog(Sequence[Entry]):
    """The latest requests, oldest first: at most 1000, and at most 32 MiB of bodies. Safe to share between threads.

    A request is added when the sandbox has read it; :meth:`wait` waits until it is finished.

    Args:
        now: The service's time, in milliseconds since the epoch.

    Attributes:
        dropped: Number of older entries that were dropped to make room.
        listener: Called with each entry when it is finished.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._changed = threading.Condition()
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self.dropped = 0
        self.listener: Callable[[Entry], object] | None = None

    def observe(self, exchange: Exchange) -> None:
        """Add a request that was read, or note that it is finished."""
        if exchange.over:
            self._finish(exchange)
            return
        entry = self._entry(exchange)
        with self._changed:
            self._entries.append(entry)
            self._bytes += len(entry.body)
            while len(self._entries) > MOST_ENTRIES or (self._bytes > MOST_BYTES and len(self._entries) > 1):
                self._bytes -= len(self._entries.popleft().body)
                self.dropped += 1

    def _finish(self, exchange: Exchange) -> None:
        with self._changed:
            self._changed.notify_all()
        if self.listener is not None:
            self.listener(self._entry(exchange))

    def _entry(self, exchange: Exchange) -> Entry:
        request = exchange.request
        headers = {name: HIDDEN if name.lower() in SECRET_HEADERS else value for name, value in request.headers.items()}
        return Entry(
            method=request.method,
            path=raw_path(request),
            query=public_query(request),
            headers=headers,
            body=request.get_data(cache=True),
            time=self._now(),
            exchange=exchange,
        )

    def clear(self) -> None:
        """Remove all entries."""
        with self._changed:
            self._entries.clear()
            self._bytes = self.dropped = 0

    def wait(self, count: int, timeout: float = 10.0) -> list[Entry]:
        """Wait until at least ``count`` requests are finished, and return all entries.

        Raises:
            TimeoutError: Fewer are finished after ``timeout`` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._over() >= count, timeout):
                raise TimeoutError(f'{self._over()} requests were finished after {timeout} s, not {count}')
            return list(self._entries)

    def _over(self) -> int:
        return self.dropped + sum(entry.over for entry in self._entries)

    def matching(self, method: str | None = None, path: str | None = None) -> list[Entry]:
        """Return the requests of a method and of a path, or of all below a path that ends in ``/``."""
        return [
            entry
            for entry in self
            if (method is None or entry.method == method.upper())
            and (path is None or entry.path == path or (path.endswith('/') and entry.path.startswith(path)))
        ]

    def __len__(self) -> int:
        with self._changed:
            return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        with self._changed:
            entries = list(self._entries)
        return entries[index]

    def __iter__(self) -> Iterator[Entry]:
        with self._changed:
            return iter(list(self._entries))

    def __repr__(self) -> str:
        return f'<RequestLog of {len(self)} requests>'
