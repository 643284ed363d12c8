"""Streams of the older clients over bad connections: every record once, in order, or an error."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from compat.patience import patient
from scrapinghub import HubstorageClient, ScrapinghubClient, ServerError, StreamInterrupted
from scrapinghub.exceptions import DecodeError
from scrapinghub.hubstorage.job import Items
from scrapinghub.hubstorage.serialization import mpdecode
from scrapinghub.sandbox import Sandbox
from scrapinghub.sandbox.faults.definition import At
from scrapinghub.transport.http.retries import RetrySettings
from support.clocks import ManualClock
from support.scripted_server import MSGPACK, Server, reply


@pytest.fixture
def clock(hubstorage: HubstorageClient) -> ManualClock:
    """Let the client have all the time it wants."""
    clock = ManualClock()
    hubstorage.retry_settings = RetrySettings()
    patient(hubstorage, clock)
    return clock


Read = Callable[[HubstorageClient, str], Iterator[Any]]

READS: dict[str, tuple[str, Read, int]] = {
    'items': ('/items/*', lambda hs, key: hs.get_job(key).items.iter_values(), 10),
    'items counted': ('/items/*', lambda hs, key: hs.get_job(key).items.iter_values(count=7), 7),
    'items by number': ('/items/*', lambda hs, key: hs.get_job(key).items.iter_values(index=[1, 3, 5, 7]), 4),
    'texts': ('/items/*', lambda hs, key: hs.get_job(key).items.iter_json(), 10),
    'packed': ('/items/*', lambda hs, key: mpdecode(hs.get_job(key).items.iter_msgpack()), 10),
    'logs': ('/logs/*', lambda hs, key: hs.get_job(key).logs.iter_values(), 3),
    'filtered logs': ('/logs/*', lambda hs, key: hs.get_job(key).logs.iter_values(filter='["level", ">", [1]]'), 3),
    'collection': ('/collections/*', lambda hs, key: store(hs).iter_values(), 10),
    'collection by keys': ('/collections/*', lambda hs, key: store(hs).iter_values(key=['k1', 'k5', 'k9']), 3),
    'collection by prefix': ('/collections/*', lambda hs, key: store(hs).iter_values(prefix=['k']), 10),
}


def store(hubstorage: HubstorageClient) -> Any:
    return hubstorage.get_project(123).collections.new_store('store')


@pytest.fixture
def filled(hubstorage: HubstorageClient, job_key: str) -> str:
    store(hubstorage).set([{'_key': f'k{number}', 'n': number} for number in range(10)])
    return job_key


@pytest.mark.parametrize('use_msgpack', [True, False])
@pytest.mark.parametrize('name', READS)
def test_a_stream_that_is_cut_goes_on(
    cloud: Sandbox, hubstorage: HubstorageClient, clock: ManualClock, filled: str, name: str, use_msgpack: bool
) -> None:
    hubstorage.use_msgpack = use_msgpack
    path, read, number = READS[name]
    whole = list(read(hubstorage, filled))
    assert len(whole) == number
    for place in (0, 1, 2):
        rule = cloud.faults.add(method='GET', path=path, cut=At(record=place, plus=1), ending='reset')
        assert list(read(hubstorage, filled)) == whole
        rule.wait_met()


def test_a_count_is_what_is_left_of_it(
    cloud: Sandbox, hubstorage: HubstorageClient, clock: ManualClock, filled: str
) -> None:
    cloud.faults.add(path='/items/*', cut=At(record=4), ending='reset')
    cloud.requests.clear()
    assert len(list(hubstorage.get_job(filled).items.iter_values(count=6, start=f'{filled}/1'))) == 6
    assert [dict(entry.query) for entry in cloud.requests] == [
        {'meta': '_key', 'start': f'{filled}/1', 'count': '6'},
        {'meta': '_key', 'startafter': f'{filled}/4', 'count': '2'},
    ]


def test_who_gives_up_raises_the_error_of_requests(
    cloud: Sandbox, hubstorage: HubstorageClient, clock: ManualClock, filled: str
) -> None:
    rule = cloud.faults.add(path='/items/*', cut=At(record=2), ending='reset', times=None)
    hubstorage.retry_settings = RetrySettings(max_retries=0)
    stream = hubstorage.get_job(filled).items.iter_values()
    assert [next(stream)['n'], next(stream)['n']] == [0, 1]
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        next(stream)
    rule.times = 0
    assert [item['n'] for item in stream] == list(range(2, 10))


BAD_RECORDS = {
    'a line that is no JSON': reply(b'{"_key": "1/2/3/0"}\n{"n": nope}\n{"n": 2}\n'),
    'the same, compressed': reply(b'{"_key": "1/2/3/0"}\n{"n": nope}\n{"n": 2}\n', encoding='gzip'),
    'a record that is no object': reply(b'{"_key": "1/2/3/0"}\n5\n'),
    'an end inside a record': reply(b'{"_key": "1/2/3/0"}\n{"n": '),
    'no MessagePack': reply(b'\xc1', content_type=MSGPACK),
}


@pytest.mark.parametrize('name', BAD_RECORDS)
def test_a_record_that_cannot_be_decoded_is_told_by_an_error_that_programs_know(name: str) -> None:
    with Server(lambda request: BAD_RECORDS[name]) as server:
        hubstorage = HubstorageClient('key', server.url, max_retries=0)
        stream = hubstorage.get_job('1/2/3').items.iter_values()
        with pytest.raises(DecodeError, match='cannot be decoded') as caught:
            list(stream)
        assert type(caught.value) is DecodeError
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value.original, requests.RequestException)
        assert (caught.value.status_code, caught.value.url) == (200, f'{server.url}/items/1/2/3')
        hubstorage.close()


def test_the_view_tells_it_in_its_own_words(cloud: Sandbox, job_key: str) -> None:
    with ScrapinghubClient(max_retries=0) as client:
        cloud.faults.add(path='/items/*', cut=At(record=2), ending='reset', times=None)
        with pytest.raises(StreamInterrupted) as caught:
            list(client._hsclient.get_job(job_key).items.iter_values())
        assert (caught.value.delivered, caught.value.last_key) == (2, f'{job_key}/1')
        cloud.faults.clear()
        cloud.faults.add(path='/items/*', status=500)
        with pytest.raises(ServerError) as refused:
            list(client._hsclient.get_job(job_key).items.iter_values())
        assert refused.value.status_code == 500


def test_the_retries_of_a_call_and_of_its_stream_are_one_loop(
    cloud: Sandbox, hubstorage: HubstorageClient, clock: ManualClock, filled: str
) -> None:
    rule = cloud.faults.add(path='/items/*', status=503, times=None)
    with pytest.raises(requests.HTTPError, match='503'):
        list(hubstorage.get_job(filled).items.iter_values())
    assert len(rule.met) == 4
    assert [round(pause) for pause in clock.waits] == pytest.approx([4, 8, 16], abs=1)


def test_max_retries_and_retry_interval_count_when_they_are_changed(
    cloud: Sandbox, hubstorage: HubstorageClient, clock: ManualClock, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Items, 'MAX_RETRIES', 3)
    monkeypatch.setattr(Items, 'RETRY_INTERVAL', 7)
    cloud.faults.add(path='/items/*', cut=At(record=2), ending='reset')
    cloud.faults.add(path='/items/*', drop='reset', times=None)
    with pytest.raises(requests.ConnectionError):
        list(hubstorage.get_job(filled).items.iter_values())
    assert clock.waits == [7, 7]


def test_the_class_attributes_of_the_retries_count(cloud: Sandbox) -> None:
    class Stubborn(HubstorageClient):
        RETRY_DEFAULT_MAX_RETRIES = 5
        RETRY_DEFAUT_MAX_RETRY_TIME_S = 126.0
        RETRY_DEFAULT_JITTER_MS = 0

    hubstorage = Stubborn(cloud.apikey, cloud.url)
    clock = ManualClock()
    patient(hubstorage, clock)
    cloud.faults.add(status=503, times=5)
    assert hubstorage.server_timestamp() > 0
    # All pauses together last as long as the time that was given.
    assert clock.waits == pytest.approx([126 * 2**number / (2**7 - 2) for number in range(1, 6)])


@pytest.mark.parametrize(('max_retries', 'waits'), [(3, [1, 2, 4]), (0, [])])
def test_only_a_number_of_retries(cloud: Sandbox, max_retries: int, waits: list[float]) -> None:
    class Plain(HubstorageClient):
        RETRY_DEFAULT_JITTER_MS = 0

    hubstorage = Plain(cloud.apikey, cloud.url, max_retries=max_retries)
    clock = ManualClock()
    patient(hubstorage, clock)
    rule = cloud.faults.add(status=503, times=None)
    with pytest.raises(requests.HTTPError):
        hubstorage.server_timestamp()
    assert (clock.waits, len(rule.met)) == (waits, len(waits) + 1)


def test_what_the_service_may_have_done_is_not_repeated(
    cloud: Sandbox, hubstorage: HubstorageClient, clock: ManualClock
) -> None:
    rule = cloud.faults.add(method='POST', path='/jobq/*', drop='close', apply=True, times=None)
    with pytest.raises(requests.ConnectionError) as caught:
        hubstorage.push_job(123, 'spider')
    assert len(rule.met) == 1
    assert vars(caught.value)['maybe_applied'] is True
    cloud.faults.clear()
    cloud.faults.add(method='POST', path='/jobq/*', status=429)
    assert hubstorage.push_job(123, 'spider').key == '123/1/2'


def test_what_cannot_be_read_is_an_error(
    cloud: Sandbox, hubstorage: HubstorageClient, clock: ManualClock, filled: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    headers = {'Content-Type': 'application/x-jsonlines'}
    cloud.faults.add(path='/items/*', status=200, body=b'{oh\n', headers=headers, times=None)
    for read in (READS['items'][1], READS['texts'][1]):
        with pytest.raises(ValueError, match='cannot be decoded'):
            list(read(hubstorage, filled))
    cloud.faults.clear()
    headers = {'Content-Type': 'application/x-msgpack'}
    cloud.faults.add(path='/items/*', status=200, body=b'\xc1', headers=headers, times=None)
    with pytest.raises(ValueError, match='cannot be decoded'):
        list(READS['packed'][1](hubstorage, filled))


def test_an_answer_of_another_kind_is_an_error(cloud: Sandbox, hubstorage: HubstorageClient) -> None:
    cloud.faults.add(path='/jobs/*', status=200, body=b'<html>', headers={'Content-Type': 'text/html'})
    with pytest.raises(ValueError, match='<html>'):
        hubstorage.get_job('123/1/1').metadata['state']
