"""The routes of the sandbox itself: a page for browsers, and the control interface."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable
from urllib.parse import urlsplit

from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map
from werkzeug.wrappers import Request

from scrapinghub.sandbox.server.request_log import raw_path
from scrapinghub.sandbox.server.response import Response, ServiceError
from scrapinghub.sandbox.server.routing import Route, build_map

logger = logging.getLogger(__name__)

#: Base path of the control interface.
BASE = '/_sandbox'
LOCAL_NAMES = frozenset(('127.0.0.1', 'localhost', '::1'))


class Site:
    """The routes of the sandbox itself, on paths that Scrapy Cloud does not have.

    They need no credentials, so they accept requests from this machine only, and refuse those of web pages of other
    hosts that a browser on this machine shows.

    Args:
        routes: The routes; a handler gets the request and the parts of the path by name.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = routes

    @functools.cached_property
    def _map(self) -> Map:
        # Most sandboxes live for one test and never use these routes, and building them takes milliseconds.
        return build_map(self._routes)

    def serves(self, request: Request) -> bool:
        """Return whether a request is for the sandbox itself and not for Scrapy Cloud."""
        path = raw_path(request)
        return path in ('/', BASE) or path.startswith((f'{BASE}/', '/p/'))

    def __call__(self, request: Request) -> Response:
        """Handle a request."""
        path = raw_path(request)
        try:
            require_local(request)
            handler, arguments = self._map.bind('sandbox').match(path, request.method)
            response: Response = handler(request, **arguments)
        except ServiceError as error:
            return error.response
        except MethodNotAllowed as error:
            headers = {'Allow': ', '.join(sorted(error.valid_methods or ()))}
            return plain_text(405, f'Method {request.method} not allowed', headers)
        except HTTPException:
            return plain_text(501, f'The sandbox does not know {request.method} {path}')
        except Exception:
            logger.exception('%s %s failed', request.method, path)
            return plain_text(500, 'Internal Server Error')
        return response


def plain_text(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    """Return a response with one line of text."""
    return Response(
        status, headers={'Content-Type': 'text/plain; charset=utf-8', **(headers or {})}, body=f'{text}\n'.encode()
    )


def require_local(request: Request) -> None:
    """Refuse a request that a web page of another host makes, also one whose name resolves to this machine.

    Raises:
        ServiceError: 403.
    """
    host, origin = request.headers.get('Host', ''), request.headers.get('Origin')
    if _hostname(f'//{host}') not in LOCAL_NAMES or (origin is not None and _hostname(origin) not in LOCAL_NAMES):
        message = 'the sandbox is controlled from this machine only: use 127.0.0.1 or localhost'
        raise ServiceError(403, f'{{"error": "{message}"}}\n'.encode(), {'Content-Type': 'application/json'})


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        # Unbalanced brackets, for example.
        return None
