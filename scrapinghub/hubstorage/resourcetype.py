"""Base classes of the low-level client: a key, requests below it, streams, writers, mappings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, ClassVar

import requests

from scrapinghub.config.credentials import Credentials
from scrapinghub.hubstorage.batchuploader import Writer
from scrapinghub.hubstorage.serialization import jlencode
from scrapinghub.hubstorage.streaming import MAX_RETRIES, RETRY_INTERVAL, ClientSource, as_pairs, cursor_for
from scrapinghub.hubstorage.utils import urlpathjoin, xauth
from scrapinghub.transport import codec
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.responses import decode
from scrapinghub.transport.streams.stream import RecordStream

if TYPE_CHECKING:
    from scrapinghub.hubstorage.client import HubstorageClient

# Sizes in which older releases read responses. Kept for programs that import them.
CHUNK_SIZE = 512
STATS_CHUNK_SIZE = 512 * 1024


class ResourceType:
    """A resource on the storage or the job queue.

    Args:
        client: The low-level client.
        key: Key of the resource, such as ``1/2/3``, or a tuple of its parts, or None.
        auth: Credentials instead of the client's own.

    Attributes:
        client: The client.
        key: The whole path, such as ``items/1/2/3``.
        auth: User and password, or None.
        url: The address.
    """

    resource_type: ClassVar[str | None] = None
    key_suffix: ClassVar[str | None] = None
    # Whether the service offers MessagePack for reads.
    offers_msgpack: ClassVar[bool] = False
    # Maximum size of a value that is not one record; of records the transport has the limit.
    max_value_bytes: ClassVar[int] = codec.MAX_VALUE_BYTES

    def __init__(self, client: HubstorageClient, key: Any, auth: Any = None) -> None:
        self.client = client
        self.key = urlpathjoin(self.resource_type, key, self.key_suffix)
        self.auth = hidden(auth) or client.auth
        endpoint = client.jobq_endpoint if self.resource_type == 'jobq' else client.endpoint
        self.url: str = urlpathjoin(endpoint, self.key) or endpoint

    def _allows_msgpack(self, path: str | None) -> bool:
        return self.offers_msgpack and not (path or '').endswith('stats')

    def apirequest(self, _path: Any = None, **kwargs: Any) -> Iterator[Any]:
        """Send a request to a path below this resource.

        Args:
            _path: The path: a string, which is used unchanged, a number, or a tuple of these.
            **kwargs: Keyword arguments of :meth:`HubstorageClient.request
                <scrapinghub.hubstorage.client.HubstorageClient.request>`; and ``jl``, an object or several, sent as
                JSON lines.

        Returns:
            An iterator over the decoded values of the response.
        """
        if 'jl' in kwargs:
            kwargs['data'] = jlencode(kwargs.pop('jl')).encode()
        path = urlpathjoin(_path)
        kwargs['url'] = url = urlpathjoin(self.url, path) or self.url
        kwargs.setdefault('auth', self.auth)
        if kwargs['method'] == 'GET' and self.client.use_msgpack and self._allows_msgpack(path):
            kwargs['headers'] = {'Accept': codec.MSGPACK, **(kwargs.get('headers') or {})}
        packed = (kwargs.get('headers') or {}).get('Accept') == codec.MSGPACK
        call = Call(
            kwargs['method'], url, expects=codec.MSGPACK if packed else codec.JSON, max_record=self.max_value_bytes
        )
        response = self.client.request(**kwargs)
        return self._values(call, response)

    def _values(self, call: Call, response: requests.Response) -> Iterator[Any]:
        # Decoded on access: programs ignore many responses to a POST, and HTTP mocks put any text there.
        yield from decode(call, response, self.client.transport.max_record)

    def apiget(self, _path: Any = None, **kwargs: Any) -> Iterator[Any]:
        """GET a path below this resource, see :meth:`apirequest`."""
        return self.apirequest(_path, **{'method': 'GET', 'is_idempotent': True, **kwargs})

    def apipost(self, _path: Any = None, **kwargs: Any) -> Iterator[Any]:
        """POST to a path below this resource, see :meth:`apirequest`."""
        return self.apirequest(_path, **{'method': 'POST', **kwargs})

    def apidelete(self, _path: Any = None, **kwargs: Any) -> Iterator[Any]:
        """DELETE a path below this resource, see :meth:`apirequest`."""
        return self.apirequest(_path, **{'method': 'DELETE', 'is_idempotent': True, **kwargs})


def hidden(auth: Any) -> Credentials | None:
    """Return credentials as a pair whose ``repr`` hides them; None for None."""
    pair = xauth(auth)
    return None if pair is None else Credentials(*pair)


class DownloadableResource(ResourceType):
    """Records that can be streamed.

    Attributes:
        MAX_RETRIES: Number of attempts to continue an interrupted stream that has returned records. Used if it or
            ``RETRY_INTERVAL`` is changed. By default, a stream waits for up to three hours.
        RETRY_INTERVAL: Time between two attempts, in seconds.
    """

    max_value_bytes = 0
    MAX_RETRIES = MAX_RETRIES
    RETRY_INTERVAL: float = RETRY_INTERVAL

    def iter_values(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Iterate over records; the first ``next()`` sends the first request.

        Args:
            *args: As for :meth:`iter_json`.
            **kwargs: As for :meth:`iter_json`.

        Returns:
            The records as Python objects, with their ``_key``.
        """
        return self._stream(codec.MSGPACK if self._streams_msgpack() else codec.ANY, *args, **kwargs)

    def _streams_msgpack(self) -> bool:
        return self.client.use_msgpack and self._allows_msgpack(None)

    def iter_json(
        self, _path: Any = None, requests_params: Mapping[str, Any] | None = None, **apiparams: Any
    ) -> Iterator[str]:
        """Iterate over records as JSON strings, with their ``_key``.

        Args:
            _path: Path below this resource.
            requests_params: Keyword arguments of :meth:`requests.Session.request`, such as ``timeout``.
            **apiparams: Query parameters.

        Returns:
            The strings as the service sent them.
        """
        return self._stream(codec.ANY, _path, requests_params, _raw=bytes.decode, **apiparams)

    def iter_msgpack(
        self, _path: Any = None, requests_params: Mapping[str, Any] | None = None, **apiparams: Any
    ) -> Iterator[bytes]:
        """Iterate over records as MessagePack, one at a time; the arguments are those of :meth:`iter_json`."""
        return self._stream(codec.MSGPACK, _path, requests_params, _raw=bytes, **apiparams)

    def _stream(
        self,
        accept: str,
        _path: Any = None,
        requests_params: Mapping[str, Any] | None = None,
        *,
        _raw: Callable[[bytes], Any] | None = None,
        **apiparams: Any,
    ) -> Iterator[Any]:
        """Return the stream of records below a path.

        Args:
            accept: Content type to request.
            _path: As for :meth:`iter_json`, like all that follow.
            requests_params: Options of the HTTP library.
            _raw: Called with each record as the bytes that the service sent; None to decode the records.
            **apiparams: Query parameters.
        """
        below = urlpathjoin(_path)
        call = Call('GET', urlpathjoin(self.url, below) or self.url, accept=accept)
        family, _, key = (self.key or '').partition('/')
        asked = {**apiparams, 'meta': with_key(apiparams.get('meta'))}
        cursor = cursor_for(family, key, below, asked, packed=accept == codec.MSGPACK)
        limits = (self.MAX_RETRIES, self.RETRY_INTERVAL)
        source = ClientSource(self.client, call, self.auth, requests_params or {}, limits, raw=_raw is not None)
        return RecordStream(source, cursor, _raw)


def with_key(meta: Any) -> list[Any]:
    """Return the names of meta fields with ``_key`` among them."""
    names = [meta] if isinstance(meta, str) else list(meta or ())
    return names if '_key' in names else [*names, '_key']


class ItemsResourceType(ResourceType):
    """Numbered records of a job.

    Attributes:
        batch_size: Maximum number of records in a request.
        batch_qsize: Maximum number of queued records; twice ``batch_size`` if None.
        batch_start: Number of the first record that is written.
        batch_interval: Time after which a batch is sent although it is not full, in seconds.
        batch_content_encoding: ``gzip`` or ``identity``.
    """

    max_value_bytes = 0
    batch_size = 1000
    batch_qsize: int | None = None
    batch_start = 0
    batch_interval = 15.0
    batch_content_encoding = 'identity'
    _writer: Writer | None = None

    @property
    def writer(self) -> Writer:
        """The batch writer, created on first use. There is one for each URL and client."""
        if self._writer is None:
            self._writer = self.client.batchuploader.create_writer(
                self.url,
                start=self._first_number,
                auth=self.auth,
                size=self.batch_size,
                interval=self.batch_interval,
                qsize=self.batch_qsize,
                content_encoding=self.batch_content_encoding,
                shared=True,
            )
        return self._writer

    @property
    def _first_number(self) -> int | Callable[[], int]:
        # A number is compared with that of a later writer of the same URL.
        return self.batch_write_start()

    def batch_write_start(self) -> int:
        """Return the number at which a new writer begins."""
        return self.batch_start

    def write(self, item: Any) -> int:
        """Queue a record for storing.

        Returns:
            The number of the record.

        Raises:
            scrapinghub.exceptions.ValueTooLarge: The JSON text of the record is larger than 1 MiB.
            UploadError: Earlier records could not be stored; the error holds them.
            AssertionError: The writer was closed.
        """
        return self.writer.write(item)

    def flush(self) -> None:
        """Wait until all records written so far, by all objects of this client, are stored."""
        self.client.uploader.flush(under=self.url)

    def close(self, block: bool = True) -> None:
        """Send the queued records, and accept no more.

        Args:
            block: Whether to wait until everything is stored.
        """
        if self._writer is not None:
            self._writer.close(block)

    def list(self, _key: Any = None, **params: Any) -> Iterator[Any]:
        """Return an iterator over the records. The whole response is loaded first.

        Args:
            _key: Path below the job.
            **params: Query parameters.
        """
        return self.apiget(_key, params=params)

    def get(self, _key: Any, **params: Any) -> Any:
        """Return one record; None if the response is empty.

        Args:
            _key: Its number.
            **params: Query parameters.
        """
        return next(self.apiget(_key, params=params), None)

    def stats(self) -> Any:
        """Return the number of records, and how often each field occurs in them."""
        return next(self.apiget('stats'), None)


class MappingResourceType(ResourceType, MutableMapping[str, Any]):
    """A mapping that is loaded once and cached until :meth:`expire`. :meth:`save` sends the changes.

    Args:
        *a: As for :class:`ResourceType`.
        cached: Initial values, instead of a request.
        **kw: As for :class:`ResourceType`.
    """

    ignore_fields: ClassVar[Any] = ()

    def __init__(self, *a: Any, cached: Any = None, **kw: Any) -> None:
        self._cached: dict[str, Any] | None = cached
        self._deleted: set[str] = set()
        super().__init__(*a, **kw)

    def __str__(self) -> str:
        return str(self._data)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self._data!r})'

    @property
    def _data(self) -> dict[str, Any]:
        if self._cached is None:
            loaded = next(self.apiget(), None)
            self._cached = {} if loaded is None else dict(loaded)
        return self._cached

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._data[key] = value
        self._deleted.discard(key)

    def __delitem__(self, key: str) -> None:
        del self._data[key]
        self._deleted.add(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def expire(self) -> None:
        """Discard the cache, including changes that are not saved."""
        self._cached = None
        self._deleted.clear()

    def save(self) -> None:
        """Send the changes: a DELETE for each removed name, then a POST with all other fields."""
        for name in sorted(self._deleted):
            self.apidelete(name)
            self._deleted.discard(name)
        if self._cached is None:
            return
        kept = {name: value for name, value in self._cached.items() if name not in self.ignore_fields}
        if kept:
            self.apipost(jl=kept, is_idempotent=True)

    def liveget(self, key: str) -> Any:
        """Request one field; return None if it does not exist."""
        return next(self.apiget(key), None)


__all__ = [
    'CHUNK_SIZE',
    'STATS_CHUNK_SIZE',
    'DownloadableResource',
    'ItemsResourceType',
    'MappingResourceType',
    'ResourceType',
    'as_pairs',
]
