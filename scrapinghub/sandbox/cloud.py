"""A local Scrapy Cloud as one object."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request

from scrapinghub.sandbox.clock import Clock
from scrapinghub.sandbox.faults.responder import FaultResponder
from scrapinghub.sandbox.faults.rules import Faults
from scrapinghub.sandbox.modes import INSTANT_VARIABLE, Modes
from scrapinghub.sandbox.routes.application import Application
from scrapinghub.sandbox.runner.project import ScrapyProject
from scrapinghub.sandbox.runner.runner import Runner
from scrapinghub.sandbox.server.connection import Connection
from scrapinghub.sandbox.server.exchange import Exchange
from scrapinghub.sandbox.server.local_client import LocalClient
from scrapinghub.sandbox.server.request_log import RequestLog
from scrapinghub.sandbox.server.response import Response
from scrapinghub.sandbox.server.server import Responder, Server
from scrapinghub.sandbox.store.database import Store, now_ms
from scrapinghub.sandbox.store.projects import Projects
from scrapinghub.sandbox.store.scheduler import Scheduler
from scrapinghub.sandbox.store.schema import SCHEMAS
from scrapinghub.sandbox.web.control import Control
from scrapinghub.sandbox.web.page import Page
from scrapinghub.sandbox.web.site import Site

if TYPE_CHECKING:
    from scrapinghub import ScrapinghubClient


class Sandbox:
    """A local Scrapy Cloud: an HTTP server on 127.0.0.1, ready when the constructor returns.

    Safe to share between threads. Close it, or use it as a context manager.

    Args:
        projects: Ids of the projects that exist. By default a project is created when its id is first used.
        apikey: The only API key that is accepted. By default a random one is generated.
        db: File in which the data are stored. By default they are deleted by :meth:`close`.
        port: Port to listen on; 0 selects a free one.
        clock: Source of the service's time, in milliseconds since the epoch.
        ignore_filters: Ignore the filters ``endts``, ``key`` and ``lacks_tag`` in lists and counts of jobs, as the
            service may do.
        shuffle_fields: Return the fields of records in another order at each read, as the service may do.

    Attributes:
        url: Base URL of the storage and queue servers, with a final slash.
        dash_url: Base URL of the dash, with a final slash.
        apikey: The API key.
        store: The data.
        clock: The service's time, which can be moved and stopped.
        faults: The faults that are applied to requests.
        requests: The latest requests, without credentials.
        app: The Scrapy Cloud API.
        scheduler: Starts the jobs of periodic jobs.
        server: The HTTP server.
        ignore_filters: The mode of this name, which may be changed at any time.
        shuffle_fields: The mode of this name, which may be changed at any time.

    Example:
        >>> with Sandbox(projects=[123]) as cloud:
        ...     sorted(cloud.environ)
        ['SCRAPINGHUB_INSTANT_RETRIES', 'SHUB_APIURL', 'SHUB_JOBQ', 'SHUB_STORAGE', 'SH_APIKEY']
    """

    def __init__(
        self,
        projects: Iterable[int] | None = None,
        *,
        apikey: str | None = None,
        db: str | None = None,
        port: int = 0,
        clock: Callable[[], int] = now_ms,
        ignore_filters: bool = False,
        shuffle_fields: bool = False,
        scrapy: str | os.PathLike[str] | None = None,
        units: int = 1,
        python: str | None = None,
    ) -> None:
        if scrapy is None and (units != 1 or python is not None):
            raise ValueError('units and python are for the jobs of a Scrapy project: pass its folder as scrapy')
        if units < 1:
            raise ValueError(f'units should be a number of at least 1, got {units!r}')
        project = None if scrapy is None else ScrapyProject(Path(scrapy).resolve(), python or sys.executable)
        if apikey is not None and not apikey:
            raise ValueError('apikey must not be empty; leave it out for a random one')
        self.apikey = secrets.token_hex(16) if apikey is None else apikey
        self.clock = Clock(clock)
        self.faults = Faults()
        self.requests = RequestLog(self.clock)
        self._runner: Runner | None = None
        self._initial_modes = Modes(ignore_filters, shuffle_fields)
        self._modes = replace(self._initial_modes)
        self.store = Store(db, clock=self.clock, schemas=SCHEMAS)
        try:
            self._projects = Projects(self.store, projects, () if project is None else _list_spiders(project))
            self.scheduler = Scheduler(self.store)
            self.app = Application(self.store, self._projects, self.apikey, self._modes, self.scheduler)
            self._site = self._build_site()
            self.server = Server(self._handle, port=port, after_request=self.store.release)
        except BaseException:
            self.store.close()
            raise
        self.clock.on_move, self.clock.on_reset = self.scheduler.catch_up, self.scheduler.skip
        self.server.interceptor = self._intercept
        self.server.observer = self._record
        self.url = self.app.base_url = f'http://127.0.0.1:{self.server.port}/'
        self.dash_url = f'{self.url}api/'
        if project is not None:
            self._runner = Runner(
                project,
                self.store,
                LocalClient(self.app, self.apikey),
                environ=self.environ,
                units=units,
                catch_up=self.scheduler.catch_up,
            )

    @property
    def environ(self) -> dict[str, str]:
        """Environment variables that make a program use this sandbox, including the API key."""
        return {
            'SHUB_STORAGE': self.url,
            'SHUB_JOBQ': self.url,
            'SHUB_APIURL': self.dash_url,
            'SH_APIKEY': self.apikey,
            # Tests of programs need not wait between retries; clients apply it to this machine only.
            INSTANT_VARIABLE: '1',
        }

    @property
    def ignore_filters(self) -> bool:
        """Whether lists and counts of jobs ignore the filters ``endts``, ``key`` and ``lacks_tag``."""
        return self._modes.ignore_filters

    @ignore_filters.setter
    def ignore_filters(self, value: bool) -> None:
        self._modes.ignore_filters = value

    @property
    def shuffle_fields(self) -> bool:
        """Whether each read returns the fields of records in another order."""
        return self._modes.shuffle_fields

    @shuffle_fields.setter
    def shuffle_fields(self, value: bool) -> None:
        self._modes.shuffle_fields = value

    def client(self, **options: Any) -> ScrapinghubClient:
        """Return a client of this sandbox.

        Args:
            options: Further keyword arguments of :class:`~scrapinghub.client.ScrapinghubClient`.

        Example:
            >>> with Sandbox() as cloud, cloud.client() as client:
            ...     client.get_project(123).jobs.run('books').key
            '123/1/1'
        """
        from scrapinghub import ScrapinghubClient

        endpoints = {'endpoint': self.url, 'jobq_endpoint': self.url, 'dash_endpoint': self.dash_url}
        return ScrapinghubClient(self.apikey, **{**endpoints, **options})

    def reset(self) -> None:
        """Remove data, faults and logged requests, and reset clock and modes; the projects given at the start stay."""
        self.faults.clear()
        self.server.pause = self.server.closing.wait
        # A job that ran on would write to a new job with the same key.
        with contextlib.nullcontext() if self._runner is None else self._runner.paused():
            self.store.reset()
        self.requests.clear()
        self.clock.reset()
        self.ignore_filters = self._initial_modes.ignore_filters
        self.shuffle_fields = self._initial_modes.shuffle_fields
        self._projects.restore()

    def close(self) -> None:
        """Stop the jobs that run, the server, its connections and threads, and remove temporary data.

        Can be called twice.
        """
        if self._runner is not None:
            # Jobs store their last records while they stop.
            self.faults.clear()
            self._runner.close()
        self.server.close()
        try:
            if not self.store.closed:
                self.scheduler.catch_up()
        finally:
            self.store.close()

    def _build_site(self) -> Site:
        control = Control(self.faults, self.requests, self.clock, self._modes, self.reset)
        page = Page(LocalClient(self.app, self.apikey))
        return Site([*control.routes(), *page.routes()])

    def _handle(self, request: Request) -> Response:
        return self._site(request) if self._site.serves(request) else self.app(request)

    def _intercept(self, exchange: Exchange) -> Responder | None:
        if self._site.serves(exchange.request):
            return None
        applied = self.faults.decide(exchange.request)
        if applied is None:
            return None
        exchange.fault = applied.label

        def respond(connection: Connection) -> None:
            FaultResponder(applied, connection).respond()

        return respond

    def _record(self, exchange: Exchange) -> None:
        if self._runner is not None and exchange.request.method != 'GET':
            self._runner.wake()
        if not self._site.serves(exchange.request):
            self.requests.observe(exchange)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f'<Sandbox {self.url}>'


def _list_spiders(project: ScrapyProject) -> list[str]:
    """Return the spiders of a project. If it cannot be loaded, jobs fail with the same reason."""
    try:
        return project.list_spiders()
    except ValueError as error:
        warnings.warn(str(error), stacklevel=3)
        return []
