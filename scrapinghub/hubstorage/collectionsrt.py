"""Collections of records with keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests

from scrapinghub.hubstorage.batchuploader import Writer
from scrapinghub.hubstorage.resourcetype import DownloadableResource
from scrapinghub.hubstorage.utils import urlpathjoin

# Paths for which the service offers MessagePack: a collection, or one of its records.
_PACKED_PATH = re.compile(r'v?c?s/\w+(/(?!count$).+)?')
_TYPES = ('s', 'vs', 'cs', 'vcs')
# Keys that can be part of a path. Other keys are query parameters.
_PLAIN_KEY = re.compile(r'[A-Za-z0-9_.~-]+')
_NAMES_OF_PATHS = ('count', '.', '..')


class Collections(DownloadableResource):
    """The collections of a project.

    Args:
        client: The low-level client.
        key: Id of the project.
        auth: Credentials instead of the client's own.
    """

    resource_type = 'collections'

    def _allows_msgpack(self, path: str | None) -> bool:
        return path is not None and _PACKED_PATH.fullmatch(path) is not None

    def get(self, _type: str, _name: str, _key: Any = None, **params: Any) -> Any:
        """Return a record without its key. Without ``_key``, return an iterator over all records.

        Args:
            _type: ``s``, ``cs``, ``vs`` or ``vcs``.
            _name: Name of the collection.
            _key: Key of the record.
            **params: Query parameters.

        Raises:
            KeyError: The record does not exist.
            ValueError: The service refuses a parameter.
        """
        try:
            with _value_errors(400):
                if _key is None:
                    return self.apiget((_type, _name), params=params)
                found = self._one(_type, _name, str(_key), params)
        except requests.HTTPError as error:
            if error.response is not None and error.response.status_code == 404:
                raise KeyError(_key) from error
            raise
        for record in found:
            return record
        raise KeyError(_key)

    def _one(self, _type: str, _name: str, key: str, params: Mapping[str, Any]) -> Iterator[Any]:
        if _PLAIN_KEY.fullmatch(key) and key not in _NAMES_OF_PATHS:
            return self.apiget((_type, _name, key), params=params)
        return self.apiget((_type, _name), params={**params, 'key': key, 'count': 1})

    def set(self, _type: str, _name: str, _values: Any) -> Iterator[Any]:
        """Store records.

        Args:
            _type: ``s``, ``cs``, ``vs`` or ``vcs``.
            _name: Name of the collection.
            _values: A dict with ``_key``, or several.

        Raises:
            ValueError: A record has no ``_key`` or is too large.
        """
        with _value_errors(400, 413):
            return self.apipost((_type, _name), is_idempotent=True, jl=_values)

    def delete(self, _type: str, _name: str, _keys: Any) -> Iterator[Any]:
        """Delete records.

        Args:
            _type: ``s``, ``cs``, ``vs`` or ``vcs``.
            _name: Name of the collection.
            _keys: A key, or several.
        """
        return self.apipost((_type, _name, 'deleted'), is_idempotent=True, jl=_keys)

    def truncate(self, _name: str) -> Iterator[Any]:
        """Delete the collections with this name, of all types."""
        return self.apipost('delete', params={'name': _name}, is_idempotent=True)

    def count(self, _type: str, _name: str, *, progress: Callable[[int, str], Any] | None = None, **params: Any) -> int:
        """Return the number of records.

        Args:
            _type: ``s``, ``cs``, ``vs`` or ``vcs``.
            _name: Name of the collection.
            progress: Called after each page except the last, with the number so far and the key of the next record.
            **params: Query parameters.
        """
        total = 0
        while True:
            with _value_errors(400):
                page = next(self.apiget((_type, _name, 'count'), params=params))
            total += int(page['count'])
            following = page.get('nextstart')
            if following is None:
                return total
            params = {**params, 'start': following}
            if progress is not None:
                progress(total, following)

    # Two arguments instead of one path: programs rely on the inheritance.
    def iter_json(  # type: ignore[override]
        self, _type: str, _name: str, requests_params: Mapping[str, Any] | None = None, **apiparams: Any
    ) -> Iterator[str]:
        """Iterate over records as JSON strings, with their ``_key``.

        Args:
            _type: ``s``, ``cs``, ``vs`` or ``vcs``.
            _name: Name of the collection.
            requests_params: Keyword arguments of :meth:`requests.Session.request`, such as ``timeout``.
            **apiparams: Query parameters.
        """
        return super().iter_json((_type, _name), requests_params, **apiparams)

    def iter_msgpack(  # type: ignore[override]
        self, _type: str, _name: str, requests_params: Mapping[str, Any] | None = None, **apiparams: Any
    ) -> Iterator[bytes]:
        """Iterate over records as MessagePack, one at a time; the arguments are those of :meth:`iter_json`."""
        return super().iter_msgpack((_type, _name), requests_params, **apiparams)

    def iter_values(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Iterate over records, with their ``_key``; the arguments are those of :meth:`iter_json`."""
        return self._values_of(*args, **kwargs)

    def _values_of(
        self, _type: str, _name: str, requests_params: Mapping[str, Any] | None = None, **apiparams: Any
    ) -> Iterator[Any]:
        return super().iter_values((_type, _name), requests_params, **apiparams)

    def create_writer(self, coltype: str, colname: str, **writer_kwargs: Any) -> Writer:
        """Return a batch writer for a collection.

        Args:
            coltype: ``s``, ``cs``, ``vs`` or ``vcs``.
            colname: Name of the collection.
            **writer_kwargs: As for :meth:`BatchUploader.create_writer
                <scrapinghub.hubstorage.batchuploader.BatchUploader.create_writer>`; bodies are compressed by default.
        """
        self._check(coltype, colname)
        kwargs = {'content_encoding': 'gzip', 'auth': self.auth, **writer_kwargs}
        return self.client.batchuploader.create_writer(urlpathjoin(self.url, coltype, colname) or '', **kwargs)

    def new_collection(self, coltype: str, colname: str) -> Collection:
        """Return a collection, without a request.

        Args:
            coltype: ``s``, ``cs``, ``vs`` or ``vcs``.
            colname: Name of the collection.

        Raises:
            ValueError: The type or the name is invalid.
        """
        self._check(coltype, colname)
        return Collection(coltype, colname, self)

    @staticmethod
    def _check(coltype: str, colname: str) -> None:
        if coltype not in _TYPES:
            raise ValueError(f'Invalid collection type: {coltype}')
        if not re.fullmatch(r'\w+', colname):
            raise ValueError(f'Invalid collection name {colname!r}, only alphanumeric characters')

    def new_store(self, colname: str) -> Collection:
        """Return a store, without a request."""
        return self.new_collection('s', colname)

    def new_cached_store(self, colname: str) -> Collection:
        """Return a cached store, whose records expire after a month, without a request."""
        return self.new_collection('cs', colname)

    def new_versioned_store(self, colname: str) -> Collection:
        """Return a versioned store, which keeps up to three copies of a record, without a request."""
        return self.new_collection('vs', colname)

    def new_versioned_cached_store(self, colname: str) -> Collection:
        """Return a versioned cached store, without a request."""
        return self.new_collection('vcs', colname)


@contextmanager
def _value_errors(*statuses: int) -> Iterator[None]:
    """Replace responses with these statuses by a ``ValueError`` with the text of the service."""
    try:
        yield
    except requests.HTTPError as error:
        if error.response is not None and error.response.status_code in statuses:
            raise ValueError(error.response.text) from error
        raise


class Collection:
    """A collection.

    Args:
        coltype: ``s``, ``cs``, ``vs`` or ``vcs``.
        colname: Its name.
        collections: The collections of the project.

    Attributes:
        coltype: The type.
        colname: The name.
    """

    def __init__(self, coltype: str, colname: str, collections: Collections) -> None:
        self.coltype = coltype
        self.colname = colname
        self._collections = collections

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """Return a record or a scan, see :meth:`Collections.get`."""
        return self._collections.get(self.coltype, self.colname, *args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Store records, see :meth:`Collections.set`."""
        return self._collections.set(self.coltype, self.colname, *args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Delete records, see :meth:`Collections.delete`."""
        return self._collections.delete(self.coltype, self.colname, *args, **kwargs)

    def count(self, *args: Any, **kwargs: Any) -> int:
        """Return the number of records, see :meth:`Collections.count`."""
        return self._collections.count(self.coltype, self.colname, *args, **kwargs)

    def truncate(self) -> Iterator[Any]:
        """Delete the collection."""
        return self._collections.truncate(self.colname)

    def iter_values(self, requests_params: Mapping[str, Any] | None = None, **apiparams: Any) -> Iterator[Any]:
        """Iterate over records, see :meth:`Collections.iter_values`."""
        return self._collections.iter_values(self.coltype, self.colname, requests_params, **apiparams)

    def iter_json(self, requests_params: Mapping[str, Any] | None = None, **apiparams: Any) -> Iterator[str]:
        """Iterate over records as JSON texts, see :meth:`Collections.iter_json`."""
        return self._collections.iter_json(self.coltype, self.colname, requests_params, **apiparams)

    def create_writer(self, **kwargs: Any) -> Writer:
        """Return a batch writer, see :meth:`Collections.create_writer`."""
        return self._collections.create_writer(self.coltype, self.colname, **kwargs)
