"""Copies of the client and its resources: settings and credentials travel, connections and writers do not."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from scrapinghub import ScrapinghubClient
from scrapinghub.sandbox import Sandbox

COPY: dict[str, Callable[[Any], Any]] = {
    'copy': copy.copy,
    'deepcopy': copy.deepcopy,
    'pickle': lambda thing: pickle.loads(pickle.dumps(thing)),
}


def resources(client: ScrapinghubClient) -> list[Any]:
    project = client.get_project(1)
    spider = project.spiders.get('spidey', create=True)
    job = client.get_job('1/2/3')
    slot = project.frontiers.get('f').get('s')
    found: list[Any] = [project, project.jobs, project.spiders, project.settings, project.activity, project.collections]
    found += [project.frontiers, project.frontiers.get('f'), slot, slot.q, slot.f, client.projects]
    found += [project.collections.get_store('store'), spider, spider.jobs]
    return [*found, job, job.items, job.logs, job.requests, job.samples, job.metadata]


@pytest.mark.parametrize('name', COPY)
def test_a_copy_is_equal_and_works(name: str, client: ScrapinghubClient) -> None:
    for resource in resources(client):
        assert COPY[name](resource) == resource
    with COPY[name](client) as other:
        assert other.projects.list() == client.projects.list() == [1, 2]
        assert repr(other) == repr(client)


@pytest.mark.parametrize('name', ['deepcopy', 'pickle'])
def test_a_copy_has_the_settings_of_the_session(name: str, cloud: Sandbox) -> None:
    with cloud.client() as client:
        session = client.transport.session
        session.verify, session.trust_env, session.cert = '/ca.pem', False, '/client.pem'
        session.proxies, session.auth = {'https': 'http://proxy:1'}, ('user', 'password')
        session.headers['X-Team'] = 'books'
        twin = COPY[name](client).transport.session
    assert (twin.verify, twin.trust_env, twin.cert) == ('/ca.pem', False, '/client.pem')
    assert (twin.proxies, twin.auth) == ({'https': 'http://proxy:1'}, ('user', 'password'))
    assert twin.headers == session.headers


@pytest.mark.parametrize('name', ['deepcopy', 'pickle'])
def test_a_copy_has_settings_and_connections_and_writers_of_its_own(name: str, cloud: Sandbox) -> None:
    options: Any = {'endpoint': cloud.url, 'max_retries': 7, 'user_agent': 'me', 'use_msgpack': False}
    with ScrapinghubClient(cloud.apikey, cloud.dash_url, 33, max_outage=5, **options) as client:
        job = client.get_project(1).jobs.run('spidey')
        job.items.write({'n': 0})
        job.items.flush()
        twin = COPY[name](job)
        other = twin._client
        assert other.transport is not client.transport
        assert other.transport.session is not client.transport.session
        assert (other.connection_timeout, other.transport.user_agent) == (33, 'me')
        assert (other.transport.use_msgpack, other.transport.retries) == (False, client.transport.retries)
        twin.items.writer(append=True).write({'n': 1})
        other.close()
        assert job.items.list() == [{'n': 0}, {'n': 1}]
        assert job.items.write({'n': 'again'}) == 1


@pytest.mark.parametrize('name', COPY)
def test_records_that_are_not_stored_are_not_copied(name: str, client: ScrapinghubClient) -> None:
    job = client.get_project(1).jobs.run('spidey')
    slot = client.get_project(1).frontiers.get('f').get('s')
    job.items.write({'n': 0})
    slot.q.add({'fp': 'a'})
    for resource in (job.items, slot.writer):
        with pytest.raises(TypeError, match=r'not stored: call flush\(\)'):
            COPY[name](resource)
    with pytest.raises(TypeError, match='a writer cannot be copied'):
        COPY[name](job.items.writer())
    job.items.flush()
    slot.flush()
    assert COPY[name](job.items) == job.items
    # A shallow copy of a slot shares its writer.
    assert COPY[name](slot).newcount == (1 if name == 'copy' else 0)


def test_a_resource_is_used_by_another_process(client: ScrapinghubClient) -> None:
    job = client.get_project(1).jobs.run('spidey')
    job.items.write({'n': 0})
    job.items.flush()
    code = 'import pickle, sys; print(pickle.load(sys.stdin.buffer).items.list())'
    done = subprocess.run(
        [sys.executable, '-c', code], input=pickle.dumps(job), stdout=subprocess.PIPE, check=True, timeout=60
    )
    assert done.stdout.decode().strip() == "[{'n': 0}]"


def test_copies_are_made_by_many_threads(client: ScrapinghubClient) -> None:
    project = client.get_project(1)
    with ThreadPoolExecutor(4) as executor:
        copies = list(executor.map(lambda _: copy.deepcopy(project), range(20)))
    assert copies == [project] * 20
