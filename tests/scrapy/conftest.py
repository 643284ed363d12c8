from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from scrapinghub.sandbox import Sandbox
from support.crawls import PROJECT, Crawls, site
from support.scripted_server import Server

collect_ignore_glob = [] if importlib.util.find_spec('scrapy') else ['test_*.py']


@pytest.fixture
def cloud() -> Iterator[Sandbox]:
    with Sandbox(projects=[PROJECT]) as cloud:
        yield cloud


@pytest.fixture
def crawls(cloud: Sandbox, tmp_path: Path) -> Iterator[Crawls]:
    crawls = Crawls(cloud, tmp_path)
    yield crawls
    cloud.faults.clear()
    crawls.close()


@pytest.fixture
def web() -> Iterator[Server]:
    with site() as server:
        yield server
