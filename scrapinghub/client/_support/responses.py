"""Answers that are not what a call owes become clear errors here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from scrapinghub.exceptions import DecodeError

T = TypeVar('T')


def owed(value: Any, kind: type[T], what: str) -> T:
    """Return a value of an answer, which must be of one type.

    Args:
        value: What came.
        kind: The type that the call owes.
        what: Name of the call, for the error.

    Returns:
        The value.

    Raises:
        DecodeError: It is of another type.
    """
    # True and False are integers for Python, not for the service.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise DecodeError(f'{what} should be answered with {kind.__name__}, and was with {_shown(value)}')
    return value


def field(answer: Any, name: str, kind: type[T], what: str) -> T:
    """Return a field of an answer, which must be there and of one type.

    Args:
        answer: The object that came.
        name: Name of the field.
        kind: The type that the call owes.
        what: Name of the call, for the error.

    Returns:
        The value of the field.

    Raises:
        DecodeError: The answer is no object, or the field is missing or of another type.
    """
    if not isinstance(answer, Mapping) or name not in answer:
        raise DecodeError(f'{what} should be answered with an object with {name!r}, and was with {_shown(answer)}')
    return owed(answer[name], kind, f'{name!r} of {what}')


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f'{text[:200]}…'
