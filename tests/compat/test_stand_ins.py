"""Programs test with stand-ins for HTTP: responses, requests_mock and vcrpy work with every client."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests_mock
import responses
import vcr

from scrapinghub import Connection, HubstorageClient, NotFound, ScrapinghubClient
from scrapinghub.sandbox import Sandbox

STORAGE = 'https://storage.example'
DASH = 'https://dash.example/api'
ITEMS = [{'n': 0, '_key': '1/2/3/0'}, {'n': 1, '_key': '1/2/3/1'}]
LINES = ''.join(f'{json.dumps(item)}\n' for item in ITEMS)


@pytest.fixture
def both() -> Iterator[tuple[ScrapinghubClient, HubstorageClient]]:
    hubstorage = HubstorageClient('KEY', STORAGE, use_msgpack=False)
    with ScrapinghubClient('KEY', DASH, endpoint=STORAGE, use_msgpack=False) as client:
        yield client, hubstorage
    hubstorage.close()


Both = tuple[ScrapinghubClient, HubstorageClient]


def test_responses(both: Both) -> None:
    client, hubstorage = both
    with responses.RequestsMock() as mock:
        mock.get(f'{STORAGE}/items/1/2/3', body=LINES)
        mock.get(f'{STORAGE}/items/1/2/3', body=LINES, content_type='application/x-jsonlines')
        assert client.get_job('1/2/3').items.list() == [{'n': 0}, {'n': 1}]
        assert list(hubstorage.get_job('1/2/3').items.iter_values()) == ITEMS
        mock.get(f'{STORAGE}/jobs/1/2/3', json={'state': 'finished'})
        assert dict(client.get_job('1/2/3').metadata.iter()) == {'state': 'finished'}
        assert hubstorage.get_job('1/2/3').metadata['state'] == 'finished'
        mock.get(f'{DASH}/scrapyd/listprojects.json', json={'status': 'ok', 'projects': [1]})
        assert client.projects.list() == [1]
        assert Connection('KEY', url=DASH).project_ids() == [1]
        mock.post(f'{STORAGE}/items/1/2/3', body='')
        client.get_job('1/2/3').items.write({'n': 2})
        client.get_job('1/2/3').items.flush()
        body = mock.calls[-1].request.body
        assert isinstance(body, bytes)
        assert gzip.decompress(body) == b'{"n": 2}\n'


def test_responses_that_refuse(both: Both) -> None:
    client, hubstorage = both
    with responses.RequestsMock() as mock:
        mock.get(f'{STORAGE}/collections/1/s/store/a', status=404, body='Not Found\n')
        with pytest.raises(NotFound, match='Not Found'):
            client.get_project(1).collections.get_store('store').get('a')
        with pytest.raises(KeyError):
            hubstorage.get_project(1).collections.new_store('store').get('a')


def test_requests_mock(both: Both) -> None:
    client, hubstorage = both
    with requests_mock.Mocker() as mock:
        mock.get(f'{STORAGE}/items/1/2/3', text=LINES)
        assert client.get_job('1/2/3').items.list() == [{'n': 0}, {'n': 1}]
        assert list(hubstorage.get_job('1/2/3').items.iter_values()) == ITEMS
        assert list(hubstorage.get_job('1/2/3').items.list()) == ITEMS
        mock.get(f'{STORAGE}/collections/1/s/store', text='{"_key": "a"}\n')
        assert client.get_project(1).collections.get_store('store').list() == [{'_key': 'a'}]
        assert list(hubstorage.get_project(1).collections.new_store('store').iter_values()) == [{'_key': 'a'}]
        mock.get(f'{STORAGE}/jobq/1/count', json=7)
        assert client.get_project(1).jobs.count() == 7
        mock.post(f'{STORAGE}/jobq/1/push', json={'key': '1/2/3', 'auth': None})
        assert hubstorage.push_job(1, 'spider').key == '1/2/3'
        mock.post(f'{STORAGE}/jobs/1/2/3', text='OK')
        hubstorage.get_job('1/2/3', metadata={}).update_metadata(a=1)
        mock.post(f'{DASH}/run.json', json={'status': 'ok', 'jobid': '1/2/4'})
        assert client.get_project(1).jobs.run('spider').key == '1/2/4'
        mock.get(f'{DASH}/items.jl', text='{"n": 1}\n')
        mock.get(f'{DASH}/jobs/list.jl', text='{"status": "ok"}\n{"id": "1/2/3"}\n')
        job = Connection('KEY', url=DASH)[1].job('1/2/3')
        assert job is not None
        assert list(job.items()) == [{'n': 1}]


def test_requests_mock_of_bodies_that_are_compressed(both: Both) -> None:
    client, _ = both
    headers = {'Content-Encoding': 'gzip', 'Content-Type': 'application/x-jsonlines'}
    with requests_mock.Mocker() as mock:
        mock.get(f'{STORAGE}/items/1/2/3', content=gzip.compress(LINES.encode()), headers=headers)
        assert client.get_job('1/2/3').items.list() == [{'n': 0}, {'n': 1}]


def play(cassette: Path, read: Callable[[], Any], **options: Any) -> Any:
    with vcr.VCR(filter_headers=['Authorization'], **options).use_cassette(str(cassette)):
        return read()


@pytest.mark.parametrize('decoded', [True, False])
@pytest.mark.parametrize('use_msgpack', [True, False])
def test_vcrpy(cloud: Sandbox, job_key: str, tmp_path: Path, decoded: bool, use_msgpack: bool) -> None:
    def read() -> list[Any]:
        hubstorage = HubstorageClient(cloud.apikey, cloud.url, use_msgpack=use_msgpack)
        connection = Connection(cloud.apikey, url=cloud.dash_url)
        with ScrapinghubClient(cloud.apikey, cloud.dash_url, endpoint=cloud.url, use_msgpack=use_msgpack) as client:
            low = hubstorage.get_job(job_key)
            found: list[Any] = [client.get_job(job_key).items.list(), client.get_job(job_key).logs.list()]
            found += [list(low.items.iter_values()), list(low.items.list()), low.metadata['state']]
            return [*found, client.projects.list(), [job.id for job in connection[123].jobs()]]

    cassette = tmp_path / 'cassette.yaml'
    recorded = play(cassette, read, decode_compressed_response=decoded)
    assert cloud.apikey not in cassette.read_text(encoding='utf-8')
    cloud.reset()
    cloud.faults.add(status=500, times=None)
    assert play(cassette, read, record_mode=vcr.mode.NONE, decode_compressed_response=decoded) == recorded
    assert len(recorded[0]) == 10
