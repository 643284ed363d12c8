"""The low-level client as programs use it; what it sends is held against the released one by the programs."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import requests

from scrapinghub import HubstorageClient, ScrapinghubClient, UploadError
from scrapinghub.hubstorage import ValueTooLarge
from scrapinghub.hubstorage.job import JobMeta, Logs
from scrapinghub.hubstorage.jobq import DuplicateJobError
from scrapinghub.sandbox import Sandbox


def test_the_constructor_takes_what_programs_give(cloud: Sandbox) -> None:
    hubstorage = HubstorageClient(auth=None, endpoint=cloud.url, user_agent=None)
    assert (hubstorage.auth, hubstorage.connection_timeout) == (None, 60.0)
    assert hubstorage.user_agent.startswith('python-scrapinghub/')
    assert HubstorageClient('user:pass:word').auth == ('user', 'pass:word')
    assert HubstorageClient(('a', 'b'), connection_timeout=0).connection_timeout == 60.0
    assert HubstorageClient('a').endpoint == cloud.url


@pytest.mark.parametrize('auth', [b'bytes', 5, ['a', 'b']])
def test_credentials_of_another_kind_are_refused_and_not_shown(auth: Any) -> None:
    with pytest.raises(TypeError, match='auth should be a string or a tuple') as caught:
        HubstorageClient(auth)
    assert 'bytes' not in str(caught.value).replace(', got bytes', '')


def test_no_repr_shows_the_key(cloud: Sandbox, hubstorage: HubstorageClient) -> None:
    project = hubstorage.get_project(123)
    shown = [repr(thing) for thing in (hubstorage, project, project.items, vars(project), vars(project.items))]
    assert cloud.apikey not in ''.join(shown)
    assert cloud.apikey not in repr(hubstorage.auth)


def test_the_shapes_that_programs_take_apart(hubstorage: HubstorageClient) -> None:
    project = hubstorage.get_project('123')
    assert project.projectid == '123'
    user, password = project.auth or ('', '')
    assert (len(user), password) == (32, '')
    job = hubstorage.get_job(('123', 1, 2))
    assert (job.key, job.items.key, job.metadata.key) == ('123/1/2', 'items/123/1/2', 'jobs/123/1/2')
    assert job.items.url == f'{hubstorage.endpoint}items/123/1/2'
    assert project.settings.key == 'projects/123/settings'
    job.anything = 'set by a program'  # type: ignore[attr-defined]


@pytest.mark.parametrize('key', ['1/2', '1', (1, 2), '1/2/3/4'])
def test_a_job_key_that_is_none(hubstorage: HubstorageClient, key: Any) -> None:
    with pytest.raises(AssertionError, match='Jobkey must be projectid/spiderid/jobid'):
        hubstorage.get_job(key)


def test_a_project_key_that_is_none(hubstorage: HubstorageClient) -> None:
    with pytest.raises(AssertionError, match='projectkey must be just one id'):
        hubstorage.get_project('1/2')


@pytest.mark.parametrize('key', ['2/3', (2, 3), '123/2/3', ('123', 2, 3)])
def test_a_job_of_a_project(hubstorage: HubstorageClient, key: Any) -> None:
    assert hubstorage.get_project(123).get_job(key).key == '123/2/3'


@pytest.mark.parametrize('key', ['456/2/3', '9', '1/2/3/4'])
def test_a_job_of_another_project(hubstorage: HubstorageClient, key: str) -> None:
    with pytest.raises(ValueError, match=f'Invalid jobkey {key} for project 123'):
        hubstorage.get_project(123).get_job(key)


def test_credentials_of_a_job_are_for_its_data(hubstorage: HubstorageClient) -> None:
    job = hubstorage.get_job('123/1/2', auth=('u', 'p'), jobauth='a:b', metadata={'known': 1})
    assert (job.jobauth, job.auth) == ('a:b', 'a:b')
    assert (job.items.auth, job.jobq.auth) == (('a', 'b'), ('u', 'p'))
    assert job.metadata['known'] == 1


def test_records_are_read(hubstorage: HubstorageClient, job_key: str) -> None:
    job = hubstorage.get_job(job_key)
    assert [item['n'] for item in job.items.iter_values(startafter=None, count=3)] == [0, 1, 2]
    assert [item['n'] for item in job.items.iter_values(startafter=f'{job_key}/7')] == [8, 9]
    assert next(iter(job.items.iter_values()))['_key'] == f'{job_key}/0'
    assert list(job.items.list(count=1)) == [{'n': 0}]
    assert job.items.get(4) == {'n': 4}
    assert job.items.get(4, meta='_key') == {'n': 4, '_key': f'{job_key}/4'}
    assert job.items.stats()['totals']['input_values'] == 10
    assert [line['message'] for line in job.logs.iter_values()] == ['opened', 'slow', 'failed']
    assert [line['message'] for line in job.logs.list(filter='["level", ">=", [40]]')] == ['failed']
    assert list(job.samples.list()) == [[1480000000000, 1]]
    assert next(iter(job.requests.iter_values()))['url'] == 'https://example.com'
    with pytest.raises(NotImplementedError, match='does not expose stats'):
        job.samples.stats()


def test_records_come_as_they_were_sent(hubstorage: HubstorageClient, job_key: str) -> None:
    job = hubstorage.get_job(job_key)
    assert list(job.items.iter_json(count=1)) == [f'{{"n":0,"_key":"{job_key}/0"}}']
    from scrapinghub.hubstorage.serialization import mpdecode

    assert [item['n'] for item in mpdecode(job.items.iter_msgpack())] == list(range(10))


@pytest.mark.parametrize('use_msgpack', [True, False])
def test_msgpack_can_be_switched_at_any_time(
    cloud: Sandbox, hubstorage: HubstorageClient, job_key: str, use_msgpack: bool
) -> None:
    hubstorage.use_msgpack = use_msgpack
    assert len(list(hubstorage.get_job(job_key).items.list())) == 10
    asked = cloud.requests[-1].headers['Accept']
    assert asked == ('application/x-msgpack' if use_msgpack else '*/*')


def test_a_whole_project_is_read(hubstorage: HubstorageClient, job_key: str) -> None:
    project = hubstorage.get_project(123)
    assert len(list(project.items.list('1', count=4))) == 4
    assert list(project.samples.list('1', count=1)) == [[1480000000000, 1]]
    assert len(list(project.logs.list('1'))) == 3


def test_paths_of_ones_own(hubstorage: HubstorageClient, job_key: str) -> None:
    project = hubstorage.get_project(123)
    assert next(project.collections.apiget('list'), None) is None
    job = hubstorage.get_job(job_key)
    assert list(job.metadata.apipost('mine', data='[1]', is_idempotent=True)) == []
    assert next(job.metadata.apiget('mine')) == [1]
    assert next(job.metadata.apiget(('mine', None))) == [1]
    assert list(job.metadata.apipost(jl={'mine': 2})) == []
    assert list(job.metadata.apidelete('mine')) == []
    assert next(hubstorage.root.apiget(('jobs', job_key, 'mine'))) is None


def test_the_queue(hubstorage: HubstorageClient) -> None:
    project = hubstorage.get_project(123)
    job = hubstorage.push_job(123, 'spider', priority=project.jobq.PRIO_LOWEST, at=dt.date(2020, 1, 2), unique='u')
    assert job.metadata['at'] == '2020-01-02'
    with pytest.raises(DuplicateJobError, match='Active job exists with key u') as caught:
        project.jobq.push('spider', unique='u')
    assert type(caught.value).__mro__[1] is Exception
    started = project.jobq.start(extra=1)
    assert (started['key'], started['extra'], project.jobq.start()) == (job.key, 1, None)
    assert [row['prevstate'] for row in project.jobq.finish([job, {'key': job.key}, job.key])] == ['running'] + 2 * [
        'finished'
    ]
    assert [row['key'] for row in project.jobq.list(spider='spider', count=1)] == [job.key]
    assert project.jobq.summary('finished')['count'] == 1
    assert [part['name'] for part in project.jobq.summary(spiderid=1)] == ['pending', 'running', 'finished']
    assert [row['key'] for row in project.jobq.jobsummary((job.key,), ['spider'])] == [job.key]
    assert next(project.jobq.update('123/1', note='all of the spider'))['key'] == job.key
    project.jobq.request_cancel(job)
    job.request_cancel()
    job.purged()
    assert job.metadata['state'] == 'deleted'


@pytest.mark.parametrize('job', [5, ('123/1/1',), None, {'key': 4}])
def test_what_is_no_job_is_not_sent(cloud: Sandbox, hubstorage: HubstorageClient, job: Any) -> None:
    with pytest.raises(TypeError, match='a job should be a key'):
        hubstorage.get_project(123).jobq.update(job, state='finished')
    assert not cloud.requests


def test_a_conflict_is_a_duplicate(cloud: Sandbox, hubstorage: HubstorageClient) -> None:
    cloud.faults.add(path='/jobq/123/push', status=409, body=b'already there')
    with pytest.raises(DuplicateJobError, match='already there'):
        hubstorage.push_job(123, 'spider')


def test_another_error_of_a_push(cloud: Sandbox, hubstorage: HubstorageClient) -> None:
    body = b'{"error": "no such thing"}\n'
    cloud.faults.add(
        path='/jobq/123/push', status=200, body=body, times=2, headers={'Content-Type': 'application/x-jsonlines'}
    )
    with pytest.raises(requests.HTTPError, match='no such thing'):
        hubstorage.push_job(123, 'spider')


def test_the_old_form_of_filters(cloud: Sandbox, hubstorage: HubstorageClient) -> None:
    project = hubstorage.get_project(123)
    for reason, tag in (('finished', 'a'), ('failed', 'a'), ('finished', 'b')):
        job = project.push_job('spider', tags=[tag])
        list(project.jobq.finish(job, close_reason=reason))
    found = project.jobq.list(filter=['["close_reason", "=", ["finished"]]', '["tags", "haselement", ["a"]]'])
    assert [row['key'] for row in found] == ['123/1/1']
    assert len(list(project.jobq.list(filter='["state", "=", ["finished"]]'))) == 3
    assert len(list(project.jobq.list(filter=[['close_reason', '!=', ['finished']]]))) == 3
    assert cloud.requests[-1].query == [('filter', '["close_reason", "!=", ["finished"]]')]


def test_get_jobs_is_deprecated(hubstorage: HubstorageClient) -> None:
    project = hubstorage.get_project(123)
    key = project.push_job('spider', state='finished').key
    with pytest.warns(Warning, match='jobq.list') as caught:
        assert [job.key for job in project.get_jobs(count=1)] == [key]
    assert caught[0].filename == __file__


def test_metadata_is_a_mapping_that_is_kept(cloud: Sandbox, hubstorage: HubstorageClient, job_key: str) -> None:
    job = hubstorage.get_job(job_key)
    cloud.requests.clear()
    assert job.metadata
    assert (job.metadata['state'], 'nothing' in job.metadata, job.metadata.get('nothing')) == ('running', False, None)
    with pytest.raises(KeyError):
        job.metadata['nothing']
    assert repr(job.metadata) == f'JobMeta({job.metadata!s})'
    assert len(cloud.requests) == 1
    hubstorage.get_job(job_key).update_metadata({'new': 1}, other=2)
    assert 'new' not in job.metadata
    assert job.metadata.liveget('new') == 1
    job.metadata.expire()
    assert job.metadata['new'] == 1


def test_saving_removes_what_was_removed_and_never_sends_what_belongs_to_the_service(
    cloud: Sandbox, hubstorage: HubstorageClient, job_key: str
) -> None:
    job = hubstorage.get_job(job_key)
    job.update_metadata(gone=1)
    del job.metadata['gone']
    job.metadata.update(state='finished', auth='x', _key='y', kept=[1])
    cloud.requests.clear()
    job.metadata.save()
    assert [(entry.method, entry.path) for entry in cloud.requests] == [
        ('DELETE', f'/jobs/{job_key}/gone'),
        ('POST', f'/jobs/{job_key}'),
    ]
    job.metadata.expire()
    assert (job.metadata['state'], job.metadata['kept'], 'gone' in job.metadata) == ('running', [1], False)


def test_names_can_be_added_to_those_that_are_never_sent(
    cloud: Sandbox, hubstorage: HubstorageClient, job_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JobMeta, 'ignore_fields', JobMeta.ignore_fields.copy())
    JobMeta.ignore_fields.add('own')
    hubstorage.get_job(job_key).update_metadata(own=1, other=2)
    stored = hubstorage.get_job(job_key).metadata
    assert ('own' in stored, stored['other']) == (False, 2)


def test_nothing_is_sent_for_nothing(cloud: Sandbox, hubstorage: HubstorageClient) -> None:
    settings = hubstorage.get_project(123).settings
    assert dict(settings) == {}
    cloud.requests.clear()
    settings.save()
    assert not cloud.requests


def test_the_token_of_a_running_job(hubstorage: HubstorageClient, job_key: str) -> None:
    token = hubstorage.get_job(job_key).metadata.authtoken()
    own = HubstorageClient((job_key, token), hubstorage.endpoint).get_job(job_key)
    assert own.items.stats()['totals']['input_values'] == 10


def test_collections(cloud: Sandbox, hubstorage: HubstorageClient) -> None:
    store = hubstorage.get_project(123).collections.new_store('store')
    assert list(store.set({'_key': 'a', 'v': 1})) == []
    store.set([{'_key': key, 'v': 2} for key in ('b', 'c/d', 'count', 'ü')])
    assert (store.get('a'), store.get('c/d'), store.get('count'), store.get('ü')) == ({'v': 1}, *3 * ({'v': 2},))
    assert store.count() == 5
    assert [record['_key'] for record in store.iter_values(count=2)] == ['a', 'b']
    assert [record['_key'] for record in store.get(meta={'_key'}, count=[1], startafter=[None], endts=None)] == ['a']
    with pytest.raises(KeyError) as caught:
        store.get('nothing')
    assert caught.value.args == ('nothing',)
    with pytest.raises(KeyError):
        store.get('no/thing')
    store.delete(['a', 'b'])
    store.delete('c/d')
    assert store.count() == 2
    store.truncate()
    assert list(store.iter_values()) == []


def test_refusals_of_collections_are_value_errors(cloud: Sandbox, hubstorage: HubstorageClient) -> None:
    collections = hubstorage.get_project(123).collections
    store = collections.new_store('store')
    with pytest.raises(ValueError, match='missing value for _key'):
        store.set({'v': 1})
    with pytest.raises(ValueError, match='Serialized value too large'):
        store.set({'_key': 'a', 'v': 'x' * 1048576})
    with pytest.raises(ValueError, match="Invalid collection name 'a-b'"):
        collections.new_store('a-b')
    with pytest.raises(ValueError, match='Invalid collection type: x'):
        collections.new_collection('x', 'a')
    for path, call in (('/collections/123/s/store', store.get), ('/collections/123/s/store/count', store.count)):
        cloud.faults.add(path=path, status=400, body=b'not understood')
        with pytest.raises(ValueError, match='not understood'):
            call()
    cloud.faults.add(path='/collections/123/s/store/deleted', status=400, body=b'not understood')
    with pytest.raises(requests.HTTPError):
        store.delete('a')


def test_counting_goes_on_over_all_pages(cloud: Sandbox, hubstorage: HubstorageClient) -> None:
    headers = {'Content-Type': 'application/json'}
    path = '/collections/123/s/store/count'
    cloud.faults.add(path=path, status=200, body=b'{"count": 3, "nextstart": "d"}', headers=headers)
    cloud.faults.add(path=path, query={'start': 'd'}, status=200, body=b'{"count": 2}', headers=headers)
    seen: list[tuple[int, str]] = []
    count = hubstorage.get_project(123).collections.count('s', 'store', progress=lambda *args: seen.append(args))
    assert (count, seen) == (5, [(3, 'd')])


def test_writers_of_collections_take_lists(hubstorage: HubstorageClient) -> None:
    store = hubstorage.get_project(123).collections.new_store('store')
    writer = store.create_writer(size=2)
    writer.write([{'_key': 'a'}, {'_key': 'b'}, {'_key': 'c'}])
    writer.write({'_key': 'd'})
    writer.close()
    assert store.count() == 4


def test_writers_have_the_attributes_that_programs_read(hubstorage: HubstorageClient, job_key: str) -> None:
    url = f'{hubstorage.endpoint}items/{job_key}'
    uploader = hubstorage.batchuploader
    assert uploader is hubstorage.batchuploader
    assert uploader.client is hubstorage
    writer = uploader.create_writer(url, start=10, content_encoding='gzip', size=20)
    assert (writer.url, writer.offset, writer.size, writer.maxitemsize, str(writer)) == (url, 10, 20, 1048576, url)
    assert writer.write({'n': 10}) == 10
    assert (writer.itemsq.qsize(), writer.closed) == (1, False)
    with pytest.raises(ValueTooLarge, match='Value exceeds max encoded size of 1 MiB'):
        writer.write({'x': 'y' * 1048576})
    writer.close()
    assert (writer.offset, writer.closed) == (11, True)
    with pytest.raises(AssertionError, match='attempting writes to a closed writer'):
        writer.write({})
    uploader.interrupt()
    uploader.close()
    assert uploader.closed
    with pytest.raises(AssertionError, match='Can not create new writers when closed'):
        uploader.create_writer(url)


def test_class_attributes_of_writers_count(hubstorage: HubstorageClient, job_key: str) -> None:
    job = hubstorage.get_job(job_key)
    job.items.batch_size, job.items.batch_start = 3, 20
    assert job.items.write({'n': 20}) == 20
    assert (job.items.writer.size, job.items.writer.content_encoding) == (3, 'gzip')
    job.items.close()
    frontier = hubstorage.get_project(123).frontier
    frontier.batch_size = 2
    frontier.add('f', 's', [{'fp': str(number)} for number in range(5)])
    frontier.close()
    assert frontier.newcount == 5
    assert len(list(frontier.read('f', 's'))) == 3


def test_a_log_is_appended_to(hubstorage: HubstorageClient, job_key: str) -> None:
    logs = Logs(hubstorage, job_key, appendmode=True)
    assert logs.batch_write_start() == 3
    logs.info('fourth')
    logs.close()
    job = hubstorage.get_job(job_key)
    job.logs.log('fifth', appendmode=True)
    job.close_writers()
    assert [line['message'] for line in job.logs.iter_values()] == ['opened', 'slow', 'failed', 'fourth', 'fifth']


def test_a_refused_batch_is_told(cloud: Sandbox, hubstorage: HubstorageClient, job_key: str) -> None:
    job = hubstorage.get_job(job_key)
    cloud.faults.add(method='POST', path=f'/items/{job_key}', status=403, times=None)
    job.items.write({'n': 0})
    with pytest.raises(UploadError) as caught:
        job.items.flush()
    assert caught.value.records == [{'n': 0}]
    assert job.items.writer.take_back() == [{'n': 0}]


def test_summaries_times_and_ids(hubstorage: HubstorageClient, job_key: str) -> None:
    project = hubstorage.get_project(123)
    assert project.jobsummary()['running'] == 1
    assert {row['project']: row['running'] for row in hubstorage.projects.jobsummaries(state=['running'])}[123] == 1
    assert hubstorage.projects.get(456).projectid == '456'
    assert (project.ids.spider('spider'), project.ids.spider('nobody')) == (1, None)
    assert hubstorage.server_timestamp() > 1_500_000_000_000
    list(project.jobq.finish(job_key))
    assert [row['key'] for row in project.spiders.lastjobsummary(1, count=1)] == [job_key]


def test_activity(hubstorage: HubstorageClient) -> None:
    activity = hubstorage.get_project(123).activity
    assert list(activity.add({'a': 1}, b=2)) == []
    activity.post([{'c': 3}, {'d': 4}])
    assert list(activity.list(count=3)) == [{'d': 4}, {'c': 3}, {'a': 1, 'b': 2}]
    assert list(activity.get(count=1)) == [{'d': 4}]


def test_raw_errors_of_requests(cloud: Sandbox) -> None:
    hubstorage = HubstorageClient('0' * 32, cloud.url)
    for call in (
        hubstorage.get_job('123/1/1').items.list,
        lambda: list(hubstorage.get_job('123/1/1').items.iter_values()),
        lambda: hubstorage.push_job(123, 'spider'),
    ):
        with pytest.raises(requests.HTTPError) as caught:
            call()
        assert type(caught.value) is requests.HTTPError
        assert caught.value.response.status_code == 401


def test_the_view_of_a_client_shares_all_and_raises_its_errors(
    cloud: Sandbox, client: ScrapinghubClient, job_key: str
) -> None:
    from scrapinghub.client import HubstorageClient as View
    from scrapinghub.client.exceptions import BadRequest, NotFound

    view = client._hsclient
    assert isinstance(view, View)
    assert view is client._hsclient
    assert view.session is client._connection._session
    assert view.endpoint == cloud.url
    store = view.get_project(123).collections.new_store('store')
    with pytest.raises(NotFound):
        store.get('x')
    with pytest.raises(BadRequest, match='missing value for _key'):
        store.set({'v': 1})
    with pytest.raises(NotFound, match='unknown collection store'):
        list(store.iter_values())
    assert len(list(view.get_job(job_key).items.iter_values())) == 10
    client.close()
    assert view.batchuploader.closed
