"""Project settings, and the bot groups that they name.

Functions over a connection; writers must run inside a write transaction.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from scrapinghub.sandbox.store.validation import InvalidValue, storable

SCHEMA = """
CREATE TABLE IF NOT EXISTS project_settings (
    project INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (project, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS botgroups (
    name TEXT PRIMARY KEY,
    max_running INTEGER
) WITHOUT ROWID;
"""


def read_all(connection: sqlite3.Connection, project: int) -> dict[str, Any]:
    """Return all settings of a project, ordered by name."""
    rows = connection.execute('SELECT name, value FROM project_settings WHERE project = ? ORDER BY name', (project,))
    return {name: json.loads(value) for name, value in rows}


def merge(connection: sqlite3.Connection, project: int, values: dict[str, Any]) -> None:
    """Store settings; the ones that are not named stay."""
    for name in values:
        if not name or not storable(name):
            raise InvalidValue('the name of a setting should be a non-empty string')
    connection.executemany(
        'INSERT OR REPLACE INTO project_settings (project, name, value) VALUES (?, ?, ?)',
        [(project, name, json.dumps(value)) for name, value in values.items()],
    )


def delete(connection: sqlite3.Connection, project: int, name: str) -> None:
    """Forget one setting; an absent one is fine."""
    connection.execute('DELETE FROM project_settings WHERE project = ? AND name = ?', (project, name))


def set_max_running(connection: sqlite3.Connection, name: str, limit: int | None) -> None:
    """Limit the running jobs of a bot group; None is no limit."""
    connection.execute('INSERT OR REPLACE INTO botgroups (name, max_running) VALUES (?, ?)', (name, limit))


def max_running(connection: sqlite3.Connection, name: str) -> int | None:
    """Return the limit of a bot group, None when there is none."""
    row = connection.execute('SELECT max_running FROM botgroups WHERE name = ?', (name,)).fetchone()
    return None if row is None else row[0]


def delete_botgroup(connection: sqlite3.Connection, name: str) -> None:
    """Forget a bot group; an absent one is fine."""
    connection.execute('DELETE FROM botgroups WHERE name = ?', (name,))
