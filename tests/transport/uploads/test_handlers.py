"""Signal handlers and log handlers that write and flush. Each program is a process of its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from scrapinghub.transport.uploads import deferred_logs
from support.scripted_server import Server, reply
from support.storage import Storage, failing
from transport.uploads.test_process_exit import PACKAGE, PATH, run

# A handler that stores log records with the writer; ``flushes`` are the methods that flush it.
HANDLER = """
import faulthandler, logging, logging.config
faulthandler.dump_traceback_later(30, exit=True)

class Handler(logging.Handler):
    flushes = ()

    def emit(self, record):
        writer.write(record.getMessage())
        if 'emit' in self.flushes:
            try:
                writer.flush()
            except RuntimeError:
                pass

    def flush(self):
        if 'flush' in self.flushes:
            writer.flush()
"""


def test_a_handler_that_flushes_may_interrupt_the_start_of_the_thread(server: Server, storage: Storage) -> None:
    program = """
import faulthandler
faulthandler.dump_traceback_later(30, exit=True)
# Python 3.13 has another name for it.
name = '_start_joinable_thread' if hasattr(threading, '_start_joinable_thread') else '_start_new_thread'
start = getattr(threading, name)

def start_late(*arguments, **options):
    setattr(threading, name, start)
    signal.raise_signal(signal.SIGTERM)
    return start(*arguments, **options)

signal.signal(signal.SIGTERM, lambda number, frame: writer.flush())
setattr(threading, name, start_late)
writer.write(0)
assert writer.offset == 1
"""
    assert run(server, program) == ''
    assert storage.stored(PATH) == [0]


def test_a_handler_that_creates_a_writer_may_interrupt_a_flush_of_all(server: Server, storage: Storage) -> None:
    program = """
from scrapinghub.transport.uploads import uploader as module

is_under = module._is_under

def interrupted(url, base):
    module._is_under = is_under
    signal.raise_signal(signal.SIGTERM)
    return is_under(url, base)

def handle(number, frame):
    for job in range(4, 9):
        uploader.writer(('items', 1, 2, job), WriterOptions()).write(0)

signal.signal(signal.SIGTERM, handle)
writer.write(0)
module._is_under = interrupted
uploader.flush()
"""
    assert run(server, program) == ''
    assert storage.stored(PATH) == [0]
    assert storage.stored('/items/1/2/8') == [0]


def test_ctrl_c_while_a_worker_is_woken_leaves_none_asleep(server: Server, storage: Storage) -> None:
    program = """
import time
from scrapinghub.transport.uploads import workers
suppress = workers.suppress

def interrupt(kind):
    workers.suppress = suppress
    raise KeyboardInterrupt

writer = uploader.writer(('items', 1, 2, 3), WriterOptions(interval=60.0))
for number in range(3):
    writer.write(number)
    time.sleep(0.05)
    workers.suppress = interrupt
    try:
        writer.flush()
    except KeyboardInterrupt:
        pass
    workers.suppress = suppress
    writer.flush(5)
"""
    assert run(server, program) == ''
    assert storage.stored(PATH) == [0, 1, 2]


def test_configuring_logging_flushes_a_handler_while_its_request_is_repeated(server: Server, storage: Storage) -> None:
    storage.before = failing(1, lambda: reply(status=503))
    program = """
Handler.flushes = ('flush',)
config = {'version': 1, 'disable_existing_loggers': False, 'root': {'level': 'INFO', 'handlers': ['h']},
          'handlers': {'h': {'()': Handler}}}
logging.config.dictConfig(config)
logging.info('line')
logging.config.dictConfig(config)
"""
    assert run(server, HANDLER + program, SCRAPINGHUB_INSTANT_RETRIES='1') == ''
    assert storage.stored(PATH)[0] == 'line'


def test_a_handler_that_flushes_each_line_does_not_feed_itself(server: Server, storage: Storage) -> None:
    program = """
import time
Handler.flushes = ('emit',)
logging.basicConfig(level='DEBUG', handlers=[Handler()])
logging.warning('line')
time.sleep(0.5)
logging.getLogger().handlers.clear()
"""
    run(server, HANDLER + program)
    assert storage.stored(PATH)[0] == 'line'
    # That of the line, and that of the end.
    assert len(storage.posts) <= 2


def test_handlers_are_flushed_at_the_end_of_the_program(server: Server, storage: Storage) -> None:
    program = """
import logging.handlers
Handler.flushes = ('flush',)
memory = logging.handlers.MemoryHandler(1000, target=logging.StreamHandler(sys.stderr))
memory.setLevel('INFO')
logging.basicConfig(level='DEBUG', handlers=[memory, Handler()])
logging.info('line')
"""
    assert run(server, HANDLER + program) == 'line\n'
    assert storage.stored(PATH)[0] == 'line'


@pytest.mark.parametrize('error', ['SystemExit(3)', 'LookupError("mine")'])
def test_an_exception_of_a_signal_handler_at_the_exit_is_raised_after_the_report(
    server: Server, storage: Storage, error: str
) -> None:
    storage.before = lambda post: reply(status=503)
    program = f"""
def interrupt(number, frame):
    raise {error}

signal.signal(signal.SIGTERM, interrupt)
timer = threading.Timer(1, os.kill, (os.getpid(), signal.SIGTERM))
timer.daemon = True
timer.start()
for number in range(5):
    writer.write(number)
"""
    said = run(server, program)
    assert '5 records for' in said
    assert said.count('were not stored and are lost') == 1
    assert error.partition('(')[0] in said


def test_the_records_of_every_logger_of_a_request_are_held_back() -> None:
    """A handler of theirs would run while a batch is sent, and may wait for that batch."""
    held = {logger.name for logger in deferred_logs._LOGGERS}
    # They log in the threads of the program.
    outside = {f'scrapinghub.transport.uploads.{name}' for name in ('process_exit', 'spool', 'uploader')}
    transport = PACKAGE / 'scrapinghub' / 'transport'
    names = {
        '.'.join(path.relative_to(PACKAGE).with_suffix('').parts)
        for path in transport.rglob('*.py')
        if makes_logger(path)
    }
    assert names - outside <= held


def makes_logger(path: Path) -> bool:
    """Return whether a module has a logger of its name."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    return any(ast.unparse(node).endswith('getLogger(__name__)') for node in tree.body if isinstance(node, ast.Assign))
