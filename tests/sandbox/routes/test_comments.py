"""Comments on items and on their fields."""

from __future__ import annotations

from typing import Any

import pytest

from support.caller import Caller, Clock


@pytest.fixture(scope='module')
def projects() -> None:
    """Accept every project."""


def add(caller: Caller, target: str, text: str) -> Any:
    return caller.expect('POST', f'/api/comments/{target}', data={'text': text}).json()


def test_comments_are_listed_by_item_and_field(caller: Caller) -> None:
    key = caller.push()
    first = add(caller, f'{key}/11', 'whole item')
    second = add(caller, f'{key}/2/title', 'é')
    third = add(caller, f'{key}/2/title', 'again')
    deep = add(caller, f'{key}/2/a%2Fb', 'field with a slash')
    assert caller.value(f'/api/comments/{key}') == {'2/a/b': [deep], '2/title': [second, third], '11': [first]}
    assert first == {
        'id': first['id'], 'created': '2017-07-14T02:40:00', 'archived': None, 'author': 'admin', 'text': 'whole item',
        'avatar': first['avatar'], 'editable': True,
    }  # fmt: skip
    assert caller.value(f'/api/comments/{key}/2/title') == [second, third]
    assert caller.value(f'/api/comments/{key}/2') == []
    assert caller.value('/api/comments/1/1/99') == {}


def test_a_comment_is_edited_and_archived(caller: Caller, clock: Clock) -> None:
    key = caller.push()
    comment, other = add(caller, f'{key}/0', 'one'), add(caller, f'{key}/0/title', 'two')
    clock.now += 1000
    edited = caller.expect('PUT', f'/api/comments/{comment["id"]}', data={'text': 'three'}).json()
    assert edited == {**comment, 'text': 'three'}
    archived = caller.expect('DELETE', f'/api/comments/{comment["id"]}').json()
    assert archived == {**edited, 'archived': '2017-07-14T02:40:01'}
    clock.now += 1000
    assert caller.expect('DELETE', f'/api/comments/{comment["id"]}').json() == archived
    assert caller.value(f'/api/comments/{key}') == {'0': [archived], '0/title': [other]}
    (last,) = caller.expect('DELETE', f'/api/comments/{key}/0/title').json()
    assert last['archived'] == '2017-07-14T02:40:02'


def test_items_with_comments_are_counted_by_job(caller: Caller) -> None:
    assert caller.value('/api/comments/1/stats') == {}
    first, second = caller.push(), caller.push()
    for target in (f'{first}/0', f'{first}/0/title', f'{first}/1', f'{second}/5'):
        add(caller, target, 'text')
    caller.push(project=2)
    add(caller, '2/1/1/0', 'text')
    assert caller.value('/api/comments/1/stats') == {first: 2, second: 1}
    caller.expect('DELETE', f'/api/comments/{second}/5')
    caller.expect('DELETE', f'/api/comments/{first}/0')
    assert caller.value('/api/comments/1/stats') == {first: 2}
    caller.expect('DELETE', f'/api/comments/{first}/0/title')
    assert caller.value('/api/comments/1/stats') == {first: 1}


@pytest.mark.parametrize(
    ('method', 'path', 'form', 'status'),
    [
        ('POST', '1/1/1/0', {}, 400),
        ('POST', '1/1/1/0', {'text': ''}, 400),
        ('POST', '1/1/99/0', {'text': 'x'}, 404),
        ('POST', '1/1/1/x', {'text': 'x'}, 501),
        ('PUT', '99', {'text': 'x'}, 404),
        ('PUT', '1', {}, 400),
        ('DELETE', '99', {}, 404),
        ('POST', '1', {'text': 'x'}, 405),
    ],
)
def test_a_comment_must_make_sense(caller: Caller, method: str, path: str, form: dict[str, str], status: int) -> None:
    caller.push()
    assert caller.expect(method, f'/api/comments/{path}', status, data=form).json()['status'] == 'error'
