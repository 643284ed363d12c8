"""Tables and cards in Jupyter. Nothing in this module sends a request.

Objects such as :class:`~scrapinghub.client.jobs.Job` are shown as a card. Lists of dicts are shown as a table after
``%load_ext scrapinghub.client.notebook``, or when they are wrapped in a :class:`Table`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from scrapinghub.client._support.html import TABLE, render_cell
from scrapinghub.client._support.html import render_card as card

__all__ = ['Table', 'card', 'load_ipython_extension', 'unload_ipython_extension']

# The first columns; other fields follow in the order of the records.
_FIRST_COLUMNS = ('key', '_key', 'id', 'name', 'spider', 'state', 'close_reason', 'items', 'pages', 'errors', 'tags')
_TIME_COLUMNS = ('ts', '_ts', 'time')
_MAX_LENGTH = 200


class Table:
    """A list of dicts that Jupyter shows as a table.

    Args:
        records: Dicts, such as ``project.jobs.list()`` returns. An iterator is read to its end.
        columns: Names of the fields to show; all fields by default.
        limit: Maximum number of rows to show.

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
        self._columns = list(columns) if columns is not None else _find_columns(self.records[:limit])
        self._limit = limit

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        return f'<{_count_records(len(self.records))}: {", ".join(self._columns)}>'

    def _repr_html_(self) -> str:
        return self.html()

    def html(self) -> str:
        """Return the table as HTML. All texts are escaped.

        Example:
            >>> '<td' in Table([{'title': 'Emma'}]).html()
            True
        """
        head = ''.join(render_cell(name, 'th') for name in self._columns)
        rows = ''.join(f'<tr>{self._cells(record)}</tr>' for record in self.records[: self._limit])
        caption = _count_records(len(self.records))
        if len(self.records) > self._limit:
            caption += f', of which the first {self._limit} are shown'
        return (
            f'<div style="overflow-x: auto">{TABLE}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
            f'<p>{caption}</p></div>'
        )

    def _cells(self, record: Mapping[str, Any]) -> str:
        return ''.join(
            render_cell(_format_value(name, record[name]) if name in record else '') for name in self._columns
        )


def load_ipython_extension(ipython: Any) -> None:
    """Show lists of dicts as tables; called by ``%load_ext scrapinghub.client.notebook``."""
    ipython.display_formatter.formatters['text/html'].for_type(list, _html_of_list)


def unload_ipython_extension(ipython: Any) -> None:
    """Show lists as IPython does by default; called by ``%unload_ext scrapinghub.client.notebook``."""
    ipython.display_formatter.formatters['text/html'].pop(list, None)


def _html_of_list(records: list[Any]) -> str | None:
    # For None, IPython shows the plain text.
    if not records or not all(isinstance(record, dict) for record in records):
        return None
    return Table(records).html()


def _count_records(number: int) -> str:
    return '1 record' if number == 1 else f'{number} records'


def _find_columns(records: Iterable[Mapping[str, Any]]) -> list[str]:
    found = dict.fromkeys(str(name) for record in records for name in record)
    return [name for name in _FIRST_COLUMNS if name in found] + [name for name in found if name not in _FIRST_COLUMNS]


def _format_value(name: str, value: Any) -> str:
    text = _render_text(name, value)
    return text if len(text) <= _MAX_LENGTH else f'{text[:_MAX_LENGTH]}…'


def _render_text(name: str, value: Any) -> str:
    if value is None:
        return ''
    if isinstance(value, int) and not isinstance(value, bool) and (name in _TIME_COLUMNS or name.endswith('_time')):
        return _format_time(value)
    if isinstance(value, (list, tuple)):
        return ', '.join(_render_text('', element) for element in value[:_MAX_LENGTH])
    if isinstance(value, Mapping):
        return str(value['key']) if 'key' in value else json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _format_time(milliseconds: int) -> str:
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    except (OverflowError, OSError, ValueError):
        return str(milliseconds)
    return f'{moment:%Y-%m-%d %H:%M:%S} UTC'
