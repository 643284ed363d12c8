"""The projects that exist in the sandbox."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from scrapinghub.sandbox.store.database import Store
from scrapinghub.sandbox.store.spiders import ensure_spider

SCHEMA = """
CREATE TABLE IF NOT EXISTS projects (id INTEGER PRIMARY KEY, position INTEGER NOT NULL);
"""


def project_ids(connection: sqlite3.Connection) -> list[int]:
    """Return all project ids in the order in which they were added."""
    return [number for (number,) in connection.execute('SELECT id FROM projects ORDER BY position').fetchall()]


def project_exists(connection: sqlite3.Connection, project: int) -> bool:
    """Return whether a project exists."""
    return connection.execute('SELECT 1 FROM projects WHERE id = ?', (project,)).fetchone() is not None


def add_project(connection: sqlite3.Connection, project: int) -> None:
    """Add a project; one that exists stays as it is. Call it inside a write transaction."""
    connection.execute(
        'INSERT OR IGNORE INTO projects VALUES (?, (SELECT COALESCE(MAX(position), 0) + 1 FROM projects))', (project,)
    )


class Projects:
    """Decide which project ids exist.

    Args:
        store: The data.
        initial: Ids of the projects that exist; ``None`` creates a project when its id is first used.
        spider_names: Names of the spiders that each project has from the beginning.
    """

    def __init__(self, store: Store, initial: Iterable[int] | None, spider_names: Sequence[str] = ()) -> None:
        self._store = store
        self._initial = None if initial is None else tuple(initial)
        self._spider_names = spider_names
        self.restore()

    def restore(self) -> None:
        """Add the initial projects, at the start and again after the store was emptied."""
        if self._initial:
            with self._store.write() as connection:
                for project in self._initial:
                    self._add(connection, project)

    def admit(self, project: int) -> bool:
        """Return whether a project exists; create it where every id is allowed. Not inside a write transaction."""
        if project_exists(self._store.read(), project):
            return True
        if self._initial is not None:
            return False
        with self._store.write() as connection:
            self._add(connection, project)
        return True

    def _add(self, connection: sqlite3.Connection, project: int) -> None:
        add_project(connection, project)
        for name in self._spider_names:
            ensure_spider(connection, project, name, self._store.now())
