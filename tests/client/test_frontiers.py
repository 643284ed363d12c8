"""Frontiers: slots of every name, queues, fingerprints, counts of what was new."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest

from scrapinghub import ScrapinghubClient
from scrapinghub.client.frontiers import Frontier, Frontiers, FrontierSlot, FrontierSlotFingerprints, FrontierSlotQueue
from scrapinghub.client.projects import Project
from scrapinghub.exceptions import DecodeError, Forbidden, StreamInterrupted, UploadError
from support.clocks import ManualClock
from support.scripted_server import Reply, Request, Wire, json_reply, lines_of, lines_reply, reply

PATH = '/hcf/1/test/s/example.com'
STRANGE_NAMES = ['site', 'site#1', 'a/b', 'a?b', '50%', '%23', ' ', 'ä', '日本', 'list', '...', 'a b', '\u2028', 's']


@pytest.fixture
def slot(project: Project) -> FrontierSlot:
    return project.frontiers.get('test').get('example.com')


@pytest.fixture
def wire() -> Iterator[Wire]:
    answers = {
        f'POST {PATH}': json_reply('{"newcount": 1}'),
        f'DELETE {PATH}': reply(b'', content_type=None),
        f'POST {PATH}/q/deleted': reply(b'', content_type=None),
        f'{PATH}/q': lines_reply(),
        f'{PATH}/f': lines_reply(),
    }
    with Wire(answers) as wire:
        yield wire


def slot_of(wire: Wire, **options: Any) -> FrontierSlot:
    return wire.client(**options).get_project(1).frontiers.get('test').get('example.com')


def patient_slot_of(wire: Wire) -> FrontierSlot:
    client = wire.client(max_retries=3)
    client.transport.clock = ManualClock()
    return client.get_project(1).frontiers.get('test').get('example.com')


def in_turn(answers: list[Reply]) -> Callable[[Request], Reply]:
    return lambda request: answers.pop(0)


def batch(number: int, size: int = 1) -> dict[str, Any]:
    return {'id': f'00{number:014}', 'requests': [[f'/{number}/{n}', None] for n in range(size)]}


# What the objects are


def test_a_signal_handler_may_add_while_the_writer_is_made(project: Project, slot: FrontierSlot) -> None:
    uploader = project._client.uploader
    make = uploader.writer
    made: list[int] = []

    def interrupted(*args: Any, **options: Any) -> Any:
        if not made:
            made.append(1)
            # What the handler does.
            project.frontiers.get('test').get('example.com').q.add([{'fp': 'other object'}])
            slot.q.add([{'fp': 'handler'}])
        return make(*args, **options)

    with mock.patch.object(uploader, 'writer', interrupted):
        slot.q.add([{'fp': 'program'}])
    slot.flush()
    assert slot.newcount == 3
    assert sorted(slot.f.list()) == ['handler', 'other object', 'program']


def test_objects_are_made_as_before(client: ScrapinghubClient) -> None:
    frontiers = Frontiers(Frontiers, client, '1')
    frontier = Frontier(client, frontiers, 'test')
    slot = FrontierSlot(client, frontier, 'example.com')
    assert [frontiers.key, frontier.key, slot.key] == ['1', 'test', 'example.com']
    assert FrontierSlotQueue(slot).key == FrontierSlotFingerprints(slot).key == 'example.com'
    assert slot.q is slot.queue
    assert slot.f is slot.fingerprints
    assert frontier == frontiers.get('test') != frontiers.get('other')
    assert slot == frontier.get('example.com') != frontiers.get('other').get('example.com')
    assert len({slot, frontier.get('example.com'), frontier, frontiers.get('test')}) == 2
    assert frontier != slot
    prefix = '<scrapinghub.client.frontiers.'
    assert [repr(frontiers), repr(frontier), repr(slot), repr(slot.q), repr(slot.f)] == [
        f'{prefix}Frontiers 1>',
        f'{prefix}Frontier 1/test>',
        f'{prefix}FrontierSlot 1/test/example.com>',
        f'{prefix}FrontierSlotQueue 1/test/example.com>',
        f'{prefix}FrontierSlotFingerprints 1/test/example.com>',
    ]
    assert [*inspect.signature(FrontierSlotQueue.iter).parameters][:2] == ['self', 'mincount']


@pytest.mark.parametrize('name', ['', '.', '..'])
def test_names_that_are_none(project: Project, name: str) -> None:
    with pytest.raises(ValueError, match='cannot be part of a path'):
        project.frontiers.get(name)
    with pytest.raises(ValueError, match='cannot be part of a path'):
        project.frontiers.get('test').get(name)


# In the sandbox


def test_a_queue(project: Project, slot: FrontierSlot) -> None:
    frontiers, frontier = project.frontiers, project.frontiers.get('test')
    for listing in (frontiers.list(), frontier.list(), slot.q.list(), slot.f.list()):
        assert listing == []
    slot.queue.add([{'fp': '/some/path.html'}])
    slot.flush()
    slot.q.add([{'fp': '/'}, {'fp': 'page1.html', 'p': 1, 'qdata': {'depth': 1}}])
    slot.q.add({'fp': '/'})
    slot.flush()
    assert frontiers.list() == ['test']
    assert list(frontier.iter()) == ['example.com']
    assert [each['requests'] for each in slot.q.iter()] == [
        [['/some/path.html', None]], [['/', None]], [['page1.html', {'depth': 1}]],
    ]  # fmt: skip
    assert slot.f.list() == ['/', '/some/path.html', 'page1.html']
    ids = [each['id'] for each in slot.q.list(mincount=1)]
    assert len(ids) == 1
    slot.q.delete(ids[0])
    slot.q.delete([each['id'] for each in slot.q.iter()])
    slot.q.delete([])
    assert slot.q.list() == []
    assert slot.f.list(count=2) == ['/', '/some/path.html']


def test_fingerprints_alone(slot: FrontierSlot) -> None:
    slot.fingerprints.add(['fp1', b'fp2'])
    slot.f.add('one')
    slot.flush()
    assert list(slot.f.iter()) == ['fp1', 'fp2', 'one']
    assert slot.newcount == 3


def test_counts_of_what_was_new(client: ScrapinghubClient, project: Project) -> None:
    frontiers = project.frontiers
    one, two = frontiers.get('a').get('1'), frontiers.get('a').get('2')
    three = frontiers.get('b').get('1')
    for slot, count in ((one, 3), (two, 2), (three, 1)):
        slot.f.add(map(str, range(count)))
        assert slot.newcount == 0
    frontiers.get('a').flush()
    assert [slot.newcount for slot in (one, two, three)] == [3, 2, 0]
    frontiers.flush()
    one.f.add(map(str, range(5)))
    one.flush()
    assert [slot.newcount for slot in (one, two, three)] == [5, 2, 1]
    assert [frontiers.get('a').newcount, frontiers.get('b').newcount, frontiers.newcount] == [7, 1, 8]
    # Objects for the same slot count together; those of another `project.frontiers` count for themselves.
    assert frontiers.get('a').get('1').newcount == 5
    assert client.get_project(1).frontiers.get('a').get('1').newcount == 0
    one.delete()
    assert [one.newcount, frontiers.get('a').newcount, frontiers.newcount] == [0, 2, 3]


def test_strange_names_reach_exactly_their_slots(project: Project) -> None:
    frontiers = project.frontiers
    for name in STRANGE_NAMES:
        frontiers.get(name).get(name).f.add([name])
    frontiers.flush()
    assert frontiers.list() == sorted(STRANGE_NAMES, key=str.encode)
    for name in STRANGE_NAMES:
        assert frontiers.get(name).list() == [name]
        assert frontiers.get(name).get(name).f.list() == [name]
    for number, name in enumerate(STRANGE_NAMES, 1):
        frontiers.get(name).get(name).delete()
        assert len(frontiers.list()) == len(STRANGE_NAMES) - number


def test_deleting_a_slot_deletes_what_was_added_before(slot: FrontierSlot, project: Project) -> None:
    slot.f.add(['a', 'b'])
    slot.delete()
    project.frontiers.flush()
    assert slot.f.list() == []
    assert slot.newcount == 0
    slot.f.add(['a'])
    slot.flush()
    assert slot.f.list() == ['a']


def test_closing(project: Project, slot: FrontierSlot) -> None:
    frontiers = project.frontiers
    slot = frontiers.get('test').get('example.com')
    slot.f.add(['a'])
    frontiers.close()
    assert frontiers.newcount == 1
    assert slot.f.list() == ['a']
    with pytest.raises(AssertionError, match='attempting writes to a closed writer'):
        slot.f.add(['b'])


def test_closing_the_client_sends_what_was_added(client: ScrapinghubClient, slot: FrontierSlot) -> None:
    slot.f.add(['a'])
    client.close()
    assert slot.newcount == 1
    assert slot.f.list() == ['a']


# What is asked and sent


def test_what_goes_over_the_wire(wire: Wire) -> None:
    slot = slot_of(wire)
    slot.q.add([{'fp': b'a', 'qdata': {'x': 1}}, {'fp': 'b'}])
    slot.f.add(['c'])
    slot.flush()
    slot.q.list()
    slot.q.list(5)
    slot.q.list(min_count=5, count=0)
    slot.f.list(start='b')
    slot.q.delete(['1', b'2'])
    slot.q.delete('3')
    slot.delete()
    assert wire.asked == [
        f'POST {PATH}?start=0', f'GET {PATH}/q', f'GET {PATH}/q?mincount=5', f'GET {PATH}/f?start=b',
        f'POST {PATH}/q/deleted', f'POST {PATH}/q/deleted', f'DELETE {PATH}',
    ]  # fmt: skip
    assert wire.bodies[0] == '{"fp": "a", "qdata": {"x": 1}}\n{"fp": "b"}\n{"fp": "c"}\n'
    assert wire.requests[0].headers['content-encoding'] == 'identity'
    assert wire.bodies[4:6] == ['"1"\n"2"', '"3"']
    assert {request.headers['accept'] for request in wire.requests} == {'*/*'}


def test_a_strange_name_in_a_path(wire: Wire) -> None:
    slot = wire.client().get_project(1).frontiers.get('a/b').get('site#1')
    wire.respond = lambda request: reply(b'', content_type=None)
    slot.delete()
    assert wire.asked == ['DELETE /hcf/1/a%2Fb/s/site%231']


def test_deletes_are_repeated(wire: Wire) -> None:
    answers = [reply(b'', status=503), reply(b'', content_type=None)] * 2
    wire.respond = in_turn(answers)
    slot = patient_slot_of(wire)
    slot.q.delete('1')
    slot.delete()
    assert wire.asked == [f'POST {PATH}/q/deleted'] * 2 + [f'DELETE {PATH}'] * 2


@pytest.mark.parametrize(
    ('requests', 'error', 'text'),
    [
        ([{'fp': 'ok'}, {'fp': 5}], ValueError, '^Fingerprint should be of a string type$'),
        ([{'fp': 'ok'}, {'p': 1}], ValueError, "a request should have a fingerprint 'fp', got {'p': 1}"),
        ([{'fp': 'ok'}, 'text'], TypeError, "a request should be a dict with a fingerprint 'fp', got 'text'"),
        ('text', TypeError, 'a request should be a dict'),
        ([{'fp': b'\xff'}], ValueError, r'use \.hex\(\)'),
    ],
)
def test_requests_that_are_none(wire: Wire, requests: Any, error: type[Exception], text: str) -> None:
    slot = slot_of(wire)
    with pytest.raises(error, match=text):
        slot.q.add(requests)
    slot.flush()
    assert wire.requests == []


def test_fingerprints_that_are_none(wire: Wire) -> None:
    slot = slot_of(wire)
    for fps in (['ok', 5], [None], [b'\xff']):
        with pytest.raises(ValueError, match='Fingerprint should be'):
            slot.f.add(fps)  # type: ignore[arg-type]
    slot.flush()
    assert wire.requests == []


def test_ids_that_are_none(wire: Wire) -> None:
    delete: Any = slot_of(wire).q.delete
    for ids in (5, None, [5]):
        with pytest.raises(TypeError):
            delete(ids)
    assert wire.requests == []


def test_a_batch_is_not_an_id(wire: Wire) -> None:
    delete: Any = slot_of(wire).q.delete
    for ids in ({'id': 'a', 'requests': []}, [{'id': 'a'}]):
        with pytest.raises(TypeError, match=r"batch\['id'\]"):
            delete(ids)
    assert wire.requests == []


def test_a_flush_sends_what_other_objects_of_the_client_added(client: ScrapinghubClient) -> None:
    def frontiers() -> Frontiers:
        return client.get_project(1).frontiers

    flushes: list[Callable[[], None]] = [
        lambda: frontiers().flush(),
        lambda: frontiers().get('a').flush(),
        lambda: frontiers().get('a').get('1').flush(),
    ]
    for number, flush in enumerate(flushes, 1):
        frontiers().get('a').get('1').f.add([f'page{number}'])
        frontiers().get('ab').get('1').f.add([f'page{number}'])
        flush()
        assert frontiers().get('a').get('1').q.count() == number
    # Its name only begins with that of the frontier.
    assert frontiers().get('ab').get('1').q.count() == 1
    frontiers().get('a').get('1').delete()
    assert frontiers().list() == ['ab']


def test_all_slots_are_flushed_although_one_fails(wire: Wire) -> None:
    def answer(request: Request) -> Any:
        if request.path.endswith('/bad'):
            return reply(b'no\n', status=403)
        return json_reply(json.dumps({'newcount': len(request.body.splitlines())}))

    wire.respond = answer
    frontiers = wire.client().get_project(1).frontiers
    frontier = frontiers.get('test')
    for name in ('bad', 'good'):
        frontier.get(name).f.add(['a', 'b'])
    for flush in (frontier.flush, frontiers.flush, frontiers.close):
        with pytest.raises(UploadError) as caught:
            flush()
        assert isinstance(caught.value, Forbidden)
        assert caught.value.records == [{'fp': 'a'}, {'fp': 'b'}]
        assert caught.value.others == ()
    assert frontier.get('good').newcount == 2
    for counted in (frontiers, frontier, frontier.get('bad')):
        with pytest.raises(UploadError):
            _ = counted.newcount
    assert frontier.get('bad').writer.take_back() == [{'fp': 'a'}, {'fp': 'b'}]
    assert frontiers.newcount == frontier.newcount == 2
    frontiers.flush()


def test_a_slot_whose_requests_cannot_be_stored_is_not_deleted(wire: Wire) -> None:
    wire.answers[f'POST {PATH}'] = reply(b'no\n', status=403)
    slot = slot_of(wire)
    slot.f.add(['a'])
    with pytest.raises(UploadError):
        slot.delete()
    assert wire.asked == [f'POST {PATH}?start=0']
    assert slot.writer.take_back() == [{'fp': 'a'}]
    slot.delete()
    assert wire.asked[1:] == [f'DELETE {PATH}']


# Reading over connections that are cut

BATCHES = [batch(n, size) for n, size in enumerate((2, 1, 3))]


@pytest.mark.parametrize(('mincount', 'batches'), [(None, 3), (1, 1), (3, 2), (9, 3)])
def test_a_queue_is_read_once_wherever_the_answer_is_cut(wire: Wire, mincount: int | None, batches: int) -> None:
    body = lines_of(BATCHES[:batches])
    slot = patient_slot_of(wire)
    for cut in range(len(body)):
        # The second time the server has more than is wanted any more.
        answers = [reply(body, cut=cut), reply(lines_of(BATCHES) if mincount else body)]
        wire.respond = in_turn(answers)
        # A server that gives more than was asked for may, except that a broken answer is not made up for by more.
        wanted = batches if b'\n' in body[:cut] else 3
        assert slot.q.list(mincount) == BATCHES[:wanted]
        assert answers == []


def test_batches_that_were_delivered_may_be_deleted_meanwhile(wire: Wire) -> None:
    body = lines_of(BATCHES)
    answers = [reply(body, cut=len(body) - 1), reply(lines_of(BATCHES[2:]))]
    wire.respond = in_turn(answers)
    assert patient_slot_of(wire).q.list() == BATCHES


def test_a_resumed_read_ends_when_enough_requests_have_come(wire: Wire) -> None:
    # What was delivered is deleted, so that the second answer has other batches to make up for it.
    answers = [reply(lines_of(BATCHES[:2]), cut=len(lines_of(BATCHES[:2])) - 1), reply(lines_of(BATCHES[1:]))]
    wire.respond = in_turn(answers)
    assert patient_slot_of(wire).q.list(mincount=3) == BATCHES[:2]


def test_fingerprints_come_once_wherever_the_answer_is_cut(wire: Wire) -> None:
    fps = ['a', 'ab', 'b', 'ä']
    body = lines_of({'fp': fp} for fp in fps)
    slot = patient_slot_of(wire)
    for cut in range(len(body)):
        answers = [reply(body, cut=cut), reply(body)]
        wire.respond = in_turn(answers)
        assert slot.f.list() == fps
        assert answers == []


def test_fingerprints_go_on_after_an_error(wire: Wire) -> None:
    body = lines_of({'fp': fp} for fp in 'abc')
    answers = [reply(body, cut=len(body) - 1), reply(body)]
    wire.respond = in_turn(answers)
    fingerprints = slot_of(wire).f.iter()
    got: list[str] = []
    with pytest.raises(StreamInterrupted):
        got.extend(fingerprints)
    assert got == ['a', 'b']
    assert list(fingerprints) == ['c']


def test_fingerprints_that_the_service_gives_wrongly(wire: Wire) -> None:
    wire.answers[f'{PATH}/f'] = lines_reply({'fp': 'a'}, {'pf': 'b'})
    with pytest.raises(DecodeError, match="expected an object with 'fp'"):
        slot_of(wire).f.list()
