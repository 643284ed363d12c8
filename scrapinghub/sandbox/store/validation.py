"""Checks that all tables need: what the database can hold."""

from __future__ import annotations

MAX_ID = 2**63 - 1
"""The largest integer that the database can hold; no id is larger."""


class InvalidValue(ValueError):
    """A client sent a value that cannot be accepted; the message names the accepted values."""


def storable(text: str) -> bool:
    """Return whether the database can hold this text: a lone surrogate has no UTF-8 form."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
