"""Call an application without a socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, urlencode

from werkzeug.wrappers import Request

from scrapinghub.sandbox.server.request_reader import build_request
from scrapinghub.sandbox.server.response import Response


class LocalCallError(Exception):
    """The application returned an error status.

    Attributes:
        status: The status.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f'{status} {text}')
        self.status = status


class LocalClient:
    """A client that has the API key and calls the application directly.

    Args:
        application: The application.
        apikey: The API key.
    """

    def __init__(self, application: Callable[[Request], Response], apikey: str) -> None:
        self._application = application
        self._apikey = apikey

    def request(self, method: str, path: str, body: bytes = b'', **query: Any) -> bytes:
        """Send a request and return the body of the response.

        Args:
            method: The method.
            path: The path, percent-encoded.
            body: The body.
            query: Query parameters; a list repeats one.

        Raises:
            LocalCallError: The application returned an error.
        """
        target = f'{path}?{urlencode({"apikey": self._apikey, **query}, doseq=True)}'
        response = self._application(build_request(method, target, 'HTTP/1.1', (), body, 0))
        content = response.body if isinstance(response.body, bytes) else b''.join(response.body)
        if response.status not in (200, 201, 202):
            raise LocalCallError(response.status, content.decode('utf-8', 'replace').strip())
        return content

    def value(self, path: str, **query: Any) -> Any:
        """Return the JSON value of a response."""
        return json.loads(self.request('GET', path, **query))

    def lines(self, path: str, **query: Any) -> list[Any]:
        """Return the JSON lines of a response."""
        return _json_lines(self.request('GET', path, **query))

    def post(self, path: str, values: Iterable[Any], **query: Any) -> list[Any]:
        """Post JSON lines and return the JSON lines of the response."""
        body = '\n'.join(json.dumps(value) for value in values).encode()
        return _json_lines(self.request('POST', path, body, **query))


def _json_lines(content: bytes) -> list[Any]:
    return [json.loads(line) for line in content.split(b'\n') if line]


def segment(name: object) -> str:
    """Encode a name as one segment of a path."""
    return quote(str(name), safe='')
