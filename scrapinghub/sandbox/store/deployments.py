"""Eggs, reports, and the version of the code deployed to a project.

Functions over a connection; writers must run inside a write transaction.
"""

from __future__ import annotations

import sqlite3

SCHEMA = """
CREATE TABLE IF NOT EXISTS versions (
    project INTEGER PRIMARY KEY,
    version TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS eggs (
    project INTEGER NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (project, name)
);
CREATE TABLE IF NOT EXISTS reports (
    job TEXT NOT NULL,
    key TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (job, key)
);
"""


def version(connection: sqlite3.Connection, project: int) -> str | None:
    """Return the version of the code deployed to a project, None when nothing was deployed."""
    row = connection.execute('SELECT version FROM versions WHERE project = ?', (project,)).fetchone()
    return None if row is None else str(row[0])


def set_version(connection: sqlite3.Connection, project: int, name: str) -> None:
    """Store the version of the code deployed to a project, which every spider of the project shows."""
    connection.execute('INSERT OR REPLACE INTO versions VALUES (?, ?)', (project, name))


def add_egg(connection: sqlite3.Connection, project: int, name: str, version: str, content: bytes) -> None:
    """Store an egg in place of an earlier version of it."""
    connection.execute('INSERT OR REPLACE INTO eggs VALUES (?, ?, ?, ?)', (project, name, version, content))


def eggs(connection: sqlite3.Connection, project: int) -> list[tuple[str, str]]:
    """Return name and version of each egg of a project, by name."""
    query = 'SELECT name, version FROM eggs WHERE project = ? ORDER BY name'
    return connection.execute(query, (project,)).fetchall()


def delete_egg(connection: sqlite3.Connection, project: int, name: str) -> None:
    """Delete an egg if it exists."""
    connection.execute('DELETE FROM eggs WHERE project = ? AND name = ?', (project, name))


def add_report(connection: sqlite3.Connection, job: str, key: str, content_type: str, content: bytes) -> None:
    """Store a report of a job in place of an earlier one with the same key."""
    connection.execute('INSERT OR REPLACE INTO reports VALUES (?, ?, ?, ?)', (job, key, content_type, content))
