"""Transports for tests: ready to talk to one server, with a clock that does not wait."""

from __future__ import annotations

from typing import Any

from scrapinghub.config.credentials import Credentials
from scrapinghub.config.endpoints import Endpoints
from scrapinghub.transport.http.transport import Transport
from support.clocks import ManualClock
from support.scripted_server import Server

KEY = '0123456789abcdef' * 2


def make_transport(server: Server | str, clock: ManualClock | None = None, **options: Any) -> Transport:
    """Return a transport whose three services are one server.

    Args:
        server: The server, or a base URL.
        clock: Time; a clock that does not wait if None.
        **options: Further arguments of :class:`Transport`.
    """
    url = server if isinstance(server, str) else server.url
    options.setdefault('user_agent', 'test')
    options.setdefault('timeout', 10.0)
    credentials = options.pop('credentials', Credentials(KEY))
    return Transport(credentials, Endpoints(url, url, url), clock=clock or ManualClock(), **options)


def in_real_time(server: Server) -> Transport:
    """Return a transport that uses the clock of the machine, for tests with several threads."""
    return Transport(Credentials('key'), Endpoints(server.url, server.url, server.url), user_agent='test', timeout=20)
