"""The records of all jobs of a selection: iteration, files and tables, and what happens when a read is interrupted."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub import DownloadConflict, DownloadIncomplete, NotFound, ScrapinghubClient
from scrapinghub.client._support.json_lines import add_field
from scrapinghub.client.jobs import Job
from scrapinghub.client.projects import Project
from scrapinghub.client.selection import JobSelection
from scrapinghub.sandbox import Sandbox

SIZES = (3, 0, 40, 1, 25)


def fill(job: Job, size: int, **fields: Any) -> None:
    for number in range(size):
        job.items.write({'n': number, 'text': f'{{"a": {number}}}\u2028', **fields})
        job.logs.write({'time': number, 'level': 20, 'message': f'line {number}'})
    job.close_writers()
    job.finish()


@pytest.fixture
def jobs(project: Project) -> list[Job]:
    """Return finished jobs in the order of a listing."""
    jobs = []
    for number, size in enumerate(SIZES):
        jobs.append(project.jobs.run('books', n=number, meta={'state': 'running'}))
        fill(jobs[-1], size)
    return jobs[::-1]


@pytest.fixture
def selection(project: Project, jobs: list[Job]) -> JobSelection:
    assert jobs
    return project.jobs.select(spider='books')


def expected(jobs: list[Job], job_key: Any = None) -> list[dict[str, Any]]:
    return [{**({'_job': job.key} if job_key else {}), **item} for job in jobs for item in job.items.list()]


def read(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding='utf-8').split('\n')[:-1]]


def stop_at(number: int, done: int, total: int | None) -> None:
    """Interrupt a download when so many records are stored."""
    if done >= number:
        raise KeyboardInterrupt


def test_records_are_read_job_by_job(selection: JobSelection, jobs: list[Job]) -> None:
    assert selection.items.list() == list(selection.items.iter()) == expected(jobs)
    assert [item['n'] for item in selection.items.iter(count=27)] == [*range(25), 0, 0]
    assert selection.items.list(count=0) == []
    assert [entry['message'] for entry in selection.logs.list(count=2)] == ['line 0', 'line 1']
    assert selection.requests.list() == []
    assert 'books' in repr(selection.items)


def test_the_key_of_the_job_can_be_added(selection: JobSelection, jobs: list[Job]) -> None:
    assert selection.items.list(job_key='_job') == expected(jobs, job_key=True)
    with pytest.raises(ValueError, match="the field 'n': choose another job_key"):
        selection.items.list(job_key='n')


@pytest.mark.parametrize(
    ('arguments', 'error', 'words'),
    [
        ({'job_key': ''}, ValueError, 'job_key'),
        ({'job_key': 5}, TypeError, 'job_key'),
        ({'limit': 1}, TypeError, 'count'),
        ({'count': -1}, ValueError, 'count'),
    ],
)
def test_wrong_arguments_are_refused_at_the_call(
    cloud: Sandbox, selection: JobSelection, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    before = len(cloud.requests)
    for call in (selection.items.iter, selection.items.list, selection.items.to_arrow):
        with pytest.raises(error, match=words):
            call(**arguments)
    assert len(cloud.requests) == before


def test_filters_apply_to_each_job(selection: JobSelection, jobs: list[Job]) -> None:
    wanted = [item for item in expected(jobs) if item['n'] > 22]
    assert selection.items.list(filter=[('n', '>', [22])]) == wanted
    assert [item['n'] for item in selection.items.iter(start=39)] == [39]


def test_iteration_continues_after_an_interruption(selection: JobSelection, jobs: list[Job]) -> None:
    records = selection.items.iter()
    found = []
    for _ in range(5):
        try:
            for item in records:
                found.append(item)
                if len(found) in (10, 25, 26, 60):
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass
    assert found == expected(jobs)


def test_a_broken_connection_loses_nothing(cloud: Sandbox, selection: JobSelection, jobs: list[Job]) -> None:
    wanted = expected(jobs)
    for offset in (1, 60, 400):
        cloud.faults.add(path='/items/*', cut=offset, times=3)
        assert selection.items.list() == wanted
        cloud.faults.clear()


@pytest.mark.parametrize('path', ['/items/{key}', '/jobs/{key}/state'])
def test_an_outage_between_two_jobs_has_the_budget_of_a_long_read(
    cloud: Sandbox, selection: JobSelection, jobs: list[Job], tmp_path: Path, path: str
) -> None:
    # More failures than a single call survives.
    for name in ('list', 'download'):
        cloud.faults.add(path=path.format(key=jobs[1].key), status=503, times=20)
        found = selection.items.list() if name == 'list' else read(selection.items.download(tmp_path / 'b.jl'))
        assert found == expected(jobs)


def test_a_job_that_is_deleted_meanwhile_is_an_error(
    client: ScrapinghubClient, selection: JobSelection, jobs: list[Job]
) -> None:
    records = selection.items.iter()
    assert next(records)['n'] == 0
    jobs[2].delete()
    with pytest.raises(NotFound, match=f'job {jobs[2].key} was deleted after'):
        list(records)


@pytest.mark.parametrize('filters', [{'count': 60}, {'filter': ('n', '<', [20])}], ids=str)
@pytest.mark.parametrize('max_workers', [1, 2])
def test_a_filtered_download_misses_no_job_that_is_deleted_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
    selection: JobSelection,
    jobs: list[Job],
    tmp_path: Path,
    filters: dict[str, Any],
    max_workers: int,
) -> None:
    records, path = selection.items, tmp_path / 'all.jl'
    list_keys = records._list_keys

    def list_keys_and_delete() -> Any:
        keys = list(list_keys())
        jobs[2].delete()
        return keys

    monkeypatch.setattr(records, '_list_keys', list_keys_and_delete)
    with pytest.raises(NotFound, match=f'job {jobs[2].key} was deleted after'):
        records.download(path, max_workers=max_workers, **filters)
    assert not path.exists()


def test_progress_counts_the_records_of_all_jobs(selection: JobSelection) -> None:
    seen: list[tuple[int, int | None]] = []
    selection.items.list(progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (sum(SIZES), sum(SIZES))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize('job_key', [None, '_job'])
def test_a_download_holds_all_records(
    selection: JobSelection, jobs: list[Job], tmp_path: Path, job_key: str | None
) -> None:
    path = selection.items.download(tmp_path / 'all.jl', job_key=job_key)
    assert read(path) == expected(jobs, job_key=job_key)
    path = selection.items.download(tmp_path / 'some.csv', job_key=job_key, count=30, fields=['n'])
    assert path.read_text().split() == ['n', *(str(n) for n in (*range(25), 0, *range(4)))]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ['all.jl', 'some.csv']


@pytest.mark.parametrize('job_key', [None, '_job'])
@pytest.mark.parametrize('size', range(0, 4200, 140))
def test_a_download_that_was_killed_continues(
    project: Project, selection: JobSelection, tmp_path: Path, size: int, job_key: str | None
) -> None:
    """The jobs are those that were listed first, whatever was started meanwhile."""
    whole = selection.items.download(tmp_path / 'whole.jl', job_key=job_key).read_bytes()
    path = tmp_path / 'books.jl'
    part = tmp_path / 'books.jl.part'

    def stop(done: int, total: int | None) -> None:
        if part.stat().st_size >= size:
            raise KeyboardInterrupt

    try:
        selection.items.download(path, progress=stop, job_key=job_key)
    except KeyboardInterrupt:
        with part.open('r+b') as file:
            file.truncate(min(size, part.stat().st_size))
        if size >= whole.index(b'\n') + 1:
            fill(project.jobs.run('books', meta={'state': 'running'}), 2)
        selection.items.download(path, job_key=job_key)
    assert path.read_bytes() == whole
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ['books.jl', 'whole.jl']


def test_replaced_records_are_read_again(
    cloud: Sandbox, selection: JobSelection, jobs: list[Job], tmp_path: Path
) -> None:
    path = tmp_path / 'books.jl'
    with pytest.raises(KeyboardInterrupt):
        selection.items.download(path, progress=partial(stop_at, 27))
    with cloud.client() as other:
        fill(other.get_job(jobs[2].key), SIZES[2], replaced=True)
    with pytest.warns(UserWarning, match='replaced'):
        selection.items.download(path)
    assert read(path) == expected(jobs)


def test_damaged_notes_are_named(selection: JobSelection, tmp_path: Path) -> None:
    path, notes = tmp_path / 'all.jl', tmp_path / 'all.jl.part.json'
    with pytest.raises(KeyboardInterrupt):
        selection.items.download(path, progress=partial(stop_at, 27))
    whole = notes.read_bytes()
    for line, message in ((b'{\n', r'all\.jl\.part is damaged.*delete it'), (b'\xff\n', r'all\.jl\.part is damaged')):
        notes.write_bytes(whole.partition(b'\n')[0] + b'\n' + line)
        with pytest.raises(DownloadConflict, match=message):
            selection.items.download(path)
    notes.write_bytes(b'\xff\n')
    with pytest.raises(DownloadConflict, match=r'something else: \\xff'):
        selection.items.download(path)


@pytest.mark.parametrize('max_workers', [1, 2])
def test_jobs_with_gaps_in_their_numbers_are_stored_once(project: Project, tmp_path: Path, max_workers: int) -> None:
    stored = 0
    for start in (3, 0, 4):
        job = project.jobs.run('gaps', start=start, meta={'state': 'running'})
        with job.items.writer(start=start) as writer:
            for _ in range(4):
                writer.write({'same': True})
        job.finish()
        stored += 4
    selection = project.jobs.select(spider='gaps')
    path, part = tmp_path / 'all.jl', tmp_path / 'all.jl.part'
    for kept in range(1, stored):
        with pytest.raises(KeyboardInterrupt):
            selection.items.download(path, progress=partial(stop_at, kept), max_workers=max_workers)
        part.write_bytes(b''.join(part.read_bytes().splitlines(keepends=True)[:kept]))
        assert len(read(selection.items.download(path, max_workers=max_workers))) == stored, kept
        path.unlink()


def test_a_download_says_how_to_continue_without_a_job_that_was_deleted(
    selection: JobSelection, jobs: list[Job], tmp_path: Path
) -> None:
    path = tmp_path / 'books.jl'
    with pytest.raises(KeyboardInterrupt):
        selection.items.download(path, progress=partial(stop_at, 27))
    jobs[2].delete()
    with pytest.raises(
        NotFound, match=rf'job {jobs[2].key} was deleted .*\n.*books.jl.part .* delete it and start again'
    ):
        selection.items.download(path)
    (tmp_path / 'books.jl.part').unlink()
    assert read(selection.items.download(path)) == expected([job for job in jobs if job is not jobs[2]])


def test_a_missing_record_is_an_error(cloud: Sandbox, selection: JobSelection, jobs: list[Job], tmp_path: Path) -> None:
    stats = json.dumps({'totals': {'input_values': 41}})
    headers = {'Content-Type': 'application/json'}
    cloud.faults.add(path=f'/items/{jobs[2].key}/stats', status=200, body=stats, headers=headers, times=None)
    with pytest.raises(DownloadIncomplete, match=rf'items/{jobs[2].key} has 41 records .* 40 were read'):
        selection.items.download(tmp_path / 'books.jl')
    cloud.faults.clear()
    assert read(selection.items.download(tmp_path / 'books.jl')) == expected(jobs)


def test_tables(selection: JobSelection, jobs: list[Job]) -> None:
    table = selection.items.to_arrow(job_key='_job')
    assert table.to_pylist() == expected(jobs, job_key=True)
    assert selection.items.schema().names == ['n', 'text']
    assert sum(batch.num_rows for batch in selection.items.iter_arrow(batch_size=7)) == sum(SIZES)
    frame = selection.items.to_pandas(job_key='_job')
    assert list(frame.groupby('_job', sort=False).size()) == [size for size in reversed(SIZES) if size]


def test_an_age_is_the_same_argument_at_the_next_start(project: Project, jobs: list[Job], tmp_path: Path) -> None:
    def download(**filters: Any) -> Path:
        return project.jobs.select(startts=timedelta(hours=1)).items.download(tmp_path / 'a.jl', **filters)

    def stop(done: int, total: int | None) -> None:
        if done > 26:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(progress=stop)
    assert read(download()) == expected(jobs)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text() | st.just('_job'), values),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(), JSON).filter(lambda item: '_job' not in item)), st.booleans(), st.booleans())
def test_a_field_is_added_to_lines_of_any_form(items: list[dict[str, Any]], ascii_only: bool, spaced: bool) -> None:
    separators = (', ', ': ') if spaced else (',', ':')
    lines = [json.dumps(item, ensure_ascii=ascii_only, separators=separators) + '\n' for item in items]
    blocks = [''.join(lines[:2]).encode(errors='surrogatepass'), ''.join(lines[2:]).encode(errors='surrogatepass')]
    added = b''.join(add_field(iter(blocks), '_job', '1/2/3'))
    found = [json.loads(line) for line in added.decode(errors='surrogatepass').split('\n')[:-1]]
    assert found == [{'_job': '1/2/3', **item} for item in items]
    assert all(next(iter(item)) == '_job' for item in found)
