"""Print tables for people, and JSON lines for programs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from itertools import chain, islice
from typing import Any

import click

from scrapinghub.cli.support import Settings

# Rows by which the widths of the columns are chosen.
SAMPLE_ROWS = 100
SMALLEST_TIME = 10**12
NUMERIC = (int, float, datetime)


def is_for_people(settings: Settings) -> bool:
    """Return whether to print tables instead of JSON lines."""
    return not settings.json and sys.stdout.isatty()


def shows_progress(settings: Settings) -> bool:
    """Return whether to show progress bars."""
    return not settings.json and sys.stderr.isatty()


def print_rows(
    rows: Iterable[Mapping[str, Any]],
    settings: Settings,
    columns: Sequence[str] | None = None,
    *,
    hide_empty: bool = False,
    at_once: bool = False,
) -> None:
    """Print records: a table on a terminal, otherwise JSON lines.

    Args:
        rows: The records.
        settings: Options of the command.
        columns: Fields to print, in order; all by default.
        hide_empty: Whether to leave out columns without a value from a table.
        at_once: Whether rows can be a long time apart: the first one alone determines the columns.
    """
    if not is_for_people(settings):
        for row in rows:
            selected = row if columns is None else {name: row[name] for name in columns if name in row}
            click.echo(json.dumps(selected, ensure_ascii=False, default=str))
        return
    rows = iter(rows)
    sample = list(islice(rows, 1 if at_once else SAMPLE_ROWS))
    if not sample:
        click.echo('Nothing found.', err=True)
        return
    names = list(columns or dict.fromkeys(chain.from_iterable(sample)))
    if hide_empty:
        names = [name for name in names if any(row.get(name) not in (None, '', []) for row in sample)] or names
    # A number or a time that is cut would show another value.
    numeric = [all(row.get(name) is None or isinstance(row[name], NUMERIC) for row in sample) for name in names]
    widths = fit_widths(names, [[cell(row.get(name)) for name in names] for row in sample], numeric, spread=at_once)
    click.secho(_line(names, widths), bold=True)
    for row in chain(sample, rows):
        click.echo(_line([cell(row.get(name)) for name in names], widths))


def print_fields(fields: Mapping[str, Any], settings: Settings) -> None:
    """Print one object: a line for each field on a terminal, otherwise JSON."""
    if not is_for_people(settings):
        click.echo(json.dumps(fields, ensure_ascii=False, default=str))
        return
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        click.echo(f'{click.style(name.ljust(width), bold=True)}  {cell(value)}')


def fit_widths(
    names: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool], *, spread: bool = False
) -> list[int]:
    """Return the widths of columns that fit the terminal: the widest are cut first, numeric ones never.

    With ``spread``, the columns use the whole line, because later rows can be longer.
    """
    excess = 2 * (len(names) - 1) - shutil.get_terminal_size().columns
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    can_be_cut = [index for index, is_number in enumerate(numeric) if not is_number]
    while sum(widths) + excess > 0 and any(widths[index] > 4 for index in can_be_cut):
        widths[max(can_be_cut, key=widths.__getitem__)] -= 1
    while spread and sum(widths) + excess < 0:
        widths[min(can_be_cut or range(len(widths)), key=widths.__getitem__)] += 1
    return widths


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return '  '.join(_cut(text, width).ljust(width) for text, width in zip(cells, widths, strict=True)).rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f'{text[: max(0, width - 1)]}…'


def cell(value: Any) -> str:
    """Return a value as the text of a cell."""
    if value is None:
        return ''
    if isinstance(value, str):
        text = value
    elif isinstance(value, datetime):
        text = f'{value:%Y-%m-%d %H:%M:%S}'
    elif isinstance(value, int) and not isinstance(value, bool) and value > SMALLEST_TIME:
        text = f'{datetime.fromtimestamp(value / 1000, timezone.utc):%Y-%m-%d %H:%M:%S}'
    elif isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value):
        text = ', '.join(value)
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    return printable(text)


def printable(text: str, keep: str = '') -> str:
    """Return a text without control characters, which could change the terminal, except those in ``keep``."""
    return ''.join(character if character.isprintable() or character in keep else ' ' for character in text)
