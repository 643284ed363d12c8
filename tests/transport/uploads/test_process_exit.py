"""What happens to records at the end of a process: exit, fork, interrupts. Each program is a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from itertools import cycle, product
from pathlib import Path

import pytest

from support.scripted_server import Reply, Server, reply
from support.storage import Storage, failing

PACKAGE = Path(__file__).parents[3]
PATH = '/items/1/2/3'

BEGIN = """
import atexit, gc, os, signal, sys, threading
from scrapinghub.transport.uploads import pool, process_exit
from scrapinghub.config.credentials import Credentials
from scrapinghub.config.endpoints import Endpoints
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.uploads.uploader import Uploader, WriterOptions

process_exit.EXIT_SECONDS = float(os.environ.get('EXIT_SECONDS', '20'))
url = sys.argv[1]
transport = Transport(Credentials('a' * 32), Endpoints(url, url, url), user_agent='test', timeout=10)
uploader = Uploader(transport)
writer = uploader.writer(('items', 1, 2, 3), WriterOptions())
"""

needs_fork = pytest.mark.skipif(not hasattr(os, 'fork'), reason='this system has no fork')


def run(server: Server, program: str, *, first: str = '', code: int = 0, **environment: str) -> str:
    """Run a program to its end; return what it said on stderr."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore:This process:DeprecationWarning', '-c', first + BEGIN + program, server.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=PACKAGE,
        env={**os.environ, **environment},
    )
    assert done.returncode == code, done.stderr
    assert 'a' * 32 not in done.stderr
    return done.stderr


def test_what_is_held_is_sent_at_exit(server: Server, storage: Storage) -> None:
    assert run(server, 'for n in range(1500): writer.write(n)') == ''
    assert storage.stored(PATH) == list(range(1500))


def test_an_error_of_the_program_loses_nothing(server: Server, storage: Storage) -> None:
    said = run(server, 'writer.write(0)\nraise LookupError("of the program")', code=1)
    assert 'of the program' in said
    assert storage.stored(PATH) == [0]


def test_a_client_that_was_dropped_is_sent_too(server: Server, storage: Storage) -> None:
    assert run(server, 'writer.write(0)\ndel writer, uploader\ngc.collect()') == ''
    assert storage.stored(PATH) == [0]


@pytest.mark.parametrize('last', ['writer.write(1)', 'writer.write(1); writer.flush()', 'uploader.close()'])
def test_exit_functions_of_the_program_may_write(server: Server, storage: Storage, last: str) -> None:
    program = f"""
@atexit.register
def goodbye():
    {last}

pool.IDLE_SECONDS = 0
writer.write(0)
writer.flush()
# No worker is left, and at exit none can be started.
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join(20)
if 'close' in {last!r}:
    writer.write(1)
"""
    assert run(server, program) == ''
    assert storage.stored(PATH) == [0, 1]


BEFORE_THE_EXIT = ['', 'writer.write(0); writer.flush()', 'writer.write(0)']
AFTER_THE_EXIT = ['writer.write(1)', 'writer.write(1); writer.flush()', 'uploader.close()']
AT_THE_EXIT = {
    'an exit function from before the import': 'earlier.append(say_goodbye)',
    'a destructor': 'class Goodbye:\n    def __del__(self): say_goodbye()\ngoodbye = Goodbye()',
}


# Each is a process, so the two take turns: each meets everything that is written before and after.
@pytest.mark.parametrize(
    ('before', 'last', 'when'),
    [
        pytest.param(before, last, AT_THE_EXIT[way], id=f'{before}-{last}-{way}')
        for (before, last), way in zip(product(BEFORE_THE_EXIT, AFTER_THE_EXIT), cycle(AT_THE_EXIT), strict=False)
    ],
)
def test_what_is_written_after_the_exit_was_dealt_with(
    server: Server, storage: Storage, last: str, before: str, when: str
) -> None:
    first = 'import atexit\nearlier = []\natexit.register(lambda: [each() for each in earlier])\n'
    program = f"""
def say_goodbye(writer=writer, uploader=uploader):
    {last}

{before}
{when}
"""
    assert run(server, program, first=first) == ''
    assert storage.stored(PATH) == [0] * bool(before) + [1] * ('write' in last)


def test_what_is_written_too_late_is_told(server: Server, storage: Storage) -> None:
    storage.before = lambda post: reply(status=503)
    first = 'import atexit\nearlier = []\natexit.register(lambda: [each() for each in earlier])\n'
    said = run(server, 'earlier.append(lambda: writer.write(0))', first=first, EXIT_SECONDS='1').splitlines()
    assert said[-1].startswith(f'scrapinghub: 1 records for {server.url}{PATH} were not stored and are lost: 503')


def test_writers_that_are_left_without_threads_send_from_the_main_thread(server: Server, storage: Storage) -> None:
    program = """
def no_more_threads(thread):
    raise RuntimeError("can't create new thread at interpreter shutdown")

threading.Thread.start = no_more_threads
small = uploader.writer('small', WriterOptions(size=2, qsize=2))
for n in range(7):
    small.write(n)
writer.write(0)
"""
    assert run(server, program) == ''
    assert storage.stored('/small') == list(range(7))
    assert storage.stored(PATH) == [0]


def test_the_loss_is_told_when_the_time_is_over(server: Server, storage: Storage) -> None:
    storage.before = lambda post: reply(status=503) if post.path == PATH else None
    program = 'for n in range(3): writer.write(n)\nuploader.writer("good", WriterOptions()).write(0)'
    said = run(server, program, EXIT_SECONDS='1.5').splitlines()
    assert said[-1].startswith(f'scrapinghub: 3 records for {server.url}{PATH} were not stored and are lost: 503')
    assert storage.stored('/good') == [0]


def test_refused_records_that_nobody_took_are_told(server: Server, storage: Storage) -> None:
    storage.before = lambda post: reply(status=401)
    assert 'scrapinghub: 1 records for' in run(server, 'writer.write(0)')


def test_what_was_raised_by_close_is_not_told_again(server: Server, storage: Storage) -> None:
    storage.before = lambda post: reply(status=401)
    said = run(server, 'import contextlib\nwriter.write(0)\nwith contextlib.suppress(Exception): uploader.close()')
    assert 'were not stored before the exit' not in said


def test_a_server_that_hangs_does_not_take_the_time_of_the_others(server: Server, storage: Storage) -> None:
    hold = threading.Event()
    storage.before = lambda post: Reply(b'', close=True, hold=hold) if post.path == PATH else None
    program = """
writer.write(0)
uploader.writer('good', WriterOptions()).write(0)
"""
    said = run(server, program, EXIT_SECONDS='2.5')
    hold.set()
    assert f'1 records for {server.url}{PATH}' in said
    assert storage.stored('/good') == [0]


def test_an_outage_may_end_before_the_exit(server: Server, storage: Storage) -> None:
    storage.before = failing(2, lambda: reply(status=503))
    run(server, 'writer.write(0)')
    assert storage.stored(PATH) == [0]


@needs_fork
def test_a_forked_child_leaves_the_records_of_its_parent_alone(server: Server, storage: Storage) -> None:
    program = """
writer.write('parent')
child = os.fork()
if child == 0:
    assert writer.next_number == 1 and writer.offset == 1
    assert writer.write('child') == 1
    writer.flush(10)
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert status == 0
assert writer.next_number == 1
writer.flush(10)
"""
    assert run(server, program) == ''
    assert storage.stored(PATH) == ['parent', 'child']
    assert [post.records for post in storage.posts] == [['child'], ['parent']]
    assert len({post.request.connection for post in storage.posts}) == 2


@needs_fork
def test_a_child_of_multiprocessing_sends_at_its_end(server: Server, storage: Storage) -> None:
    program = """
import multiprocessing

def work():
    uploader.writer('child', WriterOptions()).write(0)

process = multiprocessing.get_context('fork').Process(target=work)
process.start()
process.join(20)
assert process.exitcode == 0
"""
    run(server, program)
    assert storage.stored('/child') == [0]


@needs_fork
def test_forks_while_threads_write(server: Server, storage: Storage) -> None:
    program = """
stop = threading.Event()

def produce():
    while not stop.is_set():
        writer.write(0)

threads = [threading.Thread(target=produce) for _ in range(2)]
for thread in threads:
    thread.start()
for _ in range(10):
    child = os.fork()
    if child == 0:
        uploader.writer('child', WriterOptions(), shared=False).write(0)
        uploader.flush(20)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
for thread in threads:
    thread.join()
uploader.close()
print(writer.next_number, file=sys.stderr)
"""
    number = int(run(server, program))
    assert len(storage.stored(PATH)) == number
    assert sum(post.path == '/child' for post in storage.posts) == 10


@needs_fork
def test_a_signal_handler_may_write(server: Server, storage: Storage) -> None:
    program = """
signal.signal(signal.SIGALRM, lambda number, frame: writer.write('signal'))
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
for n in range(20000):
    writer.write(n)
signal.setitimer(signal.ITIMER_REAL, 0)
writer.flush(20)
assert writer.offset == writer.next_number
"""
    assert run(server, program) == ''
    stored = storage.stored(PATH)
    assert [record for record in stored if record != 'signal'] == list(range(20000))
    assert 'signal' in stored


@pytest.mark.parametrize(
    ('error', 'limit', 'code'), [('KeyboardInterrupt', 'AFTER_INTERRUPT', -2), ('ValueError', 'AFTER_ERROR', 1)]
)
def test_after_an_exception_blocks_and_exit_wait_no_longer_than_their_limit(
    server: Server, storage: Storage, error: str, limit: str, code: int
) -> None:
    storage.before = lambda post: reply(status=503)
    program = f"""
from scrapinghub.transport.uploads import deadlines
from scrapinghub.client.collectionwriter import CollectionWriter
deadlines.{limit} = 0.5
options = WriterOptions(keyed=True, lists=True)
with uploader.writer('collections/1/s/a', options, shared=False, kind=CollectionWriter) as inner:
    inner.write({{'_key': 'a'}})
    raise {error}
"""
    # The exit alone would use up the time of the subprocess.
    said = run(server, program, code=code, EXIT_SECONDS='300')
    assert said.count('were not stored and are lost: 503') == 1


@pytest.mark.parametrize(('error', 'limit'), [('KeyboardInterrupt', 'AFTER_INTERRUPT'), ('ValueError', 'AFTER_ERROR')])
def test_after_an_exception_that_the_program_caught_the_exit_adds_no_time(
    server: Server, storage: Storage, error: str, limit: str
) -> None:
    storage.before = lambda post: reply(status=503)
    program = f"""
from scrapinghub.transport.uploads import deadlines
deadlines.{limit} = 0.5
try:
    with writer:
        writer.write(0)
        raise {error}
except {error}:
    pass
"""
    # The exit alone would use up the time of the subprocess.
    said = run(server, program, EXIT_SECONDS='300')
    assert said.count('were not stored and are lost: 503') == 1


def test_what_is_written_after_a_caught_exception_has_the_time_of_the_exit(server: Server, storage: Storage) -> None:
    storage.before = lambda post: reply(status=503) if len(server.requests) < 3 else None
    program = """
from scrapinghub.transport.uploads import deadlines
deadlines.AFTER_ERROR = 0
try:
    with writer:
        writer.write(0)
        raise ValueError
except ValueError:
    pass
uploader.writer(('items', 1, 2, 4), WriterOptions()).write(0)
"""
    # On a busy machine, the pauses cause a warning.
    assert 'lost' not in run(server, program)
    assert storage.stored(PATH) == storage.stored('/items/1/2/4') == [0]
