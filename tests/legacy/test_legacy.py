"""The legacy client as programs use it."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import requests

from scrapinghub import APIError, Connection, Job, JobSet, Project, RequestProxyMixin, ScrapinghubClient
from scrapinghub.client.exceptions import BadRequest, NotFound, ServerError, Unauthorized
from scrapinghub.legacy import Job as LegacyJob
from scrapinghub.sandbox import Sandbox
from scrapinghub.sandbox.faults.definition import At
from support.clocks import ManualClock


@pytest.fixture
def clock(connection: Connection) -> ManualClock:
    connection.transport.clock = clock = ManualClock()
    return clock


@pytest.fixture
def job(connection: Connection, job_key: str) -> Job:
    job = connection[123].job(job_key)
    assert job is not None
    return job


def test_no_repr_shows_the_key(cloud: Sandbox, connection: Connection, job: Job) -> None:
    jobs = connection[123].jobs(state='finished')
    shown = [repr(thing) for thing in (connection, connection[123], job, jobs)]
    assert shown == [
        "Connection('****')",
        "Project(Connection('****'), 123)",
        "Job(Project(Connection('****'), 123), 123/1/1)",
        "JobSet(Project(Connection('****'), 123), state=finished)",
    ]
    assert (connection.apikey, connection.password) == (cloud.apikey, '')


def test_the_key_and_the_address_come_from_the_environment(cloud: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Connection().apikey == cloud.apikey
    assert Connection().project_ids() == [123, 456]
    monkeypatch.delenv('SHUB_APIURL')
    assert Connection('key').url == Connection.DEFAULT_ENDPOINT
    assert Connection(' key\n').apikey == 'key'
    assert Connection('key', '', 'ignored', cloud.dash_url, 5)._connection_timeout == 5
    assert Connection('key')._connection_timeout is None
    monkeypatch.delenv('SH_APIKEY')
    with pytest.raises(RuntimeError, match='No API key provided'):
        Connection()


def test_an_address_in_place_of_the_key() -> None:
    with pytest.raises(AssertionError, match='url as first argument is not supported'):
        Connection('http://example.com')


def test_a_base_url_without_a_slash_at_its_end(cloud: Sandbox) -> None:
    assert Connection(cloud.apikey, url=cloud.dash_url.rstrip('/')).project_ids() == [123, 456]


def test_what_is_deprecated_says_so_where_it_is_used(connection: Connection) -> None:
    uses: list[Callable[[], Any]] = [
        lambda: connection.auth,
        connection.project_names,
        lambda: connection[123].name,
        lambda: Connection('a', 'password'),
    ]
    for use in uses:
        with pytest.warns(UserWarning, match='deprecated|only via apikey') as caught:
            use()
        assert [warning.filename for warning in caught] == [__file__]


def test_nothing_else_warns(connection: Connection, job: Job) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert connection[123].id == 123
        assert len(list(job.items())) == 10


def test_scheduling(connection: Connection) -> None:
    project = connection[123]
    key = project.schedule('spider', argument='x', number=5, nothing=None, add_tag=['a', 'b'], priority=3)
    assert key == '123/1/1'
    found = project.job(key)
    assert found is not None
    assert (found.id, found.info['tags']) == (key, ['a', 'b'])
    assert found.info['spider_args'] == {'argument': 'x', 'number': '5'}
    with pytest.raises(APIError, match='spider already scheduled') as caught:
        project.schedule('spider', argument='x', number=5)
    assert caught.value._type == APIError.ERR_BAD_REQUEST
    assert project.job('123/1/99') is None


def test_a_set_of_jobs(connection: Connection) -> None:
    project = connection[123]
    keys = [project.schedule('spider', n=number) for number in range(3)]
    jobs = project.jobs(state='pending')
    assert isinstance(jobs, JobSet)
    assert sorted(job.id for job in jobs) == keys
    assert list(jobs) == []
    assert (jobs.count(), project.jobs(state='finished').count()) == (3, 0)
    assert project.jobs(state='pending').update(add_tag='x') == 3
    assert project.jobs(has_tag='x').count() == 3
    project.jobs(state='pending').stop()
    assert project.jobs(state='finished').count() == 3
    project.jobs(state='finished').delete()
    assert project.jobs(state=None).count() == 0


def test_a_job(connection: Connection, job: Job) -> None:
    assert isinstance(job, LegacyJob)
    assert isinstance(job, RequestProxyMixin)
    assert [item['n'] for item in job.items()] == list(range(10))
    assert [item['n'] for item in job.items(offset=4, count=3)] == [4, 5, 6]
    assert next(iter(job.items(meta=['_key'])))['_key'] == f'{job.id}/0'
    assert [(line['logLevel'], line['message']) for line in job.log(level='WARNING')] == [(30, 'slow'), (40, 'failed')]
    assert (job.update(add_tag='x'), job.stop()) == (1, True)
    job.add_report('text', 'Grüße')
    job.add_report('bytes', b'bytes', 'text/x-rst')
    assert job.delete() == 1


def test_a_project(cloud: Sandbox, connection: Connection) -> None:
    project = connection['123']
    assert isinstance(project, Project)
    assert project.spiders() == []
    headers = {'Content-Type': 'application/zip'}
    cloud.faults.add(path='/api/as/project-slybot.zip', status=200, body=b'ZIP' * 1000, headers=headers, times=2)
    assert project.autoscraping_project_slybot(['a', 'b']).read() == b'ZIP' * 1000
    output = io.BytesIO()
    assert project.autoscraping_project_slybot(outputfile=output) is None
    assert output.getvalue() == b'ZIP' * 1000
    cloud.faults.add(
        path='/api/as/spider-properties.json', status=200, body=b'{"status": "ok", "start_urls": []}', times=2
    )
    assert project.autoscraping_spider_properties('a')['start_urls'] == []
    project.autoscraping_spider_properties('a', start_urls=['x', 'y'])
    assert [(entry.method, entry.query) for entry in cloud.requests][-2:] == [
        ('GET', [('spider', 'a'), ('project', '123')]),
        ('POST', []),
    ]


def test_a_download_that_breaks_off_is_an_error(cloud: Sandbox, connection: Connection) -> None:
    cloud.faults.add(path='/api/as/*', status=200, body=b'ZIP' * 1000, cut=1000)
    with pytest.raises(requests.RequestException):
        connection[123].autoscraping_project_slybot(outputfile=io.BytesIO())


ANSWERS: list[tuple[int, bytes, str, str]] = [
    (200, b'{"status": "error", "message": "Authentication failed"}', 'Authentication failed', APIError.ERR_AUTH_ERROR),
    (200, b'{"status": "error", "message": "no"}', 'no', APIError.ERR_BAD_REQUEST),
    (200, b'{"status": "badrequest", "message": "no"}', 'no', APIError.ERR_BAD_REQUEST),
    (400, b'{"status": "error", "message": "no"}', 'no', APIError.ERR_BAD_REQUEST),
    (200, b'{"status": "odd"}', 'Unknown response status: odd', APIError.ERR_DEFAULT),
    (200, b'{}', 'JSON response does not contain status', APIError.ERR_DEFAULT),
    (200, b'[1]', 'JSON response does not contain status', APIError.ERR_DEFAULT),
    (404, b'{"status": "error", "message": "no"}', 'Not found', APIError.ERR_NOT_FOUND),
    (500, b'oh', 'Internal server error', APIError.ERR_SERVER_ERROR),
]


@pytest.mark.parametrize(('status', 'body', 'text', 'kind'), ANSWERS)
def test_errors(cloud: Sandbox, connection: Connection, status: int, body: bytes, text: str, kind: str) -> None:
    headers = {'Content-Type': 'application/json'}
    cloud.faults.add(status=status, body=body, headers=headers, times=None)
    for call in (lambda: connection._post('run', 'json', {}), lambda: list(connection[123].jobs())):
        with pytest.raises(APIError) as caught:
            call()
        assert (str(caught.value), caught.value._type, caught.value.kind) == (text, kind, kind)


def test_refused_streams(cloud: Sandbox, connection: Connection, job: Job) -> None:
    cloud.faults.add(path='/api/items.jl', status=401, body=b'Unauthorized\n')
    with pytest.raises(APIError, match='Unauthorized') as caught:
        list(job.items())
    assert caught.value._type == APIError.ERR_AUTH_ERROR
    cloud.faults.add(path='/api/log.jl', status=404)
    with pytest.raises(APIError, match='Not found'):
        job.log()


def test_what_is_no_json_is_a_value_error(cloud: Sandbox, connection: Connection) -> None:
    cloud.faults.add(status=200, body=b'<html>', headers={'Content-Type': 'text/html'}, times=None)
    with pytest.raises(ValueError, match='<html>'):
        connection.project_ids()


def test_wrong_calls(connection: Connection) -> None:
    with pytest.raises(APIError, match='Unknown method: nothing') as caught:
        connection._get('nothing', 'json')
    assert caught.value._type == APIError.ERR_VALUE_ERROR
    with pytest.raises(APIError, match='format must be either json or jl') as caught:
        connection._get('run', 'xml')
    assert caught.value._type == APIError.ERR_VALUE_ERROR
    assert APIError('x')._type == APIError.ERR_DEFAULT


def test_the_view_raises_the_errors_of_the_client(cloud: Sandbox, client: ScrapinghubClient) -> None:
    connection = client._connection
    headers = {'Content-Type': 'application/json'}
    for status, body, error, cause in (
        (200, b'{"status": "error", "message": "Authentication failed"}', Unauthorized, APIError),
        (200, b'{"status": "error", "message": "no"}', BadRequest, type(None)),
        (404, b'', NotFound, type(None)),
        (500, b'', ServerError, APIError),
    ):
        cloud.faults.clear()
        cloud.faults.add(status=status, body=body, headers=headers, times=None)
        with pytest.raises(error) as caught:
            connection._post('run', 'json', {})
        assert type(caught.value.http_error) is cause


@pytest.mark.parametrize('place', [0, 3, 7])
def test_a_stream_that_is_cut_goes_on(
    cloud: Sandbox, connection: Connection, clock: ManualClock, job: Job, place: int
) -> None:
    cloud.faults.add(path='/api/items.jl', cut=At(record=place, plus=1), ending='reset')
    cloud.faults.add(path='/api/items.jl', status=503)
    assert [item['n'] for item in job.items(offset=1, count=9)] == list(range(1, 10))
    assert sum(entry.path == '/api/items.jl' for entry in cloud.requests) == 3
    cloud.faults.add(path='/api/log.jl', cut=At(record=1, plus=1), ending='reset')
    assert [line['message'] for line in job.log()] == ['opened', 'slow', 'failed']


def test_a_list_of_jobs_that_is_cut_goes_on(cloud: Sandbox, connection: Connection, clock: ManualClock) -> None:
    keys = [connection[123].schedule('spider', n=number) for number in range(4)]
    cloud.faults.add(path='/api/jobs/list.jl', cut=At(record=3, plus=4), ending='reset')
    assert sorted(job.id for job in connection[123].jobs()) == keys


def test_who_gives_up_says_so_and_may_go_on(
    cloud: Sandbox, connection: Connection, clock: ManualClock, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LegacyJob, 'MAX_RETRIES', 2)
    monkeypatch.setattr(LegacyJob, 'RETRY_INTERVAL', 5)
    cloud.faults.add(path='/api/items.jl', cut=At(record=3), ending='reset')
    cloud.faults.add(path='/api/items.jl', status=502, times=1)
    items = job.items()
    assert [next(items)['n'] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(APIError, match='Internal server error'):
        next(items)
    assert clock.waits == [5]
    assert [item['n'] for item in items] == list(range(3, 10))


def test_one_answer_that_breaks_off_is_an_error(cloud: Sandbox, connection: Connection, job: Job) -> None:
    cloud.faults.add(path='/api/items.jl', cut=At(record=3), ending='reset')
    items = connection._get('items', 'jl', {'project': 123, 'job': job.id})
    with pytest.raises(requests.RequestException):
        list(items)
    with pytest.raises(requests.RequestException):
        list(items)


def test_what_may_have_been_done_is_not_repeated(cloud: Sandbox, connection: Connection, clock: ManualClock) -> None:
    rule = cloud.faults.add(path='/api/schedule.json', drop='close', apply=True, times=None)
    with pytest.raises(requests.ConnectionError):
        connection[123].schedule('spider')
    assert len(rule.met) == 1
    tagging = cloud.faults.add(path='/api/jobs/update.json', drop='close', apply=True)
    assert connection[123].jobs(state='pending').update(add_tag='x') == 1
    assert len(tagging.met) == 1
