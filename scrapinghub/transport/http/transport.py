"""The one way to the wire: a shared session, one function that sends, one place where errors become ours."""

from __future__ import annotations

import io
import logging
import os
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar

from scrapinghub.exceptions import (
    DecodeError,
    NetworkError,
    ScrapinghubAPIError,
    Unauthorized,
    UnexpectedRedirect,
    from_http_error,
    strip_credentials,
    strip_secrets,
)
from scrapinghub.transport import codec
from scrapinghub.transport.http.body import Body
from scrapinghub.transport.http.connections import Adapter, renew
from scrapinghub.transport.http.cookies import Cookies
from scrapinghub.transport.http.network_errors import BODY_TIMEOUTS, advise, describe
from scrapinghub.transport.http.paths import PORTS, Path, encode_path
from scrapinghub.transport.http.prepared_request import Prepared
from scrapinghub.transport.http.retries import Attempts, Clock, Repeat, RetrySettings, SystemClock, retry

logger = logging.getLogger(__name__)

DEFAULT_TIMEOUT = 60.0
ACCEPT_ENCODING = 'gzip, deflate'
ERROR_BODY_BYTES = 64 * 1024
VALUE_BYTES = 256 * 1024 * 1024
# The smallest values take many times their bytes in memory, and compressed hardly any: what is decoded at once is
# bounded more closely than what is read.
JSON_BYTES = 64 * 1024 * 1024
MAX_VALUES = 4 * 1024 * 1024
MAX_REDIRECTS = 5
# Many threads may share one client; a smaller pool would throw connections away.
POOL_SIZE = 256

Params = Mapping[str, Any] | Iterable[tuple[str, Any]] | None


class Unset:
    """The type of :data:`UNSET`."""

    def __repr__(self) -> str:
        return 'UNSET'


UNSET: Final = Unset()
"""Stands for "not given" where None has a meaning of its own."""


class Credentials(tuple[str, str]):
    """User and password, as ``requests`` takes them; never shown.

    Args:
        user: The user.
        password: The password.

    Raises:
        ValueError: One of them has characters that no HTTP header can carry.
    """

    __slots__ = ()

    def __new__(cls, user: str, password: str = '') -> Credentials:
        """Pair a user with a password."""
        pair = super().__new__(cls, (user, password))
        # The traceback of the error below must not show them; the UnicodeEncodeError of a later place would.
        del user, password
        if not _fit_a_header(pair):
            raise ValueError('Wrong authentication credentials: no API key has characters beyond Latin-1')
        return pair

    def __getnewargs__(self) -> tuple[str, str]:
        return self[0], self[1]

    def __repr__(self) -> str:
        return 'Credentials(...)'

    __str__ = __repr__


def _fit_a_header(texts: Iterable[str]) -> bool:
    return all(max(str(text), default='') < '\u0100' for text in texts)


@dataclass(frozen=True, repr=False)
class Endpoints:
    """Base URLs of the three services, without trailing slashes."""

    storage: str
    jobq: str
    dash: str

    def __repr__(self) -> str:
        shown = ', '.join(f'{name}={strip_credentials(url)!r}' for name, url in vars(self).items())
        return f'Endpoints({shown})'

    def url(self, path: Path, *, dash: bool = False) -> str:
        """Return the address of a path; ``/jobq/`` has a host of its own."""
        text = encode_path(path)
        base = self.dash if dash else self.jobq if text.startswith('jobq/') else self.storage
        return f'{base}/{text}'


@dataclass
class Call:
    """One request, as it will be sent as often as it takes.

    Attributes:
        method: HTTP method.
        url: Full address without the parameters.
        params: Query parameters, in the forms that ``requests`` takes; None is left out.
        data: Body: bytes, text, or a mapping or pairs for a form.
        headers: Headers beside those of the session.
        accept: Content type asked for; also what an answer without content type is taken for.
        repeat: Which failures allow to send it again.
        auth: Credentials instead of the client's own.
        timeout: Seconds instead of the client's own; None for no limit.
        options: Further keyword arguments of ``requests.Session.request``.
        own_statuses: Error statuses that the caller reads from the answer himself.
    """

    method: str
    url: str
    params: Params = None
    data: Any = None
    headers: Mapping[str, str] | None = None
    accept: str = codec.JSON_LINES
    repeat: Repeat | None = None
    auth: Any = UNSET
    timeout: Any = UNSET
    options: Mapping[str, Any] = field(default_factory=dict)
    own_statuses: frozenset[int] = frozenset()

    @property
    def what(self) -> str:
        """Name of the request in log lines."""
        return f'{self.method} {urlsplit(self.url).path}'

    @property
    def repeated(self) -> Repeat:
        """Which failures allow to send the request again; GET and DELETE are always repeated."""
        if self.repeat is not None:
            return self.repeat
        return Repeat.ALWAYS if self.method in ('GET', 'DELETE', 'HEAD') else Repeat.UNRECEIVED


@dataclass
class Answer:
    """A complete answer.

    Attributes:
        response: The answer of ``requests``; its body is what was read.
        values: The values of the body, decoded by its content type.
    """

    response: requests.Response
    values: list[Any]

    @property
    def value(self) -> Any:
        """The first value; None if there is none."""
        return self.values[0] if self.values else None


class _Session(requests.Session):
    """A session that leaves redirects alone unless it is asked to follow them."""

    def resolve_redirects(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Follow redirects; without ``allow_redirects`` requests would load the body of each to prepare the next."""
        if kwargs.get('yield_requests'):
            return iter(())
        follow: Iterator[Any] = super().resolve_redirects(*args, **kwargs)
        return follow


def checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return keyword arguments of ``requests`` without those that are None, which count as not given there, too.

    Args:
        options: The keyword arguments.

    Raises:
        ValueError: ``verify`` would switch the check of certificates off without saying so: an empty path, for
            instance, from a variable that is not set.
    """
    given = {name: value for name, value in options.items() if value is not None}
    verify = given.get('verify', True)
    if not verify and verify is not False:
        raise ValueError(f'verify should be the path of a file with certificates, True or False, got {verify!r}')
    return given


def _checked_timeout(seconds: Any) -> float | None:
    if seconds is None or (isinstance(seconds, (int, float)) and 0 < seconds < float('inf')):
        return seconds
    raise ValueError(f'connection_timeout should be a positive number of seconds, got {seconds!r}')


_transports: weakref.WeakSet[Transport] = weakref.WeakSet()


def _renew_connections_after_fork() -> None:
    for transport in list(_transports):
        transport.drop_connections()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_renew_connections_after_fork)


class Transport:
    """The shared way to storage, job queue and dash; safe to use from many threads.

    Args:
        credentials: User and password; None to send none.
        endpoints: Base URLs.
        timeout: Seconds for opening a connection, and for each wait for bytes; None for no limit.
        retries: How often and how long to repeat.
        user_agent: Header of the same name for storage and job queue.
        dash_user_agent: The same for the dash.
        use_msgpack: Whether to ask for MessagePack where the service offers it.
        max_record: Largest record to accept, in bytes.
        credentials_hint: What to tell when the service refuses the credentials: their kind and origin.
        clock: Time; replaced in tests.

    Raises:
        ValueError: ``timeout`` is no positive number.
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
        self.timeout = _checked_timeout(timeout)
        self.retries = retries or RetrySettings()
        self.user_agent = user_agent
        self.dash_user_agent = dash_user_agent or user_agent
        self.use_msgpack = use_msgpack
        self.max_record = max_record
        self.clock: Clock = clock or SystemClock()
        self._environment: dict[str, dict[str, Any]] = {}
        _transports.add(self)

    @property
    def session(self) -> requests.Session:
        """The shared session, made when it is first used.

        It holds no credentials: programs use it for other hosts too. Each request is given them by itself.
        """
        # No cached_property: before Python 3.12 these have a lock, which a fork may leave held for ever.
        session: requests.Session | None = self.__dict__.get('_session')
        return session or self.__dict__.setdefault('_session', self._make_session())

    @session.setter
    def session(self, session: requests.Session) -> None:
        self.__dict__['_session'] = session

    @session.deleter
    def session(self) -> None:
        # Who puts another one in its place for a while takes it away again by this.
        self.__dict__.pop('_session', None)

    def _make_session(self) -> requests.Session:
        session = _Session()
        adapter = Adapter(pool_connections=16, pool_maxsize=POOL_SIZE)
        session.mount('http://', adapter)
        session.mount('https://', adapter)
        session.cookies = Cookies()
        session.headers.clear()
        session.headers['Accept-Encoding'] = ACCEPT_ENCODING
        session.headers['Connection'] = 'keep-alive'
        session.headers['User-Agent'] = self.user_agent
        return session

    def close(self) -> None:
        """Close the connections that are not in use."""
        if '_session' in self.__dict__:
            self.session.close()

    def drop_connections(self) -> None:
        """Forget all pooled connections: after a fork they belong to the parent.

        Nothing here may wait for a lock: threads that the child does not have may have held it.
        """
        if '_session' not in self.__dict__:
            return
        for adapter in self.session.adapters.values():
            if isinstance(adapter, HTTPAdapter):
                renew(adapter)
            else:
                adapter.close()
        if isinstance(self.session.cookies, RequestsCookieJar):
            self.session.cookies = self.session.cookies.copy()

    @property
    def patience(self) -> float:
        """Seconds that a whole value, or one record of a stream, may take to arrive."""
        return float('inf') if self.timeout is None else BODY_TIMEOUTS * self.timeout

    def url(self, path: Path, *, dash: bool = False) -> str:
        """Return the address of a path of the storage server or job queue, or of the dash."""
        return self.endpoints.url(path, dash=dash)

    # One attempt

    def attempt(self, call: Call, number: int = 1) -> requests.Response:
        """Send a request once, and follow the redirects that may be followed.

        The only function that sends a request.

        Args:
            call: What to send.
            number: Number of the attempt, for the log.

        Returns:
            The answer, whatever its status; the body is not read.

        Raises:
            requests.RequestException: No answer arrived.
            UnexpectedRedirect: The answer points where a request with credentials must not follow.
        """
        url = call.url
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send(call, url, number)
            if not response.is_redirect:
                return response
            response.close()
            url = self._redirect_target(call, response)
        raise UnexpectedRedirect(f'{strip_credentials(call.url)} redirects more than {MAX_REDIRECTS} times')

    def _send(self, call: Call, url: str, number: int) -> requests.Response:
        prepared = Prepared()
        options = checked_options(call.options)
        session = self.session
        headers = dict(session.headers)
        headers['Accept'] = call.accept if call.accept == codec.MSGPACK else '*/*'
        headers.update(call.headers or {})
        prepared.prepare(
            method=call.method,
            url=url,
            # Parameters of the first address are part of where it redirects to.
            params=call.params if url == call.url else None,
            headers=headers,
            data=call.data,
            json=options.pop('json', None),
            files=options.pop('files', None),
            auth=(session.auth or self.credentials) if isinstance(call.auth, Unset) else call.auth,
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
            return response
        finally:
            if logger.isEnabledFor(logging.DEBUG):
                self._log(call, response, started, number)

    def _settings_for(self, url: str) -> dict[str, Any]:
        """Return proxies and certificates from the environment, looked up once for each host."""
        parts = urlsplit(url)
        origin = f'{parts.scheme}://{parts.netloc}'
        settings = self._environment.get(origin)
        if settings is None:
            settings = dict(self.session.merge_environment_settings(origin, {}, None, None, None))
            settings.pop('stream', None)
            self._environment[origin] = settings
        return settings

    def _redirect_target(self, call: Call, response: requests.Response) -> str:
        location = response.headers['Location']
        try:
            old, new = urlsplit(response.url), urlsplit(urljoin(response.url, location))
            same_port = (old.port or PORTS.get(old.scheme)) == (new.port or PORTS.get(new.scheme))
            target = strip_credentials(new.geturl())
        except ValueError as error:
            raise UnexpectedRedirect(
                f'{call.what} answered {response.status_code} with a redirect to what is no address: {error}',
                requests.HTTPError(f'{response.status_code} redirect', response=response),
            ) from error
        same_host = old.hostname == new.hostname
        upgraded = old.scheme == 'http' and new.scheme == 'https'
        if call.method != 'GET':
            why = f'a {call.method} is never repeated elsewhere'
        elif not same_host:
            why = 'credentials are not sent to another host'
        elif not upgraded and not (old.scheme == new.scheme and same_port):
            why = 'the target is less secure or another port'
        else:
            return new.geturl()
        raise UnexpectedRedirect(
            f'{call.what} answered {response.status_code} with a redirect to {target}, which is not followed: {why}',
            requests.HTTPError(f'{response.status_code} redirect', response=response),
        )

    def _log(self, call: Call, response: requests.Response | None, started: float, number: int) -> None:
        milliseconds = (self.clock.monotonic() - started) * 1000
        status = 'no answer' if response is None else response.status_code
        size = '-' if response is None else response.headers.get('Content-Length', 'stream')
        logger.debug('%s %s, %.0f ms, %s bytes, attempt %d', call.what, status, milliseconds, size, number)

    def open(self, call: Call, number: int = 1) -> requests.Response:
        """Send a request once and check the status of its answer.

        Args:
            call: What to send.
            number: Number of the attempt, for the log.

        Returns:
            The answer; the body is not read.

        Raises:
            requests.HTTPError: The status is 300 or more; the body of the answer is read, up to 64 KiB.
            requests.RequestException: No answer arrived.
        """
        response = self.attempt(call, number)
        status = response.status_code
        if status >= 300 and status not in call.own_statuses:
            self._keep_error_body(response)
            # Below 400: a redirect without a target, or "not modified". Neither holds what was asked for.
            kind = 'Server Error' if status >= 500 else 'Client Error' if status >= 400 else 'No Answer'
            # As raise_for_status says it, but the address may hold credentials.
            where = strip_secrets(response.url)
            raise requests.HTTPError(f'{status} {kind}: {response.reason} for url: {where}', response=response)
        return response

    def _keep_error_body(self, response: requests.Response) -> None:
        try:
            body = b''.join(self._within_deadline(Body(response), ERROR_BODY_BYTES))
        except requests.RequestException:
            # The status says what went wrong; a broken explanation of it must not hide it.
            body = b''
        finally:
            response.close()
        set_body(response, body[:ERROR_BODY_BYTES])

    # A call: attempts until there is a complete answer

    def send(self, call: Call) -> requests.Response:
        """Send a request until it is answered well or its budget is spent; the body is not read.

        Raises:
            requests.RequestException: The last failure.
        """
        attempts = self.attempts(call)
        return retry(lambda: self.open(call, attempts.number), attempts)

    def attempts(self, call: Call) -> Attempts:
        """Return the retry loop of one call."""
        return Attempts(self.retries.for_call(), self.clock, call.what, repeat=call.repeated)

    def fetch(self, call: Call) -> Answer:
        """Send a request until a complete answer has arrived, and decode it.

        Args:
            call: What to send.

        Returns:
            The answer.

        Raises:
            ScrapinghubAPIError: The service refused, failed or could not be reached within the budget.
        """
        attempts = self.attempts(call)
        try:
            response = retry(lambda: self.complete(call, attempts.number), attempts)
        except requests.RequestException as error:
            raise self.explain(error, attempts) from error
        return Answer(response, self.decode(call, response))

    def explain(self, error: requests.RequestException, attempts: Attempts | None = None) -> ScrapinghubAPIError:
        """Return the exception of our tree for a failure, with what the retry loop knows of it."""
        ours = from_http_error(error)
        if isinstance(ours, NetworkError):
            number = 1 if attempts is None else attempts.number
            where = f'{ours.method} {ours.url}: ' if ours.url else ''
            ours.message = f'{where}{describe(error)}' + (f' ({number} attempts)' if number > 1 else '')
            ours.args = (ours.message,)
            ours.add_hint(advise(error, self.timeout))
        if attempts is not None:
            ours.maybe_applied = attempts.maybe_applied
            ours.add_hint(attempts.hint)
        if isinstance(ours, Unauthorized):
            ours.add_hint(self.credentials_hint)
        return ours

    def complete(self, call: Call, number: int = 1) -> requests.Response:
        """Send a request once, and read the whole answer.

        Where nothing tells whether the answer to a GET is whole, it is asked for twice, and has to be the same.

        Args:
            call: What to send.
            number: Number of the attempt, for the log.

        Returns:
            The answer with its body.

        Raises:
            requests.RequestException: The status is 400 or more, or no complete answer arrived.
        """
        response, certain = self._complete(call, number)
        if not certain and call.method == 'GET':
            again, certain = self._complete(call, number)
            if not certain and again.content != response.content:
                raise requests.exceptions.ChunkedEncodingError(
                    'the answer does not say how long it is, and is another one when it is asked for again',
                    response=again,
                )
            return again
        return response

    def _complete(self, call: Call, number: int) -> tuple[requests.Response, bool]:
        """Return an answer with its body, and whether its framing says that it is whole."""
        response = self.open(call, number)
        body = Body(response)
        try:
            data = b''.join(self._within_deadline(body, VALUE_BYTES))
        finally:
            response.close()
        if len(data) > VALUE_BYTES:
            raise DecodeError(f'{call.what} was answered with more than {VALUE_BYTES} bytes, too many for one value')
        set_body(response, data)
        return response, not body.ambiguous or response.status_code == 204

    def _within_deadline(self, body: Body, limit: int) -> Iterator[bytes]:
        deadline = self.clock.monotonic() + self.patience
        size = 0
        for piece in body:
            yield piece
            size += len(piece)
            if size > limit:
                return
            if self.clock.monotonic() > deadline:
                raise requests.ReadTimeout(f'the answer did not arrive within {self.patience:.0f} seconds')

    def decode(self, call: Call, response: requests.Response) -> list[Any]:
        """Return the values of a complete answer.

        Args:
            call: What was asked.
            response: The answer, whose body is read.

        Raises:
            DecodeError: The body is not what the call owes.
        """
        body = response.content
        if not body:
            return []
        content_type = response.headers.get('Content-Type')
        try:
            decoder = codec.decoder_for(
                content_type, asked=call.accept, max_record=self.max_record, max_json=JSON_BYTES
            )
        except codec.Malformed as error:
            raise self.undecodable(call, response, body, error) from error
        values: list[Any] = []
        for start in range(0, len(body), codec.PIECE_SIZE):
            values += decoder.feed(body[start : start + codec.PIECE_SIZE])
            if len(values) > MAX_VALUES:
                raise DecodeError(f'{call.what} was answered with more than {MAX_VALUES} values')
        values += decoder.finish()
        if decoder.error is not None:
            raise self.undecodable(call, response, body, decoder.error) from decoder.error
        return values

    @staticmethod
    def undecodable(call: Call, response: requests.Response, body: bytes, error: Exception) -> DecodeError:
        """Return the error for a complete answer that is not what the call owes; it shows how the answer begins."""
        start = body[:200].decode('utf-8', 'replace')
        return DecodeError(
            f'{call.what} was answered with something that cannot be read ({error}); it begins: {start!r}',
            requests.HTTPError(str(error), response=response),
        )

    # The calls that resources make

    def get(self, path: Path, params: Params = None, *, accept: str = codec.JSON_LINES, **options: Any) -> Answer:
        """GET a path of storage or job queue; further keywords are fields of :class:`Call`."""
        return self.fetch(Call('GET', self.url(path), params=params, accept=accept, **options))

    def post(
        self,
        path: Path,
        *,
        lines: Iterable[Any] | None = None,
        value: Any = UNSET,
        params: Params = None,
        **options: Any,
    ) -> Answer:
        """POST JSON lines, or one JSON value, to a path of storage or job queue.

        Args:
            path: Where to.
            lines: Values to send, one a line.
            value: The one value to send instead.
            params: Query parameters.
            **options: Fields of :class:`Call`.

        Returns:
            The answer.
        """
        data: bytes | None = None
        if lines is not None:
            data = codec.encode_lines(lines)
        elif not isinstance(value, Unset):
            data = codec.encode_json(value).encode()
        return self.fetch(Call('POST', self.url(path), params=params, data=data, **options))

    def delete(self, path: Path, params: Params = None, **options: Any) -> Answer:
        """DELETE a path of storage or job queue."""
        return self.fetch(Call('DELETE', self.url(path), params=params, **options))


def set_body(response: requests.Response, body: bytes) -> None:
    """Give an answer the body that was read from it, so that ``.content``, ``.text`` and ``.json()`` show it."""
    response.raw = io.BytesIO(body)
