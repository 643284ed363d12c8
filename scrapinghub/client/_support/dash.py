"""Requests to the dash API, which takes forms and returns JSON objects with a ``status``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scrapinghub.client._support.streams import explain_errors
from scrapinghub.exceptions import APIError, BadRequest, NotFound, ScrapinghubAPIError, ServerError, Unauthorized
from scrapinghub.transport import codec
from scrapinghub.transport.http.call import Call, Params
from scrapinghub.transport.http.errors import context_of, with_request
from scrapinghub.transport.http.paths import Path
from scrapinghub.transport.http.responses import DecodedResponse
from scrapinghub.transport.http.retries import FINAL_STATUSES, Repeat
from scrapinghub.transport.http.transport import Transport

Form = Mapping[str, Any] | Iterable[tuple[str, Any]]

# Error statuses for which the response body holds the reason.
_HANDLED_STATUSES = FINAL_STATUSES - {404}
_SHOWN_CHARACTERS = 500


class Dash:
    """Sends requests to the dash API.

    Args:
        transport: Sends the requests.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, path: Path, params: Params = None) -> dict[str, Any]:
        """GET a ``.json`` endpoint.

        Args:
            path: Path below the base URL, such as ``('jobs', 'list.json')``.
            params: Query parameters.

        Returns:
            The JSON object of the response, whose ``status`` is ``ok``.

        Raises:
            BadRequest: The service refuses the request.
            Unauthorized: The credentials are wrong.
            NotFound: The endpoint or the project does not exist.
            ServerError: The service failed.
        """
        return self._checked('GET', path, params=params)

    def post(self, path: Path, form: Form, *, repeat: Repeat | None = None) -> dict[str, Any]:
        """POST a form to a ``.json`` endpoint; see :meth:`get` for the return value and errors."""
        return self._checked('POST', path, data=form, repeat=repeat)

    def call(
        self,
        method: str,
        path: Path,
        *,
        params: Params = None,
        value: Any = None,
        form: Form | None = None,
        repeat: Repeat | None = None,
    ) -> Any:
        """Send a request to an endpoint that reports errors by HTTP status.

        Args:
            method: HTTP method.
            path: Path below the base URL.
            params: Query parameters.
            value: JSON value to send, or None.
            form: Form to send, or None.
            repeat: Which failures allow the transport to repeat the request.

        Returns:
            The JSON value of the response; None if its body is empty.
        """
        headers = None if value is None else {'Content-Type': 'application/json'}
        data = form if value is None else codec.encode_json(value).encode()
        with explain_errors(_reason):
            return self._fetch(method, path, params=params, data=data, headers=headers, repeat=repeat).value

    def _fetch(
        self, method: str, path: Path, *, headers: Mapping[str, str] | None = None, **fields: Any
    ) -> DecodedResponse:
        headers = {'User-Agent': self._transport.dash_user_agent, **(headers or {})}
        url = self._transport.url(path, dash=True)
        return self._transport.fetch(Call(method, url, expects=codec.JSON, headers=headers, **fields))

    def _checked(self, method: str, path: Path, **fields: Any) -> dict[str, Any]:
        try:
            return self._fetch_object(method, path, **fields)
        except ScrapinghubAPIError as error:
            # The path does not say which project the request is for.
            project = dict(fields.get('params') or fields.get('data') or ()).get('project')
            error.context = context_of(error, self._transport.endpoints, project)
            raise

    def _fetch_object(self, method: str, path: Path, **fields: Any) -> dict[str, Any]:
        try:
            answer = self._fetch(method, path, handled_statuses=_HANDLED_STATUSES, **fields)
        except NotFound as error:
            raise _rephrased(NotFound('Not found'), error, None) from None
        except ServerError as error:
            cause = APIError('Internal server error', APIError.ERR_SERVER_ERROR)
            raise _rephrased(ServerError('Internal server error'), error, cause) from None
        try:
            return check_status(answer)
        except Unauthorized as error:
            error.hint = self._transport.credentials_hint
            raise


def _reason(error: ScrapinghubAPIError) -> str | None:
    """Return the body of a refusal that has no message: it holds the problem of each field."""
    response = getattr(error.http_error, 'response', None)
    if not isinstance(error, BadRequest) or response is None or error.message != str(error.http_error):
        return None
    return f'The service answered: {response.text[:_SHOWN_CHARACTERS]}' if response.content else None


def check_status(answer: DecodedResponse) -> dict[str, Any]:
    """Return the JSON object of a response whose ``status`` is ``ok``.

    Raises:
        BadRequest: The status is ``error`` or ``badrequest``.
        Unauthorized: The credentials are wrong.
        ScrapinghubAPIError: The status is missing or unknown.
    """
    body = answer.value
    if not isinstance(body, dict) or 'status' not in body:
        raise with_request(ScrapinghubAPIError('JSON response does not contain status'), answer.response)
    status = body['status']
    if status == 'ok':
        return body
    if status not in ('error', 'badrequest'):
        raise with_request(ScrapinghubAPIError(f'Unknown response status: {status}'), answer.response)
    message = body.get('message')
    if message == 'Authentication failed':
        error = Unauthorized(message, APIError(message, APIError.ERR_AUTH_ERROR))
        raise with_request(error, answer.response)
    if message is None:
        raise with_request(ScrapinghubAPIError('JSON response does not contain status'), answer.response)
    raise with_request(BadRequest(str(message)), answer.response)


def _rephrased(
    error: ScrapinghubAPIError, source: ScrapinghubAPIError, http_error: Exception | None
) -> ScrapinghubAPIError:
    error.http_error = http_error
    error.original, error.context = source.original, source.context
    error.status_code, error.method, error.url = source.status_code, source.method, source.url
    error.hint, error.maybe_applied = source.hint, source.maybe_applied
    return error
