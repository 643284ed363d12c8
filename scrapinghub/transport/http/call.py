"""A request as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from scrapinghub.transport import codec
from scrapinghub.transport.http.retries import Repeat

Params = Mapping[str, Any] | Iterable[tuple[str, Any]] | None


class Unset:
    """The type of :data:`UNSET`."""

    def __repr__(self) -> str:
        return 'UNSET'


UNSET: Final = Unset()
"""Means "not given" where None has a meaning."""


@dataclass
class Call:
    """One request, which may be sent several times.

    ``str()`` names it in log lines and errors, without credentials and parameters.

    Attributes:
        method: HTTP method.
        url: Full address without the parameters.
        params: Query parameters, in the forms that ``requests`` takes; None is left out.
        data: Body: bytes, text, or a mapping or pairs for a form.
        headers: Headers in addition to those of the session.
        accept: Value of the ``Accept`` header.
        expects: Content type of a response that does not name one, if it is not ``accept``.
        repeat: Which failures allow to send the request again; by default all for GET and DELETE, and for other
            methods those where the service certainly did not receive it.
        auth: Credentials instead of the client's.
        timeout: Seconds instead of the client's; None for no limit.
        options: Further keyword arguments of ``requests.Session.request``.
        max_record: Maximum size of a record of the response, in bytes, if it is larger than that of the transport.
        handled_statuses: Error statuses that raise nothing, because the caller reads them from the response.
    """

    method: str
    url: str
    params: Params = None
    data: Any = None
    headers: Mapping[str, str] | None = None
    accept: str = codec.ANY
    expects: str | None = None
    repeat: Repeat | None = None
    auth: Any = UNSET
    timeout: Any = UNSET
    options: Mapping[str, Any] = field(default_factory=dict)
    max_record: int = 0
    handled_statuses: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return f'{self.method} {urlsplit(self.url).path}'


def checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return keyword arguments of ``requests`` without those that are None, which count as not given there, too.

    Args:
        options: The keyword arguments.

    Raises:
        ValueError: ``verify`` would disable the check of certificates unnoticed: an empty path, for instance, from a
            variable that is not set.
    """
    given = {name: value for name, value in options.items() if value is not None}
    verify = given.get('verify', True)
    if not verify and verify is not False:
        raise ValueError(f'verify should be the path of a file with certificates, True or False, got {verify!r}')
    return given


def checked_timeout(seconds: Any) -> float | None:
    """Return a time-out.

    Raises:
        ValueError: It is neither a positive number nor None.
    """
    if seconds is None or (isinstance(seconds, (int, float)) and 0 < seconds < float('inf')):
        return seconds
    raise ValueError(f'connection_timeout should be a positive number of seconds, got {seconds!r}')
