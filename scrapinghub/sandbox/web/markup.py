"""HTML in which every text is escaped."""

from __future__ import annotations

from html import escape


class Markup(str):
    """HTML that this module built; any other text is escaped."""

    __slots__ = ()


Child = str | int | float | None


def render(child: Child) -> str:
    """Return the HTML of one child: itself, or an escaped text; nothing of ``None``."""
    if child is None:
        return ''
    return str(child) if isinstance(child, Markup) else escape(str(child))


def join(*children: Child) -> Markup:
    """Put children one after the other."""
    return Markup(''.join(map(render, children)))


def tag(name: str, *children: Child, **attributes: str | None) -> Markup:
    """Build an element.

    Args:
        name: Its name.
        children: Its children.
        attributes: Its attributes, ``class_`` for ``class``; ``None`` leaves one out.
    """
    given = {key.rstrip('_').replace('_', '-'): value for key, value in attributes.items() if value is not None}
    written = ''.join(f' {key}="{escape(value)}"' for key, value in given.items())
    return Markup(f'<{name}{written}>{join(*children)}</{name}>')


def table(headings: tuple[str, ...], rows: list[tuple[Child, ...]], empty: str) -> Markup:
    """Build a table whose cells have their heading as an attribute, or a text in place of an empty table.

    Args:
        headings: The headings; one that ends in ``#`` is of numbers.
        rows: The cells.
        empty: The text in place of a table without rows.
    """
    if not rows:
        return tag('p', empty, class_='empty')
    titles = [heading.rstrip('#') for heading in headings]
    styles = ['number' if heading.endswith('#') else None for heading in headings]
    columns = list(zip(titles, styles, strict=True))
    head = tag('tr', *(tag('th', title, class_=style, scope='col') for title, style in columns))
    body = [
        tag(
            'tr',
            *(
                tag('td', cell if cell in ('', None) else tag('div', cell), class_=style, data_label=title)
                for cell, (title, style) in zip(row, columns, strict=True)
            ),
        )
        for row in rows
    ]
    return tag('div', tag('table', tag('thead', head), tag('tbody', *body)), class_='scroll')
