"""Every call that the overview shows, on a project seeded to match, gives the shape that it shows.

Ids, times and counts are ours. The sections follow one another as they do there, on one sandbox.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from scrapinghub import ScrapinghubClient
from scrapinghub.client.activity import Activity
from scrapinghub.client.collections import Collection, Collections
from scrapinghub.client.frontiers import Frontier, Frontiers, FrontierSlot
from scrapinghub.client.jobs import Job, JobMeta, Jobs
from scrapinghub.client.projects import Project, Projects, Settings
from scrapinghub.client.spiders import Spider, Spiders
from scrapinghub.sandbox import Sandbox


@pytest.fixture(scope='module')
def world() -> Iterator[SimpleNamespace]:
    with Sandbox(projects=[123, 456]) as cloud:
        client = ScrapinghubClient(cloud.apikey, endpoint=cloud.url, dash_endpoint=cloud.dash_url)
        with client:
            project = client.get_project(123)
            project.jobs.run('spider1').cancel()
            for _ in range(3):
                job = project.jobs.run('spider2', job_args={'page': str(_)})
                job.start()
                job.items.write({'name': 'an item'})
                job.close_writers()
                job.finish(close_reason='finished', version='792458b-master')
            yield SimpleNamespace(cloud=cloud, client=client, project=project)


@pytest.fixture
def client(world: SimpleNamespace) -> ScrapinghubClient:
    found: ScrapinghubClient = world.client
    return found


@pytest.fixture
def project(world: SimpleNamespace) -> Project:
    found: Project = world.project
    return found


@pytest.fixture
def spider(project: Project) -> Spider:
    return project.spiders.get('spider2')


@pytest.fixture
def job(project: Project) -> Iterator[Job]:
    job = project.jobs.run('spider3')
    job.start()
    yield job
    job.close_writers()
    job.delete()


def test_the_client_shows_where_it_goes_and_no_key(world: SimpleNamespace) -> None:
    assert repr(world.client).startswith('<scrapinghub.client.ScrapinghubClient')
    assert world.cloud.apikey not in repr(world.client)


# Projects


def test_projects_are_listed_by_id(client: ScrapinghubClient) -> None:
    assert isinstance(client.projects, Projects)
    assert sorted(client.projects.list()) == [123, 456]


def test_a_summary_counts_the_jobs_of_each_project(client: ScrapinghubClient) -> None:
    summary = client.projects.summary()
    assert {row['project'] for row in summary} == {123, 456}
    assert set(summary[0]) == {'finished', 'has_capacity', 'pending', 'project', 'running'}


def test_a_project_is_reached_by_its_id(client: ScrapinghubClient) -> None:
    for project in (client.get_project(123), client.projects.get(123), client.get_project('123')):
        assert isinstance(project, Project)
        assert project.key == '123'


# Spiders


def test_spiders_are_listed_as_dicts(project: Project) -> None:
    assert isinstance(project.spiders, Spiders)
    listed = {spider['id']: spider for spider in project.spiders.list()}
    assert set(listed) >= {'spider1', 'spider2'}
    assert set(listed['spider1']) == {'id', 'tags', 'type', 'version'}


def test_a_spider_is_reached_by_its_name(project: Project) -> None:
    spider = project.spiders.get('spider2')
    assert isinstance(spider, Spider)
    assert (spider.key, spider.name) == ('123/2', 'spider2')


# Jobs


def test_jobs_are_run_from_a_spider_and_from_a_project(project: Project, spider: Spider) -> None:
    assert isinstance(project.jobs, Jobs)
    assert isinstance(spider.jobs, Jobs)
    first = spider.jobs.run()
    second = project.jobs.run('spider1')
    assert isinstance(first, Job)
    assert first.key.startswith('123/2/')
    assert second.key.startswith('123/1/')
    for job in (first, second):
        job.delete()


def test_a_job_is_run_with_every_option(spider: Spider) -> None:
    job = spider.jobs.run(
        units=2, job_settings={'SETTING': 'VALUE'}, priority=1, add_tag=['tagA', 'tagB'], meta={'custom-data': 'val1'}
    )
    metadata = dict(job.metadata.iter())
    assert metadata['units'] == 2
    assert metadata['job_settings'] == {'SETTING': 'VALUE'}
    assert metadata['priority'] == 1
    assert metadata['tags'] == ['tagA', 'tagB']
    assert metadata['custom-data'] == 'val1'
    job.delete()


def test_a_job_is_reached_by_its_key(client: ScrapinghubClient, project: Project) -> None:
    assert project.jobs.get('123/1/2').key == '123/1/2'
    assert client.get_job('123/1/2').key == '123/1/2'


def test_jobs_are_counted(spider: Spider) -> None:
    assert spider.jobs.count() == 3


def test_jobs_come_as_dicts_newest_first(client: ScrapinghubClient, spider: Spider) -> None:
    summaries = list(spider.jobs.iter())
    assert [summary['key'] for summary in summaries] == ['123/2/3', '123/2/2', '123/2/1']
    assert set(summaries[0]) >= {
        'close_reason',
        'elapsed',
        'finished_time',
        'items',
        'key',
        'pending_time',
        'running_time',
        'spider',
        'state',
        'ts',
        'version',
    }
    jobs = [Job(client, summary['key']) for summary in summaries]
    assert [job.key for job in jobs] == [summary['key'] for summary in summaries]


def test_jobmeta_replaces_the_fields(project: Project) -> None:
    assert next(project.jobs.iter()).get('spider', 'missing') == 'spider2'
    for summaries in (project.jobs.iter(jobmeta=['scheduled_by']), project.jobs.iter(meta=['scheduled_by'])):
        summary = next(summaries)
        assert 'scheduled_by' in summary
        assert summary.get('spider', 'missing') == 'missing'


def test_jobs_are_paged_and_filtered(project: Project, spider: Spider) -> None:
    assert list(spider.jobs.iter(start=1000)) == []
    tagged = spider.jobs.run(add_tag=['new'])
    obsolete = spider.jobs.run(job_args={'n': '2'}, add_tag=['verified', 'obsolete'])
    summaries = project.jobs.iter(has_tag=['new', 'verified'], lacks_tag='obsolete', state='pending')
    assert [summary['key'] for summary in summaries] == [tagged.key]
    assert len(list(project.jobs.iter(spider='spider2', state='finished', count=3))) == 3
    for state in ('pending', 'running', 'finished', 'deleted'):
        assert isinstance(project.jobs.list(state=state), list)
    for job in (tagged, obsolete):
        job.delete()


def test_a_summary_has_a_part_for_each_state(spider: Spider) -> None:
    summary = spider.jobs.summary()
    assert [part['name'] for part in summary] == ['pending', 'running', 'finished']
    assert [part['count'] for part in summary] == [0, 0, 3]
    assert len(summary[2]['summary']) == 3


def test_the_last_job_of_each_spider(spider: Spider) -> None:
    last = list(spider.jobs.iter_last())
    assert [summary['key'] for summary in last] == ['123/2/3']
    assert last[0]['state'] == 'finished'


def test_tags_of_all_jobs_of_a_spider(spider: Spider) -> None:
    assert spider.jobs.update_tags(add=['consumed', 'existing']) == 3
    assert spider.jobs.update_tags(remove=['existing']) == 3
    assert [summary['tags'] for summary in spider.jobs.iter()] == [['consumed']] * 3


def test_jobs_are_cancelled_by_their_keys(spider: Spider) -> None:
    keys = [spider.jobs.run(job_args={'n': str(number)}).key for number in range(2)]
    assert spider.jobs.cancel(keys) == {'count': 2}
    for key in keys:
        spider.jobs.get(key).delete()


def test_what_can_be_done_with_a_job(project: Project) -> None:
    job = project.jobs.run('spider4')
    job.cancel()
    job.update_tags(add=['consumed'])
    assert job.metadata.get('tags') == ['consumed']
    job.delete()
    assert job.metadata.get('state') == 'deleted'


# Job data


def test_metadata_reads_like_a_dict(job: Job) -> None:
    assert isinstance(job.metadata, JobMeta)
    job.metadata.update({'version': '5123a86-master', 'scrapystats': {'item_scraped_count': 50}})
    assert job.metadata.get('version') == '5123a86-master'
    metadata = dict(job.metadata.iter())
    assert metadata['state'] == 'running'
    assert metadata['spider'] == 'spider3'
    assert metadata['project'] == 123
    assert job.metadata.get('scrapystats') == {'item_scraped_count': 50}
    job.metadata.set('tags', ['obsolete'])
    assert job.metadata.get('tags') == ['obsolete']


def test_items_logs_and_requests_are_dicts(job: Job) -> None:
    job.items.write({'name': 'first'})
    job.logs.info('[scrapy.core.engine] Closing spider (finished)')
    job.requests.add(
        url='https://example.com',
        status=200,
        method='GET',
        rs=1270,
        duration=354,
        ts=1482233733870,
        fp='6d748741a927b10454c83ac285b002cd239964ea',
    )
    job.close_writers()
    assert list(job.items.iter()) == [{'name': 'first'}]
    (log,) = job.logs.iter()
    assert (log['level'], log['message']) == (20, '[scrapy.core.engine] Closing spider (finished)')
    assert set(log) == {'level', 'message', 'time'}
    assert list(job.requests.iter()) == [
        {
            'duration': 354,
            'fp': '6d748741a927b10454c83ac285b002cd239964ea',
            'method': 'GET',
            'rs': 1270,
            'status': 200,
            'time': 1482233733870,
            'url': 'https://example.com',
        }
    ]


# Activity


def test_activity_comes_newest_first(project: Project) -> None:
    assert isinstance(project.activity, Activity)
    one = {'event': 'job:completed', 'job': '123/2/4', 'user': 'john'}
    two: list[dict[str, Any]] = [
        {'event': 'job:completed', 'job': '123/2/5', 'user': 'john'},
        {'event': 'job:cancelled', 'job': '123/2/6', 'user': 'john'},
    ]
    project.activity.add(one)
    project.activity.add(two)
    events = list(project.activity.iter(count=3, meta='_ts'))
    assert [{name: event[name] for name in ('event', 'job', 'user')} for event in events] == [two[1], two[0], one]
    assert all(isinstance(event['_ts'], int) for event in events)
    assert project.activity.list()[:3] == [two[1], two[0], one]


# Collections


def test_a_collection_keeps_records_by_key(project: Project) -> None:
    assert isinstance(project.collections, Collections)
    foo_store = project.collections.get_store('foo_store')
    assert isinstance(foo_store, Collection)
    key = '002d050ee3ff6192dcbecc4e4b4457d7'
    foo_store.set({'_key': key, 'value': '1447221694537'})
    assert foo_store.count() == 1
    assert foo_store.get(key) == {'value': '1447221694537'}
    assert list(foo_store.iter()) == [{'_key': key, 'value': '1447221694537'}]
    assert list(foo_store.iter(key=[key, 'blah'])) == [{'_key': key, 'value': '1447221694537'}]
    foo_store.delete(key)
    assert foo_store.count() == 0


# Frontiers


def test_a_frontier_has_slots_with_queues_and_fingerprints(project: Project) -> None:
    frontiers = project.frontiers
    assert isinstance(frontiers, Frontiers)
    for name in ('test', 'test1', 'test2'):
        frontiers.get(name).get('example.com').f.add(['seed'])
    frontiers.get('test').get('example.com2').f.add(['seed'])
    frontiers.flush()
    assert list(frontiers.iter()) == ['test', 'test1', 'test2']
    assert frontiers.list() == ['test', 'test1', 'test2']
    frontier = frontiers.get('test')
    assert isinstance(frontier, Frontier)
    assert list(frontier.iter()) == ['example.com', 'example.com2']
    assert frontier.list() == ['example.com', 'example.com2']
    slot = frontier.get('example.com')
    assert isinstance(slot, FrontierSlot)
    before = (slot.newcount, frontier.newcount, frontiers.newcount)
    slot.queue.add([{'fp': '/some/path.html'}])
    slot.flush()
    after = (slot.newcount, frontier.newcount, frontiers.newcount)
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1, 1]
    slot.fingerprints.add(['fp1', 'fp2'])
    slot.flush()
    slot.q.add([{'fp': '/'}, {'fp': 'page1.html', 'p': 1, 'qdata': {'depth': 1}}])
    slot.flush()
    queued = [fingerprint for batch in slot.q.iter() for fingerprint, _ in batch['requests']]
    assert set(queued) >= {'/some/path.html', '/', 'page1.html'}
    assert set(slot.f.iter()) >= {'fp1', 'fp2', '/'}
    batches = slot.q.list()
    slot.q.delete(batches[0]['id'])
    assert slot.q.list() == batches[1:]
    slot.delete()
    assert frontier.list() == ['example.com2']
    frontier.flush()
    frontiers.flush()
    frontiers.close()


# Settings


def test_settings_are_pairs(project: Project) -> None:
    assert isinstance(project.settings, Settings)
    project.settings.update({'default_job_units': 2, 'job_runtime_limit': 24})
    assert sorted(project.settings.list()) == [('default_job_units', 2), ('job_runtime_limit', 24)]
    assert project.settings.get('job_runtime_limit') == 24
    project.settings.set('job_runtime_limit', 20)
    assert project.settings.get('job_runtime_limit') == 20
    project.settings.update({'default_job_units': 1, 'job_runtime_limit': 20})
    assert sorted(project.settings.list()) == [('default_job_units', 1), ('job_runtime_limit', 20)]
