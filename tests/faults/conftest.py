"""One sandbox for all tests of faults; the truth is read before any fault is added."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest

from faults.reading import OTHER_PROJECT, PROJECT, READS, fill
from scrapinghub import ScrapinghubClient
from scrapinghub.sandbox import Sandbox
from scrapinghub.transport.http.waits import Clock
from support.clocks import FastClock, ManualClock


@dataclass
class World:
    """A sandbox with data, and what is true of them."""

    cloud: Sandbox
    truth: dict[str, list[Any]]

    def client(
        self, encoding: str = 'msgpack gzip', clock: Callable[[], Clock] = ManualClock, **options: Any
    ) -> ScrapinghubClient:
        """Return a client that never waits, or not for long."""
        form, compression = encoding.split()
        with mock.patch('scrapinghub.transport.http.transport.SystemClock', clock):
            client = ScrapinghubClient(
                self.cloud.apikey,
                endpoint=self.cloud.url,
                dash_endpoint=self.cloud.dash_url,
                use_msgpack=form == 'msgpack',
                **options,
            )
        client.transport.session.headers['Accept-Encoding'] = compression
        return client


@pytest.fixture(scope='package')
def world() -> Iterator[World]:
    with Sandbox(projects=[PROJECT, OTHER_PROJECT]) as cloud:
        world = World(cloud, {})
        with world.client(clock=FastClock) as client:
            fill(client)
            world.truth.update({name: list(read(client)) for name, read in READS.items()})
        yield world


@pytest.fixture(autouse=True)
def no_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    world: World | None = request.getfixturevalue('world') if 'world' in request.fixturenames else None
    yield
    if world is not None:
        world.cloud.faults.clear()


@pytest.fixture
def make_client(world: World) -> Iterator[Callable[..., ScrapinghubClient]]:
    made: list[ScrapinghubClient] = []

    def make(*arguments: Any, **options: Any) -> ScrapinghubClient:
        made.append(world.client(*arguments, **options))
        return made[-1]

    yield make
    world.cloud.faults.clear()
    for client in made:
        client.close()
