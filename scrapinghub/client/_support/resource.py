"""What all objects that stand for a thing of the service have in common: a name to show, equality by key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from scrapinghub.client.notebook import card

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

    # Public for the library's own classes, and not worth a line of tab completion.
    _internal: ClassVar[frozenset[str]] = frozenset()

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

    def __dir__(self) -> Iterable[str]:
        return (name for name in super().__dir__() if name not in self._internal)

    def _repr_html_(self) -> str:
        return card(type(self).__qualname__, self._card())

    def _card(self) -> Iterable[tuple[str, str]]:
        """Return names and values to show in a notebook; no request is made for them."""
        return [('key', self.key)]
