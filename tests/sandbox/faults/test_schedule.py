"""Random faults."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub.sandbox import Sandbox
from scrapinghub.sandbox.faults.definition import Fault
from scrapinghub.sandbox.faults.schedule import KINDS, READING, Schedule
from support.caller import Caller


def drawn(schedule: Schedule, asked: list[tuple[str, str]]) -> list[Fault | None]:
    return [schedule.draw(method, path) for method, path in asked]


def test_the_same_seed_draws_the_same_faults() -> None:
    asked = [('GET', '/items/1/1/1'), ('POST', '/items/1/1/1'), ('GET', '/logs/1/1/1')] * 50
    first = drawn(Schedule(7), asked)
    assert first == drawn(Schedule(7), asked)
    assert first != drawn(Schedule(8), asked)
    assert len({fault.label for fault in first if fault is not None}) > 10


def test_other_requests_in_between_do_not_change_what_is_drawn() -> None:
    alone = drawn(Schedule('seed'), [('GET', '/items/1/1/1')] * 30)
    mixed = drawn(Schedule('seed'), [('GET', '/items/1/1/1'), ('GET', '/logs/1/1/1')] * 30)
    assert mixed[::2] == alone


@given(st.integers(), st.integers(1, 5))
def test_a_schedule_lets_a_request_pass_in_time(seed: int, in_a_row: int) -> None:
    row = 0
    for fault in drawn(Schedule(seed, rate=1, in_a_row=in_a_row), [('GET', '/')] * 40):
        row = row + 1 if fault else 0
        assert row <= in_a_row
    assert drawn(Schedule(seed, rate=0), [('GET', '/')] * 5) == [None] * 5


@given(st.sampled_from(sorted(KINDS)), st.randoms(use_true_random=False))
def test_every_kind_draws_a_fault_that_has_a_json_form(kind: str, random: Any) -> None:
    fault = KINDS[kind](random)
    assert fault.label == kind
    assert Fault.from_json(json.loads(json.dumps(fault.to_json()))) == fault


def test_a_schedule_strikes_requests_and_is_recorded(cloud: Sandbox, caller: Caller) -> None:
    def mine(random: Random) -> Fault:
        return Fault('mine', status=random.choice((500, 599)))

    cloud.faults.add(Schedule(3, kinds=('unavailable', mine)), path='/system/*', times=None)
    statuses = [caller.get('system/ts').status_code for _ in range(40)]
    assert set(statuses) <= {200, 500, 503, 599}
    assert [met.fault.status for met in cloud.faults.met] == [status for status in statuses if status != 200]
    assert {met.label for met in cloud.faults.met} == {'unavailable', 'mine'}


@pytest.mark.parametrize('arguments', [{'kinds': ()}, {'kinds': ('cutt',)}, {'rate': 2}, {'in_a_row': 0}])
def test_a_wrong_schedule_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match='must be'):
        Schedule(1, **arguments)


def test_the_kinds_to_survive_are_known() -> None:
    assert set(READING) <= set(KINDS)
