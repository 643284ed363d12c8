"""One request and what became of it."""

from __future__ import annotations

from dataclasses import dataclass

from werkzeug.wrappers import Request

from scrapinghub.sandbox.faults.effects import Met


@dataclass
class Exchange:
    """What happened with one request.

    Attributes:
        request: The request; its headers hold credentials.
        connection: Number of the TCP connection, counted from 1.
        started: When the request was read, in seconds of the monotonic clock.
        duration: Seconds until the answer was sent or abandoned.
        status: HTTP status sent, ``None`` when none was.
        body_bytes: Bytes of the answer's body that were sent, as they travelled.
        complete: Whether the answer was sent whole.
        over: Whether the request is done with, answered or not.
        met: What was made to go otherwise.
    """

    request: Request
    connection: int
    started: float
    duration: float = 0.0
    status: int | None = None
    body_bytes: int = 0
    complete: bool = False
    over: bool = False
    met: Met | None = None


class Gone(Exception):
    """The client, or a fault, ended the connection."""
