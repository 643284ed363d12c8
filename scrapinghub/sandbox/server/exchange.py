"""One request and its response."""

from __future__ import annotations

from dataclasses import dataclass

from werkzeug.wrappers import Request


@dataclass
class Exchange:
    """What happened with one request.

    Attributes:
        request: The request; its headers hold credentials.
        connection: Number of the TCP connection, counted from 1.
        started: When the request was read, in seconds of the monotonic clock.
        duration: Seconds until the response was sent or abandoned.
        status: HTTP status sent, ``None`` when no response was sent.
        body_bytes: Bytes of the response body that were sent, as transferred.
        complete: Whether the whole response was sent.
        over: Whether the request is finished, with or without a response.
        fault: Name of the fault that was applied, ``None`` without one.
    """

    request: Request
    connection: int
    started: float
    duration: float = 0.0
    status: int | None = None
    body_bytes: int = 0
    complete: bool = False
    over: bool = False
    fault: str | None = None


class ConnectionEnded(Exception):
    """The client, or a fault, ended the connection."""
