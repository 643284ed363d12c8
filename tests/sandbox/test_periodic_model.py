"""Random sequences of changes of periodic jobs and of the clock, with restarts, compared with a plain model."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from scrapinghub.sandbox import Sandbox
from support.caller import START, Caller, Clock

MINUTE = 60_000
CRONS = st.sampled_from(
    [
        '* * * * *',
        '* * * * *',
        '30 * * * *',
        '0 9 * * *',
        '15 3 * * 6',
        '0 0 15 * *',
        '0 12 16 * 1',
        '59 23 * 7 *',
        '0 0 31 2 *',
    ]
)
NAMES = st.sampled_from(['a', 'b', 'py:c.py'])
MINUTES = st.sampled_from([1, 5, 29, 60]) | st.integers(0, 2000)


def matches(cron: str, minute: int) -> bool:
    """Check one minute in the simplest way."""
    at = datetime.fromtimestamp(minute * 60, timezone.utc)
    actual = (at.minute, at.hour, at.day, at.month, at.isoweekday() % 7)
    wanted = [None if field == '*' else int(field) for field in cron.split()]
    same = [want is None or want == have for want, have in zip(wanted, actual, strict=True)]
    days = same[2] or same[4] if None not in (wanted[2], wanted[4]) else same[2] and same[4]
    return same[0] and same[1] and same[3] and days


@dataclass
class Periodic:
    cron: str
    names: list[str]
    disabled: bool


class PeriodicMachine(RuleBasedStateMachine):
    """Periodic jobs of one project of a sandbox that keeps its data in a file."""

    ids = Bundle('ids')

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.periodic: dict[int, Periodic] = {}
        self.runs: set[tuple[int, int]] = set()
        self.expected: list[tuple[int, str]] = []
        self.checked = START // MINUTE
        self.start()

    def start(self) -> None:
        self.cloud = Sandbox(db=str(Path(self.folder.name, 'cloud.db')), clock=self.clock)
        self.caller = Caller(self.cloud.url, (self.cloud.apikey, ''))

    def stop(self) -> None:
        self.caller.session.close()
        self.cloud.close()

    def teardown(self) -> None:
        self.stop()
        self.folder.cleanup()

    def time_passed(self) -> None:
        """Let the model start the jobs of the minutes that have passed."""
        now = self.cloud.clock() // MINUTE
        for minute in range(self.checked + 1, now + 1):
            for number, periodic in self.periodic.items():
                due = not periodic.disabled and matches(periodic.cron, minute)
                if due and (number, minute) not in self.runs:
                    self.runs.add((number, minute))
                    self.expected += [(minute, name) for name in periodic.names]
        self.checked = now

    def send(self, method: str, number: int | None = None, **fields: Any) -> Any:
        path = 'api/projects/1/periodicjobs' + ('' if number is None else f'/{number}')
        response = self.caller.call(method, path, json=fields)
        assert response.ok, response.text
        return response.json() if response.content else None

    @rule(
        target=ids,
        cron=CRONS,
        names=st.lists(NAMES, min_size=1, max_size=2),
        disabled=st.sampled_from([False, False, True]),
    )
    def create(self, cron: str, names: list[str], disabled: bool) -> int:
        tasks = [{'name': name} for name in names]
        number: int = self.send('POST', cron=cron, tasks=tasks, disabled=disabled)['id']
        self.time_passed()
        self.periodic[number] = Periodic(cron, names, disabled)
        return number

    @rule(number=ids, disabled=st.booleans())
    def pause_or_resume(self, number: int, disabled: bool) -> None:
        self.send('PATCH', number, disabled=disabled)
        self.time_passed()
        self.periodic[number].disabled = disabled

    @rule(number=ids, cron=CRONS)
    def change(self, number: int, cron: str) -> None:
        self.send('PATCH', number, cron=cron)
        self.time_passed()
        self.periodic[number].cron = cron

    @rule(number=consumes(ids))
    def delete(self, number: int) -> None:
        self.send('DELETE', number)
        self.time_passed()
        del self.periodic[number]

    @rule(minutes=MINUTES)
    def advance(self, minutes: int) -> None:
        self.cloud.clock.advance(minutes=minutes)
        self.time_passed()

    @rule(milliseconds=st.integers(0, 3 * MINUTE))
    def time_passes_without_a_request(self, milliseconds: int) -> None:
        self.clock.now += milliseconds

    @rule(minutes=MINUTES)
    def move_back(self, minutes: int) -> None:
        self.time_passed()
        self.cloud.clock.advance(minutes=-minutes)
        self.time_passed()

    @rule(minutes=MINUTES)
    def repeat(self, minutes: int) -> None:
        self.advance(minutes)
        self.move_back(minutes)
        self.advance(minutes)

    @rule(stopped=st.booleans())
    def freeze_or_thaw(self, stopped: bool) -> None:
        (self.cloud.clock.freeze if stopped else self.cloud.clock.thaw)()
        self.time_passed()

    @rule(minutes=MINUTES)
    def restart(self, minutes: int) -> None:
        self.time_passed()
        self.stop()
        self.clock.now = max(self.clock.now, self.cloud.clock()) + minutes * MINUTE
        self.start()
        self.checked = self.clock.now // MINUTE

    @invariant()
    def the_jobs_are_those_of_the_model(self) -> None:
        metadata = self.caller.call('GET', 'jobs/1').text
        self.time_passed()
        jobs = [json.loads(line) for line in metadata.split('\n') if line]
        assert all(job['scheduled_by'] == 'periodicjobs' and job['pending_time'] % MINUTE == 0 for job in jobs)
        assert sorted((job['pending_time'] // MINUTE, job['spider']) for job in jobs) == sorted(self.expected)


def test_each_due_minute_starts_its_jobs_once() -> None:
    run_state_machine_as_test(PeriodicMachine, settings=settings(max_examples=20, stateful_step_count=20))


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_each_due_minute_starts_its_jobs_once_for_long() -> None:
    long = settings(max_examples=300, stateful_step_count=40, derandomize=False)
    run_state_machine_as_test(PeriodicMachine, settings=long)
