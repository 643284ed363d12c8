"""A byte that changes on its way in a compressed answer never becomes a record that nobody stored."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from faults.conftest import World
from faults.reading import OTHER_PROJECT
from scrapinghub.client.exceptions import StreamInterrupted
from scrapinghub.client.jobs import Job
from scrapinghub.sandbox.faults.definition import Fault
from support.clocks import FastClock

NUMBER = 1000
ROUNDS = 6
# Run by name.
MANY_ROUNDS = 100


@pytest.fixture(scope='module')
def large(world: World) -> Iterator[Job]:
    """A job whose answers are much longer than a piece."""
    random = Random(7)
    with world.client(clock=FastClock, max_retries=6) as client:
        job = client.get_project(OTHER_PROJECT).jobs.run('large')
        for number in range(NUMBER):
            words = [f'{random.randrange(10**6)}' for _ in range(12)]
            job.items.write({'number': number, 'text': ' '.join(words)})
            job.logs.log(' '.join(words), ts=number + 1)
        job.close_writers()
        yield job


@pytest.mark.parametrize('rounds', [ROUNDS, pytest.param(MANY_ROUNDS, marks=pytest.mark.soak)])
@pytest.mark.parametrize('encoding', ['msgpack gzip', 'json gzip'])
@pytest.mark.parametrize('family', ['items', 'logs'])
def test_a_changed_byte_is_mended_or_told(world: World, large: Job, family: str, encoding: str, rounds: int) -> None:
    client = world.client(encoding)
    truth = getattr(large, family).list()
    random = Random(f'{family} {encoding}')
    outcomes = {'mended': 0, 'told': 0}
    for _ in range(rounds):
        world.cloud.faults.add(Fault(corrupt=random.random()), times=1)
        got = []
        try:
            got.extend(getattr(client.get_job(large.key), family).iter())
            outcomes['mended'] += 1
            assert got == truth
        except StreamInterrupted:
            outcomes['told'] += 1
        finally:
            world.cloud.faults.clear()
    assert outcomes['mended'] > outcomes['told']
    client.close()
