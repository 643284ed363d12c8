from __future__ import annotations

import gc
import inspect
import os
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import scrapinghub
from scrapinghub import HubstorageClient, ScrapinghubClient
from scrapinghub import client as client_module
from scrapinghub.client.jobs import Job, Jobs
from scrapinghub.client.projects import Project
from scrapinghub.sandbox import Sandbox
from support.scripted_server import KEY, Wire, json_reply, lines_reply, reply

ROOT = Path(scrapinghub.__file__).parent.parent


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, '-W', 'error', '-c', code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, 'PYTHONDONTWRITEBYTECODE': '1'},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# Importing


def test_a_bare_import_loads_no_other_module_of_ours_and_no_library() -> None:
    code = (
        'import sys; before = set(sys.modules); import scrapinghub;'
        "print(sorted(n for n in set(sys.modules) - before if n.partition('.')[0] not in sys.stdlib_module_names))"
    )
    assert run(code) == "['scrapinghub']"


def test_the_exceptions_are_there_after_a_bare_import() -> None:
    code = (
        'import scrapinghub;'
        'print(scrapinghub.client.exceptions.NotFound is scrapinghub.NotFound is scrapinghub.exceptions.NotFound)'
    )
    assert run(code) == 'True'


def test_every_public_name_of_the_core_is_there() -> None:
    for name in (
        'ScrapinghubClient',
        'ScrapinghubAPIError',
        'DuplicateJobError',
        'BadRequest',
        'NotFound',
        'Unauthorized',
        'ValueTooLarge',
        'ServerError',
        'APIError',
        '__version__',
    ):
        assert getattr(scrapinghub, name)
        assert name in dir(scrapinghub)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    for module in (scrapinghub, client_module):
        with pytest.raises(AttributeError, match='no_such_name'):
            module.no_such_name  # noqa: B018 - looking is the test


def test_what_is_importable_from_the_client_module() -> None:
    assert client_module.DEFAULT_CONNECTION_TIMEOUT == 60
    assert client_module.__all__ == ['ScrapinghubClient']
    assert {'Projects', 'parse_auth', 'parse_project_id', 'parse_job_key'} <= set(vars(client_module))


def test_the_client_can_be_replaced_by_a_mock_with_its_signature() -> None:
    with mock.patch('scrapinghub.ScrapinghubClient', autospec=True) as replaced:
        assert scrapinghub.ScrapinghubClient is replaced
        kind: Any = scrapinghub.ScrapinghubClient
        made = kind('key', max_retries=3)
        made.get_project(123)
        made.get_job('1/2/3')
        with pytest.raises(TypeError):
            kind('key', no_such_option=1)
        with pytest.raises(TypeError):
            made.get_project()
    assert scrapinghub.ScrapinghubClient is ScrapinghubClient


@pytest.mark.parametrize('name', ['ScrapinghubClient', 'HubstorageClient'])
def test_a_name_that_was_not_loaded_yet_can_be_replaced_too(name: str) -> None:
    code = (
        'from unittest import mock; import scrapinghub\n'
        f"with mock.patch('scrapinghub.{name}', autospec=True) as replaced:\n"
        f'    assert scrapinghub.{name} is replaced\n'
        f'print(isinstance(scrapinghub.{name}, type), scrapinghub.{name}.__name__)'
    )
    assert run(code) == f'True {name}'


def test_the_positional_order_of_the_constructor() -> None:
    parameters = inspect.signature(ScrapinghubClient).parameters.values()
    assert [(one.name, one.default, one.kind is one.KEYWORD_ONLY) for one in parameters] == [
        ('auth', None, False),
        ('dash_endpoint', None, False),
        ('connection_timeout', 60, False),
        ('dotenv_path', None, False),
        ('endpoint', None, True),
        ('max_retries', None, True),
        ('max_retry_time', None, True),
        ('user_agent', None, True),
        ('use_msgpack', True, True),
        ('jobq_endpoint', None, True),
        ('spool', None, True),
        ('max_outage', None, True),
    ]


# Addresses


def make(**options: Any) -> ScrapinghubClient:
    return ScrapinghubClient(KEY, **options)


def addresses(**options: Any) -> tuple[str, str, str]:
    endpoints = ScrapinghubClient(KEY, **options).transport.endpoints
    return endpoints.storage, endpoints.jobq, endpoints.dash


@pytest.mark.parametrize(
    ('name', 'meant'),
    [
        ('apikey', 'auth'),
        ('api_key', 'auth'),
        ('url', 'endpoint'),
        ('timeout', 'connection_timeout'),
        ('spol', 'spool'),
    ],
)
def test_an_unknown_keyword_suggests_the_one_that_is_meant(name: str, meant: str) -> None:
    options: dict[str, Any] = {name: 'x' * 32}
    with pytest.raises(TypeError, match=f'^unknown parameter {name!r}, did you mean {meant!r}') as caught:
        ScrapinghubClient(**options)
    frames = [entry.frame.f_locals for entry in caught.traceback[1:]]
    assert frames
    assert 'x' * 32 not in repr(frames)


def test_default_addresses() -> None:
    storage = 'https://storage.scrapinghub.com'
    assert addresses() == (storage, storage, 'https://app.zyte.com/api')


def test_arguments_win_over_the_environment_and_empty_counts_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SHUB_STORAGE', 'http://storage.env/')
    monkeypatch.setenv('SHUB_JOBQ', '')
    monkeypatch.setenv('SHUB_APIURL', 'http://dash.env/api//')
    storage = 'http://storage.env'
    assert addresses(endpoint='', dash_endpoint=None) == (storage, storage, 'http://dash.env/api')
    monkeypatch.setenv('SHUB_JOBQ', 'http://jobq.env')
    assert addresses(endpoint=' http://storage.arg/x/ ', dash_endpoint='https://d.arg') == (
        'http://storage.arg/x',
        'http://storage.arg/x',
        'https://d.arg',
    )
    assert addresses() == (storage, 'http://jobq.env', 'http://dash.env/api')
    assert addresses(jobq_endpoint='http://q.arg')[1] == 'http://q.arg'


def test_an_endpoint_that_is_given_is_the_one_of_the_job_queue_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SHUB_STORAGE', 'http://storage.env')
    monkeypatch.setenv('SHUB_JOBQ', 'http://jobq.env')
    arguments: dict[str, Any] = {'endpoint': 'http://arg/'}
    assert addresses()[1] == 'http://jobq.env'
    assert addresses(**arguments)[1] == 'http://arg'
    assert addresses(**arguments, jobq_endpoint='http://q.arg')[1] == 'http://q.arg'
    # A program for 2.9.0 can rely on the order of 2.9.0.
    assert HubstorageClient(KEY, **arguments).jobq_endpoint == 'http://jobq.env/'


@pytest.mark.parametrize(
    'address', ['storage', 'ftp://x/', 'http://', 'http://a b/', 'http://x:y/', 'http://x/?a=1', 'http://x/#a', 5]
)
@pytest.mark.parametrize('argument', ['endpoint', 'jobq_endpoint', 'dash_endpoint'])
def test_what_is_no_address_is_refused_by_the_name_of_its_origin(argument: str, address: Any) -> None:
    with pytest.raises(ValueError, match=f'the argument {argument} should be an http or https URL'):
        make(**{argument: address})


def test_an_address_of_the_environment_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SHUB_APIURL', 'app.zyte.com')
    with pytest.raises(ValueError, match='the environment variable SHUB_APIURL should be'):
        ScrapinghubClient(KEY)


def test_each_part_of_the_api_is_asked_at_its_address() -> None:
    count, ids = {'/jobq/1/count': json_reply('3')}, {'/ids/1/spider/s': json_reply('7')}
    with (
        Wire(ids) as storage,
        Wire(count) as jobq,
        Wire({'/api/scrapyd/listprojects.json': json_reply('{"status": "ok", "projects": [1]}')}) as dash,
    ):
        client = ScrapinghubClient(KEY, f'{dash.url}/api', endpoint=storage.url, jobq_endpoint=jobq.url)
        project = client.get_project(1)
        assert (project.jobs.count(), project.spiders.get('s').key, client.projects.list()) == (3, '1/7', [1])


# Options


@pytest.mark.parametrize('timeout', [0, None])
def test_a_time_out_of_nothing_is_the_default(timeout: Any) -> None:
    assert ScrapinghubClient(KEY, connection_timeout=timeout).transport.timeout == 60


@pytest.mark.parametrize('option', ['max_retries', 'max_retry_time', 'max_outage'])
def test_negative_limits_are_refused(option: str) -> None:
    with pytest.raises(ValueError, match=option):
        make(**{option: -1})


def test_the_user_agent_of_the_storage_can_be_replaced_that_of_the_dash_not() -> None:
    ours = f'python-scrapinghub/{scrapinghub.__version__}'
    answers = {'/jobq/1/count': json_reply('3'), '/api/spiders/list.json': json_reply('{"status":"ok","spiders":[]}')}
    for user_agent, storage in ((None, ours), ('', ours), ('mine/1', 'mine/1')):
        with Wire(answers) as wire:
            project = wire.client(user_agent=user_agent).get_project(1)
            project.jobs.count()
            project.spiders.list()
            assert [request.headers['user-agent'] for request in wire.requests] == [storage, ours]


def test_nothing_of_a_client_shows_the_key() -> None:
    client = ScrapinghubClient(KEY, endpoint='http://user:password@host/')
    project, job = client.get_project(1), client.get_job('1/2/3')
    things = [
        client,
        client.transport,
        client.uploader,
        client.projects,
        project,
        project.jobs,
        project.spiders,
        project.activity,
        project.settings,
        job,
        job.metadata,
        client.transport.credentials,
    ]
    assert not [text for thing in things for text in (repr(thing), str(thing)) if KEY in text or 'password' in text]
    assert repr(client) == '<scrapinghub.client.ScrapinghubClient http://host>'
    assert repr(job) == '<scrapinghub.client.jobs.Job 1/2/3>'
    assert repr(job.metadata) == '<scrapinghub.client.jobs.JobMeta 1/2/3>'
    assert repr(project.jobs) == '<scrapinghub.client.jobs.Jobs 1>'


# What it hands out


def test_projects_and_jobs_are_made_without_a_request() -> None:
    with Wire({}) as wire:
        client = wire.client()
        assert client.get_project('7').key == client.projects.get(7).key == '7'
        job = client.get_job((1, 2, 3))
        assert (job.key, job.project_id) == ('1/2/3', '1')
        assert wire.requests == []


def test_things_are_equal_by_class_and_key() -> None:
    one, other = ScrapinghubClient(KEY), ScrapinghubClient('another')
    assert one.get_job('1/2/3') == other.get_job((1, 2, 3)) == Job(one, '1/2/3') != one.get_job('1/2/4')
    assert len({one.get_project(1), other.get_project('1'), Project(one, 1)}) == 1
    assert one.get_project(1) != one.get_project(1).jobs
    assert one.get_project(1).jobs == Jobs(other, 1)
    assert one.get_job('1/2/3').metadata != one.get_job('1/2/3')
    assert one.projects == other.projects


def test_dropping_a_client_frees_it_at_once() -> None:
    client = ScrapinghubClient(KEY)
    project, job = client.projects.get(1), client.get_job('1/2/3')
    things: list[object] = [project.spiders, project.jobs, job.metadata, job.items, project.frontiers]
    gone = weakref.ref(client)
    gc.disable()
    try:
        del client, project, job, things
        assert gone() is None
    finally:
        gc.enable()


# Closing


def test_leaving_the_with_statement_stores_what_was_written(cloud: Sandbox) -> None:
    with ScrapinghubClient(cloud.apikey, cloud.dash_url, endpoint=cloud.url) as client:
        job = client.get_project(1).jobs.run('spider')
        job.start()
        assert [job.items.write({'n': n}) for n in range(3)] == [0, 1, 2]
    with ScrapinghubClient(cloud.apikey, cloud.dash_url, endpoint=cloud.url) as other:
        assert other.get_job(job.key).items.list() == [{'n': 0}, {'n': 1}, {'n': 2}]


def test_closing_twice_and_without_use_is_fine() -> None:
    client = ScrapinghubClient(KEY)
    assert client.close() is True
    assert client.close(timeout=5) is True


def test_reading_goes_on_after_closing() -> None:
    with Wire({'/jobq/1/list': lines_reply({'key': '1/2/3'})}) as wire:
        client = wire.client()
        client.close()
        assert [job['key'] for job in client.get_project(1).jobs.list()] == ['1/2/3']


def test_a_page_of_html_is_an_error_that_shows_its_beginning() -> None:
    page = reply(b'<html>Welcome to the hotel</html>', content_type='text/html')
    with Wire({'/jobq/1/list': page, '/jobq/1/count': page}) as wire:
        jobs = wire.client().get_project(1).jobs
        with pytest.raises(scrapinghub.ScrapinghubAPIError, match='Welcome to the hotel'):
            jobs.count()
        with pytest.raises(scrapinghub.ScrapinghubAPIError, match='Welcome to the hotel'):
            jobs.list()
