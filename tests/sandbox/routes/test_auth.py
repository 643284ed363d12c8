from __future__ import annotations

import pytest

from scrapinghub.sandbox import Sandbox
from support.caller import Caller

WRONG = [None, ('', ''), ('wrong', ''), ('', 'key'), ('0' * 32, ''), ('1/1/1', 'token'), ('é', 'é')]


@pytest.mark.parametrize('auth', WRONG)
@pytest.mark.parametrize('accept', ['*/*', 'application/x-msgpack'])
def test_the_storage_server_refuses_in_plain_text(cloud: Sandbox, auth: tuple[str, str] | None, accept: str) -> None:
    with Caller(cloud.url, auth) as caller:
        for path in ('items/1/1/1', 'collections/1/list', 'hcf/9/list', 'activity/1', 'logs/nonsense'):
            answer = caller.get(path, headers={'Accept': accept})
            assert (answer.status_code, answer.reason, answer.text) == (401, 'Unauthorized', 'Unauthorized\n')
            assert 'Content-Type' not in answer.headers
            assert answer.headers['Access-Control-Allow-Origin'] == '*'


@pytest.mark.parametrize('auth', WRONG)
def test_the_queue_server_refuses_in_json(cloud: Sandbox, auth: tuple[str, str] | None) -> None:
    with Caller(cloud.url, auth) as caller:
        for path in ('jobq/1/list', 'jobs/1/1/1', 'ids/1/spider/x', 'projects/1/settings', 'botgroups/x'):
            answer = caller.get(path)
            assert (answer.status_code, answer.reason) == (401, 'UNAUTHORIZED')
            assert answer.text == '{\n  "error": "Unauthorized",\n  "message": "Unauthorized"\n}'
            assert answer.headers['Content-Type'] == 'application/json'
            assert answer.headers['WWW-Authenticate'] == 'Basic realm="apikey"'


@pytest.mark.parametrize('auth', WRONG)
def test_the_dash_refuses_with_a_status(cloud: Sandbox, auth: tuple[str, str] | None) -> None:
    with Caller(cloud.dash_url, auth) as caller:
        answer = caller.get('scrapyd/listprojects.json')
    assert answer.status_code == 401
    assert answer.json() == {'status': 'error', 'message': 'Authentication failed'}


@pytest.mark.parametrize('path', ['activity/1', 'jobq/1/list', 'api/scrapyd/listprojects.json'])
def test_the_key_may_be_a_parameter(cloud: Sandbox, path: str) -> None:
    with Caller(cloud.url, None) as caller:
        assert caller.get(path, params={'apikey': cloud.apikey}).status_code == 200
        assert caller.get(path, params={'apikey': 'wrong'}).status_code == 401


def test_malformed_credentials_are_wrong_credentials(cloud: Sandbox) -> None:
    with Caller(cloud.url, None) as caller:
        for header in ('Basic', 'Basic !', 'Basic dXNlcg==', 'Bearer x', 'Digest a=b', '\xff'):
            answer = caller.get('activity/1', headers={'Authorization': header.encode('latin-1')})
            assert answer.status_code == 401


def test_an_unknown_project_is_forbidden(caller: Caller) -> None:
    for path in ('items/9', 'collections/9/list', 'hcf/9/list', 'activity/9'):
        answer = caller.get(path)
        assert (answer.status_code, answer.text) == (403, 'Forbidden\n')
    assert caller.get('jobq/9/list').status_code == 403


def test_a_sandbox_without_projects_knows_each_from_its_first_use() -> None:
    with Sandbox() as cloud, Caller(cloud.url, (cloud.apikey, '')) as caller:
        assert caller.get('activity/77').status_code == 200
        assert caller.get('api/scrapyd/listprojects.json').json()['projects'] == [77]


@pytest.fixture
def token(caller: Caller) -> str:
    answer = caller.post('jobq/1/push', {'spider': 'a', 'state': 'running'}).json()
    token: str = answer['auth']
    caller.push(spider='a', state='running')
    caller.push(project=2, spider='a')
    return token


def test_a_job_token_opens_the_data_of_its_job(cloud: Sandbox, caller: Caller, token: str) -> None:
    with Caller(cloud.url, ('1/1/1', token)) as job:
        job.post('items/1/1/1?start=0', {'n': 0})
        job.post('logs/1/1/1?start=0', {'message': 'm', 'level': 20, 'time': 1})
        job.post('requests/1/1/1?start=0', {'url': 'u'})
        job.post('samples/1/1/1?start=0', [1, 2])
        job.post('collections/1/s/books', {'_key': 'k'})
        job.post('hcf/1/front/s/slot', {'fp': 'x'})
        assert job.read('items/1/1/1') == [{'n': 0}]
        assert job.get('jobs/1/1/1').json()['state'] == 'running'
        assert job.call('POST', 'jobs/1/1/1', '{"stats": 1}').ok
        assert job.call('POST', 'collections/1/delete?name=books').ok


def test_a_job_token_opens_nothing_else(cloud: Sandbox, caller: Caller, token: str) -> None:
    with Caller(cloud.url, ('1/1/1', token)) as job:
        for path in (
            'items/1/1/2', 'items/1/1', 'items/1', 'logs/1/1/2/0', 'samples/2/1/1', 'collections/2/list', 'hcf/2/list',
            'activity/1', 'jobs/1/1/2', 'jobq/1/list', 'jobq/1/summary', 'projects/1/settings', 'ids/1/spider/a',
            'spiders/1/lastjobsummary', 'projects/jobsummaries', 'api/scrapyd/listprojects.json', 'botgroups/x',
        ):  # fmt: skip
            assert job.get(path).status_code == 403, path
        for path in ('jobq/1/push', 'jobq/1/startjob', 'jobq/1/update', 'jobq/1/1/1/cancel', 'items/1/1/2'):
            assert job.call('POST', path, '{}').status_code == 403, path
        assert job.call('POST', 'api/run.json', {'project': 1, 'spider': 'a'}).status_code == 403
        for path in ('jobs/1/1/1', 'jobs/1/1/1/', 'jobs/1/1/2'):
            assert job.call('DELETE', path).status_code == 403, path
    assert caller.read('items/1') == []


def test_a_job_token_ends_with_the_run(cloud: Sandbox, caller: Caller, token: str) -> None:
    with Caller(cloud.url, ('1/1/2', token)) as other:
        assert other.get('items/1/1/2').status_code == 401
    caller.post('jobq/1/update', {'key': '1/1/1', 'state': 'finished'})
    with Caller(cloud.url, ('1/1/1', token)) as job:
        assert job.get('items/1/1/1').status_code == 401
