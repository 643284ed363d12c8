"""Operations on many records of a collection: rename, delete_where, copy_to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from scrapinghub import ScrapinghubClient
from scrapinghub.client.bulk import BulkResult
from scrapinghub.client.collections import Collection
from scrapinghub.client.exceptions import Forbidden, NotFound, ServerError, StreamInterrupted
from scrapinghub.client.projects import Project
from scrapinghub.sandbox import Sandbox
from support.scripted_server import Request, Wire, json_reply, lines_reply, reply

KEYS = ['a1', 'a2', 'b1', 'k1', 'k10', 'k2']


@pytest.fixture
def store(project: Project) -> Collection:
    store = project.collections.get_store('store')
    store.set({'_key': key, 'n': n} for n, key in enumerate(KEYS))
    return store


def keys_of(store: Collection) -> list[str]:
    return [record['_key'] for record in store.iter()]


# Rename


def test_a_collection_is_renamed(project: Project, store: Collection) -> None:
    renamed = store.rename('other')
    assert renamed == project.collections.get_store('other')
    assert keys_of(renamed) == KEYS
    assert project.collections.list() == [{'type': 's', 'name': 'other'}]


def test_a_rename_that_would_concern_another_collection_is_refused(project: Project, store: Collection) -> None:
    project.collections.get_store('used').set({'_key': 'x'})
    with pytest.raises(ValueError, match="a collection named 'used' exists"):
        store.rename('used')
    project.collections.get_cached_store('store').set({'_key': 'x'})
    with pytest.raises(ValueError, match="all collections named 'store'"):
        store.rename('other')
    with pytest.raises(NotFound, match='1/vs/store'):
        project.collections.get_versioned_store('store').rename('other')
    with pytest.raises(ValueError, match='Invalid collection name'):
        store.rename('a/b')
    assert len(project.collections.list()) == 3


def test_a_rename_whose_response_is_lost_is_not_repeated() -> None:
    answers = {
        '/collections/1/list': lines_reply({'type': 's', 'name': 'store'}),
        '/collections/1/rename': reply(b'', status=503),
    }
    with Wire(answers) as wire, wire.client(max_retries=3) as client:
        with pytest.raises(ServerError) as caught:
            client.get_project(1).collections.get_store('store').rename('other')
        assert caught.value.maybe_applied
        assert 'project.collections.list()' in str(caught.value)
        assert wire.asked[1:] == ['POST /collections/1/rename?name=store&new_name=other']


# Delete


def test_records_are_deleted_by_prefix(store: Collection) -> None:
    plan = store.delete_where(prefix='k', dry_run=True)
    assert (plan.planned, plan.done) == (['k1', 'k10', 'k2'], [])
    assert keys_of(store) == KEYS
    result = store.delete_where(prefix=['a', 'k1'])
    assert result == BulkResult(planned=['a1', 'a2', 'k1', 'k10'], done=['a1', 'a2', 'k1', 'k10'])
    assert repr(result) == '<BulkResult: 4 planned, 4 done>'
    assert keys_of(store) == ['b1', 'k2']


def test_records_are_deleted_by_time(cloud: Sandbox, store: Collection) -> None:
    middle = max(record['_ts'] for record in store.iter(meta='_ts')) + 1
    cloud.clock.advance(seconds=10)
    store.set({'_key': 'new'})
    assert store.delete_where(startts=middle, dry_run=True).planned == ['new']
    assert store.delete_where(endts=datetime.fromtimestamp(middle / 1000, timezone.utc)).done == KEYS
    assert store.delete_where(endts=timedelta(hours=1)) == BulkResult()
    assert keys_of(store) == ['new']


@pytest.mark.parametrize('arguments', [{}, {'prefix': ''}, {'prefix': []}, {'prefix': ['a', '']}, {'prefix': None}])
def test_a_deletion_without_a_filter_is_refused(arguments: Any, store: Collection) -> None:
    with pytest.raises(ValueError, match=r'truncate\(\)'):
        store.delete_where(**arguments)
    assert keys_of(store) == KEYS


@pytest.mark.parametrize('moment', [1700000000, datetime(2024, 5, 6)])
def test_a_deletion_by_an_ambiguous_time_is_refused(moment: Any, store: Collection) -> None:
    with pytest.raises(ValueError, match='endts should'):
        store.delete_where(endts=moment)
    assert keys_of(store) == KEYS


class Ignoring:
    """A service that returns all records, whatever the filter, and answers deletions by script."""

    def __init__(self, records: list[dict[str, Any]], statuses: list[int]) -> None:
        self.records = records
        self.statuses = statuses
        self.deleted: list[str] = []

    def __call__(self, request: Request) -> Any:
        if request.method == 'GET':
            return lines_reply(*self.records)
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.deleted += map(json.loads, request.body.splitlines())
        return reply(b'', status=status)


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire({}) as wire:
        yield wire


def test_records_are_checked_although_the_service_ignores_filters(wire: Wire) -> None:
    times = {'a1': 1700000000000, 'a2': 1700000001000, 'a3': 1700000002000, 'a4': None, 'b1': 1700000001000}
    records = [{'_key': key, **({'_ts': moment} if moment else {})} for key, moment in times.items()]
    wire.respond = service = Ignoring(records, [])
    store = wire.client().get_project(1).collections.get_store('store')
    result = store.delete_where(prefix='a', startts=1700000000001, endts=1700000002000)
    assert (result.planned, result.done, result.skipped) == (['a2'], ['a2'], ['a4'])
    assert service.deleted == ['a2']


@pytest.mark.parametrize(('status', 'is_known'), [(503, False), (403, True)])
def test_a_deletion_ends_at_the_first_error(
    status: int, is_known: bool, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('scrapinghub.client.collections._DELETED_AT_ONCE', 2)
    keys = [f'a{n}' for n in range(6)]
    wire.respond = service = Ignoring([{'_key': key} for key in keys], [200, status])
    result = wire.client().get_project(1).collections.get_store('store').delete_where(prefix='a')
    assert result.planned == keys
    assert result.done == service.deleted == keys[:2]
    assert result.unknown == ([] if is_known else keys[2:4])
    assert list(result.failed) == (keys[2:] if is_known else keys[4:])
    assert {type(error) for error in result.failed.values()} == {Forbidden if is_known else ServerError}


def test_the_outcome_of_a_deletion_that_a_page_answers_is_unknown(wire: Wire) -> None:
    wire.respond = lambda request: (
        lines_reply({'_key': 'a1'})
        if request.method == 'GET'
        else reply(b'<html>Log in</html>', content_type='text/html')
    )
    result = wire.client().get_project(1).collections.get_store('store').delete_where(prefix='a')
    assert (result.done, result.unknown, result.failed) == ([], ['a1'], {})


# Copy


def test_a_collection_is_copied(client: ScrapinghubClient, store: Collection) -> None:
    other = client.get_project(2).collections.get_cached_store('copy')
    assert store.copy_to(other) == 6
    assert other.list() == store.list()
    assert store.copy_to(other, startafter='k1') == 2
    same: list[Any] = [store, 'copy']
    for target in same:
        with pytest.raises(ValueError, match='other should be another collection'):
            store.copy_to(target)


@pytest.mark.parametrize('startafter', [None, 'a0'])
def test_a_copy_that_cannot_be_written_says_how_to_continue(
    startafter: str | None, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('scrapinghub.client._support.collection_bulk._BATCH_RECORDS', 2)
    statuses = [200, 403] if startafter is None else [403]
    wire.respond = Ignoring([{'_key': f'a{n}'} for n in range(1, 6)], statuses)
    collections = wire.client().get_project(1).collections
    with pytest.raises(StreamInterrupted) as caught:
        collections.get_store('store').copy_to(collections.get_store('copy'), startafter=startafter)
    assert isinstance(caught.value, Forbidden)
    last, copied = ('a2', 2) if startafter is None else ('a0', 0)
    assert (caught.value.last_key, caught.value.delivered) == (last, copied)
    assert f'startafter={last!r}' in str(caught.value)


def test_a_copy_whose_source_breaks_off_says_what_is_stored(
    cloud: Sandbox, client: ScrapinghubClient, store: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('scrapinghub.client._support.collection_bulk._BATCH_RECORDS', 4)
    other = client.get_project(2).collections.get_store('copy')
    answers = store.list()
    lines = b''.join(json.dumps(record).encode() + b'\n' for record in answers)
    with Wire({'/collections/1/s/store': reply(lines, cut=len(lines) - 5)}) as wire, wire.client() as broken:
        source = broken.get_project(1).collections.get_store('store')
        with pytest.raises(StreamInterrupted) as caught:
            source.copy_to(other)
    assert (caught.value.last_key, caught.value.delivered) == ('k1', 4)
    assert keys_of(other) == ['a1', 'a2', 'b1', 'k1']
    assert store.copy_to(other, startafter=caught.value.last_key) == 2
    assert other.list() == answers


def test_large_records_are_copied_in_several_requests(wire: Wire) -> None:
    wire.respond = Ignoring([{'_key': f'a{n}', 'text': 'x' * 1000_000} for n in range(6)], [])
    collections = wire.client().get_project(1).collections
    assert collections.get_store('store').copy_to(collections.get_store('copy')) == 6
    assert len([request for request in wire.requests if request.method == 'POST']) == 2


def test_a_count_of_a_queue(project: Project) -> None:
    slot = project.frontiers.get('f').get('s')
    assert slot.q.count() == 0
    slot.q.add({'fp': str(n)} for n in range(150))
    slot.flush()
    assert slot.q.count() == 150


def test_a_count_of_a_queue_in_several_responses() -> None:
    path = '/hcf/1/f/s/s/q/count'
    with Wire({}) as wire:
        wire.respond = lambda request: json_reply(
            '{"count": 2}' if request.all('start') else '{"count": 5, "nextstart": "00x"}'
        )
        assert wire.client().get_project(1).frontiers.get('f').get('s').q.count() == 7
        assert wire.asked == [f'GET {path}', f'GET {path}?start=00x']
