from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub.client.utils import (
    JobKey,
    LogLevel,
    get_tags_for_update,
    parse_auth,
    parse_job_key,
    parse_project_id,
    update_kwargs,
)

NUMBERS = st.integers(0, 10**12)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_every_form_of_a_job_key_is_the_same_key(project: int, spider: int, job: int) -> None:
    text = f'{project}/{spider}/{job}'
    for form in (text, text.encode(), (project, spider, job), tuple(text.split('/')), JobKey(*text.split('/'))):
        key = parse_job_key(form)  # type: ignore[arg-type]  # a tuple of unknown length
        assert str(key) == text
        assert (key.project_id, key.spider_id, key.job_id) == (str(project), str(spider), str(job))


@pytest.mark.parametrize(
    ('key', 'message'),
    [
        (1, "Job key should be a string or a tuple, got <class 'int'>: 1"),
        (['1', '2', '3'], "Job key should be a string or a tuple, got <class 'list'>: ['1', '2', '3']"),
        ('1/2', "Job key should consist of project_id/spider_id/job_id, got '1/2'"),
        ('', "Job key should consist of project_id/spider_id/job_id, got ''"),
        ((1, 2), 'Job key should consist of project_id/spider_id/job_id, got (1, 2)'),
        ('1/a/3', "Job key parts should be integers, got '1/a/3'"),
        ('1/2/', "Job key parts should be integers, got '1/2/'"),
        ((1, 2, None), 'Job key parts should be integers, got (1, 2, None)'),
        ((1, 2, []), 'Job key parts should be integers, got (1, 2, [])'),
    ],
)
def test_what_is_no_job_key_is_refused(key: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f'^{re.escape(message)}$'):
        parse_job_key(key)


@given(st.text(max_size=12))
def test_a_text_is_a_job_key_or_a_value_error(text: str) -> None:
    try:
        key = parse_job_key(text)
    except ValueError:
        return
    assert re.fullmatch(r'-?[0-9]+/-?[0-9]+/-?[0-9]+', str(key))
    assert parse_job_key(str(key)) == key


@given(NUMBERS)
def test_project_ids(project: int) -> None:
    assert parse_project_id(project) == parse_project_id(str(project)) == str(project)


@pytest.mark.parametrize('project', ['', 'x', '1/2', '1.5', 1.5, float('inf'), float('nan')])
def test_what_is_no_project_id_is_refused(project: Any) -> None:
    with pytest.raises(ValueError, match=r'^Project id should be convertible to integer$'):
        parse_project_id(project)


def test_a_job_key_of_numbers_has_a_text() -> None:
    parts: Any = (1, 2, 3)
    assert str(JobKey(*parts)) == '1/2/3'


def test_no_project_id_is_a_type_error() -> None:
    nothing: Any = None
    with pytest.raises(TypeError):
        parse_project_id(nothing)


def test_log_levels() -> None:
    levels = [(level.name, int(level)) for level in LogLevel]
    assert levels == [('DEBUG', 10), ('INFO', 20), ('WARNING', 30), ('ERROR', 40), ('CRITICAL', 50), ('SILENT', 51)]


def test_tags_that_are_not_given_are_left_out() -> None:
    assert get_tags_for_update(add=['a', b'\xc3\xa4'], remove=[], other=None) == {'add': ['a', 'ä']}


@pytest.mark.parametrize('tags', ['a', ('a',), {'a'}, {'a': 1}, 5])
def test_tags_that_are_no_list_are_refused(tags: Any) -> None:
    with pytest.raises(ValueError, match=r'^Add/remove field value must be a list$'):
        get_tags_for_update(add=tags)


def test_update_kwargs_works_in_place() -> None:
    kwargs: dict[str, Any] = {'a': 1}
    update_kwargs(kwargs, b=None, c={'x': 1}, d='y', e={})
    assert kwargs == {'a': 1, 'c': '{"x": 1}', 'd': 'y', 'e': '{}'}


@pytest.mark.parametrize(
    ('auth', 'expected'),
    [
        ('a:b:c', ('a', 'b:c')),
        ('abc', ('abc', '')),
        ('', ('', '')),
        (('a', 'b'), ('a', 'b')),
        ('312f322f333a746f6b', ('1/2/3', 'tok')),
        ('312f322f333a', ('312f322f333a', '')),
        ('312f322f333a746f6', ('312f322f333a746f6', '')),
    ],
)
def test_credentials_of_an_argument(auth: Any, expected: tuple[str, str]) -> None:
    assert parse_auth(auth) == expected


@pytest.mark.parametrize('auth', [(), ('a',), ('a', 'b', 'c'), ('a', 1), 5, b'abc', ['a', 'b']])
def test_what_are_no_credentials_is_refused(auth: Any) -> None:
    with pytest.raises(ValueError, match=r'^Wrong authentication credentials$'):
        parse_auth(auth)


@given(st.text(st.characters(codec='ascii', exclude_characters='\0'), min_size=1), NUMBERS, NUMBERS, NUMBERS)
def test_job_credentials_come_through_their_hexadecimal_form(token: str, project: int, spider: int, job: int) -> None:
    key = f'{project}/{spider}/{job}'
    assert parse_auth(f'{key}:{token}'.encode('ascii').hex()) == (key, token)


LATIN = st.text(st.characters(max_codepoint=255))


@given(LATIN, LATIN)
def test_credentials_are_never_shown(user: str, password: str) -> None:
    assert repr(parse_auth((user, password))) == str(parse_auth((user, password))) == 'Credentials(...)'
