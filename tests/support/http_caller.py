"""What tests of the sandbox call it with: a plain HTTP client and a clock that stands still."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any

import msgpack
import requests

START = 1_500_000_000_000


class Clock:
    """A clock that is set by hand, in milliseconds."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


def lines(*values: Any) -> str:
    """Write JSON lines as the client of the recordings does."""
    return ''.join(f'{json.dumps(value)}\n' for value in values)


class Caller:
    """A session of `requests` bound to one sandbox."""

    def __init__(self, url: str, auth: tuple[str, str] | None) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.auth = auth

    def __enter__(self) -> Caller:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.close()

    def call(self, method: str, path: str, data: Any = None, **options: Any) -> requests.Response:
        return self.session.request(method, self.url + path, data=data, timeout=30, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.call('GET', path, **options)

    def post(self, path: str, *values: Any, **options: Any) -> requests.Response:
        """Post JSON lines; it must succeed."""
        response = self.call('POST', path, lines(*values), **options)
        assert response.status_code == 200, response.text
        return response

    def read(self, path: str, **params: Any) -> list[Any]:
        """Return the records of a JSON-lines answer."""
        response = self.call('GET', path, params=params)
        assert response.status_code == 200, response.text
        assert response.headers['Content-Type'] == 'application/x-jsonlines; charset=UTF-8'
        return [json.loads(line) for line in response.content.split(b'\n') if line]

    def read_packed(self, path: str, **params: Any) -> list[Any]:
        """Return the records of a MessagePack answer."""
        response = self.call('GET', path, params=params, headers={'Accept': 'application/x-msgpack'})
        assert response.status_code == 200, response.text
        assert response.headers['Content-Type'] == 'application/x-msgpack; charset=UTF-8'
        unpacker = msgpack.Unpacker()
        unpacker.feed(response.content)
        return list(unpacker)

    def push(self, project: int = 1, spider: str = 'spider', **fields: Any) -> str:
        """Create a job; return its key."""
        key: str = self.post(f'jobq/{project}/push', {'spider': spider, **fields}).json()['key']
        return key
