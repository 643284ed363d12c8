"""Check arguments before a request is sent, and responses before they are used."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

import six

from scrapinghub.client._support.spelling import warn_user
from scrapinghub.client.utils import LogLevel
from scrapinghub.config.validation import Expected
from scrapinghub.exceptions import DecodeError
from scrapinghub.transport.codec import encode_json

T = TypeVar('T')

# From 1973 to 5138: a smaller number is more likely one of seconds, a larger one of microseconds or nanoseconds.
_MILLISECONDS = range(10**11, 10**14)
# Smaller numbers than the seconds of 2001 are no times: tests and programs use them for "any time".
_MIN_SECONDS = 10**9

_LEVELS = {**LogLevel.__members__, 'WARN': LogLevel.WARNING, 'FATAL': LogLevel.CRITICAL}

_RECORD_FORMATS = ('json', 'jl', 'jsonlines', 'msgpack')


# Arguments


def parse_names(value: str | bytes | Iterable[str | bytes] | None) -> list[str]:
    """Return one or several names as a list of strings.

    Example:
        >>> parse_names('_key')
        ['_key']
    """
    if value is None:
        return []
    if isinstance(value, (str, bytes)):
        return [six.ensure_text(value)]
    return [six.ensure_text(name) for name in value]


def parse_path(path: str | bytes | int | Sequence[Any] | None) -> tuple[str, ...]:
    """Return the segments of a path relative to a key.

    Args:
        path: A number, text with slashes between segments, a sequence of segments, or None.

    Returns:
        The segments; an empty tuple for None.

    Raises:
        TypeError: The path is of another type.
    """
    if path is None:
        return ()
    if isinstance(path, (str, bytes)):
        return tuple(segment for segment in six.ensure_text(path).split('/') if segment)
    if isinstance(path, int) and not isinstance(path, bool):
        return (str(path),)
    if isinstance(path, Iterable):
        return tuple(segment for part in path for segment in parse_path(part))
    raise TypeError(f'a path below the key should be a number, a string or a tuple of them, got {path!r}')


def parse_name(kind: str, value: Any) -> str:
    """Return the name of a resource as text.

    Args:
        kind: Kind of the resource, for the error.
        value: The name: a string or bytes. Other values are converted to a string, as in earlier releases.

    Raises:
        TypeError: The name is None.
    """
    if value is None:
        raise TypeError(f'{kind} should be a string, got None')
    return six.ensure_text(value) if isinstance(value, bytes) else str(value)


def parse_time(name: str, value: Any, *, strict: bool = False) -> int:
    """Return a time in milliseconds since the epoch.

    Args:
        name: Name of the argument, for errors and warnings.
        value: Milliseconds, a datetime, or a timedelta, which means that long ago.
        strict: Raise for a datetime without a time zone, and for numbers that look like another unit; otherwise warn.

    Raises:
        ValueError: The value is of another type or a negative timedelta, or it is ambiguous and ``strict`` is set.

    Example:
        >>> parse_time('startts', datetime(2024, 5, 6, tzinfo=timezone.utc))
        1714953600000
    """
    if isinstance(value, timedelta):
        if value < timedelta():
            raise ValueError(f'{name} should be a timedelta of at least 0, which means that long ago, got {value!r}')
        return round((time.time() - value.total_seconds()) * 1000)
    # The missing value of pandas is a datetime that does not equal itself.
    if isinstance(value, datetime) and value == value:
        return round(_with_zone(name, value, strict).timestamp() * 1000)
    number = _parse_milliseconds(value)
    if number is None:
        raise ValueError(
            f'{name} should be milliseconds since the epoch, a datetime with a time zone, or a timedelta (that long '
            f'ago), got {value!r}'
        )
    if number not in _MILLISECONDS:
        unit = 'seconds' if number < _MILLISECONDS.start else 'microseconds or nanoseconds'
        problem = f'{name} should be milliseconds since the epoch, got {value!r}: is this {unit}?'
        if strict:
            raise ValueError(problem)
        if number >= _MIN_SECONDS:
            warn_user(problem)
    return number


def _with_zone(name: str, value: datetime, strict: bool) -> datetime:
    if value.tzinfo is not None:
        return value
    if strict:
        raise ValueError(
            f'{name} should have a time zone, got {value!r}: use value.astimezone() for local time, or '
            'value.replace(tzinfo=timezone.utc)'
        )
    warn_user(f'{name} has no time zone and is read as UTC: use value.astimezone() for local time.')
    return value.replace(tzinfo=timezone.utc)


def _parse_milliseconds(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    if isinstance(value, (bool, str, bytes)):
        return None
    try:
        return round(float(value)) if not isinstance(value, int) else value
    except (TypeError, ValueError, OverflowError):
        return None


def parse_level(level: Any) -> int:
    """Return the number of a log level.

    Args:
        level: A name in any case, or a number.

    Raises:
        ValueError: The level is unknown.

    Example:
        >>> parse_level('info')
        20
    """
    if isinstance(level, str):
        name = level.strip().upper()
        if name in _LEVELS:
            return int(_LEVELS[name])
    if not isinstance(level, bool):
        try:
            return int(level)
        except (TypeError, ValueError, OverflowError):
            pass
    names = ', '.join(LogLevel.__members__)
    raise ValueError(f'Unknown log level: {level}. Accepted are {names}, or a number.')


def check_format(value: Any) -> Any:
    """Return the format of a response.

    Raises:
        ValueError: The format is not one of records.
    """
    if value in _RECORD_FORMATS:
        return value
    raise ValueError(
        f'format={value!r} cannot be iterated over, because it returns text instead of records: use '
        'download(path), which writes files in several formats'
    )


def encode_filters(value: Any) -> list[str]:
    """Return the ``filter`` parameters of a read as JSON texts.

    Args:
        value: None, one condition, or an iterable of conditions. A condition is ``(field, operator, argument)``, with
            one argument or a list of them, as a tuple, a list or JSON text.

    Returns:
        One text for each condition.

    Raises:
        ValueError: A condition is malformed.

    Example:
        >>> encode_filters(('size', '>', 3))
        ['["size", ">", [3]]']
    """
    if value is None:
        return []
    if isinstance(value, (str, bytes)) or _is_condition(value):
        value = [value]
    if not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise _bad_filter(value)
    return [_encode_condition(condition) for condition in value]


def _is_condition(value: Any) -> bool:
    # A list of three conditions as JSON text has three strings, too.
    if not isinstance(value, (tuple, list)) or len(value) != 3 or not isinstance(value[0], str):
        return False
    return isinstance(value[1], str) and not value[1].lstrip().startswith('[')


def _encode_condition(condition: Any) -> str:
    if isinstance(condition, (str, bytes)):
        return six.ensure_text(condition)
    if not _is_condition(condition):
        raise _bad_filter(condition)
    name, operation, argument = condition
    is_list = isinstance(argument, Iterable) and not isinstance(argument, (str, bytes, Mapping))
    return encode_json([name, operation, [*argument] if is_list else [argument]])


def _bad_filter(value: Any) -> ValueError:
    # The text is fixed: see Expected.
    error = ValueError('Filter condition must be string, tuple or list')
    error.__cause__ = Expected(f"such as ('price', '>', 20), got {value!r}")
    return error


# Responses


def expect(value: Any, kind: type[T], operation: str) -> T:
    """Return a value from a response after checking its type.

    Args:
        value: The value.
        kind: The expected type.
        operation: Name of the request, for the error.

    Returns:
        The value.

    Raises:
        DecodeError: The value is of another type.
    """
    # bool is a subclass of int in Python, but not in JSON.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise DecodeError(f'{operation}: expected {kind.__name__} in the response, got {_shorten(value)}')
    return value


def expect_field(response: Any, name: str, kind: type[T], operation: str) -> T:
    """Return a field of a JSON object in a response after checking its type.

    Args:
        response: The decoded response.
        name: Name of the field.
        kind: The expected type of the field.
        operation: Name of the request, for the error.

    Returns:
        The value of the field.

    Raises:
        DecodeError: The response is not an object, or the field is missing or of another type.
    """
    if not isinstance(response, Mapping) or name not in response:
        raise DecodeError(f'{operation}: expected an object with {name!r} in the response, got {_shorten(response)}')
    return expect(response[name], kind, f'{operation}, field {name!r}')


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f'{text[:200]}…'
