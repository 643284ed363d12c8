"""Job metadata and project settings: what is asked, and how they read like mappings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from scrapinghub import NotFound, ScrapinghubClient
from scrapinghub.client.jobs import JobMeta
from scrapinghub.client.projects import Project, Settings
from support.scripted_server import Wire, json_reply, lines_reply, reply

FIELDS = {'state': 'running', 'tags': ['a'], 'nothing': None, 'auth': 'x', '_key': '1/2/3'}
PATH = '/jobs/1/2/3'
DONE = reply(b'', content_type='text/html; charset=utf-8')
ANSWERS = {
    f'GET {PATH}': lines_reply(FIELDS),
    f'POST {PATH}': DONE,
    f'{PATH}/state': json_reply('"running"'),
    f'{PATH}/nothing': json_reply('null'),
    f'{PATH}/a%2Fb': json_reply('1'),
    '/jobs/9/9/9': reply(b'', content_type='application/x-jsonlines'),
    '/jobs/9/9/9/state': json_reply('null'),
    'GET /projects/1/settings': json_reply('{"a": 1, "b": [2]}'),
    'POST /projects/1/settings': DONE,
    '/projects/1/settings/a': json_reply('1'),
}


def metadata(wire: Wire, key: str = '1/2/3') -> JobMeta:
    return wire.client().get_job(key).metadata


def test_one_field_is_asked_for_by_its_name() -> None:
    with Wire(ANSWERS) as wire:
        meta = metadata(wire)
        assert (meta.get('state'), meta.get('nothing'), meta.get('nothing', 5)) == ('running', None, 5)
        assert meta.get('a/b') == 1
        assert wire.asked == [f'GET {PATH}/state', f'GET {PATH}/nothing', f'GET {PATH}/nothing', f'GET {PATH}/a%2Fb']


READINGS: list[tuple[Callable[[JobMeta], Any], Any]] = [
    (lambda meta: meta['state'], 'running'),
    (lambda meta: meta['nothing'], None),
    (lambda meta: 'nothing' in meta, True),
    (lambda meta: 'absent' in meta, False),
    (len, 5),
    (lambda meta: dict(meta.iter()), FIELDS),
    (lambda meta: list(meta.keys()), list(FIELDS)),
    (lambda meta: list(meta.values()), list(FIELDS.values())),
    (lambda meta: dict(meta.items()), FIELDS),
    (lambda meta: [name for name in meta], list(FIELDS)),  # noqa: C416 - plain iteration, as in a for statement
]


@pytest.mark.parametrize('number', range(len(READINGS)))
def test_each_reading_is_one_request_of_all_fields(number: int) -> None:
    read, expected = READINGS[number]
    with Wire(ANSWERS) as wire:
        assert read(metadata(wire)) == expected
        assert wire.asked == [f'GET {PATH}']


def test_an_absent_field_is_a_key_error_of_one_request() -> None:
    with Wire(ANSWERS) as wire:
        with pytest.raises(KeyError, match='absent'):
            metadata(wire)['absent']
        assert wire.asked == [f'GET {PATH}']


def test_truth_is_always_true_and_costs_nothing() -> None:
    with Wire(ANSWERS) as wire:
        assert metadata(wire, '9/9/9')
        assert wire.client().get_project(1).settings
        assert wire.requests == []


def test_a_dict_of_all_fields_reads_each_of_them_again() -> None:
    with Wire(ANSWERS) as wire:
        meta = metadata(wire)
        assert dict(meta) == {**meta} == FIELDS
        assert wire.asked == [f'GET {PATH}'] * 2 * (1 + len(FIELDS))
        assert list(meta) == sorted(meta, key=list(FIELDS).index) == list(FIELDS)


def test_nothing_is_cached() -> None:
    with Wire(ANSWERS) as wire:
        meta = metadata(wire)
        names = list(meta.keys())
        wire.answers[f'GET {PATH}'] = lines_reply({**FIELDS, 'state': 'finished'})
        assert meta[names[0]] == 'finished'


@pytest.mark.parametrize('read', [iter, lambda meta: meta.iter()], ids=['iter()', '.iter()'])
def test_an_iteration_sends_its_request_at_once(read: Callable[[Any], Any]) -> None:
    with Wire({}) as wire, pytest.raises(NotFound):
        read(metadata(wire))


def test_pairs() -> None:
    with Wire(ANSWERS) as wire:
        meta = metadata(wire)
        assert meta.list() == list(meta.iter()) == list(FIELDS.items())
        assert wire.asked == [f'GET {PATH}'] * 2


@pytest.mark.parametrize(
    ('value', 'stored'),
    [
        (date(2020, 1, 2), '"2020-01-02"'),
        (datetime(2020, 1, 2, tzinfo=timezone.utc), '1577923200000.0'),
        (Decimal('1.5'), '"1.5"'),
    ],
)
def test_what_json_does_not_know_is_stored_alike_alone_and_with_others(value: Any, stored: str) -> None:
    with Wire({**ANSWERS, 'POST /jobs/1/2/3/x': lines_reply()}) as wire:
        metadata(wire).set('x', value)
        metadata(wire).update({'x': value})
        assert wire.bodies[0] == stored
        assert wire.bodies[-1].endswith(f'"x": {stored}}}')


def test_metadata_is_updated_as_a_whole_but_for_what_the_service_keeps() -> None:
    with Wire(ANSWERS) as wire:
        metadata(wire).update({'x': 1, 'state': 'finished', 'tags': []})
        assert wire.asked == [f'GET {PATH}', f'POST {PATH}']
        assert wire.bodies[1] == '{"tags": [], "nothing": null, "x": 1}'


def test_metadata_is_set_field_by_field() -> None:
    with Wire({f'POST {PATH}/a%2Fb': DONE, f'DELETE {PATH}/x': DONE}) as wire:
        meta = metadata(wire)
        meta.set('a/b', {'c': None})
        meta.delete('x')
        assert wire.asked == [f'POST {PATH}/a%2Fb', f'DELETE {PATH}/x']
        assert wire.bodies == ['{"c": null}', '']


def test_settings_are_set_by_reading_and_writing_all() -> None:
    with Wire(ANSWERS) as wire:
        settings = wire.client().get_project(1).settings
        settings.set('b', 3)
        settings.update({'c': 4})
        assert settings.get('a') == 1
        path = '/projects/1/settings'
        assert wire.asked == [f'GET {path}', f'POST {path}', f'GET {path}', f'POST {path}', f'GET {path}/a']
        assert (wire.bodies[1], wire.bodies[3]) == ('{"a": 1, "b": 3}', '{"a": 1, "b": [2], "c": 4}')


@pytest.mark.parametrize('values', [[], [('a', 1)], 'a', None, 5])
def test_an_update_that_is_no_dict_is_refused_before_anything_is_sent(values: Any) -> None:
    with Wire(ANSWERS) as wire:
        for fields in (metadata(wire), wire.client().get_project(1).settings):
            with pytest.raises(TypeError, match=r'^values should be a dict$'):
                fields.update(values)
        assert wire.requests == []


def test_a_job_that_does_not_exist_has_no_metadata() -> None:
    with Wire(ANSWERS) as wire:
        meta = metadata(wire, '9/9/9')
        assert (meta.list(), list(meta.iter()), list(meta), len(meta), dict(meta)) == ([], [], [], 0, {})
        assert meta.get('state') is None
        with pytest.raises(KeyError):
            meta['state']
        with pytest.raises(NotFound, match=r"^Job 9/9/9 doesn't exist$"):
            meta.update({'x': 1})
        assert not [target for target in wire.asked if target.startswith('POST')]


@pytest.mark.parametrize('name', ['', '.', '..'])
def test_a_name_that_would_reach_something_else_is_refused(name: str) -> None:
    with Wire({}) as wire:
        meta = metadata(wire)
        for act in (meta.get, meta.delete, lambda name: meta.set(name, 1)):
            with pytest.raises(ValueError, match='cannot be part of a path'):
                act(name)
        assert wire.requests == []


def test_built_as_the_contract_says(client: ScrapinghubClient) -> None:
    assert JobMeta(None, client, '1/2/3').key == '1/2/3'
    assert Settings(Settings, client, 1).key == '1'


def test_a_service_remembers(project: Project) -> None:
    project.settings.set('job_runtime_limit', 20)
    project.settings.update({'default_job_units': 1})
    assert dict(project.settings) == {'job_runtime_limit': 20, 'default_job_units': 1}
    project.settings.delete('job_runtime_limit')
    assert project.settings.list() == [('default_job_units', 1)]
    meta = project.jobs.run('spider').metadata
    meta.set('a/b?c#d', {'ä': [1.5, None]})
    meta.update({'tags': ['x']})
    assert (meta['a/b?c#d'], meta.get('a/b?c#d'), meta['tags']) == ({'ä': [1.5, None]}, {'ä': [1.5, None]}, ['x'])
    meta.delete('a/b?c#d')
    assert 'a/b?c#d' not in meta
    assert meta['state'] == 'pending'
