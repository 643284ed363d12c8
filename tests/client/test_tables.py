"""Tables of records that are read from the service."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pyarrow as pa
import pytest

from scrapinghub import SchemaMismatch
from scrapinghub.client.jobs import Job
from scrapinghub.client.projects import Project
from scrapinghub.sandbox import Sandbox
from support.clocks import ManualClock

ROWS: list[dict[str, Any]] = [
    {'n': 1, 'late': None},
    {'n': 2, 'tags': ['a']},
    {'n': 3, 'late': '2026-11-26', 'tags': []},
]


@pytest.fixture
def job(project: Project) -> Job:
    job = project.jobs.run('books', meta={'state': 'running'})
    for row in ROWS:
        job.items.write(row)
        job.logs.log('message', level=20, ts=1_480_000_000_000)
        job.requests.add('http://x', 200, 'GET', 1, 1, 1_480_000_000_000)
    job.close_writers()
    return job


def test_items_become_a_table(job: Job) -> None:
    table = job.items.to_arrow()
    assert table.to_pylist() == [{'n': row['n'], 'late': row.get('late'), 'tags': row.get('tags')} for row in ROWS]
    assert table.schema == job.items.schema()
    assert pa.Table.from_batches(job.items.iter_arrow(batch_size=2)).to_pylist() == table.to_pylist()
    assert [batch.num_rows for batch in job.items.iter_arrow(2, table.schema)] == [2, 1]
    assert job.items.to_arrow(table.schema).equals(table)
    assert job.items.to_arrow(filter=('n', '>', [1]), count=1)['n'].to_pylist() == [2]
    assert job.items.to_arrow(meta='_key')['_key'].to_pylist() == [f'{job.key}/{number}' for number in range(3)]


def test_items_become_a_frame(job: Job) -> None:
    frame = job.items.to_pandas()
    assert frame['n'].tolist() == [1, 2, 3]
    assert frame['tags'].tolist()[1] == ['a']
    assert list(frame.columns) == ['n', 'late', 'tags']


def test_other_records_become_tables(job: Job, project: Project) -> None:
    assert job.logs.to_arrow()['message'].to_pylist() == ['message'] * 3
    assert job.logs.to_pandas(level='ERROR').empty
    assert job.requests.to_pandas()['status'].tolist() == [200] * 3
    store = project.collections.get_store('books')
    store.set([{'_key': 'b', 'n': 2}, {'_key': 'a', 'n': 1}])
    assert store.to_arrow().to_pylist() == [{'n': 1, '_key': 'a'}, {'n': 2, '_key': 'b'}]
    assert store.to_pandas(prefix='b')['n'].tolist() == [2]


@pytest.mark.parametrize('arguments', [{}, {'filter': ('n', '>', [1])}])
def test_a_record_that_does_not_fit_is_named(job: Job, arguments: dict[str, Any]) -> None:
    schema = pa.schema([('n', pa.int64()), ('late', pa.null()), ('tags', pa.list_(pa.string()))])
    for convert in (job.items.to_arrow, job.items.to_pandas, lambda *a, **k: list(job.items.iter_arrow(1, *a, **k))):
        with pytest.raises(SchemaMismatch) as caught:
            convert(schema, **arguments)
        assert (caught.value.key, caught.value.field) == (f'{job.key}/2', 'late')
    with pytest.raises(SchemaMismatch, match='message'):
        job.logs.to_arrow(pa.schema([('level', pa.int64()), ('time', pa.int64())]))


def test_bad_arguments_are_refused(cloud: Sandbox, job: Job) -> None:
    before = len(cloud.requests)
    for convert in (job.items.to_arrow, job.items.to_pandas, job.items.schema, job.items.iter_arrow):
        with pytest.raises(TypeError, match='count'):
            convert(limit=3)
    with pytest.raises(ValueError, match='batch_size'):
        job.items.iter_arrow(0)
    assert len(cloud.requests) == before


def test_broken_connections_change_nothing(cloud: Sandbox, job: Job) -> None:
    table = job.items.to_arrow()
    job._client.transport.clock = ManualClock()
    cloud.faults.add(path=f'/items/{job.key}', cut=20, times=3)
    assert job.items.to_arrow().equals(table)


@pytest.mark.parametrize(
    ('library', 'call', 'words'),
    [
        ('pyarrow', 'job.items.to_arrow()', 'scrapinghub[arrow]'),
        ('pyarrow', 'job.items.download("x.parquet")', 'scrapinghub[arrow]'),
        ('pandas', 'job.items.to_pandas()', 'scrapinghub[pandas]'),
        ('tqdm', 'job.items.list(progress=True)', 'scrapinghub[progress]'),
    ],
)
def test_a_missing_library_is_named(library: str, call: str, words: str) -> None:
    program = f"""
import sys
sys.modules[{library!r}] = None
from scrapinghub import ScrapinghubClient
job = ScrapinghubClient('0' * 32, endpoint='http://127.0.0.1:1').get_job('1/1/1')
try:
    {call}
except ImportError as error:
    assert '\\n' not in str(error)
    print(error)
"""
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    assert words in result.stdout


def test_the_client_loads_no_extra() -> None:
    program = """
import sys
import scrapinghub.client
print([name for name in ('pyarrow', 'pandas', 'numpy', 'tqdm') if name in sys.modules])
"""
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == '[]'
