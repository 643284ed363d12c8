"""What the sandbox should hold, in plain Python: dictionaries and lists, nothing clever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgpack

MONTH = 30 * 24 * 3600 * 1000
ACTIVE = ('pending', 'running')
LIVING = ('pending', 'running', 'finished')
STAMPS = {
    'pending': ('scheduled_by', 'pending_time', 'job:scheduled'),
    'running': ('started_by', 'running_time', 'job:started'),
    'finished': ('completed_by', 'finished_time', 'job:completed'),
    'deleted': ('deleted_by', 'deleted_time', 'job:deleted'),
}
SHOWN = ('spider', 'pending_time', 'running_time', 'finished_time', 'close_reason')


@dataclass
class Job:
    spider: int
    number: int
    unique: str | None
    meta: dict[str, Any]
    ts: int = 0
    entered: int = 0
    items: dict[int, tuple[dict[str, Any], int]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f'1/{self.spider}/{self.number}'

    @property
    def state(self) -> str:
        state: str = self.meta['state']
        return state


class JobModel:
    """The jobs of project 1 with their items, and its activity."""

    def __init__(self) -> None:
        self.spiders: list[str] = []
        self.pushed: dict[int, int] = {}
        self.jobs: dict[str, Job] = {}
        self.events: list[dict[str, Any]] = []
        self.entries = 0

    def event(self, job: Job, name: str) -> None:
        self.events.insert(0, {'event': name, 'job': job.key, 'user': 'admin'})

    def enter(self, job: Job, state: str, now: int, *, event: bool = True) -> None:
        by, time, name = STAMPS[state]
        job.meta |= {'state': state, by: 'admin', time: now}
        self.entries += 1
        job.ts, job.entered = now, self.entries
        if event:
            self.event(job, name)

    def push(self, name: str, state: str, unique: str | None, fields: dict[str, Any], now: int) -> Job | None:
        if name not in self.spiders:
            self.spiders.append(name)
        spider = self.spiders.index(name) + 1
        number = self.pushed[spider] = self.pushed.get(spider, 0) + 1
        if unique is not None and any(job.unique == unique and job.state in ACTIVE for job in self.jobs.values()):
            return None
        meta = {'project': 1, 'spider': name, 'priority': 2, 'units': 1, **fields}
        job = Job(spider, number, unique, meta)
        self.jobs[job.key] = job
        self.enter(job, state, now)
        return job

    def update(self, job: Job, state: str | None, fields: dict[str, Any], now: int) -> str:
        previous = job.state
        job.meta |= fields
        if state is not None and state != previous:
            self.enter(job, state, now)
        return previous

    def of_spider(self, spider: int) -> list[Job]:
        found = [job for job in self.jobs.values() if job.spider == spider and job.state in LIVING]
        return sorted(found, key=lambda job: (LIVING.index(job.state), job.ts, job.entered))

    def next_to_start(self) -> Job | None:
        pending = [job for job in self.jobs.values() if job.state == 'pending']
        return min(pending, key=lambda job: (-job.meta['priority'], job.ts, job.entered), default=None)

    def cancel(self, job: Job, now: int) -> bool:
        if job.state not in ACTIVE:
            return False
        if job.state == 'pending' or 'cancelled_by' not in job.meta:
            self.event(job, 'job:cancelled')
        job.meta['cancelled_by'] = 'admin'
        if job.state == 'pending':
            job.meta['close_reason'] = 'cancelled'
            self.enter(job, 'finished', now, event=False)
        return True

    def listed(
        self, states: list[str], spider: str | None = None, has_tag: Sequence[str] = (), lacks_tag: Sequence[str] = ()
    ) -> list[Job]:
        found = [
            job
            for job in self.jobs.values()
            if job.state in states
            and spider in (None, job.meta['spider'])
            and (not has_tag or set(has_tag) & set(job.meta.get('tags', ())))
            and not set(lacks_tag) & set(job.meta.get('tags', ()))
        ]
        return sorted(found, key=lambda job: (job.ts, job.entered), reverse=True)

    def summary(self, job: Job, now: int) -> dict[str, Any]:
        shown = {'key': job.key, 'state': job.state, 'ts': job.ts, 'elapsed': now - job.ts}
        shown |= {name: job.meta[name] for name in SHOWN if name in job.meta}
        if job.meta.get('tags'):
            shown['tags'] = job.meta['tags']
        if job.items:
            shown['items'] = len(job.items)
        return shown

    def item_stats(self, job: Job) -> dict[str, Any]:
        items = [item for item, _ in job.items.values()]
        counts: dict[str, int] = {}
        for item in items:
            for name in item:
                counts[name] = counts.get(name, 0) + 1
        return {
            'counts': {name: count for name, count in counts.items() if not name.startswith('_')},
            'totals': {'input_values': len(items), 'input_bytes': sum(len(msgpack.packb(item)) for item in items)},
        }


class CollectionModel:
    """The collections of project 1, by name and type."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], dict[str, tuple[dict[str, Any], int]]] = {}
        self.dropped: set[tuple[str, str]] = set()

    def write(self, name: str, kind: str, records: list[dict[str, Any]], now: int) -> None:
        if not records:
            return
        self.dropped.discard((name, kind))
        kept = self.records.setdefault((name, kind), {})
        for record in records:
            value = dict(record)
            kept[value.pop('_key')] = (value, now)

    def known(self, name: str, kind: str) -> bool:
        return (name, kind) in self.records

    def all(self, name: str, kind: str, now: int) -> dict[str, tuple[dict[str, Any], int]]:
        """Return the records that have not expired, in the byte order of their keys."""
        kept = self.records.get((name, kind), {})
        fresh = {key: kept[key] for key in kept if kind in ('s', 'vs') or now < kept[key][1] + MONTH}
        return dict(sorted(fresh.items(), key=lambda pair: pair[0].encode()))

    def scan(self, name: str, kind: str, now: int, wish: dict[str, Any]) -> list[str]:
        """Return the keys of the records that a request wants."""
        found = []
        taken = dict.fromkeys(wish.get('prefix') or [''], 0)
        for key, (value, ts) in self.all(name, kind, now).items():
            encoded = key.encode()
            matching = [prefix for prefix in taken if key.startswith(prefix)]
            if (
                ('key' in wish and key not in wish['key'])
                or encoded < wish.get('start', '').encode()
                or ('startafter' in wish and encoded <= wish['startafter'].encode())
                or ts < wish.get('startts', 0)
                or ts >= wish.get('endts', 2**63)
                or ('above' in wish and not value.get('n', -1) > wish['above'])
                or not matching
            ):
                continue
            if 'prefixcount' in wish:
                matching = [prefix for prefix in matching if taken[prefix] < wish['prefixcount']]
                for prefix in matching:
                    taken[prefix] += 1
                if not matching:
                    continue
            found.append(key)
        return found

    def delete(self, name: str, kind: str, keys: list[str]) -> None:
        for key in keys:
            self.records.get((name, kind), {}).pop(key, None)

    def drop(self, name: str) -> None:
        for pair in self.records:
            if pair[0] == name:
                self.records[pair] = {}
                self.dropped.add(pair)

    def listed(self) -> list[dict[str, str]]:
        order = ('s', 'vs', 'cs', 'vcs')
        living = sorted(self.records.keys() - self.dropped, key=lambda pair: (pair[0], order.index(pair[1])))
        return [{'type': kind, 'name': name} for name, kind in living]

    def rename(self, name: str, new_name: str) -> int:
        """Rename, return the status of the answer."""
        living = {pair[0] for pair in self.records.keys() - self.dropped}
        if name not in living:
            return 404
        if new_name in living:
            return 400
        for pair in [pair for pair in self.records if pair[0] == new_name]:
            del self.records[pair]
            self.dropped.discard(pair)
        for pair in [pair for pair in self.records if pair[0] == name]:
            self.records[new_name, pair[1]] = self.records.pop(pair)
            if pair in self.dropped:
                self.dropped.discard(pair)
                self.dropped.add((new_name, pair[1]))
        return 202


@dataclass
class Slot:
    seen: set[str] = field(default_factory=set)
    batches: list[tuple[int, list[list[Any]]]] = field(default_factory=list)

    def add(self, requests: list[dict[str, Any]]) -> int:
        fresh: dict[int, list[list[Any]]] = {}
        for request in requests:
            if request['fp'] not in self.seen:
                self.seen.add(request['fp'])
                fresh.setdefault(request.get('p', 0), []).append([request['fp'], request.get('qdata')])
        for priority, pairs in fresh.items():
            for start in range(0, len(pairs), 100):
                self.batches.append((priority, pairs[start : start + 100]))
        # Sorting is stable: batches of one priority stay in the order of their age.
        self.batches.sort(key=lambda batch: batch[0])
        return sum(map(len, fresh.values()))

    def head(self, mincount: int | None) -> list[list[list[Any]]]:
        found: list[list[list[Any]]] = []
        for _, batch in self.batches:
            if mincount is not None and sum(map(len, found)) >= mincount:
                break
            found.append(batch)
        return found


class FrontierModel:
    """The frontiers of project 1: their slots by name."""

    def __init__(self) -> None:
        self.slots: dict[tuple[str, str], Slot] = {}

    def frontiers(self) -> list[str]:
        return sorted({frontier for frontier, _ in self.slots})

    def of(self, frontier: str) -> list[str]:
        return sorted(slot for name, slot in self.slots if name == frontier)
