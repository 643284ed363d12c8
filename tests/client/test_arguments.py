"""What a caller passes: unknown parameters, empty selections, names, times, levels, filters and job keys."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import pytest

from scrapinghub.client.projects import Project
from support.scripted_server import Wire, json_reply, lines_reply

JOB = '1/2/3'


@pytest.fixture
def wire() -> Iterator[Wire]:
    families = ('items', 'logs', 'requests', 'samples')
    answers = {f'/{family}/{JOB}': lines_reply() for family in families}
    answers |= {'/jobq/1/list': lines_reply(), '/jobq/1/count': json_reply('0'), '/activity/1': lines_reply()}
    answers |= {'/collections/1/s/store': lines_reply(), '/ids/1/spider/s': json_reply('2')}
    answers |= {'/api/run.json': json_reply('{"status": "ok", "jobid": "1/2/3"}')}
    with Wire(answers) as wire:
        yield wire


@pytest.fixture
def project(wire: Wire) -> Any:
    return wire.client().get_project(1)


# Unknown parameters


GUESSED: list[tuple[Callable[[Any], object], str]] = [
    (lambda project: project.jobs.list(tags='a'), "'tags', did you mean 'has_tag'"),
    (lambda project: project.jobs.list(limit=1), "'limit', did you mean 'count'"),
    (lambda project: project.jobs.count(status='running'), "'status', did you mean 'state'"),
    (lambda project: project.jobs.get(JOB).items.list(limit=1), "'limit', did you mean 'count'"),
    (lambda project: project.jobs.get(JOB).logs.list(log_level='INFO'), "'log_level', did you mean 'level'"),
    (lambda project: project.jobs.get(JOB).samples.list(since=1), "'since', did you mean 'startts'"),
    (lambda project: project.activity.list(limit=1), "'limit', did you mean 'count'"),
    (lambda project: project.collections.get_store('store').list(prefixes='a'), "'prefixes', did you mean 'prefix'"),
    (lambda project: project.spiders.get('s', created=True), "'created', did you mean 'create'"),
]


REFUSED: list[tuple[Callable[[Any], object], str]] = [
    (lambda project: project.jobs.select(tag='a'), "'tag', did you mean 'has_tag'"),
    (lambda project: project.jobs.iter_all(tags='a'), "'tags', did you mean 'has_tag'"),
    (lambda project: project.jobs.as_completed([], time_out=1), "'time_out', did you mean 'timeout'"),
    (lambda project: project.jobs.select().delete(dryrun=True), "'dryrun', did you mean 'dry_run'"),
    (lambda project: project.jobs.select().cancel(dry=True), "'dry', did you mean 'dry_run'"),
    (lambda project: project.jobs.select().update_tags(tags=['a']), "'tags', did you mean 'add'"),
    (lambda project: project.jobs.select().items.list(jobkey='_job'), "'jobkey', did you mean 'job_key'"),
    (lambda project: project.jobs.select().items.to_pandas(jobkey='_job'), "'jobkey', did you mean 'job_key'"),
    (lambda project: project.jobs.get(JOB).wait(time_out=1), "'time_out', did you mean 'timeout'"),
    (lambda project: project.jobs.get(JOB).items.download('a.jl', workers=2), "'workers', did you mean 'max_workers'"),
    (lambda project: project.jobs.get(JOB).items.download('a.jl', limit=2), "'limit', did you mean 'count'"),
    (lambda project: project.jobs.get(JOB).items.to_arrow(schem=None), "'schem', did you mean 'schema'"),
    (lambda project: project.jobs.get(JOB).items.iter_arrow(chunk_size=1), "'chunk_size', did you mean 'batch_size'"),
    (lambda project: project.jobs.get(JOB).items.partitions(2, shema=None), "'shema', did you mean 'schema'"),
    (lambda project: project.jobs.get(JOB).items.follow(tial=3), "'tial', did you mean 'tail'"),
    (lambda project: project.jobs.get(JOB).logs.tail(3, log_level='INFO'), "'log_level', did you mean 'level'"),
    (lambda project: project.jobs.get(JOB).items.writer(apend=True), "'apend', did you mean 'append'"),
    (lambda project: project.jobs.get(JOB).comments.add(0, 'a', feild='b'), "'feild', did you mean 'field'"),
    (lambda project: project.collections.get_store('a').delete_where(prefx='a'), "'prefx', did you mean 'prefix'"),
    (lambda project: project.periodic_jobs.create('a', cron='* * * * *', tags=['b']), "'tags', did you mean 'add_tag'"),
]


@pytest.mark.parametrize(('act', 'words'), REFUSED)
def test_a_natural_guess_at_a_new_method_is_refused_before_anything_is_sent(
    act: Callable[[Any], object], words: str, project: Any, wire: Wire
) -> None:
    with pytest.raises(TypeError, match=f'unknown parameter {words}') as caught:
        act(project)
    assert caught.type is TypeError
    assert wire.asked == []


@pytest.mark.parametrize(('act', 'words'), GUESSED)
def test_a_natural_guess_is_passed_on_with_a_warning(
    act: Callable[[Any], object], words: str, project: Any, wire: Wire
) -> None:
    with pytest.warns(UserWarning, match=f'unknown parameter {words}') as caught:
        act(project)
    assert [warning.filename for warning in caught] == [__file__]
    guess = words.split("'")[1]
    assert f'{guess}=' in wire.asked[-1]


def test_a_call_site_is_warned_about_once(project: Project) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('default')
        for _ in range(3):
            project.jobs.list(limit=1)
        project.jobs.list(limit=1)
    assert len(caught) == 2


def test_a_guess_whose_value_is_none_is_ignored(project: Project, wire: Wire) -> None:
    project.jobs.list(filters=None)
    project.jobs.get(JOB).items.list(limit=None)
    assert wire.asked == ['GET /jobq/1/list', f'GET /items/{JOB}?meta=_key']


def test_a_new_method_refuses_a_guess_before_anything_is_sent(project: Any, wire: Wire) -> None:
    for guess, meant in (('tags', 'has_tag'), ('limit', 'lacks_tag|meta|state'), ('older_than', 'endts')):
        with pytest.raises(TypeError, match=f"unknown parameter '{guess}'") as caught:
            project.jobs.iter_all(**{guess: None})
        assert guess == 'limit' or f"'{meant}'" in str(caught.value)
    assert wire.asked == []


NEAR_MISSES = {
    'add_tags': 'add_tag', 'tag': 'add_tag', 'unit': 'units', 'setting': 'job_settings', 'env': 'environment',
    'spider_args': 'job_args',
}  # fmt: skip


@pytest.mark.parametrize(('name', 'meant'), NEAR_MISSES.items())
def test_a_near_miss_of_an_argument_of_run_is_an_argument_of_the_spider(
    name: str, meant: str, project: Any, wire: Wire
) -> None:
    with pytest.warns(UserWarning, match=f"'{name}' becomes an argument of the spider: did you mean '{meant}'"):
        project.jobs.run('s', **{name: 'x'})
    assert wire.bodies == [f'project=1&spider=s&{name}=x']


# Empty selections


def test_an_empty_filter_of_a_read_is_no_filter(project: Project, wire: Wire) -> None:
    project.jobs.list(has_tag=[], lacks_tag=(), state=[], key=[])
    project.jobs.get(JOB).items.list(filter=[], index=[])
    store = project.collections.get_store('store')
    store.list(key=[], prefix=[])
    assert wire.asked == [
        'GET /jobq/1/list', f'GET /items/{JOB}?meta=_key', 'GET /collections/1/s/store?meta=_key',
    ]  # fmt: skip


def test_an_empty_list_of_things_to_delete_deletes_nothing(project: Project, wire: Wire) -> None:
    project.collections.get_store('store').delete([])
    project.frontiers.get('f').get('s').q.delete([])
    assert wire.asked == []


@pytest.mark.parametrize('arguments', [{'keys': []}, {'keys': [], 'count': 5}, {}])
def test_an_empty_list_of_jobs_to_cancel_is_refused(arguments: Any, project: Any, wire: Wire) -> None:
    with pytest.raises(ValueError, match='keys or count should be defined'):
        project.jobs.cancel(**arguments)
    assert wire.asked == []


@pytest.mark.parametrize('name', ['key', 'state', 'has_tag', 'lacks_tag'])
def test_an_empty_selection_of_all_jobs_is_refused(name: str, project: Any, wire: Wire) -> None:
    with pytest.raises(ValueError, match=f'{name} should not be empty'):
        project.jobs.iter_all(**{name: []})
    assert wire.asked == []


# Names


NAMED_NONE: list[Callable[[Any], object]] = [
    lambda project: project.collections.get_store(None),
    lambda project: project.collections.get('s', None),
    lambda project: project.spiders.get(None),
    lambda project: project.frontiers.get(None),
    lambda project: project.frontiers.get('f').get(None),
    lambda project: project.jobs.get(JOB).items.get(None),
    lambda project: project.jobs.get(JOB).metadata.get(None),
    lambda project: project.settings.set(None, 1),
]


@pytest.mark.parametrize('act', NAMED_NONE)
def test_a_name_that_is_none_is_refused_at_the_call(act: Callable[[Any], object], project: Any, wire: Wire) -> None:
    with pytest.raises(TypeError, match='None'):
        act(project)
    assert wire.asked == []


def test_other_names_become_text(project: Any) -> None:
    assert project.frontiers.get(True).key == 'True'
    assert project.frontiers.get('f').get(3).address == ('1', 'f', '3')
    assert project.frontiers.get(b'f').get(b's').address == ('1', 'f', 's')
    assert project.collections.get_store(3).key == '1/s/3'
    assert project.collections.get_store(b'store').key == '1/s/store'


def test_negative_ids_are_accepted(wire: Wire) -> None:
    client = wire.client()
    assert client.get_project(-1).key == '-1'
    assert client.get_job('-1/2/3').project_id == '-1'


def test_a_spider_is_created_with_the_words_of_the_service(project: Any, wire: Wire) -> None:
    project.spiders.get('s', create=True)
    project.spiders.get('s', create=1)
    project.spiders.get('s', create=False)
    assert wire.asked == [f'GET /ids/1/spider/s{query}' for query in ('?create=True', '?create=1', '')]


# Times, levels and filters


def test_times_of_a_read(project: Project, wire: Wire) -> None:
    moment = datetime(2024, 5, 6, tzinfo=timezone.utc)
    project.jobs.get(JOB).items.list(startts=moment.timestamp() * 1000, endts=moment)
    assert wire.asked == [f'GET /items/{JOB}?startts=1714953600000&endts=1714953600000&meta=_key']


def test_a_time_in_seconds_is_refused_where_it_would_select_everything(project: Project, wire: Wire) -> None:
    for moment in (1714953600, datetime(2024, 5, 6)):
        with pytest.raises(ValueError, match='startts should'):
            project.jobs.iter_all(startts=moment)
    assert wire.asked == []


@pytest.mark.parametrize('level', ['error', 'ERROR', 40])
@pytest.mark.parametrize('other', [('message', 'contains', 'x'), '["message", "contains", ["x"]]', None])
def test_a_level_goes_with_every_form_of_a_filter(level: Any, other: Any, project: Project, wire: Wire) -> None:
    project.jobs.get(JOB).logs.list(level=level, filter=other)
    expected = ['["message", "contains", ["x"]]'] * (other is not None) + ['["level", ">=", [40]]']
    assert wire.requests[0].all('filter') == expected


def test_a_format_other_than_records_points_to_downloads(project: Any, wire: Wire) -> None:
    for records in (project.jobs.get(JOB).items, project.jobs.get(JOB).logs, project.collections.get_store('store')):
        with pytest.raises(ValueError, match='download'):
            records.iter(format='csv')
    assert wire.asked == []


# Job keys


FORMS: list[Callable[[Any], Any]] = [
    lambda client: JOB,
    lambda client: (1, '2', 3),
    lambda client: client.get_job(JOB),
    lambda client: client.get_job(JOB).items,
    lambda client: f'https://app.zyte.com/p/{JOB}',
    lambda client: f' https://app.zyte.com/p/{JOB}/items?page=2#item-7 ',
    lambda client: f'https://app.zyte.com/p/{JOB}#log',
]


@pytest.mark.parametrize('form', FORMS)
def test_a_job_key_in_each_of_its_forms(form: Callable[[Any], Any], wire: Wire) -> None:
    client = wire.client()
    project = client.get_project(1)
    key = form(client)
    assert client.get_job(key).key == project.jobs.get(key).key == JOB
    wire.answers['/jobq/1/cancel'] = json_reply('{"count": 1}')
    project.jobs.cancel([key])
    assert wire.bodies == ['[{"key": "1/2/3"}]']
    if not isinstance(key, tuple):
        project.jobs.list(key=key)
        assert wire.requests[-1].all('key') == [JOB]


@pytest.mark.parametrize(
    'url',
    ['https://app.zyte.com/p/1/2', 'https://app.zyte.com/p/1/2/x', 'https://app.zyte.com/p/1/2/34x', 'app/p/1/2/3'],
)
def test_a_url_of_something_else_is_refused(url: str, wire: Wire) -> None:
    with pytest.raises(ValueError, match='Job key'):
        wire.client().get_job(url)


# Records and spiders


WRONG_RECORDS: dict[str, list[Any]] = {
    'items': ['text', b'text', 5, None, [1], [('a', 1)]],
    'logs': ['text', [1]],
    'requests': ['http://example.com', None],
    'samples': ['text', {'a': 1}, 5],
}


@pytest.mark.parametrize('family', WRONG_RECORDS)
def test_a_record_of_the_wrong_type_is_refused_at_the_call(family: str, wire: Wire) -> None:
    records = getattr(wire.client().get_job(JOB), family)
    for record in WRONG_RECORDS[family]:
        with pytest.raises(TypeError, match=f'a record of {family} should be a (dict|list), got '):
            records.write(record)
        with pytest.raises(TypeError, match=f'a record of {family} should be a (dict|list), got '):
            records.writer().write(record)
    assert wire.asked == []


def test_the_text_of_a_wrong_record_is_shortened(wire: Wire) -> None:
    items: Any = wire.client().get_job(JOB).items
    with pytest.raises(TypeError) as caught:
        items.write('x' * 5000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize('value', [7, '7', f'{JOB}/7'])
@pytest.mark.parametrize('name', ['start', 'startafter', 'start_after'])
def test_the_number_of_a_record_is_its_key(name: str, value: Any, project: Any, wire: Wire) -> None:
    project.jobs.get(JOB).items.list(**{name: value})
    assert wire.requests[0].query[0] == (name.replace('_', ''), f'{JOB}/7')


def test_a_spider_is_given_as_its_object(project: Any, wire: Wire) -> None:
    spider = project.spiders.get('s')
    wire.answers |= {'/jobq/1/2/summary': lines_reply(), '/spiders/1/2/lastjobsummary': lines_reply()}
    wire.answers['/api/jobs/update.json'] = json_reply('{"status": "ok", "count": 0}')
    project.jobs.list(spider=spider)
    project.jobs.count(spider)
    project.jobs.iter_all(spider=spider)
    project.jobs.summary(spider=spider)
    project.jobs.iter_last(spider=spider)
    assert [target for target in wire.asked[1:] if 'ids' not in target] == [
        'GET /jobq/1/list?spider=s', 'GET /jobq/1/count?spider=s', 'GET /jobq/1/list?spider=s&count=1000',
        'GET /jobq/1/2/summary', 'GET /spiders/1/2/lastjobsummary',
    ]  # fmt: skip
    assert project.jobs.run(spider).key == JOB
    project.jobs.update_tags(add=['a'], spider=spider)
    assert all('spider=s' in body for body in wire.bodies[-2:])


def test_a_list_of_keys_is_not_the_key_of_a_record(project: Any, wire: Wire) -> None:
    with pytest.raises(TypeError, match=r'use iter\(key='):
        project.collections.get_store('store').get(['a', 'b'])
    assert wire.asked == []
