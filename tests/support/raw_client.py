"""A client that sees the bytes: it sends one request and reads until the connection ends or the answer is whole."""

from __future__ import annotations

import base64
import socket
import zlib
from dataclasses import dataclass
from urllib.parse import urlsplit

from scrapinghub.sandbox import Sandbox

LONG = 10.0


@dataclass
class Answer:
    """What came before the connection ended."""

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
        """Unpack as much of the body as came; a broken stream raises."""
        body = b''.join(self.chunks) if self.headers.get('transfer-encoding') == 'chunked' else self.body
        return zlib.decompressobj(31).decompress(body)


class RawClient:
    """One connection to a sandbox."""

    def __init__(self, cloud: Sandbox) -> None:
        parts = urlsplit(cloud.url)
        assert parts.hostname is not None
        self._credentials = base64.b64encode(f'{cloud.apikey}:'.encode()).decode()
        self.socket = socket.create_connection((parts.hostname, parts.port or 80), timeout=LONG)

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, method: str, path: str, body: bytes = b'', /, **headers: str) -> None:
        """Send a request; underscores in names of headers stand for hyphens."""
        lines = [f'{method} {path} HTTP/1.1', 'Host: sandbox', f'Authorization: Basic {self._credentials}']
        lines += [f'{name.replace("_", "-")}: {value}' for name, value in headers.items()]
        lines.append(f'Content-Length: {len(body)}')
        self.socket.sendall('\r\n'.join(lines).encode() + b'\r\n\r\n' + body)

    def read(self, length: int) -> bytes:
        """Read exactly so many bytes."""
        data = b''
        while len(data) < length:
            piece = self.socket.recv(length - len(data))
            assert piece, data
            data += piece
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
            while piece := self.socket.recv(65536):
                data += piece
        except ConnectionResetError:
            reset = True
        head, _, body = data.partition(b'\r\n\r\n')
        return Answer(head, body, reset)


def ask(cloud: Sandbox, method: str, path: str, body: bytes = b'', /, **headers: str) -> Answer:
    """Send one request on a connection of its own and read until it ends."""
    with RawClient(cloud) as client:
        client.send(method, path, body, Connection='close', **headers)
        return client.read_all()
