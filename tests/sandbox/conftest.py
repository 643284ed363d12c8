"""One sandbox for each module of tests; every test finds it empty."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from scrapinghub.sandbox import Sandbox
from support.caller import START, Caller, Clock


@pytest.fixture(scope='module')
def projects() -> Sequence[int] | None:
    """The projects of the sandbox; a module that overrides this with None has a sandbox that accepts every project."""
    return (1, 2)


@pytest.fixture(scope='module')
def running(projects: Sequence[int] | None) -> Iterator[tuple[Sandbox, Clock]]:
    clock = Clock()
    with Sandbox(projects=projects, clock=clock) as cloud:
        yield cloud, clock


@pytest.fixture
def clock(running: tuple[Sandbox, Clock]) -> Clock:
    return running[1]


@pytest.fixture
def cloud(running: tuple[Sandbox, Clock]) -> Sandbox:
    cloud, clock = running
    clock.now = START
    cloud.reset()
    return cloud


@pytest.fixture
def caller(cloud: Sandbox) -> Iterator[Caller]:
    with Caller(cloud.url, (cloud.apikey, '')) as caller:
        yield caller
