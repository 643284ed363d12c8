"""Thousands of random schedules of faults over reads and writes, compared record by record with the truth.

Run by ``tox -e soak``; ``SOAK_SCHEDULES`` says how many, ``SOAK_SEED`` where to begin. It prints what it counted.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import Any

import pytest

from faults.conftest import World
from faults.reading import OTHER_PROJECT, READS, storage_stream
from faults.test_reading import COMPRESSED_KINDS, ENCODINGS, KINDS
from faults.test_writing import WRITES
from scrapinghub.client.exceptions import StreamInterrupted
from scrapinghub.sandbox.faults.schedule import WRITING, Schedule
from support.changing_listing import CHECKS
from support.clocks import FastClock

SCHEDULES = int(os.environ.get('SOAK_SCHEDULES', '4000'))
SEED = int(os.environ.get('SOAK_SEED', '1'))
LISTINGS = SCHEDULES // 10
# A write costs as much as fifteen reads.
WRITES_AMONG = 15


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_random_schedules(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    counted: Counter[str] = Counter()
    for number in range(SEED, SEED + SCHEDULES):
        random = Random(number)
        if number % WRITES_AMONG:
            read_once(world, random, counted)
        else:
            write_once(world, random, counted, number)
    with capsys.disabled():
        sys.stdout.write('\n' + ', '.join(f'{name}: {counted[name]}' for name in REPORT) + '\n')
    assert not counted['records lost']
    assert not counted['records duplicated']
    assert not counted['records wrong']


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize('name', CHECKS)
def test_random_listings(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Listings that change at random between requests; the checks raise if a record is lost or comes twice."""
    counted: Counter[bool] = Counter(CHECKS[name](Random(seed)) for seed in range(SEED, SEED + LISTINGS))
    with capsys.disabled():
        sys.stdout.write(f'\n{name}: {counted[True]} read to their end, {counted[False]} raised an error\n')
    assert counted[True] > counted[False]


REPORT = (
    'schedules',
    'faults met',
    'records read',
    'streams that raised',
    'writes',
    'records lost',
    'records duplicated',
    'records wrong',
)


def read_once(world: World, random: Random, counted: Counter[str]) -> None:
    """Read one stream under a random schedule."""
    name = random.choice(list(READS))
    encoding = random.choice(ENCODINGS)
    compressed = 'gzip' in encoding and storage_stream(name)
    kinds = random.sample((*KINDS, *(COMPRESSED_KINDS if compressed else ())), random.randint(1, 6))
    schedule = Schedule(random.random().hex(), kinds=kinds, rate=random.uniform(0.2, 1), in_a_row=random.randint(1, 3))
    rule = world.cloud.faults.add(schedule, times=None)
    client = world.client(encoding)
    got: list[Any] = []
    truth = world.truth[name]
    try:
        got.extend(READS[name](client))
        compare(truth, got, counted)
    except StreamInterrupted:
        # Only a compressed stream that was damaged may end so: what it delivered cannot be vouched for.
        assert any(met.fault.name == 'corrupt' for met in rule.met)
        counted['streams that raised'] += 1
    finally:
        world.cloud.faults.clear()
        client.close()
    counted['schedules'] += 1
    counted['faults met'] += len(rule.met)
    counted['records read'] += len(got)


def write_once(world: World, random: Random, counted: Counter[str], number: int) -> None:
    """Write something under a random schedule."""
    name = random.choice(list(WRITES))
    options: dict[str, Any] = {'clock': FastClock, 'max_retries': 6}
    with world.client(**options) as sane, world.client(**options) as client:
        job = sane.get_project(OTHER_PROJECT).jobs.run('soak', job_args={'n': str(number)})
        kinds = random.sample(WRITING, random.randint(1, 4))
        schedule = Schedule(random.random().hex(), kinds=kinds, rate=random.uniform(0.2, 0.9), in_a_row=3)
        rule = world.cloud.faults.add(schedule, times=None)
        try:
            check = WRITES[name](client.get_job(job.key))
        finally:
            world.cloud.faults.clear()
        if not check(job):
            counted['records wrong'] += 1
        job.finish()
    counted['schedules'] += 1
    counted['writes'] += 1
    counted['faults met'] += len(rule.met)


def compare(truth: Iterable[Any], got: Iterable[Any], counted: Counter[str]) -> None:
    """Count what is missing and what came more than once."""
    wanted, found = Counter(map(repr, truth)), Counter(map(repr, got))
    counted['records lost'] += sum((wanted - found).values())
    counted['records duplicated'] += sum((found - wanted).values())
    counted['records wrong'] += list(map(repr, truth)) != list(map(repr, got))
