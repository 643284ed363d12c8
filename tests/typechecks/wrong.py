"""What type checkers refuse: an ignore that is not needed is an error too, so each line below has to be one."""

from __future__ import annotations

from scrapinghub import ScrapinghubClient
from scrapinghub.client.jobs import Job, Jobs
from scrapinghub.client.projects import Project


def of_the_client() -> None:
    ScrapinghubClient(5)  # type: ignore[arg-type]
    ScrapinghubClient(apikey='a')  # type: ignore[call-arg]
    ScrapinghubClient('a', None, 60, None, 'https://example.com')  # type: ignore[call-arg]


def of_jobs(jobs: Jobs) -> None:
    jobs.summary('pending')['count']  # type: ignore[index]
    jobs.list()[0]['no_such_field']  # type: ignore[misc]
    jobs.run('s', job_args='a=b')  # type: ignore[arg-type]
    jobs.cancel()  # type: ignore[call-overload]
    jobs.cancel(['1/2/3'], count=3)  # type: ignore[call-overload]
    jobs.iter(count='many')  # type: ignore[call-overload]
    jobs.list(has_tag=5)  # type: ignore[call-overload]
    jobs.get(5)  # type: ignore[arg-type]


def of_a_job(job: Job) -> None:
    job.update()  # type: ignore[call-arg]
    job.update_tags(add='tag')  # type: ignore[arg-type]
    job.items.write([1])  # type: ignore[arg-type]
    job.logs.write({'message': 'no level, no time'})  # type: ignore[typeddict-item]
    job.requests.add('https://example.com')  # type: ignore[call-arg]
    job.items.iter(filter=5)  # type: ignore[call-overload]
    job.key.no_such_method()  # type: ignore[attr-defined]


def of_a_project(project: Project) -> None:
    project.spiders.get()  # type: ignore[call-arg]
    project.collections.get_store('books').set(5)  # type: ignore[arg-type]
    project.collections.get_store('books').create_writer(size='many')  # type: ignore[arg-type]
    project.frontiers.get('f').get('s').q.add([5])  # type: ignore[list-item]
    project.settings['a'] = 5  # type: ignore[index]
