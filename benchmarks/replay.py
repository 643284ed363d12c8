"""A server that replays prepared bytes, so that the benchmark measures the client and not the server.

Runs in a separate process: ``python replay.py SIZES`` prints its port and serves until its standard input is closed.
"""

from __future__ import annotations

import gzip
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgpack
from products import product
from sizes import SIZES, Sizes

PAGE = 1000
MSGPACK = 'application/x-msgpack; charset=UTF-8'
JSON_LINES = 'application/x-jsonlines; charset=UTF-8'
JSON = 'application/json'


def item(number: int) -> dict[str, Any]:
    """Return a small item, of about 500 bytes."""
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
        '_key': f'1/2/3/{number}',
        'time': 1476803148640 + number,
        'parent': number // 2,
        'duration': 120,
        'status': 200,
        'method': 'GET',
        'rs': 51234,
        'url': f'https://shop.example/catalogue/products/{number}',
        'fp': f'{number:040x}',
    }


def job(number: int) -> dict[str, Any]:
    """Return a job summary."""
    return {
        'key': f'1/2/{1_000_000 - number}',
        'spider': 'products',
        'state': 'finished',
        'close_reason': 'finished',
        'elapsed': 201815620,
        'finished_time': 1492843577852,
        'items': 2000,
        'logs': 21,
        'pages': 2200,
        'pending_time': 1492843520319,
        'running_time': 1492843526622,
        'ts': 1492843563720,
        'version': '792458b-master',
        'tags': ['nightly'],
    }


def event(number: int) -> dict[str, Any]:
    """Return an activity event."""
    return {'event': 'job:completed', 'job': f'1/2/{1_000_000 - number}', 'user': 'jobrunner'}


def batch(number: int) -> dict[str, Any]:
    """Return a frontier batch of ten requests."""
    requests = [[f'/catalogue/products/{number * 10 + position}', {'depth': position}] for position in range(10)]
    return {'id': f'0015f77d{number:010x}', 'requests': requests}


def large(number: int) -> dict[str, Any]:
    """Return a record of one MiB."""
    return {'html': 'x' * (1024 * 1024 - 60), '_key': f'1/2/3/{number}'}


class Prepared:
    """The bodies of all answers.

    Args:
        sizes: How many records they hold.
    """

    def __init__(self, sizes: Sizes) -> None:
        self._bodies: dict[str, tuple[Callable[[int], dict[str, Any]], int]] = {
            '/items/1/2/3': (item, sizes.items),
            '/requests/1/2/3': (request, sizes.items),
            '/collections/1/s/store': (item, sizes.items),
            '/items/1/2/4': (large, sizes.large),
            '/items/1/2/5': (product, sizes.products),
            '/jobq/1/list': (job, sizes.listed),
            '/activity/1': (event, sizes.listed),
            '/hcf/1/front/s/slot/q': (batch, sizes.listed),
        }
        self._body = cache(self._make)

    def body(self, path: str, *, packed: bool, compressed: bool, start: int | None = None) -> bytes | None:
        """Return a whole body, or one page of a listing that begins at ``start``; None if there is no such path."""
        return self._body(path, packed, compressed, start) if path in self._bodies else None

    def count(self, path: str) -> int:
        """Return the number of records of a path."""
        return self._bodies[path][1]

    def _make(self, path: str, packed: bool, compressed: bool, start: int | None) -> bytes:
        make, count = self._bodies[path]
        numbers = range(count) if start is None else range(min(start, count), min(start + PAGE, count))
        records = map(make, numbers)
        if packed:
            data = b''.join(map(msgpack.packb, records))
        else:
            data = b''.join(json.dumps(record).encode() + b'\n' for record in records)
        return gzip.compress(data, 6) if compressed else data


def many_items(count: int) -> Iterator[bytes]:
    """Yield the MessagePack of many items, block by block."""
    block = b''.join(msgpack.packb(item(number)) for number in range(min(count, PAGE)))
    for _ in range(count // PAGE):
        yield block


class Counters:
    """Counters of the server.

    Attributes:
        connections: Number of connections opened.
        released: Set by ``/go``: the slow stream then sends its remaining items.
        rest_sent: Whether the slow stream has sent more than one item.
    """

    def __init__(self) -> None:
        self.connections = 0
        self.released = threading.Event()
        self.rest_sent = False


class Connection(threading.Thread):
    """Serves one connection, keeping it alive.

    Args:
        sock: The connection.
        prepared: The bodies of the answers.
        counters: Its counters.
    """

    def __init__(self, sock: socket.socket, prepared: Prepared, counters: Counters) -> None:
        super().__init__(daemon=True)
        self.sock = sock
        self.file = sock.makefile('rb')
        self.prepared = prepared
        self.counters = counters

    def run(self) -> None:
        """Answer requests until the client closes the connection."""
        try:
            while line := self.file.readline():
                method, target, _ = line.decode().split(' ')
                headers: dict[str, str] = {}
                while header := self.file.readline().decode().strip():
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
        parts = urlsplit(target)
        query = parse_qs(parts.query)
        family, *rest = parts.path.strip('/').split('/')
        packed = 'msgpack' in headers.get('accept', '') and family in ('items', 'collections')
        compressed = 'encoding' in query or 'x-compress' in headers
        # A listing of jobs is sent in pages, even if more are requested.
        start = int(query.get('start', ['0'])[0]) if family == 'jobq' else None
        body = self.prepared.body(parts.path, packed=packed, compressed=compressed, start=start)
        if method == 'POST':
            kind, data = (JSON, b'{"newcount":0}') if family == 'hcf' else ('text/plain', b'')
            self.send(kind, data)
        elif body is not None:
            self.send(MSGPACK if packed else JSON_LINES, body, 'gzip' if compressed else None)
        elif rest[:2] == ['9', '9']:
            # items/9/9/COUNT
            self.send_chunks(MSGPACK, many_items(int(rest[2])))
        elif rest[3:] == ['stats']:
            count = self.prepared.count('/'.join(['', family, *rest[:3]]))
            self.send(JSON, json.dumps({'totals': {'input_values': count}}).encode())
        elif family == 'items':
            self.send_chunks(MSGPACK, self.slowly())
        elif family == 'go':
            self.send(JSON, json.dumps(self.counters.rest_sent).encode())
            self.counters.released.set()
        elif family == 'connections':
            self.send(JSON, json.dumps(self.counters.connections).encode())
        else:
            self.send(JSON, b'"finished"' if family == 'jobs' else b'null')

    def slowly(self) -> Iterator[bytes]:
        """Yield one item, and the others after a request of ``/go``."""
        self.counters.released.clear()
        self.counters.rest_sent = False
        yield msgpack.packb(item(0))
        self.counters.released.wait(60)
        self.counters.rest_sent = True
        for number in range(1, 10):
            yield msgpack.packb(item(number))

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

    def send_chunks(self, kind: str, chunks: Iterator[bytes]) -> None:
        """Send an answer in chunks."""
        self.sock.sendall(f'HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n'.encode())
        for chunk in chunks:
            self.sock.sendall(f'{len(chunk):x}\r\n'.encode() + chunk + b'\r\n')
        self.sock.sendall(b'0\r\n\r\n')


def main() -> None:
    """Serve until standard input is closed."""
    prepared, counters = Prepared(SIZES[sys.argv[1]]), Counters()
    server = socket.create_server(('127.0.0.1', 0), backlog=256)
    print(server.getsockname()[1], flush=True)

    def accept() -> None:
        while True:
            sock, _ = server.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            counters.connections += 1
            Connection(sock, prepared, counters).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


if __name__ == '__main__':
    main()
