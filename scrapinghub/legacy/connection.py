"""The connection to the dash."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

import requests

from scrapinghub import __version__
from scrapinghub.config.credentials import Credentials
from scrapinghub.config.endpoints import STORAGE, find_endpoints
from scrapinghub.exceptions import APIError
from scrapinghub.hubstorage.retrier import Invocation
from scrapinghub.hubstorage.streaming import as_pairs, readable
from scrapinghub.legacy.calls import RequestProxyMixin, check_status
from scrapinghub.legacy.projects import Project
from scrapinghub.legacy.streaming import SingleResponseSource
from scrapinghub.redaction import Hidden
from scrapinghub.transport import codec
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.responses import decode, undecodable
from scrapinghub.transport.http.retries import FINAL_STATUSES, RETRY_STATUSES, Repeat
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.streams.cursors_without_keys import SkipCursor
from scrapinghub.transport.streams.stream import RecordStream

Self = TypeVar('Self', bound='Connection')

_REPEATED_POSTS = ('jobs/update.json', 'jobs/stop.json', 'jobs/delete.json')


class Connection(RequestProxyMixin):
    """A connection to the dash.

    Args:
        apikey: API key; the environment variable ``SH_APIKEY`` by default.
        password: Password of a user, instead of an API key.
        _old_passwd: Ignored.
        url: Base URL of the dash; ``SHUB_APIURL`` or ``https://app.zyte.com/api/`` by default.
        connection_timeout: Time to open a connection, and to wait for data, in seconds; no limit if None.

    Attributes:
        apikey: The API key.
        password: The password.
        url: The base URL.

    Raises:
        RuntimeError: There is no API key.

    Example:
        >>> conn = Connection(auth)
        >>> conn[123].schedule('spider1')
        '123/1/4'
    """

    DEFAULT_ENDPOINT = 'https://app.zyte.com/api/'

    API_METHODS: Mapping[str, str] = {
        'addversion': 'scrapyd/addversion',
        'listprojects': 'scrapyd/listprojects',
        'jobs_count': 'jobs/count',
        'jobs_list': 'jobs/list',
        'jobs_update': 'jobs/update',
        'jobs_stop': 'jobs/stop',
        'jobs_delete': 'jobs/delete',
        'eggs_add': 'eggs/add',
        'eggs_delete': 'eggs/delete',
        'eggs_list': 'eggs/list',
        'as_project_slybot': 'as/project-slybot',
        'as_spider_properties': 'as/spider-properties',
        'run': 'run',
        'schedule': 'schedule',
        'items': 'items',
        'log': 'log',
        'spiders': 'spiders/list',
        'reports_add': 'reports/add',
    }

    def __init__(
        self,
        apikey: str | None = None,
        password: str = '',
        _old_passwd: str = '',
        url: str | None = None,
        connection_timeout: float | None = None,
    ) -> None:
        key = (apikey or os.environ.get('SH_APIKEY') or '').strip()
        if not key:
            raise RuntimeError('No API key provided and SH_APIKEY environment variable not set')
        if key.startswith(('http://', 'https://')):
            raise AssertionError('Instantiating scrapinghub.Connection with url as first argument is not supported')
        if password:
            warnings.warn('A lot of endpoints support authentication only via apikey.', stacklevel=2)
        address = url or os.environ.get('SHUB_APIURL') or self.DEFAULT_ENDPOINT
        agent = f'python-scrapinghub/{__version__}'
        endpoints = find_endpoints(Hidden((STORAGE, STORAGE, address)))
        self.use(Transport(Credentials(key, password), endpoints, timeout=connection_timeout or None, user_agent=agent))
        self.url = address

    def use(self, transport: Transport) -> None:
        """Use this transport."""
        self.transport = transport
        self.apikey, self.password = transport.credentials or ('', '')
        self.url = f'{transport.endpoints.dash}/'

    @classmethod
    def over(cls: type[Self], transport: Transport) -> Self:
        """Return a connection that shares a transport."""
        connection = cls.__new__(cls)
        connection.use(transport)
        return connection

    def __repr__(self) -> str:
        return "Connection('****')"

    def __getitem__(self, key: Any) -> Project:
        return Project(self, key)

    @property
    def auth(self) -> tuple[str, str]:
        """User and password: deprecated, use ``apikey``."""
        warnings.warn("'auth' connection attribute is deprecated, use 'apikey' attribute instead", stacklevel=2)
        return self.apikey, self.password

    @property
    def _session(self) -> requests.Session:
        session = self.transport.session
        if session.auth is None:
            # Programs use it directly, and rely on its credentials.
            session.auth = self.transport.credentials
        return session

    @_session.setter
    def _session(self, session: requests.Session) -> None:
        self.transport.session = session

    @property
    def _connection_timeout(self) -> Any:
        return self.transport.timeout

    @_connection_timeout.setter
    def _connection_timeout(self, seconds: Any) -> None:
        self.transport.timeout = seconds

    # Requests

    def _build_url(self, method: str, format: str) -> str:
        try:
            path = self.API_METHODS[method]
        except KeyError as error:
            raise APIError(f'Unknown method: {method}', APIError.ERR_VALUE_ERROR) from error
        return f'{self.url.rstrip("/")}/{path}.{format}'

    def _get(self, method: str, format: str, params: Any = None, headers: Any = None, raw: bool = False) -> Any:
        url = self._build_url(method, format)
        query = urlencode(as_pairs(dict(params or {})))
        return self._request(f'{url}?{query}' if query else url, None, headers, format, raw)

    def _post(
        self, method: str, format: str, params: Any = None, headers: Any = None, raw: bool = False, files: Any = None
    ) -> Any:
        return self._request(self._build_url(method, format), params, headers, format, raw, files)

    def _request(self, url: str, data: Any, headers: Any, format: str, raw: bool, files: Any = None) -> Any:
        if format not in ('json', 'jl') and not raw:
            raise APIError('format must be either json or jl', APIError.ERR_VALUE_ERROR)
        is_get = data is None and files is None
        stream = raw or format == 'jl'
        call = Call(
            'GET' if is_get else 'POST',
            url,
            data=data,
            headers={'User-Agent': self.transport.dash_user_agent, **(headers or {})},
            repeat=Repeat.ALWAYS if is_get or url.endswith(_REPEATED_POSTS) else None,
            options={} if files is None else {'files': _loaded(files)},
            handled_statuses=frozenset() if stream else FINAL_STATUSES - {404},
        )
        transport = self.transport
        try:
            response = Invocation(transport, call, transport.attempts(call), stream=stream).repeat()
        except requests.HTTPError as error:
            answer = error.response
            if answer is None or (answer.status_code < 500 and answer.status_code in RETRY_STATUSES):
                raise
            return self._decode_response(answer, format, raw)
        return self._decode_response(response, format, raw)

    def _decode_response(self, response: requests.Response, format: str, raw: bool) -> Any:
        if response.status_code == 404:
            raise APIError('Not found', APIError.ERR_NOT_FOUND)
        if response.status_code >= 500:
            raise APIError('Internal server error', APIError.ERR_SERVER_ERROR)
        if raw or format == 'jl':
            if response.status_code >= 400:
                # Lines of an error are not records, although older releases returned them.
                raise _refusal(response)
            readable(response)
        if raw:
            return response.raw
        if format == 'jl':
            call = Call('GET', response.url or '')
            return RecordStream(SingleResponseSource(self.transport, call, response), SkipCursor([]))
        if format != 'json':
            raise APIError('format must be either json or jl', APIError.ERR_VALUE_ERROR)
        call = Call('GET', response.url or '', expects=codec.JSON)
        values = decode(call, response, self.transport.max_record)
        if not values:
            raise undecodable(call, response, b'', ValueError('the body is empty'))
        return check_status(values[0])

    # Projects

    def project_ids(self) -> Any:
        """Return the ids of the projects that the key gives access to."""
        return self._get('listprojects', 'json')['projects']

    def project_names(self) -> Any:
        """Return the ids of the projects: deprecated, use :meth:`project_ids`."""
        warnings.warn(
            'scrapinghub.Connection.project_names() method is deprecated, use project_ids() method instead',
            stacklevel=2,
        )
        return self.project_ids()


def _refusal(response: requests.Response) -> APIError:
    """Return the error for a refused request for a stream."""
    try:
        check_status(response.json())
    except APIError as error:
        return error
    except ValueError:
        pass
    kind = APIError.ERR_AUTH_ERROR if response.status_code == 401 else APIError.ERR_BAD_REQUEST
    return APIError(response.text.strip() or str(response.reason), kind)


def _loaded(files: Mapping[str, Any]) -> dict[str, Any]:
    """Return files to upload with their contents, so that a second attempt sends them again."""

    def load(file: Any) -> Any:
        if isinstance(file, (tuple, list)):
            return (file[0], load(file[1]), *file[2:])
        return file.read() if hasattr(file, 'read') else file

    return {name: load(file) for name, file in files.items()}
