"""The journal: what was written survives the process, and nothing else changes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scrapinghub.exceptions import Unauthorized
from scrapinghub.transport.uploads import spool as spool_module
from scrapinghub.transport.uploads.batch import Batch, Taken
from scrapinghub.transport.uploads.queue import WriteQueue
from scrapinghub.transport.uploads.spool import Spool
from scrapinghub.transport.uploads.uploader import Uploader, WriterOptions
from support.scripted_server import Server, reply
from support.storage import Storage, failing, lost_answer
from support.transports import KEY, make_transport

PACKAGE = Path(__file__).parents[3]
ITEMS = ('items', 1, 2, 3)
PATH = '/items/1/2/3'
STORE = ('collections', 1, 's', 'store')
STORE_PATH = '/collections/1/s/store'
KEYED = WriterOptions(size=10, keyed=True, lists=True, content_encoding='identity')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'spool.db'


# The journal alone


def make_queue(url: str = 'http://x/1', start: int = 0, **options: Any) -> WriteQueue:
    return WriteQueue(url, WriterOptions(**options), start=start)


def journal(spool: Spool, queue: WriteQueue, texts: list[str]) -> None:
    spool.register(queue, shared=True)
    queue.extend(texts)
    spool.synchronize(queue)


def test_it_returns_what_is_not_stored(path: Path) -> None:
    spool = Spool(path)
    one, two = make_queue(start=7, size=3), make_queue('http://x/2')
    journal(spool, one, ['7', '8', '9', '10', '11'])
    journal(spool, two, ['"a"', '"b"'])
    for queue in (one, two):
        queue.store(begin(queue), None, 0)
        spool.synchronize(queue)
    spool.close()
    again = Spool(path)
    first, second = again.recover()
    assert (first.url, first.options['size'], first.start, first.texts) == ('http://x/1', 3, 10, ['10', '11'])
    assert (second.start, second.texts) == (2, [])
    again.remove(second.id)
    queue = make_queue(start=10)
    queue.extend(first.texts)
    again.register(queue, shared=True, journaled=first)
    queue.take(Taken())
    again.synchronize(queue)
    [first] = again.recover()
    assert (first.start, first.texts) == (10, [])
    again.close()
    assert not again.usable


def begin(queue: WriteQueue) -> Batch:
    attempts: Any = object()
    return queue.begin(object(), lambda: attempts)


STEPS = ['append', 'extend', 'store', 'refuse', 'take', 'interrupted take', 'synchronize']


@example([('append', False), ('refuse', False)])
@example([('append', True), ('append', False), ('store', False), ('refuse', True), ('synchronize', True)])
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.booleans()), max_size=30))
def test_it_holds_what_the_queue_holds_after_any_steps(steps: list[tuple[str, bool]]) -> None:
    with TemporaryDirectory() as folder, contextlib.closing(Spool(Path(folder, 'spool'))) as spool:
        queue = make_queue(start=5, size=2, keyed=True)
        spool.register(queue, shared=False)
        made = 0
        for step, synchronized in steps:
            if step in ('append', 'extend'):
                queue.extend([str(made + n) for n in range(1 if step == 'append' else 3)])
                made += 3
            elif step == 'take':
                queue.take(Taken())
            elif step == 'interrupted take':
                taken = Taken()
                queue.take(taken)
                queue.returned = (taken,)
                queue.restore()
            elif step in ('store', 'refuse') and queue.sendable:
                batch = begin(queue)
                if step == 'store':
                    queue.store(batch, None, 0)
                elif len(batch.texts) > 1:
                    queue.divide(batch, 0)
                else:
                    queue.reject(batch, ValueError(), alone=True, now=0)
            if synchronized:
                spool.synchronize(queue)
        spool.synchronize(queue)
        [journaled] = spool.recover()
        assert journaled.texts == [text for _, text in sorted(queue.refused.items())] + queue.texts()
        assert journaled.start == min([*queue.refused, queue.offset])


def test_one_at_a_time_holds_it(path: Path) -> None:
    spool = Spool(path)
    with pytest.raises(RuntimeError, match='is in use'):
        Spool(path)
    program = 'import sys; from scrapinghub.transport.uploads.spool import Spool; Spool(sys.argv[1])'
    done = subprocess.run(
        [sys.executable, '-c', program, path], capture_output=True, text=True, check=False, cwd=PACKAGE, timeout=60
    )
    assert f'RuntimeError: the spool {path} is in use' in done.stderr
    spool.close()
    Spool(path).close()


def test_other_files_are_left_alone(path: Path, tmp_path: Path) -> None:
    path.write_text('some notes, long enough to be no database at all ' * 10)
    with pytest.raises(ValueError, match='is not a spool'):
        Spool(path)
    assert path.read_text().startswith('some notes')
    other = tmp_path / 'other.db'
    connection = sqlite3.connect(other)
    connection.execute('CREATE TABLE mine (a)')
    connection.close()
    with pytest.raises(ValueError, match='is not a spool of this version'):
        Spool(other)
    with pytest.raises(OSError, match='missing'):
        Spool(tmp_path / 'missing' / 'spool.db')


@pytest.mark.skipif(os.name != 'posix', reason='rights are those of POSIX')
def test_nobody_else_may_read_it(path: Path) -> None:
    spool = Spool(path)
    journal(spool, make_queue('http://x'), [])
    assert {file.stat().st_mode & 0o77 for file in path.parent.iterdir()} == {0}
    spool.close()


def test_it_is_for_one_endpoint(path: Path) -> None:
    Spool(path, endpoint='https://User:secret@Storage.example:443/').close()
    spool = Spool(path, endpoint='https://storage.example')
    journal(spool, make_queue('https://storage.example/items/1/2/3'), [])
    spool.close()
    for other in ('https://other.example', 'http://storage.example', 'https://storage.example/v2'):
        with pytest.raises(ValueError, match=f'made for https://storage.example, .* writes to {other}: ') as caught:
            Spool(path, endpoint=other)
        assert str(path) in str(caught.value)
        assert 'secret' not in str(caught.value)
    assert b'secret' not in path.read_bytes()
    # Refused is not held.
    spool = Spool(path, endpoint='https://storage.example')
    assert len(spool.recover()) == 1
    spool.close()


def test_a_file_that_does_not_say_whose_it_is_belongs_to_who_wrote_it(path: Path) -> None:
    spool = Spool(path)
    journal(spool, make_queue('http://storage.example/items/1/2/3'), [])
    spool.close()
    # Neither of them is known to be wrong: that is decided by what is in the file.
    for endpoint in ('http://other.example', 'http://storage.example'):
        spool = Spool(path, endpoint=endpoint)
        assert len(spool.recover()) == 1
        spool.close()
    with pytest.raises(ValueError, match=r'was made for http://storage\.example'):
        Spool(path, endpoint='http://other.example')


# Writers with a journal


def test_a_client_of_another_endpoint_sends_nothing_of_it(server: Server, storage: Storage, path: Path) -> None:
    storage.before = lambda post: reply(status=503)
    uploader = Uploader(make_transport(server), spool=path)
    uploader.writer(ITEMS, WriterOptions()).write('kept')
    assert uploader.close(5) is False
    with Server(storage.respond) as elsewhere:
        with pytest.raises(ValueError, match=f'made for {server.url}, and this client writes to {elsewhere.url}'):
            Uploader(make_transport(elsewhere), spool=path)
        assert not elsewhere.requests
    assert storage.stored(PATH) == []
    storage.before = lambda post: None
    assert Uploader(make_transport(server), spool=path).close()
    assert storage.stored(PATH) == ['kept']


def test_a_clean_end_leaves_nothing(server: Server, storage: Storage, path: Path) -> None:
    for start in (0, 0):
        uploader = Uploader(make_transport(server), spool=path)
        writer = uploader.writer(ITEMS, WriterOptions(size=2), start=start)
        assert [writer.write(n) for n in range(5)] == list(range(5))
        assert uploader.close()
    assert storage.stored(PATH) == list(range(5))
    spool = Spool(path)
    assert spool.recover() == []
    spool.close()


def test_what_a_closed_client_could_not_send_is_sent_by_the_next(server: Server, storage: Storage, path: Path) -> None:
    storage.before = lambda post: reply(status=503)
    uploader = Uploader(make_transport(server), spool=path)
    items, store = uploader.writer(ITEMS, WriterOptions()), uploader.writer(STORE, KEYED, shared=False)
    for n in range(3):
        items.write(n)
    store.write([{'_key': 'a'}, {'_key': 'b'}])
    assert uploader.close(5) is False
    with pytest.raises(AssertionError):
        items.write(3)

    storage.before = lambda post: None
    uploader = Uploader(make_transport(server), spool=path)
    assert uploader.writer(ITEMS, WriterOptions()).write(3) == 3
    assert uploader.close()
    assert storage.stored(PATH) == [0, 1, 2, 3]
    assert list(storage.records['collections']) == ['a', 'b']


def test_records_that_are_taken_back_are_not_sent_again(server: Server, storage: Storage, path: Path) -> None:
    storage.before = lambda post: reply(status=401) if post.records[0] == 'bad' else None
    uploader = Uploader(make_transport(server), spool=path)
    writer = uploader.writer(ITEMS, WriterOptions())
    writer.write('bad')
    with pytest.raises(Unauthorized):
        writer.flush()
    assert writer.take_back() == ['bad']
    assert writer.write('good') == 0
    assert uploader.close()
    assert storage.stored(PATH) == ['good']


def test_refused_keyed_records_are_tried_again_by_the_next(server: Server, storage: Storage, path: Path) -> None:
    storage.before = lambda post: reply(status=400) if any(r['_key'] == 'b' for r in post.records) else None
    uploader = Uploader(make_transport(server), spool=path)
    uploader.writer(STORE, KEYED).write([{'_key': key} for key in 'abc'])
    with pytest.raises(Exception, match='400'):
        uploader.close()
    assert sorted(storage.records['collections']) == ['a', 'c']
    storage.before = lambda post: None
    uploader = Uploader(make_transport(server), spool=path)
    assert uploader.close()
    assert storage.posts[-1].records == [{'_key': 'b'}]


def test_other_credentials_are_taken_over_and_tried(server: Server, storage: Storage, path: Path) -> None:
    storage.before = lambda post: reply(status=503)
    uploader = Uploader(make_transport(server), spool=path)
    uploader.writer(ITEMS, WriterOptions(), auth=('1/2/3', 'secret-token')).write(0)
    assert uploader.close(1) is False
    written = b''.join(file.read_bytes() for file in path.parent.iterdir())
    assert b'secret-token' not in written
    assert KEY.encode() not in written

    def only_the_job(post: Any) -> Any:
        return None if post.request.headers['authorization'].startswith('Basic MS8yLzM6') else reply(status=401)

    storage.before = only_the_job
    uploader = Uploader(make_transport(server), spool=path)
    with pytest.raises(Unauthorized):
        uploader.flush()
    assert uploader.writer(ITEMS, WriterOptions(), auth=('1/2/3', 'secret-token')).write(1) == 1
    assert uploader.close()
    assert storage.stored(PATH) == [0, 1]


def test_a_url_with_a_key_in_its_query_is_refused(server: Server, path: Path) -> None:
    uploader = Uploader(make_transport(server), spool=path)
    with pytest.raises(ValueError, match='given as `auth`'):
        uploader.writer(f'{server.url}/items?apikey={KEY}', WriterOptions())
    uploader.writer(server.url.replace('//', f'//{KEY}:@') + '/items', WriterOptions()).write(0)
    uploader.close()
    assert KEY.encode() not in path.read_bytes()


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='this system has no fork')
def test_a_forked_child_cannot_use_it(server: Server, storage: Storage, path: Path) -> None:
    program = """
import os, sys
from scrapinghub.config.credentials import Credentials
from scrapinghub.config.endpoints import Endpoints
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.uploads.uploader import Uploader, WriterOptions
url = sys.argv[1]
uploader = Uploader(Transport(Credentials('k'), Endpoints(url, url, url), user_agent='test'), spool=sys.argv[2])
writer = uploader.writer(('items', 1, 2, 3), WriterOptions())
writer.write(0)
child = os.fork()
if child == 0:
    try:
        writer.write(1)
    except RuntimeError as error:
        assert 'a spool of its own in each process' in str(error)
        sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert writer.write(1) == 1
assert uploader.close()
"""
    subprocess.run([sys.executable, '-c', program, server.url, path], check=True, cwd=PACKAGE, timeout=60)
    assert storage.stored(PATH) == [0, 1]


# kill -9

KILLED = """
import sys
from scrapinghub.config.credentials import Credentials
from scrapinghub.config.endpoints import Endpoints
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.uploads.uploader import Uploader, WriterOptions

url, spool = sys.argv[1:]
uploader = Uploader(Transport(Credentials('k'), Endpoints(url, url, url), user_agent='test'), spool=spool)
items = uploader.writer(('items', 1, 2, 3), WriterOptions(size=7))
samples = uploader.writer(('samples', 1, 2, 3), WriterOptions(size=5, content_encoding='identity'))
store = uploader.writer(('collections', 1, 's', 'store'), WriterOptions(size=6, keyed=True, lists=True), shared=False)
frontier = uploader.writer(('hcf', 1, 'f', 's', 'slot'), WriterOptions(size=4, keyed=True))
number = items.next_number
while True:
    assert items.write({'n': number}) == number
    print('items', number, flush=True)
    # A kill between the two leaves this one a record behind.
    sample = samples.next_number
    assert samples.write([sample]) == sample
    print('samples', sample, flush=True)
    store.write([{'_key': str(number)}])
    print('store', number, flush=True)
    frontier.write({'_key': str(number)})
    print('frontier', number, flush=True)
    number += 1
"""


def kill_at(server: Server, path: Path, lines: int) -> list[tuple[str, int]]:
    """Run a program that writes, kill it after so many lines; return what it had written, as kind and number."""
    with subprocess.Popen(
        [sys.executable, '-c', KILLED, server.url, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PACKAGE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = []
        for _ in range(lines):
            said.append(process.stdout.readline())
            assert said[-1], process.stderr.read()
        os.kill(process.pid, signal.SIGKILL)
        said += process.stdout
    # The last line may be cut.
    words = [line.split() for line in said if line.endswith('\n')]
    return [(kind, int(number)) for kind, number in words]


def check_kills(server: Server, storage: Storage, path: Path, *, seed: int, kills: int) -> None:
    random = Random(seed)
    faults = [failing(random.randrange(3), lambda: reply(status=503)), failing(random.randrange(3), lost_answer)]
    storage.before, storage.after = faults
    written = [pair for _ in range(kills) for pair in kill_at(server, path, random.randrange(1, 120))]
    assert len(set(written)) == len(written)
    uploader = Uploader(make_transport(server), spool=path)
    assert uploader.close()
    # A record may be there whose number the program did not come to print.
    for kind in ('items', 'samples'):
        stored = storage.stored(f'/{kind}/1/2/3')
        assert {number for which, number in written if which == kind} <= set(range(len(stored)))
        assert stored == [{'n': n} if kind == 'items' else [n] for n in range(len(stored))]
    for kind, family in (('store', 'collections'), ('frontier', 'hcf')):
        assert {str(number) for which, number in written if which == kind} <= set(storage.records.get(family, {}))


@pytest.mark.skipif(os.name != 'posix', reason='kill -9 is a signal')
def test_what_was_written_survives_kill_9(server: Server, storage: Storage, path: Path) -> None:
    check_kills(server, storage, path, seed=1, kills=3)


@pytest.mark.soak
@pytest.mark.skipif(os.name != 'posix', reason='kill -9 is a signal')
@pytest.mark.parametrize('seed', range(20))
def test_what_was_written_survives_many_kills(server: Server, storage: Storage, path: Path, seed: int) -> None:
    check_kills(server, storage, path, seed=seed, kills=10)


def test_threads_share_the_journal(server: Server, storage: Storage, path: Path) -> None:
    uploader = Uploader(make_transport(server), spool=path)
    writer = uploader.writer(ITEMS, WriterOptions(size=10, qsize=20))

    def produce() -> None:
        for n in range(50):
            writer.write(n)

    threads = [threading.Thread(target=produce) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert uploader.close()
    assert len(storage.stored(PATH)) == 400


def test_a_signal_handler_may_flush_while_a_record_is_journaled(server: Server, storage: Storage, path: Path) -> None:
    uploader = Uploader(make_transport(server), spool=path)
    writer = uploader.writer(ITEMS, WriterOptions())
    changes = spool_module._changes
    handled: list[int] = []

    def interrupted(queue: WriteQueue, marks: Any) -> Any:
        """Run a handler when the range of the records is known, and before they are read."""
        records = queue.records
        if not handled and queue.next_number == 2:
            handled.append(1)

            def handle() -> dict[int, str]:
                queue.records = records
                writer.flush()
                return records

            class Records(dict[int, str]):
                def __contains__(self, number: object) -> bool:
                    return number in handle()

                def __getitem__(self, number: int) -> str:
                    return handle()[number]

            queue.records = Records(records)
        return changes(queue, marks)

    writer.write('first')
    with mock.patch.object(spool_module, '_changes', interrupted):
        assert writer.write('second') == 1
    assert handled
    writer.flush()
    assert storage.stored(PATH) == ['first', 'second']
    uploader.close()


@pytest.mark.parametrize('also', [False, True], ids=['raises', 'writes and raises'])
def test_a_record_after_one_whose_signal_handler_raised_is_journaled(
    server: Server, storage: Storage, path: Path, also: bool
) -> None:
    uploader = Uploader(make_transport(server), spool=path)
    writer = uploader.writer(ITEMS, WriterOptions())
    spool = uploader._pool.spool
    assert spool is not None
    synchronize = spool.synchronize

    def interrupted(queue: WriteQueue) -> None:
        """Raise what a signal handler raises, when the record is in the journal."""
        synchronize(queue)
        with mock.patch.object(spool, 'synchronize', synchronize):
            if also:
                writer.write('handler')
        raise LookupError('of the user')

    with mock.patch.object(spool, 'synchronize', interrupted), pytest.raises(LookupError):
        writer.write('interrupted')
    writer.write('next')
    # What a killed process leaves.
    found = [text for journaled in spool.recover() for text in map(json.loads, journaled.texts)]
    assert found == (['interrupted', 'handler', 'next'] if also else ['next'])
    writer.flush()
    assert storage.stored(PATH) == found
    uploader.close()


@pytest.mark.parametrize('how', ['writer', 'client', 'block'])
def test_a_full_disk_at_the_end_is_no_failure_and_releases_the_file(
    server: Server, storage: Storage, path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    uploader = Uploader(make_transport(server), spool=path)
    writer = uploader.writer(ITEMS, WriterOptions())
    writer.write('a')
    writer.flush()
    full = mock.patch.object(Spool, 'remove', side_effect=OSError('the disk is full'))
    with full:
        if how == 'writer':
            assert writer.close() is True
        elif how == 'client':
            assert uploader.close() is True
        else:
            with pytest.raises(LookupError), writer:
                raise LookupError
    assert 'the disk is full' in caplog.text
    uploader.close()
    assert storage.stored(PATH) == ['a']
    # The file can be opened again.
    Spool(path).close()
