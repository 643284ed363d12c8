"""Run one case with one implementation and print what it cost, as one line of JSON.

Runs in the environment of the implementation: ``python worker.py CASE IMPLEMENTATION URL``. The cases of the two packages
are the same program; only the bare loop is written by hand.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

KEY = '0123456789abcdef0123456789abcdef'
WRITES = 50_000
CALLS = 500


def client(url: str, **options: Any) -> Any:
    """Return a client of the package that is installed here."""
    from scrapinghub import ScrapinghubClient

    return ScrapinghubClient(KEY, dash_endpoint=f'{url}/api/', endpoint=url, **options)


def consume(records: Any) -> int:
    """Iterate as a program does."""
    number = 0
    for record in records:  # noqa: B007
        number += 1
    return number


# Both packages

def items_msgpack(url: str) -> int:
    return consume(client(url).get_job('1/2/3').items.iter())


def items_msgpack_gzip(url: str) -> int:
    return consume(client(url).get_job('1/2/3').items.iter(encoding='gzip'))


def items_json(url: str) -> int:
    return consume(client(url, use_msgpack=False).get_job('1/2/3').items.iter())


def requests_json(url: str) -> int:
    return consume(client(url).get_job('1/2/3').requests.iter())


def collection_scan(url: str) -> int:
    return consume(client(url).get_project(1).collections.get_store('store').iter())


def large_records(url: str) -> int:
    return consume(client(url, use_msgpack=False).get_job('1/2/4').items.iter())


def job_summaries(url: str) -> int:
    return consume(client(url).get_project(1).jobs.iter())


def activity_events(url: str) -> int:
    return consume(client(url).get_project(1).activity.iter())


def frontier_batches(url: str) -> int:
    return consume(client(url).get_project(1).frontiers.get('front').get('slot').q.iter())


def item_writes(url: str) -> int:
    sh = client(url)
    items = sh.get_job('1/2/3').items
    for number in range(WRITES):
        items.write(an_item(number))
    items.flush()
    sh.close()
    return WRITES


def frontier_adds(url: str) -> int:
    sh = client(url)
    slot = sh.get_project(1).frontiers.get('front').get('slot')
    for number in range(WRITES):
        slot.q.add([{'fp': f'/catalogue/products/{number}', 'qdata': {'depth': 1}}])
    slot.flush()
    sh.close()
    return WRITES


def metadata_calls(url: str) -> int:
    metadata = client(url).get_job('1/2/3').metadata
    for _ in range(CALLS):
        metadata.get('state')
    return CALLS


def million_items(url: str) -> int:
    return consume(client(url).get_job('1/2/5').items.iter())


def an_item(number: int) -> dict[str, Any]:
    """Return an item to write."""
    return {
        'name': f'A product with number {number}', 'url': f'https://shop.example/catalogue/products/{number}',
        'price': 19.99, 'stock': number % 97, 'breadcrumbs': ['Home', 'Books', 'Fiction'],
        'description': 'A plain description, as long as they are. ' * 6,
    }


# The bare loops

def _stream(url: str, path: str, **headers: str) -> Any:
    import requests

    session = requests.Session()
    response = session.get(url + path, auth=(KEY, ''), stream=True, headers=headers)
    return response.iter_content(65536)


def _bare_msgpack(url: str, path: str) -> int:
    import msgpack

    unpacker = msgpack.Unpacker(raw=False)
    number = 0
    for chunk in _stream(url, path, Accept='application/x-msgpack'):
        unpacker.feed(chunk)
        for record in unpacker:
            record.pop('_key')
            number += 1
    return number


def _bare_lines(url: str, path: str, decode: Callable[[bytes], Any], key: str | None) -> int:
    number = 0
    rest = b''
    for chunk in _stream(url, path):
        lines = chunk.split(b'\n')
        lines[0] = rest + lines[0]
        rest = lines.pop()
        for line in lines:
            record = decode(line)
            if key:
                record.pop(key)
            number += 1
    return number


def _bare_calls(url: str) -> int:
    import requests

    session = requests.Session()
    session.trust_env = False
    session.auth = (KEY, '')
    for _ in range(CALLS):
        response = session.get(f'{url}/jobs/1/2/3/state', timeout=60)
        response.raise_for_status()
        response.json()
    return CALLS


BARE: dict[str, Callable[[str], int]] = {
    'items_msgpack': lambda url: _bare_msgpack(url, '/items/1/2/3'),
    'items_msgpack_gzip': lambda url: _bare_msgpack(url, '/items/1/2/3?encoding=gzip'),
    'items_json': lambda url: _bare_lines(url, '/items/1/2/3', json.loads, '_key'),
    'requests_json': lambda url: _bare_lines(url, '/requests/1/2/3', json.loads, '_key'),
    'collection_scan': lambda url: _bare_msgpack(url, '/collections/1/s/store'),
    'large_records': lambda url: _bare_large(url),
    'job_summaries': lambda url: _bare_lines(url, '/jobq/1/list', json.loads, None),
    'activity_events': lambda url: _bare_lines(url, '/activity/1', json.loads, None),
    'frontier_batches': lambda url: _bare_lines(url, '/hcf/1/front/s/slot/q', json.loads, None),
    'metadata_calls': _bare_calls,
}


def _bare_large(url: str) -> int:
    number = 0
    parts: list[bytes] = []
    for chunk in _stream(url, '/items/1/2/4'):
        head, separator, tail = chunk.partition(b'\n')
        parts.append(head)
        if separator:
            json.loads(b''.join(parts)).pop('_key')
            number += 1
            parts = [tail]
    return number


def _fast(decode_case: str) -> Callable[[str], int]:
    def run(url: str) -> int:
        import msgspec

        path = '/items/1/2/3' if decode_case == 'items_json' else '/requests/1/2/3'
        return _bare_lines(url, path, msgspec.json.decode, '_key')

    return run


BARE_FAST = {'items_json': _fast('items_json'), 'requests_json': _fast('requests_json')}


def main() -> None:
    """Run what the command line names."""
    case, implementation, url = sys.argv[1:4]
    if implementation == 'ours-plain':
        # The extra ``fast`` is installed beside; this run is without it.
        sys.modules['msgspec'] = None  # type: ignore[assignment]
    if case == 'import':
        started, cpu = time.perf_counter(), time.process_time()
        __import__('requests' if implementation == 'bare' else 'scrapinghub')
        print(json.dumps({'wall': time.perf_counter() - started, 'cpu': time.process_time() - cpu, 'number': 1}))
        return
    bare = {'bare': BARE, 'bare-fast': BARE_FAST}.get(implementation)
    run = bare[case] if bare is not None else globals()[case]
    if bare is None and case != 'million_items':
        # Whatever is loaded at the first use is no part of the case.
        import requests  # noqa: F401

        client(url).get_job('1/2/3').metadata.get('state')
    elif bare is None:
        client(url).get_job('1/2/3').metadata.get('state')
        consume(client(url).get_job('1/2/3').items.iter(count=1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, cpu = time.perf_counter(), time.process_time()
    number = run(url)
    figures = {
        'wall': time.perf_counter() - started,
        'cpu': time.process_time() - cpu,
        'number': number,
        'growth': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before,
    }
    print(json.dumps(figures))


if __name__ == '__main__':
    main()
