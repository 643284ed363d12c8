"""What is prepared the short way is what ``requests`` would have prepared."""

from __future__ import annotations

from typing import Any

import requests
from hypothesis import example, given
from hypothesis import strategies as st
from requests.cookies import RequestsCookieJar

from scrapinghub.transport.http.connections import Prepared

SEGMENTS = st.text(st.sampled_from('aZ09._~-%2F é?#:@/\\[]"|;,+= '), max_size=6)
HOSTS = st.sampled_from(
    [
        'storage.example',
        'Storage.example',
        '127.0.0.1',
        '[::1]',
        'a..b',
        '.a',
        '*.a',
        'user:pass@a',
        'ä.example',
        '',
    ]
)
PORTS = st.sampled_from(['', ':80', ':080', ':8080', ':65535', ':65536', ':99999', ':', ':x'])
PARAMS = st.none() | st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3) | st.integers()), max_size=2)


def prepared(kind: type[requests.PreparedRequest], url: str | bytes, params: Any) -> str | None:
    request = kind()
    try:
        request.prepare_url(url, params)
    except requests.RequestException as error:
        return f'{type(error).__name__}: {error}'
    return request.url


@given(st.sampled_from(['http://', 'https://', 'HTTP://', 'ftp://', '']), HOSTS, PORTS, st.lists(SEGMENTS), PARAMS)
@example('https://', 'storage.example', '', ['jobs', '1', '2', '3', 'state'], None)
@example('http://', '127.0.0.1', ':8002', ['items', '.', '..', '1'], [('count', 1)])
@example('http://', '127.0.0.1', '', [], None)
@example('http://', '127.0.0.1', '', ['', '', 'x', ''], None)
def test_the_address(scheme: str, host: str, port: str, segments: list[str], params: object) -> None:
    url = scheme + host + port + ''.join(f'/{segment}' for segment in segments)
    assert prepared(Prepared, url, params) == prepared(requests.PreparedRequest, url, params)


def test_an_address_of_bytes() -> None:
    assert prepared(Prepared, b'http://h/x', None) == 'http://h/x'


def test_cookies() -> None:
    jar = RequestsCookieJar()
    for names in ([], ['session']):
        for name in names:
            jar.set(name, 'x')
        request = Prepared()
        request.prepare('GET', 'https://storage.example/jobs', cookies=jar)
        assert request.headers.get('Cookie') == ('session=x' if names else None)
    # Cookies that come as a dict, too.
    request.prepare('GET', 'https://storage.example/jobs', cookies={'a': 'b'})
    assert request.headers['Cookie'] == 'a=b'
