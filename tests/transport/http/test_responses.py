"""The values of a response."""

from __future__ import annotations

import pytest

from scrapinghub.config.credentials import Credentials
from scrapinghub.config.endpoints import Endpoints
from scrapinghub.sandbox import Sandbox
from scrapinghub.transport import codec
from scrapinghub.transport.http.transport import Transport


@pytest.mark.parametrize('expects', [codec.JSON, None])
def test_an_array_is_one_value(expects: str | None) -> None:
    with Sandbox(projects=[123]) as cloud:
        base = cloud.url.rstrip('/')
        endpoints = Endpoints(base, base, f'{base}/api')
        transport = Transport(Credentials(cloud.apikey), endpoints, user_agent='test')
        transport.post(('jobq', 123, 'push'), value={'spider': 'books', 'tags': ['a', 'b']})
        assert transport.get(('jobs', 123, 1, 1, 'tags'), expects=expects).values == [['a', 'b']]
        transport.close()
