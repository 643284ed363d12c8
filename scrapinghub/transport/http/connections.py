"""What lies between ``requests`` and a socket: requests, sessions and connection pools."""

from __future__ import annotations

import http.client
import queue
import re
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

from scrapinghub.redaction import strip_secrets
from scrapinghub.transport.http.body import HeadedResponse

ACCEPT_ENCODING = 'gzip, deflate'
# Many threads may share one client; a smaller pool would discard connections.
POOL_SIZE = 256

# What ``requests`` leaves unchanged: a lower-case host, and segments without dots only or characters to quote.
_PLAIN_URL = re.compile(
    r'https?://[a-z0-9][a-z0-9.-]*(?::[1-9][0-9]{0,3}|:[1-5][0-9]{4})?(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+'
).fullmatch

# Headers of requests that hold credentials, also those that programs add.
_IS_SECRET = re.compile(r'auth|cookie|key|token|secret|password|session', re.IGNORECASE).search


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
        for name in filter(_IS_SECRET, self.headers):
            del shown.headers[name]
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


def session_settings(session: requests.Session) -> dict[str, Any]:
    """Return what a program may have set at a session, for a copy of it."""
    return {name: getattr(session, name) for name in ('auth', 'cert', 'headers', 'proxies', 'trust_env', 'verify')}


def renew(adapter: Any) -> None:
    """Give an adapter new pools, as it gets them when it is unpickled; the old ones are not used or waited for.

    Args:
        adapter: Any adapter of ``requests``.
    """
    adapter.__setstate__(adapter.__getstate__())
