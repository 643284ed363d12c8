"""Reads of several prefixes over connections that are cut, from services that order the records differently.

Records come in the order of their keys, says the contract; whether over all prefixes, or prefix by
prefix, nobody has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

import pytest

from scrapinghub import ScrapinghubClient
from scrapinghub.client.exceptions import StreamInterrupted
from support.scripted_server import Reply, Request
from support.storage import Storage, cuts

KEYS = ['a1', 'a2', 'ab1', 'ab2', 'ab3', 'b1', 'b2', 'c1', 'c2', 'c3', 'ä1']
RECORDS: dict[str, Any] = {key: {'v': number} for number, key in enumerate(KEYS)}
Read = Callable[..., Iterable[dict[str, Any]]]


class Prefixes(Storage):
    """Records by prefix; ``in_turn`` gives those of each prefix in the order asked, else they come by key.

    A record of several prefixes comes once, or with ``doubled`` once for each.
    """

    in_turn = False
    doubled = False

    def select(self, request: Request) -> list[tuple[str, Any]]:
        prefixes, most = request.all('prefix') or [''], request.get('prefixcount')
        limit = None if most is None else int(most)
        rows = super().select(request)
        groups = [[row for row in rows if row[0].startswith(prefix)][:limit] for prefix in prefixes]
        found = list(chain.from_iterable(groups))
        if not self.doubled:
            found = list(dict(found).items())
        if not self.in_turn:
            found.sort(key=lambda row: row[0].encode())
        return found[int(request.get('offset') or 0) :]


def new_client(client: ScrapinghubClient) -> Read:
    return client.get_project(1).collections.get_store('store').iter


def low_level(client: ScrapinghubClient) -> Read:
    def read(**wish: Any) -> Iterable[dict[str, Any]]:
        return client._hsclient.get_project(1).collections.iter_values('s', 'store', **wish)

    return read


def keys(records: Iterable[dict[str, Any]]) -> list[str]:
    return [record['_key'] for record in records]


WISHES: list[dict[str, Any]] = [
    {'prefix': ['c', 'a']},
    {'prefix': ['ä', 'c', 'b', 'a']},
    {'prefix': ['ab', 'a', 'b']},
    {'prefix': ['a', 'ab']},
    {'prefix': ['c', 'a'], 'start': 'a2'},
    {'prefix': ['c', 'nothing', 'a'], 'startafter': 'a1', 'count': 6},
    {'prefix': ['c', 'a'], 'offset': 3},
    {'prefix': ['c', 'a'], 'prefixcount': 2},
    {'prefix': ['b', 'ab', 'a', 'c'], 'prefixcount': 2},
    {'prefix': ['c', 'b', 'a'], 'prefixcount': 2, 'count': 5},
    {'prefix': ['a', 'b', 'c']},
    {'prefix': ['a', 'b', 'c'], 'prefixcount': 2},
    {'prefix': 'a', 'prefixcount': 4},
    {'prefix': ['a'], 'prefixcount': 2, 'key': ['a1', 'a2', 'ab1', 'ab2']},
    {'key': [], 'prefixcount': 2},
]


@pytest.mark.parametrize('reader', [new_client, low_level])
@pytest.mark.parametrize('in_turn', [False, True])
@pytest.mark.parametrize('wish', WISHES, ids=str)
def test_each_record_comes_once_whatever_the_order(
    reader: Callable[[ScrapinghubClient], Read], in_turn: bool, wish: dict[str, Any]
) -> None:
    storage = Prefixes({'collections': RECORDS})
    storage.in_turn = in_turn
    with storage.opened(use_msgpack=False, max_retries=1000) as (_, client):
        read = reader(client)
        whole = keys(read(**wish))
        size = len(storage.replies[0].data) if storage.replies else 0
        for cut in range(0, size, 7):
            storage.faults = cuts(cut)
            found = keys(read(**wish))
            if wish.get('count'):
                # Which of the records come first is the order's business.
                assert len(found) == len(set(found)) == len(whole)
            else:
                assert sorted(found) == sorted(whole), cut
                if not in_turn:
                    assert found == whole, cut
        storage.faults = cuts(*range(0, size, 17))
        again = keys(read(**wish))
        assert len(again) == len(set(again)) == len(whole)


def test_a_record_of_two_prefixes_is_not_lost_where_it_comes_for_each() -> None:
    storage = Prefixes({'collections': RECORDS})
    storage.in_turn = storage.doubled = True
    with storage.opened(use_msgpack=False) as (_, client):
        read = new_client(client)
        size = storage.size_of(lambda: list(read(prefix=['ab', 'a'])))
        for limit in ({}, {'prefixcount': 9}):
            for cut in range(0, size, 7):
                storage.faults = cuts(cut)
                assert set(keys(read(prefix=['ab', 'a'], **limit))) == {'a1', 'a2', 'ab1', 'ab2', 'ab3'}, cut


def test_a_resumed_read_asks_prefix_by_prefix() -> None:
    storage = Prefixes({'collections': RECORDS})
    with storage.opened(use_msgpack=False) as (server, client):
        read = new_client(client)
        size = storage.size_of(lambda: list(read(prefix=['c', 'ab', 'b', 'a'])))
        server.requests.clear()
        storage.faults = cuts(size // 2)
        list(read(prefix=['c', 'ab', 'b', 'a'], count=10, start='a2'))
        first, *others = [request.query for request in server.requests]
        prefixes = [('prefix', 'c'), ('prefix', 'ab'), ('prefix', 'b'), ('prefix', 'a')]
        assert first == [*prefixes, ('start', 'a2'), ('meta', '_key'), ('count', '10')]
        assert others == [
            # Without a count: what is left out of the prefixes that extend it would be counted.
            [('meta', '_key'), ('prefix', 'a'), ('startafter', 'a2')],
            [('meta', '_key'), ('prefix', 'b'), ('start', 'a2'), ('count', '6')],
            [('meta', '_key'), ('prefix', 'c'), ('start', 'a2'), ('count', '4')],
        ]


@pytest.mark.parametrize('wish', WISHES[:4], ids=str)
def test_a_server_that_ignores_where_to_go_on_is_found_out(wish: dict[str, Any]) -> None:
    class Deaf(Prefixes):
        def respond(self, request: Request) -> Reply:
            target = request.target.replace('startafter=', 'ignored=')
            return super().respond(Request(request.method, target, request.headers, b'', request.connection))

    storage = Deaf({'collections': RECORDS})
    with storage.opened(use_msgpack=False) as (_, client):
        read = new_client(client)
        size = storage.size_of(lambda: list(read(**wish)))
        storage.faults = cuts(size - 1)
        got: list[str] = []
        with pytest.raises(StreamInterrupted, match='asked for'):
            got.extend(record['_key'] for record in read(**wish))
        assert len(got) == len(set(got))
