"""The frontiers of a project: slots with a queue of requests and a set of fingerprints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import six

from scrapinghub.client._support.frontier_writers import FrontierWriters, SlotWriter
from scrapinghub.client._support.lists import Deferred, listed
from scrapinghub.client._support.parameters import number, pairs, query
from scrapinghub.client._support.reading import read
from scrapinghub.client._support.resource import Resource
from scrapinghub.client._support.responses import field, owed
from scrapinghub.client.shapes import FrontierBatch, FrontierRequest
from scrapinghub.transport import codec
from scrapinghub.transport.http.retries import Repeat
from scrapinghub.transport.streams.cursor import Pairs
from scrapinghub.transport.streams.cursors import ByKeys, ByOrder

if TYPE_CHECKING:
    from scrapinghub.client import ScrapinghubClient

__all__ = ['Frontier', 'FrontierSlot', 'FrontierSlotFingerprints', 'FrontierSlotQueue', 'Frontiers']


class Frontiers(Resource):
    """The frontiers of a project: ``project.frontiers``.

    Safe to share between threads.

    Args:
        cls: Ignored; kept for programs that pass it.
        client: The client.
        key: Id of the project.

    Attributes:
        key: Id of the project.
        writers: What sends; for the library's own classes.

    Example:
        >>> slot = project.frontiers.get('test').get('example.com')
        >>> slot.queue.add([{'fp': '/some/path.html'}])
        >>> slot.flush()
        >>> project.frontiers.newcount
        1
    """

    _internal = frozenset({'writers'})

    def __init__(self, cls: Any, client: ScrapinghubClient, key: str) -> None:
        super().__init__(client, str(key))
        self.writers = FrontierWriters(client, self.key)

    def get(self, name: str) -> Frontier:
        """Return a frontier; no request is made.

        Args:
            name: Its name: any text.

        Returns:
            The frontier, whether it exists or not: it is created by the first request that is added.

        Raises:
            ValueError: The name is empty, ``.`` or ``..``.
        """
        return Frontier(self._client, self, name)

    def iter(self) -> Iterator[str]:
        """Iterate over the names of the frontiers of this project, sorted.

        Yields:
            A name.

        Example:
            >>> list(project.frontiers.iter())
            ['test']
        """
        return _names(self._client, ('hcf', self.key, 'list'))

    list = listed(iter)

    @property
    def newcount(self) -> int:
        """How many requests added through this object were new to their slots; counted when they are sent.

        A lower bound if a request had to be sent again because its answer was lost.
        """
        return self.writers.newcount()

    def flush(self) -> None:
        """Wait until everything added so far is stored.

        Raises:
            UploadError: Some of it cannot be stored; the error holds it.
        """
        self.writers.flush()

    def close(self) -> None:
        """Wait until everything added is stored, and take no more through the slots that were used.

        Raises:
            UploadError: Some of it cannot be stored; the error holds it.
        """
        self.writers.close()


class _Addressed(Resource):
    """A part of the frontiers of a project, known by the names that lead to it.

    Args:
        client: The client.
        key: The last of the names.
        address: Id of the project, name of the frontier, and that of the slot if it is in one.
    """

    _internal = frozenset({'address'})

    def __init__(self, client: ScrapinghubClient, key: str, address: tuple[str, ...]) -> None:
        super().__init__(client, key)
        self.address = address

    def __repr__(self) -> str:
        return f'<{type(self).__module__}.{type(self).__qualname__} {"/".join(self.address)}>'

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self) or not isinstance(other, _Addressed):
            return NotImplemented
        return self.address == other.address

    def __hash__(self) -> int:
        return hash((type(self), self.address))

    def _card(self) -> Iterable[tuple[str, str]]:
        return zip(('project', 'frontier', 'slot'), self.address, strict=False)


class Frontier(_Addressed):
    """A frontier: ``project.frontiers.get('test')``.

    Safe to share between threads.

    Args:
        client: The client.
        frontiers: The frontiers of the project.
        name: Its name.

    Attributes:
        key: The name of the frontier.
        address: The key of the project and the name; for the library's own classes.
        writers: What sends; for the library's own classes.

    Example:
        >>> project.frontiers.get('test').list()
        ['example.com']
    """

    _internal = frozenset({'address', 'writers'})

    def __init__(self, client: ScrapinghubClient, frontiers: Frontiers, name: str) -> None:
        name = six.ensure_text(name)
        super().__init__(client, name, (frontiers.key, name))
        self.writers = frontiers.writers
        self._path = ('hcf', *self.address, 'list')
        client.transport.url(self._path)

    def get(self, slot: str) -> FrontierSlot:
        """Return a slot; no request is made.

        Args:
            slot: Its name: any text.

        Returns:
            The slot, whether it exists or not: it is created by the first request that is added.

        Raises:
            ValueError: The name is empty, ``.`` or ``..``.
        """
        return FrontierSlot(self._client, self, slot)

    def iter(self) -> Iterator[str]:
        """Iterate over the names of the slots of this frontier, sorted.

        Yields:
            A name.

        Example:
            >>> list(frontier.iter())
            ['example.com']
        """
        return _names(self._client, self._path)

    list = listed(iter)

    @property
    def newcount(self) -> int:
        """How many requests added to this frontier were new, see :attr:`Frontiers.newcount`."""
        return self.writers.newcount(self.key)

    def flush(self) -> None:
        """Wait until everything added to this frontier so far is stored.

        Raises:
            UploadError: Some of it cannot be stored; the error holds it.
        """
        self.writers.flush(self.key)


class FrontierSlot(_Addressed):
    """A slot of a frontier: ``frontier.get('example.com')``.

    Safe to share between threads.

    Args:
        client: The client.
        frontier: The frontier.
        slot: Its name.

    Attributes:
        key: The name of the slot.
        queue: The requests that wait, as :class:`FrontierSlotQueue`.
        fingerprints: The fingerprints ever seen, as :class:`FrontierSlotFingerprints`.
        client: The client; for the library's own classes.
        address: Key of the project, frontier and name; for the library's own classes.
        path: Path on the storage server; for the library's own classes.
        writer: What sends; after an UploadError ``slot.writer.take_back()`` returns what is not stored.

    Example:
        >>> slot = frontier.get('example.com')
        >>> slot.q.add([{'fp': 'page1.html'}, {'fp': 'page2.html', 'p': 1, 'qdata': {'depth': 1}}])
        >>> slot.flush()
        >>> slot.newcount
        2
    """

    _internal = frozenset({'address', 'client', 'path'})

    def __init__(self, client: ScrapinghubClient, frontier: Frontier, slot: str) -> None:
        slot = six.ensure_text(slot)
        super().__init__(client, slot, (*frontier.address, slot))
        self.client = client
        self.path = ('hcf', *frontier.address, 's', self.key)
        client.transport.url(self.path)
        self.writer: SlotWriter = frontier.writers.of_slot(frontier.key, self.key)
        self.queue = FrontierSlotQueue(self)
        self.fingerprints = FrontierSlotFingerprints(self)

    @property
    def f(self) -> FrontierSlotFingerprints:
        """The same as ``fingerprints``."""
        return self.fingerprints

    @property
    def q(self) -> FrontierSlotQueue:
        """The same as ``queue``."""
        return self.queue

    @property
    def newcount(self) -> int:
        """How many requests added to this slot were new to it, see :attr:`Frontiers.newcount`."""
        return self.writer.newcount

    def flush(self) -> None:
        """Wait until everything added to this slot so far is stored.

        Raises:
            UploadError: Some of it cannot be stored; the error holds it.
        """
        self.writer.flush()

    def delete(self) -> None:
        """Delete the slot: its queue, and what it knows of fingerprints; ``newcount`` begins at 0 again.

        What was added before is sent before, so that it cannot bring the slot back afterwards.

        Raises:
            UploadError: Something that was added cannot be stored; the error holds it, and nothing is deleted.
        """
        self.writer.flush()
        self.client.transport.delete(self.path)
        self.writer.forget()


class FrontierSlotFingerprints(_Addressed):
    """The fingerprints that a slot has ever seen: ``slot.fingerprints`` or ``slot.f``.

    Safe to share between threads; an iterator is not.

    Args:
        slot: The slot.

    Attributes:
        key: The name of the slot.
    """

    def __init__(self, slot: FrontierSlot) -> None:
        super().__init__(slot.client, slot.key, slot.address)
        self._path = (*slot.path, 'f')
        self._writer = slot.writer

    def add(self, fps: str | bytes | Iterable[str | bytes]) -> None:
        """Add fingerprints as requests without data; they are sent within a minute, or with ``flush()``.

        Args:
            fps: Fingerprints, or one.

        Raises:
            ValueError: A fingerprint is no text; none of them is added.

        Example:
            >>> slot.fingerprints.add(['fp1', 'fp2'])
        """
        several = [fps] if isinstance(fps, (str, bytes)) else fps
        self._writer.add([{'fp': _fingerprint(fp)} for fp in several])

    def iter(self, *, count: int | None = None, start: str | None = None, **params: Any) -> Iterator[str]:
        """Iterate over the fingerprints, sorted.

        Args:
            count: Stop after this many fingerprints.
            start: Begin at this fingerprint.
            **params: Further parameters of the service.

        Yields:
            A fingerprint.

        Raises:
            StreamInterrupted: The connection broke and could not be resumed; iterating again goes on.

        Example:
            >>> list(slot.fingerprints.iter())
            ['/']
        """
        values = query({'start': start}, params)
        plan = _FingerprintPlan(pairs(values), number('count', count), f'GET {"/".join(self._path)}')
        records = read(self._client.transport, self._path, plan, accept=codec.ANY)
        # Not a generator, which would end in silence after an error, nor any other function written in Python, inside
        # which Ctrl-C would lose a fingerprint.
        return map(itemgetter('fp'), records)

    list = listed(iter)


class _FingerprintPlan(ByOrder):
    """Records that are sure to have a fingerprint.

    Args:
        params: Query parameters, without ``count``.
        count: Deliver at most this many.
        what: Name of the call, for errors.
    """

    def __init__(self, params: Pairs, count: int | None, what: str) -> None:
        super().__init__(params, count, field='fp')
        self._what = what

    def take(self, block: list[Any]) -> list[Any]:
        """Return those records of a block that are to be delivered."""
        for record in block:
            field(record, 'fp', str, self._what)
        return super().take(block)


class FrontierSlotQueue(_Addressed):
    """The requests of a slot that wait: ``slot.queue`` or ``slot.q``.

    Safe to share between threads; an iterator is not.

    Args:
        slot: The slot.

    Attributes:
        key: The name of the slot.
    """

    def __init__(self, slot: FrontierSlot) -> None:
        super().__init__(slot.client, slot.key, slot.address)
        self._path = (*slot.path, 'q')
        self._writer = slot.writer

    def add(self, fps: FrontierRequest | Mapping[str, Any] | Iterable[FrontierRequest | Mapping[str, Any]]) -> None:
        """Add requests; they are sent within a minute, or with ``flush()``.

        The service passes over a request whose fingerprint the slot has seen before.

        Args:
            fps: Requests, or one, each a dict with the fingerprint ``fp``, a text, and if you like ``p`` (priority,
                lower ones come first, 0 by default), ``qdata`` (comes back with the request) and ``fdata`` (kept with
                the fingerprint).

        Raises:
            ValueError: A request has no fingerprint, or it is no text; none of the requests is added.
            TypeError: A request is no dict.

        Example:
            >>> slot.queue.add([{'fp': '/'}, {'fp': 'page1.html', 'p': 1, 'qdata': {'depth': 1}}])
        """
        several: Iterable[Any] = [fps] if type(fps) is not list and isinstance(fps, Mapping) else fps
        self._writer.add([_request(request) for request in several])

    def iter(self, mincount: int | None = None, *, count: int | None = None, **params: Any) -> Iterator[FrontierBatch]:
        """Iterate over the batches of the queue, lower priorities first, then older ones.

        Reading removes nothing: :meth:`delete` the batches that are done.

        Args:
            mincount: Batches until they hold at least this many requests; without it, as many as the service likes.
            count: Stop after this many batches.
            **params: Further parameters of the service.

        Yields:
            A dict with the ``id`` of a batch and its ``requests``, at most 100: pairs of fingerprint and ``qdata``,
            which is None where none was given.

        Raises:
            StreamInterrupted: The connection broke and could not be resumed; iterating again goes on.

        Example:
            >>> [batch['requests'] for batch in slot.queue.iter(mincount=1)]
            [[['/', None]]]
        """
        least = number('mincount', mincount)
        plan = ByKeys(
            pairs(query({'mincount': least}, params)),
            number('count', count),
            field='id',
            weight=_size,
            enough=least,
        )
        return read(self._client.transport, self._path, plan, accept=codec.ANY)

    list = listed(iter)

    def delete(self, ids: str | bytes | Iterable[str | bytes]) -> None:
        """Delete batches; those that do not exist are passed over.

        Args:
            ids: Ids of batches, or one.

        Raises:
            TypeError: An id is no text.

        Example:
            >>> slot.queue.delete([batch['id'] for batch in slot.queue.iter(mincount=100)])
        """
        several = [ids] if isinstance(ids, (str, bytes)) else ids
        texts = [six.ensure_text(each) for each in several]
        self._client.transport.post((*self._path, 'deleted'), lines=texts, repeat=Repeat.ALWAYS)


def _names(client: ScrapinghubClient, path: tuple[str, ...]) -> Iterator[str]:
    what = f'GET {"/".join(path)}'
    return Deferred(lambda: owed(client.transport.get(path, expects=codec.JSON).value or [], list, what))


def _size(batch: Any) -> int:
    return len(batch.get('requests') or ())


def _fingerprint(value: Any) -> str:
    if not isinstance(value, (str, bytes)):
        raise ValueError('Fingerprint should be of a string type')
    try:
        return six.ensure_text(value)
    except UnicodeDecodeError as error:
        raise ValueError(f'Fingerprint should be text, got bytes that are none: {value!r}; use its .hex()') from error


def _request(value: Any) -> dict[str, Any]:
    if type(value) is dict and type(value.get('fp')) is str:
        # The plain case, kept short: a crawler comes here for every link.
        return value
    if not isinstance(value, Mapping):
        raise TypeError(f"a request should be a dict with a fingerprint 'fp', got {value!r}")
    if 'fp' not in value:
        raise ValueError(f"a request should have a fingerprint 'fp', got {value!r}")
    return {**value, 'fp': _fingerprint(value['fp'])}
