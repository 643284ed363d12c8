"""What programs rely on beside names and requests."""

from __future__ import annotations

import datetime as dt
import logging
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest
import requests

import scrapinghub
from scrapinghub import HubstorageClient, ScrapinghubClient
from scrapinghub.client.exceptions import (
    BadRequest,
    DuplicateJobError,
    NotFound,
    ScrapinghubAPIError,
    ServerError,
    Unauthorized,
)
from scrapinghub.sandbox import Sandbox


def test_the_words_of_the_service_are_in_the_text_of_an_error(cloud: Sandbox, client: ScrapinghubClient) -> None:
    with pytest.raises(NotFound) as caught:
        client.get_project(123).collections.get_store('never').list()
    assert 'unknown collection never' in str(caught.value)
    body = b'{"status": "error", "message": "Authentication failed"}'
    cloud.faults.add(path='/api/*', status=200, body=body, headers={'Content-Type': 'application/json'})
    with pytest.raises(Unauthorized) as refused:
        client.projects.list()
    assert 'Authentication failed' in str(refused.value)


def test_exceptions_can_be_made_by_programs() -> None:
    response = requests.Response()
    response.status_code = 404
    cause = requests.HTTPError('404', response=response)
    assert str(NotFound()) == 'None'
    assert str(Unauthorized('message')) == 'message'
    assert NotFound(http_error=cause).http_error is cause
    assert pickle.loads(pickle.dumps(ServerError('again', cause))).args == ('again',)


def test_the_order_of_except_clauses() -> None:
    kinds = (BadRequest, Unauthorized, NotFound, DuplicateJobError, ServerError)
    assert all(issubclass(kind, ScrapinghubAPIError) for kind in kinds)
    assert not any(issubclass(one, other) for one in kinds for other in kinds if one is not other)
    assert not issubclass(NotFound, requests.RequestException)


def test_errors_of_the_network_are_those_of_requests() -> None:
    client = ScrapinghubClient('KEY', 'http://127.0.0.1:9/', endpoint='http://127.0.0.1:9/', max_retries=0)
    for call in (client.projects.summary, client.projects.list, client.get_job('1/2/3').items.list):
        with pytest.raises(requests.exceptions.ConnectionError):
            call()
    with pytest.raises(requests.exceptions.ConnectionError):
        HubstorageClient('KEY', 'http://127.0.0.1:9/', max_retries=0).server_timestamp()


def test_no_key_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError, match='SH_APIKEY'):
        ScrapinghubClient()


@pytest.mark.parametrize('name', ['SH_APIKEY', 'SHUB_APIKEY'])
def test_the_environment(cloud: Sandbox, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable in ('SH_APIKEY', 'SHUB_APIKEY'):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(name, cloud.apikey)
    client = ScrapinghubClient(None, dash_endpoint=None, endpoint='')
    assert client._hsclient.endpoint == cloud.url
    assert client._connection.url == cloud.dash_url
    assert client.projects.list() == [123, 456]


def test_classes_can_be_replaced_by_mocks_that_know_the_signatures() -> None:
    with mock.patch('scrapinghub.ScrapinghubClient', autospec=True) as patched:
        scrapinghub.ScrapinghubClient('KEY', dash_endpoint='x').get_project(123)
        patched.return_value.get_project.assert_called_once_with(123)
        with pytest.raises(TypeError):
            scrapinghub.ScrapinghubClient('KEY').get_project(123, 456)  # type: ignore[call-arg]
    with mock.patch('scrapinghub.HubstorageClient', autospec=True) as patched:
        scrapinghub.HubstorageClient(auth='KEY').get_job('1/2/3')
        patched.return_value.get_job.assert_called_once_with('1/2/3')
    with mock.patch('scrapinghub.client.jobs.Job', autospec=True) as patched:
        patched.return_value.update_tags(add=['x'])


@pytest.mark.parametrize('name', ['scrapinghub', 'hubstorage', 'HubstorageClient'])
def test_loggers_that_programs_silence(name: str) -> None:
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    logger.setLevel(level)


def test_what_is_logged_can_be_silenced_by_the_name_of_the_package(
    cloud: Sandbox, client: ScrapinghubClient, hubstorage: HubstorageClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cloud.faults.add(status=503, times=2)
    client.projects.summary()
    hubstorage.server_timestamp()
    assert caplog.records
    assert all(record.name.split('.')[0] == 'scrapinghub' for record in caplog.records)


def test_dates_and_none_among_arguments_of_a_job(client: ScrapinghubClient) -> None:
    arguments = {'day': dt.date(2020, 1, 2), 'nothing': None, 'number': 5}
    job = client.get_project(123).jobs.run('spider', job_args=arguments, add_tag=('x',), meta='{"a": 1}', units=None)
    assert job.metadata.get('spider_args') == {'day': '2020-01-02', 'number': '5'}
    assert (job.metadata.get('a'), job.metadata.get('tags')) == (1, ['x'])


def test_the_truth_of_metadata(client: ScrapinghubClient, job_key: str) -> None:
    metadata = client.get_job(job_key).metadata
    assert metadata
    assert metadata['state'] == 'running'


def test_results_are_lists_that_can_be_measured(client: ScrapinghubClient, job_key: str) -> None:
    project = client.get_project('123')
    jobs = project.jobs.list(count=2, start=0, spider='spider', state=['running'], lacks_tag=['x'], meta=['spider'])
    assert (len(jobs), jobs[0]['key']) == (1, job_key)
    items = client.get_job(job_key).items
    assert len(items.list(start=f'{job_key}/4', meta=['_ts'], filter=[('n', '>', [5])])) == 4
    assert [item['_key'] for item in items.iter(count=1, meta='_key', startts=0)] == [f'{job_key}/0']
    assert str(scrapinghub.client.utils.parse_job_key(job_key)) == job_key


def test_one_client_in_many_threads(client: ScrapinghubClient, hubstorage: HubstorageClient, job_key: str) -> None:
    def read(number: int) -> int:
        if number % 2:
            return len(list(hubstorage.get_job(job_key).items.iter_values()))
        return len(client.get_job(job_key).items.list())

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(24))) == 24 * [10]


def read_in_another_process(hubstorage: HubstorageClient, job_key: str, answers: Any) -> None:
    job = hubstorage.get_job(job_key)
    answers.put([item['n'] for item in job.items.iter_values()])


@pytest.mark.skipif('fork' not in multiprocessing.get_all_start_methods(), reason='no fork here')
@pytest.mark.filterwarnings('ignore:.*fork.*:DeprecationWarning')
def test_a_client_that_is_used_after_a_fork(hubstorage: HubstorageClient, job_key: str) -> None:
    assert hubstorage.server_timestamp() > 0
    context = multiprocessing.get_context('fork')
    answers = context.Queue()
    children = [context.Process(target=read_in_another_process, args=(hubstorage, job_key, answers)) for _ in range(2)]
    for child in children:
        child.start()
    assert [answers.get(timeout=30) for _ in children] == 2 * [list(range(10))]
    for child in children:
        child.join(30)
    assert hubstorage.server_timestamp() > 0


def test_the_client_passes_on_what_the_low_level_one_takes(cloud: Sandbox) -> None:
    client = ScrapinghubClient(
        cloud.apikey, cloud.dash_url, 7, endpoint=cloud.url, max_retries=1, user_agent='mine/1', use_msgpack=False
    )
    inner = client._hsclient
    assert (inner.connection_timeout, inner.user_agent, inner.use_msgpack) == (7, 'mine/1', False)
    inner.server_timestamp()
    client.projects.list()
    agents = [entry.headers['User-Agent'] for entry in cloud.requests]
    assert agents == ['mine/1', f'python-scrapinghub/{scrapinghub.__version__}']
    client.close(timeout=5)
