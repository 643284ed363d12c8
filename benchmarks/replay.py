"""A server that replays prepared bytes, so that the client is measured and not the server.

Runs in a process of its own: ``python replay.py`` prints its port and serves until its standard input is closed.
"""

from __future__ import annotations

import gzip
import json
import socket
import sys
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgpack

ITEMS = 200_000
LISTED = 20_000
LARGE = 100
MILLION = 1_000_000


def item(number: int) -> dict[str, Any]:
    """Return an item of about 500 bytes."""
    return {
        '_type': 'Product',
        'name': f'A product with number {number}',
        'url': f'https://shop.example/catalogue/products/{number}',
        'price': 19.99,
        'stock': number % 97,
        'breadcrumbs': ['Home', 'Books', 'Fiction'],
        'description': 'A plain description, as long as they are. ' * 6,
        '_key': f'1/2/3/{number}',
    }


def request(number: int) -> dict[str, Any]:
    """Return a request record."""
    return {
        '_key': f'1/2/3/{number}', 'time': 1476803148640 + number, 'parent': number // 2, 'duration': 120, 'status': 200,
        'method': 'GET', 'rs': 51234, 'url': f'https://shop.example/catalogue/products/{number}', 'fp': f'{number:040x}',
    }


def job(number: int) -> dict[str, Any]:
    """Return a job summary."""
    return {
        'key': f'1/2/{LISTED - number}', 'spider': 'products', 'state': 'finished', 'close_reason': 'finished',
        'elapsed': 201815620, 'finished_time': 1492843577852, 'items': 2000, 'logs': 21, 'pages': 2200,
        'pending_time': 1492843520319, 'running_time': 1492843526622, 'ts': 1492843563720, 'version': '792458b-master',
        'tags': ['nightly'],
    }


def event(number: int) -> dict[str, Any]:
    """Return an activity event."""
    return {'event': 'job:completed', 'job': f'1/2/{LISTED - number}', 'user': 'jobrunner'}


def batch(number: int) -> dict[str, Any]:
    """Return a frontier batch of ten requests."""
    requests = [[f'/catalogue/products/{number * 10 + place}', {'depth': place}] for place in range(10)]
    return {'id': f'0015f77d{number:010x}', 'requests': requests}


def large(number: int) -> dict[str, Any]:
    """Return a record of one MiB."""
    return {'html': 'x' * (1024 * 1024 - 60), '_key': f'1/2/3/{number}'}


BODIES = {
    '/items/1/2/3': (item, ITEMS),
    '/requests/1/2/3': (request, ITEMS),
    '/collections/1/s/store': (item, ITEMS),
    '/items/1/2/4': (large, LARGE),
    '/jobq/1/list': (job, LISTED),
    '/activity/1': (event, LISTED),
    '/hcf/1/front/s/slot/q': (batch, LISTED),
}


@cache
def body(path: str, packed: bool, compressed: bool) -> bytes:
    """Return the whole body of an answer."""
    make, count = BODIES[path]
    records = map(make, range(count))
    if packed:
        data = b''.join(map(msgpack.packb, records))
    else:
        data = b''.join(json.dumps(record).encode() + b'\n' for record in records)
    return gzip.compress(data, 6) if compressed else data


def million_items() -> Iterator[bytes]:
    """Yield the MessagePack of a million items, without holding it."""
    for start in range(0, MILLION, 1000):
        yield b''.join(msgpack.packb(item(number)) for number in range(start, start + 1000))


class Connection(threading.Thread):
    """Serves one connection, keeping it alive."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(daemon=True)
        self.sock = sock
        self.file = sock.makefile('rb')

    def run(self) -> None:
        """Answer requests until the client goes."""
        try:
            while line := self.file.readline():
                method, target, _ = line.decode().split(' ')
                headers: dict[str, str] = {}
                while (header := self.file.readline().decode().strip()):
                    name, _, value = header.partition(':')
                    headers[name.lower()] = value.strip()
                self.file.read(int(headers.get('content-length', 0)))
                self.answer(method, target, headers)
        except (ConnectionError, ValueError):
            return
        finally:
            self.sock.close()

    def answer(self, method: str, target: str, headers: dict[str, str]) -> None:
        """Send one answer."""
        path = target.partition('?')[0]
        if method == 'POST':
            kind, data = ('application/json', b'{"newcount":0}') if '/hcf/' in path else ('text/plain', b'')
            self.send(kind, data)
        elif path == '/items/1/2/5':
            self.send_chunks('application/x-msgpack; charset=UTF-8', million_items())
        elif path in BODIES:
            family = path.split('/')[1]
            packed = 'msgpack' in headers.get('accept', '') and family in ('items', 'collections')
            compressed = 'gzip' in target.partition('?')[2]
            kind = 'application/x-msgpack; charset=UTF-8' if packed else 'application/x-jsonlines; charset=UTF-8'
            self.send(kind, body(path, packed, compressed), 'gzip' if compressed else None)
        elif path.startswith('/jobs/'):
            self.send('application/json', b'"finished"')
        else:
            self.send('application/json', b'null')

    def send(self, kind: str, data: bytes, encoding: str | None = None) -> None:
        """Send an answer of known length."""
        head = f'HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n'
        if encoding:
            head += f'Content-Encoding: {encoding}\r\n'
        head += '\r\n'
        if len(data) < 65536:
            self.sock.sendall(head.encode() + data)
        else:
            self.sock.sendall(head.encode())
            self.sock.sendall(data)

    def send_chunks(self, kind: str, pieces: Iterator[bytes]) -> None:
        """Send an answer in chunks."""
        self.sock.sendall(f'HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n'.encode())
        for piece in pieces:
            self.sock.sendall(f'{len(piece):x}\r\n'.encode() + piece + b'\r\n')
        self.sock.sendall(b'0\r\n\r\n')


def main() -> None:
    """Serve until standard input is closed."""
    server = socket.create_server(('127.0.0.1', 0), backlog=256)
    print(server.getsockname()[1], flush=True)

    def accept() -> None:
        while True:
            sock, _ = server.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Connection(sock).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


if __name__ == '__main__':
    main()
