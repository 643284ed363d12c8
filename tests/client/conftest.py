from __future__ import annotations

from collections.abc import Iterator

import pytest

from scrapinghub import ScrapinghubClient
from scrapinghub.client.projects import Project
from scrapinghub.sandbox import Sandbox


@pytest.fixture
def cloud() -> Iterator[Sandbox]:
    with Sandbox(projects=[1, 2]) as cloud:
        yield cloud


@pytest.fixture
def client(cloud: Sandbox) -> Iterator[ScrapinghubClient]:
    with ScrapinghubClient(cloud.apikey, cloud.dash_url, endpoint=cloud.url) as client:
        yield client


@pytest.fixture
def project(client: ScrapinghubClient) -> Project:
    return client.get_project(1)
