"""The three programs behind the hosts of Scrapy Cloud, and how each spells values, empty responses and errors."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from scrapinghub.sandbox.server.response import Response, ServiceError, reason_of

JSON_STORAGE = 'application/json; charset=UTF-8'
TEXT_STORAGE = 'text/plain; charset=UTF-8'
JSON_QUEUE = 'application/json'
LINES_QUEUE = 'application/x-jsonlines'
CORS: Mapping[str, str] = {'Access-Control-Allow-Origin': '*'}


class Service(enum.Enum):
    """The program that responds to a path: storage server, queue server, dash, or the sandbox itself."""

    STORAGE = 'storage'
    QUEUE = 'queue'
    DASH = 'dash'
    OTHER = 'other'

    def error(self, status: int, message: str | None = None) -> ServiceError:
        """Build an error in this program's form.

        Args:
            status: HTTP status from 400.
            message: Description of the error; the reason phrase by default.
        """
        reason = reason_of(status)
        text = message or reason
        if self is Service.STORAGE:
            # Recorded: 401 and 404 carry the bare reason and no content type.
            if message is None:
                return ServiceError(status, f'{reason}\n'.encode(), CORS)
            return ServiceError(status, f'{text}\n'.encode(), {'Content-Type': TEXT_STORAGE, **CORS})
        if self is Service.QUEUE:
            body = json.dumps({'error': reason, 'message': text}, indent=2).encode()
            headers = queue_headers(JSON_QUEUE)
            if status == HTTPStatus.UNAUTHORIZED:
                headers['WWW-Authenticate'] = 'Basic realm="apikey"'
                return ServiceError(status, body, headers, reason.upper())
            return ServiceError(status, body, headers)
        if self is Service.DASH:
            if status == HTTPStatus.UNAUTHORIZED:
                text = message or 'Authentication failed'
            body = compact({'message': text, 'status': 'error'})
            return ServiceError(status, body, {'Content-Type': 'application/json'})
        return ServiceError(status, f'{text}\n'.encode(), {'Content-Type': 'text/plain; charset=utf-8'})


_compact = json.JSONEncoder(separators=(',', ':'), ensure_ascii=False).encode


def compact(value: Any) -> bytes:
    """Encode a value as the storage server does: without spaces, in UTF-8."""
    return _compact(value).encode()


def storage_value(value: Any, status: int = 200) -> Response:
    """Return a response of the storage server with one JSON value."""
    return Response(status, headers={'Content-Type': JSON_STORAGE, **CORS}, body=compact(value))


def storage_empty(content_type: str | None = TEXT_STORAGE) -> Response:
    """Return the empty response of the storage server to a write."""
    return Response(headers=dict(CORS) if content_type is None else {'Content-Type': content_type, **CORS})


def queue_value(value: Any) -> Response:
    """Return a response of the queue server with one JSON value."""
    return Response(headers=queue_headers(JSON_QUEUE), body=json.dumps(value).encode())


def queue_lines(values: Iterable[Any]) -> Response:
    """Return a response of the queue server with JSON lines, without a final newline."""
    body = '\n'.join(json.dumps(value) for value in values).encode()
    return Response(headers=queue_headers(LINES_QUEUE), body=body)


def queue_empty(content_type: str) -> Response:
    """Return an empty response of the queue server."""
    return Response(headers=queue_headers(content_type))


def dash_json(value: Any, status: int = 200, compact: bool = True) -> Response:
    """Return a response of the dash with one JSON value; its calls differ in spacing."""
    separators = (',', ':') if compact else None
    return Response(
        status, headers={'Content-Type': 'application/json'}, body=json.dumps(value, separators=separators).encode()
    )


def queue_headers(content_type: str) -> dict[str, str]:
    """Return the headers that every response of the queue server has, errors included."""
    return {'Content-Type': content_type, 'X-Service-Version': 'sandbox', **CORS}
