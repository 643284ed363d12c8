"""How tests of the sandbox send requests: with `requests`, or as bytes over a socket."""

from __future__ import annotations

import base64
import json
import socket
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgpack
import requests

from scrapinghub.sandbox import Sandbox

START = 1_500_000_000_000
TIMEOUT = 10.0

#: All tables of jobs and projects.
TABLES = ('jobs', 'job_tags', 'spiders', 'versions', 'project_settings', 'botgroups', 'activity', 'eggs', 'reports')


class Clock:
    """A clock that is set by hand, in milliseconds."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


def lines(*values: Any) -> str:
    """Encode values as JSON lines."""
    return ''.join(f'{json.dumps(value)}\n' for value in values)


def json_lines(text: str) -> list[Any]:
    """Decode JSON lines."""
    return [json.loads(line) for line in text.split('\n') if line]


def rows(cloud: Sandbox, tables: Iterable[str]) -> dict[str, list[Any]]:
    """Return all rows of some tables, to find out whether something has changed."""
    connection = cloud.store.read()
    return {table: connection.execute(f'SELECT * FROM "{table}" ORDER BY 1, 2').fetchall() for table in tables}


class Caller:
    """Sends requests to one sandbox.

    Args:
        url: Base URL.
        auth: Credentials; None sends none.
    """

    def __init__(self, url: str, auth: tuple[str, str] | None) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.auth = auth

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    # Responses

    def call(self, method: str, path: str, data: Any = None, **options: Any) -> requests.Response:
        """Send a request; return the response, whatever its status."""
        return self.session.request(method, self.url + path.lstrip('/'), data=data, timeout=30, **options)

    def expect(self, method: str, path: str, status: int = 200, **options: Any) -> requests.Response:
        """Send a request; return the response, which must have this status."""
        # Other credentials for one request: None must not mean those of the session.
        if 'auth' in options and options['auth'] is None:
            options['auth'] = _without_credentials
        response = self.call(method, path, **options)
        assert response.status_code == status, f'{method} {path}: {response.status_code} {response.text[:500]}'
        return response

    def get(self, path: str, **options: Any) -> requests.Response:
        """Send a GET; return the response, whatever its status."""
        return self.call('GET', path, **options)

    def post(self, path: str, *values: Any, **options: Any) -> requests.Response:
        """Post JSON lines; return the response, which must have status 200."""
        return self.expect('POST', path, data=lines(*values), **options)

    # Values

    def value(self, path: str, **options: Any) -> Any:
        """Return the single JSON value of a response."""
        return self.expect('GET', path, **options).json()

    def lines(self, path: str, **options: Any) -> list[Any]:
        """Return the JSON lines of a response."""
        return json_lines(self.expect('GET', path, **options).content.decode())

    def read(self, path: str, **params: Any) -> list[Any]:
        """Return the records of a response of the storage in JSON lines."""
        response = self.expect('GET', path, params=params)
        assert response.headers['Content-Type'] == 'application/x-jsonlines; charset=UTF-8'
        return json_lines(response.content.decode())

    def read_packed(self, path: str, **params: Any) -> list[Any]:
        """Return the records of a response of the storage in MessagePack."""
        response = self.expect('GET', path, params=params, headers={'Accept': 'application/x-msgpack'})
        assert response.headers['Content-Type'] == 'application/x-msgpack; charset=UTF-8'
        unpacker = msgpack.Unpacker()
        unpacker.feed(response.content)
        return list(unpacker)

    def send(self, path: str, *values: Any, status: int = 200, **options: Any) -> list[Any]:
        """Post JSON lines; return the JSON lines of the response, or an empty list if it is an error."""
        response = self.expect('POST', path, status, data=lines(*values), **options)
        return json_lines(response.text) if response.ok else []

    # Jobs

    def push(self, spider: str = 'one', project: int = 1, **fields: Any) -> str:
        """Create a job; return its key."""
        (answer,) = self.send(f'jobq/{project}/push', {'spider': spider, **fields})
        key: str = answer['key']
        return key

    def update(self, key: str, **fields: Any) -> list[Any]:
        """Update a job, or all jobs of a spider."""
        return self.send(f'jobq/{key.split("/", maxsplit=1)[0]}/update', {'key': key, **fields})

    def meta(self, key: str) -> Any:
        """Return the metadata of a job."""
        (meta,) = self.lines(f'jobs/{key}')
        return meta

    def keys(self, query: str = '', project: int = 1) -> list[str]:
        """Return the keys of the jobs that the queue lists."""
        return [job['key'] for job in self.lines(f'jobq/{project}/list?{query}')]

    def events(self, project: int = 1) -> list[str]:
        """Return the events of a project as ``job event``, the oldest first."""
        events = self.lines(f'activity/{project}')
        return [f'{event["job"]} {event["event"].removeprefix("job:")}' for event in reversed(events)]


def _without_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


@dataclass
class Answer:
    """The bytes that arrived before the connection ended."""

    head: bytes
    body: bytes
    reset: bool

    @property
    def status(self) -> int | None:
        return int(self.head.split(b' ')[1]) if self.head else None

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode('latin-1').split('\r\n')[1:]
        return {name.lower(): value for name, _, value in (line.partition(': ') for line in lines)}

    @property
    def chunks(self) -> list[bytes]:
        """The chunks of a chunked body; the last may be incomplete, an empty one is the end mark."""
        chunks, rest = [], self.body
        while rest:
            size, _, rest = rest.partition(b'\r\n')
            length = int(size, 16)
            chunks.append(rest[:length])
            rest = rest[length + 2 :]
        return chunks

    def unzipped(self) -> bytes:
        """Decompress as much of the body as arrived; a broken stream raises."""
        body = b''.join(self.chunks) if self.headers.get('transfer-encoding') == 'chunked' else self.body
        return zlib.decompressobj(31).decompress(body)


class RawConnection:
    """One connection to a sandbox, to see every byte."""

    def __init__(self, cloud: Sandbox) -> None:
        parts = urlsplit(cloud.url)
        assert parts.hostname is not None
        self._credentials = base64.b64encode(f'{cloud.apikey}:'.encode()).decode()
        self.socket = socket.create_connection((parts.hostname, parts.port or 80), timeout=TIMEOUT)

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, method: str, path: str, body: bytes = b'', /, **headers: str) -> None:
        """Send a request; underscores in names of headers mean hyphens."""
        lines = [f'{method} {path} HTTP/1.1', 'Host: sandbox', f'Authorization: Basic {self._credentials}']
        lines += [f'{name.replace("_", "-")}: {value}' for name, value in headers.items()]
        lines.append(f'Content-Length: {len(body)}')
        self.socket.sendall('\r\n'.join(lines).encode() + b'\r\n\r\n' + body)

    def read(self, length: int) -> bytes:
        """Read exactly this number of bytes."""
        data = b''
        while len(data) < length:
            chunk = self.socket.recv(length - len(data))
            assert chunk, data
            data += chunk
        return data

    def read_head(self) -> bytes:
        """Read up to the empty line."""
        data = b''
        while not data.endswith(b'\r\n\r\n'):
            data += self.read(1)
        return data[:-4]

    def read_all(self) -> Answer:
        """Read until the connection ends."""
        data, reset = b'', False
        try:
            while chunk := self.socket.recv(65536):
                data += chunk
        except ConnectionResetError:
            reset = True
        head, _, body = data.partition(b'\r\n\r\n')
        return Answer(head, body, reset)


def call_raw(cloud: Sandbox, method: str, path: str, body: bytes = b'', /, **headers: str) -> Answer:
    """Send one request on a new connection, and read until the connection ends."""
    with RawConnection(cloud) as connection:
        connection.send(method, path, body, Connection='close', **headers)
        return connection.read_all()
