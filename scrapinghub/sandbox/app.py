"""From a path to its handler: routing, credentials, known projects, errors in the form of the program that answers."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map
from werkzeug.wrappers import Request

from scrapinghub.sandbox.routes import activity, collections, directory, frontiers, system
from scrapinghub.sandbox.routes import dash_data as dashdata
from scrapinghub.sandbox.routes import dash_jobs as dash
from scrapinghub.sandbox.routes import dash_projects as dashprojects
from scrapinghub.sandbox.routes import job_data as jobdata
from scrapinghub.sandbox.routes import job_metadata as jobmeta
from scrapinghub.sandbox.routes import job_queue as jobqueue
from scrapinghub.sandbox.server import auth
from scrapinghub.sandbox.server.http import Call, Personality, Reply, ServiceError
from scrapinghub.sandbox.server.receiving import RAW_PATH
from scrapinghub.sandbox.server.routing import Route, build_map
from scrapinghub.sandbox.store import collections as collectionstore
from scrapinghub.sandbox.store import frontiers as frontierstore
from scrapinghub.sandbox.store import jobs, projects, records, settings, spiders
from scrapinghub.sandbox.store.database import Store
from scrapinghub.sandbox.store.projects import Projects

logger = logging.getLogger(__name__)

#: The modules whose ``ROUTES`` are served.
FAMILIES: tuple[Any, ...] = (
    system,
    activity,
    jobdata,
    collections,
    frontiers,
    jobqueue,
    jobmeta,
    directory,
    dash,
    dashdata,
    dashprojects,
)
#: The tables of the store.
SCHEMAS: tuple[str, ...] = (
    projects.SCHEMA,
    spiders.SCHEMA,
    settings.SCHEMA,
    jobs.SCHEMA,
    records.SCHEMA,
    activity.SCHEMA,
    collectionstore.SCHEMA,
    frontierstore.SCHEMA,
    dashprojects.SCHEMA,
)

#: First path segments of the two programs behind the storage host; the dash has a base path of its own.
STORAGE = frozenset(('items', 'logs', 'requests', 'samples', 'collections', 'hcf', 'activity', 'system'))
QUEUE = frozenset(('jobq', 'jobs', 'ids', 'spiders', 'projects', 'botgroups'))
DASH = 'api'
#: Routes that need no credentials.
OPEN = frozenset(('/system/ts',))


class App:
    """The application behind the server.

    Args:
        store: The data.
        projects: Which projects exist.
        apikey: The API key that opens everything.
        own_routes: Routes of the sandbox itself, on paths that the service does not have; they need no credentials.

    Attributes:
        base_url: Root of the sandbox with a final slash, known once the server listens.
    """

    def __init__(self, store: Store, projects: Projects, apikey: str, own_routes: Iterable[Route] = ()) -> None:
        self.store = store
        self.projects = projects
        self.apikey = apikey
        self.base_url = ''
        self._own_routes = own_routes

    @functools.cached_property
    def _own_map(self) -> Map:
        # Most sandboxes live for one test and are never asked for these, and building them takes milliseconds.
        return build_map(self._own_routes)

    def __call__(self, request: Request) -> Reply:
        """Answer a request; whatever goes wrong becomes an answer too."""
        path: str = request.environ[RAW_PATH]
        segments = [unquote(segment) for segment in path.strip('/').split('/')]
        personality = personality_of(segments)
        call = Call(request, self.store, self.projects, personality, self.base_url)
        try:
            return self._dispatch(call, path, segments)
        except ServiceError as error:
            return error.reply
        except Exception:
            logger.exception('%s %s failed', request.method, path)
            return personality.error(500).reply
        finally:
            # Uploaded files lie in temporary files, also when the form was refused.
            request.close()

    def _dispatch(self, call: Call, path: str, segments: list[str]) -> Reply:
        request = call.request
        if path.rstrip('/') not in OPEN and call.personality is not Personality.OTHER:
            call.caller = auth.identify(self.store.read(), request, self.apikey)
            if call.caller is None:
                call.fail(401)
            if not auth.permitted(call.caller, request.method, segments):
                call.fail(403)
        routes = self._own_map if call.personality is Personality.OTHER else service_map()
        adapter = routes.bind('sandbox')
        try:
            handler, arguments = adapter.match(path, request.method)
        except MethodNotAllowed as error:
            refusal = call.error(405, f'Method {request.method} not allowed')
            refusal.reply.headers['Allow'] = ', '.join(sorted(error.valid_methods or ()))
            raise refusal from error
        except NotFound as error:
            if call.personality in (Personality.STORAGE, Personality.QUEUE):
                raise call.error(404) from error
            raise call.error(501, f'The sandbox does not know {request.method} {path}') from error
        if 'project' in arguments:
            call.require_project(arguments['project'])
        reply: Reply = handler(call, **arguments)
        return reply


@functools.cache
def service_map() -> Map:
    """Return the routes of all families. Building them takes longer than all the rest of a start, so do it once."""
    return build_map(route for family in FAMILIES for route in family.ROUTES)


def personality_of(segments: list[str]) -> Personality:
    """Tell which of the service's programs answers a path."""
    if segments[0] in STORAGE:
        return Personality.STORAGE
    if segments[0] in QUEUE:
        return Personality.QUEUE
    if segments[0] == DASH:
        return Personality.DASH
    return Personality.OTHER
