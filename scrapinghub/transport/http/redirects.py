"""Redirects: the few that a request with credentials follows."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import requests
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from scrapinghub.exceptions import UnexpectedRedirect
from scrapinghub.redaction import strip_credentials
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.paths import PORTS
from scrapinghub.transport.http.responses import conceal

MAX_REDIRECTS = 5

# Parsers disagree about the host of an address with one of these.
_AMBIGUOUS = re.compile(r'[\\\x00-\x1f\x7f-\x9f]').search
_PRINTABLE = ''.join(map(chr, range(0x21, 0x7F)))


class _Refused(Exception):
    """The reason why a redirect is not followed."""


def redirect_target(call: Call, response: requests.Response) -> str:
    """Return the address that a response redirects to.

    Only a GET is redirected, within the same origin or from ``http`` to ``https`` of the same host.

    Args:
        call: The request.
        response: Its response, which has a ``Location``.

    Raises:
        UnexpectedRedirect: The redirect must not be followed; the message holds the reason.
    """
    location = response.headers['Location']
    target: str | None = None
    try:
        if _AMBIGUOUS(location):
            raise _Refused('its address has a backslash or control characters')
        # Bytes that are not ASCII become percent-encoded, as browsers send them.
        target = urljoin(response.url, quote(location.encode('latin-1'), safe=_PRINTABLE))
        if '@' in urlsplit(location).netloc:
            raise _Refused('its address has credentials')
        _check(call, urlsplit(response.url), urlsplit(target), target)
        return target
    except (ValueError, LocationParseError):
        reason = 'its address cannot be parsed'
    except _Refused as refused:
        reason = str(refused)
    conceal(response)
    shown = strip_credentials(target) or 'another address'
    raise UnexpectedRedirect(
        f'{call} was answered with status {response.status_code}, a redirect to {shown}, which is not followed: '
        f'{reason}',
        requests.HTTPError(f'{response.status_code} redirect', response=response),
    )


def _check(call: Call, old: SplitResult, new: SplitResult, target: str) -> None:
    if call.method != 'GET':
        raise _Refused(f'a {call.method} is sent to one address only')
    origin = _origin(new.scheme, new.hostname, new.port)
    # The connection is opened to what urllib3 reads.
    connected = parse_url(target)
    if origin != _origin(connected.scheme, connected.host, connected.port):
        raise _Refused('its address is ambiguous')
    if new.hostname != old.hostname:
        raise _Refused('credentials are not sent to another host')
    upgraded = old.scheme == 'http' and new.scheme == 'https'
    if not upgraded and origin != _origin(old.scheme, old.hostname, old.port):
        raise _Refused('it is less secure or on another port')


def _origin(scheme: str | None, host: str | None, port: int | None) -> tuple[str | None, str, int | None]:
    return scheme, (host or '').strip('[]'), port or PORTS.get(scheme or '')
