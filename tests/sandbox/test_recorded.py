"""Every recorded exchange, sent to the sandbox in its sequence, gets the recorded answer."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from scrapinghub.sandbox import Sandbox
from support.replaying import PROJECT, Difference, Exchange, Replay, sequences

RECORDED = Path(__file__).parents[2].parent / 'shared' / 'recorded'
if not RECORDED.is_dir():
    pytest.skip('the recorded exchanges are not part of the project and are not here', allow_module_level=True)

SEQUENCES = sequences(RECORDED)
TODAY = 1_500_000_000_000
SPIDER = 'hs-test-spider'

PROXY = 'a proxy in front of the dash of that day compressed; the sandbox never compresses answers of the dash'

#: Exchanges of which one aspect differs on purpose, with the reason.
EXCEPTIONS: dict[str, tuple[str, str]] = {f'dash-{number:04}': ('headers', PROXY) for number in (6, 8, 9, 10, 11)}

#: The order of keys is arbitrary at the queue server, in events, in statistics, and in the qdata of a frontier's queue.
ANY_ORDER = re.compile(r'/(jobq|jobs|projects|spiders|activity)/|/stats$|/hcf/.*/q$')

#: Answers of the load balancer, which the sandbox gives when a fault is planned.
OUTAGES = (503, 504)

Seed = tuple[str, str, str]


def earlier_events(sequence: list[Exchange]) -> Iterator[Seed]:
    """All events but the two that the sequence itself posts, which come first as the newest."""
    events = sequence[1]['response_text'].splitlines()[2:]
    yield 'POST', f'/activity/{PROJECT}', '\n'.join(reversed(events))


def listed_collections(sequence: list[Exchange]) -> Iterator[Seed]:
    for collection in map(json.loads, sequence[0]['response_text'].splitlines()):
        yield 'POST', f'/collections/{PROJECT}/{collection["type"]}/{collection["name"]}', '{"_key": "any"}'


def frontiers(sequence: list[Exchange]) -> Iterator[Seed]:
    slots = {'frontier-a': ['site.com'], 'frontier-b': ['site.com', 'test2.com'], 'frontier-d': ['site.com']}
    assert json.loads(sequence[0]['response_text']) == list(slots)
    for frontier, names in slots.items():
        for name in names:
            yield 'POST', f'/hcf/{PROJECT}/{frontier}/s/{name}', '{"fp": "any"}'


def spider(sequence: list[Exchange]) -> Iterator[Seed]:
    yield 'GET', f'/ids/{PROJECT}/spider/{SPIDER}?create=1', ''


def listed_projects(sequence: list[Exchange]) -> Iterator[Seed]:
    """Projects that another account owns; this sandbox lets a project exist from its first use on."""
    for project in json.loads(sequence[2]['response_text'])['projects']:
        yield 'GET', f'/jobq/{project}/count', ''


#: What existed before an exchange without having been made in its sequence.
SEEDS: dict[str, Callable[[list[Exchange]], Iterator[Seed]]] = {
    'activity-0001': earlier_events,
    'collections-0001': listed_collections,
    'hcf-0005': frontiers,
    'dash-0064': listed_projects,
    'dash-0090': spider,
    'ids-0002': spider,
    'dash-0097': spider,
}


@pytest.fixture(scope='module')
def cloud() -> Iterator[Sandbox]:
    ticks = itertools.count(TODAY)
    # Every look at the clock gives another time, so that no order is right by chance.
    with Sandbox(clock=lambda: next(ticks)) as cloud:
        yield cloud


@pytest.fixture
def replay(cloud: Sandbox) -> Iterator[Replay]:
    cloud.reset()
    with requests.Session() as session:
        session.trust_env = False
        session.headers.clear()
        yield Replay(cloud.url, cloud.apikey, session)


@pytest.mark.parametrize('name', SEQUENCES)
def test_sequence_is_answered_as_recorded(name: str, cloud: Sandbox, replay: Replay) -> None:
    for exchange in SEQUENCES[name]:
        number = exchange['id']
        if number in SEEDS:
            for seed in SEEDS[number](SEQUENCES[name]):
                replay.seed(*seed)
        if exchange['status'] in OUTAGES:
            # The load balancer of the service gave up; what it passed on may have been applied all the same.
            cloud.faults.add(path='*', status=exchange['status'], apply=True)
        response = replay.send(exchange)
        if number in EXCEPTIONS:
            # One that is no longer needed fails here.
            with pytest.raises(Difference) as caught:
                replay.compare(exchange, response)
            assert caught.value.aspect == EXCEPTIONS[number][0]
            continue
        try:
            exact = replay.compare(exchange, response)
        except Difference as difference:
            raise AssertionError(f'{number}: {difference}') from difference
        assert exact or ANY_ORDER.search(exchange['path']), f'{number}: other order of keys: {response.text[:300]}'
    given = [actual for _, actual in replay.bindings.times()]
    assert given == sorted(given), 'times are given in another order than they were recorded'


def test_every_exception_and_every_seed_belongs_to_an_exchange() -> None:
    known = {exchange['id'] for exchange in itertools.chain.from_iterable(SEQUENCES.values())}
    assert len(known) == 614
    assert set(EXCEPTIONS) <= known
    assert set(SEEDS) <= known
