"""Faults and positions that are refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from scrapinghub.sandbox import Sandbox
from scrapinghub.sandbox.faults.definition import At


@pytest.mark.parametrize(
    ('effects', 'words'),
    [
        ({}, 'the fault has no effect'),
        ({'name': 'nothing'}, 'the fault has no effect'),
        ({'status': 99}, 'status must be from 200 to 599, not 99'),
        ({'delay': -1}, 'delay must be a number of seconds'),
        ({'hold': 1}, 'hold must be true or false'),
        ({'cut': -1}, 'cut must be a number of bytes'),
        ({'cut': 1.5}, 'cut must be a number of bytes, a fraction below 1'),
        ({'drop': 'slam'}, "drop must be 'close' or 'reset', not 'slam'"),
        ({'framing': 'none'}, 'framing must be'),
        ({'ignore': 'start'}, 'ignore must be names'),
        ({'chunk': 0, 'framing': 'chunked'}, 'chunk must be a positive'),
        ({'headers': {'X': 1}}, 'headers must be names'),
        ({'headers': {'X': 'a\r\nY: b'}}, 'headers must be names'),
        ({'headers': {'X\n': 'a'}}, 'headers must be names'),
        ({'headers': {'X': '€'}}, 'headers must be names'),
        ({'status': 500, 'reason': 'a\r\nY: b'}, 'reason must be one line'),
        ({'status': 500, 'body': 5}, 'body must be a string'),
        ({'apply': True, 'cut': 1}, 'apply needs drop'),
        ({'drop': 'close', 'status': 500}, 'drop ends the connection without a response'),
        ({'status': 500, 'times': 0}, 'times must be an integer from 1 up'),
        ({'status': 500, 'skip': -1}, 'skip must be an integer from 0 up'),
        ({'status': 500, 'path': 'items'}, 'path must begin with /'),
    ],
)
def test_a_wrong_fault_is_refused(cloud: Sandbox, effects: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        cloud.faults.add(**effects)
    assert cloud.faults.rules == []


@pytest.mark.parametrize(
    'place', [{}, {'record': 1, 'text': 1}, {'record': -1}, {'text': -1}, {'record': 1, 'plus': -1}]
)
def test_a_wrong_place_is_refused(place: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r'^(At needs|record must|text must|plus must)'):
        At(**place)
