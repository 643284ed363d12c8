"""Comments on the items of a job."""

from __future__ import annotations

import pytest

from scrapinghub import NotFound, ScrapinghubClient
from scrapinghub.client.jobs import Job
from scrapinghub.client.projects import Project
from scrapinghub.sandbox import Sandbox
from support.clocks import ManualClock


@pytest.fixture
def job(project: Project) -> Job:
    job = project.jobs.run('books', meta={'state': 'running'})
    for number in range(12):
        job.items.write({'n': number})
    job.items.flush()
    return job


def test_comments_are_added_and_listed_in_the_order_of_the_items(job: Job) -> None:
    assert job.comments.list() == []
    for item, field in ((11, None), (2, 'price'), (2, None), (2, 'a/b é')):
        assert job.comments.add(item, f'on {item}', field=field)['text'] == f'on {item}'
    found = [(comment['item'], comment['field'], comment['text']) for comment in job.comments.iter()]
    assert found == [(2, None, 'on 2'), (2, 'a/b é', 'on 2'), (2, 'price', 'on 2'), (11, None, 'on 11')]


def test_bad_arguments_are_refused(cloud: Sandbox, job: Job) -> None:
    before = len(cloud.requests)
    for item in ('1', 1.0, None, True):
        with pytest.raises(TypeError, match='item'):
            job.comments.add(item, 'x')  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='item'):
        job.comments.add(-1, 'x')
    with pytest.raises(TypeError, match='text'):
        job.comments.add(0, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match='text'):
        job.comments.edit(0, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match='comment_id should be the id of a comment'):
        job.comments.archive('0')  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='comment_id'):
        job.comments.archive(-1)
    for text, field in (('', None), (' ', None), ('x', '')):
        with pytest.raises(ValueError, match=r'text|path'):
            job.comments.add(0, text, field)
    assert len(cloud.requests) == before


def test_a_comment_is_edited_and_archived_once_although_responses_are_lost(
    cloud: Sandbox, client: ScrapinghubClient, job: Job
) -> None:
    client.transport.clock = ManualClock()
    first, second = (job.comments.add(0, text) for text in ('one', 'two'))
    cloud.faults.add(method='PUT', path='*/comments/*', apply=True, drop='close', times=2)
    cloud.faults.add(method='DELETE', path='*/comments/*', apply=True, drop='close', times=2)
    assert job.comments.edit(first['id'], 'three') == {**first, 'text': 'three'}
    assert job.comments.archive(second['id'])['archived']
    assert [(found['text'], bool(found['archived'])) for found in job.comments.list()] == [
        ('three', False),
        ('two', True),
    ]


def test_a_missing_comment_is_not_found(job: Job) -> None:
    with pytest.raises(NotFound, match='comments/99'):
        job.comments.edit(99, 'x')
    with pytest.raises(NotFound, match='comments/99'):
        job.comments.archive(99)


def test_a_missing_job_is_not_found(project: Project) -> None:
    with pytest.raises(NotFound):
        project.jobs.get('1/9/9').comments.add(0, 'x')


def test_adding_is_not_repeated_when_the_response_is_lost(cloud: Sandbox, client: ScrapinghubClient, job: Job) -> None:
    client.transport.clock = ManualClock()
    cloud.faults.add(method='POST', path='*/comments/*', apply=True, drop='close', times=5)
    with pytest.raises(Exception, match=r'comments\.list') as caught:
        job.comments.add(0, 'once')
    assert getattr(caught.value, 'maybe_applied', False)
    assert len(job.comments.list()) == 1
