"""A service that answers what it was told and remembers what it was asked, and clients for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scrapinghub import ScrapinghubClient
from support.scripted_server import Reply, Request, Server, lines_of, reply

KEY = 'c0ffee' * 5 + '42'
JSON = 'application/json'


def json_reply(text: str, **options: Any) -> Reply:
    """Return an answer of the queue server or the dash."""
    return reply(text.encode(), content_type=JSON, **options)


def lines_reply(*records: Any) -> Reply:
    """Return an answer of JSON lines."""
    return reply(lines_of(records))


class Wire(Server):
    """Answers by path; an unknown path is 404.

    Args:
        answers: Replies by ``'METHOD /path'``, or by ``'/path'`` for any method.
    """

    def __init__(self, answers: Mapping[str, Reply]) -> None:
        super().__init__(self.answer)
        self.answers = dict(answers)

    def __enter__(self) -> Wire:
        super().__enter__()
        return self

    def answer(self, request: Request) -> Reply:
        """Return the answer to a request."""
        for name in (f'{request.method} {request.path}', request.path):
            if name in self.answers:
                return self.answers[name]
        return reply(b'Not Found\n', status=404, content_type=None)

    @property
    def asked(self) -> list[str]:
        """What was asked so far: method and target of each request."""
        return [f'{request.method} {request.target}' for request in self.requests]

    @property
    def bodies(self) -> list[str]:
        """The bodies of the requests so far."""
        return [request.body.decode() for request in self.requests]

    def client(self, **options: Any) -> ScrapinghubClient:
        """Return a client for this service that never repeats a request."""
        return ScrapinghubClient(
            options.pop('auth', KEY), f'{self.url}/api/', **{'endpoint': self.url, 'max_retries': 0, **options}
        )
