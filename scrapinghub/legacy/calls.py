"""Calls from a job through its project to the connection, and the status of a response."""

from __future__ import annotations

from typing import Any

import requests
from requests.structures import CaseInsensitiveDict

from scrapinghub.exceptions import APIError

NO_STATUS = 'JSON response does not contain status'


class RequestProxyMixin:
    """Passes calls from job to project to connection. Each of them adds its parameters."""

    def _add_params(self, params: dict[str, Any]) -> dict[str, Any]:
        return params

    @property
    def _request_proxy(self) -> RequestProxyMixin:
        raise NotImplementedError

    def _get(self, method: str, format: str, params: Any = None, headers: Any = None, raw: bool = False) -> Any:
        asked = self._add_params(dict(params or {}))
        return self._request_proxy.pass_get(method, format, asked, headers, raw)

    def _post(
        self, method: str, format: str, params: Any = None, headers: Any = None, raw: bool = False, files: Any = None
    ) -> Any:
        form = self._add_params(dict(params or {}))
        return self._request_proxy.pass_post(method, format, form, headers, raw, files)

    def pass_get(self, *args: Any) -> Any:
        """Pass on a GET."""
        return self._get(*args)

    def pass_post(self, *args: Any) -> Any:
        """Pass on a POST."""
        return self._post(*args)

    def open_answer(self, method: str, format: str, params: Any) -> requests.Response:
        """Return a response whose body is not read."""
        raw = self._get(method, format, params, raw=True)
        response = requests.Response()
        response.status_code = 200
        response.raw = raw
        response.headers = CaseInsensitiveDict(getattr(raw, 'headers', None) or {})
        response.request = requests.PreparedRequest()
        response.request.method = 'GET'
        return response


def check_status(body: Any) -> Any:
    """Return the object of a response whose ``status`` is ``ok``.

    Raises:
        APIError: The status is different or missing.
    """
    status = body.get('status') if isinstance(body, dict) else None
    if status is None:
        raise APIError(NO_STATUS)
    if status == 'ok':
        return body
    if status not in ('error', 'badrequest'):
        raise APIError(f'Unknown response status: {status}')
    message = body.get('message')
    if message is None:
        raise APIError(NO_STATUS)
    kind = APIError.ERR_AUTH_ERROR if message == 'Authentication failed' else APIError.ERR_BAD_REQUEST
    raise APIError(str(message), kind)
