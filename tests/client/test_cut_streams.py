"""Reads over connections that are cut: each record comes once, wherever the cut is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from scrapinghub import ScrapinghubClient
from scrapinghub.exceptions import StreamInterrupted
from support.scripted_server import Reply, Request
from support.storage import JOB, Storage, cuts

Read = Callable[[ScrapinghubClient], Iterable[Any]]

NUMBERED = {f'{JOB}/{number}': {'n': number, 's': 'ä\u2028' * (number % 2)} for number in range(3)}
LOGS = {
    f'{JOB}/{number}': {'time': 1000 + number, 'level': 20, 'message': f'line {number // 2}'} for number in range(3)
}
REQUESTS = {
    f'{JOB}/{number}': {'time': 5, 'url': f'http://e.x/{number}', 'status': 200, 'rs': 1} for number in range(3)
}
SAMPLES = {f'{JOB}/{number}': [1000 + number, 1, 2] for number in range(4)}
STORE = {key: {'v': number} for number, key in enumerate(('a', 'a/b c', 'k10', 'k2', 'ä'))}

FAMILIES: dict[str, tuple[dict[str, Any], Read]] = {
    'items': (NUMBERED, lambda client: client.get_job(JOB).items.iter()),
    'logs': (LOGS, lambda client: client.get_job(JOB).logs.iter()),
    'requests': (REQUESTS, lambda client: client.get_job(JOB).requests.iter()),
    'samples': (SAMPLES, lambda client: client.get_job(JOB).samples.iter()),
    'collections': (STORE, lambda client: client.get_project(1).collections.get_store('store').iter()),
}
# The service offers no MessagePack for requests.
ENCODINGS = [(family, binary) for binary in (False, True) for family in FAMILIES if not binary or family != 'requests']


def records_of(client: ScrapinghubClient, family: str) -> Any:
    if family == 'collections':
        return client.get_project(1).collections.get_store('store')
    return getattr(client.get_job(JOB), family)


def expected(family: str) -> list[Any]:
    records = FAMILIES[family][0]
    if family != 'collections':
        return [*records.values()]
    return [{**record, '_key': key} for key, record in records.items()]


@pytest.mark.parametrize(
    ('family', 'binary', 'encoding', 'framing'),
    [
        *((family, binary, encoding, 'length') for family, binary in ENCODINGS for encoding in (None, 'gzip')),
        ('items', False, None, 'chunked'),
        ('samples', True, 'gzip', 'chunked'),
    ],
)
def test_a_cut_at_any_byte(family: str, binary: bool, encoding: str | None, framing: str) -> None:
    records, read = FAMILIES[family]
    storage = Storage({family: records}, options={'encoding': encoding, 'framing': framing, 'chunk': 16})
    with storage.opened(use_msgpack=binary) as (server, client):
        size = storage.size_of(lambda: list(read(client)))
        assert len(server.requests) == 1
        # Inside the last chunk all of the body is there, and whether to ask again is the transport's business.
        missing = size - len(b'0\r\n\r\n') if framing == 'chunked' else size
        for cut in range(size):
            storage.faults = cuts(cut)
            before = len(server.requests)
            assert list(read(client)) == expected(family), cut
            assert len(server.requests) > before + 1 or cut >= missing


class Beheaded:
    """Responses of a storage; the connection of the first one is closed before its body."""

    def __init__(self, storage: Storage, cut: int) -> None:
        self.storage = storage
        self.cut: int | None = cut

    def __call__(self, request: Request) -> Reply:
        answer = self.storage.respond(request)
        if self.cut is not None:
            answer, self.cut = Reply(answer.data[: self.cut], close=True), None
        return answer


@pytest.mark.parametrize('family', FAMILIES)
def test_a_cut_inside_the_headers(family: str) -> None:
    records, read = FAMILIES[family]
    storage = Storage({family: records})
    with storage.opened() as (server, client):
        list(read(client))
        head = len(storage.replies[0].data.partition(b'\r\n\r\n')[0]) + 4
        for cut in range(1, head, 3):
            server.respond = Beheaded(storage, cut)
            assert list(read(client)) == expected(family), cut


@pytest.mark.parametrize('reset', [False, True])
@pytest.mark.parametrize(('family', 'binary'), ENCODINGS)
def test_every_answer_is_cut(family: str, binary: bool, reset: bool) -> None:
    records, read = FAMILIES[family]
    storage = Storage({family: records})
    with storage.opened(use_msgpack=binary, max_retries=1000) as (_, client):
        size = storage.size_of(lambda: list(read(client)))
        storage.faults = cuts(*range(0, size, 5), reset=reset)
        assert list(read(client)) == expected(family)


@pytest.mark.parametrize(('family', 'binary'), ENCODINGS)
def test_a_count_is_kept_over_a_cut(family: str, binary: bool) -> None:
    records, _ = FAMILIES[family]
    storage = Storage({family: records})
    with storage.opened(use_msgpack=binary) as (_, client):
        found = records_of(client, family)
        size = storage.size_of(lambda: found.list(count=2))
        for cut in range(0, size, 3):
            storage.faults = cuts(cut)
            assert found.list(count=2) == expected(family)[:2]


@pytest.mark.parametrize(('family', 'binary'), ENCODINGS)
def test_a_start_is_kept_over_a_cut(family: str, binary: bool) -> None:
    start = 'a/b c' if family == 'collections' else f'{JOB}/1'
    records, _ = FAMILIES[family]
    storage = Storage({family: records})
    with storage.opened(use_msgpack=binary) as (_, client):
        found = records_of(client, family)
        size = storage.size_of(lambda: found.list(start=start))
        for cut in range(0, size, 3):
            storage.faults = cuts(cut)
            assert found.list(start=start) == expected(family)[1:]


def test_a_resumed_read_asks_for_the_rest() -> None:
    storage = Storage({'items': NUMBERED})
    with storage.opened() as (server, client):
        items = client.get_job(JOB).items
        size = storage.size_of(items.list)
        storage.faults = cuts(size - 1)
        server.requests.clear()
        assert items.list(count=3, start=0) == expected('items')
        assert [request.query for request in server.requests] == [
            [('start', f'{JOB}/0'), ('meta', '_key'), ('count', '3')],
            [('meta', '_key'), ('startafter', f'{JOB}/1'), ('count', '1')],
        ]


def test_a_log_in_messagepack_is_resumed_by_its_numbers() -> None:
    storage = Storage({'logs': LOGS})
    with storage.opened() as (server, client):
        logs = client.get_job(JOB).logs
        size = storage.size_of(logs.list)
        storage.faults = cuts(size - 1)
        server.requests.clear()
        assert logs.list() == expected('logs')
        # The last line that was delivered comes once more, to be compared.
        assert [request.query for request in server.requests] == [
            [('meta', '_key')],
            [('meta', '_key'), ('start', f'{JOB}/1')],
        ]


def test_a_filtered_log_in_messagepack_is_resumed_by_counting() -> None:
    storage = Storage({'logs': LOGS})
    with storage.opened() as (server, client):
        logs = client.get_job(JOB).logs
        size = storage.size_of(logs.list)
        storage.faults = cuts(size - 1)
        server.requests.clear()
        assert logs.list(level='INFO') == expected('logs')
        assert [request.get('start') for request in server.requests] == [None, None]


@pytest.mark.parametrize('binary', [False, True])
@pytest.mark.parametrize('family', ['items', 'logs', 'requests'])
def test_records_by_index_come_once(family: str, binary: bool) -> None:
    records, _ = FAMILIES[family]
    storage = Storage({family: records})
    with storage.opened(use_msgpack=binary) as (_, client):
        found = records_of(client, family)
        size = storage.size_of(lambda: found.list(index=[0, 2]))
        for cut in range(0, size, 3):
            storage.faults = cuts(cut)
            assert found.list(index=[0, 2]) == [expected(family)[0], expected(family)[2]]


def test_collection_records_by_key_come_once() -> None:
    storage = Storage({'collections': STORE})
    with storage.opened() as (_, client):
        store = client.get_project(1).collections.get_store('store')
        wanted = {'ä', 'a', 'absent', 'k2'}
        size = storage.size_of(lambda: store.list(key=wanted))
        for cut in range(size):
            storage.faults = cuts(cut)
            assert [record['_key'] for record in store.iter(key=wanted)] == ['a', 'k2', 'ä']


def test_lists_of_items_go_on_after_an_error() -> None:
    storage = Storage({'items': {f'{JOB}/{number}': {'n': number} for number in range(7)}})
    with storage.opened(max_retries=0) as (_, client):
        items = client.get_job(JOB).items
        size = storage.size_of(lambda: items.list(count=3))
        for cut in range(size):
            lists = items.list_iter(chunksize=3)
            assert next(lists) == [{'n': 0}, {'n': 1}, {'n': 2}]
            storage.faults = cuts(cut)
            with pytest.raises(StreamInterrupted):
                next(lists)
            assert list(lists) == [[{'n': 3}, {'n': 4}, {'n': 5}], [{'n': 6}]]


@pytest.mark.parametrize(('family', 'binary'), ENCODINGS)
def test_a_stream_goes_on_after_the_error_that_ended_it(family: str, binary: bool) -> None:
    records, read = FAMILIES[family]
    storage = Storage({family: records})
    with storage.opened(use_msgpack=binary, max_retries=0) as (_, client):
        size = storage.size_of(lambda: list(read(client)))
        storage.faults = cuts(size - 1)
        stream = iter(read(client))
        got: list[Any] = []
        # A list keeps what came before the error.
        with pytest.raises(StreamInterrupted):
            got.extend(stream)
        assert len(got) == len(records) - 1
        assert [*got, *stream] == expected(family)
