"""Network failures in plain words: what failed, which limit it was, and how to fix it."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import requests
from urllib3 import exceptions as urllib3_errors

from scrapinghub.redaction import redact
from scrapinghub.transport.http.body import BODY_TIMEOUTS
from scrapinghub.transport.http.connections import Prepared


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, also those that ``requests`` keeps only as arguments."""
    todo: list[object] = [error]
    seen: set[int] = set()
    while todo:
        item = todo.pop()
        if not isinstance(item, BaseException) or id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        todo += [*item.args, getattr(item, 'reason', None), item.__cause__, item.__context__]


def in_handshake(error: BaseException) -> bool:
    """Return whether a cause is the time-out of a TLS handshake, which is reported as a read time-out."""
    return isinstance(error, TimeoutError) and 'handshake' in str(error)


def _is(*kinds: type[BaseException]) -> Callable[[BaseException], bool]:
    return lambda cause: isinstance(cause, kinds)


def _system_words(found: BaseException, chain: list[BaseException]) -> str:
    """Return the message of the operating system for a failure."""
    for cause in reversed(chain):
        # The errors of requests are OSErrors too.
        if isinstance(cause, OSError) and not isinstance(cause, requests.RequestException):
            return str(cause)
    return str(found)


Words = Callable[[BaseException, list[BaseException]], str]

# The first entry that fits one of the causes describes the failure.
_WORDS: tuple[tuple[Callable[[BaseException], bool], Words], ...] = (
    (
        _is(urllib3_errors.NameResolutionError),
        lambda found, chain: f'the name of the host cannot be resolved: {_system_words(found, chain)}',
    ),
    (_is(urllib3_errors.ProxyError), lambda found, chain: f'the proxy cannot be used: {_system_words(found, chain)}'),
    (
        _is(urllib3_errors.NewConnectionError),
        lambda found, chain: f'the connection could not be opened: {_system_words(found, chain)}',
    ),
    (_is(urllib3_errors.ConnectTimeoutError), lambda found, chain: 'timed out while opening the connection'),
    (in_handshake, lambda found, chain: 'timed out in the TLS handshake'),
    (_is(urllib3_errors.ReadTimeoutError), lambda found, chain: 'timed out while waiting for the server'),
    (
        _is(ssl.SSLCertVerificationError),
        lambda found, chain: f'the certificate of the server is not trusted: {_verdict(found)}',
    ),
    (_is(ssl.SSLError), lambda found, chain: f'the TLS connection could not be made: {found}'),
    (
        _is(http.client.RemoteDisconnected),
        lambda found, chain: 'the server closed the connection without a response',
    ),
    (
        _is(http.client.BadStatusLine),
        lambda found, chain: f'the server does not speak HTTP, its response begins with {str(found)[:80]!r}',
    ),
    (
        _is(http.client.IncompleteRead, urllib3_errors.IncompleteRead),
        lambda found, chain: f'the response broke off: {found!r}',
    ),
    (_is(http.client.HTTPException), lambda found, chain: f'the response is no proper HTTP: {found}'),
    (
        _is(TimeoutError),
        # The socket says "timed out", and our own limits say more.
        lambda found, chain: 'timed out while sending the request' if str(found) == 'timed out' else str(found),
    ),
    (_is(ConnectionError), lambda found, chain: f'the connection broke: {found}'),
)


def _verdict(error: BaseException) -> str:
    return str(getattr(error, 'verify_message', '') or error)


def describe(error: Exception) -> str:
    """Return what failed, in plain words that are safe to log: without a URL, hence without credentials.

    Args:
        error: An error of ``requests``.

    Returns:
        One line.
    """
    return redact(_describe(error))


def _describe(error: Exception) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f'HTTP {error.response.status_code} {error.response.reason or ""}'.rstrip()
    chain = list(causes(error))
    for fits, words in _WORDS:
        found = next((cause for cause in chain if fits(cause)), None)
        if found is not None:
            return words(found, chain)
    if error.args and isinstance(error.args[0], str):
        # One of our own.
        return error.args[0]
    return ' <- '.join(dict.fromkeys(type(cause).__name__ for cause in chain))


def hint_for(error: requests.RequestException, timeout: Any) -> str | None:
    """Return how to fix a network failure: for a time-out, which limit it was and how to raise it.

    Args:
        error: The failure.
        timeout: The limit of the client, in seconds, for a request that does not hold its own.

    Returns:
        A line, or None.
    """
    if isinstance(error, requests.exceptions.ProxyError):
        return (
            'Proxies are set by the environment variables HTTP_PROXY and HTTPS_PROXY; NO_PROXY lists hosts that are '
            'reached without one.'
        )
    if isinstance(error, requests.Timeout) or any(isinstance(cause, TimeoutError) for cause in causes(error)):
        return _hint_for_time_out(error, timeout)
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes(error)):
        return (
            'For a private certificate authority, or a proxy that inspects connections, set the environment variable '
            'REQUESTS_CA_BUNDLE to the path of a file with its certificates.'
        )
    return None


def _hint_for_time_out(error: requests.RequestException, timeout: Any) -> str:
    request = error.request or getattr(error.response, 'request', None)
    own = False
    if isinstance(request, Prepared):
        timeout, own = request.timeout, request.own_timeout
    chain = list(causes(error))
    opening = isinstance(error, requests.ConnectTimeout)
    waited = any(isinstance(cause, (urllib3_errors.TimeoutError, TimeoutError)) for cause in chain)
    if not waited:
        # Raised by ourselves, while bytes kept coming.
        return (
            f'A whole response, or one record of a stream, may take {BODY_TIMEOUTS} times connection_timeout. Pass a '
            'larger connection_timeout=…, in seconds, to the client.'
        )
    if isinstance(timeout, tuple):
        timeout = timeout[0 if opening else -1]
    limit = 'The limit' if timeout is None else f'The limit of {timeout:g} seconds'
    step = 'opening a connection' if opening else 'each wait for the server'
    if own:
        return f"{limit} for {step} is the 'timeout' in requests_params of this call: pass a larger one."
    return (
        f'{limit} for {step} is the connection_timeout of the client: pass a larger connection_timeout=…, in seconds.'
    )
