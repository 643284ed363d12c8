"""What was expected of an argument, where the words of the error are fixed because programs know them."""

from __future__ import annotations


class Expected(ValueError):
    """Says what was expected and what came; the cause of the error that is raised, so that the traceback shows it.

    Example:
        >>> raise ValueError('Invalid collection type: x') from Expected('The types are s, cs, vs and vcs.')
        Traceback (most recent call last):
        ValueError: Invalid collection type: x
    """
