"""Partitions: together exactly the records of the statistics, wherever they are read; and downloads of many workers."""

from __future__ import annotations

import copy
import json
import multiprocessing
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub import BadRequest, DownloadIncomplete, ScrapinghubClient, ServerError, StreamInterrupted
from scrapinghub.client._support.json_lines import NumberedLines, OpenStreams, cut_keys, skip_lines
from scrapinghub.client.jobs import Job
from scrapinghub.client.partitions import Partition
from scrapinghub.client.projects import Project
from scrapinghub.sandbox import Sandbox
from support.clocks import ManualClock

COUNT = 37


def fill(job: Job, size: int, **fields: Any) -> None:
    for number in range(size):
        job.items.write({'n': number, 'text': f'{{"_key": "{number}"}}\u2028', 'x': 1.0, **fields})
        job.logs.log(f'message {number}', level=20 + 10 * (number % 2), ts=1_480_000_000_000 + number)
        job.requests.add(f'http://x/{number}', 200, 'GET', 1, 2, 1_480_000_000_000)
    for records in (job.items, job.logs, job.requests):
        records.flush()


def make_job(project: Project, size: int, **fields: Any) -> Job:
    job = project.jobs.run('books', size=size, meta={'state': 'running'})
    fill(job, size, **fields)
    return job


@pytest.fixture
def job(project: Project) -> Job:
    """Return a finished job with items, log entries and requests."""
    job = make_job(project, COUNT)
    job.close_writers()
    job.finish()
    return job


def joined(partitions: Any, **filters: Any) -> list[Any]:
    return [record for partition in partitions for record in partition.iter(**filters)]


@pytest.mark.parametrize('size', [0, 1, 4, 5, 6, 23])
@pytest.mark.parametrize('n', [1, 2, 5, 30])
def test_partitions_are_together_the_records_of_a_job(project: Project, size: int, n: int) -> None:
    job = make_job(project, size)
    for records in (job.items, job.logs, job.requests):
        partitions = records.partitions(n)
        assert len(partitions) == n
        assert sum(partition.count for partition in partitions) == size
        assert max(part.count for part in partitions) - min(part.count for part in partitions) <= 1
        assert joined(partitions) == records.list()
        assert [part.list() for part in partitions] == [list(part.iter()) for part in partitions]


def test_records_that_are_added_later_belong_to_none(project: Project) -> None:
    job = make_job(project, 10)
    before = job.items.list()
    partitions, filtered = job.items.partitions(3), job.items.partitions(3, filter=('n', '>', [2]))
    fill(job, 5)
    assert joined(partitions) == before
    assert joined(filtered) == before[3:]
    assert len(job.items.list()) == 15


@pytest.mark.parametrize('n', [1, 3, 40])
def test_a_filter_ends_with_the_last_record_of_a_partition(job: Job, n: int) -> None:
    for filters in ({'filter': ('n', '<', [20])}, {'filter': [('n', '>', [5]), ('n', '<', [33])]}, {'startts': 1}):
        given: dict[str, Any] = filters
        expected = job.items.list(**given)
        assert joined(job.items.partitions(n, **given)) == joined(job.items.partitions(n), **given) == expected
    assert joined(job.logs.partitions(n, level='WARNING')) == job.logs.list(level='WARNING')
    assert joined(job.items.partitions(n, meta='_key')) == job.items.list(meta='_key')
    with_key = joined(job.items.partitions(n, meta='_key'), filter=('n', '=', [36]))
    assert [record['_key'] for record in with_key] == [f'{job.key}/36']


@pytest.mark.parametrize('filters', [{}, {'filter': ('n', '<', [30])}])
def test_a_connection_that_breaks_in_each_partition_loses_nothing(
    cloud: Sandbox, job: Job, filters: dict[str, Any]
) -> None:
    expected = job.items.list(**filters)
    partitions = job.items.partitions(4, **filters)
    for cut in range(0, 600, 37):
        for partition in partitions:
            start = f'{job.key}/{partition.start}'
            cloud.faults.add(path=f'/items/{job.key}', query={'start': start}, cut=cut, times=2)
        assert joined(partitions) == expected
        cloud.faults.clear()


def test_records_that_are_missing_are_an_error(job: Job, project: Project, tmp_path: Path) -> None:
    other = project.jobs.run('books', meta={'state': 'running'})
    writer = other.items.writer(start=5)
    for number in range(10):
        writer.write({'n': number})
    writer.flush()
    first, second = other.items.partitions(2)
    with pytest.raises(StreamInterrupted, match='should have 5 records, and there are only 0'):
        first.list()
    assert [item['n'] for item in second.iter()] == [0, 1, 2, 3, 4]
    with pytest.raises(DownloadIncomplete, match='5 records from number 0 on, and 0 were read'):
        first.download(tmp_path / 'a.jl')


@pytest.mark.parametrize('times', [1, 3])
def test_records_that_are_missing_are_an_error_wherever_the_connection_breaks(
    cloud: Sandbox, project: Project, times: int
) -> None:
    job = project.jobs.run('books', meta={'state': 'running'})
    for start in (0, 12):
        writer = job.items.writer(start=start)
        for number in range(10):
            writer.write({'n': start + number})
        writer.close()
    second = job.items.partitions(2)[1]
    for cut in range(0, 300, 7):
        cloud.faults.add(path=f'/items/{job.key}', cut=cut, times=times)
        with pytest.raises(StreamInterrupted, match='should have 10 records, and there are only 8'):
            second.list()
        cloud.faults.clear()


def test_filters_of_a_method_are_added_to_those_of_the_partition(job: Job) -> None:
    (partition,) = job.items.partitions(1, filter=('n', '<', [10]), meta='_ts')
    found = partition.list(filter=('n', '>', [5]), meta='_key')
    assert [(item['n'], item['_key'], '_ts' in item) for item in found] == [
        (n, f'{job.key}/{n}', True) for n in range(6, 10)
    ]
    assert partition.to_arrow(filter=[('n', '>', [5])]).column('n').to_pylist() == [6, 7, 8, 9]
    (since,) = job.items.partitions(1, startts=1_400_000_000_000)
    with pytest.raises(TypeError, match="'startts' was given to partitions"):
        since.iter(startts=1_500_000_000_000)


def test_arguments_are_checked_at_the_call(job: Job, cloud: Sandbox) -> None:
    before = len(cloud.requests)
    for n in (0, -1, True, 1.5, None):
        with pytest.raises((TypeError, ValueError), match='n should be'):
            job.items.partitions(n)  # type: ignore[arg-type]
    for name in ('count', 'start', 'index', 'offset', 'startafter'):
        with pytest.raises(TypeError, match=name):
            job.items.partitions(2, **{name: 1})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match='filters'):
        job.items.partitions(2, filters=[])
    assert len(cloud.requests) == before
    (partition,) = job.items.partitions(1)
    with pytest.raises(TypeError, match='count'):
        partition.iter(count=1)


def test_a_partition_says_what_it_holds(job: Job) -> None:
    first, second = job.items.partitions(2)
    assert repr(first) == f'<RecordPartition {job.key}, records 0 to 17>'
    assert (second.key, second.start, second.stop, second.count) == (job.key, 18, 37, 19)
    assert 'no records' in repr(job.items.partitions(100)[0])
    assert copy.deepcopy(first) is copy.copy(first) is first


def test_tables_of_partitions_have_one_schema(project: Project) -> None:
    job = project.jobs.run('books', meta={'state': 'running'})
    for number in range(10):
        job.items.write({'n': number} if number < 5 else {'n': number, 'late': 'text'})
    job.items.flush()
    schema = job.items.schema()
    partitions = job.items.partitions(3, schema=schema)
    assert all(partition.to_arrow().schema == schema == partition.schema for partition in partitions)
    assert [row for part in partitions for row in part.to_arrow().to_pylist()] == job.items.to_arrow().to_pylist()
    frame = pd.concat([partition.to_pandas() for partition in partitions], ignore_index=True)
    pd.testing.assert_frame_equal(frame, job.items.to_pandas(schema))
    assert [batch.num_rows for batch in partitions[0].iter_arrow(batch_size=2)] == [2, 1]
    assert job.items.partitions(3)[0].to_arrow().schema.names == ['n']
    assert job.items.partitions(3)[0].to_arrow(meta='_key').schema.names == ['n', '_key']


def test_progress_has_the_total_of_the_partition(job: Job) -> None:
    calls: list[tuple[int, int | None]] = []
    first, _ = job.items.partitions(2)
    first.list(progress=lambda done, total: calls.append((done, total)))
    first.list(filter=('n', '<', [3]), progress=lambda done, total: calls.append((done, total)))
    assert (18, 18) in calls
    assert calls[-1] == (3, None)


@pytest.mark.parametrize('name', ['jl', 'csv', 'parquet', 'jl.gz', 'json'])
def test_partitions_can_be_stored(job: Job, tmp_path: Path, name: str) -> None:
    for number, partition in enumerate(job.items.partitions(3)):
        path = partition.download(tmp_path / f'{number}.{name}')
        assert path.exists()
    if name == 'jl':
        whole = job.items.download(tmp_path / 'whole.jl').read_bytes()
        assert b''.join((tmp_path / f'{number}.jl').read_bytes() for number in range(3)) == whole


def test_a_partition_continues_its_download_and_no_other_one(job: Job, tmp_path: Path) -> None:
    _, second = job.items.partitions(2)
    whole = second.download(tmp_path / 'whole.jl').read_bytes()
    for filters in ({}, {'filter': ('n', '>', [0])}):
        path = tmp_path / 'part.jl'

        def stop(done: int, total: int | None) -> None:
            raise KeyboardInterrupt

        given: dict[str, Any] = filters
        with pytest.raises(KeyboardInterrupt):
            second.download(path, progress=stop, overwrite=True, **given)
        (tmp_path / 'part.jl.part').write_bytes(whole[:200])
        assert second.download(path, overwrite=True, **given).read_bytes() == whole


def test_a_pickle_holds_no_credentials(cloud: Sandbox, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    partition = job.items.partitions(2)[1]
    expected = partition.list()
    data = pickle.dumps(partition)
    assert cloud.apikey.encode() not in data
    elsewhere: Partition[Any] = pickle.loads(data)
    assert pickle.dumps(elsewhere) == pickle.dumps(pickle.loads(data))
    for name in ('SH_APIKEY', 'SHUB_APIKEY', 'SHUB_JOBAUTH'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RuntimeError, match='SH_APIKEY'):
        elsewhere.list()
    monkeypatch.setenv('SH_APIKEY', cloud.apikey)
    assert elsewhere.list() == expected
    assert cloud.apikey.encode() not in pickle.dumps(elsewhere)
    others: list[Any] = [pickle.loads(data) for _ in range(2)]
    assert [other.list() for other in others] == [expected, expected]
    assert others[0]._records._client is others[1]._records._client


def test_a_pickle_holds_credentials_on_request(cloud: Sandbox, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv('SH_APIKEY', raising=False)
    partition = job.items.partitions(2, with_credentials=True)[1]
    data = pickle.dumps(partition)
    assert cloud.apikey.encode() in data
    assert pickle.loads(data).list() == partition.list()


def count_words(partition: Partition[Any]) -> list[int]:
    return [item['n'] for item in partition.iter()]


def test_processes_read_partitions(cloud: Sandbox, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SH_APIKEY', cloud.apikey)
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        # The processes need not find the tests.
        found = list(pool.map(Partition.list, job.items.partitions(4)))  # type: ignore[misc]
    assert [item['n'] for part in found for item in part] == list(range(COUNT))


def test_threads_read_partitions(job: Job) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(count_words, job.items.partitions(8)))
    assert [number for part in found for number in part] == list(range(COUNT))


def test_a_selection_has_a_partition_for_each_job(project: Project) -> None:
    jobs = [make_job(project, size) for size in (3, 0, 5)]
    selection = project.jobs.select(spider='books', state='running')
    partitions = selection.items.partitions()
    expected = [(job.key, count) for job, count in zip(jobs[::-1], (5, 0, 3), strict=True)]
    assert [(part.key, part.count) for part in partitions] == expected
    assert joined(partitions) == selection.items.list()
    filtered = selection.items.partitions(filter=('n', '>', [1]))
    assert joined(filtered) == selection.items.list(filter=('n', '>', [1]))
    with pytest.raises(TypeError, match='count'):
        selection.items.partitions(count=1)


# Collections


@pytest.fixture
def store(project: Project) -> Any:
    store = project.collections.get_store('store')
    store.set([{'_key': f'{letter}{number}', 'v': number} for letter in 'abcé' for number in range(12)])
    return store


def test_collections_are_divided_by_ranges_of_keys(cloud: Sandbox, store: Any) -> None:
    expected = store.list()
    ranges = [(None, 'a5'), ('a5', 'c'), ('c', 'é3'), ('é3', None)]
    partitions = store.partitions(ranges=ranges)
    assert joined(partitions) == expected
    assert joined(store.partitions(ranges=ranges, filter=('v', '>', [8]))) == store.list(filter=('v', '>', [8]))
    for partition in partitions:
        cloud.faults.add(path='/collections/*', cut=100, times=2)
        assert partition.list() == partition.list()
    cloud.faults.clear()
    assert 'keys from' in repr(partitions[1])
    assert partitions[1].count is None
    assert (
        joined([pickle.loads(pickle.dumps(part)) for part in store.partitions(ranges=ranges, with_credentials=True)])
        == expected
    )


def test_collections_are_divided_by_prefixes(store: Any, tmp_path: Path) -> None:
    partitions = store.partitions(prefixes=['a', 'c', 'é'], schema=store.schema())
    assert joined(partitions) == [record for record in store.list() if record['_key'][0] in 'acé']
    assert [row for part in partitions for row in part.to_arrow().to_pylist()] == joined(partitions)
    whole = store.download(tmp_path / 'whole.jl').read_bytes()
    paths = [
        part.download(tmp_path / f'{number}.jl')
        for number, part in enumerate(store.partitions(ranges=[(None, 'b'), ('b', None)]))
    ]
    assert b''.join(path.read_bytes() for path in paths) == whole


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({}, 'give prefixes, or ranges'),
        ({'prefixes': ['a'], 'ranges': [('a', 'b')]}, 'give prefixes, or ranges'),
        ({'prefixes': ['b', 'a', 'ab']}, "'a' and 'ab' overlap"),
        ({'prefixes': ['a', 'a']}, "'a' and 'a' overlap"),
        ({'ranges': [('a', 'c'), ('b', 'd')]}, 'overlap'),
        ({'ranges': [('b', None), (None, 'c')]}, 'overlap'),
        ({'ranges': [('b', 'a')]}, 'begin before its end'),
        ({'ranges': ['ab', 'cd']}, 'should be a pair of keys'),
        ({'ranges': [(1, 2)]}, 'should be a pair of keys'),
        ({'prefixes': ['a'], 'key': 'a'}, 'key'),
    ],
)
def test_bounds_are_checked(cloud: Sandbox, store: Any, arguments: dict[str, Any], message: str) -> None:
    before = len(cloud.requests)
    with pytest.raises((TypeError, ValueError), match=message):
        store.partitions(**arguments)
    assert len(cloud.requests) == before


# Downloads of several workers


@pytest.fixture
def large_job(project: Project) -> Job:
    job = project.jobs.run('books', large=True, meta={'state': 'running'})
    for number in range(1500):
        job.items.write({'n': number, 'text': f'{{"_key": "{number}"}}\u2028', 'x': 1.0})
    job.close_writers()
    job.finish()
    return job


@pytest.mark.parametrize(
    'filters', [{}, {'filter': ('n', '<', [1111])}, {'meta': '_key'}, {'count': 700}, {'start': 9}]
)
def test_several_workers_store_the_same_file(
    cloud: Sandbox, large_job: Job, tmp_path: Path, filters: dict[str, Any]
) -> None:
    expected = large_job.items.download(tmp_path / 'a.jl', **filters).read_bytes()
    before = len(cloud.requests)
    path = large_job.items.download(tmp_path / 'b.jl', max_workers=4, **filters)
    assert path.read_bytes() == expected
    reads = [request for request in list(cloud.requests)[before:] if request.path == f'/items/{large_job.key}']
    assert (len(reads) > 4) == filters.keys().isdisjoint({'count', 'start'})


@pytest.mark.parametrize('filters', [{}, {'filter': ('n', '<', [1111])}])
@pytest.mark.parametrize('size', [0, 100, 20_000, 70_000])
def test_several_workers_continue_after_any_record(
    large_job: Job, tmp_path: Path, filters: dict[str, Any], size: int
) -> None:
    expected = large_job.items.download(tmp_path / 'a.jl', **filters).read_bytes()

    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    path = tmp_path / 'b.jl'
    with pytest.raises(KeyboardInterrupt):
        large_job.items.download(path, progress=stop, max_workers=3, **filters)
    path.with_name('b.jl.part').write_bytes(expected[:size])
    assert large_job.items.download(path, max_workers=3, **filters).read_bytes() == expected


def test_several_workers_survive_broken_connections(cloud: Sandbox, large_job: Job, tmp_path: Path) -> None:
    expected = large_job.items.download(tmp_path / 'a.jl').read_bytes()
    cloud.faults.add(path=f'/items/{large_job.key}', cut=5000, times=12)
    cloud.faults.add(path=f'/items/{large_job.key}', status=503, times=4)
    assert large_job.items.download(tmp_path / 'b.jl', max_workers=4).read_bytes() == expected


def test_several_workers_survive_a_long_outage(
    cloud: Sandbox, large_job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('SCRAPINGHUB_INSTANT_RETRIES', '1')
    expected = large_job.items.download(tmp_path / 'a.jl').read_bytes()
    # More failures than a single call survives.
    start = f'{large_job.key}/1000'
    cloud.faults.add(path=f'/items/{large_job.key}', query={'start': start}, status=503, times=20)
    assert large_job.items.download(tmp_path / 'b.jl', max_workers=4).read_bytes() == expected


def test_an_error_of_a_worker_keeps_what_was_stored_before(cloud: Sandbox, large_job: Job, tmp_path: Path) -> None:
    expected = large_job.items.download(tmp_path / 'a.jl').read_bytes()
    path = tmp_path / 'b.jl'
    cloud.faults.add(path=f'/items/{large_job.key}', query={'start': f'{large_job.key}/1000'}, status=500, times=None)
    with pytest.raises(ServerError) as info:
        large_job.items.download(path, max_workers=4)
    assert 'the next download continues there' in str(info.value)
    cloud.faults.clear()
    stored = path.with_name('b.jl.part').read_bytes()
    assert expected.startswith(stored)
    assert stored.count(b'\n') == 1000
    assert large_job.items.download(path, max_workers=4).read_bytes() == expected


def test_threads_end_although_the_error_is_kept(cloud: Sandbox, large_job: Job, tmp_path: Path) -> None:
    start = f'{large_job.key}/250'
    cloud.faults.add(path=f'/items/{large_job.key}', query={'start': start}, status=400, times=None)
    kept = []
    for number in range(3):
        with pytest.raises(BadRequest) as info:
            large_job.items.download(tmp_path / f'{number}.jl', max_workers=4)
        kept.append(info.value)
    for thread in threading.enumerate():
        if thread.name == 'scrapinghub-download':
            thread.join(30)
            assert not thread.is_alive()
    assert len(kept) == 3


def test_a_stream_that_is_stopped_sends_no_retry(cloud: Sandbox, client: ScrapinghubClient, job: Job) -> None:
    clock = client.transport.clock = ManualClock()
    clock.on_wait = lambda seconds: stream.stop()
    cloud.faults.add(path=f'/items/{job.key}', status=503, times=None)
    stream: Any = job.items.iter()
    before = len(cloud.requests)
    assert list(stream) == []
    assert len(cloud.requests) == before + 1


def test_a_worker_whose_start_is_interrupted_ends(
    large_job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name == 'scrapinghub-download':
            started.append(thread)
            if len(started) == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, 'start', interrupted)
    with pytest.raises(KeyboardInterrupt):
        large_job.items.download(tmp_path / 'a.jl', max_workers='4')  # type: ignore[arg-type]
    for thread in started:
        thread.join(10)
        assert not thread.is_alive()


def test_streams_that_are_opened_after_the_end_are_stopped(cloud: Sandbox, job: Job) -> None:
    streams = OpenStreams()
    streams.stop()
    stream: Any = job.items.iter()
    streams.add(stream)
    before = len(cloud.requests)
    assert list(stream) == []
    assert len(cloud.requests) == before


def test_records_that_arrive_meanwhile_are_stored_too(project: Project, tmp_path: Path) -> None:
    job = make_job(project, 600)
    added: list[int] = []

    def add(done: int, total: int | None) -> None:
        if not added:
            added.append(done)
            fill(job, 10)

    path = job.items.download(tmp_path / 'a.jl', max_workers=2, progress=add)
    assert len(path.read_text().split('\n')) - 1 == 610


def test_gaps_between_numbers_lose_nothing(project: Project, tmp_path: Path) -> None:
    job = project.jobs.run('books', meta={'state': 'running'})
    for start in (3, 700):
        writer = job.items.writer(start=start)
        for number in range(500):
            writer.write({'n': start + number})
        writer.close()
    path = job.items.download(tmp_path / 'a.jl', max_workers=3)
    assert [json.loads(line)['n'] for line in path.read_text().splitlines()] == [*range(3, 503), *range(700, 1200)]


@pytest.mark.parametrize('job_key', [None, '_job'])
def test_several_jobs_of_a_selection_are_read_at_a_time(project: Project, tmp_path: Path, job_key: str | None) -> None:
    for size in (3, 0, 400, 20, 1):
        make_job(project, size)
    items = project.jobs.select(spider='books', state='running').items
    expected = items.download(tmp_path / 'a.jl', job_key=job_key).read_bytes()
    assert items.download(tmp_path / 'b.jl', job_key=job_key, max_workers=3).read_bytes() == expected
    limited = items.download(tmp_path / 'c.jl', job_key=job_key, max_workers=3, count=30)
    assert limited.read_bytes() == b''.join(expected.splitlines(keepends=True)[:30])


@pytest.mark.parametrize('size', [0, 30, 3000, 30_000])
def test_a_selection_continues_with_several_workers(project: Project, tmp_path: Path, size: int) -> None:
    for count in (3, 0, 400, 20, 1):
        make_job(project, count)
    items = project.jobs.select(spider='books', state='running').items
    expected = items.download(tmp_path / 'a.jl').read_bytes()

    def stop(done: int, total: int | None) -> None:
        if done >= expected[:size].count(b'\n'):
            raise KeyboardInterrupt

    path = tmp_path / 'b.jl'
    with pytest.raises(KeyboardInterrupt):
        items.download(path, progress=stop, max_workers=3)
    assert items.download(path, max_workers=3).read_bytes() == expected


def test_the_number_of_workers_is_checked(job: Job, tmp_path: Path) -> None:
    for number in (0, -1, 'four', None):
        with pytest.raises((TypeError, ValueError), match='max_workers should be'):
            job.items.download(tmp_path / 'a.jl', max_workers=number)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
    # Samples and collections are read over one connection.
    assert job.samples.download(tmp_path / 'a.jl', max_workers=4).read_bytes() == b''


VALUES = st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=2))


@given(
    records=st.lists(st.dictionaries(st.text(max_size=3) | st.just('"_key"'), VALUES, max_size=3), max_size=4),
    place=st.sampled_from(['first', 'last', 'middle', 'none']),
    spaced=st.booleans(),
)
def test_keys_are_cut_from_lines(records: list[dict[str, Any]], place: str, spaced: bool) -> None:
    separators = (', ', ': ') if spaced else (',', ':')
    lines = []
    for number, record in enumerate(records):
        key = {'_key': f'1/2/3/{number}'} if place != 'none' else {}
        items = list(record.items())
        keyed = {**key, **record} if place == 'first' else {**record, **key}
        if place == 'middle':
            keyed = {**dict(items[:1]), **key, **dict(items[1:])}
        lines.append(json.dumps(keyed, separators=separators) + '\n')
    cut = b''.join(cut_keys([''.join(lines).encode()]))
    assert [json.loads(line) for line in cut.splitlines()] == records
    if place in ('first', 'last') and all(records):
        assert cut.decode() == ''.join(json.dumps(record, separators=separators) + '\n' for record in records)


@pytest.mark.parametrize('number', ['1e400', '-0.0', '1' * 5000, '1.10', '"\\ud800"'])
def test_cutting_a_key_in_the_middle_changes_nothing_else(number: str) -> None:
    [cut] = cut_keys([b'{"a":%b,"_key":"1/2/3/4","b":%b}\n' % ((number.encode(),) * 2)])
    assert cut == b'{"a":%b,"b":%b}\n' % ((number.encode(),) * 2)


def test_nested_keys_are_not_cut() -> None:
    [cut] = cut_keys([b'{"a":{"b":1,"_key":"x"},"_key":"1/2/3/4","c":"\\ud800"}\n'])
    assert json.loads(cut) == {'a': {'b': 1, '_key': 'x'}, 'c': '\ud800'}


@pytest.mark.parametrize('count', range(8))
def test_lines_are_skipped_across_blocks(count: int) -> None:
    blocks = [b'', b'a\nb\n', b'c\n', b'', b'd\ne\nf\n']
    assert b''.join(skip_lines(blocks, count)) == b''.join(b''.join(blocks).splitlines(keepends=True)[count:])


@given(
    st.lists(st.tuples(st.integers(0, 3), st.dictionaries(st.sampled_from('abc'), VALUES)), max_size=20),
    st.sampled_from(((',', ':'), (', ', ': '))),
    st.booleans(),
    st.booleans(),
)
def test_lines_with_numbers_lose_their_keys_and_show_gaps(
    records: list[tuple[int, dict[str, Any]]], separators: tuple[str, str], key_first: bool, keep_keys: bool
) -> None:
    gaps: list[int] = []
    numbered = NumberedLines('1/2/3', 7, gaps.append, keep_keys=keep_keys)
    number, expected_gaps = 7, []
    for skipped, record in records:
        if skipped:
            expected_gaps.append(number)
        number += skipped
        key = {'_key': f'1/2/3/{number}'}
        number += 1
        line = json.dumps({**key, **record} if key_first else {**record, **key}, separators=separators).encode()
        taken = numbered.take(line)
        assert json.loads(taken) == ({**record, **key} if keep_keys else record)
        assert not keep_keys or taken == line
    assert gaps == expected_gaps
    assert numbered.following == number
