"""What one call gives back: the values of its answer."""

from __future__ import annotations

import pytest

from scrapinghub.sandbox import Sandbox
from scrapinghub.transport import codec
from scrapinghub.transport.http.transport import Credentials, Endpoints, Transport


@pytest.mark.parametrize('accept', [codec.JSON, codec.JSON_LINES])
def test_an_array_is_one_value(accept: str) -> None:
    with Sandbox(projects=[123]) as cloud:
        base = cloud.url.rstrip('/')
        endpoints = Endpoints(base, base, f'{base}/api')
        transport = Transport(Credentials(cloud.apikey), endpoints, user_agent='test')
        transport.post(('jobq', 123, 'push'), value={'spider': 'books', 'tags': ['a', 'b']})
        assert transport.get(('jobs', 123, 1, 1, 'tags'), accept=accept).values == [['a', 'b']]
        transport.close()
