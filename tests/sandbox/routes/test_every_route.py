"""Every route of the sandbox, called through a client."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scrapinghub import Connection, HubstorageClient, ScrapinghubClient
from scrapinghub.client._support.dash import Dash
from scrapinghub.client.comments import Comments
from scrapinghub.client.jobs import Job
from scrapinghub.sandbox import Sandbox
from scrapinghub.sandbox.routes.application import route_map


class Clients:
    """The three clients, and a running job of project 1 with one record of each kind and a comment."""

    def __init__(self, cloud: Sandbox) -> None:
        self.client = ScrapinghubClient(cloud.apikey, cloud.dash_url, endpoint=cloud.url)
        self.hub = HubstorageClient(cloud.apikey, cloud.url)
        self.connection = Connection(cloud.apikey, url=cloud.dash_url)
        self.dash = Dash(self.client.transport)
        self.project = self.client.get_project(1)
        self.hub_project = self.hub.get_project(1)
        self.old_project = self.connection[1]
        self.job: Job = self.project.jobs.run('books', meta={'state': 'running'})
        self.hub_job = self.hub.get_job(self.job.key)
        self.job.items.write({'title': 'a'})
        self.job.logs.info('started')
        self.job.requests.add(url='http://books.example', status=200, method='GET', rs=1, parent=None, duration=1, ts=1)
        self.job.samples.write([1, 2])
        self.comments: Comments = self.job.comments
        self.comment = self.comments.add(0, 'wrong', 'title')
        for records in (self.job.items, self.job.logs, self.job.requests, self.job.samples):
            records.flush()
        self.store = self.project.collections.get_store('books')
        self.store.set({'_key': 'a', 'value': 1})
        self.slot = self.project.frontiers.get('crawl').get('0')
        self.slot.q.add([{'fp': '/'}])
        self.slot.flush()
        self.project.settings.set('runs', 1)
        self.periodic = self.project.periodic_jobs.create('books', cron='0 9 * * *')

    @property
    def old_job(self) -> Any:
        return self.old_project.job(self.job.key)

    def add_request(self) -> None:
        self.slot.q.add([{'fp': '/b'}])
        self.slot.flush()

    def dash_v2(self, method: str, number: int | None = None, **body: Any) -> Any:
        path = ('v2', 'projects', '1', 'periodicjobs', *(() if number is None else (str(number),)))
        return self.dash.call(method, path, value=body or None)

    def close(self) -> None:
        self.client.close()
        self.hub.close()


JOB = '{project}/{spider}/{job}'
#: Records of each kind, and a field of them.
RECORDS = {
    'items': ({'title': 'b'}, 'title'),
    'logs': ({'message': 'b', 'level': 20, 'time': 1}, 'message'),
    'requests': ({'url': 'http://books.example/b', 'time': 1}, 'url'),
    'samples': ([[3, 4]], '0'),
}
STORE = '{project}/{kind}/{name}'
TASKS = [{'name': 'books'}]
CALLS: dict[str, Callable[[Clients], Any]] = {
    'GET /activity/{project}': lambda c: c.project.activity.list(),
    'POST /activity/{project}': lambda c: c.project.activity.add({'event': 'x'}),
    'GET /activity/projects': lambda c: list(c.client.activity.iter(projects=[1, 2])),
    'POST /botgroups/{name}/max_running': lambda c: c.hub.root.apipost(('botgroups', 'a', 'max_running'), data='1'),
    'DELETE /botgroups/{name}': lambda c: c.hub.root.apidelete(('botgroups', 'a')),
    f'GET /collections/{STORE}': lambda c: c.store.list(),
    f'POST /collections/{STORE}': lambda c: c.store.set({'_key': 'b'}),
    f'DELETE /collections/{STORE}': lambda c: c.hub_project.collections.apidelete(('s', 'books'), params={'key': 'a'}),
    f'GET /collections/{STORE}/{{key}}': lambda c: c.store.get('a'),
    f'POST /collections/{STORE}/{{key}}': lambda c: c.hub_project.collections.apipost(('s', 'books', 'c'), jl=[{}]),
    f'DELETE /collections/{STORE}/{{key}}': lambda c: c.hub_project.collections.apidelete(('s', 'books', 'c')),
    f'GET /collections/{STORE}/{{key}}/{{field}}': lambda c: c.hub_project.collections.apiget(
        ('s', 'books', 'a', 'value')
    ),
    f'GET /collections/{STORE}/count': lambda c: c.store.count(),
    f'POST /collections/{STORE}/deleted': lambda c: c.store.delete(['a']),
    'POST /collections/{project}/delete': lambda c: c.store.truncate(),
    'GET /collections/{project}/list': lambda c: c.project.collections.list(),
    'POST /collections/{project}/rename': lambda c: c.store.rename('renamed'),
    'GET /hcf/{project}/list': lambda c: c.project.frontiers.list(),
    'GET /hcf/{project}/{frontier}/list': lambda c: c.project.frontiers.get('crawl').list(),
    'POST /hcf/{project}/{frontier}/s/{slot}': lambda c: c.add_request(),
    'DELETE /hcf/{project}/{frontier}/s/{slot}': lambda c: c.slot.delete(),
    'GET /hcf/{project}/{frontier}/s/{slot}/f': lambda c: c.slot.f.list(),
    'GET /hcf/{project}/{frontier}/s/{slot}/q': lambda c: c.slot.q.list(),
    'GET /hcf/{project}/{frontier}/s/{slot}/q/count': lambda c: c.slot.q.count(),
    'POST /hcf/{project}/{frontier}/s/{slot}/q/deleted': lambda c: c.slot.q.delete(['00013967d8af7b0001']),
    'GET /ids/{project}/spider/{name}': lambda c: c.project.spiders.get('books'),
    'POST /jobq/{project}/{spider}/{number}/cancel': lambda c: c.hub_job.request_cancel(),
    'GET /jobq/{project}/{spider}/summary': lambda c: c.project.spiders.get('books').jobs.summary(),
    'GET /jobq/{project}/{spider}/summary/{state}': lambda c: c.project.spiders.get('books').jobs.summary('running'),
    'POST /jobq/{project}/cancel': lambda c: c.project.jobs.cancel([c.job.key]),
    'GET /jobq/{project}/count': lambda c: c.project.jobs.count(),
    'GET /jobq/{project}/jobsummary': lambda c: list(c.project.jobs.select(key=c.job.key).iter_metadata('state')),
    'GET /jobq/{project}/list': lambda c: c.project.jobs.list(),
    'POST /jobq/{project}/push': lambda c: c.hub_project.push_job('pushed'),
    'POST /jobq/{project}/startjob': lambda c: c.hub_project.jobq.start(),
    'GET /jobq/{project}/summary': lambda c: c.project.jobs.summary(),
    'GET /jobq/{project}/summary/{state}': lambda c: c.project.jobs.summary('running'),
    'POST /jobq/{project}/update': lambda c: c.job.finish(),
    'GET /jobs/{project}': lambda c: list(c.hub_project.jobs.list()),
    'GET /jobs/{project}/{spider}': lambda c: list(c.hub_project.jobs.list('1')),
    'GET /jobs/{project}/{spider}/{number}': lambda c: dict(c.job.metadata.iter()),
    'POST /jobs/{project}/{spider}/{number}': lambda c: c.job.metadata.update({'a': 1}),
    'DELETE /jobs/{project}/{spider}/{number}': lambda c: c.hub_job.metadata.apidelete(),
    'GET /jobs/{project}/{spider}/{number}/{name}': lambda c: c.job.metadata.get('state'),
    'POST /jobs/{project}/{spider}/{number}/{name}': lambda c: c.job.metadata.set('a', 1),
    'DELETE /jobs/{project}/{spider}/{number}/{name}': lambda c: c.job.metadata.delete('a'),
    'GET /projects/{project}/jobsummary': lambda c: c.hub_project.jobsummary(),
    'GET /projects/{project}/settings': lambda c: c.project.settings.list(),
    'POST /projects/{project}/settings': lambda c: c.project.settings.set('a', 1),
    'GET /projects/{project}/settings/{name}': lambda c: c.project.settings.get('runs'),
    'DELETE /projects/{project}/settings/{name}': lambda c: c.project.settings.delete('runs'),
    'GET /projects/jobsummaries': lambda c: c.client.projects.summary(),
    'GET /spiders/{project}/lastjobsummary': lambda c: list(c.hub_project.spiders.lastjobsummary()),
    'GET /spiders/{project}/{spider}/lastjobsummary': lambda c: list(c.hub_project.spiders.lastjobsummary('1')),
    'GET /system/ts': lambda c: c.hub.server_timestamp(),
    # The dash
    'PUT /api/comments/{number}': lambda c: c.comments.edit(c.comment['id'], 'right'),
    'DELETE /api/comments/{number}': lambda c: c.comments.archive(c.comment['id']),
    f'GET /api/comments/{JOB}': lambda c: c.comments.list(),
    f'GET /api/comments/{JOB}/{{item}}': lambda c: c.dash.call('GET', ('comments', *c.job.key.split('/'), '0')),
    f'POST /api/comments/{JOB}/{{item}}': lambda c: c.comments.add(0, 'good'),
    f'DELETE /api/comments/{JOB}/{{item}}': lambda c: c.dash.call('DELETE', ('comments', *c.job.key.split('/'), '0')),
    f'GET /api/comments/{JOB}/{{item}}/{{field}}': lambda c: c.dash.call(
        'GET', ('comments', *c.job.key.split('/'), '0', 'title')
    ),
    f'POST /api/comments/{JOB}/{{item}}/{{field}}': lambda c: c.comments.add(0, 'good', 'title'),
    f'DELETE /api/comments/{JOB}/{{item}}/{{field}}': lambda c: c.dash.call(
        'DELETE', ('comments', *c.job.key.split('/'), '0', 'title')
    ),
    'GET /api/comments/{project}/stats': lambda c: c.dash.call('GET', ('comments', '1', 'stats')),
    'GET /api/items.csv': lambda c: c.old_project._get('items', 'csv', {'job': c.job.key, 'fields': 'title'}, raw=True),
    'GET /api/items.jl': lambda c: list(c.old_job.items()),
    'GET /api/items.json': lambda c: c.dash.call('GET', ('items.json',), params={'project': 1, 'job': c.job.key}),
    'GET /api/jobs/count.json': lambda c: c.old_project.jobs().count(),
    'GET /api/jobs/list.jl': lambda c: list(c.old_project.jobs()),
    'GET /api/jobs/list.json': lambda c: c.dash.get(('jobs', 'list.json'), {'project': 1}),
    'POST /api/jobs/update.json': lambda c: c.job.update_tags(add=['x']),
    'POST /api/jobs/stop.json': lambda c: c.old_job.stop(),
    'POST /api/jobs/delete.json': lambda c: c.old_job.delete(),
    'GET /api/log.jl': lambda c: list(c.old_job.log()),
    'GET /api/log.json': lambda c: c.dash.call('GET', ('log.json',), params={'project': 1, 'job': c.job.key}),
    'GET /api/log.txt': lambda c: c.old_project._get('log', 'txt', {'job': c.job.key}, raw=True),
    'GET /api/projects/{project}/periodicjobs': lambda c: c.project.periodic_jobs.list(),
    'POST /api/projects/{project}/periodicjobs': lambda c: c.project.periodic_jobs.create('b', cron='0 9 * * *'),
    'GET /api/projects/{project}/periodicjobs/{number}': lambda c: c.project.periodic_jobs.get(c.periodic.id),
    'PATCH /api/projects/{project}/periodicjobs/{number}': lambda c: c.periodic.pause(),
    'DELETE /api/projects/{project}/periodicjobs/{number}': lambda c: c.periodic.delete(),
    'POST /api/reports/add.json': lambda c: c.old_job.add_report('r', 'text'),
    'POST /api/run.json': lambda c: c.project.jobs.run('other'),
    'POST /api/schedule.json': lambda c: c.old_project.schedule('other'),
    'GET /api/scrapyd/listprojects.json': lambda c: c.client.projects.list(),
    'GET /api/settings/get.json': lambda c: c.dash.get(('settings', 'get.json'), {'project': 1}),
    'GET /api/spiders/list.json': lambda c: c.project.spiders.list(),
    'GET /api/v2/projects/{project}': lambda c: c.project.info(),
    'GET /api/v2/projects/{project}/periodicjobs': lambda c: c.dash_v2('GET'),
    'POST /api/v2/projects/{project}/periodicjobs': lambda c: c.dash_v2('POST', cron='0 9 * * *', tasks=TASKS),
    'GET /api/v2/projects/{project}/periodicjobs/{number}': lambda c: c.dash_v2('GET', c.periodic.id),
    'PATCH /api/v2/projects/{project}/periodicjobs/{number}': lambda c: c.dash_v2(
        'PATCH', c.periodic.id, disabled=True
    ),
    'DELETE /api/v2/projects/{project}/periodicjobs/{number}': lambda c: c.dash_v2('DELETE', c.periodic.id),
    'GET /api/v2/projects/{project}/spiders': lambda c: c.dash.call('GET', ('v2', 'projects', '1', 'spiders')),
    'GET /api/v2/projects/{project}/spiders/{number}': lambda c: c.project.spiders.get('books').list_tags(),
    'PATCH /api/v2/projects/{project}/spiders/{number}/tags': lambda c: c.project.spiders.get('books').update_tags(
        add=['x']
    ),
    'GET /api/v2/users/me': lambda c: c.client.whoami(),
}


def calls_of_kind(kind: str, record: Any, field: str) -> dict[str, Callable[[Clients], Any]]:
    """Return the calls for records of one kind."""
    calls: dict[str, Callable[[Clients], Any]] = {
        f'GET /{kind}/{{project}}': lambda c: c.hub.root.apiget((kind, '1')),
        f'GET /{kind}/{{project}}/{{spider}}': lambda c: c.hub.root.apiget((kind, '1', '1')),
        f'GET /{kind}/{JOB}': lambda c: getattr(c.job, kind).list(),
        f'POST /{kind}/{JOB}': lambda c: getattr(c.hub_job, kind).apipost(jl=record, params={'start': 1}),
        f'GET /{kind}/{JOB}/{{number}}': lambda c: getattr(c.job, kind).get(0),
        f'GET /{kind}/{JOB}/{{number}}/{{field}}': lambda c: getattr(c.job, kind).iter(f'0/{field}'),
    }
    # Samples have no statistics.
    return calls if kind == 'samples' else {**calls, f'GET /{kind}/{JOB}/stats': lambda c: getattr(c.job, kind).stats()}


for kind, (record, field) in RECORDS.items():
    CALLS |= calls_of_kind(kind, record, field)
#: Routes that no client calls.
NOT_CALLED = {
    # To deploy is the task of shub.
    'POST /api/eggs/add.json',
    'GET /api/eggs/list.json',
    'POST /api/eggs/delete.json',
    'POST /api/scrapyd/addversion.json',
    # The sandbox has no Portia projects, and responds 501.
    'GET /api/as/project-slybot.zip',
    'GET /api/as/spider-properties.json',
    'POST /api/as/spider-properties.json',
}


def short(rule: str) -> str:
    """Return a rule without the types of its arguments."""
    return re.sub(r'<(?:\w+(?:\([^)]*\))?:)?(\w+)>', r'{\1}', rule)


def test_no_route_is_left_out() -> None:
    routes = {
        f'{method} {short(rule.rule)}'
        for rule in route_map().iter_rules()
        for method in (rule.methods or set()) - {'HEAD', 'OPTIONS'}
    }
    assert not NOT_CALLED & CALLS.keys()
    assert NOT_CALLED | CALLS.keys() == routes


@pytest.fixture
def clients(cloud: Sandbox) -> Iterator[Clients]:
    clients = Clients(cloud)
    yield clients
    clients.close()


@pytest.mark.parametrize('route', CALLS)
def test_a_route_answers_a_client(cloud: Sandbox, clients: Clients, route: str) -> None:
    before = len(cloud.requests)
    found = CALLS[route](clients)
    if isinstance(found, Iterator):
        list(found)
    matcher = route_map().bind('sandbox')
    called = set()
    for entry in list(cloud.requests)[before:]:
        rule, _ = matcher.match(entry.path, entry.method, return_rule=True)
        called.add((f'{entry.method} {short(rule.rule)}', entry.exchange.status))
    assert any(name == route and status and status < 300 for name, status in called), called
