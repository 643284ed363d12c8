"""From a path to its handler: routing, credentials, known projects, errors in the form of the program that answers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import BaseConverter, Map, Rule, ValidationError
from werkzeug.wrappers import Request

from scrapinghub.sandbox import (
    activity,
    auth,
    collections,
    collectionstore,
    dash,
    dashprojects,
    directory,
    frontiers,
    frontierstore,
    jobdata,
    jobmeta,
    jobqueue,
    jobs,
    projects,
    records,
    settings,
    spiders,
    system,
)
from scrapinghub.sandbox.http import Call, Personality, Reply, ServiceError
from scrapinghub.sandbox.projects import Projects
from scrapinghub.sandbox.receiving import RAW_PATH
from scrapinghub.sandbox.store import Store

logger = logging.getLogger(__name__)

Handler = Callable[..., Reply]
Route = tuple[str, tuple[str, ...], Handler]

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


class Number(BaseConverter):
    """An id or a record number: decimal, without leading zeros, small enough for the store."""

    regex = r'(?:0|[1-9][0-9]{0,17})'

    def to_python(self, value: str) -> int:
        """Return the number."""
        return int(value)


class Segment(BaseConverter):
    """One path segment, percent-decoded only after the path was split."""

    regex = r'[^/]+'

    def to_python(self, value: str) -> str:
        """Return the text."""
        try:
            return unquote(value, errors='strict')
        except UnicodeDecodeError as error:
            raise ValidationError from error


class Rest(Segment):
    """The rest of the path, slashes included."""

    regex = r'[^/].*?'
    part_isolating = False


CONVERTERS = {'int': Number, 'default': Segment, 'string': Segment, 'path': Rest}


class App:
    """The application behind the server.

    Args:
        store: The data.
        projects: Which projects exist.
        apikey: The API key that opens everything.
        routes: What is served; the default is the service's API.

    Attributes:
        base_url: Root of the sandbox with a final slash, known once the server listens.
    """

    def __init__(self, store: Store, projects: Projects, apikey: str, routes: list[Route] | None = None) -> None:
        self.store = store
        self.projects = projects
        self.apikey = apikey
        self.base_url = ''
        self._map = Map(
            [
                Rule(rule, methods=methods, endpoint=handler)
                for rule, methods, handler in (service_routes() if routes is None else routes)
            ],
            converters=CONVERTERS,
            strict_slashes=False,
            merge_slashes=False,
        )

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

    def _dispatch(self, call: Call, path: str, segments: list[str]) -> Reply:
        request = call.request
        if path.rstrip('/') not in OPEN and call.personality is not Personality.OTHER:
            call.caller = auth.identify(self.store.read(), request, self.apikey)
            if call.caller is None:
                call.fail(401)
            if not auth.permitted(call.caller, segments):
                call.fail(403)
        adapter = self._map.bind('sandbox')
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


def service_routes() -> list[Route]:
    """Return the routes of all families."""
    return [route for family in FAMILIES for route in family.ROUTES]


def personality_of(segments: list[str]) -> Personality:
    """Tell which of the service's programs answers a path."""
    if segments[0] in STORAGE:
        return Personality.STORAGE
    if segments[0] in QUEUE:
        return Personality.QUEUE
    if segments[0] == DASH:
        return Personality.DASH
    return Personality.OTHER
