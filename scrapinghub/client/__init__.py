"""The client: :class:`ScrapinghubClient`. The other modules of this package hold the resources that it returns."""

from __future__ import annotations

import os
import warnings
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any

from scrapinghub import __version__
from scrapinghub.client import exceptions as exceptions
from scrapinghub.client._support.dash import Dash
from scrapinghub.client._support.html import render_card
from scrapinghub.client._support.parameters import ChecksNames
from scrapinghub.client._support.validation import expect
from scrapinghub.client.activity import AccountActivity
from scrapinghub.client.jobs import Job
from scrapinghub.client.projects import Project, Projects
from scrapinghub.client.utils import AnyJobKey, parse_job_key, parse_project_id
from scrapinghub.client.utils import parse_auth as parse_auth
from scrapinghub.config.credentials import Found, find_credentials, user_level
from scrapinghub.config.endpoints import find_endpoints
from scrapinghub.redaction import Hidden, strip_credentials
from scrapinghub.transport.http.connections import session_settings
from scrapinghub.transport.http.retries import RetrySettings
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.uploads.uploader import Uploader

if TYPE_CHECKING:
    from scrapinghub.hubstorage.views import Connection as Connection
    from scrapinghub.hubstorage.views import HubstorageClient as HubstorageClient

__all__ = ['ScrapinghubClient']

DEFAULT_CONNECTION_TIMEOUT = 60
DEFAULT_USER_AGENT = f'python-scrapinghub/{__version__}'

_OLDER = ('Connection', 'HubstorageClient')


def __getattr__(name: str) -> Any:
    """Import the clients of older releases when they are used."""
    if name in _OLDER:
        from scrapinghub.hubstorage import views

        return getattr(views, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    return sorted({*globals(), *_OLDER})


class ScrapinghubClient(ChecksNames):
    """Client of the Scrapy Cloud API.

    Create one client and keep it: everything that it returns shares its connections and its writers. Safe to use from
    many threads, and after a fork. Use it as a context manager, or call :meth:`close`, to have everything stored that
    was written.

    Args:
        auth: API key; or ``user:password``, a pair of the two, or the value of ``SHUB_JOBAUTH``. By default the
            environment variables ``SH_APIKEY``, ``SHUB_APIKEY`` and ``SHUB_JOBAUTH`` are read, then the same names in
            a ``.env`` file, and then the files ``scrapinghub.yml`` and ``~/.scrapinghub.yml`` of ``shub``.
        dash_endpoint: Base URL of the dash API; ``SHUB_APIURL`` or ``https://app.zyte.com/api/`` by default.
        connection_timeout: Timeout for opening a connection, and for each wait for a response, in seconds; 60 by
            default.
        dotenv_path: Path of the ``.env`` file; by default the nearest one in the current directory and its parents.
            Needs the extra ``dotenv``.
        endpoint: Base URL of the storage API; ``SHUB_STORAGE`` or ``https://storage.scrapinghub.com/`` by default.
        max_retries: Maximum number of retries of a failed request, 3 by default; 0 for none.
        max_retry_time: Maximum time after which a failed request is retried, in seconds; 60 by default.
        user_agent: ``User-Agent`` header of requests to the storage and job queue APIs.
        use_msgpack: Read MessagePack where the service offers it; otherwise JSON.
        jobq_endpoint: Base URL of the job queue API; ``endpoint``, ``SHUB_JOBQ`` or the storage API by default.
        spool: Path of a file in which written records survive the end of the process until they are stored.
        max_outage: Maximum time for which writers retry while the service cannot be reached, in seconds; 30 hours by
            default.

    Attributes:
        connection_timeout: See above.
        transport: Sends the requests.
        uploader: Creates the batch writers.

    Raises:
        ValueError: The credentials are malformed, an endpoint is not a URL, or a number is negative.
        RuntimeError: No credentials were found.
        TypeError: A keyword is unknown; the error suggests the one that is meant.

    Example:
        >>> with ScrapinghubClient(auth) as client:
        ...     client.projects.list()
        [123]
    """

    # A class attribute: tools may call repr() for a traceback of the constructor.
    _address: str | None = None

    def __init__(
        self,
        auth: str | tuple[str, str] | None = None,
        dash_endpoint: str | None = None,
        connection_timeout: float | None = DEFAULT_CONNECTION_TIMEOUT,
        dotenv_path: str | os.PathLike[str] | None = None,
        *,
        endpoint: str | None = None,
        max_retries: int | None = None,
        max_retry_time: float | None = None,
        user_agent: str | None = None,
        use_msgpack: bool = True,
        jobq_endpoint: str | None = None,
        spool: str | os.PathLike[str] | None = None,
        max_outage: float | None = None,
    ) -> None:
        # An error below must not show a key among the local variables of this frame, wherever it was given.
        given, auth = Hidden(auth), None
        # An endpoint wins over SHUB_JOBQ: otherwise, jobs of another server could be cancelled or deleted.
        addresses = Hidden((endpoint, jobq_endpoint or endpoint, dash_endpoint))
        endpoint = jobq_endpoint = dash_endpoint = None
        found = find_credentials(given, dotenv_path)
        self.connection_timeout: float = connection_timeout or DEFAULT_CONNECTION_TIMEOUT
        endpoints = find_endpoints(addresses)
        self._address = strip_credentials(endpoints.storage)
        self.transport = Transport(
            found.credentials,
            endpoints,
            timeout=self.connection_timeout,
            retries=RetrySettings(max_retries, max_retry_time),
            user_agent=user_agent or DEFAULT_USER_AGENT,
            dash_user_agent=DEFAULT_USER_AGENT,
            use_msgpack=use_msgpack,
            credentials_hint=found.hint,
        )
        self._max_outage = max_outage
        self.uploader = Uploader(self.transport, spool=spool or None, max_outage=max_outage)
        _warn_of_password(found)

    def __getstate__(self) -> dict[str, Any]:
        # Settings and credentials only: connections, writers and the spool stay with this client.
        transport = self.transport
        names = ('timeout', 'retries', 'user_agent', 'dash_user_agent', 'use_msgpack', 'max_record', 'credentials_hint')
        options = {name: getattr(transport, name) for name in names}
        return {
            'connection_timeout': self.connection_timeout,
            'max_outage': self._max_outage,
            'transport': (transport.credentials, transport.endpoints, options),
            'session': session_settings(transport.session),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        credentials, endpoints, options = state['transport']
        self.connection_timeout = state['connection_timeout']
        self._max_outage = state['max_outage']
        self._address = strip_credentials(endpoints.storage)
        self.transport = Transport(credentials, endpoints, **options)
        for name, value in state['session'].items():
            setattr(self.transport.session, name, value)
        self.uploader = Uploader(self.transport, max_outage=self._max_outage)

    def __repr__(self) -> str:
        return f'<scrapinghub.client.ScrapinghubClient {self._address}>'

    def _repr_html_(self) -> str:
        endpoints = self.transport.endpoints
        addresses = {'storage': endpoints.storage, 'job queue': endpoints.jobq, 'dash': endpoints.dash}
        return render_card(
            'ScrapinghubClient', [(name, strip_credentials(url) or '') for name, url in addresses.items()]
        )

    def __enter__(self) -> ScrapinghubClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.uploader.close()
            else:
                self.uploader.close_after_error()
        finally:
            self.transport.close()

    @cached_property
    def _hsclient(self) -> HubstorageClient:
        from scrapinghub.hubstorage import views

        return views.hsclient_over(self.transport, self.uploader)

    @cached_property
    def _connection(self) -> Connection:
        from scrapinghub.hubstorage import views

        return views.connection_over(self.transport)

    @property
    def projects(self) -> Projects:
        """The projects that the credentials have access to."""
        # Not cached: a reference cycle would keep the client alive, so that dropping it would not flush its writers.
        return Projects(self)

    @property
    def activity(self) -> AccountActivity:
        """The events of several projects together."""
        return AccountActivity(self)

    def whoami(self) -> dict[str, Any]:
        """Return the user of the API key. This is a cheap way to check the key.

        Returns:
            The object of the service, unchanged.

        Raises:
            Unauthorized: The API key is wrong.

        Example:
            >>> client.whoami()['username']
            'admin'
        """
        path = ('v2', 'users', 'me')
        return expect(Dash(self.transport).call('GET', path), dict, f'GET {"/".join(path)}')

    def get_project(self, project_id: int | str) -> Project:
        """Return a project, without a request.

        Args:
            project_id: Id of the project.

        Returns:
            The project, whether it exists or not.

        Raises:
            ValueError: ``project_id`` is not an integer.

        Example:
            >>> client.get_project(123).key
            '123'
        """
        return Project(self, parse_project_id(project_id))

    def get_job(self, job_key: AnyJobKey) -> Job:
        """Return a job, without a request.

        Args:
            job_key: ``project/spider/job``, the three as a tuple, or the URL of the job in the web interface.

        Returns:
            The job, whether it exists or not.

        Raises:
            ValueError: ``job_key`` is malformed.

        Example:
            >>> client.get_job('123/1/2').key
            '123/1/2'
        """
        return Job(self, str(parse_job_key(job_key)))

    def close(self, timeout: float | None = None) -> bool:
        """Send the queued records, and close the writers and the connections. Afterwards nothing can be written.

        A client that never wrote, and has no spool, remains usable.

        Args:
            timeout: Maximum time to wait, in seconds. By default waits until everything is stored, but 10 seconds while
                Ctrl-C is handled; what is not stored then is reported on the standard error output.

        Returns:
            Whether everything is stored. Other records can be taken back from their writers, or stay in the spool.

        Raises:
            UploadError: The service refuses records; the error holds them.

        Example:
            >>> client.close(timeout=30)
            True
        """
        try:
            return self.uploader.close(timeout)
        finally:
            self.transport.close()


def _warn_of_password(found: Found) -> None:
    if found.credentials[1]:
        warnings.warn(
            'Credentials with a password: many endpoints of the dash take only an API key.',
            UserWarning,
            stacklevel=user_level(),
        )
