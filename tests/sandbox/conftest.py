from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.calling import Caller, Clock
from scrapinghub.sandbox import Sandbox


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
