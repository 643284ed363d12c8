"""Projects, spiders and activity: what goes over the wire, what comes back, what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scrapinghub import (
    BadRequest,
    NotFound,
    ScrapinghubAPIError,
    ScrapinghubClient,
    ServerError,
    Unauthorized,
)
from scrapinghub.client.activity import Activity
from scrapinghub.client.exceptions import DecodeError
from scrapinghub.client.projects import Project, Projects
from scrapinghub.client.spiders import Spider, Spiders
from scrapinghub.sandbox import Sandbox
from support.clocks import ManualClock
from support.scripted_server import Reply, Wire, json_reply, lines_reply, reply

SPIDER: dict[str, Any] = {'version': None, 'tags': [], 'id': 's', 'type': 'manual'}
ANSWERS = {
    '/api/scrapyd/listprojects.json': json_reply('{"projects": [123, 456], "status": "ok"}'),
    '/projects/jobsummaries': json_reply('[{"project": 123, "running": 1}]'),
    '/api/spiders/list.json': json_reply(f'{{"spiders": [{json.dumps(SPIDER)}], "status": "ok"}}'),
    '/ids/1/spider/s': json_reply('2'),
    '/ids/1/spider/none': json_reply('null'),
    '/ids/1/spider/a%2Fb%20%23%C3%A4': json_reply('4'),
    '/api/v2/projects/1/spiders/2': json_reply('{"tags": ["a"], "jobq_id": 2}'),
    '/api/v2/projects/1/spiders/2/tags': json_reply('{"tags": ["a"]}'),
    'GET /activity/1': lines_reply({'event': 'b'}, {'event': 'a'}),
    'POST /activity/1': reply(b'', content_type='text/plain; charset=UTF-8'),
}


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire(ANSWERS) as wire:
        yield wire


@pytest.fixture
def of_wire(wire: Wire) -> Project:
    return wire.client().get_project(1)


# Projects


def test_projects(wire: Wire) -> None:
    projects = wire.client().projects
    ids = projects.iter()
    assert len(wire.requests) == 1
    assert list(ids) == projects.list() == [123, 456]
    assert projects.summary() == [{'project': 123, 'running': 1}]
    projects.summary('running')
    projects.summary(['running', 'pending'])
    summaries = 'GET /projects/jobsummaries'
    assert wire.asked == [
        *['GET /api/scrapyd/listprojects.json'] * 2,
        summaries,
        f'{summaries}?state=running',
        f'{summaries}?state=running&state=pending',
    ]


def test_no_summaries_are_an_empty_list(wire: Wire) -> None:
    wire.answers['/projects/jobsummaries'] = json_reply('')
    assert wire.client().projects.summary() == []


@pytest.mark.parametrize('answer', ['{"status": "ok"}', '{"status": "ok", "projects": {}}'])
def test_a_malformed_list_of_projects_is_a_clear_error(answer: str, wire: Wire) -> None:
    wire.answers['/api/scrapyd/listprojects.json'] = json_reply(answer)
    with pytest.raises(DecodeError, match=r"'projects'.*scrapyd/listprojects\.json|scrapyd.*'projects'"):
        wire.client().projects.list()


def test_what_is_no_project_is_refused(wire: Wire) -> None:
    client = wire.client()
    for get in (client.projects.get, client.get_project):
        with pytest.raises(ValueError, match=r'^Project id should be convertible to integer$'):
            get('x')


@pytest.mark.parametrize(
    ('status', 'kind', 'message'), [(404, NotFound, 'Not found'), (500, ServerError, 'Internal server error')]
)
def test_the_dash_speaks_for_itself(status: int, kind: type[ScrapinghubAPIError], message: str, wire: Wire) -> None:
    wire.answers['/api/scrapyd/listprojects.json'] = reply(b'<html>', status=status, content_type='text/html')
    with pytest.raises(kind, match=f'^{message}\n'):
        wire.client().projects.list()


def test_built_as_the_contract_says(wire: Wire) -> None:
    client = wire.client()
    assert Projects(client).get(7) == Project(client, '7')
    assert Spiders(client, 1).project_id == '1'
    spider = Spider(client, 1, 2, 's')
    assert (spider.project_id, spider.key, spider.name, spider.jobs.spider) == ('1', '1/2', 's', spider)
    assert Activity(Activity, client, 1).key == '1'
    assert wire.requests == []


# Spiders


def test_spiders(wire: Wire, of_wire: Project) -> None:
    spiders = of_wire.spiders
    assert spiders.list() == list(spiders.iter()) == [SPIDER]
    spider = spiders.get('s')
    assert (spider.key, spider.name, spider.project_id) == ('1/2', 's', '1')
    assert spiders.get('s', create=True) == spiders.get('s', create=False) == spider
    assert wire.asked == [
        *['GET /api/spiders/list.json?project=1'] * 2,
        'GET /ids/1/spider/s',
        'GET /ids/1/spider/s?create=True',
        'GET /ids/1/spider/s',
    ]


def test_a_spider_that_does_not_exist(of_wire: Project) -> None:
    with pytest.raises(NotFound, match=r"^Spider none doesn't exist\.$"):
        of_wire.spiders.get('none')


def test_the_name_of_a_spider_reaches_exactly_it(of_wire: Project) -> None:
    assert of_wire.spiders.get('a/b #ä').key == '1/4'


def test_tags_of_a_spider(wire: Wire, of_wire: Project) -> None:
    spider = of_wire.spiders.get('s')
    assert spider.list_tags() == ['a']
    spider.update_tags(['a'], ['b'])
    spider.update_tags(add=[], remove=['b'])
    path = '/api/v2/projects/1/spiders/2'
    assert wire.asked[1:] == [f'GET {path}', f'PATCH {path}/tags', f'PATCH {path}/tags']
    assert wire.bodies[2:] == ['{"add": ["a"], "remove": ["b"]}', '{"remove": ["b"]}']
    assert wire.requests[2].headers['content-type'] == 'application/json'
    tags: Any = ('a',)
    with pytest.raises(ValueError, match=r'^Add/remove field value must be a list$'):
        spider.update_tags(add=tags)


def test_tags_of_a_spider_are_patched_again(wire: Wire) -> None:
    wire.answers['/api/v2/projects/1/spiders/2/tags'] = Reply(b'', reset=True)
    client = wire.client(max_retries=2)
    client.transport.clock = ManualClock()
    with pytest.raises(ScrapinghubAPIError):
        Spider(client, 1, 2, 's').update_tags(add=['a'])
    assert len(wire.requests) == 3


def test_no_tags_at_all_are_a_bad_request_that_says_so(project: Project) -> None:
    spider = project.spiders.get('spider', create=True)
    with pytest.raises(BadRequest, match='a list of tags to add'):
        spider.update_tags()
    spider.update_tags(add=['a', 'b'])
    spider.update_tags(add=['c'], remove=['a'])
    assert spider.list_tags() == ['b', 'c']


# Activity


def test_what_is_asked_of_the_activity(wire: Wire, of_wire: Project) -> None:
    activity = of_wire.activity
    events = activity.iter(count=2, meta='_ts')
    assert [event['event'] for event in events] == ['b', 'a']
    activity.list(1, filter=[('event', '=', ['a'])], meta=['_ts', '_key'], nodata=1)
    assert wire.asked == [
        'GET /activity/1?meta=_ts&count=2',
        'GET /activity/1?filter=%5B%22event%22%2C+%22%3D%22%2C+%5B%22a%22%5D%5D&meta=_ts&meta=_key&nodata=1&count=1',
    ]
    with pytest.raises(ValueError, match='Filter condition'):
        activity.iter(filter=5)


def test_one_event_or_several(wire: Wire, of_wire: Project) -> None:
    one, other = {'event': 'a', 'job': '1/2/3'}, {'event': 'b'}
    of_wire.activity.add(one)
    with pytest.warns(UserWarning, match="unknown parameter 'new'"):
        of_wire.activity.add([one, other], new='x')
    of_wire.activity.add(event for event in (other,))
    assert wire.asked == ['POST /activity/1', 'POST /activity/1?new=x', 'POST /activity/1']
    assert [[json.loads(line) for line in body.splitlines()] for body in wire.bodies] == [[one], [one, other], [other]]


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        (5, 'Please pass events as dictionaries'),
        (None, 'Please pass events as dictionaries'),
        ('abc', 'Please pass events as dictionaries'),
        ([{'event': 'a'}, 5], 'Please pass events as dictionaries'),
        ({'job': '2/2/3'}, 'Please use same project id'),
        ([{'job': 'x'}], "Job key should consist of project_id/spider_id/job_id, got 'x'"),
        ([{'job': 5}], "Job key should be a string or a tuple, got <class 'int'>: 5"),
    ],
)
def test_what_is_no_event_is_refused(values: Any, message: str, wire: Wire, of_wire: Project) -> None:
    with pytest.raises(ValueError, match=f'^{message}$'):
        of_wire.activity.add(values)
    assert wire.requests == []


def test_events_that_may_have_been_added_are_not_added_again(wire: Wire) -> None:
    wire.answers['POST /activity/1'] = Reply(b'', reset=True)
    with pytest.raises(ScrapinghubAPIError, match=r'project\.activity\.iter') as caught:
        wire.client(max_retries=3).get_project(1).activity.add({'event': 'a'})
    assert caught.value.maybe_applied
    assert len(wire.requests) == 1


def test_a_listing_of_events_that_grows_while_it_breaks_off(project: Project, cloud: Sandbox) -> None:
    project.activity.add([{'event': 'x', 'n': n} for n in range(200)])
    client = ScrapinghubClient(cloud.apikey, cloud.dash_url, endpoint=cloud.url)
    clock = client.transport.clock = ManualClock()
    # Something happens while the client waits to ask again.
    clock.on_wait = lambda _: project.activity.add({'event': 'new'})
    rule = cloud.faults.add(path='/activity/1', cut=0.5)
    events = client.get_project(1).activity.list()
    assert len(rule.met) == 1
    assert [event.get('n', event['event']) for event in events] == list(range(199, -1, -1))


# The whole account


def test_events_of_several_projects(client: ScrapinghubClient) -> None:
    for number in (1, 2, 1):
        client.get_project(number).activity.add({'event': 'a', 'n': number})
    projects: list[Any] = [client.get_project(1), '2']
    events: list[Any] = client.activity.list(projects=projects, meta='_project')
    assert [event['n'] for event in events] == [1, 2, 1]
    assert {int(event['_project']) for event in events} == {1, 2}
    assert client.activity.list(projects, per_project=1) == [{'event': 'a', 'n': 1}, {'event': 'a', 'n': 2}]
    assert client.activity.list(2) == [{'event': 'a', 'n': 2}]
    assert [*client.activity.iter(projects, count=1)] == [{'event': 'a', 'n': 1}]


def test_what_is_asked_of_several_projects(wire: Wire) -> None:
    wire.answers['/activity/projects'] = lines_reply()
    activity: Any = wire.client().activity
    activity.list([1, 2], per_project=3, count=5, filter=('event', '=', 'a'))
    condition = '%5B%22event%22%2C+%22%3D%22%2C+%5B%22a%22%5D%5D'
    assert wire.asked == [f'GET /activity/projects?p=1&p=2&pcount=3&filter={condition}&count=5']
    for projects in ([], ['x'], None):
        with pytest.raises((ValueError, TypeError)):
            activity.iter(projects)
    with pytest.raises(TypeError, match="unknown parameter 'limit'"):
        activity.iter(1, limit=5)
    assert len(wire.requests) == 1


def test_the_user_and_the_description_of_a_project(wire: Wire) -> None:
    wire.answers['/api/v2/users/me'] = json_reply('{"username": "ann"}')
    wire.answers['/api/v2/projects/1'] = json_reply('{"id": 1, "name": "books"}')
    client = wire.client()
    assert client.whoami() == {'username': 'ann'}
    assert client.get_project(1).info() == {'id': 1, 'name': 'books'}
    assert wire.asked == ['GET /api/v2/users/me', 'GET /api/v2/projects/1']
    wire.answers['/api/v2/users/me'] = json_reply('[]')
    with pytest.raises(DecodeError, match='v2/users/me'):
        client.whoami()
    wire.answers['/api/v2/users/me'] = json_reply('{"detail": "Invalid token."}', status=401)
    with pytest.raises(Unauthorized, match='an API key, given by the argument auth'):
        client.whoami()
    wire.answers['/api/v2/projects/1'] = json_reply('{"detail": "Not found."}', status=404)
    with pytest.raises(NotFound):
        client.get_project(1).info()
