"""What job metadata and project settings have in common: fields that live on the service, read like a mapping."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import TYPE_CHECKING, Any

import six

from scrapinghub.client._support.lists import Deferred
from scrapinghub.client._support.resource import Resource
from scrapinghub.client._support.responses import owed
from scrapinghub.transport.http.retries import Clock, Repeat

if TYPE_CHECKING:
    from scrapinghub.client import ScrapinghubClient
    from scrapinghub.transport.http.paths import Path

Fields = dict[str, Any]
FieldList = list[tuple[str, Any]]


class StoredFields(Resource, Mapping[str, Any]):
    """Fields that live on the service.

    Nothing is kept here: ``fields['name']`` is one request, and so are ``in``, ``len()``, each iteration and
    ``dict(fields)``. It is always true.

    Args:
        client: The client.
        key: Key of what the fields belong to.
        path: Path of all fields.
    """

    def __init__(self, client: ScrapinghubClient, key: str, path: tuple[str, ...]) -> None:
        super().__init__(client, key)
        self._path = path
        self._handout: _Handout | None = None
        self._begun: Callable[[], Deferred[str] | None] = _nothing

    # The calls of the contract

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of one field.

        Args:
            key: Name of the field.
            default: What to return if the field is absent or null.

        Returns:
            The value.

        Example:
            >>> job.metadata.get('spider')
            'spider1'
        """
        value = self._client.transport.get(self._field(key)).value
        return default if value is None else value

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several fields; the others stay.

        All fields are read, changed and written back, as the service requires: what somebody else writes in between is
        undone.

        Args:
            values: Values by name.

        Raises:
            TypeError: ``values`` is no dict.
            NotFound: There is nothing to update: the job does not exist.

        Example:
            >>> job.metadata.update({'reviewed': True})
        """
        if not isinstance(values, Mapping):
            raise TypeError('values should be a dict')
        fields = self._read_for_update()
        fields.update((_name(name), value) for name, value in values.items())
        self._write(fields)

    def delete(self, key: str) -> None:
        """Remove a field; nothing happens if it is absent.

        Args:
            key: Name of the field.

        Example:
            >>> job.metadata.delete('reviewed')
        """
        self._client.transport.delete(self._field(key))

    def iter(self) -> Iterator[tuple[str, Any]]:
        """Iterate over names and values.

        Returns:
            Pairs; the request is made when the first one is asked for.

        Example:
            >>> dict(job.metadata.iter())['spider']
            'spider1'
        """
        return Deferred(lambda: self._read().items())

    def list(self) -> FieldList:
        """Return names and values as a list of pairs.

        Example:
            >>> ('spider', 'spider1') in job.metadata.list()
            True
        """
        return [*self._read().items()]

    # The mapping protocol

    def __getitem__(self, key: str) -> Any:
        handout, self._handout = self._handout, None
        if handout is not None and handout.is_next(key):
            self._handout = handout
            return handout.take()
        # All fields, not the one: there the service answers null for null and for absent alike.
        return self._read()[_name(key)]

    def __iter__(self) -> Iterator[str]:
        names: Deferred[str] = Deferred(self._read)
        self._begun = weakref.ref(names)
        return names

    def __len__(self) -> int:
        fields = self._read()
        # list(fields) asks for the length before the first name: both are of one answer.
        begun = self._begun()
        if begun is not None:
            begun.offer(fields)
        return len(fields)

    def keys(self) -> KeysView[str]:
        """Return the names of all fields."""
        fields = self._read()
        self._handout = _Handout(fields, self._client.transport.clock)
        return fields.keys()

    def values(self) -> ValuesView[Any]:
        """Return the values of all fields."""
        return self._read().values()

    def items(self) -> ItemsView[str, Any]:
        """Return names and values of all fields."""
        return self._read().items()

    def __contains__(self, key: object) -> bool:
        return key in self._read()

    def __bool__(self) -> bool:
        return True

    __eq__ = Resource.__eq__
    __hash__ = Resource.__hash__

    # Reading and writing

    def _field(self, name: str) -> Path:
        return (*self._path, _name(name))

    def _read(self) -> Fields:
        """Return all fields; an empty answer means that there are none."""
        self._handout = None
        value = self._client.transport.get(self._path).value
        return {} if value is None else owed(value, dict, f'GET {"/".join(self._path)}')

    def _read_for_update(self) -> Fields:
        return self._read()

    def _write(self, fields: Fields) -> None:
        self._client.transport.post(self._path, value=fields, repeat=Repeat.ALWAYS)


class _Handout:
    """The values of the names that ``keys()`` has just returned, for the look-ups that follow in the same order.

    ``dict(fields)`` asks for the names and then for each value. Only it, and a loop that does the same, is served from
    here: each name once, as the very object that was handed out, in order, within a second, and nothing in between.

    Args:
        fields: All fields.
        clock: Measures the second.
    """

    def __init__(self, fields: Fields, clock: Clock) -> None:
        self._left = deque(fields.items())
        self._clock = clock
        self._expires = clock.monotonic() + 1

    def is_next(self, key: object) -> bool:
        """Return whether ``key`` is the name whose turn it is."""
        return bool(self._left) and self._left[0][0] is key and self._clock.monotonic() < self._expires

    def take(self) -> Any:
        """Return its value."""
        return self._left.popleft()[1]


def _nothing() -> None:
    return None


def _name(name: str | bytes) -> str:
    return six.ensure_text(name) if isinstance(name, bytes) else name
