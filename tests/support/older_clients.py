"""A sandbox for each test, and the older clients of it."""

from collections.abc import Iterator

import pytest

from scrapinghub import Connection, HubstorageClient, ScrapinghubClient
from scrapinghub.sandbox import Sandbox


@pytest.fixture(scope='session')
def shared_cloud() -> Iterator[Sandbox]:
    with Sandbox([123, 456]) as cloud:
        yield cloud


@pytest.fixture
def cloud(shared_cloud: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    shared_cloud.reset()
    for name, value in shared_cloud.environ.items():
        monkeypatch.setenv(name, value)
    # The tests look at the pauses.
    monkeypatch.delenv('SCRAPINGHUB_INSTANT_RETRIES')
    return shared_cloud


@pytest.fixture
def client(cloud: Sandbox) -> Iterator[ScrapinghubClient]:
    with ScrapinghubClient(max_retry_time=1) as client:
        yield client


@pytest.fixture
def hubstorage(cloud: Sandbox) -> Iterator[HubstorageClient]:
    hubstorage = HubstorageClient(cloud.apikey, cloud.url, max_retry_time=1)
    yield hubstorage
    hubstorage.close()


@pytest.fixture
def connection(cloud: Sandbox) -> Connection:
    return Connection(cloud.apikey, url=cloud.dash_url)


@pytest.fixture
def job_key(client: ScrapinghubClient) -> str:
    """Return the key of a running job with ten items, three log lines, a request and a sample."""
    job = client.get_project(123).jobs.run('spider', meta={'state': 'running'})
    for number in range(10):
        job.items.write({'n': number})
    for level, message in ((20, 'opened'), (30, 'slow'), (40, 'failed')):
        job.logs.log(message, level=level, ts=1480000000000 + level)
    job.requests.add('https://example.com', 200, 'GET', 10, 5, 1480000000000)
    job.samples.write([1480000000000, 1])
    job.close_writers()
    return job.key
