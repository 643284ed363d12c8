"""The group of all commands, and what their errors become."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from scrapinghub import __version__
from scrapinghub.cli.collections import collections
from scrapinghub.cli.jobs import cancel, delete, jobs, run_job, show, tag, wait
from scrapinghub.cli.output import print_rows
from scrapinghub.cli.periodic_jobs import periodic_jobs
from scrapinghub.cli.records import download, items, logs, requests
from scrapinghub.cli.sandbox import sandbox
from scrapinghub.cli.support import Settings, common_options, connect
from scrapinghub.config.validation import Expected

INTERRUPTED = 130


@click.group(context_settings={'help_option_names': ['-h', '--help'], 'max_content_width': 100})
@click.version_option(__version__, prog_name='scrapinghub')
@click.pass_context
def cli(context: click.Context) -> None:
    """Work with jobs, their data, collections and periodic jobs in Scrapy Cloud.

    The API key is read from the environment variable SH_APIKEY, a .env file or scrapinghub.yml. Use shub to deploy
    projects.

    Commands print tables on a terminal, and JSON lines to a pipe or with --json. The exit
    status is 1 if a request fails, a job does not end with "finished" or in time, the target file exists or an extra is
    missing; 2 for wrong arguments or no API key; and 130 after Ctrl-C.
    """
    if os.environ.get('NO_COLOR'):
        context.color = False


@cli.command()
@common_options
def whoami(settings: Settings) -> None:
    """Show the user that the API key belongs to."""
    with connect(settings) as client:
        print_rows([client.whoami()], settings)


for command in (
    *(jobs, run_job, wait, cancel, show, items, logs, requests, download, delete, tag),
    *(collections, periodic_jobs, sandbox),
):
    cli.add_command(command)


def run(arguments: Sequence[str]) -> int:
    """Run a command; return the exit status."""
    from scrapinghub.exceptions import ScrapinghubAPIError

    debug = '--debug' in arguments
    try:
        return cli.main(list(arguments), prog_name='scrapinghub', standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo('Interrupted.', err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader, such as head, has seen enough. Python would fail again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except FileExistsError as error:
        # Downloads name the argument of Python.
        return _report(error, 1, f'{error.filename!r} exists: use --overwrite to replace it', debug=debug)
    except (ScrapinghubAPIError, OSError, ImportError) as error:
        return _report(error, 1, debug=debug)
    except (ValueError, TypeError, RuntimeError) as error:
        # What the library says about arguments, and about missing credentials.
        return _report(error, 2, debug=debug)


def _report(error: Exception, status: int, message: str | None = None, *, debug: bool) -> int:
    if debug:
        raise error
    detail = f': {error.__cause__}' if isinstance(error.__cause__, Expected) else ''
    click.echo(f'Error: {message or error}{detail}', err=True)
    return status
