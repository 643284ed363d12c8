"""Options and arguments that commands share."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from scrapinghub import ScrapinghubClient

_DURATION = re.compile(r'(\d+)(s|min|h|d|w)')
# No m: it could mean months.
_UNITS = {'s': 'seconds', 'min': 'minutes', 'h': 'hours', 'd': 'days', 'w': 'weeks'}


@dataclass(frozen=True)
class Settings:
    """Options of every command.

    Attributes:
        json: Whether to print JSON lines on a terminal, too.
        endpoint: Base URL of the storage and job queue; None for the default.
        dash_endpoint: Base URL of the dash; None for the default, or ``/api/`` below ``endpoint``.
    """

    json: bool = False
    endpoint: str | None = None
    dash_endpoint: str | None = None


def common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that every command has; the command is called with ``settings``."""

    @click.option('--json', 'as_json', is_flag=True, help='Print JSON lines.')
    @click.option('--endpoint', metavar='URL', help='Base URL of the storage and job queue.')
    @click.option('--dash-endpoint', metavar='URL', help='Base URL of the dash API; by default /api/ below --endpoint.')
    @click.option('--debug', is_flag=True, help='Show the traceback of an error.')
    @functools.wraps(command)
    def with_settings(
        *args: Any, as_json: bool, endpoint: str | None, dash_endpoint: str | None, debug: bool, **options: Any
    ) -> Any:
        if endpoint and not dash_endpoint:
            dash_endpoint = f'{endpoint.rstrip("/")}/api/'
        return command(*args, settings=Settings(as_json, endpoint, dash_endpoint), **options)

    return with_settings


def connect(settings: Settings) -> ScrapinghubClient:
    """Return a client; the API key is never an argument of a command, since other users can see these."""
    from scrapinghub import ScrapinghubClient

    options: dict[str, Any] = {'endpoint': settings.endpoint} if settings.endpoint else {}
    return ScrapinghubClient(None, settings.dash_endpoint, **options)


def parse_duration(value: str) -> timedelta:
    """Return a time span such as ``30d``."""
    found = _DURATION.fullmatch(value.strip())
    if found is None:
        raise click.BadParameter(f'{value!r} is not a duration such as 30min, 12h, 7d or 4w')
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def pairs(values: tuple[str, ...], option: str) -> dict[str, str]:
    """Return ``NAME=VALUE`` arguments as a dict."""
    result = {}
    for value in values:
        name, separator, text = value.partition('=')
        if not separator or not name:
            raise click.BadParameter(f'{value!r} is not NAME=VALUE', param_hint=option)
        result[name] = text
    return result
