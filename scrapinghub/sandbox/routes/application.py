"""The Scrapy Cloud API as one application: routing, credentials, projects, and errors in the form of each service."""

from __future__ import annotations

import functools
import logging
from typing import Any
from urllib.parse import unquote

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map
from werkzeug.wrappers import Request

from scrapinghub.sandbox.modes import Modes
from scrapinghub.sandbox.routes import (
    activity,
    collections,
    comments,
    dash_data,
    dash_jobs,
    dash_projects,
    dash_spiders,
    directory,
    frontiers,
    job_data,
    job_metadata,
    job_queue,
    periodic_jobs,
    system,
)
from scrapinghub.sandbox.routes._support import auth
from scrapinghub.sandbox.routes._support.call import Call
from scrapinghub.sandbox.routes._support.services import Service
from scrapinghub.sandbox.server.request_reader import RAW_PATH
from scrapinghub.sandbox.server.response import Response, ServiceError
from scrapinghub.sandbox.server.routing import build_map
from scrapinghub.sandbox.store.database import Store
from scrapinghub.sandbox.store.projects import Projects
from scrapinghub.sandbox.store.scheduler import Scheduler

logger = logging.getLogger(__name__)

#: The modules whose ``ROUTES`` are served.
MODULES: tuple[Any, ...] = (
    system,
    activity,
    job_data,
    collections,
    frontiers,
    job_queue,
    job_metadata,
    directory,
    dash_jobs,
    dash_data,
    dash_projects,
    dash_spiders,
    comments,
    periodic_jobs,
)

#: First path segments of the two services behind the storage host; the dash has its own base path.
STORAGE = frozenset(('items', 'logs', 'requests', 'samples', 'collections', 'hcf', 'activity', 'system'))
QUEUE = frozenset(('jobq', 'jobs', 'ids', 'spiders', 'projects', 'botgroups'))
DASH = 'api'
#: Routes that need no credentials.
OPEN = frozenset(('/system/ts',))


class Application:
    """The Scrapy Cloud API.

    Args:
        store: The data.
        projects: Which projects exist.
        apikey: The API key that gives access to everything.
        modes: Optional behaviour.
        scheduler: Starts the jobs that are due before each request.

    Attributes:
        base_url: Root of the sandbox with a final slash, set when the server listens.
    """

    def __init__(self, store: Store, projects: Projects, apikey: str, modes: Modes, scheduler: Scheduler) -> None:
        self.store = store
        self.projects = projects
        self.apikey = apikey
        self.modes = modes
        self.scheduler = scheduler
        self.base_url = ''

    def __call__(self, request: Request) -> Response:
        """Handle a request; every error becomes a response."""
        path: str = request.environ[RAW_PATH]
        segments = [unquote(segment) for segment in path.strip('/').split('/')]
        service = service_of(segments)
        call = Call(request, self.store, self.projects, service, self.modes, self.base_url)
        try:
            self.scheduler.catch_up()
            return self._dispatch(call, path, segments)
        except ServiceError as error:
            return error.response
        except Exception:
            logger.exception('%s %s failed', request.method, path)
            return service.error(500).response
        finally:
            # Uploaded files are temporary files, also when the form was refused.
            request.close()

    def _dispatch(self, call: Call, path: str, segments: list[str]) -> Response:
        request = call.request
        if path.rstrip('/') not in OPEN and call.service is not Service.OTHER:
            call.caller = auth.identify(self.store.read(), request, self.apikey)
            if call.caller is None:
                call.fail(401)
            if not auth.permitted(call.caller, request.method, segments):
                call.fail(403)
        try:
            handler, arguments = route_map().bind('sandbox').match(path, request.method)
        except MethodNotAllowed as error:
            refusal = call.error(405, f'Method {request.method} not allowed')
            refusal.response.headers['Allow'] = ', '.join(sorted(error.valid_methods or ()))
            raise refusal from error
        except NotFound as error:
            if call.service in (Service.STORAGE, Service.QUEUE):
                raise call.error(404) from error
            raise call.error(501, f'The sandbox does not know {request.method} {path}') from error
        if 'project' in arguments:
            call.require_project(arguments['project'])
        response: Response = handler(call, **arguments)
        return response


@functools.cache
def route_map() -> Map:
    """Return the routes of all modules. Building them takes longer than the rest of a start, so it happens once."""
    return build_map(route for module in MODULES for route in module.ROUTES)


def service_of(segments: list[str]) -> Service:
    """Return the service that responds to a path."""
    if segments[0] in STORAGE:
        return Service.STORAGE
    if segments[0] in QUEUE:
        return Service.QUEUE
    if segments[0] == DASH:
        return Service.DASH
    return Service.OTHER
