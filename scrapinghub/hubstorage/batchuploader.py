"""Batch writers by the names of older releases; the work is done in the transport."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from scrapinghub.config.credentials import Credentials
from scrapinghub.exceptions import ValueTooLarge
from scrapinghub.transport.http.call import UNSET
from scrapinghub.transport.uploads.uploader import Writer, WriterOptions

__all__ = ['BatchUploader', 'ValueTooLarge', 'Writer']

if TYPE_CHECKING:
    from scrapinghub.hubstorage.client import HubstorageClient

# Below these, records go by a key of their own and not by number.
_KEYED = ('collections', 'hcf')


class BatchUploader:
    """Makes batch writers.

    Args:
        client: The low-level client, which keeps this object.
    """

    # Kept for programs that read them. How long a writer keeps trying is ``max_outage`` of ScrapinghubClient.
    worker_loop_delay = 1.0
    worker_max_retries = 200
    worker_min_interval = 30
    worker_max_interval = 600

    def __init__(self, client: HubstorageClient) -> None:
        self._client = weakref.ref(client)
        self._uploader = client.uploader

    @property
    def client(self) -> HubstorageClient | None:
        """The client; None if it is gone."""
        return self._client()

    @property
    def closed(self) -> bool:
        """Whether no more writers can be made."""
        return self._uploader.closed

    def create_writer(
        self,
        url: str,
        start: int | Callable[[], int] = 0,
        auth: Any = None,
        size: int = 1000,
        interval: float = 15,
        qsize: int | None = None,
        content_encoding: str = 'identity',
        maxitemsize: int = 1024 * 1024,
        callback: Callable[[Any], None] | None = None,
        *,
        shared: bool = False,
    ) -> Writer:
        """Return a batch writer for a URL.

        Args:
            url: Where the records go.
            start: Number of the first record; a function is called only if a writer is made.
            auth: Credentials instead of the client's own.
            size: Most records in a post.
            interval: Seconds after which records are sent although the batch is not full.
            qsize: Most records held, above which ``write`` blocks; twice ``size`` if None.
            content_encoding: ``gzip`` or ``identity``.
            maxitemsize: Largest record, in bytes of JSON text.
            callback: Called with the answer to each batch, and with None for one that is given up.
            shared: Whether there is one open writer for the URL, which is returned again and again.

        Returns:
            The writer.

        Raises:
            AssertionError: The client is closed.
        """
        family = self._family(url)
        options = WriterOptions(
            size=size,
            interval=interval,
            qsize=qsize,
            content_encoding=content_encoding,
            maxitemsize=maxitemsize,
            keyed=family in _KEYED,
            lists=family == 'collections',
        )
        credentials = UNSET if auth is None else Credentials(*auth)
        return self._uploader.writer(url, options, start=start, auth=credentials, callback=callback, shared=shared)

    def _family(self, url: str) -> str:
        client = self._client()
        base = '' if client is None else client.endpoint.rstrip('/') + '/'
        path = url[len(base) :] if base and url.startswith(base) else urlsplit(url).path.lstrip('/')
        return path.partition('/')[0]

    def interrupt(self) -> None:
        """Do nothing: the threads wake by themselves when a writer has something to send."""

    def close(self, timeout: float | None = None) -> None:
        """Send what writers hold, and take no more records.

        Args:
            timeout: Seconds to wait at most; None to wait until all is stored.

        Raises:
            UploadError: The service refuses records; the error holds them.
        """
        self._uploader.close(timeout)
