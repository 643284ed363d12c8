"""Run a local Scrapy Cloud: ``python -m scrapinghub.sandbox``."""

from __future__ import annotations

import argparse
import contextlib
import errno
import shlex
import signal
import sqlite3
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from scrapinghub.sandbox.modes import INSTANT_VARIABLE

if TYPE_CHECKING:
    from scrapinghub.sandbox.cloud import Sandbox

PROGRAM = 'python -m scrapinghub.sandbox'
DEMO_PROJECT = 123456
USAGE_ERROR = 2
DEMO = """\
Project {project} contains demo data: the spiders books and prices, and their jobs. Read the items of a job in Python:
    from scrapinghub import ScrapinghubClient
    client = ScrapinghubClient()
    for item in client.get_job('{project}/1/3').items.iter(count=3):
        print(item)
"""
SCHEDULE_SECONDS = 1.0


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line."""

    def error(self, message: str) -> NoReturn:
        """Print the error and exit."""
        self.exit(USAGE_ERROR, f'{self.prog}: error: {message}\n')


def port_number(text: str) -> int:
    """Read a port."""
    return _integer(text, 0, 65535, 'a port is a number from 0 to 65535')


def project_id(text: str) -> int:
    """Read a project id."""
    return _integer(text, 1, 10**18 - 1, 'a project id is a positive integer')


def unit_count(text: str) -> int:
    """Read a number of units."""
    return _integer(text, 1, 10**6, 'a number of units is a positive integer')


def api_key(text: str) -> str:
    """Read an API key, which must fit into a header and into a line of a shell."""
    if not text or not text.isascii() or not text.isprintable() or ':' in text or '/' in text:
        raise argparse.ArgumentTypeError('an API key is printable ASCII text without : and /')
    return text


def _integer(text: str, least: int, most: int, words: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f'{words}, not {text!r}')
    return int(text)


def build_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(
        prog=PROGRAM,
        description='Run a local Scrapy Cloud until Ctrl-C. First it prints the environment variables that other '
        'programs need, as lines of the form "export NAME=value".',
    )
    parser.add_argument('--port', type=port_number, default=0, help='port on 127.0.0.1 (default: a free port)')
    parser.add_argument(
        '--db', metavar='FILE', help='SQLite file for the data (default: the data are deleted at the end)'
    )
    parser.add_argument(
        '--project',
        dest='projects',
        metavar='ID',
        type=project_id,
        nargs='+',
        action='extend',
        help='ids of the projects that exist (default: a project is created when its id is first used)',
    )
    parser.add_argument('--apikey', metavar='KEY', type=api_key, help='the API key (default: a random key)')
    parser.add_argument(
        '--seed-demo', action='store_true', help='create demo data in the first project, unless it has jobs'
    )
    parser.add_argument(
        '--scrapy',
        metavar='FOLDER',
        help='run the scheduled jobs with the spiders of the Scrapy project in this folder',
    )
    parser.add_argument(
        '--units', metavar='N', type=unit_count, default=1, help='units that jobs use at the same time (default: 1)'
    )
    parser.add_argument('--python', metavar='EXE', help='the interpreter that runs the jobs (default: this one)')
    parser.add_argument('--log', action='store_true', help='log each request to the standard error output')
    return parser


def start(options: argparse.Namespace) -> Sandbox:
    """Start the sandbox that the options describe.

    Raises:
        SystemExit: It cannot start; the reason was printed.
    """
    try:
        from scrapinghub.sandbox import Sandbox

        return Sandbox(
            options.projects,
            apikey=options.apikey,
            db=options.db,
            port=options.port,
            scrapy=options.scrapy,
            units=options.units,
            python=options.python,
        )
    except (ImportError, ValueError) as error:
        _give_up(str(error))
    except sqlite3.Error as error:
        _give_up(f'cannot keep the data in {options.db}: {error}')
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            _give_up(f'port {options.port} is in use: choose another, or leave --port out to take a free one')
        _give_up(f'cannot listen on port {options.port}: {error.strerror or error}')


def _give_up(message: str) -> NoReturn:
    sys.stderr.write(f'{PROGRAM}: error: {message}\n')
    raise SystemExit(USAGE_ERROR)


def print_status(*words: object) -> None:
    """Print a line to the standard error output, unbuffered."""
    print(*words, file=sys.stderr, flush=True)


def seed(cloud: Sandbox, projects: list[int] | None) -> None:
    """Fill a project with the demo, unless it has jobs."""
    from scrapinghub.sandbox.demo import seed_demo

    project = projects[0] if projects else DEMO_PROJECT
    if seed_demo(cloud, project):
        print_status(DEMO.format(project=project))
    else:
        print_status(f'Project {project} already has jobs, so no demo data were created.')


def serve(options: argparse.Namespace) -> None:
    """Serve until a signal interrupts it."""
    with start(options) as cloud:
        if options.log:
            cloud.requests.listener = print_status
        if options.seed_demo:
            seed(cloud, options.projects)
        # Instant retries are for tests: programs would lose data when the sandbox is restarted.
        for name, value in cloud.environ.items():
            if name == INSTANT_VARIABLE:
                continue
            print(f'export {name}={shlex.quote(value)}')
        sys.stdout.flush()
        print_status(
            f'A local Scrapy Cloud runs at {cloud.url}. Open it in a browser to see its data. Ctrl-C stops it.'
        )
        while True:
            # Without requests, periodic jobs start at their minute too.
            time.sleep(SCHEDULE_SECONDS)
            cloud.scheduler.catch_up()


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit status."""
    options = build_parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Python's own handler, also where the shell that started this program ignores the signal.
        signal.signal(number, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        serve(options)
    return 0


if __name__ == '__main__':
    sys.exit(main())
