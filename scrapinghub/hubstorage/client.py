"""The low-level client."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any, TypeVar

import requests

from scrapinghub import __version__
from scrapinghub.config.credentials import Credentials
from scrapinghub.config.endpoints import DASH, find_endpoints
from scrapinghub.hubstorage.batchuploader import BatchUploader
from scrapinghub.hubstorage.job import Job
from scrapinghub.hubstorage.jobq import JobQ
from scrapinghub.hubstorage.project import Project
from scrapinghub.hubstorage.resourcetype import ResourceType
from scrapinghub.hubstorage.retrier import Invocation, Retrier
from scrapinghub.hubstorage.utils import xauth
from scrapinghub.redaction import Hidden
from scrapinghub.transport import codec
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.responses import decode
from scrapinghub.transport.http.retries import Attempts, Repeat, RetrySettings
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.uploads.uploader import Uploader

__all__ = ['HubstorageClient']

Self = TypeVar('Self', bound='HubstorageClient')

# Keyword arguments of a session's ``request`` that are fields of a call.
_FIELDS = ('params', 'data', 'headers', 'timeout')


class HubstorageClient:
    """The low-level client of storage and job queue, which raises the errors of ``requests``.

    All requests of its objects use :meth:`request`, so a subclass, or an attribute of one object, can replace it.
    (Writers send their batches themselves.) Safe to share between threads.

    Args:
        auth: ``user:password``, an API key, or a pair of user and password; None to send no credentials.
        endpoint: Base URL of the storage; ``SHUB_STORAGE`` or ``https://storage.scrapinghub.com/`` by default.
        connection_timeout: Time to open a connection, and to wait for data, in seconds; 60 by default.
        max_retries: Number of retries, 3 by default.
        max_retry_time: Time limit for retries, in seconds, 60 by default.
        user_agent: ``User-Agent`` header.
        use_msgpack: Whether to read MessagePack where the service offers it.
        jobq_endpoint: Base URL of the job queue; ``SHUB_JOBQ`` or the one of the storage by default.

    Attributes:
        auth: User and password, or None.
        endpoint: Base URL of the storage.
        jobq_endpoint: Base URL of the job queue.
        user_agent: ``User-Agent`` header.
        retrier: The retry loop; has ``call(function)``.

    Example:
        >>> hc = HubstorageClient(auth)
        >>> [item['name'] for item in hc.get_job('123/1/2').items.iter_values()]
        ['first', 'second']
    """

    DEFAULT_ENDPOINT = 'https://storage.scrapinghub.com/'
    DEFAULT_USER_AGENT = f'python-scrapinghub/{__version__}'
    DEFAULT_CONNECTION_TIMEOUT_S = 60.0

    RETRY_DEFAUT_MAX_RETRY_TIME_S = 60.0
    RETRY_DEFAULT_MAX_RETRIES = 3
    RETRY_DEFAULT_JITTER_MS = 500
    RETRY_DEFAULT_EXPONENTIAL_BACKOFF_MS = 500

    def __init__(
        self,
        auth: Any = None,
        endpoint: str | None = None,
        connection_timeout: float | None = None,
        max_retries: int | None = None,
        max_retry_time: float | None = None,
        user_agent: str | None = None,
        use_msgpack: bool = True,
        *,
        jobq_endpoint: str | None = None,
    ) -> None:
        pair = xauth(auth)
        storage = endpoint or os.environ.get('SHUB_STORAGE') or self.DEFAULT_ENDPOINT
        transport = Transport(
            None if pair is None else Credentials(*pair),
            find_endpoints(Hidden((storage, jobq_endpoint, DASH))),
            timeout=connection_timeout or self.DEFAULT_CONNECTION_TIMEOUT_S,
            retries=RetrySettings(max_retries, max_retry_time),
            user_agent=user_agent or self.DEFAULT_USER_AGENT,
            use_msgpack=use_msgpack,
        )
        self.use(transport, Uploader(transport))
        self.endpoint = storage

    def use(self, transport: Transport, uploader: Uploader) -> None:
        """Use this transport and these writers."""
        self.transport = transport
        self.uploader = uploader
        self.auth: tuple[str, str] | None = transport.credentials
        self.endpoint = f'{transport.endpoints.storage}/'
        self.jobq_endpoint = f'{transport.endpoints.jobq}/'
        self.user_agent = transport.user_agent
        given = transport.retries
        settings = RetrySettings(
            given.max_retries,
            given.max_retry_time,
            default_retries=self.RETRY_DEFAULT_MAX_RETRIES,
            default_retry_time=self.RETRY_DEFAUT_MAX_RETRY_TIME_S,
            backoff_ms=self.RETRY_DEFAULT_EXPONENTIAL_BACKOFF_MS,
            jitter_ms=self.RETRY_DEFAULT_JITTER_MS,
        )
        self.retry_settings = settings
        self.retrier: Any = Retrier(settings, transport.clock)

    @classmethod
    def over(cls: type[Self], transport: Transport, uploader: Uploader) -> Self:
        """Return a client that shares a transport and its writers."""
        client = cls.__new__(cls)
        client.use(transport, uploader)
        return client

    # What lives in the transport

    @property
    def session(self) -> requests.Session:
        """The session of ``requests``, shared with the transport."""
        return self.transport.session

    @session.setter
    def session(self, session: requests.Session) -> None:
        self.transport.session = session

    @property
    def use_msgpack(self) -> bool:
        """Whether to read MessagePack where the service offers it; may be changed at any time."""
        return self.transport.use_msgpack

    @use_msgpack.setter
    def use_msgpack(self, use_msgpack: bool) -> None:
        self.transport.use_msgpack = use_msgpack

    @property
    def connection_timeout(self) -> Any:
        """Time to open a connection, and to wait for data, in seconds. It can be changed at any time."""
        return self.transport.timeout

    @connection_timeout.setter
    def connection_timeout(self, seconds: Any) -> None:
        self.transport.timeout = seconds

    # Requests

    def request(self, is_idempotent: bool = False, **kwargs: Any) -> requests.Response:
        """Send a request. All objects of this client use this method.

        Args:
            is_idempotent: Whether the request may be repeated although the service may have executed it.
            **kwargs: Keyword arguments of :meth:`requests.Session.request`. Without ``auth`` no credentials are sent.

        Returns:
            The response. Its body is read unless ``stream=True``.

        Raises:
            requests.RequestException: The status is 400 or more, or no complete response arrived.
        """
        stream = bool(kwargs.pop('stream', False))
        call = _as_call(kwargs, Repeat.ALWAYS if is_idempotent else Repeat.UNRECEIVED)
        attempts = self.transport.attempts(call, self.retry_settings.for_call)
        invocation = Invocation(self.transport, call, attempts, stream=stream)
        try:
            # A retrier set by the program does not know which failures allow a retry.
            response: requests.Response = self.retrier.call(invocation) if is_idempotent else invocation.repeat()
        except requests.RequestException as error:
            ours = self.translate_error(error, attempts)
            if ours is error:
                raise
            raise ours from None
        return response

    def translate_error(self, error: requests.RequestException, attempts: Attempts | None = None) -> Exception:
        """Return the exception that this client raises for a failure: the failure itself.

        Args:
            error: The failure.
            attempts: The retry loop that gave up.
        """
        if attempts is not None and attempts.maybe_applied:
            vars(error)['maybe_applied'] = True
        return error

    def server_timestamp(self) -> int:
        """Return the time of the service, in milliseconds since the epoch."""
        url = f'{self.endpoint.rstrip("/")}/system/ts'
        response = self.request(is_idempotent=True, method='GET', url=url)
        values = decode(Call('GET', url, expects=codec.JSON), response, self.transport.max_record)
        return int(values[0])

    # Objects

    @property
    def jobq(self) -> JobQ:
        """The job queue of all projects."""
        return JobQ(self, None)

    @property
    def projects(self) -> Projects:
        """The projects."""
        return Projects(self, None)

    @property
    def root(self) -> ResourceType:
        """The root of the storage, for any path."""
        return ResourceType(self, None)

    @cached_property
    def batchuploader(self) -> BatchUploader:
        """Creates batch writers."""
        return BatchUploader(self)

    def get_project(self, *args: Any, **kwargs: Any) -> Project:
        """Return a project; the arguments are those of :class:`~scrapinghub.hubstorage.project.Project`."""
        return self.projects.get(*args, **kwargs)

    def get_job(self, *args: Any, **kwargs: Any) -> Job:
        """Return a job; the arguments are those of :class:`~scrapinghub.hubstorage.job.Job`."""
        return Job(self, *args, **kwargs)

    def push_job(self, projectid: Any, spidername: str, auth: Any = None, **jobparams: Any) -> Job:
        """Add a job to the queue of a project.

        Args:
            projectid: Id of the project.
            spidername: Name of the spider.
            auth: Credentials instead of the client's own.
            **jobparams: Metadata of the job, such as ``state``, ``priority`` and ``tags``.

        Returns:
            The job.

        Raises:
            scrapinghub.hubstorage.jobq.DuplicateJobError: A job with the same ``unique`` is pending or running.
        """
        return self.get_project(projectid, auth=auth).push_job(spidername, **jobparams)

    def close(self, timeout: float | None = None) -> None:
        """Send the queued records, and close the writers and the connections.

        Args:
            timeout: Maximum time to wait, in seconds. Waits until everything is stored by default.
        """
        try:
            self.uploader.close(timeout)
        finally:
            self.transport.close()


def _as_call(kwargs: Mapping[str, Any], repeat: Repeat) -> Call:
    """Return the call for keyword arguments of a session's ``request``."""
    options = dict(kwargs)
    method, url = str(options.pop('method')).upper(), options.pop('url')
    auth = options.pop('auth', None)
    fields = {name: options.pop(name) for name in _FIELDS if name in options}
    # The transport handles redirects.
    options.pop('allow_redirects', None)
    accept = (fields.get('headers') or {}).get('Accept') or codec.ANY
    if isinstance(auth, (tuple, list)):
        auth = Credentials(*auth)
    return Call(method, url, accept=accept, repeat=repeat, auth=auth, options=options, **fields)


class Projects(ResourceType):
    """All projects."""

    resource_type = 'projects'

    def get(self, *args: Any, **kwargs: Any) -> Project:
        """Return a project; the arguments are those of :class:`~scrapinghub.hubstorage.project.Project`."""
        return Project(self.client, *args, **kwargs)

    def jobsummaries(self, auth: Any = None, **params: Any) -> Any:
        """Return the number of jobs of each project, by state.

        Args:
            auth: Credentials instead of the client's own.
            **params: Parameters of the service, such as ``state``.
        """
        return next(self.apiget('jobsummaries', auth=xauth(auth) or self.auth, params=params), None)
