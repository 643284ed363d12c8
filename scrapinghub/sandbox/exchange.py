"""One request and its answer, and what may be made to go otherwise with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from werkzeug.wrappers import Request

from scrapinghub.sandbox.http import Reply


@dataclass
class Fault:
    """What goes otherwise with one request. The default of every attribute is: nothing.

    Attributes:
        answer: Sent instead of asking the application, which then never sees the request.
        delay: Seconds to wait before anything else.
        reset: Reset the connection ``'before'`` the application sees the request, or ``'after'`` it has answered.
        cut_after: End the connection after this many bytes of the body as it travels (compressed if it is; the framing
            of chunks not counted), before a final chunk. A shorter body is sent whole, and then the connection ends.
        framing: How the body is delimited: ``'length'``, ``'chunked'``, or ``'close'`` (by the end of the connection).
        ending: How a cut ends the connection: ``'close'`` in order, or ``'reset'``.
    """

    answer: Reply | None = None
    delay: float = 0.0
    reset: Literal['before', 'after'] | None = None
    cut_after: int | None = None
    framing: Literal['length', 'chunked', 'close'] | None = None
    ending: Literal['close', 'reset'] = 'close'


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
        fault: What was made to go otherwise.
    """

    request: Request
    connection: int
    started: float
    duration: float = 0.0
    status: int | None = None
    body_bytes: int = 0
    complete: bool = False
    fault: Fault | None = None


class Gone(Exception):
    """The client, or a fault, ended the connection."""
