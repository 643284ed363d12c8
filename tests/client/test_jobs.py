"""The jobs of a project or spider: what goes over the wire, what comes back, what is refused."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable, Iterator
from datetime import date, datetime, timezone
from typing import Any
from urllib.parse import parse_qsl

import pytest

from scrapinghub import BadRequest, DuplicateJobError, NotFound, ScrapinghubAPIError, ScrapinghubClient
from scrapinghub.client.exceptions import DecodeError, StreamInterrupted
from scrapinghub.client.jobs import Job, Jobs
from scrapinghub.client.projects import Project
from scrapinghub.sandbox import Sandbox
from support.clocks import ManualClock
from support.scripted_server import Reply, Wire, json_reply, lines_reply, reply

OK = json_reply('{"status": "ok", "count": 2, "jobid": "1/2/3"}')
NOTHING = reply(b'', content_type='application/x-jsonlines')
SUMMARY = {'count': 1, 'name': 'pending', 'summary': []}
ANSWERS = {
    '/ids/1/spider/s': json_reply('2'),
    '/ids/1/spider/other': json_reply('5'),
    '/ids/1/spider/none': json_reply('null'),
    '/jobq/1/count': json_reply('3'),
    '/jobq/1/list': lines_reply({'key': '1/2/3'}, {'key': '1/2/2'}),
    '/jobq/1/cancel': json_reply('{"count": 1}'),
    '/jobq/1/2/3/cancel': json_reply('{"count": 1}'),
    '/jobq/1/update': lines_reply({'prevstate': 'pending', 'key': '1/2/3'}),
    '/jobq/1/summary': lines_reply(SUMMARY, SUMMARY, SUMMARY),
    '/jobq/1/summary/pending': lines_reply(SUMMARY),
    '/jobq/1/summary/odd': NOTHING,
    '/jobq/1/2/summary': lines_reply(SUMMARY),
    '/jobq/1/2/summary/pending': lines_reply(SUMMARY),
    '/spiders/1/lastjobsummary': lines_reply({'key': '1/2/3'}, {'key': '1/5/1'}),
    '/spiders/1/2/lastjobsummary': lines_reply({'key': '1/2/3'}),
    '/api/run.json': OK,
    '/api/jobs/update.json': OK,
}


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire(ANSWERS) as wire:
        yield wire


@pytest.fixture
def jobs(wire: Wire) -> Jobs:
    return wire.client().get_project(1).jobs


@pytest.fixture
def of_spider(wire: Wire) -> Jobs:
    """The jobs of the spider ``s``; how its id was found is forgotten."""
    found = wire.client().get_project(1).spiders.get('s').jobs
    wire.requests.clear()
    return found


FIVE_SECONDS = datetime(1970, 1, 1, 0, 0, 5, tzinfo=timezone.utc)
ASKED: list[tuple[Callable[[Jobs], Any], list[str]]] = [
    (lambda jobs: jobs.count(), ['/jobq/1/count']),
    (
        lambda jobs: jobs.count('a', ['x', 'y'], 't', ('u', 'v'), 1, 2),
        ['/jobq/1/count?spider=a&state=x&state=y&has_tag=t&lacks_tag=u&lacks_tag=v&startts=1&endts=2'],
    ),
    (lambda jobs: jobs.list(), ['/jobq/1/list']),
    (
        lambda jobs: jobs.list(3, 0, 'a', 'x', 't', 'u', 1, 2, ['f', 'g']),
        ['/jobq/1/list?spider=a&state=x&has_tag=t&lacks_tag=u&startts=1&endts=2&jobmeta=f&jobmeta=g&start=0&count=3'],
    ),
    (lambda jobs: jobs.list(jobmeta='f', stop='1/2/1'), ['/jobq/1/list?stop=1%2F2%2F1&jobmeta=f']),
    (lambda jobs: jobs.list(start_ts=FIVE_SECONDS), ['/jobq/1/list?startts=5000']),
    (lambda jobs: jobs.summary(), ['/jobq/1/summary']),
    (lambda jobs: jobs.summary('pending', count=2, meta=['f']), ['/jobq/1/summary/pending?count=2&jobmeta=f']),
    (lambda jobs: jobs.summary('pending', 's', start=4), ['/ids/1/spider/s', '/jobq/1/2/summary/pending?start=4']),
    (lambda jobs: list(jobs.iter_last()), ['/spiders/1/lastjobsummary']),
    (
        lambda jobs: list(jobs.iter_last(1, 2, 3)),
        ['/spiders/1/lastjobsummary?start=1&startafter=2&count=3'],
    ),
    (lambda jobs: list(jobs.iter_last(spider='s')), ['/ids/1/spider/s', '/spiders/1/2/lastjobsummary']),
]


@pytest.mark.parametrize('number', range(len(ASKED)))
def test_what_is_asked(number: int, wire: Wire, jobs: Jobs) -> None:
    ask, targets = ASKED[number]
    ask(jobs)
    assert wire.asked == [f'GET {target}' for target in targets]


ASKED_OF_SPIDER: list[tuple[Callable[[Jobs], Any], list[str]]] = [
    (lambda jobs: jobs.count(), ['/jobq/1/count?spider=s']),
    (lambda jobs: jobs.count('other'), ['/jobq/1/count?spider=s']),
    (lambda jobs: jobs.list(spider='other', count=1), ['/jobq/1/list?spider=s&count=1']),
    (lambda jobs: jobs.summary(), ['/jobq/1/2/summary']),
    (lambda jobs: jobs.summary('pending', 's'), ['/ids/1/spider/s', '/jobq/1/2/summary/pending']),
    (lambda jobs: list(jobs.iter_last()), ['/spiders/1/2/lastjobsummary']),
]


@pytest.mark.parametrize('number', range(len(ASKED_OF_SPIDER)))
def test_what_is_asked_of_one_spider(number: int, wire: Wire, of_spider: Jobs) -> None:
    ask, targets = ASKED_OF_SPIDER[number]
    ask(of_spider)
    assert wire.asked == [f'GET {target}' for target in targets]


def test_answers(jobs: Jobs, of_spider: Jobs) -> None:
    assert jobs.count() == 3
    assert [job['key'] for job in jobs.iter()] == ['1/2/3', '1/2/2']
    assert jobs.summary() == [SUMMARY] * 3
    assert jobs.summary('pending') == SUMMARY
    assert jobs.summary('odd') is None
    assert of_spider.summary('pending') == SUMMARY
    assert [job['key'] for job in jobs.iter_last()] == ['1/2/3', '1/5/1']


def test_arguments_are_checked_at_the_call(wire: Wire, jobs: Jobs) -> None:
    for walk in (jobs.iter, jobs.iter_last):
        with pytest.raises(ValueError, match='count should be'):
            walk(count=-1)
    with pytest.raises(TypeError, match='two spellings'):
        jobs.iter(meta=['a'], jobmeta=['b'])
    assert wire.requests == []


def test_no_jobs_wanted_is_no_request(wire: Wire, jobs: Jobs) -> None:
    assert jobs.list(count=0) == []
    assert wire.requests == []


@pytest.mark.parametrize(
    'ask', [lambda jobs: jobs.summary(spider='none'), lambda jobs: next(jobs.iter_last(spider='none'))]
)
def test_a_spider_that_does_not_exist(ask: Callable[[Jobs], Any], jobs: Jobs) -> None:
    with pytest.raises(NotFound, match=r"^Spider none doesn't exist\.$"):
        ask(jobs)


@pytest.mark.parametrize(
    'ask', [lambda jobs: jobs.summary(spider='other'), lambda jobs: next(jobs.iter_last(spider='other'))]
)
def test_another_spider_than_the_bound_one(ask: Callable[[Jobs], Any], of_spider: Jobs) -> None:
    with pytest.raises(ValueError, match=r'^Please use same spider$'):
        ask(of_spider)


def test_iter_last_sends_its_requests_at_once(wire: Wire, jobs: Jobs) -> None:
    last = jobs.iter_last(spider='s')
    sent = len(wire.requests)
    assert [job['key'] for job in last] == ['1/2/3']
    assert len(wire.requests) == sent
    wire.answers = {}
    with pytest.raises(NotFound):
        jobs.iter_last(spider='s')


# One job of them


def test_get(wire: Wire, jobs: Jobs, of_spider: Jobs) -> None:
    assert jobs.get('1/5/3') == Job(wire.client(), (1, 5, 3))
    assert of_spider.get(('1', '2', '3')).key == '1/2/3'
    with pytest.raises(ValueError, match=r'^Please use same project id$'):
        jobs.get('2/2/3')
    with pytest.raises(ValueError, match=r'^Please use same spider id$'):
        of_spider.get('1/3/3')
    assert wire.requests == []


# Running


def form_of(wire: Wire) -> list[tuple[str, str]]:
    assert wire.asked == ['POST /api/run.json']
    assert wire.requests[0].headers['content-type'] == 'application/x-www-form-urlencoded'
    return sorted(parse_qsl(wire.bodies[0], keep_blank_values=True))


def test_run_with_everything(wire: Wire, jobs: Jobs) -> None:
    job = jobs.run(
        'other',
        2,
        0,
        {'a': 1},
        ['x', 'y'],
        {'arg': 1, 'none': None, 'both': 'args', 'list': [1, None, 'z']},
        {'s': 1},
        '--x',
        {'e': '1'},
        both='explicit',
        extra=5,
    )
    assert job == Job(wire.client(), '1/2/3')
    assert form_of(wire) == sorted([
        ('project', '1'), ('spider', 'other'), ('units', '2'), ('priority', '0'), ('meta', '{"a": 1}'),
        ('add_tag', 'x'), ('add_tag', 'y'), ('job_settings', '{"s": 1}'), ('cmd_args', '--x'),
        ('environment', '{"e": "1"}'), ('arg', '1'), ('both', 'explicit'), ('list', '1'), ('list', 'z'), ('extra', '5'),
    ])  # fmt: skip


def test_run_with_as_little_as_possible(wire: Wire, jobs: Jobs) -> None:
    jobs.run('s', units=None, meta='{"x":1}', add_tag=None, job_args={}, job_settings='', environment={})
    assert form_of(wire) == [
        ('environment', '{}'), ('job_settings', ''), ('meta', '{"x":1}'), ('project', '1'), ('spider', 's')
    ]  # fmt: skip


def test_values_of_spider_arguments(wire: Wire, jobs: Jobs) -> None:
    jobs.run('s', job_args={'day': date(2024, 5, 6), 'on': True, 'deep': {'a': [1]}, 'text': 'ä&='})
    assert dict(form_of(wire)) == {
        'project': '1', 'spider': 's', 'day': '2024-05-06', 'on': 'True', 'deep': '{"a": [1]}', 'text': 'ä&='
    }  # fmt: skip


@pytest.mark.parametrize(('given', 'expected'), [(None, 's'), ('other', 'other')])
def test_a_given_spider_wins_over_the_bound_one(given: str | None, expected: str, wire: Wire, of_spider: Jobs) -> None:
    of_spider.run(given)
    assert ('spider', expected) in form_of(wire)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({}, 'Please provide `spider` name'),
        ({'spider': ''}, 'Please provide `spider` name'),
        ({'spider': 's', 'job_args': 'x'}, 'job_args should be a dictionary'),
        ({'spider': 's', 'environment': ['x']}, 'environment should be a dictionary'),
    ],
)
def test_what_run_refuses(options: Any, message: str, wire: Wire, jobs: Jobs) -> None:
    with pytest.raises(ValueError, match=f'^{message}$'):
        jobs.run(**options)
    assert wire.requests == []


@pytest.mark.parametrize('options', [{'job_args': {'spider': 'x'}}, {'job_args': {'units': 1}}, {'project': 5}])
def test_an_argument_that_would_be_lost_is_refused(options: Any, wire: Wire, jobs: Jobs) -> None:
    with pytest.raises(ValueError, match='cannot be an argument of the spider'):
        jobs.run('s', units=2, **options)
    assert wire.requests == []


def test_a_duplicate_has_a_class_of_its_own(wire: Wire, jobs: Jobs) -> None:
    for status in (200, 400):
        refusal = '{"status": "error", "message": "s already scheduled"}'
        wire.answers['/api/run.json'] = json_reply(refusal, status=status)
        with pytest.raises(DuplicateJobError) as caught:
            jobs.run('s')
        assert str(caught.value).startswith('s already scheduled\n')
        assert not isinstance(caught.value, BadRequest)
        assert (caught.value.method, caught.value.status_code) == ('POST', status)
        assert 'POST run.json' in str(caught.value)
        text = ''.join(traceback.format_exception(caught.value))
        assert text.count('Traceback') == 1
        assert len(text.splitlines()) < 20


@pytest.mark.parametrize('answer', ['', ', "jobid": null', ', "jobid": 5', ', "jobid": []'])
def test_an_answer_without_the_key_is_a_clear_error(answer: str, wire: Wire, jobs: Jobs) -> None:
    wire.answers['/api/run.json'] = json_reply(f'{{"status": "ok"{answer}}}')
    with pytest.raises(DecodeError, match=r"'jobid'.*run\.json|run\.json.*'jobid'"):
        jobs.run('s')


def lost(wire: Wire, path: str) -> None:
    """Let the connection end before the answer to a path."""
    wire.answers[path] = Reply(b'', reset=True)


@pytest.mark.parametrize(
    ('path', 'act', 'words'),
    [
        ('/api/run.json', lambda jobs: jobs.run('s'), 'project.jobs.iter'),
        ('/jobq/1/update', lambda jobs: jobs.get('1/2/3').finish(), 'state'),
        ('/jobq/1/cancel', lambda jobs: jobs.cancel(count=2), ''),
    ],
)
def test_what_may_have_happened_is_told_and_not_repeated(
    path: str, act: Callable[[Jobs], Any], words: str, wire: Wire
) -> None:
    lost(wire, path)
    with pytest.raises(ScrapinghubAPIError) as caught:
        act(wire.client(max_retries=3).get_project(1).jobs)
    assert caught.value.maybe_applied
    assert words in (caught.value.hint or '')
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ('path', 'act'),
    [
        ('/jobq/1/cancel', lambda jobs: jobs.cancel(['1/2/3'])),
        ('/jobq/1/2/3/cancel', lambda jobs: jobs.get('1/2/3').cancel()),
        ('/api/jobs/update.json', lambda jobs: jobs.update_tags(add=['a'], spider='s')),
        ('/api/jobs/update.json', lambda jobs: jobs.get('1/2/3').update_tags(add=['a'])),
    ],
)
def test_what_may_be_repeated_is(path: str, act: Callable[[Jobs], Any], wire: Wire) -> None:
    lost(wire, path)
    client = wire.client(max_retries=2)
    client.transport.clock = ManualClock()
    with pytest.raises(ScrapinghubAPIError) as caught:
        act(client.get_project(1).jobs)
    assert not caught.value.maybe_applied
    assert wire.asked == [f'POST {path}'] * 3


# Cancelling


@pytest.mark.parametrize('dry_run', [True, False, None])
def test_methods_without_dry_runs_refuse_them(dry_run: bool | None, wire: Wire, jobs: Jobs) -> None:
    calls: list[Callable[..., Any]] = [
        lambda **options: jobs.cancel(count=1, **options),
        lambda **options: jobs.cancel(['1/1/1'], **options),
        Job(jobs._client, '1/1/1').delete,
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r"'dry_run'.*select"):
            call(dry_run=dry_run)
    assert wire.requests == []


def test_what_reaches_jobs_of_other_spiders_warns(wire: Wire, of_spider: Jobs) -> None:
    wire.answers['POST /jobq/1/cancel'] = json_reply('{"count": 1}')
    with pytest.warns(UserWarning, match='any spider'):
        of_spider.cancel(count=1)
    wire.answers['POST /api/jobs/update.json'] = json_reply('{"status": "ok", "count": 1}')
    with pytest.warns(UserWarning, match="'other'"):
        of_spider.update_tags(['x'], spider='other')


def test_cancel_by_keys(wire: Wire, jobs: Jobs) -> None:
    assert jobs.cancel(['1/2/3', (1, 2, 4)]) == {'count': 1}
    assert wire.asked == ['POST /jobq/1/cancel']
    assert json.loads(wire.bodies[0]) == [{'key': '1/2/3'}, {'key': '1/2/4'}]


def test_cancel_by_number_gives_the_documented_dict(wire: Wire, jobs: Jobs) -> None:
    assert jobs.cancel(count=3) == {'count': 1}
    assert (wire.asked, wire.bodies) == (['POST /jobq/1/cancel?count=3'], [''])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({}, 'keys or count should be defined'),
        ({'keys': [], 'count': 0}, 'keys or count should be defined'),
        ({'keys': ['1/2/3'], 'count': 1}, "keys and count can't be defined simultaneously"),
        ({'keys': ('1/2/3',)}, 'keys should be a list'),
        ({'keys': '1/2/3'}, 'keys should be a list'),
        ({'keys': ['1/2/3', '2/2/3']}, 'all keys should belong to project: 1'),
        ({'keys': ['a']}, "Job key should consist of project_id/spider_id/job_id, got 'a'"),
        ({'count': 'x'}, 'count should be an int'),
        ({'count': 1.5}, 'count should be an int'),
    ],
)
def test_what_cancel_refuses(options: Any, message: str, wire: Wire, jobs: Jobs) -> None:
    with pytest.raises(ValueError, match=f'^{re.escape(message)}$'):
        jobs.cancel(**options)
    assert wire.requests == []


@pytest.mark.parametrize('answer', ['{}', 'null', '[]', '{"count": "1"}', '{"count": true}'])
def test_a_malformed_answer_to_cancel_is_a_clear_error(answer: str, wire: Wire, jobs: Jobs) -> None:
    wire.answers['/jobq/1/cancel'] = json_reply(answer)
    with pytest.raises(DecodeError, match='jobq/1/cancel'):
        jobs.cancel(['1/2/3'])


@pytest.mark.parametrize('answer', ['null', '"3"', '{}', 'true', ''])
def test_a_malformed_count_is_a_clear_error(answer: str, wire: Wire, jobs: Jobs) -> None:
    wire.answers['/jobq/1/count'] = json_reply(answer)
    with pytest.raises(DecodeError, match='jobq/1/count'):
        jobs.count()


# Tags


def test_tags_of_all_jobs_of_a_spider(wire: Wire, jobs: Jobs, of_spider: Jobs) -> None:
    assert jobs.update_tags(['a', 'b'], ['c'], 's') == 2
    assert of_spider.update_tags(remove=['c']) == 2
    assert wire.asked == ['POST /api/jobs/update.json'] * 2
    assert [sorted(parse_qsl(body)) for body in wire.bodies] == [
        [('add_tag', 'a'), ('add_tag', 'b'), ('project', '1'), ('remove_tag', 'c'), ('spider', 's')],
        [('project', '1'), ('remove_tag', 'c'), ('spider', 's')],
    ]


def test_tags_need_a_spider_and_lists(wire: Wire, jobs: Jobs, of_spider: Jobs) -> None:
    with pytest.raises(ValueError, match=r'^Please provide spider$'):
        jobs.update_tags(add=['a'])
    tags: Any = 'a'
    for call in (of_spider.update_tags, jobs.get('1/2/3').update_tags):
        with pytest.raises(ValueError, match=r'^Add/remove field value must be a list$'):
            call(add=tags)
    assert of_spider.update_tags(add=[], remove=None) is None
    assert wire.requests == []


def test_tags_of_a_job_are_sent_even_when_there_are_none(wire: Wire, jobs: Jobs) -> None:
    job = jobs.get('1/2/3')
    job.update_tags()
    job.update_tags(remove=['x'])
    assert [sorted(parse_qsl(body)) for body in wire.bodies] == [
        [('job', '1/2/3'), ('project', '1')], [('job', '1/2/3'), ('project', '1'), ('remove_tag', 'x')]
    ]  # fmt: skip


# The life of a job


@pytest.mark.parametrize(
    ('act', 'state'),
    [
        (lambda job: job.start(x=1), 'running'),
        (lambda job: job.finish(x=1), 'finished'),
        (lambda job: job.delete(x=1), 'deleted'),
        (lambda job: job.update('pending', x=1), 'pending'),
    ],
)
def test_states(act: Callable[[Job], Any], state: str, wire: Wire, jobs: Jobs) -> None:
    assert act(jobs.get('1/2/3')) == 'pending'
    assert wire.asked == ['POST /jobq/1/update']
    assert json.loads(wire.bodies[0]) == {'state': state, 'x': 1, 'key': '1/2/3'}


def test_a_job_that_does_not_exist_cannot_be_updated(wire: Wire, jobs: Jobs) -> None:
    wire.answers['/jobq/1/update'] = NOTHING
    with pytest.raises(NotFound, match=r"^Job 1/2/3 doesn't exist$"):
        jobs.get('1/2/3').finish()


def test_a_malformed_answer_to_update_is_a_clear_error(wire: Wire, jobs: Jobs) -> None:
    wire.answers['/jobq/1/update'] = lines_reply({'key': '1/2/3'})
    with pytest.raises(DecodeError, match=r"POST jobq/1/update: .*'prevstate'"):
        jobs.get('1/2/3').finish()


def test_cancelling_one_job(wire: Wire, jobs: Jobs) -> None:
    jobs.get('1/2/3').cancel()
    assert (wire.asked, wire.bodies) == (['POST /jobq/1/2/3/cancel'], [''])


# Against a service


def test_one_job_followed_through(project: Project) -> None:
    job = project.jobs.run('spider', add_tag=['a'], meta={'mine': 1})
    assert project.jobs.count(state='pending') == 1
    assert (job.start(), job.finish(close_reason='finished')) == ('pending', 'running')
    job.update_tags(add=['b'], remove=['a'])
    spider = project.spiders.get('spider')
    [summary] = spider.jobs.list(meta=['mine', 'close_reason'])
    assert (summary['key'], summary['close_reason'], summary['tags']) == (job.key, 'finished', ['b'])
    assert [one['key'] for one in project.jobs.iter_last()] == [job.key]
    assert job.delete() == 'finished'
    assert spider.jobs.list() == []
    assert job.metadata['state'] == 'deleted'


def finished(project: Project, number: int) -> list[str]:
    """Make finished jobs; the newest first."""
    return [project.jobs.run('spider', n=n, meta={'state': 'finished'}).key for n in range(number)][::-1]


def test_a_page_that_breaks_off_is_read_on(project: Project, cloud: Sandbox) -> None:
    keys = finished(project, 25)
    cloud.faults.add(path='/jobq/1/list', cut=0.5)
    client = ScrapinghubClient(cloud.apikey, cloud.dash_url, endpoint=cloud.url)
    client.transport.clock = ManualClock()
    assert [job['key'] for job in client.get_project(1).jobs.iter()] == keys
    assert len(cloud.faults.met) == 1


def test_a_walk_that_cannot_go_on_raises_and_goes_on_later(project: Project, cloud: Sandbox) -> None:
    keys = finished(project, 25)
    rule = cloud.faults.add(path='/jobq/1/list', cut=0.5, times=None)
    client = ScrapinghubClient(cloud.apikey, cloud.dash_url, endpoint=cloud.url, max_retries=0)
    walk = client.get_project(1).jobs.iter_all()
    got: list[str] = []
    with pytest.raises(StreamInterrupted):
        got.extend(job['key'] for job in walk)
    cloud.faults.remove(rule)
    got.extend(job['key'] for job in walk)
    assert got == keys


def test_more_jobs_than_a_page_holds(cloud: Sandbox, project: Project) -> None:
    pushed = [{'spider': 'spider', 'state': 'finished'}] * 2300
    project.spiders.get('spider', create=True)
    wire_client = ScrapinghubClient(cloud.apikey, cloud.dash_url, endpoint=cloud.url)
    wire_client.transport.post(('jobq', '1', 'push'), lines=pushed)
    jobs = project.jobs
    assert len(jobs.list()) == 1000
    assert len({job['key'] for job in jobs.iter(count=1500)}) == 1500
    assert [job['key'] for job in jobs.iter(start=2295)] == [job['key'] for job in jobs.iter_all()][2295:]
    walked = [job['key'] for job in jobs.iter_all()]
    assert len(walked) == len(set(walked)) == 2300


def test_closing_the_writers_of_a_job_stores_what_was_written(project: Project) -> None:
    job = project.jobs.run('spider', meta={'state': 'running'})
    job.items.write({'a': 1})
    job.logs.info('hello')
    job.samples.write([1, 2])
    job.requests.write({'time': 1, 'url': 'http://a', 'method': 'GET', 'status': 200, 'rs': 1, 'duration': 1})
    assert job.close_writers() is None  # type: ignore[func-returns-value]  # that is what the contract says
    again = project.jobs.get(job.key)
    counts = [len(records.list()) for records in (again.items, again.logs, again.samples, again.requests)]
    assert counts == [1, 1, 1, 1]
    assert again.items.write({'a': 2}) == 1
