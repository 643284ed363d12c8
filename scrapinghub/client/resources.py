"""What all objects that stand for a thing of the service have in common: a name to show, equality by key."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapinghub.client import ScrapinghubClient


class Resource:
    """A thing of the service, known by its key.

    Two objects are equal if they are of one class and have the same key, whatever client they were made with: they
    stand for the same thing.

    Args:
        client: The client.
        key: The key.

    Attributes:
        key: The key, as text.
    """

    key: str

    def __init__(self, client: ScrapinghubClient, key: str) -> None:
        self._client = client
        self.key = key

    def __repr__(self) -> str:
        return f'<{type(self).__module__}.{type(self).__qualname__} {self.key}>'

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self) or not isinstance(other, Resource):
            return NotImplemented
        return self.key == other.key

    def __hash__(self) -> int:
        return hash((type(self), self.key))
