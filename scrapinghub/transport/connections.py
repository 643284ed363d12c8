"""Connections that notice when an answer breaks off inside its head.

``http.client`` takes the end of the connection for the end of the headers: a cut there would pass for an answer of good
status, without a length and without a body.
"""

from __future__ import annotations

import http.client
import io
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class _WholeLines(io.BufferedReader):
    """What a connection sends; a line that ends with the connection and not with a line feed is an error."""

    # Nothing in place of the status line, or after the last chunk, is left to http.client.
    needs_line = False
    first: io.BufferedReader | None = None

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next line.

        Raises:
            http.client.IncompleteRead: The connection ended inside it, or before it where one has to follow.
        """
        line = super().readline(size)
        if line.endswith(b'\n') or (size is not None and 0 <= size <= len(line)):
            return line
        if line or self.needs_line:
            raise http.client.IncompleteRead(line)
        return line


class HeadedResponse(http.client.HTTPResponse):
    """An answer whose status line and headers have arrived to their end."""

    def begin(self) -> None:
        """Read the status line and the headers."""
        if type(self.fp) is not io.BufferedReader:
            return super().begin()
        # The buffer made by http.client is empty yet. It is kept, because it would close the connection when it goes.
        stream = _WholeLines(self.fp.raw)
        stream.first = self.fp
        self.fp = stream
        stream.needs_line = bool(stream.peek(1))
        super().begin()
        stream.needs_line = False


def _with_whole_heads(connection: Any) -> Any:
    # Stand-ins for connections are left alone.
    if isinstance(connection, http.client.HTTPConnection):
        connection.response_class = HeadedResponse
    return connection


class _Pool(HTTPConnectionPool):
    def _new_conn(self) -> Any:
        return _with_whole_heads(super()._new_conn())


class _TLSPool(HTTPSConnectionPool):
    def _new_conn(self) -> Any:
        return _with_whole_heads(super()._new_conn())


_POOLS = {'http': _Pool, 'https': _TLSPool}


class Adapter(HTTPAdapter):
    """What joins a session to such connections, directly and through a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the pools of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager
