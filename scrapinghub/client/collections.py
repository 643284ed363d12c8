"""The collections of a project: records by key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import six

from scrapinghub.client._support.lists import Deferred, listed
from scrapinghub.client._support.parameters import Time, filters, number, pairs, query
from scrapinghub.client._support.reading import filter_hint, hinting, names, read
from scrapinghub.client._support.resource import Resource
from scrapinghub.client._support.responses import field
from scrapinghub.client.collectionwriter import CollectionWriter, with_text_key
from scrapinghub.client.shapes import CollectionInfo
from scrapinghub.config.validation import Expected
from scrapinghub.exceptions import DecodeError, NotFound, ScrapinghubAPIError
from scrapinghub.transport import codec
from scrapinghub.transport.http.call import UNSET
from scrapinghub.transport.http.retries import Repeat
from scrapinghub.transport.streams.prefixes import scan_plan
from scrapinghub.transport.uploads.lane import MAX_ITEM_BYTES, Callback
from scrapinghub.transport.uploads.uploader import WriterOptions

if TYPE_CHECKING:
    from scrapinghub.client import ScrapinghubClient

__all__ = ['Collection', 'Collections']

STORE, CACHED_STORE, VERSIONED_STORE, VERSIONED_CACHED_STORE = TYPES = ('s', 'cs', 'vs', 'vcs')

_TYPE_NAMES: Mapping[str, str] = {
    STORE: 'store',
    CACHED_STORE: 'cached store',
    VERSIONED_STORE: 'versioned store',
    VERSIONED_CACHED_STORE: 'versioned cached store',
}

Record = dict[str, Any]
Keys = str | bytes | Iterable[str | bytes]

# A key of other characters, or one of the service's own names, would reach something else by the path.
_PLAIN_KEY = re.compile(r'(?!(?:count|\.|\.\.)\Z)[A-Za-z0-9_.~-]+')
_NAME = re.compile(r'\w+', re.ASCII)

_BAD_KEYS = 'You should provide string key or iterable object providing string keys'


class Collections(Resource):
    """The collections of a project: ``project.collections``.

    Safe to share between threads.

    Args:
        cls: Ignored; kept for programs that pass it.
        client: The client.
        key: Id of the project.

    Attributes:
        key: Id of the project.

    Example:
        >>> foo_store = project.collections.get_store('foo_store')
        >>> foo_store.set({'_key': 'first', 'value': 1})
        >>> project.collections.list()
        [{'type': 's', 'name': 'foo_store'}]
    """

    def __init__(self, cls: Any, client: ScrapinghubClient, key: str) -> None:
        super().__init__(client, str(key))

    def get(self, type_: str, name: str) -> Collection:
        """Return a collection; no request is made.

        Args:
            type_: ``s`` for a store, ``cs`` for a cached one, whose records expire after a month, ``vs`` for a
                versioned one, which keeps up to three copies of a record, ``vcs`` for both.
            name: Its name: letters, digits and underscores.

        Returns:
            The collection, whether it exists or not: it is created by its first write.

        Raises:
            ValueError: The type or the name is none.
        """
        if type_ not in TYPES:
            raise ValueError(f'Invalid collection type: {type_}') from Expected(f'The types are {", ".join(TYPES)}.')
        return Collection(self._client, self, type_, name)

    def get_store(self, name: str) -> Collection:
        """Return a store, see :meth:`get`."""
        return self.get(STORE, name)

    def get_cached_store(self, name: str) -> Collection:
        """Return a cached store, whose records expire after a month, see :meth:`get`."""
        return self.get(CACHED_STORE, name)

    def get_versioned_store(self, name: str) -> Collection:
        """Return a versioned store, which keeps up to three copies of a record, see :meth:`get`."""
        return self.get(VERSIONED_STORE, name)

    def get_versioned_cached_store(self, name: str) -> Collection:
        """Return a versioned store whose records expire after a month, see :meth:`get`."""
        return self.get(VERSIONED_CACHED_STORE, name)

    def iter(self) -> Iterator[CollectionInfo]:
        """Iterate over the collections of this project.

        Yields:
            A dict with ``type`` and ``name``, in the order of the names.

        Example:
            >>> list(project.collections.iter())
            [{'type': 's', 'name': 'foo_store'}]
        """
        transport = self._client.transport
        return Deferred(lambda: transport.get(('collections', self.key, 'list')).values)

    list = listed(iter)


class Collection(Resource):
    """A collection: ``project.collections.get_store('foo_store')`` and its kin.

    Safe to share between threads; an iterator is not.

    Args:
        client: The client.
        collections: The collections of the project.
        type_: ``s``, ``cs``, ``vs`` or ``vcs``.
        name: Its name.

    Example:
        >>> foo_store = project.collections.get_store('foo_store')
        >>> foo_store.set({'_key': 'first', 'value': 1})
        >>> foo_store.get('first')
        {'value': 1}
    """

    def __init__(self, client: ScrapinghubClient, collections: Collections, type_: str, name: str) -> None:
        name = str(name)
        if not _NAME.fullmatch(name):
            raise ValueError(f'Invalid collection name {name!r}, only alphanumeric characters')
        super().__init__(client, f'{collections.key}/{type_}/{name}')
        self._project = collections.key
        self._name = name
        self._path = ('collections', collections.key, type_, name)

    def _card(self) -> Iterable[tuple[str, str]]:
        _, project, type_, name = self._path
        return [('key', self.key), ('name', name), ('type', _TYPE_NAMES[type_]), ('project', project)]

    # One record

    def get(self, key: str | bytes, **params: Any) -> Record:
        """Return a record.

        Args:
            key: Its key: any text.
            **params: Further parameters of the service.

        Returns:
            The record without its key.

        Raises:
            NotFound: There is no record with this key.
            ValueError: The key is None or empty.

        Example:
            >>> foo_store.get('first')
            {'value': 1}
        """
        if key is None:
            raise ValueError('key cannot be None')
        text = six.ensure_text(key) if isinstance(key, bytes) else str(key)
        if not text:
            raise ValueError('key cannot be empty')
        with hinting(lambda error: self._absence(error, f'no record {text!r} in')):
            found = self._find(text, pairs(query({}, params)))
            if not found:
                raise NotFound('Not Found')
        record: Record = found[0]
        return record

    def _find(self, key: str, params: list[tuple[str, Any]]) -> list[Any]:
        transport = self._client.transport
        if _PLAIN_KEY.fullmatch(key):
            return transport.get((*self._path, key), params, accept=self._accept).values
        return transport.get(self._path, [('key', key), ('count', 1), *params], accept=self._accept).values

    @property
    def _accept(self) -> str:
        return codec.MSGPACK if self._client.transport.use_msgpack else codec.ANY

    def _absence(self, error: ScrapinghubAPIError, what: str = 'no') -> str | None:
        if not isinstance(error, NotFound):
            return None
        return f'There is {what} collection {self.key}; a collection is created by its first write.'

    def set(self, value: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> None:
        """Store records, each in place of the one with the same key; all of them in one request.

        A request whose answer is lost is sent again; in a versioned store that may add a copy. For very many records
        use :meth:`create_writer`.

        Args:
            value: A dict, or any iterable of dicts. Each has its key, a text, under ``_key``.

        Raises:
            BadRequest: A record has no key.
            ValueTooLarge: A record is larger than 1 MiB.
            TypeError: A record is no dict.

        Example:
            >>> foo_store.set([{'_key': 'first', 'value': 1}, {'_key': 'second', 'value': 2}])
        """
        several: Any = [value] if isinstance(value, Mapping) else value
        if isinstance(several, (str, bytes)) or not isinstance(several, Iterable):
            raise TypeError(f'value should be a dict or an iterable of dicts, got {value!r}')
        records = [with_text_key(record) for record in several]
        self._client.transport.post(self._path, lines=records, repeat=Repeat.ALWAYS)

    def delete(self, keys: Keys) -> None:
        """Delete records; those that do not exist are passed over.

        Args:
            keys: A key, or any iterable of keys.

        Raises:
            ValueError: A key is no text.

        Example:
            >>> foo_store.delete(['first', 'second'])
        """
        texts = _texts(keys)
        self._client.transport.post((*self._path, 'deleted'), lines=texts, repeat=Repeat.ALWAYS)

    # The whole

    def truncate(self) -> None:
        """Delete the collection with all its records.

        **Collections of other types that have the same name go with it**: the service knows them by their name here.

        Example:
            >>> foo_store.truncate()
        """
        path = ('collections', self._project, 'delete')
        self._client.transport.post(path, params={'name': self._name}, repeat=Repeat.ALWAYS)

    def count(
        self,
        *,
        progress: Callable[[int, str], object] | None = None,
        key: Keys | None = None,
        prefix: Keys | None = None,
        prefixcount: int | None = None,
        startts: Time = None,
        endts: Time = None,
        start: str | None = None,
        startafter: str | None = None,
        filter: str | tuple[Any, ...] | list[Any] | None = None,
        **params: Any,
    ) -> int:
        """Return how many records there are; a large collection is counted in several requests.

        Args:
            progress: Called after each of these requests but the last one, with the number so far and the key at which
                the next one starts.
            key: As for :meth:`iter`, like all that follow.
            prefix: Only records whose keys begin with this.
            prefixcount: At most this many records for each prefix.
            startts: Only records stored since then.
            endts: Only records stored before then.
            start: Begin at this key.
            startafter: Begin after this key.
            filter: Only matching records.
            **params: Further parameters of the service.

        Returns:
            The number.

        Raises:
            NotFound: The collection was never written to.

        Example:
            >>> foo_store.count()
            2
        """
        named = {
            'key': key,
            'prefix': prefix,
            'prefixcount': prefixcount,
            'startts': startts,
            'endts': endts,
            'start': start,
            'startafter': startafter,
            'filter': filter,
        }
        values = self._values(named, params)
        if values.get('key') == []:
            return 0
        path = (*self._path, 'count')
        what = f'GET {"/".join(path)}'
        total = 0
        with hinting(self._absence), hinting(filter_hint(values.get('filter', ()))):
            while True:
                answer = self._client.transport.get(path, pairs(values), expects=codec.JSON).value
                total += field(answer, 'count', int, what)
                following = answer.get('nextstart')
                if not following:
                    return total
                if not isinstance(following, str) or following == values.get('start'):
                    raise DecodeError(f'{what}: the count goes on at {following!r} again, and would not end')
                values['start'] = following
                if progress is not None:
                    progress(total, following)

    def iter(
        self,
        key: Keys | None = None,
        prefix: Keys | None = None,
        prefixcount: int | None = None,
        startts: Time = None,
        endts: Time = None,
        requests_params: Mapping[str, Any] | None = None,
        *,
        count: int | None = None,
        start: str | None = None,
        startafter: str | None = None,
        filter: str | tuple[Any, ...] | list[Any] | None = None,
        meta: str | Iterable[str] | None = None,
        nodata: bool | None = None,
        **params: Any,
    ) -> Iterator[Record]:
        """Iterate over records, in the order of the bytes of their keys.

        Records are streamed: the first one comes when it has arrived, and memory does not grow with the collection.

        Args:
            key: Only the records with this key, or with these; none for an empty list.
            prefix: Only records whose keys begin with this, or with one of these.
            prefixcount: At most this many records for each prefix.
            startts: Only records stored at or after this time, in milliseconds since the epoch.
            endts: Only records stored before this time, in milliseconds since the epoch.
            requests_params: Options of the HTTP library for this call: ``timeout`` (seconds), ``headers``, ``proxies``
                and the like.
            count: Stop after this many records.
            start: Begin at this key.
            startafter: Begin after this key.
            filter: Only matching records: a condition ``(field, operator, [argument, …])``, or a list of them.
            meta: Names of further fields of the service: ``_ts``.
            nodata: Return the key, and the fields of ``meta``, alone.
            **params: Further parameters of the service.

        Yields:
            A record as a dict, with its key under ``_key``.

        Raises:
            NotFound: The collection was never written to.
            BadRequest: The service does not understand a parameter.
            ValueError: The keys given with ``prefixcount`` do not fit into one request.
            StreamInterrupted: The connection broke and could not be resumed; iterating again goes on.

        Example:
            >>> list(foo_store.iter(prefix='fi'))
            [{'value': 1, '_key': 'first'}]
        """
        named = {
            'key': key,
            'prefix': prefix,
            'prefixcount': prefixcount,
            'startts': startts,
            'endts': endts,
            'start': start,
            'startafter': startafter,
            'filter': filter,
            'meta': meta,
            'nodata': nodata,
        }
        values = self._values(named, params)
        meta_names = names(values.get('meta'))
        values['meta'] = meta_names if '_key' in meta_names else [*meta_names, '_key']
        filtered = filter_hint(values.get('filter', ()))
        wanted = values.pop('key', None)
        return read(
            self._client.transport,
            self._path,
            scan_plan(pairs(values), number('count', count), keys=wanted),
            accept=self._accept,
            requests_params=requests_params,
            hint=lambda error: filtered(error) or self._absence(error),
        )

    list = listed(iter)

    def _values(self, named: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
        values = query(named, params)
        if 'filter' in values:
            values['filter'] = filters(values['filter'])
        if 'key' in values:
            values['key'] = _texts(values['key'])
        return values

    # Writing

    def create_writer(
        self,
        start: int = 0,
        auth: Any = None,
        size: int = 1000,
        interval: float = 15,
        qsize: int | None = None,
        content_encoding: str = 'identity',
        maxitemsize: int = MAX_ITEM_BYTES,
        callback: Callback | None = None,
    ) -> CollectionWriter:
        """Return a new batch writer for this collection.

        Args:
            start: Number that the writer counts from; it has no meaning for the service.
            auth: Credentials instead of the client's own: a pair of user and password.
            size: Most records in a request.
            interval: Seconds after which records are sent although no batch is full.
            qsize: Most records held; then ``write`` waits. Twice ``size`` by default.
            content_encoding: ``'identity'``, or ``'gzip'`` to send compressed.
            maxitemsize: Largest record, in bytes of JSON text.
            callback: Called with the answer to each batch, and with None for one that is given up.

        Returns:
            The writer; use it as a context manager, or call its ``close()``.

        Example:
            >>> with foo_store.create_writer() as writer:
            ...     writer.write({'_key': 'first', 'value': 1})
            0
        """
        options = WriterOptions(
            size=size,
            interval=interval,
            qsize=qsize,
            content_encoding=content_encoding,
            maxitemsize=maxitemsize,
            keyed=True,
            lists=True,
        )
        writer = self._client.uploader.writer(
            self._path,
            options,
            start=start,
            auth=UNSET if auth is None else auth,
            callback=callback,
            shared=False,
            kind=CollectionWriter,
        )
        assert isinstance(writer, CollectionWriter)
        return writer


def _texts(keys: Any) -> list[str]:
    """Return one or several keys as texts."""
    if isinstance(keys, (str, bytes)):
        keys = [keys]
    if not isinstance(keys, Iterable) or isinstance(keys, Mapping):
        raise ValueError(_BAD_KEYS)
    found: list[str] = []
    for key in sorted(keys) if isinstance(keys, (set, frozenset)) else keys:
        if not isinstance(key, (str, bytes)):
            raise ValueError(f'{_BAD_KEYS}, got {key!r}')
        found.append(six.ensure_text(key))
    return found
