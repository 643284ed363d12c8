"""A sandbox for each module and a clean one for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.asking import NOW, Api, Clock
from scrapinghub.sandbox import Sandbox


@pytest.fixture(scope='module')
def running() -> Iterator[tuple[Sandbox, Clock]]:
    clock = Clock()
    with Sandbox(clock=clock) as cloud:
        yield cloud, clock


@pytest.fixture
def api(running: tuple[Sandbox, Clock]) -> Iterator[Api]:
    cloud, clock = running
    cloud.reset()
    clock.now = NOW
    api = Api(cloud, clock)
    yield api
    api.session.close()
