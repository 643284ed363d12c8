"""Batch writers with the names of older releases. They are views of the writers of the transport."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from scrapinghub.config.credentials import Credentials
from scrapinghub.exceptions import ValueTooLarge
from scrapinghub.hubstorage.utils import xauth
from scrapinghub.transport.http.call import UNSET
from scrapinghub.transport.uploads import writer as transport_writer
from scrapinghub.transport.uploads.options import WriterOptions
from scrapinghub.transport.uploads.queue import WriteQueue

__all__ = ['BatchUploader', 'ValueTooLarge', 'Writer']

if TYPE_CHECKING:
    from scrapinghub.hubstorage.client import HubstorageClient

# Their records have keys; others are numbered.
_KEYED = ('collections', 'hcf')


class BatchUploader:
    """Creates batch writers.

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
            auth: Credentials instead of the client's own: an API key, or a pair of user and password.
            size: Maximum number of records in a request.
            interval: Time after which a batch is sent although it is not full, in seconds.
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
        credentials = UNSET if auth is None else _credentials(auth)
        writer = self._uploader.writer(url, options, start=start, auth=credentials, callback=callback, shared=shared)
        return Writer(self, writer)

    def _family(self, url: str) -> str:
        client = self._client()
        base = '' if client is None else client.endpoint.rstrip('/') + '/'
        path = url[len(base) :] if base and url.startswith(base) else urlsplit(url).path.lstrip('/')
        return path.partition('/')[0]

    def interrupt(self) -> None:
        """Do nothing: the threads notice when a writer has records to send."""

    def close(self, timeout: float | None = None) -> None:
        """Send what writers hold, and take no more records.

        Args:
            timeout: Maximum time to wait, in seconds. Waits until everything is stored by default.

        Raises:
            UploadError: The service refuses records; the error holds them.
        """
        self._uploader.close(timeout)


def _credentials(auth: Any) -> Credentials:
    # A plain pair would be readable in a traceback that shows local variables.
    return Credentials(*(auth if isinstance(auth, (tuple, list)) else xauth(auth)))


class _Attribute:
    """An attribute of a writer that is one of its queue.

    Args:
        name: Its name there; by default the same.
    """

    def __init__(self, name: str | None = None) -> None:
        self._name = name

    def __set_name__(self, owner: type[Writer], name: str) -> None:
        self._name = self._name or name

    def __get__(self, writer: Writer, owner: type[Writer] | None = None) -> Any:
        return getattr(writer.queue, str(self._name))

    def __set__(self, writer: Writer, value: Any) -> None:
        setattr(writer.queue, str(self._name), value)


class Writer:
    """A batch writer with the attributes that it had in older releases.

    Args:
        uploader: The uploader that created it.
        writer: The writer of the transport.

    Attributes:
        uploader: The uploader that created it.
        queue: The state of the writer.
        url: Address of the records.
        offset: Number of the first record that is not stored.
        auth: Credentials of this writer; None for those of the client.
        interval: Time after which a batch is sent although it is not full, in seconds.
        maxitemsize: Maximum size of a record, in bytes of JSON text.
        content_encoding: ``gzip`` or ``identity``.
        callback: Called with the response to each batch, and with None for a batch that is not sent again.
        closed: Whether the writer takes no more records.
        ERRMSG_DATA_TRUNCATION_LEN: No effect: errors show 200 characters of a record.
    """

    ERRMSG_DATA_TRUNCATION_LEN = 1024

    url = _Attribute()
    offset = _Attribute()
    interval = _Attribute()
    maxitemsize = _Attribute()
    content_encoding = _Attribute()
    callback = _Attribute()
    closed = _Attribute()

    def __init__(self, uploader: BatchUploader, writer: transport_writer.Writer) -> None:
        self.uploader = uploader
        self.queue: WriteQueue = writer.queue
        self.write = writer.write
        self.flush = writer.flush
        self.close = writer.close
        self.take_back = writer.take_back

    def __str__(self) -> str:
        return self.queue.shown_url

    def __repr__(self) -> str:
        return f'<Writer {self.queue.shown_url} at {self.queue.next_number}>'

    @property
    def auth(self) -> Any:
        """Credentials of this writer; None for those of the client."""
        return self.queue.auth

    @auth.setter
    def auth(self, auth: Any) -> None:
        self.queue.auth = None if auth is None else _credentials(auth)

    @property
    def size(self) -> int:
        """Maximum number of records in a request."""
        return self.queue.size

    @size.setter
    def size(self, size: int) -> None:
        self.queue.resize(size)

    @property
    def checkpoint(self) -> float:
        """Start of the present interval, on a monotonic clock."""
        return self.queue.interval_start or 0.0

    @property
    def flushme(self) -> bool:
        """Whether records wait to be flushed."""
        return self.queue.flush_to > self.queue.offset

    @property
    def itemsq(self) -> Queued:
        """The records that are not stored, with the methods of a queue that return its length."""
        return Queued(self.queue)


class Queued:
    """The records of a writer that are not stored, with the methods of a queue that return its length.

    Args:
        queue: The state of the writer.

    Attributes:
        maxsize: Maximum number of records.
    """

    def __init__(self, queue: WriteQueue) -> None:
        self._queue = queue
        self.maxsize = queue.qsize

    def qsize(self) -> int:
        """Return the number of records."""
        return self._queue.next_number - self._queue.offset

    def empty(self) -> bool:
        """Return whether there are no records."""
        return not self.qsize()

    def full(self) -> bool:
        """Return whether the next write has to wait."""
        return self._queue.full
