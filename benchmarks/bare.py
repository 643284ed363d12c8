"""The bare loops: the cost of ``requests`` and a decoder, without any library around them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from sizes import Sizes

KEY = '0123456789abcdef0123456789abcdef'
PAGE = 1000

Loop = Callable[[str, Sizes], int]


def _stream(session: Any, url: str, path: str, **headers: str) -> Iterator[bytes]:
    response = session.get(url + path, auth=(KEY, ''), stream=True, headers=headers)
    chunks: Iterator[bytes] = response.iter_content(65536)
    return chunks


def _session() -> Any:
    import requests

    return requests.Session()


def messagepack(path: str, url: str, sizes: Sizes) -> int:
    """Decode records and remove their keys."""
    import msgpack

    unpacker = msgpack.Unpacker(raw=False)
    number = 0
    for chunk in _stream(_session(), url, path, Accept='application/x-msgpack'):
        unpacker.feed(chunk)
        for record in unpacker:
            record.pop('_key')
            number += 1
    return number


def _lines(session: Any, url: str, path: str, decode: Callable[[bytes], Any], key: str | None) -> int:
    number = 0
    rest = b''
    for chunk in _stream(session, url, path):
        lines = chunk.split(b'\n')
        lines[0] = rest + lines[0]
        rest = lines.pop()
        for line in lines:
            record = decode(line)
            if key:
                record.pop(key)
            number += 1
    return number


def json_lines(path: str, key: str | None, url: str, sizes: Sizes) -> int:
    """Decode line by line with the standard library."""
    return _lines(_session(), url, path, json.loads, key)


def _fast_decode() -> Callable[[bytes], Any]:
    import msgspec

    return msgspec.json.decode


def fast_lines(path: str, key: str | None, url: str, sizes: Sizes) -> int:
    """Decode line by line with the fast decoder."""
    return _lines(_session(), url, path, _fast_decode(), key)


def large_lines(url: str, sizes: Sizes) -> int:
    """Join and decode lines that are longer than one read."""
    number = 0
    parts: list[bytes] = []
    for chunk in _stream(_session(), url, '/items/1/2/4'):
        head, separator, tail = chunk.partition(b'\n')
        parts.append(head)
        if separator:
            json.loads(b''.join(parts)).pop('_key')
            number += 1
            parts = [tail]
    return number


def pages(decode: Callable[[bytes], Any], url: str, sizes: Sizes) -> int:
    """Read a listing of jobs, page after page."""
    session = _session()
    starts = range(0, sizes.listed, PAGE)
    return sum(_lines(session, url, f'/jobq/1/list?start={start}&count={PAGE}', decode, None) for start in starts)


def fast_pages(url: str, sizes: Sizes) -> int:
    """Do the same with the fast decoder."""
    return pages(_fast_decode(), url, sizes)


def calls(url: str, sizes: Sizes) -> int:
    """Make small calls with a tuned session."""
    session = _session()
    session.trust_env = False
    session.auth = (KEY, '')
    for _ in range(sizes.calls):
        response = session.get(f'{url}/jobs/1/2/3/state', timeout=60)
        response.raise_for_status()
        response.json()
    return sizes.calls


LOOPS: dict[str, Loop] = {
    'products_msgpack': partial(messagepack, '/items/1/2/5'),
    'products_msgpack_gzip': partial(messagepack, '/items/1/2/5?encoding=gzip'),
    'products_json': partial(json_lines, '/items/1/2/5', '_key'),
    'items_msgpack': partial(messagepack, '/items/1/2/3'),
    'items_msgpack_gzip': partial(messagepack, '/items/1/2/3?encoding=gzip'),
    'items_json': partial(json_lines, '/items/1/2/3', '_key'),
    'requests_json': partial(json_lines, '/requests/1/2/3', '_key'),
    'collection_scan': partial(messagepack, '/collections/1/s/store'),
    'large_records': large_lines,
    'job_summaries': partial(pages, json.loads),
    'activity_events': partial(json_lines, '/activity/1', None),
    'frontier_batches': partial(json_lines, '/hcf/1/front/s/slot/q', None),
    'metadata_calls': calls,
}

FAST_LOOPS: dict[str, Loop] = {
    'products_json': partial(fast_lines, '/items/1/2/5', '_key'),
    'items_json': partial(fast_lines, '/items/1/2/3', '_key'),
    'requests_json': partial(fast_lines, '/requests/1/2/3', '_key'),
    'job_summaries': fast_pages,
    'activity_events': partial(fast_lines, '/activity/1', None),
    'frontier_batches': partial(fast_lines, '/hcf/1/front/s/slot/q', None),
}
