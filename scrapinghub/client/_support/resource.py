"""The base class of everything that has a key on the service."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from scrapinghub.client._support.html import render_card
from scrapinghub.redaction import strip_credentials

if TYPE_CHECKING:
    from scrapinghub.transport.http.transport import Transport
    from scrapinghub.transport.uploads.uploader import Uploader


class Client(Protocol):
    """What a resource uses of its client."""

    @property
    def transport(self) -> Transport:
        """Sends requests."""

    @property
    def uploader(self) -> Uploader:
        """Creates batch writers."""


class Resource:
    """A resource of the service, identified by its key.

    Two objects of the same class with the same key are equal, whichever client created them.

    Args:
        client: The client.
        key: The key.

    Attributes:
        key: The key, as text.
    """

    key: str

    def __init__(self, client: Client, key: str) -> None:
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

    def _repr_html_(self) -> str:
        return render_card(type(self).__qualname__, self._card(), getattr(self, 'url', None))

    def _card(self) -> Iterable[tuple[str, str]]:
        """Return names and values to show in a notebook, without a request."""
        return [('key', self.key)]


def build_page_url(client: Client, key: str) -> str:
    """Return the URL of the page of a project, spider or job in the web interface."""
    site = (strip_credentials(client.transport.endpoints.dash) or '').removesuffix('/api')
    return f'{site}/p/{key}'
