"""Spiders: their ids, tags and job numbers.

Functions over a connection; writers must run inside a write transaction.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from scrapinghub.sandbox.store.validation import InvalidValue, storable

SCHEMA = """
CREATE TABLE IF NOT EXISTS spiders (
    project INTEGER NOT NULL,
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    last_job INTEGER NOT NULL DEFAULT 0,
    tags TEXT NOT NULL DEFAULT '[]',
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    PRIMARY KEY (project, id),
    UNIQUE (project, name)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Spider:
    """One spider of a project."""

    project: int
    id: int
    name: str
    tags: list[str]
    version: str | None
    created: int
    modified: int


_SPIDER = """
SELECT s.project, s.id, s.name, s.tags, v.version, s.created, s.modified
FROM spiders s LEFT JOIN versions v ON v.project = s.project
"""


def _spider(row: tuple[Any, ...]) -> Spider:
    project, number, name, tags, version, created, modified = row
    return Spider(project, number, name, json.loads(tags), version, created, modified)


def of_project(connection: sqlite3.Connection, project: int) -> list[Spider]:
    """List the spiders of a project in the order of their ids."""
    return [_spider(row) for row in connection.execute(_SPIDER + 'WHERE s.project = ? ORDER BY s.id', (project,))]


def find(connection: sqlite3.Connection, project: int, number: int) -> Spider | None:
    """Return the spider with this id, or None."""
    row = connection.execute(_SPIDER + 'WHERE s.project = ? AND s.id = ?', (project, number)).fetchone()
    return None if row is None else _spider(row)


def spider_id(connection: sqlite3.Connection, project: int, name: str) -> int | None:
    """Return the id of the spider with this name, or None."""
    row = connection.execute('SELECT id FROM spiders WHERE project = ? AND name = ?', (project, name)).fetchone()
    return None if row is None else int(row[0])


def ensure_spider(connection: sqlite3.Connection, project: int, name: object, now: int) -> int:
    """Return the id of a spider, creating the spider when it is new.

    Raises:
        InvalidValue: The name is not a non-empty string.
    """
    if not isinstance(name, str) or not name or not storable(name):
        raise InvalidValue('spider should be a non-empty string')
    known = spider_id(connection, project, name)
    if known is not None:
        return known
    number: int = connection.execute(
        'SELECT COALESCE(MAX(id), 0) + 1 FROM spiders WHERE project = ?', (project,)
    ).fetchone()[0]
    connection.execute(
        'INSERT INTO spiders (project, id, name, created, modified) VALUES (?, ?, ?, ?, ?)',
        (project, number, name, now, now),
    )
    return number


def next_job_number(connection: sqlite3.Connection, project: int, spider: int) -> int:
    """Use up one job number of a spider."""
    connection.execute('UPDATE spiders SET last_job = last_job + 1 WHERE project = ? AND id = ?', (project, spider))
    row = connection.execute('SELECT last_job FROM spiders WHERE project = ? AND id = ?', (project, spider)).fetchone()
    return int(row[0])


def retag(connection: sqlite3.Connection, spider: Spider, add: list[str], remove: list[str], now: int) -> Spider:
    """Change the tags of a spider: kept ones first, new ones after them, none twice."""
    tags = retagged(spider.tags, add, remove)
    connection.execute(
        'UPDATE spiders SET tags = ?, modified = ? WHERE project = ? AND id = ?',
        (json.dumps(tags), now, spider.project, spider.id),
    )
    return Spider(spider.project, spider.id, spider.name, tags, spider.version, spider.created, now)


def retagged(tags: list[str], add: list[str], remove: list[str]) -> list[str]:
    """Return tags after removing some and adding others.

    Example:
        >>> retagged(['a', 'b'], ['c', 'a'], ['b'])
        ['a', 'c']
    """
    kept = [tag for tag in tags if tag not in remove]
    return list(dict.fromkeys([*kept, *add]))
