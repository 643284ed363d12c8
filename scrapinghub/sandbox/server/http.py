"""What a request handler takes and gives: Call, Reply, ServiceError, and the habits of the programs that are imitated.

Behind Scrapy Cloud's hosts stand three programs with habits of their own: the storage server, the queue server and the
dash. A :class:`Personality` says how each spells values, empty answers and errors.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import quote

from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Request

from scrapinghub.sandbox.server.decoding import EncodingError, decode_json, gunzip
from scrapinghub.sandbox.store.database import Store
from scrapinghub.sandbox.store.projects import Projects

MAX_BODY = 64 * 1024 * 1024
JSON_STORAGE = 'application/json; charset=UTF-8'
TEXT_STORAGE = 'text/plain; charset=UTF-8'
JSON_QUEUE = 'application/json'
LINES_QUEUE = 'application/x-jsonlines'

#: The recorded reason phrases where they differ from those of :class:`http.HTTPStatus`.
REASONS: Mapping[int, str] = {413: 'Request Entity Too Large', 504: 'Gateway Time-out'}


def reason_of(status: int) -> str:
    """Return the reason phrase of a status as the service spells it."""
    if status in REASONS:
        return REASONS[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return 'Unknown'


@dataclass
class Reply:
    """One answer.

    Attributes:
        status: HTTP status.
        reason: Reason phrase; ``None`` takes the usual one.
        headers: Headers, without those of framing and compression, which belong to the server.
        body: The bytes, or an iterable of them that is sent while it is produced.
        compress: Whether the body is sent as gzip to a client that accepts it.
    """

    status: int = 200
    reason: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] = b''
    compress: bool = False


class ServiceError(Exception):
    """An error that is answered to the client.

    Attributes:
        reply: The answer.
    """

    def __init__(
        self, status: int, body: bytes = b'', headers: Mapping[str, str] | None = None, reason: str | None = None
    ) -> None:
        super().__init__(f'{status} {body.decode("utf-8", "replace").strip()}')
        self.reply = Reply(status, reason, dict(headers or {}), body)


class Personality(enum.Enum):
    """Which of the service's programs answers a path."""

    STORAGE = 'storage'
    QUEUE = 'queue'
    DASH = 'dash'
    OTHER = 'other'

    def error(self, status: int, message: str | None = None) -> ServiceError:
        """Build an error in this program's form.

        Args:
            status: HTTP status from 400.
            message: What was wrong; the reason phrase without one.
        """
        reason = reason_of(status)
        text = message or reason
        if self is Personality.STORAGE:
            # Recorded: 401 and 404 carry the bare reason and no content type.
            if message is None:
                return ServiceError(status, f'{reason}\n'.encode(), CORS)
            return ServiceError(status, f'{text}\n'.encode(), {'Content-Type': TEXT_STORAGE, **CORS})
        if self is Personality.QUEUE:
            body = json.dumps({'error': reason, 'message': text}, indent=2).encode()
            headers = queue_headers(JSON_QUEUE)
            if status == HTTPStatus.UNAUTHORIZED:
                headers['WWW-Authenticate'] = 'Basic realm="apikey"'
                return ServiceError(status, body, headers, reason.upper())
            return ServiceError(status, body, headers)
        if self is Personality.DASH:
            if status == HTTPStatus.UNAUTHORIZED:
                text = message or 'Authentication failed'
            body = compact({'message': text, 'status': 'error'})
            return ServiceError(status, body, {'Content-Type': 'application/json'})
        return ServiceError(status, f'{text}\n'.encode(), {'Content-Type': 'text/plain; charset=utf-8'})


CORS: Mapping[str, str] = {'Access-Control-Allow-Origin': '*'}


@dataclass(frozen=True)
class Identity:
    """Who calls.

    Attributes:
        user: Name that appears in ``scheduled_by`` and activity events.
        job: Job key ``P/S/J`` whose token was used, or ``None`` for an API key.
    """

    user: str
    job: str | None = None


@dataclass
class Call:
    """One request, as handlers see it.

    Attributes:
        request: The parsed request.
        store: The data.
        projects: Which projects exist.
        identity: Who calls; ``None`` where no credentials are needed.
        personality: The program that answers.
        base_url: Root of this sandbox, with a final slash.
    """

    request: Request
    store: Store
    projects: Projects
    personality: Personality
    base_url: str
    caller: Identity | None = None

    @property
    def identity(self) -> Identity:
        """Who calls.

        Raises:
            RuntimeError: The route needs no credentials, so there is no caller.
        """
        if self.caller is None:
            raise RuntimeError(f'{self.request.path} is served without credentials')
        return self.caller

    def args(self) -> MultiDict[str, str]:
        """Return the query parameters."""
        return self.request.args

    def error(self, status: int, message: str | None = None) -> ServiceError:
        """Build an error in the form of the program that answers this path."""
        return self.personality.error(status, message)

    def fail(self, status: int, message: str | None = None) -> NoReturn:
        """Raise an error in the form of the program that answers this path."""
        raise self.error(status, message)

    def require_project(self, project: int) -> None:
        """Refuse a project that does not exist.

        Raises:
            ServiceError: 403, as for a project without access.
        """
        if not self.projects.admit(project):
            self.fail(403)

    def integer(self, name: str, *, minimum: int = 0, default: int | None = None) -> int | None:
        """Return a query parameter as an integer.

        Raises:
            ServiceError: 400 when it is not an integer from ``minimum`` up to 2**63 - 1.
        """
        text = self.request.args.get(name)
        if text is None:
            return default
        return self.parse_integer(name, text, minimum=minimum)

    def parse_integer(self, name: str, text: str, *, minimum: int = 0) -> int:
        """Read an integer of a parameter called ``name``.

        Raises:
            ServiceError: 400 when it is not an integer from ``minimum`` up to 2**63 - 1.
        """
        # isdecimal alone would admit digits of other scripts, and int() signs, blanks and underscores.
        digits = text.removeprefix('-')
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 20):
            self.fail(400, f'Invalid value for {name}: an integer is needed')
        value = int(text)
        if not minimum <= value < 2**63:
            self.fail(400, f'Invalid value for {name}: at least {minimum} is needed')
        return value

    def flag(self, name: str) -> bool:
        """Return a query parameter as a truth value: ``1``, ``true``, ``yes``, ``y``, ``on`` in any case."""
        return self.request.args.get(name, '').lower() in ('1', 'true', 'yes', 'y', 'on')

    def body(self) -> bytes:
        """Return the request body, content-decoded.

        Raises:
            ServiceError: 400 for a broken or unknown encoding, 413 for more than 64 MiB.
        """
        raw = self.request.get_data(cache=True)
        encoding = self.request.headers.get('Content-Encoding', 'identity').strip().lower()
        if encoding in ('', 'identity'):
            return raw
        if encoding in ('gzip', 'x-gzip'):
            try:
                return gunzip(raw, MAX_BODY)
            except EncodingError as error:
                self.fail(400, f'Error parsing data, {error}')
            except OverflowError:
                self.fail(413, f'Request body too large - max {MAX_BODY} bytes')
        self.fail(400, 'Error parsing data, Content-Encoding must be gzip or identity')

    def lines(self) -> list[bytes]:
        """Return the non-empty lines of the body."""
        return [line for line in self.body().split(b'\n') if line and not line.isspace()]

    def json_lines(self) -> list[Any]:
        """Return the values of a JSON-lines body.

        Raises:
            ServiceError: 400 naming the first line that is not JSON.
        """
        return [self.parse_json(line, f'line {number}') for number, line in enumerate(self.lines(), 1)]

    def json_value(self) -> Any:
        """Return the body as one JSON value, on any number of lines.

        Raises:
            ServiceError: 400 when it is not exactly one JSON value.
        """
        return self.parse_json(self.body(), 'body')

    def parse_json(self, text: bytes | str, where: str) -> Any:
        """Return one JSON value.

        Raises:
            ServiceError: 400 naming ``where``.
        """
        try:
            return decode_json(text)
        except ValueError as error:
            self.fail(400, f'Error parsing data, invalid JSON in {where}: {error}')

    def url(self, path: str) -> str:
        """Return the absolute URL of a path of this sandbox."""
        return self.base_url + quote(path.lstrip('/'), safe="/:@!$&'()*+,;=~")


_compact = json.JSONEncoder(separators=(',', ':'), ensure_ascii=False).encode


def compact(value: Any) -> bytes:
    """Encode a value as the storage server spells it: no blanks, UTF-8."""
    return _compact(value).encode()


def storage_value(value: Any, status: int = 200) -> Reply:
    """Answer one JSON value as the storage server does."""
    return Reply(status, headers={'Content-Type': JSON_STORAGE, **CORS}, body=compact(value))


def storage_empty(content_type: str | None = TEXT_STORAGE) -> Reply:
    """Answer nothing as the storage server does after a write."""
    return Reply(headers=dict(CORS) if content_type is None else {'Content-Type': content_type, **CORS})


def queue_value(value: Any) -> Reply:
    """Answer one JSON value as the queue server does."""
    return Reply(headers=queue_headers(JSON_QUEUE), body=json.dumps(value).encode())


def queue_lines(values: Iterable[Any]) -> Reply:
    """Answer JSON-lines as the queue server does, without a final newline."""
    body = '\n'.join(json.dumps(value) for value in values).encode()
    return Reply(headers=queue_headers(LINES_QUEUE), body=body)


def queue_empty(content_type: str) -> Reply:
    """Answer nothing as the queue server does."""
    return Reply(headers=queue_headers(content_type))


def dash_json(value: Any, status: int = 200, compact: bool = True) -> Reply:
    """Answer one JSON value as the dash does; its calls differ in spacing."""
    separators = (',', ':') if compact else None
    return Reply(
        status, headers={'Content-Type': 'application/json'}, body=json.dumps(value, separators=separators).encode()
    )


def queue_headers(content_type: str) -> dict[str, str]:
    """Return the headers that every answer of the queue server has, errors included."""
    return {'Content-Type': content_type, 'X-Service-Version': 'sandbox', **CORS}
