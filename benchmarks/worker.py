"""Run one case with one implementation and print its cost as one line of JSON.

Runs in the environment of the implementation: ``python worker.py CASE IMPLEMENTATION URL SIZES``. Both packages run the
same program; only the bare loop is separate.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from bare import FAST_LOOPS, KEY, LOOPS, PAGE
from products import product
from sizes import SIZES, Sizes

# Requests a compressed response of the replay server.
COMPRESSED = {'headers': {'X-Compress': 'gzip'}}


def client(url: str, **options: Any) -> Any:
    """Return a client of the package that is installed here."""
    from scrapinghub import ScrapinghubClient

    return ScrapinghubClient(KEY, dash_endpoint=f'{url}/api/', endpoint=url, **options)


def consume(records: Any) -> int:
    """Iterate as a program does."""
    number = 0
    for _ in records:
        number += 1
    return number


def products_msgpack(url: str, sizes: Sizes) -> int:
    """Iterate over products in MessagePack."""
    return consume(client(url).get_job('1/2/5').items.iter())


def products_msgpack_gzip(url: str, sizes: Sizes) -> int:
    """Iterate over products in compressed MessagePack."""
    return consume(client(url).get_job('1/2/5').items.iter(requests_params=COMPRESSED))


def products_json(url: str, sizes: Sizes) -> int:
    """Iterate over products in JSON lines."""
    return consume(client(url, use_msgpack=False).get_job('1/2/5').items.iter())


def products_list(url: str, sizes: Sizes) -> int:
    """Load all products into a list."""
    return len(client(url).get_job('1/2/5').items.list())


def products_typed(url: str, sizes: Sizes) -> int:
    """Read three fields of products: with a type, if the package can decode into one."""
    items = client(url).get_job('1/2/5').items
    number, total = 0, 0.0
    if hasattr(items, 'partitions'):
        for product in items.iter(type=_book()):
            number += 1
            total += product.price
    else:
        for product in items.iter():
            number += 1
            total += product['price']
    return number


@cache
def _book() -> Any:
    from msgspec import defstruct

    return defstruct('Book', [('url', str), ('name', str), ('price', float)])


def items_msgpack(url: str, sizes: Sizes) -> int:
    """Iterate over items in MessagePack."""
    return consume(client(url).get_job('1/2/3').items.iter())


def items_msgpack_gzip(url: str, sizes: Sizes) -> int:
    """Iterate over items in compressed MessagePack."""
    return consume(client(url).get_job('1/2/3').items.iter(requests_params=COMPRESSED))


def items_json(url: str, sizes: Sizes) -> int:
    """Iterate over items in JSON lines."""
    return consume(client(url, use_msgpack=False).get_job('1/2/3').items.iter())


def requests_json(url: str, sizes: Sizes) -> int:
    """Iterate over requests in JSON lines."""
    return consume(client(url, use_msgpack=False).get_job('1/2/3').requests.iter())


def collection_scan(url: str, sizes: Sizes) -> int:
    """Iterate over the records of a collection."""
    return consume(client(url).get_project(1).collections.get_store('store').iter())


def large_records(url: str, sizes: Sizes) -> int:
    """Iterate over large items in JSON lines."""
    return consume(client(url, use_msgpack=False).get_job('1/2/4').items.iter())


def job_summaries(url: str, sizes: Sizes) -> int:
    """Iterate over summaries of jobs, page after page."""
    jobs = client(url).get_project(1).jobs
    return sum(consume(jobs.iter(count=PAGE, start=start)) for start in range(0, sizes.listed, PAGE))


def activity_events(url: str, sizes: Sizes) -> int:
    """Iterate over events."""
    return consume(client(url).get_project(1).activity.iter())


def frontier_batches(url: str, sizes: Sizes) -> int:
    """Iterate over batches of a frontier."""
    return consume(client(url).get_project(1).frontiers.get('front').get('slot').q.iter())


def item_writes(url: str, sizes: Sizes) -> int:
    """Write items, and wait until they are stored."""
    sh = client(url)
    items = sh.get_job('1/2/3').items
    for number in range(sizes.writes):
        items.write(
            {
                'name': f'A product with number {number}',
                'url': f'https://shop.example/catalogue/products/{number}',
                'price': 19.99,
                'stock': number % 97,
                'breadcrumbs': ['Home', 'Books', 'Fiction'],
                'description': 'A plain description, as long as they are. ' * 6,
            }
        )
    items.flush()
    sh.close()
    return sizes.writes


def product_writes(url: str, sizes: Sizes) -> int:
    """Write products, and wait until they are stored."""
    sh = client(url)
    items = sh.get_job('1/2/5').items
    for record in _products(sizes.writes):
        items.write(record)
    items.flush()
    sh.close()
    return sizes.writes


@cache
def _products(count: int) -> list[dict[str, Any]]:
    records = [product(number) for number in range(count)]
    for record in records:
        del record['_key']
    return records


def frontier_adds(url: str, sizes: Sizes) -> int:
    """Add requests to a frontier one by one, and wait until they are stored."""
    sh = client(url)
    slot = sh.get_project(1).frontiers.get('front').get('slot')
    for number in range(sizes.writes):
        slot.q.add([{'fp': f'/catalogue/products/{number}', 'qdata': {'depth': 1}}])
    slot.flush()
    sh.close()
    return sizes.writes


def metadata_calls(url: str, sizes: Sizes) -> int:
    """Read a field of the metadata of a job again and again."""
    metadata = client(url).get_job('1/2/3').metadata
    for _ in range(sizes.calls):
        metadata.get('state')
    return sizes.calls


CASES: dict[str, Callable[[str, Sizes], int]] = {
    case.__name__: case
    for case in (
        products_msgpack, products_msgpack_gzip, products_list, products_typed, products_json, product_writes,
        items_msgpack, items_msgpack_gzip, items_json, requests_json, collection_scan, large_records, job_summaries,
        activity_events, frontier_batches, item_writes, frontier_adds, metadata_calls,
    )
}  # fmt: skip


def warm_up(case: str, url: str, sizes: Sizes) -> None:
    """Load modules that are loaded on first use, and prepare the data: neither is part of a case."""
    consume(client(url).get_job('9/9/1000').items.iter())
    if case == 'product_writes':
        _products(sizes.writes)


def peak() -> int:
    """Return the peak memory of this process, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def cost(run: Callable[[str, Sizes], int], url: str, sizes: Sizes) -> dict[str, float]:
    """Return the seconds of a case, and its number of records or calls."""
    started, cpu = time.perf_counter(), time.process_time()
    number = run(url, sizes)
    return {'wall': time.perf_counter() - started, 'cpu': time.process_time() - cpu, 'number': number}


# Other properties


def flat_memory(url: str, sizes: Sizes) -> dict[str, float]:
    """Iterate over many items, while another stream of the same client is open and not read."""
    sh = client(url)
    slow = sh.get_job(f'9/9/{sizes.flat}').items.iter()
    next(slow)
    before = peak()
    number = consume(sh.get_job(f'9/9/{sizes.flat}').items.iter())
    return {'growth': (peak() - before) / 1024, 'number': number + 1 + consume(slow)}


def linear_cost(url: str, sizes: Sizes) -> dict[str, float]:
    """Return the microseconds of one item, for each number of items."""
    sh = client(url)
    costs: dict[str, float] = {}
    for count in sizes.linear:
        started = time.process_time()
        number = consume(sh.get_job(f'9/9/{count}').items.iter())
        costs[str(number)] = (time.process_time() - started) * 1e6 / number
    return costs


def first_record(url: str, sizes: Sizes) -> dict[str, float]:
    """Read the first record of a stream whose other records are sent after that."""
    sh = client(url)
    items = sh.get_job('1/2/6').items.iter()
    next(items)
    rest_sent = sh.transport.get('go').value
    return {'early': not rest_sent, 'number': 1 + consume(items)}


def connections(url: str, sizes: Sizes) -> dict[str, float]:
    """Call from many threads with one client; return how many connections they opened."""
    sh = client(url)
    before = client(url).transport.get('connections').value
    start = threading.Barrier(sizes.threads)

    def call() -> None:
        start.wait()
        for _ in range(20):
            sh.get_job('1/2/3').metadata.get('state')

    threads = [threading.Thread(target=call) for _ in range(sizes.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {'opened': sh.transport.get('connections').value - before, 'threads': sizes.threads}


IMPORTS = ('import', 'import_client')

LOOKS: dict[str, Callable[[str, Sizes], dict[str, float]]] = {
    look.__name__: look for look in (flat_memory, linear_cost, first_record, connections)
}


def import_cost(case: str, implementation: str) -> dict[str, float]:
    """Return the cost of importing the package, or its client; the bare loop imports ``requests``."""
    started, cpu = time.perf_counter(), time.process_time()
    package = __import__('requests' if implementation == 'bare' else 'scrapinghub')
    if case == 'import_client' and implementation != 'bare':
        # Ours is loaded on first use.
        assert package.ScrapinghubClient
    return {'wall': time.perf_counter() - started, 'cpu': time.process_time() - cpu, 'number': 1}


def figures(case: str, implementation: str, url: str, sizes: Sizes) -> dict[str, float]:
    """Return the cost of a case."""
    if implementation == 'ours-plain':
        # This run ignores the extra ``fast``, which may be installed.
        sys.modules['msgspec'] = None  # type: ignore[assignment]
    if case in IMPORTS:
        return import_cost(case, implementation)
    if implementation in ('bare', 'bare-fast'):
        __import__('requests')
        return cost((LOOPS if implementation == 'bare' else FAST_LOOPS)[case], url, sizes)
    warm_up(case, url, sizes)
    return LOOKS[case](url, sizes) if case in LOOKS else cost(CASES[case], url, sizes)


def main() -> None:
    """Run the case that the command line names."""
    case, implementation, url, sizes = sys.argv[1:5]
    print(json.dumps(figures(case, implementation, url, SIZES[sizes])))


if __name__ == '__main__':
    main()
