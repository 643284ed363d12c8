"""Details for errors with a fixed text, which programs know."""

from __future__ import annotations


class Expected(ValueError):
    """The accepted and the given value: the cause of an error, so that the traceback shows it.

    Example:
        >>> raise ValueError('Invalid collection type: x') from Expected('The types are s, cs, vs and vcs.')
        Traceback (most recent call last):
        ValueError: Invalid collection type: x
    """
