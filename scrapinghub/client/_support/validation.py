"""Check arguments before a request is sent, and responses before they are used."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import six

from scrapinghub.config.validation import Expected
from scrapinghub.exceptions import DecodeError
from scrapinghub.transport.codec import encode_json

_BAD_FILTER = 'Filter condition must be string, tuple or list'

T = TypeVar('T')

FILTER_SYNTAX = (
    'A filter is ["field", "operator", [argument, …]]: a tuple, a list, or the same as JSON text. Several filters in a '
    'list must all match. Operators are =, !=, >, >=, <, <=, contains, icontains, haselement and hasnotelement.'
)


# Arguments


def parse_number(name: str, value: Any) -> int | None:
    """Return an argument that counts records or rows.

    Args:
        name: Name of the argument, for the error.
        value: An integer, a string of digits, or None.

    Returns:
        The integer; None for None.

    Raises:
        ValueError: The value is not an integer, or is negative.
    """
    if value is None:
        return None
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f'{name} should be an integer, got {value!r}') from None
    if number < 0 or isinstance(value, bool):
        raise ValueError(f'{name} should be a number of at least 0, got {value!r}')
    return number


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


def encode_filters(value: Any) -> list[str]:
    """Return the ``filter`` parameters of a read as JSON texts.

    Args:
        value: None, one condition as JSON text or as a tuple ``(field, operator, [argument, …])``, or a list of
            conditions, each of them a string, a tuple or a list.

    Returns:
        One text for each condition.

    Raises:
        ValueError: A condition is of another type.

    Example:
        >>> encode_filters([('size', '>', [3])])
        ['["size", ">", [3]]']
    """
    if value is None:
        return []
    if isinstance(value, (str, bytes)) or (isinstance(value, tuple) and _is_condition(value)):
        value = [value]
    if not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise ValueError(_BAD_FILTER) from Expected(f'got {value!r}')
    return [_encode_condition(condition) for condition in value]


def _is_condition(value: tuple[Any, ...]) -> bool:
    return len(value) == 3 and isinstance(value[0], str) and isinstance(value[2], (list, tuple))


def _encode_condition(condition: Any) -> str:
    if isinstance(condition, (str, bytes)):
        return six.ensure_text(condition)
    if isinstance(condition, (list, tuple)):
        return encode_json(list(condition))
    raise ValueError(_BAD_FILTER) from Expected(f'got {condition!r}')


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
