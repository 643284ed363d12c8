"""Downloads: every format, continued after any interruption, from any kind of records."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scrapinghub import DownloadConflict, DownloadIncomplete, ScrapinghubClient, ServerError
from scrapinghub.client.jobs import Job
from scrapinghub.client.projects import Project
from scrapinghub.exceptions import SchemaMismatch, StreamInterrupted
from scrapinghub.sandbox import Sandbox
from support.clocks import ManualClock

COUNT = 60
JSON = {'Content-Type': 'application/json'}
FORMATS = ('jl', 'jsonl', 'ndjson', 'jl.gz', 'json', 'csv', 'csv.gz', 'parquet')


def make_item(number: int) -> dict[str, Any]:
    item: dict[str, Any] = {'n': number, 'text': f'a\u2028b"{number}', 'nested': {'list': [number, None], 'x': 0.5}}
    if number > COUNT // 2:
        item['late'] = '2026-11-26'
    return item


@pytest.fixture
def job(project: Project) -> Job:
    """Return a finished job with items, log entries, requests and samples."""
    job = project.jobs.run('books', meta={'state': 'running'})
    for number in range(COUNT):
        job.items.write(make_item(number))
        job.logs.log(f'message {number}', level=20 + 10 * (number % 2), ts=1_480_000_000_000 + number)
        job.requests.add(f'http://x/{number}', 200, 'GET', 1, 2, 1_480_000_000_000)
        job.samples.write([1_480_000_000_000 + number, number])
    job.close_writers()
    job.finish(close_reason='finished')
    return job


def read(path: Path) -> Any:
    """Return the contents of a file as values."""
    data = path.read_bytes()
    if path.suffix == '.gz':
        data = gzip.decompress(data)
    if '.csv' in path.name:
        return list(csv.DictReader(data.decode().splitlines(keepends=True)))
    if path.suffix == '.parquet':
        return pq.read_table(path)
    if path.suffix == '.json':
        return json.loads(data)
    return [json.loads(line) for line in data.split(b'\n')[:-1]]


@pytest.mark.parametrize('name', FORMATS)
def test_items_can_be_stored_in_every_format(job: Job, tmp_path: Path, name: str) -> None:
    items = job.items.list()
    path = job.items.download(tmp_path / f'items.{name}')
    assert path == tmp_path / f'items.{name}'
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    found = read(path)
    if name == 'parquet':
        assert found.column('n').to_pylist() == list(range(COUNT))
        assert found.column('late').to_pylist() == [item.get('late') for item in items]
    elif 'csv' in name:
        assert [int(row['n']) for row in found] == list(range(COUNT))
        assert list(found[0]) == [*items[0], 'late']
        assert json.loads(found[3]['nested']) == items[3]['nested']
        assert found[3]['text'] == items[3]['text']
        assert found[3]['late'] == ''
    else:
        assert found == items
    other = job.items.download(str(tmp_path / 'other'), format=name)
    if name != 'parquet':
        assert other.read_bytes() == path.read_bytes()


def test_other_records_can_be_stored(job: Job, tmp_path: Path) -> None:
    assert read(job.logs.download(tmp_path / 'logs.jl')) == job.logs.list()
    assert read(job.requests.download(tmp_path / 'requests.jl')) == job.requests.list()
    assert read(job.samples.download(tmp_path / 'samples.jl')) == job.samples.list()
    lines = job.logs.download(tmp_path / 'log.txt').read_text().splitlines()
    assert lines[1] == '2016-11-24 15:06:40,001 WARNING message 1'
    assert len(lines) == COUNT
    with pytest.raises(ValueError, match='jsonl'):
        job.samples.download(tmp_path / 'samples.csv')


def test_collections_can_be_stored_and_continued(project: Project, tmp_path: Path) -> None:
    store = project.collections.get_store('books')
    store.set([{'_key': f'k{number:03}', 'n': number} for number in range(COUNT)])
    records = store.list()
    path = tmp_path / 'books.jl'
    interrupt(store, path, 1500)
    assert read(store.download(path)) == records
    assert read(store.download(tmp_path / 'some.jl', prefix='k01')) == records[10:20]
    assert read(store.download(tmp_path / 'keys.jl', key={'k003'})) == [records[3]]


def interrupt(records: Any, path: Path, size: int, **arguments: Any) -> None:
    """Leave a part file of the first bytes of a complete download, as a killed process does."""
    whole = records.download(path.with_name('whole.jl'), overwrite=True, **arguments).read_bytes()

    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        records.download(path, progress=stop, **arguments)
    path.with_name(f'{path.name}.part').write_bytes(whole[:size])
    path.with_name('whole.jl').unlink()


@pytest.mark.parametrize('shuffle', [False, True])
@pytest.mark.parametrize('name', ['jl', 'json', 'csv', 'parquet', 'jl.gz'])
@pytest.mark.parametrize('size', [0, 1, 70, 2000, 10**6])
def test_a_killed_download_continues(
    cloud: Sandbox, job: Job, tmp_path: Path, shuffle: bool, name: str, size: int
) -> None:
    items = job.items.list()
    undisturbed = job.items.download(tmp_path / f'a.{name}')
    path = tmp_path / f'b.{name}'
    interrupt(job.items, path, size)
    cloud.shuffle_fields = shuffle
    try:
        job.items.download(path)
    finally:
        cloud.shuffle_fields = False
    if name == 'parquet':
        assert read(path).to_pylist() == read(undisturbed).to_pylist()
    elif shuffle:
        assert 'csv' in name or read(path) == items
    else:
        assert path.read_bytes() == undisturbed.read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted([path.name, undisturbed.name])


def test_only_the_rest_is_read_again(cloud: Sandbox, job: Job, tmp_path: Path) -> None:
    interrupt(job.items, tmp_path / 'b.jl', 2000)
    before = len(cloud.requests)
    job.items.download(tmp_path / 'b.jl')
    reads = [request for request in list(cloud.requests)[before:] if request.path == f'/items/{job.key}']
    assert len(reads) == 1
    assert f'{job.key}/' in str(reads[0].query)


def test_replaced_records_are_read_again_with_a_warning(cloud: Sandbox, job: Job, tmp_path: Path) -> None:
    interrupt(job.items, tmp_path / 'b.jl', 2000)
    with cloud.client() as other:
        for number in range(COUNT):
            other.get_job(job.key).items.write({'other': number})
    with pytest.warns(UserWarning, match='replaced'):
        path = job.items.download(tmp_path / 'b.jl')
    assert read(path) == job.items.list() == [{'other': number} for number in range(COUNT)]


@pytest.mark.parametrize('max_workers', [1, 4])
@pytest.mark.parametrize('size', [100, 2000, 10**6])
@pytest.mark.parametrize('filters', [{}, {'filter': ('n', '>=', [0])}], ids=['all', 'filtered'])
def test_records_that_were_deleted_meanwhile_stay_in_the_part_file(
    cloud: Sandbox, job: Job, tmp_path: Path, filters: dict[str, Any], size: int, max_workers: int
) -> None:
    path, part = tmp_path / 'b.jl', tmp_path / 'b.jl.part'
    interrupt(job.items, path, size, **filters)
    lines = part.read_bytes().rpartition(b'\n')[0]
    for name, body in (('', b''), ('/stats', b'{"totals": {"input_values": 0}}')):
        cloud.faults.add(path=f'/items/{job.key}{name}', status=200, body=body, headers=JSON, times=None)
    with pytest.raises(DownloadIncomplete, match=r'items/1/1/1 has fewer .*b\.jl\.part holds \d+, .*delete that file'):
        job.items.download(path, max_workers=max_workers, **filters)
    assert part.read_bytes() == lines + b'\n'
    assert not path.exists()
    cloud.faults.clear()
    assert read(job.items.download(path, **filters)) == job.items.list()


@pytest.mark.parametrize('line', [b'{"n": 1\n', b'\xff\n', b'[\n'], ids=['cut', 'not UTF-8', 'other'])
@pytest.mark.parametrize('name', ['b.jl', 'b.csv', 'b.parquet'])
def test_a_damaged_part_file_is_named(job: Job, tmp_path: Path, name: str, line: bytes) -> None:
    path, part = tmp_path / name, tmp_path / f'{name}.part'
    interrupt(job.items, path, 2000)
    whole = part.read_bytes()
    part.write_bytes(whole.rpartition(b'\n')[0] + b'\n' + line)
    with pytest.raises(DownloadConflict, match=rf'{name}\.part is damaged.*delete it') as caught:
        job.items.download(path)
    assert isinstance(caught.value.original, ValueError)
    if name == 'b.jl':
        return
    # A line before the last one matters where the file is converted.
    part.write_bytes(line + whole.rpartition(b'\n')[0].partition(b'\n')[2] + b'\n')
    with pytest.raises(DownloadConflict, match=rf'{name}\.part is damaged.*delete it'):
        job.items.download(path)


@pytest.mark.parametrize('read_table', ['to_arrow', 'to_pandas', 'download', 'iter_arrow'])
def test_a_schema_with_several_fields_of_a_name_is_refused(
    cloud: Sandbox, job: Job, tmp_path: Path, read_table: str
) -> None:
    schema = pa.schema([('n', pa.int64()), ('n', pa.int64())])
    arguments = (tmp_path / 'b.parquet',) if read_table == 'download' else ()
    before = len(cloud.requests)
    with pytest.raises(ValueError, match=r"schema .* several fields 'n'"):
        getattr(job.items, read_table)(*arguments, schema=schema)
    with pytest.raises(TypeError, match=r"schema should be a pyarrow\.Schema, got 'n'"):
        getattr(job.items, read_table)(*arguments, schema='n')
    assert len(cloud.requests) == before


def test_another_schema_continues_a_download(job: Job, tmp_path: Path) -> None:
    path = tmp_path / 'b.parquet'
    schema = job.items.schema()
    wrong = schema.set(schema.get_field_index('text'), pa.field('text', pa.int64()))
    with pytest.raises(SchemaMismatch, match=r'\n.*b\.parquet\.part holds the records of items/1/1/1: .* schema'):
        job.items.download(path, schema=wrong)
    assert read(job.items.download(path, schema=schema)).to_pylist() == job.items.to_arrow(schema).to_pylist()


def test_integers_of_any_length_are_compared(project: Project, tmp_path: Path) -> None:
    job = project.jobs.run('books', meta={'state': 'running'})
    path = tmp_path / 'b.jl'
    for number in range(3):
        job.items.write({'n': number})
    job.items.flush()
    line = b'{"n":' + b'7' * 5000 + b'}\n'
    interrupt(job.items, path, 0)
    (tmp_path / 'b.jl.part').write_bytes(line)
    with pytest.warns(UserWarning, match='replaced'):
        job.items.download(path)
    assert [item['n'] for item in read(path)] == [0, 1, 2]


@pytest.mark.parametrize('max_workers', [1, 3])
@pytest.mark.parametrize('starts', [(5,), (0, 7), (0, 300)], ids=str)
def test_equal_records_with_gaps_in_their_numbers_are_stored_once(
    project: Project, tmp_path: Path, starts: tuple[int, ...], max_workers: int
) -> None:
    job = project.jobs.run('books', meta={'state': 'running'})
    for start in starts:
        with job.items.writer(start=start) as writer:
            for _ in range(4):
                writer.write({'same': True})
    stored = len(job.items.list())
    path, part = tmp_path / 'b.jl', tmp_path / 'b.jl.part'
    for kept in range(1, stored + 1):

        def stop(done: int, total: int | None) -> None:
            if done:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            job.items.download(path, progress=stop, max_workers=max_workers)
        part.write_bytes(b''.join(part.read_bytes().splitlines(keepends=True)[:kept]))
        job.items.download(path, max_workers=max_workers, overwrite=True)
        assert len(read(path)) == stored, kept
        path.unlink()


def test_an_unfinished_download_of_something_else_is_kept(job: Job, tmp_path: Path) -> None:
    interrupt(job.items, tmp_path / 'b.jl', 2000)
    part = (tmp_path / 'b.jl.part').read_bytes()
    for other in (job.logs.download, lambda path: job.items.download(path, count=3)):
        with pytest.raises(DownloadConflict, match=r'b\.jl\.part'):
            other(tmp_path / 'b.jl')
    assert (tmp_path / 'b.jl.part').read_bytes() == part
    assert read(job.items.download(tmp_path / 'b.jl')) == job.items.list()


def test_existing_files_are_kept_unless_they_may_be_replaced(cloud: Sandbox, job: Job, tmp_path: Path) -> None:
    path = tmp_path / 'b.jl'
    path.write_text('mine')
    before = len(cloud.requests)
    with pytest.raises(FileExistsError, match='overwrite'):
        job.items.download(path)
    assert len(cloud.requests) == before
    assert path.read_text() == 'mine'
    cloud.faults.add(status=500, times=None, path='/items/*')
    with pytest.raises(ServerError):
        job.items.download(path, overwrite=True)
    assert path.read_text() == 'mine'
    cloud.faults.clear()
    assert read(job.items.download(path, overwrite=True)) == job.items.list()


def test_two_downloads_to_one_path_do_not_mix(job: Job, tmp_path: Path) -> None:
    errors: list[Exception] = []

    def start_another(done: int, total: int | None) -> None:
        try:
            job.items.download(tmp_path / 'b.jl')
        except DownloadConflict as error:
            errors.append(error)

    assert read(job.items.download(tmp_path / 'b.jl', progress=start_another)) == job.items.list()
    assert errors
    assert 'another process' in str(errors[0])


def test_the_number_of_records_is_compared_with_the_statistics(cloud: Sandbox, job: Job, tmp_path: Path) -> None:
    stats = json.dumps({'totals': {'input_values': COUNT + 1}}).encode()
    cloud.faults.add(status=200, body=stats, path=f'/items/{job.key}/stats', headers=JSON, times=None)
    with pytest.raises(DownloadIncomplete, match=str(COUNT + 1)):
        job.items.download(tmp_path / 'b.jl')
    assert (tmp_path / 'b.jl.part').exists()
    assert not (tmp_path / 'b.jl').exists()
    cloud.faults.clear()
    assert read(job.items.download(tmp_path / 'b.jl')) == job.items.list()


FILTERS: list[dict[str, Any]] = [
    {'count': 7},
    {'start': 5, 'count': 7},
    {'filter': ('n', '>', [30])},
    {'filter': [('n', '>', [10]), ('n', '<', [50])], 'count': 5},
    {'meta': '_key'},
    {'startafter': '1/1/1/40'},
]


@pytest.mark.parametrize('filters', FILTERS)
def test_filtered_reads_continue_too(job: Job, tmp_path: Path, filters: dict[str, Any]) -> None:
    items = job.items.list(**filters)
    for size in (0, 90, 200, 10**6):
        path = tmp_path / f'{size}.jl'
        interrupt(job.items, path, size, **filters)
        assert read(job.items.download(path, **filters)) == items


def test_logs_can_be_filtered_by_level(job: Job, tmp_path: Path) -> None:
    assert read(job.logs.download(tmp_path / 'b.jl', level='WARNING')) == job.logs.list(level='WARNING')


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({'path': 'x.xls'}, ValueError, 'xls'),
    ({'path': 'x'}, ValueError, 'suffix'),
    ({'path': 'x.jl', 'format': 'excel'}, ValueError, 'excel'),
    ({'path': 'x.jl', 'limit': 3}, TypeError, 'count'),
    ({'path': 'x.jl', 'filters': None}, TypeError, "'filter'"),
    ({'path': 'x.jl', 'schema': 1}, ValueError, 'schema'),
    ({'path': 'x.parquet', 'schema': {'n': 'int'}}, TypeError, 'schema'),
    ({'path': 'x.jl', 'format': True}, TypeError, 'format'),
    ({'path': 'x.csv', 'fields': 'name'}, TypeError, 'fields'),
    ({'path': 'x.csv', 'fields': []}, ValueError, 'fields'),
    ({'path': 'x.jl', 'progress': 'yes'}, TypeError, 'progress'),
    ({'path': 'no/such/folder/x.jl'}, FileNotFoundError, 'folder'),
    ({'path': 'x.log'}, ValueError, 'log'),
]


@pytest.mark.parametrize(('arguments', 'kind', 'words'), BAD)
def test_bad_arguments_are_refused(
    cloud: Sandbox, job: Job, tmp_path: Path, arguments: dict[str, Any], kind: type[Exception], words: str
) -> None:
    before = len(cloud.requests)
    path = tmp_path / arguments.pop('path')
    with pytest.raises(kind, match=words):
        job.items.download(path, **arguments)
    assert len(cloud.requests) == before
    assert list(tmp_path.iterdir()) == []


def test_a_download_may_start_in_an_outage(tmp_path: Path) -> None:
    clock = ManualClock()
    client = ScrapinghubClient('a' * 32, endpoint='http://127.0.0.1:1')
    client.transport.clock = clock
    with pytest.raises(StreamInterrupted):
        client.get_job('1/1/1').items.download(tmp_path / 'x.jl')
    # A plain read gives up after five seconds.
    assert sum(clock.waits) > 20


def test_fields_select_and_order_columns(job: Job, tmp_path: Path) -> None:
    rows = read(job.items.download(tmp_path / 'b.csv', fields=['late', 'n']))
    assert list(rows[0]) == ['late', 'n']
    assert read(job.items.download(tmp_path / 'b.jl', fields=['n']))[5] == {'n': 5}
    table = read(job.items.download(tmp_path / 'b.parquet', fields=['n', 'text']))
    assert table.schema.names == ['n', 'text']


@pytest.mark.parametrize(
    'fault', [{'cut': 500}, {'cut': 300, 'times': 5}, {'status': 503, 'times': 2}, {'corrupt': 500}]
)
def test_broken_connections_change_nothing(cloud: Sandbox, job: Job, tmp_path: Path, fault: dict[str, Any]) -> None:
    cloud.faults.add(path=f'/items/{job.key}', **fault)
    assert read(job.items.download(tmp_path / 'b.jl')) == job.items.list()


def test_an_empty_job_has_an_empty_file(project: Project, tmp_path: Path) -> None:
    job = project.jobs.run('empty', meta={'state': 'finished'})
    for name in FORMATS:
        assert len(read(job.items.download(tmp_path / f'b.{name}'))) == 0


def test_progress_has_the_total_of_unfiltered_reads(job: Job, tmp_path: Path) -> None:
    calls: list[tuple[int, int | None]] = []

    def last(read: Callable[..., object], **arguments: Any) -> tuple[int, int | None]:
        read(progress=lambda *call: calls.append(call), **arguments)
        return calls[-1]

    assert last(job.items.download, path=tmp_path / 'a.jl') == (COUNT, COUNT)
    assert last(job.items.download, path=tmp_path / 'b.jl', filter=('n', '<', [3])) == (3, None)
    assert last(lambda **arguments: list(job.items.iter(**arguments))) == (COUNT, COUNT)
    assert last(job.items.list, count=4) == (4, 4)
    assert last(job.samples.list) == (COUNT, None)
    assert last(job.items.to_arrow) == (COUNT, COUNT)


def test_text_with_a_carriage_return_is_one_cell(project: Project, tmp_path: Path) -> None:
    job = project.jobs.run('spidey', meta={'state': 'finished'})
    rows = [{'a': 'x\ry', 'b': '1'}, {'a': 'x\r\ny', 'b': 'z\n'}]
    for row in rows:
        job.items.write(row)
    job.items.close()
    path = job.items.download(tmp_path / 'items.csv')
    with path.open(newline='', encoding='utf-8') as file:
        assert list(csv.DictReader(file)) == rows
    assert path.read_bytes().startswith(b'a,b\n"x\ry",1\n')


def test_a_folder_is_not_replaced(cloud: Sandbox, job: Job, tmp_path: Path) -> None:
    before = len(cloud.requests)
    with pytest.raises(IsADirectoryError):
        job.items.download(tmp_path, format='jl', overwrite=True)
    assert len(cloud.requests) == before


def test_fields_of_log_lines_cannot_be_chosen(job: Job, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='fields cannot be chosen for the format txt'):
        job.logs.download(tmp_path / 'x.txt', fields=['message'])


@pytest.mark.parametrize('kind', ['pandas', 'arrow', 'parquet'])
def test_a_schema_of_narrower_types_names_the_record(project: Project, tmp_path: Path, kind: str) -> None:
    job = project.jobs.run('spidey', meta={'state': 'finished'})
    for row in ({'n': 1}, {'n': 1000}):
        job.items.write(row)
    job.items.close()
    read: dict[str, Callable[[pa.Schema], Any]] = {
        'pandas': job.items.to_pandas,
        'arrow': job.items.to_arrow,
        'parquet': lambda schema: job.items.download(
            tmp_path / f'{len(list(tmp_path.iterdir()))}.parquet', schema=schema
        ),
    }
    with pytest.raises(SchemaMismatch) as caught:
        read[kind](pa.schema([('n', pa.int8())]))
    assert caught.value.field == 'n'
    with pytest.raises(SchemaMismatch, match="'m'") as caught:
        read[kind](pa.schema([pa.field('n', pa.int64()), pa.field('m', pa.int64(), nullable=False)]))
    assert caught.value.field == 'm'


def test_a_partition_uses_its_schema_for_parquet_files(project: Project, tmp_path: Path) -> None:
    job = project.jobs.run('spidey', meta={'state': 'finished'})
    for row in ({'a': 1}, {'b': 'late'}):
        job.items.write(row)
    job.items.close()
    schema = job.items.schema()
    for number, part in enumerate(job.items.partitions(2, schema=schema)):
        path = part.download(tmp_path / f'{number}.parquet')
        assert pq.read_schema(path).equals(schema)
        part.download(tmp_path / f'{number}.csv')


def test_a_download_with_an_age_continues(job: Job, tmp_path: Path, project: Project) -> None:
    path = tmp_path / 'logs.jl'

    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            job.logs.download(path, startts=timedelta(days=3), progress=stop)
    expected = list(job.logs.iter(startts=timedelta(days=3)))
    stored = job.logs.download(path, startts=timedelta(days=3)).read_text(encoding='utf-8')
    assert [json.loads(line) for line in stored.splitlines()] == expected
    store = project.collections.get_store('ages')
    store.set({'_key': 'a'})
    path = tmp_path / 'records.jl'
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            store.download(path, startts=timedelta(days=3), progress=stop)
    assert len(store.download(path, startts=timedelta(days=3)).read_bytes().splitlines()) == 1


@pytest.mark.parametrize('name', ['int8', 'int64', 'uint8', 'uint64'])
def test_a_schema_of_integers_stays_exact_in_a_frame(project: Project, name: str) -> None:
    job = project.jobs.run('spidey', meta={'state': 'finished'})
    largest = 2**60 + 1 if name.endswith('64') else 100
    for row in ({'n': largest}, {'n': None}):
        job.items.write(row)
    job.items.close()
    column = job.items.to_pandas(pa.schema([('n', getattr(pa, name)())]))['n']
    assert column[0] == largest
    assert column.isna().tolist() == [False, True]
    assert str(column.dtype).lower() == name
