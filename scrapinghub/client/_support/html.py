"""HTML for notebooks. Every text is escaped."""

from __future__ import annotations

from collections.abc import Iterable

TABLE = '<table style="border-collapse: collapse; text-align: left">'
_CELL_STYLE = 'style="text-align: left; vertical-align: top; padding: 0.2em 0.8em 0.2em 0"'


def render_card(title: str, rows: Iterable[tuple[str, str]], url: str | None = None) -> str:
    """Return the HTML of a resource: a title, and a table of names and values.

    Args:
        title: The title.
        rows: Names and values.
        url: Page of the resource, to which the title links; None for no link.

    Example:
        >>> '<b>Job 1/2/3</b>' in render_card('Job 1/2/3', [('project', '1')])
        True
    """
    lines = ''.join(f'<tr>{render_cell(name, "th")}{render_cell(value)}</tr>' for name, value in rows)
    heading = f'<b>{escape_text(title)}</b>'
    if url is not None:
        heading = f'<a href="{escape_text(url)}" target="_blank">{heading}</a>'
    return f'<div>{heading}{TABLE}<tbody>{lines}</tbody></table></div>'


def render_cell(text: str, tag: str = 'td') -> str:
    """Return the HTML of one table cell."""
    return f'<{tag} {_CELL_STYLE}>{escape_text(text)}</{tag}>'


def escape_text(text: str) -> str:
    """Return a text with the characters escaped that mean something in HTML."""
    # Imported here: its tables take longer to load than this package, and only notebooks need them.
    from html import escape

    return escape(text)
