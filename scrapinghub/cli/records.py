"""Commands for the data of jobs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from logging import getLevelName
from typing import Any

import click

from scrapinghub.cli.output import is_for_people, print_rows, printable, shows_progress
from scrapinghub.cli.support import Settings, common_options, connect

KINDS = ('items', 'logs', 'requests', 'samples')
# Control characters that a message of several lines needs.
LINES = '\n\t'


def _check_filters(_context: click.Context, _option: click.Parameter, filters: tuple[str, ...]) -> tuple[str, ...]:
    for text in filters:
        try:
            json.loads(text)
        except ValueError as error:
            raise click.BadParameter(f'{text!r} is not JSON: {error}') from error
    return filters


def _reading(kind: str) -> click.Command:
    """Return the command that prints records of one kind."""

    @click.command(kind, help=f'Print the {kind} of a job.')
    @click.argument('key')
    @click.option('-f', '--follow', is_flag=True, help='Print new records until the job is finished.')
    @click.option('-n', 'last', type=click.IntRange(0), metavar='LAST', help='Only the last records.')
    @click.option(
        '--filter',
        'filters',
        metavar='JSON',
        multiple=True,
        callback=_check_filters,
        help='Filter such as ["price", ">", [20]].',
    )
    @click.option('--fields', metavar='A,B', help='Only these fields.')
    @common_options
    def read(
        settings: Settings, key: str, follow: bool, last: int | None, filters: tuple[str, ...], fields: str | None
    ) -> None:
        with connect(settings) as client:
            records = getattr(client.get_job(key), kind)
            options = {'filter': list(filters)} if filters else {}
            found: Iterable[Any]
            if follow:
                found = records.follow(tail=last, **options)
            elif last is not None:
                found = records.tail(last, **options)
            else:
                found = records.iter(**options)
            if kind == 'logs' and not fields:
                print_log(found, settings)
            else:
                columns = [name.strip() for name in fields.split(',')] if fields else None
                print_rows(found, settings, columns, at_once=follow)

    return read


items = _reading('items')
logs = _reading('logs')
requests = _reading('requests')


def print_log(entries: Iterable[Mapping[str, Any]], settings: Settings) -> None:
    """Print log entries: lines of time, level and message on a terminal, otherwise JSON lines."""
    if not is_for_people(settings):
        for entry in entries:
            click.echo(json.dumps(entry, ensure_ascii=False, default=str))
        return
    for entry in entries:
        moment = datetime.fromtimestamp(entry['time'] / 1000, timezone.utc)
        color = {30: 'yellow', 40: 'red', 50: 'red'}.get(entry['level'])
        text = f'{moment:%Y-%m-%d %H:%M:%S} {getLevelName(entry["level"]):<8} {printable(entry["message"], keep=LINES)}'
        click.secho(text, fg=color)


@click.command()
@click.argument('kind', type=click.Choice(KINDS))
@click.argument('key')
@click.argument('path', type=click.Path())
@click.option('--overwrite', is_flag=True, help='Replace an existing file.')
@click.option(
    '--max-workers', type=click.IntRange(min=1), default=1, metavar='N', help='Read over at most N connections.'
)
@common_options
def download(settings: Settings, kind: str, key: str, path: str, overwrite: bool, max_workers: int) -> None:
    """Store the records of a job in a file; continues an interrupted download.

    The suffix of PATH determines the format: .jl, .jsonl, .ndjson, .json, .csv, .parquet, .log; .gz compresses.
    """
    with connect(settings) as client:
        records = getattr(client.get_job(key), kind)
        progress = shows_progress(settings)
        click.echo(records.download(path, progress=progress, overwrite=overwrite, max_workers=max_workers))
