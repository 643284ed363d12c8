"""Random sequences of calls, after each of which the sandbox must hold what a plain model holds."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from scrapinghub.sandbox import Sandbox
from support.caller import Caller, Clock, lines
from support.sandbox_models import LIVING, MONTH, CollectionModel, FrontierModel, JobModel, Slot

STATES = st.sampled_from(['pending', 'running', 'finished', 'deleted'])
SPIDERS = st.sampled_from(['a', 'b', 'é c'])
TAGS = st.sampled_from(['x', 'y', 'z'])
SCALARS = st.none() | st.booleans() | st.integers(-5, 300) | st.text('ab é☃', max_size=40)
ITEMS = st.dictionaries(st.sampled_from(['n', 'text', '_hidden']), SCALARS, max_size=3)


def some_of(parameters: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Choose a few parameters: all at once would hardly ever leave a record."""
    return st.sets(st.sampled_from(sorted(parameters)), max_size=3).flatmap(
        lambda names: st.fixed_dictionaries({name: parameters[name] for name in sorted(names)})
    )


class Machine(RuleBasedStateMachine):
    """What all machines share: one server for all runs, emptied before each."""

    cloud: Sandbox
    clock: Clock
    caller: Caller

    def __init__(self) -> None:
        super().__init__()
        self.cloud.reset()

    @rule(ms=st.sampled_from([1, 1000, MONTH]))
    def time_passes(self, ms: int) -> None:
        self.clock.now += ms


class JobMachine(Machine):
    """Jobs, their items, and the activity of their project."""

    keys = Bundle('keys')

    def __init__(self) -> None:
        super().__init__()
        self.model = JobModel()

    @initialize(target=keys)
    def fill(self) -> Any:
        """Begin with jobs of several priorities and items of several kinds, so that there is something to find."""
        keys = [self.push('a', 'pending', None, {'priority': priority}) for priority in (1, 3, 3, 0)]
        for number, value in enumerate([True, 5, '5', 200, None, 7.5, 3]):
            self.write_items(keys[0], number, [{'n': value}])
            self.clock.now += number % 2
        return multiple(*keys)

    @rule(
        target=keys,
        spider=SPIDERS,
        state=STATES,
        unique=st.none() | st.sampled_from(['u', 'v']),
        fields=st.fixed_dictionaries(
            {}, optional={'priority': st.integers(0, 4), 'tags': st.lists(TAGS, unique=True), 'extra': SCALARS}
        ),
    )
    def push(self, spider: str, state: str, unique: str | None, fields: dict[str, Any]) -> Any:
        pushed = {'spider': spider, 'state': state, 'unique': unique, **fields}
        answer = self.caller.post('jobq/1/push', pushed).json()
        job = self.model.push(spider, state, unique, fields, self.clock.now)
        if job is None:
            assert answer == {'request': pushed, 'error': f'Active job exists with key {unique}'}
            return multiple()
        assert answer['key'] == job.key
        assert (answer['auth'] is not None) == (state == 'running')
        return job.key

    @rule(key=keys, state=st.none() | STATES, fields=st.dictionaries(st.sampled_from(['close_reason', 'm']), SCALARS))
    def update(self, key: str, state: str | None, fields: dict[str, Any]) -> None:
        line = {'key': key, **fields, **({} if state is None else {'state': state})}
        answer = self.caller.post('jobq/1/update', line)
        job = self.model.jobs.get(key)
        if job is None:
            assert answer.content == b''
        else:
            assert answer.json() == {'prevstate': self.model.update(job, state, fields, self.clock.now), 'key': key}

    @rule(spider=st.integers(1, 4), state=st.none() | STATES)
    def update_spider(self, spider: int, state: str | None) -> None:
        line = {'key': f'1/{spider}', 'm': 1, **({'state': state} if state else {})}
        answer = self.caller.post('jobq/1/update', line)
        expected = [
            {'prevstate': self.model.update(job, state, {'m': 1}, self.clock.now), 'key': job.key}
            for job in self.model.of_spider(spider)
        ]
        assert [json.loads(line) for line in answer.text.split('\n') if line] == expected

    @rule(extra=st.dictionaries(st.just('m'), SCALARS))
    def start(self, extra: dict[str, Any]) -> None:
        answer = self.caller.post('jobq/1/startjob', extra).json()
        job = self.model.next_to_start()
        if job is None:
            assert answer is None
            return
        self.model.update(job, 'running', {**extra, '_shub_worker': 'kumo'}, self.clock.now)
        assert answer.pop('auth')
        assert answer == {**job.meta, 'key': job.key}

    @rule(keys=st.lists(keys, max_size=3))
    def cancel(self, keys: list[str]) -> None:
        answer = self.caller.call('POST', 'jobq/1/cancel', json.dumps([{'key': key} for key in keys])).json()
        jobs = [self.model.jobs[key] for key in dict.fromkeys(keys) if key in self.model.jobs]
        assert answer == {'count': sum([self.model.cancel(job, self.clock.now) for job in jobs])}

    @rule(key=keys, fields=st.dictionaries(st.sampled_from(['m', 'close_reason', 'extra']), SCALARS, min_size=1))
    def change_metadata(self, key: str, fields: dict[str, Any]) -> None:
        known = key in self.model.jobs
        answer = self.caller.call('POST', f'jobs/{key}', json.dumps(fields))
        assert answer.status_code == (200 if known else 404)
        if known:
            self.model.jobs[key].meta |= fields

    @rule(key=keys, name=st.sampled_from(['m', 'extra', 'tags']))
    def remove_metadata(self, key: str, name: str) -> None:
        assert self.caller.call('DELETE', f'jobs/{key}/{name}').status_code == 200
        if key in self.model.jobs:
            self.model.jobs[key].meta.pop(name, None)

    @rule(key=consumes(keys))
    def remove(self, key: str) -> None:
        assert self.caller.call('DELETE', f'jobs/{key}').status_code == 200
        self.model.jobs.pop(key, None)

    @rule(key=keys, start=st.integers(0, 6), items=st.lists(ITEMS, max_size=4))
    def write_items(self, key: str, start: int, items: list[dict[str, Any]]) -> None:
        answer = self.caller.call('POST', f'items/{key}?start={start}', lines(*items))
        job = self.model.jobs.get(key)
        if job is None or job.state == 'deleted':
            assert answer.status_code == (404 if job is None else 400)
            return
        assert answer.status_code == 200
        job.items |= {number: (item, self.clock.now) for number, item in enumerate(items, start)}
        assert self.caller.get(f'items/{key}/stats').json() == self.model.item_stats(job)

    @rule(
        key=keys,
        wish=some_of(
            {
                'count': st.integers(0, 5),
                'offset': st.integers(0, 5),
                'index': st.lists(st.integers(0, 9), min_size=1),
                'start': st.integers(0, 9),
                'startafter': st.integers(0, 9),
                'startts': st.integers(-3, 1),
                'endts': st.integers(-3, 1),
                'above': st.integers(-5, 10),
            }
        ),
        packed=st.booleans(),
    )
    def read_items(self, key: str, wish: dict[str, Any], packed: bool) -> None:
        job = self.model.jobs.get(key)
        if job is None:
            assert self.caller.get(f'items/{key}').status_code == 404
            return
        params: dict[str, Any] = {name: wish[name] for name in ('count', 'offset', 'index') if name in wish}
        params |= {name: f'{key}/{wish[name]}' for name in ('start', 'startafter') if name in wish}
        times = {name: self.clock.now + wish[name] for name in ('startts', 'endts') if name in wish}
        if 'above' in wish:
            params['filter'] = json.dumps(['n', '>', [wish['above']]])
        read = self.caller.read_packed if packed else self.caller.read
        found = read(f'items/{key}', **params, **times, meta=['_key', '_ts'])
        expected = [
            {**item, '_key': f'{key}/{number}', '_ts': ts}
            for number, (item, ts) in sorted(job.items.items())
            if number in wish.get('index', [number])
            and number >= wish.get('start', 0)
            and number > wish.get('startafter', -1)
            and times.get('startts', 0) <= ts < times.get('endts', 2**63)
            and ('above' not in wish or (type(item.get('n')) in (int, float) and item['n'] > wish['above']))
        ]
        first = wish.get('offset', 0)
        assert found == expected[first : first + wish.get('count', len(expected))]

    @rule(
        states=st.lists(st.sampled_from(LIVING), unique=True),
        spider=st.none() | SPIDERS,
        has_tag=st.lists(TAGS, unique=True, max_size=2),
        lacks_tag=st.lists(TAGS, unique=True, max_size=2),
        start=st.integers(0, 3),
        count=st.integers(0, 3) | st.just(1000),
    )
    def list_jobs(
        self, states: list[str], spider: str | None, has_tag: list[str], lacks_tag: list[str], start: int, count: int
    ) -> None:
        params: dict[str, Any] = {'state': states, 'spider': spider, 'has_tag': has_tag, 'lacks_tag': lacks_tag}
        expected = self.model.listed(states or ['finished'], spider, has_tag, lacks_tag)
        answer = self.caller.get('jobq/1/list', params={**params, 'start': start, 'count': count})
        page = expected[start : start + count]
        assert self.decoded(answer.text) == [self.model.summary(job, self.clock.now) for job in page]
        assert self.caller.get('jobq/1/count', params=params).json() == len(expected)

    def decoded(self, text: str) -> list[Any]:
        return [json.loads(line) for line in text.split('\n') if line]

    @invariant()
    def jobs_are_the_same(self) -> None:
        found = self.decoded(self.caller.get('jobs/1?meta=_key').text)
        expected = sorted(self.model.jobs.values(), key=lambda job: (job.spider, job.number))
        assert found == [{**job.meta, '_key': job.key} for job in expected]

    @invariant()
    def summaries_are_the_same(self) -> None:
        found = self.decoded(self.caller.get('jobq/1/summary').text)
        for line, state in zip(found, LIVING, strict=True):
            jobs = self.model.listed([state])
            shown = [self.model.summary(job, self.clock.now) for job in jobs[:5]]
            assert line == {'name': state, 'count': len(jobs), 'summary': shown}

    @invariant()
    def items_are_the_same(self) -> None:
        ordered = sorted(self.model.jobs.values(), key=lambda job: (job.spider, job.number))
        expected = [item for job in ordered for _, (item, _) in sorted(job.items.items())]
        assert self.caller.read('items/1') == expected

    @invariant()
    def events_are_the_same(self) -> None:
        assert self.caller.read('activity/1') == self.model.events


NAMES = st.sampled_from(['books', 'books', 'films'])
KINDS = st.sampled_from(['s', 'cs', 'vs', 'vcs'])
KEYS = st.sampled_from(['a', 'ab', 'abc', 'b', 'é', 'éa', '\U0001f600', 'a/b', 'count', 'ÿ'])
RECORDS = st.builds(lambda key, rest: {'_key': key, **rest}, KEYS, st.dictionaries(st.just('n'), st.integers(0, 9)))
WISHES: dict[str, st.SearchStrategy[Any]] = {
    'key': st.lists(KEYS, min_size=1),
    'prefix': st.lists(st.sampled_from(['', 'a', 'ab', 'b', 'é']), min_size=1, unique=True),
    'prefixcount': st.integers(0, 2),
    'start': KEYS,
    'startafter': KEYS,
    'startts': st.integers(-3, 1),
    'endts': st.integers(-3, 1),
    'above': st.integers(0, 9),
}


class CollectionMachine(Machine):
    """Collections of every type."""

    def __init__(self) -> None:
        super().__init__()
        self.model = CollectionModel()

    @initialize()
    def fill(self) -> None:
        """Begin with a few records, so that there is something to find."""
        for keys in (['a', 'abc', 'é', '\U0001f600'], ['ab', 'b', 'éa']):
            for kind in ('s', 'cs', 'vs', 'vcs'):
                self.write('books', kind, [{'_key': key, 'n': number} for number, key in enumerate(keys)], array=False)
            self.clock.now += 1

    def params(self, wish: dict[str, Any]) -> dict[str, Any]:
        """Make the times of a wish absolute, return it and the parameters that say the same."""
        for name in ('startts', 'endts'):
            if name in wish:
                wish[name] += self.clock.now
        params = {name: value for name, value in wish.items() if name != 'above'}
        if 'above' in wish:
            params['filter'] = json.dumps(['n', '>', [wish['above']]])
        return params

    @rule(name=NAMES, kind=KINDS, records=st.lists(RECORDS, max_size=4), array=st.booleans())
    def write(self, name: str, kind: str, records: list[dict[str, Any]], array: bool) -> None:
        self.caller.post(f'collections/1/{kind}/{name}', *([records] if array else records))
        self.model.write(name, kind, records, self.clock.now)

    @rule(name=NAMES, kind=KINDS, key=KEYS)
    def write_one(self, name: str, kind: str, key: str) -> None:
        path = f'collections/1/{kind}/{name}/{quote(key, safe="")}'
        assert self.caller.call('POST', path, '{"n": 5}').status_code == 200
        self.model.write(name, kind, [{'_key': key, 'n': 5}], self.clock.now)

    @rule(name=NAMES, kind=KINDS, key=KEYS.filter(lambda key: key != 'count'))
    def read_one(self, name: str, kind: str, key: str) -> None:
        answer = self.caller.get(f'collections/1/{kind}/{name}/{quote(key, safe="")}')
        found = self.model.all(name, kind, self.clock.now).get(key)
        assert answer.status_code == (404 if found is None else 200)
        assert found is None or answer.json() == found[0]

    @rule(
        name=NAMES,
        kind=KINDS,
        wish=some_of(WISHES),
        count=st.integers(0, 5),
        packed=st.booleans(),
    )
    def scan(self, name: str, kind: str, wish: dict[str, Any], count: int, packed: bool) -> None:
        path = f'collections/1/{kind}/{name}'
        params = self.params(wish)
        if not self.model.known(name, kind):
            assert self.caller.get(path, params=params).text == f'unknown collection {name}\n'
            return
        expected = self.model.scan(name, kind, self.clock.now, wish)
        read = self.caller.read_packed if packed else self.caller.read
        assert [record['_key'] for record in read(path, meta='_key', **params)] == expected
        assert [record['_key'] for record in read(path, meta='_key', count=count, **params)] == expected[:count]

    @rule(name=NAMES, kind=KINDS, wish=some_of(WISHES), step=st.integers(1, 4))
    def count(self, name: str, kind: str, wish: dict[str, Any], step: int) -> None:
        # These two make the start of the next page mean something else.
        wish.pop('startafter', None)
        wish.pop('prefixcount', None)
        params = self.params(wish)
        total = 0
        while True:
            answer = self.caller.get(f'collections/1/{kind}/{name}/count', params={**params, 'count': step})
            if not self.model.known(name, kind):
                assert answer.status_code == 404
                return
            page = answer.json()
            assert page['count'] <= page['scanned'] <= step
            total += page['count']
            if 'nextstart' not in page:
                break
            params['start'] = page['nextstart']
        assert total == len(self.model.scan(name, kind, self.clock.now, wish))

    @rule(name=NAMES, kind=KINDS, keys=st.lists(KEYS, max_size=3))
    def delete_keys(self, name: str, kind: str, keys: list[str]) -> None:
        self.caller.post(f'collections/1/{kind}/{name}/deleted', *keys)
        self.model.delete(name, kind, keys)

    @rule(name=NAMES, kind=KINDS, wish=some_of(WISHES))
    def delete_some(self, name: str, kind: str, wish: dict[str, Any]) -> None:
        answer = self.caller.call('DELETE', f'collections/1/{kind}/{name}', params=self.params(wish))
        if wish.keys() <= {'above'}:
            assert answer.status_code == 400
            return
        assert answer.status_code == 200
        self.model.delete(name, kind, self.model.scan(name, kind, self.clock.now, wish))

    @rule(name=NAMES)
    def drop(self, name: str) -> None:
        assert self.caller.call('POST', f'collections/1/delete?name={name}').status_code == 202
        self.model.drop(name)

    @rule(name=NAMES, new_name=NAMES)
    def rename(self, name: str, new_name: str) -> None:
        answer = self.caller.call('POST', f'collections/1/rename?name={name}&new_name={new_name}')
        assert answer.status_code == self.model.rename(name, new_name)

    @invariant()
    def lists_are_the_same(self) -> None:
        assert self.caller.read('collections/1/list') == self.model.listed()

    @invariant()
    def records_are_the_same(self) -> None:
        for name, kind in self.model.records:
            found = self.caller.read(f'collections/1/{kind}/{name}', meta=['_key', '_ts'])
            expected = self.model.all(name, kind, self.clock.now).items()
            assert found == [{**value, '_key': key, '_ts': ts} for key, (value, ts) in expected]


FRONTIERS = st.sampled_from(['f', 'g/é'])
SLOTS = st.sampled_from(['s', 's#1', 'q'])
REQUESTS = st.fixed_dictionaries(
    {'fp': st.integers(0, 400).map(str)},
    optional={'p': st.integers(0, 2), 'qdata': SCALARS, 'fdata': SCALARS},
)


class FrontierMachine(Machine):
    """Frontiers, their slots, queues and fingerprints."""

    def __init__(self) -> None:
        super().__init__()
        self.model = FrontierModel()
        self.ids: dict[tuple[str, str], list[str]] = {}

    def path(self, frontier: str, slot: str) -> str:
        return f'hcf/1/{quote(frontier, safe="")}/s/{quote(slot, safe="")}'

    @rule(frontier=FRONTIERS, slot=SLOTS, requests=st.lists(REQUESTS, max_size=8))
    def add(self, frontier: str, slot: str, requests: list[dict[str, Any]]) -> None:
        answer = self.caller.post(f'{self.path(frontier, slot)}?start=0', *requests).json()
        expected = 0
        if requests:
            expected = self.model.slots.setdefault((frontier, slot), Slot()).add(requests)
        assert answer == {'newcount': expected}

    @rule(frontier=FRONTIERS, slot=SLOTS, first=st.integers(0, 400), count=st.integers(90, 320), p=st.integers(0, 1))
    def add_many(self, frontier: str, slot: str, first: int, count: int, p: int) -> None:
        self.add(frontier, slot, [{'fp': str(number), 'p': p} for number in range(first, first + count)])

    @rule(frontier=FRONTIERS, slot=SLOTS, mincount=st.none() | st.integers(0, 250))
    def read(self, frontier: str, slot: str, mincount: int | None) -> None:
        found = self.caller.read(f'{self.path(frontier, slot)}/q', mincount=mincount)
        expected = self.model.slots.get((frontier, slot), Slot()).head(mincount)
        assert [batch['requests'] for batch in found] == expected

    @rule(frontier=FRONTIERS, slot=SLOTS, places=st.sets(st.integers(0, 6)), array=st.booleans())
    def delete_batches(self, frontier: str, slot: str, places: set[int], array: bool) -> None:
        path = self.path(frontier, slot)
        found = [batch['id'] for batch in self.caller.read(f'{path}/q')]
        chosen = [batch for place, batch in enumerate(found) if place in places] + ['ffff']
        assert self.caller.call('POST', f'{path}/q/deleted', lines(*([chosen] if array else chosen))).status_code == 200
        known = self.model.slots.get((frontier, slot))
        if known is not None:
            known.batches = [batch for place, batch in enumerate(known.batches) if place not in places]

    @rule(frontier=FRONTIERS, slot=SLOTS)
    def delete_slot(self, frontier: str, slot: str) -> None:
        assert self.caller.call('DELETE', self.path(frontier, slot)).status_code == 200
        self.model.slots.pop((frontier, slot), None)

    @rule(frontier=FRONTIERS, slot=SLOTS, first=st.integers(0, 400).map(str), count=st.integers(0, 5))
    def read_fingerprints(self, frontier: str, slot: str, first: str, count: int) -> None:
        seen = sorted(self.model.slots.get((frontier, slot), Slot()).seen)
        path = f'{self.path(frontier, slot)}/f'
        assert self.caller.read(path) == [{'fp': fp} for fp in seen]
        after = [{'fp': fp} for fp in seen if fp > first]
        assert self.caller.read(path, startafter=first, count=count) == after[:count]

    @invariant()
    def lists_are_the_same(self) -> None:
        assert self.caller.get('hcf/1/list').json() == self.model.frontiers()
        for frontier in self.model.frontiers():
            assert self.caller.get(f'hcf/1/{quote(frontier, safe="")}/list').json() == self.model.of(frontier)

    @invariant()
    def queues_are_the_same(self) -> None:
        for (frontier, slot), model in self.model.slots.items():
            path = self.path(frontier, slot)
            assert [batch['requests'] for batch in self.caller.read(f'{path}/q')] == model.head(None)
            assert self.caller.get(f'{path}/q/count').json() == {'count': sum(len(batch) for _, batch in model.batches)}


MACHINES = [JobMachine, CollectionMachine, FrontierMachine]


@pytest.fixture
def machine(
    request: pytest.FixtureRequest, cloud: Sandbox, clock: Clock, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> type[Machine]:
    machine: type[Machine] = request.param
    for name, value in (('cloud', cloud), ('clock', clock), ('caller', caller)):
        monkeypatch.setattr(machine, name, value, raising=False)
    # Few records must do to fill several pages.
    monkeypatch.setattr('scrapinghub.sandbox.store.reading.PAGE_ROWS', 3)
    return machine


@pytest.mark.parametrize('machine', MACHINES, indirect=True)
def test_the_sandbox_does_what_the_model_does(machine: type[Machine]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=5, stateful_step_count=20))


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize('machine', MACHINES, indirect=True)
def test_the_sandbox_does_what_the_model_does_for_long(machine: type[Machine]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=150, stateful_step_count=40, derandomize=False))
