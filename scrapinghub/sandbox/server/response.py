"""A response and its status line, as the server sends them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

#: The recorded reason phrases where they differ from those of :class:`http.HTTPStatus`.
REASONS: Mapping[int, str] = {413: 'Request Entity Too Large', 504: 'Gateway Time-out'}


def reason_of(status: int) -> str:
    """Return the reason phrase of a status as the service spells it."""
    if status in REASONS:
        return REASONS[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return 'Unknown'


@dataclass
class Response:
    """One response.

    Attributes:
        status: HTTP status.
        reason: Reason phrase; ``None`` takes the usual one.
        headers: Headers, without those of framing and compression, which belong to the server.
        body: The bytes, or an iterable of them that is sent while it is produced.
        compress: Whether the body is sent as gzip to a client that accepts it.
    """

    status: int = 200
    reason: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] = b''
    compress: bool = False


class ServiceError(Exception):
    """An error that becomes the response to the client.

    Attributes:
        response: The response.
    """

    def __init__(
        self, status: int, body: bytes = b'', headers: Mapping[str, str] | None = None, reason: str | None = None
    ) -> None:
        super().__init__(f'{status} {body.decode("utf-8", "replace").strip()}')
        self.response = Response(status, reason, dict(headers or {}), body)
