from __future__ import annotations

import warnings

import pytest

from scrapinghub.client._support.parameters import RECORD_PARAMETERS
from scrapinghub.client._support.spelling import GUESSES, suggest_parameter, warn_user

JOB_FILTERS = {'spider', 'state', 'has_tag', 'lacks_tag', 'startts', 'endts', 'meta', 'key', 'stop', 'count', 'start'}


@pytest.mark.parametrize(
    ('name', 'meant'),
    [
        ('tags', 'has_tag'),
        ('tag', 'has_tag'),
        ('without_tag', 'lacks_tag'),
        ('limit', 'count'),
        ('before', 'endts'),
        ('until', 'endts'),
        ('end', 'endts'),
        ('older_than', 'endts'),
        ('since', 'startts'),
        ('after', 'startts'),
        ('status', 'state'),
        ('skip', 'start'),
        ('Limit', 'count'),
        ('hastag', 'has_tag'),
        ('spiders', 'spider'),
    ],
)
def test_a_guess_at_a_filter_of_jobs(name: str, meant: str) -> None:
    assert suggest_parameter(name, JOB_FILTERS) == meant


def test_a_guess_depends_on_what_the_endpoint_knows() -> None:
    assert suggest_parameter('skip', RECORD_PARAMETERS) == 'offset'
    assert suggest_parameter('filters', RECORD_PARAMETERS) == 'filter'
    assert suggest_parameter('tags', RECORD_PARAMETERS) is None
    assert suggest_parameter('brand_new', RECORD_PARAMETERS) is None


def test_no_guess_is_the_name_of_a_parameter() -> None:
    assert not GUESSES.keys() & {*RECORD_PARAMETERS, *JOB_FILTERS}


def test_a_warning_names_the_line_of_the_caller() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        warn_user('look here')
    assert [(str(warning.message), warning.filename) for warning in caught] == [('look here', __file__)]
