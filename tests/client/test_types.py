"""What type checkers are told; running these tests only shows that the calls exist."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from scrapinghub import ScrapinghubClient
from scrapinghub.client.jobs import Job, JobMeta, Jobs
from scrapinghub.client.projects import Project, Projects, Settings
from scrapinghub.client.shapes import (
    ActivityEvent,
    CancelResult,
    JobSummary,
    ProjectSummary,
    SpiderInfo,
    StateSummary,
)
from scrapinghub.client.spiders import Spider

if TYPE_CHECKING:
    from typing_extensions import assert_type


def check_client(client: ScrapinghubClient) -> None:
    assert_type(client.projects, Projects)
    assert_type(client.get_project(1), Project)
    assert_type(client.get_job('1/2/3'), Job)
    assert_type(client.close(), bool)
    assert_type(client.projects.list(), list[int])
    assert_type(client.projects.summary(), list[ProjectSummary])
    with client as same:
        assert_type(same, ScrapinghubClient)


def check_project(project: Project) -> None:
    assert_type(project.key, str)
    assert_type(project.spiders.list(), list[SpiderInfo])
    assert_type(project.spiders.get('s'), Spider)
    assert_type(project.spiders.get('s').jobs, Jobs)
    assert_type(project.activity.iter(count=3), Iterator[ActivityEvent])
    assert_type(project.activity.list(count=3), list[ActivityEvent])
    assert_type(project.settings, Settings)
    assert_type(project.settings['a'], Any)


def check_jobs(jobs: Jobs) -> None:
    assert_type(jobs.count(state=['pending']), int)
    assert_type(jobs.iter(count=3), Iterator[JobSummary])
    assert_type(jobs.iter_all(), Iterator[JobSummary])
    assert_type(jobs.list(3, meta=['a']), list[JobSummary])
    assert_type(jobs.list()[0]['key'], str)
    assert_type(jobs.iter_last(), Iterator[JobSummary])
    assert_type(jobs.summary(), list[StateSummary])
    assert_type(jobs.summary('pending'), StateSummary | None)
    assert_type(jobs.summary(spider='s'), list[StateSummary])
    assert_type(jobs.run('s'), Job)
    assert_type(jobs.cancel(['1/2/3']), CancelResult)
    assert_type(jobs.cancel(count=3), CancelResult)
    assert_type(jobs.update_tags(add=['a'], spider='s'), int | None)


def check_job(job: Job) -> None:
    assert_type(job.metadata, JobMeta)
    assert_type(job.finish(close_reason='finished'), str)
    assert_type(job.metadata.list(), list[tuple[str, Any]])
    assert_type(dict(job.metadata), dict[str, Any])


def test_the_checks_name_what_is_there() -> None:
    for kind, names in (
        (ScrapinghubClient, ('projects', 'get_project', 'get_job', 'close')),
        (Project, ('spiders', 'activity', 'settings', 'jobs')),
        (Jobs, ('count', 'iter', 'iter_all', 'list', 'iter_last', 'summary', 'run', 'cancel', 'update_tags')),
        (Job, ('metadata', 'finish')),
    ):
        assert all(hasattr(kind, name) for name in names)
