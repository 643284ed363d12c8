"""What type checkers are told. Nothing here is run: mypy and pyright read it, in the tox environments for types."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from typing_extensions import assert_type

from scrapinghub import ScrapinghubClient
from scrapinghub.client.collections import Collection
from scrapinghub.client.collectionwriter import CollectionWriter
from scrapinghub.client.frontiers import Frontier, FrontierSlot, FrontierSlotFingerprints, FrontierSlotQueue
from scrapinghub.client.jobs import Job, JobMeta, Jobs
from scrapinghub.client.notebook import Table
from scrapinghub.client.projects import Project, Projects, Settings
from scrapinghub.client.shapes import (
    ActivityEvent,
    CancelResult,
    CollectionInfo,
    FrontierBatch,
    FrontierRequest,
    JobState,
    JobSummary,
    LogRecord,
    ProjectSummary,
    RequestRecord,
    SpiderInfo,
    StateSummary,
    Stats,
)
from scrapinghub.client.spiders import Spider
from scrapinghub.client.utils import JobKey, parse_job_key
from scrapinghub.transport.uploads.uploader import Writer


def of_the_client(client: ScrapinghubClient) -> None:
    assert_type(client.projects, Projects)
    assert_type(client.get_project(1), Project)
    assert_type(client.get_project('1'), Project)
    assert_type(client.get_job('1/2/3'), Job)
    assert_type(client.get_job((1, '2', 3)), Job)
    assert_type(client.close(), bool)
    assert_type(client.connection_timeout, float)
    assert_type(client.projects.list(), list[int])
    assert_type(client.projects.iter(), Iterator[int])
    assert_type(client.projects.summary(), list[ProjectSummary])
    with client as same:
        assert_type(same, ScrapinghubClient)


def of_a_project(project: Project) -> None:
    assert_type(project.key, str)
    assert_type(project.spiders.list(), list[SpiderInfo])
    assert_type(project.spiders.get('s'), Spider)
    assert_type(project.spiders.get('s', create=True).jobs, Jobs)
    assert_type(project.spiders.get('s').list_tags(), list[str])
    assert_type(project.activity.iter(count=3), Iterator[ActivityEvent])
    assert_type(project.activity.list(count=3), list[ActivityEvent])
    assert_type(project.settings, Settings)
    assert_type(project.settings['a'], Any)
    project.activity.add({'event': 'a', 'job': '1/2/3'})
    project.activity.add([{'event': 'a'}, {'event': 'b'}])


def of_jobs(jobs: Jobs, maybe: str | None, fields: list[str] | None) -> None:
    assert_type(jobs.count(state=['pending'], startts=datetime.now()), int)
    assert_type(jobs.iter(count=3), Iterator[JobSummary])
    assert_type(jobs.iter(meta=['a']), Iterator[dict[str, Any]])
    assert_type(jobs.iter(None, 5, 'spider', 'running', None, None, 0, 1), Iterator[JobSummary])
    assert_type(jobs.iter(None, 5, 'spider', 'running', None, None, 0, 1, ['a']), Iterator[dict[str, Any]])
    assert_type(jobs.iter(key=['1/2/3'], stop='1/2/1'), Iterator[JobSummary])
    assert_type(jobs.iter_all(), Iterator[JobSummary])
    assert_type(jobs.iter_all(meta='a'), Iterator[dict[str, Any]])
    assert_type(jobs.list(3), list[JobSummary])
    assert_type(jobs.list(3, meta=['a']), list[dict[str, Any]])
    assert_type(jobs.list()[0]['key'], str)
    assert_type(jobs.list()[0]['state'], JobState)
    assert_type(jobs.list()[0].get('tags'), list[str] | None)
    assert_type(jobs.iter(meta=fields), Iterator[JobSummary] | Iterator[dict[str, Any]])
    assert_type(jobs.iter_last(start_after=3), Iterator[JobSummary])
    assert_type(jobs.summary(), list[StateSummary])
    assert_type(jobs.summary('pending', count=3), StateSummary | None)
    assert_type(jobs.summary(spider='s'), list[StateSummary])
    assert_type(jobs.summary(maybe), list[StateSummary] | StateSummary | None)
    assert_type(jobs.run('s', job_args={'a': 1}, add_tag='x'), Job)
    assert_type(jobs.get('1/2/3'), Job)
    assert_type(jobs.cancel(['1/2/3']), CancelResult)
    assert_type(jobs.cancel(count=3)['count'], int)
    assert_type(jobs.update_tags(add=['a'], spider='s'), int | None)


def of_a_job(job: Job) -> None:
    assert_type(job.metadata, JobMeta)
    assert_type(job.finish(close_reason='finished'), str)
    assert_type(job.metadata.list(), list[tuple[str, Any]])
    assert_type(dict(job.metadata), dict[str, Any])
    assert_type(job.items.iter(count=3, filter=('a', '=', [1])), Iterator[dict[str, Any]])
    assert_type(job.items.list(meta='_key'), list[dict[str, Any]])
    assert_type(job.items.list_iter(chunksize=5), Iterator[list[dict[str, Any]]])
    assert_type(job.items.get(0), dict[str, Any] | None)
    assert_type(job.items.stats(), Stats)
    assert_type(job.items.write({'a': 1}), int)
    assert_type(job.items.writer(append=True), Writer)
    assert_type(job.logs.iter(level='INFO'), Iterator[LogRecord])
    assert_type(job.logs.list()[0]['level'], int)
    assert_type(job.requests.list(), list[RequestRecord])
    assert_type(job.requests.list()[0].get('parent'), int | None)
    assert_type(job.requests.add('https://example.com', 200, 'GET', 1, 2, 3), int)
    assert_type(job.samples.list(), list[list[Any]])


def of_collections(project: Project) -> None:
    assert_type(project.collections.list(), list[CollectionInfo])
    store = project.collections.get_store('books')
    assert_type(store, Collection)
    assert_type(store.get('a'), dict[str, Any])
    assert_type(store.iter(prefix=['a', 'b']), Iterator[dict[str, Any]])
    assert_type(store.list(key='a'), list[dict[str, Any]])
    assert_type(store.count(prefix='a', progress=lambda total, start: None), int)
    store.set({'_key': 'a'})
    store.set({'_key': str(number)} for number in range(3))
    store.delete(['a', 'b'])
    with store.create_writer() as writer:
        assert_type(writer, CollectionWriter)
        assert_type(writer.write([{'_key': 'a'}]), int)


def of_frontiers(project: Project) -> None:
    frontier = project.frontiers.get('f')
    slot = frontier.get('s')
    assert_type(project.frontiers.list(), list[str])
    assert_type(frontier, Frontier)
    assert_type(slot, FrontierSlot)
    assert_type(slot.q, FrontierSlotQueue)
    assert_type(slot.f, FrontierSlotFingerprints)
    assert_type(slot.f.list(count=3), list[str])
    assert_type(slot.q.iter(mincount=3), Iterator[FrontierBatch])
    assert_type(slot.q.list()[0]['requests'], list[list[Any]])
    assert_type(slot.newcount, int)
    request: FrontierRequest = {'fp': 'a', 'qdata': {'depth': 1}, 'p': 0}
    slot.q.add([request])
    slot.q.add({'fp': 'b'})


def of_the_rest(jobs: Jobs) -> None:
    assert_type(parse_job_key('1/2/3'), JobKey)
    assert_type(Table(jobs.list()).html(), str)
    state: Literal['pending', 'running', 'finished', 'deleted'] = jobs.list()[0]['state']
    assert state


@dataclass
class Book:
    title: str


def of_typed_records(job: Job) -> None:
    assert_type(job.items.iter(type=Book), Iterator[Book])
    assert_type(job.items.list(type=Book, count=3), list[Book])
    assert_type(job.items.list(count=3), list[dict[str, Any]])
    assert_type([part.list() for part in job.items.partitions(2)], list[list[dict[str, Any]]])
