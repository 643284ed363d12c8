"""A local Scrapy Cloud as one object."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from types import TracebackType

from werkzeug.wrappers import Request

from scrapinghub.sandbox.app import SCHEMAS, App
from scrapinghub.sandbox.clock import Clock
from scrapinghub.sandbox.faults.effects import Met
from scrapinghub.sandbox.faults.faults import Faults
from scrapinghub.sandbox.routes.control import Control, is_own
from scrapinghub.sandbox.server.exchange import Exchange
from scrapinghub.sandbox.server.request_log import RequestLog
from scrapinghub.sandbox.server.server import Server
from scrapinghub.sandbox.store.database import Store, now_ms
from scrapinghub.sandbox.store.projects import Projects
from scrapinghub.sandbox.web.page import Page


class Sandbox:
    """A local Scrapy Cloud: an HTTP server on 127.0.0.1, ready when the constructor returns.

    Safe to share between threads. Close it, or use it as a context manager.

    Args:
        projects: Ids of the projects that exist; ``None`` lets every id exist from its first use on.
        apikey: The one API key that is accepted; ``None`` makes a random one.
        db: File that keeps the data; ``None`` keeps them in a temporary file until :meth:`close`.
        port: Port to listen on; 0 takes a free one.
        clock: Source of the service's time, in milliseconds since the epoch.

    Attributes:
        url: Base URL of the storage and queue servers, with a final slash.
        dash_url: Base URL of the dash, with a final slash.
        apikey: The API key.
        store: The data.
        clock: The service's time, which may be set.
        faults: What is made to go wrong.
        requests: The latest requests, without credentials.
        app: What answers requests.
        server: What listens.

    Example:
        >>> with Sandbox(projects=[123]) as cloud:
        ...     sorted(cloud.environ)
        ['SHUB_APIURL', 'SHUB_JOBQ', 'SHUB_STORAGE', 'SH_APIKEY']
    """

    def __init__(
        self,
        projects: Iterable[int] | None = None,
        *,
        apikey: str | None = None,
        db: str | None = None,
        port: int = 0,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        if apikey is not None and not apikey:
            raise ValueError('apikey must not be empty; leave it out for a random one')
        self.apikey = secrets.token_hex(16) if apikey is None else apikey
        self.clock = Clock(clock)
        self.faults = Faults()
        self.requests = RequestLog(self.clock)
        self.store = Store(db, clock=self.clock, schemas=SCHEMAS)
        try:
            self._projects = Projects(self.store, projects)
            self.app = App(self.store, self._projects, self.apikey, [*Control(self).routes(), *Page(self).routes()])
            self.server = Server(self.app, port=port, after_request=self.store.release)
        except BaseException:
            self.store.close()
            raise
        self.server.interceptor = self._decide
        self.server.observer = self._record
        self.url = self.app.base_url = f'http://127.0.0.1:{self.server.port}/'
        self.dash_url = f'{self.url}api/'

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables that make a program use this sandbox; one of them is the API key."""
        return {
            'SHUB_STORAGE': self.url,
            'SHUB_JOBQ': self.url,
            'SHUB_APIURL': self.dash_url,
            'SH_APIKEY': self.apikey,
        }

    def reset(self) -> None:
        """Forget data, faults and requests, let the clock run; only the projects given at the start stay."""
        self.faults.clear()
        self.server.pause = self.server.closing.wait
        self.store.reset()
        self.requests.clear()
        self.clock.reset()
        self._projects.restore()

    def close(self) -> None:
        """Stop listening, end all connections and threads, remove temporary data. A second call does nothing."""
        self.server.close()
        self.store.close()

    def _decide(self, request: Request) -> Met | None:
        return None if is_own(request) else self.faults.decide(request)

    def _record(self, exchange: Exchange) -> None:
        if not is_own(exchange.request):
            self.requests.observe(exchange)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f'<Sandbox {self.url}>'
