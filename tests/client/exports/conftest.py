"""One sandbox for the tests of a module, and a client that does not wait."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scrapinghub import ScrapinghubClient
from scrapinghub.sandbox import Sandbox
from support.clocks import ManualClock


@pytest.fixture(scope='module')
def shared_cloud() -> Iterator[Sandbox]:
    with Sandbox(projects=[1]) as cloud:
        yield cloud


@pytest.fixture
def cloud(shared_cloud: Sandbox) -> Sandbox:
    shared_cloud.reset()
    return shared_cloud


@pytest.fixture
def client(cloud: Sandbox) -> Iterator[ScrapinghubClient]:
    with ScrapinghubClient(cloud.apikey, cloud.dash_url, endpoint=cloud.url) as client:
        client.transport.clock = ManualClock()
        yield client
