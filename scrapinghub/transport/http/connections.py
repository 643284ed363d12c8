"""What lies between ``requests`` and a socket: requests, sessions, connection pools and the heads of responses.

``http.client`` takes the end of the connection for the end of the headers: a cut there would pass for a response of
good status, without a length and without a body. And it reads lines as long as bytes keep arriving: slow headers, many
informational responses, or endless lines after the last chunk would block a call for ever. :class:`HeadedResponse`
detects both.
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
from collections.abc import Iterator
from http.cookiejar import CookieJar
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.hooks import default_hooks
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from scrapinghub.redaction import redact, strip_secrets

# A head, a whole value, or one record of a stream may take this many time-outs: slow bytes must not block a call for
# ever.
BODY_TIMEOUTS = 5
# Lines that follow one another may have so many bytes together; the head of a response has some hundreds.
MAX_LINES_BYTES = 1024 * 1024

ACCEPT_ENCODING = 'gzip, deflate'
# Many threads may share one client; a smaller pool would discard connections.
POOL_SIZE = 256

# A header with a number or a cookie is never longer: int() raises an error for numbers of more than 4300 digits.
MAX_VALUE_LENGTH = 4096

# What ``requests`` leaves unchanged: a lower-case host, and segments without dots only or characters to quote.
_PLAIN_URL = re.compile(
    r'https?://[a-z0-9][a-z0-9.-]*(?::[1-9][0-9]{0,3}|:[1-5][0-9]{4})?(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+'
).fullmatch
# The first empty line: where a head ends.
_END_OF_HEAD = re.compile(rb'\n\r?\n').search
# A status other than 1xx, whose head is followed by the body and not by another head.
_FINAL_STATUS = re.compile(rb'HTTP/1\.[01] [2-5]').match


# Requests and sessions


class Prepared(requests.PreparedRequest):
    """A prepared request that knows its time limits.

    Attributes:
        timeout: Seconds, or a pair of seconds for opening the connection and for each wait; None for no limit.
        own_timeout: Whether the limits were given for this call, and not for the client.
    """

    timeout: Any = None
    own_timeout: bool = False

    def prepare_url(self, url: Any, params: Any) -> None:
        """Set the address; a plain one needs no parsing."""
        if params or not isinstance(url, str) or not _PLAIN_URL(url):
            super().prepare_url(url, params)
        else:
            self.url = url

    def prepare_cookies(self, cookies: Any) -> None:
        """Set the cookies; an empty jar is not searched."""
        if isinstance(cookies, CookieJar) and not len(cookies):
            self._cookies = cookies
        else:
            super().prepare_cookies(cookies)

    def without_credentials(self) -> Prepared:
        """Return a copy for errors, which may be logged or pickled: without credentials, cookies and hooks."""
        shown = Prepared()
        vars(shown).update(vars(self), _cookies=None)
        shown.headers = self.headers.copy()
        for name in ('Authorization', 'Proxy-Authorization', 'Cookie'):
            shown.headers.pop(name, None)
        shown.hooks = default_hooks()
        if shown.url is not None and ('@' in shown.url or 'apikey' in shown.url.lower()):
            shown.url = strip_secrets(shown.url)
        return shown


class Session(requests.Session):
    """A session that follows redirects only with ``allow_redirects``."""

    def resolve_redirects(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Follow redirects; without ``allow_redirects`` requests would read each body to prepare the next request."""
        if kwargs.get('yield_requests'):
            return iter(())
        follow: Iterator[Any] = super().resolve_redirects(*args, **kwargs)
        return follow


class Cookies(RequestsCookieJar):
    """The cookies of a session; its lock is taken only for responses that set some.

    A lock that is taken for each response may be left locked for ever: where Ctrl-C arrives just after it was taken, or
    where the process is forked meanwhile.
    """

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Extract the cookies of a response, if it sets any."""
        if 'Set-Cookie' in response.info():
            super().extract_cookies(response, request)

    def copy(self) -> Cookies:
        """Return the same cookies under a new lock."""
        found = Cookies(self.get_policy())
        found.update(self)
        return found


# Heads of responses


class _WholeLines(io.BufferedReader):
    """The bytes of a connection; a line that ends with the connection and not with a line feed is an error.

    Attributes:
        time_limit: Seconds that lines which follow one another, with no other data in between, may take together.
        deadline: When this time is over; None before the first line.
        size: Number of bytes of these lines.
    """

    # An empty line in place of the status line, or after the last chunk, is left to http.client.
    needs_line = False
    first: io.BufferedReader | None = None
    time_limit = math.inf
    deadline: float | None = None
    size = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next line.

        Raises:
            http.client.IncompleteRead: The connection ended inside it, or before it where one has to follow.
            http.client.HTTPException: The lines have too many bytes.
            TimeoutError: They take too long, although bytes keep arriving.
        """
        if self.deadline is None:
            self.deadline, self.size = time.monotonic() + self.time_limit, 0
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
            if time.monotonic() > self.deadline:
                raise TimeoutError(f'the head of the response did not arrive within {self.time_limit:.0f} seconds')
        self.size += len(line)
        if self.size > MAX_LINES_BYTES:
            raise http.client.HTTPException(f'its head has more than {MAX_LINES_BYTES} bytes')
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        """Return data, and restart the limits of the lines that follow."""
        self.deadline = None
        return super().read(size)

    def read1(self, size: int = -1, /) -> bytes:
        """Return data that has arrived, and restart the limits of the lines that follow."""
        self.deadline = None
        return super().read1(size)


class HeadedResponse(http.client.HTTPResponse):
    """A response whose status line and headers have arrived completely."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        # Stand-ins for a socket need no limit.
        timeout = sock.gettimeout() if hasattr(sock, 'gettimeout') else None
        self._time_limit = math.inf if timeout is None else BODY_TIMEOUTS * timeout

    def begin(self) -> None:
        """Read the status line and the headers."""
        if type(self.fp) is not io.BufferedReader:
            return super().begin()
        # The buffer made by http.client is still empty. It is kept, because it closes the connection when it is freed.
        stream = _WholeLines(self.fp.raw)
        stream.first = self.fp
        stream.time_limit = self._time_limit
        self.fp = stream
        held = stream.peek(1)
        end = _END_OF_HEAD(held) if _FINAL_STATUS(held) else None
        if end is None:
            stream.needs_line = bool(held)
            super().begin()
            stream.needs_line = False
        else:
            # The whole head has arrived, so that none of its lines can be cut or late.
            self.fp = io.BufferedReader(io.BytesIO(io.BufferedReader.read(stream, end.end())))
            try:
                super().begin()
            finally:
                self.fp = stream
        # The body may be read much later.
        stream.deadline = None
        if (stream.size if end is None else end.end()) > MAX_VALUE_LENGTH:
            self._check_huge_values()

    def _check_huge_values(self) -> None:
        for name in ('Content-Length', 'Set-Cookie'):
            if any(len(value) > MAX_VALUE_LENGTH for value in self.headers.get_all(name, ())):
                if name == 'Content-Length':
                    raise http.client.HTTPException(f'its {name} has more than {MAX_VALUE_LENGTH} characters')
                # Browsers ignore such cookies, too.
                del self.headers[name]

    def _read_status(self) -> tuple[str, int, str]:
        # http.client takes each status but 100 for the final one: the real response would be that of the next request.
        try:
            version, status, reason = super()._read_status()  # type: ignore[misc]
        except http.client.BadStatusLine as error:
            # It may be anything, the request included.
            line = redact(str(error))
            vars(error).update(line=line)
            error.args = (line,)
            raise
        while 100 <= status < 200:
            if status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                raise http.client.HTTPException('it switches to another protocol (101), which was not requested')
            http.client.parse_headers(self.fp)
            version, status, reason = super()._read_status()  # type: ignore[misc]
        return version, status, reason

    def flush(self) -> None:
        """Do nothing: nothing is ever written to a response.

        The close of ``http.client`` calls it. Called after an interruption had closed the connection, a buffer would
        raise a ``ValueError`` in place of the interruption.
        """


def _with_whole_heads(connection: Any) -> Any:
    # Stand-ins for connections stay as they are.
    if isinstance(connection, http.client.HTTPConnection):
        connection.response_class = HeadedResponse
    return connection


# Pools


class _Idle:
    """The idle connections of a pool, last in first out; replaces the queue in the pools of urllib3.

    It has no lock: that of a queue stays locked for ever where Ctrl-C arrives just after it was taken, or where the
    process is forked meanwhile, and every later request would wait for it.

    A pool puts None into it for each connection that it may hold. Without these it opens one where none is idle, too,
    and a large pool costs no more than a small one.

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
    """Connects a session to such pools, directly and through a proxy.

    The pool of a request is determined once for each host, unless a proxy may be used.
    """

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        """Return the pool of connections for a request."""
        # The path begins here; every prepared address has one, but an address that was set by hand may have none.
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


def make_session(user_agent: str) -> Session:
    """Return a session with such pools.

    Args:
        user_agent: Header of the same name.
    """
    session = Session()
    adapter = Adapter(pool_connections=16, pool_maxsize=POOL_SIZE)
    session.mount('http://', adapter)
    session.mount('https://', adapter)
    session.cookies = Cookies()
    session.headers.clear()
    session.headers.update({'Accept-Encoding': ACCEPT_ENCODING, 'Connection': 'keep-alive', 'User-Agent': user_agent})
    return session


def renew(adapter: Any) -> None:
    """Give an adapter new pools, as it gets them when it is unpickled; the old ones are not used or waited for.

    Args:
        adapter: Any adapter of ``requests``.
    """
    adapter.__setstate__(adapter.__getstate__())
