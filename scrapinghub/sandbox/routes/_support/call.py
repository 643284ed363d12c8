"""One request as the handlers of routes see it, and who sent it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import quote

from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Request

from scrapinghub.sandbox.modes import Modes
from scrapinghub.sandbox.routes._support.services import Service
from scrapinghub.sandbox.server.decoding import EncodingError, decode_json, gunzip
from scrapinghub.sandbox.server.request_reader import MAX_BODY
from scrapinghub.sandbox.server.response import ServiceError
from scrapinghub.sandbox.store.database import Store
from scrapinghub.sandbox.store.projects import Projects


@dataclass(frozen=True)
class Identity:
    """The sender of a request.

    Attributes:
        user: Name that appears in ``scheduled_by`` and activity events.
        job: Job key ``P/S/J`` whose token was used, or ``None`` for an API key.
    """

    user: str
    job: str | None = None


@dataclass
class Call:
    """One request as handlers see it.

    Attributes:
        request: The parsed request.
        store: The data.
        projects: Which projects exist.
        service: The program that responds.
        modes: Optional behaviour.
        base_url: Root of this sandbox, with a final slash.
        caller: The sender; ``None`` where no credentials are needed.
    """

    request: Request
    store: Store
    projects: Projects
    service: Service
    modes: Modes
    base_url: str
    caller: Identity | None = None

    @property
    def identity(self) -> Identity:
        """The sender of the request.

        Raises:
            RuntimeError: The route needs no credentials, so the sender is unknown.
        """
        if self.caller is None:
            raise RuntimeError(f'{self.request.path} is served without credentials')
        return self.caller

    def args(self) -> MultiDict[str, str]:
        """Return the query parameters."""
        return self.request.args

    def error(self, status: int, message: str | None = None) -> ServiceError:
        """Build an error in the form of the program that responds to this path."""
        return self.service.error(status, message)

    def fail(self, status: int, message: str | None = None) -> NoReturn:
        """Raise an error in the form of the program that responds to this path."""
        raise self.error(status, message)

    def require_project(self, project: int) -> None:
        """Raise an error for a project that does not exist.

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
