"""Fields that are stored on the service and read like a mapping: job metadata and project settings."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import TYPE_CHECKING, Any

import six

from scrapinghub.client._support.lists import ValueIterator
from scrapinghub.client._support.resource import Client, Resource
from scrapinghub.client._support.validation import expect
from scrapinghub.config.validation import Expected
from scrapinghub.transport import codec
from scrapinghub.transport.http.retries import Repeat

if TYPE_CHECKING:
    from scrapinghub.transport.http.paths import Path

Fields = dict[str, Any]
FieldList = list[tuple[str, Any]]


class StoredFields(Resource, Mapping[str, Any]):
    """Fields that are stored on the service.

    Nothing is cached: ``fields['name']``, ``in``, ``len()`` and each iteration send one request for all fields, and
    ``dict(fields)`` one for each field. ``dict(fields.iter())`` sends one request in all.

    Args:
        client: The client.
        key: Key of the resource that has the fields.
        path: Path of all fields.
    """

    def __init__(self, client: Client, key: str, path: tuple[str, ...]) -> None:
        super().__init__(client, key)
        self._path = path

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of one field.

        Args:
            key: Name of the field.
            default: Value to return if the field is missing or null.

        Returns:
            The value.

        Example:
            >>> job.metadata.get('spider')
            'spider1'
        """
        value = self._client.transport.get(self._field_path(key), max_record=codec.MAX_VALUE_BYTES).value
        return default if value is None else value

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several fields. The others keep their values.

        The service requires that all fields are read, changed and written back. A change that another program makes in
        between is lost.

        Args:
            values: Values by name.

        Raises:
            TypeError: ``values`` is not a dict.
            NotFound: The job does not exist.

        Example:
            >>> job.metadata.update({'reviewed': True})
        """
        if not isinstance(values, Mapping):
            raise TypeError('values should be a dict') from Expected(f'got {values!r}')
        changes = {_decode_name(name): value for name, value in values.items()}
        self._write({**self._read_for_update(), **changes})

    def delete(self, key: str) -> None:
        """Delete a field. A field that does not exist is ignored.

        Args:
            key: Name of the field.

        Example:
            >>> job.metadata.delete('reviewed')
        """
        self._client.transport.delete(self._field_path(key))

    def iter(self) -> Iterator[tuple[str, Any]]:
        """Iterate over the names and values of all fields.

        Yields:
            A pair of name and value.

        Example:
            >>> dict(job.metadata.iter())['spider']
            'spider1'
        """
        return ValueIterator(self._read().items())

    def list(self) -> FieldList:
        """Return the names and values of all fields.

        Returns:
            A list of pairs of name and value.

        Example:
            >>> ('spider', 'spider1') in job.metadata.list()
            True
        """
        return [*self._read().items()]

    def __getitem__(self, key: str) -> Any:
        # Not the path of the one field: there the service returns null for a field that is null, and for a missing one.
        return self._read()[_decode_name(key)]

    def __iter__(self) -> Iterator[str]:
        return ValueIterator(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def keys(self) -> KeysView[str]:
        """Return the names of all fields.

        Example:
            >>> 'spider' in job.metadata.keys()
            True
        """
        return self._read().keys()

    def values(self) -> ValuesView[Any]:
        """Return the values of all fields.

        Example:
            >>> 'spider1' in job.metadata.values()
            True
        """
        return self._read().values()

    def items(self) -> ItemsView[str, Any]:
        """Return the names and values of all fields.

        Example:
            >>> ('spider', 'spider1') in job.metadata.items()
            True
        """
        return self._read().items()

    def __contains__(self, key: object) -> bool:
        return key in self._read()

    def __bool__(self) -> bool:
        return True

    __eq__ = Resource.__eq__
    __hash__ = Resource.__hash__

    def _field_path(self, name: str) -> Path:
        return (*self._path, _decode_name(name))

    def _read(self) -> Fields:
        """Return all fields; an empty response means that there are no fields."""
        value = self._client.transport.get(self._path, max_record=codec.MAX_VALUE_BYTES).value
        return {} if value is None else expect(value, dict, f'GET {"/".join(self._path)}')

    def _read_for_update(self) -> Fields:
        return self._read()

    def _write(self, fields: Fields) -> None:
        self._client.transport.post(self._path, value=fields, repeat=Repeat.ALWAYS)


def _decode_name(name: Any) -> Any:
    if name is None:
        raise TypeError('the name of a field should be a string, got None')
    return six.ensure_text(name) if isinstance(name, bytes) else name
