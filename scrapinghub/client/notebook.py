"""How things look in Jupyter: a card for one thing, a table for a listing. Nothing here asks the service for anything.

Objects such as :class:`~scrapinghub.client.jobs.Job` show their card by themselves. Listings are plain lists; after
``%load_ext scrapinghub.client.notebook`` a notebook shows every list of dicts as a table, or wrap one in a
:class:`Table`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

__all__ = ['Table', 'card', 'load_ipython_extension', 'unload_ipython_extension']

# What one looks for first in a listing of jobs; other fields follow in the order in which they come.
_FIRST = ('key', '_key', 'id', 'name', 'spider', 'state', 'close_reason', 'items', 'pages', 'errors', 'logs', 'tags')
_TIMES = ('ts', '_ts', 'time')
_LONGEST = 200

_TABLE = '<table style="border-collapse: collapse; text-align: left">'
_CELL = 'style="text-align: left; vertical-align: top; padding: 0.2em 0.8em 0.2em 0"'


class Table:
    """A listing, shown as a table in Jupyter and as itself elsewhere.

    Args:
        records: Dicts, as ``project.jobs.list()`` and its kin give them; an iterator is read to its end.
        columns: Names of the fields to show; all of them by default.
        limit: Show at most this many rows, and tell how many more there are.

    Attributes:
        records: The records, as a list.

    Example:
        >>> Table(project.jobs.list(count=2), columns=['key', 'state'])
        <2 records: key, state>
    """

    def __init__(
        self, records: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None, *, limit: int = 100
    ) -> None:
        self.records: list[Mapping[str, Any]] = [*records]
        self._columns = list(columns) if columns is not None else _columns_of(self.records[:limit])
        self._limit = limit

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        return f'<{_counted(len(self.records))}: {", ".join(self._columns)}>'

    def _repr_html_(self) -> str:
        return self.html()

    def html(self) -> str:
        """Return the table as HTML in which everything is escaped."""
        head = ''.join(f'<th {_CELL}>{_escape(name)}</th>' for name in self._columns)
        rows = ''.join(f'<tr>{self._cells(record)}</tr>' for record in self.records[: self._limit])
        more = len(self.records) - self._limit
        told = _counted(len(self.records)) + (f', of which the first {self._limit} are shown' if more > 0 else '')
        return (
            f'<div style="overflow-x: auto">{_TABLE}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
            f'<p>{told}</p></div>'
        )

    def _cells(self, record: Mapping[str, Any]) -> str:
        return ''.join(
            f'<td {_CELL}>{_escape(_shown(name, record[name])) if name in record else ""}</td>'
            for name in self._columns
        )


def _escape(text: str) -> str:
    # Its tables of names take longer to load than the rest of this module, and only notebooks need them.
    from html import escape

    return escape(text)


def card(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """Return the HTML of one thing.

    Args:
        title: What it is.
        rows: Names and values.

    Returns:
        HTML in which all of them are escaped.

    Example:
        >>> '<b>Job 1/2/3</b>' in card('Job 1/2/3', [('project', '1')])
        True
    """
    lines = ''.join(
        f'<tr><th {_CELL}>{_escape(name)}</th><td {_CELL}>{_escape(value)}</td></tr>' for name, value in rows
    )
    return f'<div><b>{_escape(title)}</b>{_TABLE}<tbody>{lines}</tbody></table></div>'


def load_ipython_extension(ipython: Any) -> None:
    """Show lists of dicts as tables from now on; called by ``%load_ext scrapinghub.client.notebook``."""
    ipython.display_formatter.formatters['text/html'].for_type(list, _html_of_list)


def unload_ipython_extension(ipython: Any) -> None:
    """Show lists as IPython does; called by ``%unload_ext scrapinghub.client.notebook``."""
    ipython.display_formatter.formatters['text/html'].pop(list, None)


def _html_of_list(records: list[Any]) -> str | None:
    # None leaves it to the plain text.
    if not records or not all(isinstance(record, dict) for record in records):
        return None
    return Table(records).html()


def _counted(number: int) -> str:
    return '1 record' if number == 1 else f'{number} records'


def _columns_of(records: Iterable[Mapping[str, Any]]) -> list[str]:
    found = dict.fromkeys(str(name) for record in records for name in record)
    return [name for name in _FIRST if name in found] + [name for name in found if name not in _FIRST]


def _shown(name: str, value: Any) -> str:
    text = _text(name, value)
    return text if len(text) <= _LONGEST else f'{text[:_LONGEST]}…'


def _text(name: str, value: Any) -> str:
    if value is None:
        return ''
    if isinstance(value, int) and not isinstance(value, bool) and (name in _TIMES or name.endswith('_time')):
        return _moment(value)
    if isinstance(value, (list, tuple)):
        return ', '.join(_text('', element) for element in value[:_LONGEST])
    if isinstance(value, Mapping):
        return str(value['key']) if 'key' in value else json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _moment(milliseconds: int) -> str:
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    except (OverflowError, OSError, ValueError):
        return str(milliseconds)
    return f'{moment:%Y-%m-%d %H:%M:%S} UTC'
