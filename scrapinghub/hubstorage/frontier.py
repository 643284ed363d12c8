"""Frontiers: queues of requests and sets of fingerprints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import requests

from scrapinghub.hubstorage.batchuploader import Writer
from scrapinghub.hubstorage.resourcetype import ResourceType
from scrapinghub.hubstorage.utils import urlpathjoin


class Frontier(ResourceType):
    """The frontiers of a project.

    Args:
        *a: As for :class:`~scrapinghub.hubstorage.resourcetype.ResourceType`.
        **kw: As for :class:`~scrapinghub.hubstorage.resourcetype.ResourceType`.

    Attributes:
        newcount: Number of new fingerprints added through this object, known after a flush.
    """

    resource_type = 'hcf'

    batch_size = 5000
    batch_qsize = 6000
    batch_start = 0
    batch_append = False
    batch_interval = 60.0
    batch_content_encoding = 'identity'

    def __init__(self, *a: Any, **kw: Any) -> None:
        super().__init__(*a, **kw)
        self._writers: dict[str, Writer] = {}
        self._counts: list[int] = []

    def _writer_for(self, frontier: str, slot: str) -> Writer:
        url = urlpathjoin(self.url, frontier, 's', slot) or self.url
        if url not in self._writers:
            writer = self.client.batchuploader.create_writer(
                url,
                start=self.batch_start,
                auth=self.auth,
                size=self.batch_size,
                interval=self.batch_interval,
                qsize=self.batch_qsize,
                content_encoding=self.batch_content_encoding,
                callback=self._count,
            )
            # Another thread or a signal handler may have made one meanwhile. A lock would block the handler for ever.
            self._writers.setdefault(url, writer)
        return self._writers[url]

    @property
    def newcount(self) -> int:
        """Number of new requests that were added through this object."""
        return sum(self._counts)

    @newcount.setter
    def newcount(self, number: int) -> None:
        self._counts = [number]

    def _count(self, response: requests.Response | None) -> None:
        if response is not None and response.content:
            self._counts.append(response.json()['newcount'])

    def add(self, frontier: str, slot: str, fps: Iterable[Any]) -> None:
        """Queue fingerprints for adding.

        Args:
            frontier: Name of the frontier.
            slot: Name of the slot.
            fps: Dicts with ``fp``, and optionally ``qdata``, ``fdata`` and ``p``.
        """
        writer = self._writer_for(frontier, slot)
        for fp in fps:
            writer.write(fp)

    def read(self, frontier: str, slot: str, mincount: int | None = None) -> Iterator[Any]:
        """Return an iterator over batches of the queue.

        Args:
            frontier: Name of the frontier.
            slot: Name of the slot.
            mincount: Minimum number of requests to return, if there are enough.
        """
        params = {} if mincount is None else {'mincount': mincount}
        return self.apiget((frontier, 's', slot, 'q'), params=params)

    def delete(self, frontier: str, slot: str, ids: Any) -> None:
        """Delete batches of the queue.

        Args:
            frontier: Name of the frontier.
            slot: Name of the slot.
            ids: One id, or several.
        """
        self.apipost((frontier, 's', slot, 'q/deleted'), jl=ids, is_idempotent=True)

    def delete_slot(self, frontier: str, slot: str) -> None:
        """Delete a slot, its queue and its fingerprints."""
        self.apidelete((frontier, 's', slot))

    def flush(self) -> None:
        """Wait until everything added so far, by all objects of this client, is stored."""
        self.client.uploader.flush(under=self.url)

    def close(self, block: bool = True) -> None:
        """Send the queued requests, and accept no more.

        Args:
            block: Whether to wait until everything is stored.
        """
        for writer in list(self._writers.values()):
            writer.close(block)
