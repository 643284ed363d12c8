"""The frontiers of a project."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scrapinghub.client._support.frontier_writers import FrontierWriters
from scrapinghub.client._support.lists import ValueIterator, listed
from scrapinghub.client._support.resource import Client, Resource
from scrapinghub.client._support.validation import expect, parse_name
from scrapinghub.client.frontier_slots import (
    FrontierSlot,
    FrontierSlotFingerprints,
    FrontierSlotQueue,
    NestedResource,
)
from scrapinghub.transport import codec

__all__ = ['Frontier', 'FrontierSlot', 'FrontierSlotFingerprints', 'FrontierSlotQueue', 'Frontiers']


class Frontiers(Resource):
    """The frontiers of a project: ``project.frontiers``. Safe to share between threads.

    HTTP API: https://docs.zyte.com/scrapy-cloud/usage/reference/http/frontier.html

    Args:
        cls: Ignored; kept for programs that pass it.
        client: The client.
        key: Id of the project.

    Attributes:
        key: Id of the project.
        writers: The batch writers of the slots.

    Example:
        >>> slot = project.frontiers.get('test').get('example.com')
        >>> slot.queue.add([{'fp': '/some/path.html'}])
        >>> slot.flush()
        >>> project.frontiers.newcount
        1
    """

    def __init__(self, cls: Any, client: Client, key: str) -> None:
        super().__init__(client, str(key))
        self.writers = FrontierWriters(client, self.key)

    def get(self, name: str) -> Frontier:
        """Return a frontier, without a request.

        Args:
            name: Name of the frontier.

        Returns:
            The frontier, whether it exists or not. Adding the first request creates it.

        Raises:
            ValueError: The name is empty, ``.`` or ``..``.

        Example:
            >>> project.frontiers.get('test').list()
            ['example.com']
        """
        return Frontier(self._client, self, name)

    def iter(self) -> Iterator[str]:
        """Iterate over the names of the frontiers, sorted.

        Yields:
            A name.

        Example:
            >>> list(project.frontiers.iter())
            ['test']
        """
        return _iter_names(self._client, ('hcf', self.key, 'list'))

    list = listed(iter)

    @property
    def newcount(self) -> int:
        """The number of requests added through this object that were new to their slots, as of the last flush.

        A lower bound if a request was repeated because its response was lost.

        Raises:
            UploadError: Some requests cannot be stored, so the number is not known; the error holds them.
        """
        return self.writers.newcount()

    def flush(self) -> None:
        """Wait until everything added so far, by all objects of this client, is stored.

        Raises:
            UploadError: Some requests cannot be stored; the error holds them.

        Example:
            >>> project.frontiers.flush()
        """
        self._client.uploader.flush(under=('hcf', self.key))

    def close(self) -> None:
        """Wait until everything added is stored, and accept no more requests for the slots that were used.

        Raises:
            UploadError: Some requests cannot be stored; the error holds them.

        Example:
            >>> project.frontiers.close()
        """
        self.writers.close()


class Frontier(NestedResource):
    """A frontier: ``project.frontiers.get('test')``. Safe to share between threads.

    Args:
        client: The client.
        frontiers: The frontiers of the project.
        name: Name of the frontier.

    Attributes:
        key: Name of the frontier.
        address: Id of the project, and name of the frontier.
        writers: The batch writers of the slots.

    Example:
        >>> project.frontiers.get('test').list()
        ['example.com']
    """

    def __init__(self, client: Client, frontiers: Frontiers, name: str) -> None:
        name = parse_name('frontier name', name)
        super().__init__(client, (frontiers.key, name))
        self.writers = frontiers.writers
        self._path = ('hcf', *self.address, 'list')
        client.transport.url(self._path)

    def get(self, slot: str) -> FrontierSlot:
        """Return a slot, without a request.

        Args:
            slot: Name of the slot.

        Returns:
            The slot, whether it exists or not. Adding the first request creates it.

        Raises:
            ValueError: The name is empty, ``.`` or ``..``.

        Example:
            >>> frontier.get('example.com').q.list()[0]['requests']
            [['/', None]]
        """
        return FrontierSlot(self._client, self, slot)

    def iter(self) -> Iterator[str]:
        """Iterate over the names of the slots, sorted.

        Yields:
            A name.

        Example:
            >>> list(frontier.iter())
            ['example.com']
        """
        return _iter_names(self._client, self._path)

    list = listed(iter)

    @property
    def newcount(self) -> int:
        """The number of requests added to this frontier that were new; see :attr:`Frontiers.newcount`."""
        return self.writers.newcount(self.key)

    def flush(self) -> None:
        """Wait until everything added to this frontier so far, by all objects of this client, is stored.

        Raises:
            UploadError: Some requests cannot be stored; the error holds them.

        Example:
            >>> frontier.flush()
        """
        self._client.uploader.flush(under=('hcf', *self.address))


def _iter_names(client: Client, path: tuple[str, ...]) -> Iterator[str]:
    operation = f'GET {"/".join(path)}'
    return ValueIterator(expect(client.transport.get(path, expects=codec.JSON).value or [], list, operation))
