"""The transport: a shared session, the only function that sends requests, and the translation of errors."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar

from scrapinghub.config.credentials import Credentials
from scrapinghub.config.endpoints import Endpoints
from scrapinghub.exceptions import DecodeError, ScrapinghubAPIError, UnexpectedRedirect
from scrapinghub.redaction import strip_credentials
from scrapinghub.transport import codec
from scrapinghub.transport.http.body import BODY_TIMEOUTS, Body
from scrapinghub.transport.http.call import UNSET, Call, Params, Unset, checked_options, checked_timeout
from scrapinghub.transport.http.connections import Prepared, make_session, renew
from scrapinghub.transport.http.errors import translate
from scrapinghub.transport.http.paths import Path, encode_segment
from scrapinghub.transport.http.redirects import MAX_REDIRECTS, redirect_target
from scrapinghub.transport.http.responses import (
    VALUE_BYTES,
    DecodedResponse,
    conceal,
    decode,
    read_body,
    read_pieces,
    set_body,
)
from scrapinghub.transport.http.retries import Attempts, Policy, Repeat, RetrySettings, retry
from scrapinghub.transport.http.waits import Clock, SystemClock

logger = logging.getLogger(__name__)

DEFAULT_TIMEOUT = 60.0
ERROR_BODY_BYTES = 64 * 1024
# Environment variables that requests reads.
ENVIRONMENT = (
    'http_proxy', 'https_proxy', 'all_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY',
    'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE',
)  # fmt: skip
_REPEATED_METHODS = ('GET', 'DELETE', 'HEAD')

_transports: weakref.WeakSet[Transport] = weakref.WeakSet()


def _renew_connections_after_fork() -> None:
    for transport in list(_transports):
        transport.drop_connections()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_renew_connections_after_fork)


class Transport:
    """Sends requests to storage, job queue and dash; safe to use from many threads.

    Args:
        credentials: User and password; None to send none.
        endpoints: Base URLs.
        timeout: Seconds for opening a connection, and for each wait for bytes; None for no limit.
        retries: How often and how long to repeat.
        user_agent: Header of the same name for storage and job queue.
        dash_user_agent: The same for the dash.
        use_msgpack: Whether to ask for MessagePack where the service offers it.
        max_record: Largest record to accept, in bytes.
        credentials_hint: Added to the error when the service refuses the credentials: their kind and origin.
        clock: Time; replaced in tests.

    Raises:
        ValueError: ``timeout`` is not a positive number.
    """

    def __init__(
        self,
        credentials: Credentials | None,
        endpoints: Endpoints,
        *,
        timeout: float | None = DEFAULT_TIMEOUT,
        retries: RetrySettings | None = None,
        user_agent: str,
        dash_user_agent: str | None = None,
        use_msgpack: bool = True,
        max_record: int = codec.MAX_RECORD_BYTES,
        credentials_hint: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.credentials = credentials
        self.credentials_hint = credentials_hint
        self.endpoints = endpoints
        self.timeout = checked_timeout(timeout)
        self.retries = retries or RetrySettings()
        self.user_agent = user_agent
        self.dash_user_agent = dash_user_agent or user_agent
        self.use_msgpack = use_msgpack
        self.max_record = max_record
        self.clock: Clock = clock or SystemClock()
        # By host: what proxies and certificates depend on, and these.
        self._settings: dict[str, tuple[Any, dict[str, Any]]] = {}
        # Hosts that have responded, by their part of the address.
        self._contacted: set[str] = set()
        _transports.add(self)

    @property
    def session(self) -> requests.Session:
        """The shared session, made when it is first used.

        It holds no credentials, because programs use it for other hosts too: each request carries its own.
        """
        # No cached_property: before Python 3.12 these have a lock, which a fork may leave locked for ever.
        session: requests.Session | None = self.__dict__.get('_session')
        return session or self.__dict__.setdefault('_session', make_session(self.user_agent))

    @session.setter
    def session(self, session: requests.Session) -> None:
        self.__dict__['_session'] = session

    @session.deleter
    def session(self) -> None:
        # mock.patch.object restores it by this.
        self.__dict__.pop('_session', None)

    def close(self) -> None:
        """Close the connections that are not in use."""
        if '_session' in self.__dict__:
            self.session.close()

    def drop_connections(self) -> None:
        """Drop all pooled connections: after a fork they belong to the parent.

        Nothing here may wait for a lock: threads that the child does not have may have held it.
        """
        session: requests.Session | None = self.__dict__.get('_session')
        if session is None:
            return
        for adapter in session.adapters.values():
            if isinstance(adapter, HTTPAdapter):
                renew(adapter)
            else:
                adapter.close()
        if isinstance(session.cookies, RequestsCookieJar):
            session.cookies = session.cookies.copy()

    @property
    def body_timeout(self) -> float:
        """Seconds that a whole value, or one record of a stream, may take to arrive."""
        return float('inf') if self.timeout is None else BODY_TIMEOUTS * self.timeout

    def url(self, path: Path, *, dash: bool = False) -> str:
        """Return the address of a path of the storage server or job queue, or of the dash.

        Args:
            path: A tuple of segments, which are encoded; or a string, which is used unchanged.
            dash: Whether it is a path of the dash.

        Raises:
            ValueError: A segment is empty, ``.`` or ``..``.
        """
        text = path.lstrip('/') if isinstance(path, str) else '/'.join(map(encode_segment, path))
        base = self.endpoints
        return f'{base.dash if dash else base.jobq if text.startswith("jobq/") else base.storage}/{text}'

    # One attempt

    def open(self, call: Call, number: int = 1) -> requests.Response:
        """Send a request once, follow the redirects that may be followed, and check the status of the response.

        Args:
            call: The request.
            number: Number of the attempt, for the log.

        Returns:
            The response; its body is not read.

        Raises:
            requests.HTTPError: The status is not 2xx; the body of the response is read, up to 64 KiB.
            requests.RequestException: No response arrived.
            UnexpectedRedirect: The response redirects to where a request with credentials must not be sent.
        """
        response = self._send(call, call.url, number)
        status = response.status_code
        if 200 <= status < 300:
            return response
        redirects = 0
        while response.is_redirect:
            response.close()
            redirects += 1
            if redirects > MAX_REDIRECTS:
                raise UnexpectedRedirect(f'{strip_credentials(call.url)} redirects more than {MAX_REDIRECTS} times')
            response = self._send(call, redirect_target(call, response), number)
            status = response.status_code
        if 200 <= status < 300 or status in call.handled_statuses:
            return response
        self._keep_error_body(response)
        # Below 400: a redirect without a target, for instance, or "not modified".
        kind = 'Server Error' if status >= 500 else 'Client Error' if status >= 400 else 'No Answer'
        # As raise_for_status words it.
        raise requests.HTTPError(f'{status} {kind}: {response.reason} for url: {response.url}', response=response)

    def _send(self, call: Call, url: str, number: int) -> requests.Response:
        """Send a request once to one address; the only function that sends requests."""
        prepared = Prepared()
        options = checked_options(call.options) if call.options else {}
        session = self.__dict__.get('_session') or self.session
        auth = (session.auth or self.credentials) if isinstance(call.auth, Unset) else call.auth
        if type(auth) is tuple:
            auth = Credentials(*auth)  # set by a program: errors and logs hide it, too
        prepared.prepare(
            method=call.method,
            url=url,
            # Parameters of the first address are part of the address that it redirects to.
            params=call.params if url == call.url else None,
            headers={**session.headers, 'Accept': call.accept, **(call.headers or {})},
            data=call.data,
            json=options.pop('json', None),
            files=options.pop('files', None),
            auth=auth,
            cookies=options.pop('cookies', None) or session.cookies,
        )
        settings = {**self._settings_for(url), **options}
        prepared.own_timeout = not isinstance(call.timeout, Unset)
        prepared.timeout = call.timeout if prepared.own_timeout else self.timeout
        settings.update(stream=True, timeout=prepared.timeout, allow_redirects=False)
        started = self.clock.monotonic()
        response: requests.Response | None = None
        try:
            response = session.send(prepared, **settings)
            response.request = prepared.without_credentials()
            self._contacted.add(urlsplit(url).netloc)
            return response
        except requests.RequestException as error:
            error.request = prepared.without_credentials()
            raise
        finally:
            if logger.isEnabledFor(logging.DEBUG):
                milliseconds = (self.clock.monotonic() - started) * 1000
                status = 'no response' if response is None else response.status_code
                size = '-' if response is None else response.headers.get('Content-Length', 'stream')
                logger.debug('%s %s, %.0f ms, %s bytes, attempt %d', call, status, milliseconds, size, number)

    def _settings_for(self, url: str) -> dict[str, Any]:
        """Return proxies and certificates, determined once for each host and again when a setting has changed."""
        session = self.session
        proxies = tuple(session.proxies.items())
        state = (session.trust_env, session.verify, session.cert, proxies, *map(os.environ.get, ENVIRONMENT))
        parts = urlsplit(url)
        origin = f'{parts.scheme}://{parts.netloc}'
        known, settings = self._settings.get(origin, (None, {}))
        if known != state:
            settings = dict(session.merge_environment_settings(origin, {}, None, None, None))
            settings.pop('stream', None)
            self._settings[origin] = state, settings
        return settings

    def _keep_error_body(self, response: requests.Response) -> None:
        pieces: list[bytes] = []
        # The status is the error; a broken explanation must not hide it, and extend keeps the part that has arrived.
        with closing(response), suppress(requests.RequestException):
            pieces.extend(read_pieces(Body(response), ERROR_BODY_BYTES, self.clock, self.body_timeout))
        set_body(response, b''.join(pieces)[:ERROR_BODY_BYTES])
        conceal(response)

    # A call: attempts until there is a complete response

    def attempts(
        self, call: Call, policy: Callable[[], Policy] | None = None, started: float | None = None
    ) -> Attempts:
        """Return the retry loop of one operation.

        Args:
            call: The request.
            policy: Returns the policy; that of a single call by default.
            started: When the first attempt began, by the clock; now by default.
        """
        repeat = call.repeat or (Repeat.ALWAYS if call.method in _REPEATED_METHODS else Repeat.UNRECEIVED)
        return Attempts(
            policy or self.retries.for_call,
            self.clock,
            call,
            repeat=repeat,
            url=call.url,
            contacted=self._contacted,
            started=started,
        )

    def fetch(self, call: Call, policy: Callable[[], Policy] | None = None) -> DecodedResponse:
        """Send a request until a complete response has arrived, and decode it.

        Args:
            call: The request.
            policy: Returns the retry policy; that of a single call by default.

        Returns:
            The response.

        Raises:
            ScrapinghubAPIError: The service refused, failed or could not be reached within the budget.
        """
        attempts = self.attempts(call, policy)
        try:
            response = retry(lambda: self.complete(call, attempts.number), attempts)
        except requests.RequestException as error:
            raise self.translate_error(error, attempts) from None
        return DecodedResponse(response, decode(call, response, self.max_record))

    def translate_error(
        self, error: requests.RequestException, attempts: Attempts | None = None
    ) -> ScrapinghubAPIError:
        """Return the exception of the library for a failure; it is raised ``from None``.

        Args:
            error: The failure.
            attempts: The retry loop that gave up, if there was one.
        """
        return translate(error, attempts, self.endpoints, self.timeout, self.credentials_hint)

    def complete(self, call: Call, number: int = 1) -> requests.Response:
        """Send a request once, and read the whole response.

        Where nothing shows whether the response to a GET is whole, it is requested twice, and has to be the same.

        Args:
            call: The request.
            number: Number of the attempt, for the log.

        Returns:
            The response with its body.

        Raises:
            requests.RequestException: The status is 300 or more, or no complete response arrived.
        """
        response, certain = self._complete(call, number)
        if not certain and call.method == 'GET':
            again, certain = self._complete(call, number)
            if not certain and again.content != response.content:
                raise requests.exceptions.ChunkedEncodingError(
                    'the response does not say how long it is, and differs when it is requested again',
                    response=again,
                )
            return again
        return response

    def _complete(self, call: Call, number: int) -> tuple[requests.Response, bool]:
        """Return a response with its body, and whether its framing shows that it is whole."""
        response = self.open(call, number)
        body = Body(response)
        try:
            data = read_body(body, VALUE_BYTES, self.clock, self.body_timeout)
        finally:
            response.close()
        if len(data) > VALUE_BYTES:
            raise DecodeError(f'the response to {call} has more than {VALUE_BYTES} bytes, too many for one value')
        set_body(response, data)
        return response, not body.ambiguous or response.status_code == 204

    # The calls that resources make

    def get(self, path: Path, params: Params = None, **fields: Any) -> DecodedResponse:
        """GET a path of storage or job queue; further keywords are fields of :class:`Call`."""
        return self.fetch(Call('GET', self.url(path), params=params, **fields))

    def post(
        self,
        path: Path,
        *,
        lines: Iterable[Any] | None = None,
        value: Any = UNSET,
        params: Params = None,
        **fields: Any,
    ) -> DecodedResponse:
        """POST JSON lines, or one JSON value, to a path of storage or job queue.

        Args:
            path: The path.
            lines: Values to send as JSON lines.
            value: The one value to send instead.
            params: Query parameters.
            **fields: Fields of :class:`Call`.

        Returns:
            The response.
        """
        data: bytes | None = None
        if lines is not None:
            data = codec.encode_lines(lines)
        elif not isinstance(value, Unset):
            data = codec.encode_json(value).encode()
        return self.fetch(Call('POST', self.url(path), params=params, data=data, **fields))

    def delete(self, path: Path, params: Params = None, **fields: Any) -> DecodedResponse:
        """DELETE a path of storage or job queue."""
        return self.fetch(Call('DELETE', self.url(path), params=params, **fields))
