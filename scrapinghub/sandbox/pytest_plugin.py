"""Fixtures for pytest: a local Scrapy Cloud, and a client of it.

Every run of pytest loads this module where the package is installed, so it imports nothing until a fixture is used.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapinghub import ScrapinghubClient
    from scrapinghub.sandbox.cloud import Sandbox

#: Real credentials, which must not reach a program under test.
HIDDEN = ('SHUB_JOBAUTH', 'SHUB_APIKEY')
SCOPES = ('test', 'session')


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the setting that keep one server for the whole session."""
    words = (
        'how long a server of the scrapinghub_sandbox fixture lives: "test" starts one for each test, "session" starts '
        'one and empties it before each test'
    )
    parser.getgroup('scrapinghub').addoption('--scrapinghub-sandbox', choices=SCOPES, default=None, help=words)
    parser.addini('scrapinghub_sandbox', words, default='test')
    parser.addini(
        'scrapinghub_scrapy', 'folder of the Scrapy project that the fixture scrapinghub_scrapy runs', default='.'
    )


def pytest_configure(config: pytest.Config) -> None:
    """Reject a wrong setting before any test runs."""
    chosen_scope(config)


def chosen_scope(config: pytest.Config) -> str:
    """Return the lifetime of a server.

    Raises:
        pytest.UsageError: The setting is invalid.
    """
    scope: str = config.getoption('--scrapinghub-sandbox') or config.getini('scrapinghub_sandbox')
    if scope not in SCOPES:
        raise pytest.UsageError(f'scrapinghub_sandbox must be "test" or "session", not {scope!r}')
    return scope


@pytest.fixture(scope='session')
def _scrapinghub_sandbox_of_the_session() -> Iterator[Sandbox]:
    from scrapinghub.sandbox import Sandbox

    with Sandbox() as cloud:
        yield cloud


@pytest.fixture
def _scrapinghub_sandbox_server(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    if chosen_scope(request.config) == 'session':
        cloud: Sandbox = request.getfixturevalue('_scrapinghub_sandbox_of_the_session')
        cloud.reset()
        yield cloud
        return
    from scrapinghub.sandbox import Sandbox

    with Sandbox() as own:
        yield own


@pytest.fixture
def scrapinghub_sandbox(_scrapinghub_sandbox_server: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Run an empty local Scrapy Cloud in which every project id exists.

    Environment variables select it while the test runs, so that a program that creates ``ScrapinghubClient()`` without
    arguments uses it unchanged, also in another process.
    """
    _select(_scrapinghub_sandbox_server, monkeypatch)
    return _scrapinghub_sandbox_server


def _select(cloud: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in HIDDEN:
        monkeypatch.delenv(name, raising=False)
    for name, value in cloud.environ.items():
        monkeypatch.setenv(name, value)
    # A proxy that the environment names cannot reach the loopback interface.
    for name in ('NO_PROXY', 'no_proxy'):
        others = os.environ.get(name)
        monkeypatch.setenv(name, f'{others},127.0.0.1' if others else '127.0.0.1')


@pytest.fixture
def scrapinghub_client(scrapinghub_sandbox: Sandbox) -> Iterator[ScrapinghubClient]:
    """Return a client of the local Scrapy Cloud; after the test it is closed, which sends buffered records."""
    with scrapinghub_sandbox.client() as client:
        yield client


@pytest.fixture
def scrapinghub_scrapy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Run an empty local Scrapy Cloud that runs the spiders of the Scrapy project in pytest's root folder.

    The setting ``scrapinghub_scrapy`` names another folder, relative to the root folder. Needs the extra ``scrapy``.
    Environment variables select the cloud as for ``scrapinghub_sandbox``; jobs see the environment of the test.
    """
    from scrapinghub.sandbox import Sandbox

    folder = request.config.rootpath / request.config.getini('scrapinghub_scrapy')
    with Sandbox(scrapy=folder) as cloud:
        _select(cloud, monkeypatch)
        yield cloud
