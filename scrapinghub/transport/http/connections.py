"""Connections that notice when an answer breaks off inside its head, or when its head has no end.

``http.client`` takes the end of the connection for the end of the headers: a cut there would pass for an answer of good
status, without a length and without a body. And it reads lines as long as bytes keep coming: headers that trickle in,
answers 100 one after another, or lines without end after the last chunk would hold a call for ever.
"""

from __future__ import annotations

import http.client
import io
import math
import queue
import re
import sys
import time
import weakref
from collections import deque
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from scrapinghub.transport.http.network_errors import BODY_TIMEOUTS

# The first empty line: where a head ends.
_END_OF_HEAD = re.compile(rb'\n\r?\n').search
# An answer of another status than 100, after which comes another head.
_FINAL = re.compile(rb'HTTP/1\.[01] [2-5]').match

# Lines that follow one another may have so many bytes together; the head of an answer of the service has some hundreds.
MAX_LINES_BYTES = 1024 * 1024


class _WholeLines(io.BufferedReader):
    """What a connection sends; a line that ends with the connection and not with a line feed is an error.

    Attributes:
        patience: Seconds that lines which follow one another, with no other data in between, may take together.
    """

    # Nothing in place of the status line, or after the last chunk, is left to http.client.
    needs_line = False
    first: io.BufferedReader | None = None
    patience = math.inf
    _until: float | None = None
    _size = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next line.

        Raises:
            http.client.IncompleteRead: The connection ended inside it, or before it where one has to follow.
            http.client.HTTPException: The lines have too many bytes.
            TimeoutError: They take too long, although bytes keep coming.
        """
        if self._until is None:
            self._until, self._size = time.monotonic() + self.patience, 0
        limit = sys.maxsize if size is None or size < 0 else size
        line = b''
        while not line.endswith(b'\n') and len(line) < limit:
            # One wait for bytes at a time: the line of the buffer itself would wait for the line feed.
            held = self.peek(1)
            if not held and (line or self.needs_line):
                raise http.client.IncompleteRead(line)
            if not held:
                return line
            line += super().read(min(held.find(b'\n') + 1 or len(held), limit - len(line)))
            if time.monotonic() > self._until:
                raise TimeoutError(f'the head of the answer did not arrive within {self.patience:.0f} seconds')
        self._size += len(line)
        if self._size > MAX_LINES_BYTES:
            raise http.client.HTTPException(f'its head has more than {MAX_LINES_BYTES} bytes')
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        """Return data; the lines that follow are counted anew."""
        self.end_lines()
        return super().read(size)

    def read1(self, size: int = -1, /) -> bytes:
        """Return data that has arrived; the lines that follow are counted anew."""
        self.end_lines()
        return super().read1(size)

    def end_lines(self) -> None:
        """Begin to count anew."""
        self._until = None


class HeadedResponse(http.client.HTTPResponse):
    """An answer whose status line and headers have arrived to their end."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        # Those who stand in for a socket need no limit.
        timeout = sock.gettimeout() if hasattr(sock, 'gettimeout') else None
        self._patience = math.inf if timeout is None else BODY_TIMEOUTS * timeout

    def begin(self) -> None:
        """Read the status line and the headers."""
        if type(self.fp) is not io.BufferedReader:
            return super().begin()
        # The buffer made by http.client is empty yet. It is kept, because it would close the connection when it goes.
        stream = _WholeLines(self.fp.raw)
        stream.first = self.fp
        stream.patience = self._patience
        self.fp = stream
        held = stream.peek(1)
        end = _END_OF_HEAD(held) if _FINAL(held) else None
        if end is None:
            stream.needs_line = bool(held)
            super().begin()
            stream.needs_line = False
        else:
            # All of it has arrived, so that none of its lines can be cut or late.
            self.fp = io.BufferedReader(io.BytesIO(stream.read(end.end())))
            try:
                super().begin()
            finally:
                self.fp = stream
        # The body may be asked for much later.
        stream.end_lines()

    def flush(self) -> None:
        """Do nothing: nothing is ever written to an answer.

        The close of ``http.client`` calls it. Asked after an interruption had closed the connection, a buffer would
        raise a ``ValueError`` in place of the interruption.
        """


def _with_whole_heads(connection: Any) -> Any:
    # Stand-ins for connections are left alone.
    if isinstance(connection, http.client.HTTPConnection):
        connection.response_class = HeadedResponse
    return connection


class _Idle:
    """The connections that wait for a request, the last one first; stands in for a queue in the pools of urllib3.

    It has no lock: that of a queue remains held for ever where Ctrl-C arrives just after it was taken, or where the
    process is forked meanwhile, and every later request would wait for it.

    A pool puts None into it for each connection that it may hold. Without these it opens one where none waits, too, and
    a large pool costs no more than a small one.

    Args:
        maxsize: How many are kept.
    """

    def __init__(self, maxsize: int = 0) -> None:
        self._connections: deque[Any] = deque()
        self._maxsize = maxsize

    def put(self, connection: Any, block: bool = True, timeout: float | None = None) -> None:
        """Keep a connection.

        Raises:
            queue.Full: There are enough.
        """
        if connection is None:
            return
        if len(self._connections) >= self._maxsize:
            raise queue.Full
        self._connections.append(connection)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the connection that was kept last.

        Raises:
            queue.Empty: There is none.
        """
        try:
            return self._connections.pop()
        except IndexError:
            raise queue.Empty from None

    def qsize(self) -> int:
        """Return how many there are."""
        return len(self._connections)

    def empty(self) -> bool:
        """Return whether there is none; older versions of vcrpy ask for it."""
        return not self._connections


class _Pool(HTTPConnectionPool):
    QueueCls: Any = _Idle

    def _new_conn(self) -> Any:
        return _with_whole_heads(super()._new_conn())


class _TLSPool(HTTPSConnectionPool):
    QueueCls: Any = _Idle

    def _new_conn(self) -> Any:
        return _with_whole_heads(super()._new_conn())


_POOLS = {'http': _Pool, 'https': _TLSPool}


class Adapter(HTTPAdapter):
    """What joins a session to such connections, directly and through a proxy.

    Which pool a request belongs to is worked out once for each host, where no proxy may stand in between.
    """

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        """Return the pool of connections for a request."""
        # From here on: the path, which every prepared address has; one that was set by hand may be without.
        end = request.url.find('/', len('https://'))
        plain = isinstance(verify, (bool, str)) and isinstance(cert, (str, type(None)))
        key = (request.url[:end], verify, cert) if plain and end > 0 and not proxies else None
        pool = None if key is None else self._pools.get(key)
        if pool is None or pool.pool is None:
            # There is none yet, or it was closed.
            pool = super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
            if key is not None:
                self._pools[key] = pool
        return pool

    def request_url(self, request: Any, proxies: Any) -> str:
        """Return what the request line says."""
        path: str = request.path_url
        return super().request_url(request, proxies) if proxies or path.startswith('//') else path

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        # They live as long as their manager keeps them.
        self._pools: weakref.WeakValueDictionary[tuple[Any, ...], Any] = weakref.WeakValueDictionary()
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the pools of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


def renew(adapter: Any) -> None:
    """Give an adapter new pools, as it gets them when it is unpickled; the old ones are neither asked nor waited for.

    Args:
        adapter: Any adapter of ``requests``.
    """
    adapter.__setstate__(adapter.__getstate__())
