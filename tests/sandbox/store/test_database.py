from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from scrapinghub.sandbox.store.database import Store

SCHEMA = 'CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v TEXT);'


def count(store: Store) -> int:
    found: int = store.read().execute('SELECT COUNT(*) FROM t').fetchone()[0]
    return found


def test_a_transaction_is_committed_or_undone() -> None:
    store = Store(schemas=[SCHEMA], clock=lambda: 5)
    with store.write() as connection:
        connection.execute("INSERT INTO t (v) VALUES ('a')")
    with pytest.raises(sqlite3.IntegrityError), store.write() as connection:
        connection.executemany('INSERT INTO t (id) VALUES (?)', [(7,), (7,)])
    assert count(store) == 1
    with store.write() as connection, pytest.raises(RuntimeError, match='already open in this thread'), store.write():
        pass
    with store.write() as connection:
        connection.execute("INSERT INTO t (v) VALUES ('c')")
    assert count(store) == 2
    assert store.now() == 5
    store.close()


def test_a_reader_sees_no_half_transaction_and_does_not_wait() -> None:
    store = Store(schemas=[SCHEMA])
    seen: list[int] = []
    with store.write() as connection:
        connection.execute("INSERT INTO t (v) VALUES ('a')")
        thread = threading.Thread(target=lambda: seen.append(count(store)))
        thread.start()
        thread.join(10)
        assert seen == [0]
    assert count(store) == 1
    store.close()


def test_writers_take_turns() -> None:
    store = Store(schemas=[SCHEMA])

    def write() -> None:
        for _ in range(50):
            with store.write() as connection:
                found = connection.execute('SELECT COUNT(*) FROM t').fetchone()[0]
                connection.execute('INSERT INTO t (v) VALUES (?)', (found,))
        store.release()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    values = [int(value) for (value,) in store.read().execute('SELECT v FROM t ORDER BY id').fetchall()]
    assert values == list(range(200))
    store.close()


def test_a_released_connection_serves_the_next_thread() -> None:
    store = Store(schemas=[SCHEMA])
    first = store.read()
    assert store.read() is first
    store.release()
    store.release()
    found: list[sqlite3.Connection] = []
    thread = threading.Thread(target=lambda: found.append(store.read()))
    thread.start()
    thread.join(10)
    assert found == [first]
    assert store.read() is not first
    store.close()


def test_reset_empties_every_table() -> None:
    store = Store(schemas=[SCHEMA, SCHEMA.replace(' t ', ' "an other" ')])
    with store.write() as connection:
        connection.execute("INSERT INTO t (v) VALUES ('a')")
        connection.execute("""INSERT INTO "an other" (v) VALUES ('a')""")
    store.reset()
    assert count(store) == 0
    assert store.read().execute('SELECT COUNT(*) FROM "an other"').fetchone() == (0,)
    store.close()


def test_a_temporary_file_is_removed_and_a_given_one_stays(tmp_path: Path) -> None:
    temporary = Store(schemas=[SCHEMA])
    folder = Path(temporary.path).parent
    assert folder.is_dir()
    temporary.close()
    temporary.close()
    assert not folder.exists()
    with pytest.raises(sqlite3.ProgrammingError):
        temporary.read().execute('SELECT 1')
    path = tmp_path / 'kept.db'
    for expected in (0, 1):
        store = Store(str(path), schemas=[SCHEMA])
        assert count(store) == expected
        with store.write() as connection:
            connection.execute("INSERT INTO t (v) VALUES ('a')")
        store.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'text.db'
    path.write_text('this is not a database, and long enough to tell' * 50)
    with pytest.raises(sqlite3.DatabaseError):
        Store(str(path), schemas=[SCHEMA])
