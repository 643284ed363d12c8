from __future__ import annotations

from collections.abc import Iterator

import pytest

from scrapinghub.sandbox import Sandbox
from support.http_caller import START, Caller, Clock
from support.sandbox_api import Api


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cloud(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(projects=[1, 2], clock=clock) as cloud:
        yield cloud


@pytest.fixture
def caller(cloud: Sandbox) -> Iterator[Caller]:
    with Caller(cloud.url, (cloud.apikey, '')) as caller:
        yield caller


@pytest.fixture(scope='module')
def running() -> Iterator[tuple[Sandbox, Clock]]:
    """A sandbox for a whole module, open to any project."""
    clock = Clock()
    with Sandbox(clock=clock) as cloud:
        yield cloud, clock


@pytest.fixture
def api(running: tuple[Sandbox, Clock]) -> Iterator[Api]:
    """The module's sandbox, empty."""
    cloud, clock = running
    cloud.reset()
    clock.now = START
    with Api(cloud, clock) as api:
        yield api
