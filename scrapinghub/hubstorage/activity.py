"""Events of a project."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scrapinghub.hubstorage.resourcetype import ResourceType


class Activity(ResourceType):
    """Events of a project.

    Args:
        client: The low-level client.
        key: Id of the project.
        auth: Credentials instead of the client's own.
    """

    resource_type = 'activity'

    def list(self, **params: Any) -> Iterator[Any]:
        """Return an iterator over the events, newest first; the arguments are query parameters."""
        return self.apiget(params=params)

    def get(self, **params: Any) -> Iterator[Any]:
        """Return the same as :meth:`list`."""
        return self.apiget(params=params)

    def post(self, _value: Any, **params: Any) -> Iterator[Any]:
        """Add events.

        Args:
            _value: A dict, or several.
            **params: Query parameters.
        """
        return self.apipost(jl=_value, params=params)

    def add(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Add one event; the arguments are those of :class:`dict`."""
        return self.post(dict(*args, **kwargs))
