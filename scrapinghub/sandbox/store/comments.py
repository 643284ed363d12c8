"""Comments on items, and on fields of items.

Functions over a connection; writers must run inside a write transaction.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

JobId = tuple[int, int, int]

SCHEMA = """
CREATE TABLE IF NOT EXISTS comments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project INTEGER NOT NULL,
    spider INTEGER NOT NULL,
    job INTEGER NOT NULL,
    item INTEGER NOT NULL,
    field TEXT NOT NULL,
    text TEXT NOT NULL,
    author TEXT NOT NULL,
    created INTEGER NOT NULL,
    archived INTEGER
);
CREATE INDEX IF NOT EXISTS comments_by_item ON comments (project, spider, job, item, field, id);
"""
_COLUMNS = 'id, project, item, field, text, author, created, archived'


@dataclass(frozen=True)
class Comment:
    """One comment.

    Attributes:
        id: Its id.
        project: The project's id.
        item: Number of the item.
        field: The field of the item; empty for the item itself.
        text: The text.
        author: Name of the user who wrote it.
        created: Time of writing, in milliseconds.
        archived: Time of archiving, in milliseconds; None when it is not archived.
    """

    id: int
    project: int
    item: int
    field: str
    text: str
    author: str
    created: int
    archived: int | None

    @property
    def target(self) -> str:
        """What the comment is on: the number of the item, with the field if there is one."""
        return f'{self.item}/{self.field}' if self.field else str(self.item)


def of_job(connection: sqlite3.Connection, job: JobId) -> list[Comment]:
    """Return all comments of a job, archived ones too, by item, field and id."""
    query = f'SELECT {_COLUMNS} FROM comments WHERE project = ? AND spider = ? AND job = ? ORDER BY item, field, id'
    return [Comment(*row) for row in connection.execute(query, job).fetchall()]


def of_item(connection: sqlite3.Connection, job: JobId, item: int, field: str) -> list[Comment]:
    """Return the comments on an item or one of its fields, archived ones too, by id."""
    query = (
        f'SELECT {_COLUMNS} FROM comments '
        'WHERE project = ? AND spider = ? AND job = ? AND item = ? AND field = ? ORDER BY id'
    )
    return [Comment(*row) for row in connection.execute(query, (*job, item, field)).fetchall()]


def find(connection: sqlite3.Connection, number: int) -> Comment | None:
    """Return the comment with this id, or None."""
    row: tuple[Any, ...] | None = connection.execute(
        f'SELECT {_COLUMNS} FROM comments WHERE id = ?', (number,)
    ).fetchone()
    return None if row is None else Comment(*row)


def commented_items(connection: sqlite3.Connection, project: int) -> dict[str, int]:
    """Return the number of items with comments that are not archived, for each job of a project that has some."""
    rows = connection.execute(
        'SELECT spider, job, COUNT(DISTINCT item) FROM comments WHERE project = ? AND archived IS NULL '
        'GROUP BY spider, job ORDER BY spider, job',
        (project,),
    ).fetchall()
    return {f'{project}/{spider}/{job}': count for spider, job, count in rows}


def add(connection: sqlite3.Connection, job: JobId, item: int, field: str, *, text: str, author: str, now: int) -> int:
    """Store a comment and return its id."""
    cursor = connection.execute(
        'INSERT INTO comments (project, spider, job, item, field, text, author, created) '
        'VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
        (*job, item, field, text, author, now),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def edit(connection: sqlite3.Connection, number: int, text: str) -> None:
    """Replace the text of a comment."""
    connection.execute('UPDATE comments SET text = ? WHERE id = ?', (text, number))


def archive(connection: sqlite3.Connection, number: int, now: int) -> None:
    """Archive a comment; an archived one keeps its time of archiving."""
    connection.execute('UPDATE comments SET archived = ? WHERE id = ? AND archived IS NULL', (now, number))
