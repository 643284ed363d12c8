"""The collections of a project: records that are stored under keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from scrapinghub.client._support.collection_bulk import copy_records, plan_deletion, rename_collection
from scrapinghub.client._support.collection_reader import CollectionReader, Keys, parse_keys
from scrapinghub.client._support.lists import ValueIterator, listed
from scrapinghub.client._support.parameters import Time, merge_parameters, suggests_names
from scrapinghub.client._support.resource import Client, Resource
from scrapinghub.client._support.validation import parse_name
from scrapinghub.client.bulk import BulkResult, apply_in_chunks
from scrapinghub.client.collectionwriter import CollectionWriter, with_text_key
from scrapinghub.client.shapes import CollectionInfo
from scrapinghub.config.validation import Expected
from scrapinghub.transport.http.call import UNSET
from scrapinghub.transport.http.retries import Repeat
from scrapinghub.transport.uploads.options import MAX_ITEM_BYTES, Callback, WriterOptions

__all__ = ['Collection', 'Collections']

STORE, CACHED_STORE, VERSIONED_STORE, VERSIONED_CACHED_STORE = TYPES = ('s', 'cs', 'vs', 'vcs')

_TYPE_NAMES: Mapping[str, str] = {
    STORE: 'store',
    CACHED_STORE: 'cached store',
    VERSIONED_STORE: 'versioned store',
    VERSIONED_CACHED_STORE: 'versioned cached store',
}

_DELETED_AT_ONCE = 1000

_NAME = re.compile(r'\w+', re.ASCII)


class Collections(Resource):
    """The collections of a project: ``project.collections``.

    Safe to share between threads.

    HTTP API: https://docs.zyte.com/scrapy-cloud/usage/reference/http/collections.html

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

    def __init__(self, cls: Any, client: Client, key: str) -> None:
        super().__init__(client, str(key))

    def get(self, type_: str, name: str) -> Collection:
        """Return a collection, without a request.

        Args:
            type_: ``s`` for a store, ``cs`` for a cached store (records expire after a month), ``vs`` for a versioned
                store (keeps up to three copies of a record), ``vcs`` for a versioned cached store.
            name: Name of the collection: letters, digits and underscores.

        Returns:
            The collection, whether it exists or not. The first write creates it.

        Raises:
            ValueError: The type is unknown, or the name is malformed.

        Example:
            >>> project.collections.get('s', 'foo_store').count()
            2
        """
        if type_ not in TYPES:
            raise ValueError(f'Invalid collection type: {type_}') from Expected(f'accepted: {", ".join(TYPES)}')
        return Collection(self._client, self, type_, name)

    def get_store(self, name: str) -> Collection:
        """Return a store, without a request. Its records are kept until they are deleted.

        Args:
            name: Name of the collection: letters, digits and underscores.

        Returns:
            The collection, whether it exists or not. The first write creates it.

        Raises:
            ValueError: The name is malformed.

        Example:
            >>> project.collections.get_store('foo_store').get('first')
            {'value': 1}
        """
        return self.get(STORE, name)

    def get_cached_store(self, name: str) -> Collection:
        """Return a cached store, without a request. Its records expire after a month.

        Args:
            name: Name of the collection: letters, digits and underscores.

        Returns:
            The collection, whether it exists or not. The first write creates it.

        Raises:
            ValueError: The name is malformed.

        Example:
            >>> pages = project.collections.get_cached_store('pages')
            >>> pages.set({'_key': 'home', 'etag': 'x'})
        """
        return self.get(CACHED_STORE, name)

    def get_versioned_store(self, name: str) -> Collection:
        """Return a versioned store, without a request. It keeps up to three copies of each record.

        Args:
            name: Name of the collection: letters, digits and underscores.

        Returns:
            The collection, whether it exists or not. The first write creates it.

        Raises:
            ValueError: The name is malformed.

        Example:
            >>> rates = project.collections.get_versioned_store('rates')
            >>> rates.set({'_key': 'EUR', 'value': 1.08})
        """
        return self.get(VERSIONED_STORE, name)

    def get_versioned_cached_store(self, name: str) -> Collection:
        """Return a versioned store whose records expire after a month, without a request.

        Args:
            name: Name of the collection: letters, digits and underscores.

        Returns:
            The collection, whether it exists or not. The first write creates it.

        Raises:
            ValueError: The name is malformed.

        Example:
            >>> rates = project.collections.get_versioned_cached_store('rates')
            >>> rates.set({'_key': 'EUR', 'value': 1.08})
        """
        return self.get(VERSIONED_CACHED_STORE, name)

    def iter(self) -> Iterator[CollectionInfo]:
        """Iterate over the collections of this project.

        Yields:
            A dict with ``type`` and ``name``, sorted by name.

        Example:
            >>> list(project.collections.iter())
            [{'type': 's', 'name': 'foo_store'}]
        """
        return ValueIterator(self._client.transport.get(('collections', self.key, 'list')).values)

    list = listed(iter)


class Collection(CollectionReader):
    """A collection, such as ``project.collections.get_store('foo_store')``.

    Safe to share between threads; an iterator is not.

    Args:
        client: The client.
        collections: The collections of the project.
        type_: ``s``, ``cs``, ``vs`` or ``vcs``.
        name: Name of the collection.

    Example:
        >>> foo_store = project.collections.get_store('foo_store')
        >>> foo_store.set({'_key': 'first', 'value': 1})
        >>> foo_store.get('first')
        {'value': 1}
    """

    def __init__(self, client: Client, collections: Collections, type_: str, name: str) -> None:
        name = parse_name('collection name', name)
        if not _NAME.fullmatch(name):
            raise ValueError(f'Invalid collection name {name!r}, only alphanumeric characters')
        super().__init__(client, collections.key, type_, name)

    def _card(self) -> Iterable[tuple[str, str]]:
        _, project, type_, name = self._path
        return [('key', self.key), ('name', name), ('type', _TYPE_NAMES[type_]), ('project', project)]

    def set(self, value: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> None:
        """Store records, with one request. A record replaces the one with the same key.

        The request is repeated if its response is lost, which may add a copy in a versioned store. Use
        :meth:`create_writer` for many records.

        Args:
            value: A dict, or an iterable of dicts. ``_key`` is the key of a record, a string.

        Raises:
            BadRequest: A record has no key.
            ValueTooLarge: A record is larger than 1 MiB.
            TypeError: A record is not a dict.

        Example:
            >>> foo_store.set([{'_key': 'first', 'value': 1}, {'_key': 'second', 'value': 2}])
        """
        values: Any = [value] if isinstance(value, Mapping) else value
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise TypeError(f'value should be a dict or an iterable of dicts, got {value!r}')
        records = [with_text_key(record) for record in values]
        self._client.transport.post(self._path, lines=records, repeat=Repeat.ALWAYS)

    def delete(self, keys: Keys) -> None:
        """Delete records. Keys that do not exist are ignored.

        Args:
            keys: A key, or an iterable of keys. An empty one deletes nothing, without a request.

        Raises:
            ValueError: A key is not a string.

        Example:
            >>> foo_store.delete(['first', 'second'])
        """
        texts = parse_keys(keys)
        if texts:
            self._client.transport.post((*self._path, 'deleted'), lines=texts, repeat=Repeat.ALWAYS)

    def truncate(self) -> None:
        """Delete the collection with all its records.

        **This deletes collections of all types with the same name**: the service takes only the name here.

        Example:
            >>> foo_store.truncate()
        """
        _, project, _, name = self._path
        self._client.transport.post(('collections', project, 'delete'), params={'name': name}, repeat=Repeat.ALWAYS)

    @suggests_names
    def rename(self, name: str) -> Collection:
        """Rename the collection.

        The service renames collections of all types with the same name, so the request is refused if there are several.
        It is also refused if the new name is in use. These checks are not atomic: another program can create a
        collection in between. A request whose response is lost is not repeated.

        Args:
            name: The new name: letters, digits and underscores.

        Returns:
            The renamed collection. This object keeps the old name.

        Raises:
            ValueError: The new name is malformed or in use, or the old name has collections of several types.
            NotFound: The collection does not exist.

        Example:
            >>> foo_store.rename('bar_store').key
            '123/s/bar_store'
        """
        _, project, type_, old_name = self._path
        collections = Collections(None, self._client, project)
        renamed = collections.get(type_, name)
        *_, new_name = renamed.key.split('/')
        rename_collection(self._client.transport, project, type_, old_name, new_name, collections.list())
        return renamed

    @suggests_names
    def delete_where(
        self, prefix: Keys | None = None, startts: Time = None, endts: Time = None, dry_run: bool = False
    ) -> BulkResult:
        """Delete the records that match all of the given filters.

        The records are listed first, and each one is checked by the client, because the service may ignore a filter.
        A record that is written in the meantime may be deleted, too.

        Args:
            prefix: Only records whose keys begin with this, or with one of these.
            startts: Only records stored at or after this time: milliseconds since the epoch, a ``datetime`` with a
                time zone, or a ``timedelta`` (that long ago).
            endts: Only records stored before this time.
            dry_run: Return the keys of the matching records, and delete nothing.

        Returns:
            The keys of the records, by outcome. ``skipped`` are records without a time although one is needed.

        Raises:
            ValueError: There is no filter, a prefix is empty, or a time is ambiguous.
            NotFound: The collection does not exist.
            StreamInterrupted: The records could not be listed; nothing was deleted.

        Example:
            >>> foo_store.delete_where(prefix='fi', dry_run=True).planned
            ['first']
        """
        filters = merge_parameters({'prefix': prefix, 'startts': startts, 'endts': endts}, {}, strict=True)
        if not filters:
            raise ValueError('delete_where needs a filter: to delete all records, use truncate()')
        if 'prefix' in filters:
            filters['prefix'] = parse_keys(filters['prefix'])
            if not filters['prefix'] or not all(filters['prefix']):
                raise ValueError('prefix should not be empty: to delete all records, use truncate()')
        result = plan_deletion(self.iter(**filters, meta='_ts', nodata=True), **filters)
        if dry_run:
            return result
        return apply_in_chunks(result, self.delete, _DELETED_AT_ONCE)

    @suggests_names
    def copy_to(self, other: Collection, startafter: str | None = None) -> int:
        """Copy all records to another collection, which may belong to another project or client.

        Records with the same keys are replaced. To continue after an error, pass its ``last_key`` as ``startafter``.

        Args:
            other: The collection to write to.
            startafter: Copy only records after this key.

        Returns:
            The number of copied records.

        Raises:
            ValueError: ``other`` is not another collection.
            StreamInterrupted: Reading or writing failed. ``last_key`` is the key of the last record that is stored in
                the other collection, ``delivered`` the number of records copied. Also an instance of the class of its
                cause, such as ``Forbidden``.

        Example:
            >>> foo_store.copy_to(project.collections.get_cached_store('copy'))
            2
        """
        if type(other) is not Collection or other == self:
            raise ValueError(f'other should be another collection, got {other!r}')
        return copy_records(self.iter(startafter=startafter), other.set, startafter)

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
            start: Number at which the writer begins to count; it has no meaning for the service.
            auth: Credentials to use instead of the client's: a pair of user and password.
            size: Maximum number of records in a request.
            interval: Maximum time that a record is queued before it is sent, in seconds.
            qsize: Maximum number of queued records, above which ``write`` blocks. Twice ``size`` by default.
            content_encoding: ``'identity'``, or ``'gzip'`` to compress requests.
            maxitemsize: Maximum size of a record, in bytes of JSON text.
            callback: Called with the response to each batch, and with None for a batch that cannot be stored.

        Returns:
            The writer. Use it as a context manager, or call its ``close()``.

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
