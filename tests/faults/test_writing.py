"""Whatever happens to a post, what was written is stored once, or the error holds what is not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import pytest

from faults.conftest import World
from faults.reading import OTHER_PROJECT
from scrapinghub import ScrapinghubAPIError, ScrapinghubClient
from scrapinghub.client.exceptions import BadRequest, ServerError, Unauthorized, UploadError, ValueTooLarge
from scrapinghub.client.jobs import Job
from scrapinghub.client.projects import Project
from scrapinghub.sandbox.faults.definition import Fault
from scrapinghub.sandbox.faults.schedule import AFTER, BEFORE, WRITING, Schedule
from support.clocks import FastClock

MakeClient = Callable[..., ScrapinghubClient]

# More than one post of a writer of any kind.
NUMBER = 1100
# Nothing is sent just because time has passed, however quickly it does.
NEVER = 10**9
_job_numbers = count()


@pytest.fixture
def make_client(make_client: MakeClient) -> MakeClient:
    """Writers have threads: for them time passes quickly instead of standing still."""
    # Without a limit of time: a slow machine must not use up the budget of a call.
    return partial(make_client, clock=FastClock, max_retries=6)


@pytest.fixture
def job(world: World, make_client: MakeClient) -> Job:
    """A job of its own, to be written to."""
    new = make_client().get_project(OTHER_PROJECT).jobs.run('writer', job_args={'n': str(next(_job_numbers))})
    new.start()
    return new


def write_items(job: Job) -> Callable[[Job], bool]:
    for number in range(NUMBER):
        assert job.items.write({'number': number}) == number
    job.items.flush()
    return lambda job: [item['number'] for item in job.items.iter()] == list(range(NUMBER))


def write_logs(job: Job) -> Callable[[Job], bool]:
    for number in range(NUMBER):
        job.logs.info(str(number))
    job.logs.flush()
    return lambda job: [line['message'] for line in job.logs.iter()] == [str(number) for number in range(NUMBER)]


def write_requests(job: Job) -> Callable[[Job], bool]:
    for number in range(NUMBER):
        assert job.requests.add(f'https://books.example/{number}', 200, 'GET', 1, 2, 3) == number
    job.requests.flush()
    urls = [f'https://books.example/{number}' for number in range(NUMBER)]
    return lambda job: [request['url'] for request in job.requests.iter()] == urls


def write_samples(job: Job) -> Callable[[Job], bool]:
    for number in range(NUMBER):
        assert job.samples.write([number, 1]) == number
    job.samples.flush()
    return lambda job: job.samples.list() == [[number, 1] for number in range(NUMBER)]


def write_collection(job: Job) -> Callable[[Job], bool]:
    def store(job: Job) -> Any:
        return store_of(job, f'store_{job.key.replace("/", "_")}')

    with store(job).create_writer(size=500) as writer:
        for number in range(NUMBER):
            writer.write({'_key': f'{number:05}', 'value': number})
    return lambda job: [record['value'] for record in store(job).iter()] == list(range(NUMBER))


def set_collection(job: Job) -> Callable[[Job], bool]:
    name = f'set_{job.key.replace("/", "_")}'
    store_of(job, name).set([{'_key': str(number), 'value': 1} for number in range(300)])
    store_of(job, name).delete([str(number) for number in range(100)])
    return lambda job: store_of(job, name).count() == 200


def add_requests(job: Job) -> Callable[[Job], bool]:
    slot = slot_of(job)
    slot.q.add([{'fp': str(number), 'qdata': number} for number in range(NUMBER)])
    slot.flush()
    assert slot.newcount <= NUMBER
    return lambda job: (
        sorted(int(fingerprint) for batch in slot_of(job).q.iter() for fingerprint, _ in batch['requests'])
        == list(range(NUMBER))
    )


def change_metadata(job: Job) -> Callable[[Job], bool]:
    job.metadata.update({'one': 1, 'two': [2]})
    job.metadata.set('three', 3)
    job.metadata.delete('one')
    return lambda job: (job.metadata.get('one'), job.metadata.get('two'), job.metadata.get('three')) == (None, [2], 3)


def change_tags(job: Job) -> Callable[[Job], bool]:
    job.update_tags(add=['a', 'b'])
    job.update_tags(remove=['a'])
    return lambda job: job.metadata.get('tags') == ['b']


def store_of(job: Job, name: str) -> Any:
    return Project(job._client, job.project_id).collections.get_store(name)


def slot_of(job: Job) -> Any:
    return Project(job._client, job.project_id).frontiers.get('written').get(job.key)


WRITES = {
    'items': write_items,
    'logs': write_logs,
    'requests': write_requests,
    'samples': write_samples,
    'collection writer': write_collection,
    'collection calls': set_collection,
    'frontier': add_requests,
    'metadata': change_metadata,
    'tags': change_tags,
}


@pytest.mark.parametrize('kind', WRITING)
@pytest.mark.parametrize('write', WRITES)
def test_everything_is_stored_once(world: World, make_client: MakeClient, job: Job, write: str, kind: str) -> None:
    rule = world.cloud.faults.add(Schedule(f'{write} {kind}', kinds=[kind], rate=1, in_a_row=2), times=None)
    check = WRITES[write](make_client().get_job(job.key))
    assert rule.met
    world.cloud.faults.clear()
    assert check(job)


@pytest.mark.parametrize('kind', [*AFTER, 'bad-gateway', 'unavailable', 'gateway-timeout'])
def test_a_job_is_not_scheduled_twice(world: World, make_client: MakeClient, kind: str) -> None:
    project = make_client().get_project(OTHER_PROJECT)
    before = project.jobs.count(spider='once', state=['pending', 'running'])
    rule = world.cloud.faults.add(Schedule(kind, kinds=[kind], rate=1, in_a_row=1), method='POST', times=None)
    with pytest.raises(ScrapinghubAPIError) as caught:
        project.jobs.run('once', job_args={'kind': kind})
    assert caught.value.maybe_applied
    assert len(rule.met) == 1
    world.cloud.faults.clear()
    after = project.jobs.count(spider='once', state=['pending', 'running'])
    assert after - before == (kind in AFTER)


def test_a_job_is_scheduled_when_the_request_was_certainly_not_received(world: World, make_client: MakeClient) -> None:
    rule = world.cloud.faults.add(Fault(status=429), method='POST', times=2)
    assert make_client().get_project(OTHER_PROJECT).jobs.run('patient').key
    assert len(rule.met) == 2


def test_a_refusal_where_records_go_by_number_holds_everything_behind_it(
    world: World, make_client: MakeClient, job: Job
) -> None:
    items = make_client().get_job(job.key).items
    rule = world.cloud.faults.add(
        Fault(status=400, body='no such field'), method='POST', path='/items/*', skip=1, times=None
    )

    def write_all() -> None:
        for number in range(NUMBER):
            items.write({'number': number})
        items.flush()

    with pytest.raises(UploadError, match='no such field') as caught:
        write_all()
    assert isinstance(caught.value, BadRequest)
    assert rule.met
    world.cloud.faults.clear()
    taken = items.writer().take_back()
    # The clock decides whether the first post was full.
    stored = len(job.items.list())
    assert 1 <= stored <= 1000
    assert [record['number'] for record in taken] == list(range(stored, stored + len(taken)))
    for number in range(stored, NUMBER):
        assert items.write({'number': number}) == number
    items.flush()
    assert [item['number'] for item in job.items.iter()] == list(range(NUMBER))


def test_a_refusal_where_records_go_by_key_leaves_the_good_ones_alone(
    world: World, make_client: MakeClient, job: Job
) -> None:
    store = store_of(make_client().get_job(job.key), 'mixed')
    records: list[dict[str, Any]] = [{'_key': f'{number:03}', 'value': number} for number in range(64)]
    records[13] = {'_key': '013', 'value': 'x' * 1_048_577}
    records[40] = {'_key': '', 'value': 'no key'}
    writer = store.create_writer(maxitemsize=4 * 1024 * 1024, interval=NEVER)
    for record in records:
        writer.write(record)
    with pytest.raises(UploadError) as caught:
        writer.flush()
    assert {record['_key'] for record in caught.value.records} <= {'013', ''}
    assert '013' in {record['_key'] for record in caught.value.records}
    stored = {record['_key'] for record in store_of(job, 'mixed').iter()}
    assert stored >= {f'{number:03}' for number in range(64)} - {'013', '040'}
    writer.take_back()
    writer.close()


def test_wrong_credentials_do_not_cost_many_requests(world: World, make_client: MakeClient, job: Job) -> None:
    rule = world.cloud.faults.add(Fault(status=401, body='Unauthorized\n'), method='POST', times=None)
    store = store_of(make_client().get_job(job.key), 'refused')
    writer = store.create_writer(interval=NEVER)
    for number in range(900):
        writer.write({'_key': str(number)})
    with pytest.raises(UploadError) as caught:
        writer.close()
    assert isinstance(caught.value, Unauthorized)
    assert len(caught.value.records) == 900
    assert len(rule.met) == 1
    world.cloud.faults.clear()
    writer.take_back()


def test_an_outage_that_lasts_too_long_gives_the_records_back(world: World, make_client: MakeClient, job: Job) -> None:
    world.cloud.faults.add(Fault(status=503), method='POST', times=None)
    items = make_client(max_outage=120).get_job(job.key).items
    for number in range(5):
        items.write({'number': number})
    with pytest.raises(UploadError) as caught:
        items.flush()
    assert isinstance(caught.value, ServerError)
    assert caught.value.records == [{'number': number} for number in range(5)]
    world.cloud.faults.clear()
    assert items.writer().take_back() == caught.value.records


def test_a_record_that_is_too_large_is_never_sent(make_client: MakeClient, job: Job) -> None:
    items = make_client().get_job(job.key).items
    with pytest.raises(ValueTooLarge, match='Value exceeds max encoded size of 1 MiB'):
        items.write({'text': 'x' * 1_048_577})
    assert items.write({'text': 'small'}) == 0
    items.flush()
    assert job.items.list() == [{'text': 'small'}]


@pytest.mark.parametrize('kind', BEFORE)
def test_one_dead_writer_delays_no_other(world: World, make_client: MakeClient, job: Job, kind: str) -> None:
    client = make_client()
    world.cloud.faults.add(Schedule(kind, kinds=[kind], rate=1, in_a_row=10**9), path='/logs/*', times=None)
    mine = client.get_job(job.key)
    mine.logs.info('goes nowhere')
    mine.items.write({'n': 1})
    mine.items.flush()
    assert job.items.list() == [{'n': 1}]
    world.cloud.faults.clear()
    mine.logs.flush()
    assert len(job.logs.list()) == 1
