"""Users, projects, eggs, reports and credentials on the dash."""

from __future__ import annotations

import json

import pytest

from scrapinghub.sandbox import Sandbox
from support.caller import Caller, Clock, rows


@pytest.fixture(scope='module')
def projects() -> None:
    """Accept every project."""


def test_projects_are_listed(caller: Caller) -> None:
    assert caller.expect('GET', '/api/scrapyd/listprojects.json').text == '{"projects": [], "status": "ok"}'
    caller.push(project=7)
    caller.push(project=3)
    assert caller.value('/api/scrapyd/listprojects.json') == {'projects': [7, 3], 'status': 'ok'}


def test_eggs_are_kept_by_name(caller: Caller) -> None:
    for name, version in (('b', '1'), ('a', '1'), ('b', '2')):
        answer = caller.expect(
            'POST', '/api/eggs/add.json', data={'project': 1, 'name': name, 'version': version}, files={'egg': b'PK'}
        )
        assert answer.json() == {'status': 'ok', 'egg': {'name': name, 'version': version}}
    eggs = [{'name': 'a', 'version': '1'}, {'name': 'b', 'version': '2'}]
    assert caller.value('/api/eggs/list.json?project=1') == {'status': 'ok', 'eggs': eggs}
    for _ in range(2):
        assert caller.expect('POST', '/api/eggs/delete.json', data={'project': 1, 'name': 'a'}).json() == {
            'status': 'ok'
        }
    assert caller.value('/api/eggs/list.json?project=1')['eggs'] == eggs[1:]
    assert caller.value('/api/eggs/list.json?project=2')['eggs'] == []


def test_a_large_egg_is_kept_whole(caller: Caller, cloud: Sandbox) -> None:
    content = bytes(range(256)) * 8192
    caller.expect(
        'POST', '/api/eggs/add.json', data={'project': 1, 'name': 'a', 'version': '1'}, files={'egg': content}
    )
    assert rows(cloud, ['eggs'])['eggs'] == [(1, 'a', '1', content)]


def test_a_report_is_kept_with_its_job(caller: Caller, cloud: Sandbox) -> None:
    key = caller.push()
    form = {'project': 1, 'job': key, 'key': 'k', 'content_type': 'text/x-rst'}
    answer = caller.expect('POST', '/api/reports/add.json', data=form, files={'content': ('report', 'Título\n')})
    assert answer.json() == {'status': 'ok'}
    assert rows(cloud, ['reports'])['reports'] == [(key, 'k', 'text/x-rst', 'Título\n'.encode())]
    for change in ({'job': '1/1/99'}, {'job': 'x'}, {'content_type': 'text/html'}, {'key': ''}):
        caller.expect('POST', '/api/reports/add.json', 400, data={**form, **change}, files={'content': b'x'})
    caller.expect('POST', '/api/reports/add.json', 400, data=form)
    assert len(rows(cloud, ['reports'])['reports']) == 1


@pytest.mark.parametrize(
    ('method', 'path'),
    [
        ('GET', 'as/project-slybot.zip'),
        ('GET', 'as/spider-properties.json'),
        ('POST', 'as/spider-properties.json'),
        ('GET', 'never/heard.json'),
    ],
)
def test_what_is_not_imitated_names_itself(caller: Caller, method: str, path: str) -> None:
    answer = caller.expect(method, f'/api/{path}?project=1', 501).json()
    assert path in answer['message']
    assert answer['status'] == 'error'


def test_the_dash_takes_no_job_token(caller: Caller) -> None:
    (started,) = caller.send('/jobq/1/push', {'spider': 'one', 'state': 'running'})
    job = (started['key'], started['auth'])
    caller.expect('GET', f'/api/items.json?project=1&job={started["key"]}', 403, auth=job)
    caller.expect('POST', '/api/run.json', 403, auth=job, data={'project': 1, 'spider': 'two'})
    answer = caller.expect('GET', '/api/jobs/list.json?project=1', 401, auth=None)
    assert answer.json() == {'status': 'error', 'message': 'Authentication failed'}


def test_the_key_may_stand_in_the_query(caller: Caller, cloud: Sandbox) -> None:
    form = {'project': 1, 'spider': 'one'}
    answer = caller.expect('POST', f'/api/run.json?apikey={cloud.apikey}', auth=None, data=form)
    assert answer.json()['status'] == 'ok'
    assert json.dumps(caller.meta('1/1/1')).find(cloud.apikey) == -1


def test_the_user_of_the_key_is_shown(caller: Caller) -> None:
    assert caller.value('/api/v2/users/me')['username'] == 'admin'
    caller.expect('GET', '/api/v2/users/me', 401, auth=('wrong', ''))


def test_a_project_is_shown() -> None:
    clock = Clock()
    with Sandbox(projects=[3], clock=clock) as cloud, Caller(cloud.url, (cloud.apikey, '')) as caller:
        assert caller.value('/api/v2/projects/3') == {'id': 3, 'name': 'Project 3', 'version': None}
        caller.expect('GET', '/api/v2/projects/4', 403)


def test_settings_are_read_in_the_form_of_the_dash(caller: Caller) -> None:
    caller.send('/projects/1/settings', {'job_runtime_limit': 24})
    found = caller.value('/api/settings/get.json?project=1')
    assert found['project_settings'] == {'job_runtime_limit': 24}
    assert {'organization_settings', 'enabled_addons'} < found.keys()


@pytest.mark.parametrize('path', ['project-slybot.zip', 'spider-properties.json'])
def test_there_are_no_portia_projects(caller: Caller, path: str) -> None:
    caller.expect('GET', f'/api/as/{path}?project=1', 501)
