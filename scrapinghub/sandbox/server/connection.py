"""A client connection while one response is sent on it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from werkzeug.wrappers import Request

from scrapinghub.sandbox.server.exchange import ConnectionEnded, Exchange
from scrapinghub.sandbox.server.response import Response

Application = Callable[[Request], Response]


@dataclass
class Connection:
    """A client connection while one response is sent on it.

    Attributes:
        socket: The socket.
        exchange: The record of the request, which is updated while the response is sent.
        application: Handles the request.
        keep_alive: Whether the connection stays open after the response.
        chunks_allowed: Whether the client speaks HTTP/1.1, so that it understands chunks.
        pause: Waits some seconds.
        closing: Set when the server stops.
        reset: Ends the connection with a reset.
    """

    socket: socket.socket
    exchange: Exchange
    application: Application
    keep_alive: bool
    chunks_allowed: bool
    pause: Callable[[float], object]
    closing: threading.Event
    reset: Callable[[], NoReturn]

    def wait(self, seconds: float) -> None:
        """Wait some seconds.

        Raises:
            ConnectionEnded: The server stops.
        """
        if seconds:
            self.pause(seconds)
        if self.closing.is_set():
            raise ConnectionEnded
