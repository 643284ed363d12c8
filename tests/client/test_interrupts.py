"""Ctrl-C in what the client iterates over beside the record streams: nothing is lost, nothing comes twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scrapinghub import ScrapinghubClient
from support.scripted_server import Wire, json_reply, lines_reply
from transport.streams.test_interrupts import Interrupter, consume

# An interruption inside a destructor is reported by the interpreter and goes no further.
pytestmark = pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')

NUMBERS = [f'{number:02}' for number in range(30)]
ANSWERS = {
    '/collections/1/list': lines_reply(*({'type': 's', 'name': number} for number in NUMBERS)),
    '/hcf/1/list': json_reply(str(NUMBERS).replace("'", '"')),
    '/hcf/1/f/s/slot/f': lines_reply(*({'fp': number} for number in NUMBERS)),
    '/jobs/1/1/1': json_reply('{' + ', '.join(f'"{number}": 1' for number in NUMBERS) + '}'),
    '/spiders/1/lastjobsummary': lines_reply(*({'key': f'1/{number}/1'} for number in NUMBERS)),
}


@pytest.mark.parametrize(
    ('iterate', 'name'),
    [
        (lambda client: client.get_project(1).collections.iter(), lambda record: record['name']),
        (lambda client: client.get_project(1).frontiers.iter(), str),
        (lambda client: client.get_project(1).frontiers.get('f').get('slot').fingerprints.iter(), str),
        (lambda client: client.get_job('1/1/1').metadata.iter(), lambda pair: pair[0]),
        (lambda client: iter(client.get_job('1/1/1').metadata), str),
        (lambda client: client.get_project(1).jobs.iter_last(), lambda record: record['key'].split('/')[1]),
    ],
    ids=['collections', 'frontiers', 'fingerprints', 'metadata', 'names in metadata', 'last jobs'],
)
def test_ctrl_c_at_every_place(
    iterate: Callable[[ScrapinghubClient], Iterator[Any]], name: Callable[[Any], str]
) -> None:
    with Wire(ANSWERS) as wire, wire.client() as client:
        counter = Interrupter(-1)
        assert [name(each) for each in consume(iterate(client), counter)] == NUMBERS
        # What is near the end happens while records are delivered.
        places = [*range(0, counter.met, max(1, counter.met // 15)), *range(max(0, counter.met - 25), counter.met)]
        for place in places:
            iterator = iterate(client)
            got = [*consume(iterator, Interrupter(place)), *iterator]
            assert [name(each) for each in got] == NUMBERS, f'interrupted at place {place}'
            assert list(iterator) == []
