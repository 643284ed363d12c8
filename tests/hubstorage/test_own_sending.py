"""Programs that put their own way of sending into the older clients."""

from __future__ import annotations

import functools
import io
from typing import Any

import pytest
import requests

from compat.patience import patient
from scrapinghub import APIError, Connection, HubstorageClient, ScrapinghubClient
from scrapinghub.sandbox import Sandbox
from support.clocks import ManualClock


class Logged(HubstorageClient):
    """Sends by the session, and remembers what."""

    def request(self, is_idempotent: bool = False, **kwargs: Any) -> requests.Response:
        self.__dict__.setdefault('seen', []).append((kwargs['method'], is_idempotent, kwargs.get('stream', False)))

        def send() -> requests.Response:
            response = self.session.request(timeout=self.connection_timeout, **kwargs)
            response.raise_for_status()
            return response

        return self.retrier.call(send) if is_idempotent else send()


@pytest.fixture
def logged(cloud: Sandbox) -> Logged:
    return Logged(cloud.apikey, cloud.url, max_retry_time=1)


@pytest.mark.parametrize('make', [HubstorageClient, lambda auth, url: ScrapinghubClient(auth, endpoint=url)._hsclient])
def test_a_session_used_for_another_host_takes_no_credentials_there(cloud: Sandbox, make: Any) -> None:
    client = make(cloud.apikey, cloud.url)
    with Sandbox() as other:
        client.session.get(f'{other.url}system/ts')
        assert 'Authorization' not in other.requests[-1].headers
    assert client.request(method='GET', url=f'{cloud.url}jobq/123/count', auth=client.auth).json() == 0


def test_a_session_of_a_program_is_given_the_credentials_of_the_client(cloud: Sandbox) -> None:
    client = ScrapinghubClient(cloud.apikey, endpoint=cloud.url)
    with requests.Session() as session:
        client._hsclient.session = session
        assert client.get_project(123).jobs.count() == 0
        assert session.auth is None


def test_every_call_goes_through_request(cloud: Sandbox, logged: Logged, job_key: str) -> None:
    cloud.requests.clear()
    project = logged.get_project(123)
    store = project.collections.new_store('store')
    job = logged.get_job(job_key)
    store.set({'_key': 'a'})
    logged.server_timestamp()
    for call in (
        store.get('a'),
        store.count(),
        list(store.iter_values()),
        list(store.iter_json()),
        list(job.items.iter_values()),
        list(job.items.iter_msgpack()),
        list(job.items.list()),
        job.logs.stats(),
        job.metadata['state'],
        job.metadata.liveget('state'),
        project.jobq.push('spider', n=1),
        list(project.jobq.list()),
        project.jobsummary(),
        logged.projects.jobsummaries(),
        project.ids.spider('spider'),
        list(project.activity.list()),
        list(project.frontier.read('f', 's')),
        next(logged.root.apiget('system/ts')),
    ):
        assert call is not None
    assert len(vars(logged)['seen']) == len(cloud.requests) == 20
    assert ('POST', False, False) in vars(logged)['seen']


def test_records_are_whole_whether_the_program_streams_or_not(cloud: Sandbox, job_key: str) -> None:
    class Reading(HubstorageClient):
        def request(self, is_idempotent: bool = False, **kwargs: Any) -> requests.Response:
            kwargs['stream'] = self.__dict__['stream']
            response = self.session.request(**kwargs)
            response.raise_for_status()
            return response

    for stream in (True, False):
        reading = Reading(cloud.apikey, cloud.url)
        reading.__dict__['stream'] = stream
        for use_msgpack in (True, False):
            reading.use_msgpack = use_msgpack
            job = reading.get_job(job_key)
            assert [item['n'] for item in job.items.iter_values()] == list(range(10))
            assert [item['n'] for item in job.items.list()] == list(range(10))


def test_errors_of_a_programs_request_are_repeated_by_its_retrier(cloud: Sandbox, logged: Logged, job_key: str) -> None:
    patient(logged, ManualClock())
    rule = cloud.faults.add(path=f'/items/{job_key}/stats', status=503, times=2)
    assert logged.get_job(job_key).items.stats()['totals']['input_values'] == 10
    assert len(rule.met) == 2


def test_a_programs_own_retrier(cloud: Sandbox, hubstorage: HubstorageClient, job_key: str) -> None:
    class Once:
        calls = 0

        def call(self, function: Any) -> Any:
            self.calls += 1
            return function()

    hubstorage.retrier = once = Once()
    rule = cloud.faults.add(path='/items/*', status=503)
    with pytest.raises(requests.HTTPError):
        hubstorage.get_job(job_key).items.stats()
    assert (once.calls, len(rule.met)) == (1, 1)


def test_the_retrier_repeats_any_function(cloud: Sandbox, hubstorage: HubstorageClient) -> None:
    patient(hubstorage, ManualClock())
    results: list[Any] = [requests.ConnectionError('first'), requests.Timeout('second'), 'third']

    def function(*args: int) -> Any:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result, args

    assert hubstorage.retrier.call(function, 1, 2) == ('third', (1, 2))
    with pytest.raises(ValueError, match='not of requests'):
        hubstorage.retrier.call(functools.partial(int, 'not of requests'))


def test_request_set_on_the_inner_client(client: ScrapinghubClient, job_key: str) -> None:
    seen = []
    inner = client._hsclient.request

    def request(*args: Any, **kwargs: Any) -> requests.Response:
        seen.append(kwargs['url'])
        return inner(*args, **kwargs)

    client._hsclient.request = request  # type: ignore[method-assign]
    job = client._hsclient.get_job(job_key)
    assert len(list(job.items.iter_values())) == 10
    assert len(seen) == 1
    # Calls of the new client's own objects do not go there, which the page on migrating says.
    client.get_job(job_key).items.list()
    assert len(seen) == 1


def test_request_answers_as_the_session_does(cloud: Sandbox, hubstorage: HubstorageClient) -> None:
    response = hubstorage.request(method='GET', url=f'{cloud.url}system/ts', is_idempotent=True, allow_redirects=False)
    assert response.json() == int(response.text) == int(response.content)
    assert 'Authorization' not in cloud.requests[-1].headers
    form = hubstorage.request(
        method='POST', url=f'{cloud.dash_url}run.json', auth=hubstorage.auth, data={'project': 123, 'spider': 'a'}
    )
    assert form.json()['jobid'] == '123/1/1'
    streamed = hubstorage.request(method='GET', url=f'{cloud.url}system/ts', stream=True)
    assert streamed.raw.read().isdigit()
    streamed.close()


def test_a_session_of_the_program(cloud: Sandbox, hubstorage: HubstorageClient) -> None:
    class Session(requests.Session):
        sent = 0

        def send(self, *args: Any, **kwargs: Any) -> requests.Response:
            self.sent += 1
            return super().send(*args, **kwargs)

    hubstorage.session = session = Session()
    assert hubstorage.server_timestamp() > 0
    assert session.sent == 1


class Watched(Connection):
    """Asks by the session, and decodes as ever."""

    asked = 0

    def _request(self, url: str, data: Any, headers: Any, format: str, raw: bool, files: Any = None) -> Any:
        self.asked += 1
        method = 'GET' if data is None and files is None else 'POST'
        response = self._session.request(
            method, url, data=data, headers=headers, files=files, timeout=self._connection_timeout
        )
        return self._decode_response(response, format, raw)


def test_every_call_of_a_connection_goes_through_its_request(cloud: Sandbox, job_key: str) -> None:
    watched = Watched(cloud.apikey, url=cloud.dash_url)
    project = watched[123]
    job = project.job(job_key)
    assert job is not None
    assert [item['n'] for item in job.items()] == list(range(10))
    assert [line['message'] for line in job.log()] == ['opened', 'slow', 'failed']
    assert [found.id for found in project.jobs(state='running')] == [job_key]
    assert project.jobs().count() == watched._get('jobs_count', 'json', {'project': 123})['total']
    assert job.update(add_tag='x') == 1
    assert next(watched._get('items', 'jl', {'project': 123, 'job': job_key})) == {'n': 0}
    with pytest.raises(APIError):
        watched._get('items', 'jl', {'project': 999, 'job': '999/1/1'})
    assert watched.asked == 9


def test_get_and_post_of_a_connection_can_be_replaced(cloud: Sandbox) -> None:
    class Fake(Connection):
        def _get(self, method: str, format: str, params: Any = None, headers: Any = None, raw: bool = False) -> Any:
            return {'spiders': [(method, format, params)]}

        def _post(
            self,
            method: str,
            format: str,
            params: Any = None,
            headers: Any = None,
            raw: bool = False,
            files: Any = None,
        ) -> Any:
            return {'jobid': (method, format, params)}

    project = Fake(cloud.apikey)[1]
    assert project.spiders(a=2) == [('spiders', 'json', {'a': 2, 'project': 1})]
    assert project.schedule('s', b=3) == ('schedule', 'json', {'b': 3, 'spider': 's', 'project': 1})


def test_the_session_of_the_view(cloud: Sandbox, client: ScrapinghubClient) -> None:
    connection = client._connection
    assert connection.url == cloud.dash_url
    assert connection._session.auth == (cloud.apikey, '')
    assert connection._post('run', 'json', {'project': 123, 'spider': 'x'})['jobid'] == '123/1/1'
    assert connection._get('jobs_count', 'json', {'project': 123, 'state': 'pending'})['total'] == 1
    with pytest.raises(ValueError, match='format must be either json or jl'):
        connection._get('jobs_count', 'xml')
    assert isinstance(connection._get('jobs_count', 'json', {'project': 123}, raw=True).read(), bytes)


def test_uploads_are_sent_again_with_their_contents(cloud: Sandbox, connection: Connection) -> None:
    cloud.faults.add(path='/api/eggs/add.json', status=429)
    form = {'project': 123, 'name': 'egg', 'version': '1'}
    connection.transport.clock = ManualClock()
    connection._post('eggs_add', 'json', form, files={'egg': ('egg.egg', io.BytesIO(b'contents'))})
    assert [b'contents' in entry.body for entry in cloud.requests] == [True, True]
