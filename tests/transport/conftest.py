"""A server that keeps what writers send."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.scripted_server import Server
from support.storage import Storage


@pytest.fixture
def storage() -> Storage:
    return Storage()


@pytest.fixture
def server(storage: Storage) -> Iterator[Server]:
    with storage.serving() as server:
        yield server
