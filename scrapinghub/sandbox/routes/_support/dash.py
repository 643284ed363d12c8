"""Parameters and responses of the dash, whose calls are built with two different frameworks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import HTTPException

from scrapinghub.sandbox.routes._support.call import Call
from scrapinghub.sandbox.routes._support.services import dash_json
from scrapinghub.sandbox.server.response import Response, ServiceError

#: Calls whose body may be JSON instead of a form.
JSON_CALLS = ('/api/jobs/stop.json', '/api/jobs/delete.json')


def form(call: Call) -> MultiDict[str, str]:
    """Return the parameters of a call: the query of a GET, the form of a POST."""
    if call.request.method in ('GET', 'HEAD'):
        return call.args()
    if call.request.path in JSON_CALLS and call.body().lstrip().startswith(b'{'):
        return _json_form(call)
    try:
        return call.request.form
    except HTTPException as error:
        raise call.error(error.code or 400, f'the form cannot be read: {error.description}') from error


def _json_form(call: Call) -> MultiDict[str, str]:
    """Return the parameters of a JSON body: an object of strings and numbers, or arrays of them."""
    parameters: MultiDict[str, str] = MultiDict()
    for name, given in call.json_value().items():
        for value in given if isinstance(given, list) else [given]:
            if not isinstance(value, str | int) or isinstance(value, bool):
                call.fail(400, f'{name} should be a string, a number or an array of them')
            parameters.add(name, str(value))
    return parameters


def uploaded(call: Call, name: str) -> FileStorage:
    """Return an uploaded file."""
    form(call)
    file = call.request.files.get(name)
    if file is None:
        call.fail(400, f'a file named {name} should be uploaded as multipart/form-data')
    return file


def text(call: Call, name: str) -> str:
    """Return a required parameter, which must not be empty."""
    value = form(call).get(name, '')
    if not value:
        call.fail(400, f'parameter {name} is required')
    return value


def integer(call: Call, name: str, *, minimum: int = 0) -> int | None:
    """Return a parameter as an integer, None when it is absent."""
    value = form(call).get(name)
    return None if value is None else call.parse_integer(name, value, minimum=minimum)


def json_object(call: Call, name: str) -> dict[str, Any] | None:
    """Return a parameter that holds a JSON object as text, None when it is absent."""
    value = form(call).get(name)
    if value is None:
        return None
    decoded = call.parse_json(value, name)
    if not isinstance(decoded, dict):
        call.fail(400, f'{name} should be a JSON object')
    return decoded


def project(call: Call) -> int:
    """Return the project of a call, which must exist."""
    number = call.parse_integer('project', text(call, 'project'), minimum=1)
    call.require_project(number)
    return number


def spaced(value: Any) -> Response:
    """Return a JSON response of the older calls: with spaces after separators."""
    response = dash_json(value, compact=False)
    response.headers['Vary'] = 'Cookie'
    return response


def compact(value: Any, allow: str, status: int = 200) -> Response:
    """Return a JSON response of the newer calls: without spaces, with the allowed methods."""
    response = dash_json(value, status)
    response.headers.update({'Vary': 'Accept, Cookie', 'Allow': allow})
    return response


def not_found(allow: str) -> ServiceError:
    """Return the error of the newer calls for an object that does not exist."""
    response = compact({'detail': 'Not found.'}, allow)
    return ServiceError(404, response.body if isinstance(response.body, bytes) else b'', response.headers)


def project_name(project: int) -> str:
    """Return the name of a project."""
    return f'Project {project}'


def lines(content: Iterable[bytes]) -> Response:
    """Return a response with JSON lines."""
    return Response(headers={'Content-Type': 'application/x-jsonlines', 'Vary': 'Cookie'}, body=content)


def iso(milliseconds: object) -> str | None:
    """Return a time in the format of the dash, in UTC without a zone; None for an invalid time.

    Example:
        >>> iso(1447082425000)
        '2015-11-09T15:20:25'
    """
    if not isinstance(milliseconds, int):
        return None
    try:
        moment = datetime.fromtimestamp(milliseconds // 1000, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None
    return moment.strftime('%Y-%m-%dT%H:%M:%S')
