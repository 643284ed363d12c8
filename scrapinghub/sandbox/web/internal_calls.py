"""Calls to the sandbox's own service from inside, without a socket: what the page shows and what the demo stores."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, urlencode

from scrapinghub.sandbox.app import App
from scrapinghub.sandbox.server.receiving import build_request


class Refused(Exception):
    """The service answered another status than 200 or 202.

    Attributes:
        status: The status.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f'{status} {text}')
        self.status = status


class Inside:
    """A caller with the API key.

    Args:
        app: The service.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    def ask(self, method: str, path: str, body: bytes = b'', **query: Any) -> bytes:
        """Send a request and return the body of the answer.

        Args:
            method: The method.
            path: The path, percent-encoded.
            body: The body.
            query: Query parameters; a list repeats one.

        Raises:
            Refused: The service answered an error.
        """
        target = f'{path}?{urlencode({"apikey": self._app.apikey, **query}, doseq=True)}'
        reply = self._app(build_request(method, target, 'HTTP/1.1', (), body, 0))
        text = reply.body if isinstance(reply.body, bytes) else b''.join(reply.body)
        if reply.status not in (200, 202):
            raise Refused(reply.status, text.decode('utf-8', 'replace').strip())
        return text

    def value(self, path: str, **query: Any) -> Any:
        """Return the one JSON value that a path answers."""
        return json.loads(self.ask('GET', path, **query))

    def lines(self, path: str, **query: Any) -> list[Any]:
        """Return the JSON lines that a path answers."""
        return [json.loads(line) for line in self.ask('GET', path, **query).split(b'\n') if line]

    def post(self, path: str, values: Iterable[Any], **query: Any) -> list[Any]:
        """Post JSON lines, return the JSON lines of the answer."""
        body = '\n'.join(json.dumps(value) for value in values).encode()
        return [json.loads(line) for line in self.ask('POST', path, body, **query).split(b'\n') if line]


def segment(name: object) -> str:
    """Encode a name as one segment of a path."""
    return quote(str(name), safe='')
