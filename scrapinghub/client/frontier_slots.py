"""A slot of a frontier: a queue of requests, and a set of fingerprints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import six

from scrapinghub.client._support.frontier_writers import FrontierWriters, SlotWriter
from scrapinghub.client._support.lists import listed
from scrapinghub.client._support.parameters import encode_pairs, merge_parameters, parse_number
from scrapinghub.client._support.resource import Client, Resource
from scrapinghub.client._support.streams import count_records, read_stream
from scrapinghub.client._support.validation import expect_field, parse_name
from scrapinghub.client.shapes import FrontierBatch, FrontierRequest
from scrapinghub.config.validation import Expected
from scrapinghub.transport import codec
from scrapinghub.transport.http.retries import Repeat
from scrapinghub.transport.streams.cursors_without_keys import DedupeCursor, SortedCursor

# What the service knows at the queue and at the fingerprints.
_PARAMETERS = frozenset({'count', 'start', 'startafter'})


class NestedResource(Resource):
    """A resource that is identified by several names; its ``key`` is the last one.

    Args:
        client: The client.
        address: Id of the project, name of the frontier, and name of the slot if there is one.
    """

    def __init__(self, client: Client, address: tuple[str, ...]) -> None:
        super().__init__(client, address[-1])
        self.address = address

    def __repr__(self) -> str:
        return f'<{type(self).__module__}.{type(self).__qualname__} {"/".join(self.address)}>'

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self) or not isinstance(other, NestedResource):
            return NotImplemented
        return self.address == other.address

    def __hash__(self) -> int:
        return hash((type(self), self.address))

    def _card(self) -> Iterable[tuple[str, str]]:
        return zip(('project', 'frontier', 'slot'), self.address, strict=False)


class Frontier(Protocol):
    """What a slot uses of its frontier."""

    key: str
    address: tuple[str, ...]
    writers: FrontierWriters


class FrontierSlot(NestedResource):
    """A slot of a frontier: ``frontier.get('example.com')``. Safe to share between threads.

    Args:
        client: The client.
        frontier: The frontier.
        slot: Name of the slot.

    Attributes:
        key: Name of the slot.
        address: Id of the project, name of the frontier, and name of the slot.
        client: The client.
        queue: The pending requests: :class:`FrontierSlotQueue`.
        fingerprints: All fingerprints ever added: :class:`FrontierSlotFingerprints`.
        writer: The batch writer. After an ``UploadError``, ``slot.writer.take_back()`` returns what is not stored.

    Example:
        >>> slot = frontier.get('example.com')
        >>> slot.q.add([{'fp': 'page1.html'}, {'fp': 'page2.html', 'p': 1, 'qdata': {'depth': 1}}])
        >>> slot.flush()
        >>> slot.newcount
        2
    """

    __module__ = 'scrapinghub.client.frontiers'

    def __init__(self, client: Client, frontier: Frontier, slot: str) -> None:
        slot = parse_name('slot name', slot)
        super().__init__(client, (*frontier.address, slot))
        self.client = client
        client.transport.url(_slot_path(self.address))
        self.writer: SlotWriter = frontier.writers.of_slot(frontier.key, self.key)
        self.queue = FrontierSlotQueue(self)
        self.fingerprints = FrontierSlotFingerprints(self)

    @property
    def f(self) -> FrontierSlotFingerprints:
        """Same as ``fingerprints``."""
        return self.fingerprints

    @property
    def q(self) -> FrontierSlotQueue:
        """Same as ``queue``."""
        return self.queue

    @property
    def newcount(self) -> int:
        """The number of requests added to this slot that were new; see :attr:`Frontiers.newcount`."""
        return self.writer.newcount

    def flush(self) -> None:
        """Wait until everything added to this slot so far, by all objects of this client, is stored.

        Raises:
            UploadError: Some requests cannot be stored; the error holds them.

        Example:
            >>> slot.q.add([{'fp': '/page/1'}])
            >>> slot.flush()
        """
        self.client.uploader.flush(under=_slot_path(self.address))

    def delete(self) -> None:
        """Delete the slot with its queue and fingerprints, and reset ``newcount`` to 0.

        Requests that were added before are sent first, so that they cannot create the slot again.

        Raises:
            UploadError: Some requests cannot be stored; the error holds them, and nothing is deleted.

        Example:
            >>> slot.delete()
            >>> frontier.list()
            []
        """
        self.flush()
        self.client.transport.delete(_slot_path(self.address))
        self.writer.forget()


class FrontierSlotFingerprints(NestedResource):
    """All fingerprints that were ever added to a slot: ``slot.fingerprints`` or ``slot.f``.

    Safe to share between threads; an iterator is not.

    Args:
        slot: The slot.

    Attributes:
        key: Name of the slot.
        address: Id of the project, name of the frontier, and name of the slot.

    Example:
        >>> slot.f.list()
        ['/']
    """

    __module__ = 'scrapinghub.client.frontiers'

    def __init__(self, slot: FrontierSlot) -> None:
        super().__init__(slot.client, slot.address)
        self._path = (*_slot_path(slot.address), 'f')
        self._writer = slot.writer

    def add(self, fps: str | bytes | Iterable[str | bytes]) -> None:
        """Add fingerprints as requests without data. They are sent within a minute, or by ``flush()``.

        Args:
            fps: One fingerprint or several.

        Raises:
            ValueError: A fingerprint is not a string; none of them is added.

        Example:
            >>> slot.fingerprints.add(['fp1', 'fp2'])
        """
        values = [fps] if isinstance(fps, (str, bytes)) else fps
        self._writer.add([{'fp': _check_fingerprint(value)} for value in values])

    def iter(self, *, count: int | None = None, start: str | None = None, **params: Any) -> Iterator[str]:
        """Iterate over the fingerprints, sorted.

        Args:
            count: Maximum number of fingerprints.
            start: First fingerprint.
            **params: Further parameters of the service.

        Yields:
            A fingerprint.

        Raises:
            StreamInterrupted: The connection broke and could not be resumed. Iterating again continues after the last
                fingerprint.

        Example:
            >>> list(slot.fingerprints.iter())
            ['/']
        """
        pairs = encode_pairs(merge_parameters({'start': start}, params, _PARAMETERS))
        cursor = SortedCursor(pairs, parse_number('count', count), field='fp')
        operation = f'GET {"/".join(self._path)}'

        def get_fingerprint(record: Any) -> str:
            fingerprint: str = expect_field(record, 'fp', str, operation)
            return fingerprint

        return read_stream(self._client.transport, self._path, cursor, codec.ANY, convert=get_fingerprint)

    list = listed(iter)


class FrontierSlotQueue(NestedResource):
    """The pending requests of a slot: ``slot.queue`` or ``slot.q``.

    Safe to share between threads; an iterator is not.

    Args:
        slot: The slot.

    Attributes:
        key: Name of the slot.
        address: Id of the project, name of the frontier, and name of the slot.

    Example:
        >>> [batch['requests'] for batch in slot.q.iter()]
        [[['/', None]]]
    """

    __module__ = 'scrapinghub.client.frontiers'

    def __init__(self, slot: FrontierSlot) -> None:
        super().__init__(slot.client, slot.address)
        self._path = (*_slot_path(slot.address), 'q')
        self._writer = slot.writer

    def add(self, fps: FrontierRequest | Mapping[str, Any] | Iterable[FrontierRequest | Mapping[str, Any]]) -> None:
        """Add requests. They are sent within a minute, or by ``flush()``.

        The service ignores requests whose fingerprints were added to the slot before.

        Args:
            fps: One request or several. Each is a dict with the fingerprint ``fp``, a string, and optionally ``p``
                (priority: lower values are returned first, 0 by default), ``qdata`` (returned with the request) and
                ``fdata`` (stored with the fingerprint).

        Raises:
            ValueError: A fingerprint is missing or not a string; none of the requests is added.
            TypeError: A request is not a dict.

        Example:
            >>> slot.queue.add([{'fp': '/'}, {'fp': 'page1.html', 'p': 1, 'qdata': {'depth': 1}}])
        """
        requests: Iterable[Any] = [fps] if type(fps) is not list and isinstance(fps, Mapping) else fps
        self._writer.add([_check_request(request) for request in requests])

    def iter(self, mincount: int | None = None, *, count: int | None = None, **params: Any) -> Iterator[FrontierBatch]:
        """Iterate over the batches of the queue, by priority and then by age.

        Reading deletes nothing: :meth:`delete` batches that are done.

        Args:
            mincount: Minimum number of requests in the returned batches; without it, the service decides.
            count: Maximum number of batches.
            **params: Further parameters of the service.

        Yields:
            A dict with the ``id`` of the batch, and ``requests``: at most 100 pairs of fingerprint and ``qdata``, which
            may be None.

        Raises:
            StreamInterrupted: The connection broke and could not be resumed. Iterating again continues after the last
                batch.

        Example:
            >>> [batch['requests'] for batch in slot.queue.iter(mincount=1)]
            [[['/', None]]]
        """
        enough = parse_number('mincount', mincount)
        cursor = DedupeCursor(
            encode_pairs(merge_parameters({'mincount': enough}, params, _PARAMETERS)),
            parse_number('count', count),
            field='id',
            weight=_count_requests,
            enough=enough,
        )
        return read_stream(
            self._client.transport, self._path, cursor, codec.ANY, max_record=codec.MAX_VALUE_BYTES, eager=True
        )

    list = listed(iter)

    def count(self) -> int:
        """Return the number of pending requests. Requests that are still queued in this client are not counted.

        A large queue is counted in several requests.

        Example:
            >>> slot.queue.count()
            1
        """
        return count_records(self._client.transport, (*self._path, 'count'), [[]])

    def delete(self, ids: str | bytes | Iterable[str | bytes]) -> None:
        """Delete batches. Ids that do not exist are ignored.

        Args:
            ids: One id of a batch, or several. An empty list deletes nothing, without a request.

        Raises:
            TypeError: An id is not a string, such as a whole batch.

        Example:
            >>> slot.queue.delete([batch['id'] for batch in slot.queue.iter(mincount=100)])
        """
        values: Any = [ids] if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable) else ids
        # The keys of a batch are no ids.
        for value in [ids] if isinstance(ids, Mapping) else (values := [*values]):
            if not isinstance(value, (str, bytes)):
                raise TypeError(f"ids should be ids of batches, batch['id'], got {value!r}")
        texts = [six.ensure_text(value) for value in values]
        if texts:
            self._client.transport.post((*self._path, 'deleted'), lines=texts, repeat=Repeat.ALWAYS)


def _slot_path(address: tuple[str, ...]) -> tuple[str, ...]:
    project, frontier, slot = address
    return ('hcf', project, frontier, 's', slot)


def _count_requests(batch: Any) -> int:
    requests = batch.get('requests')
    return len(requests) if isinstance(requests, list) else 0


def _check_fingerprint(value: Any) -> str:
    if not isinstance(value, (str, bytes)):
        raise ValueError('Fingerprint should be of a string type') from Expected(f'got {value!r}')
    try:
        return six.ensure_text(value)
    except UnicodeDecodeError as error:
        raise ValueError(f'Fingerprint should be text, got bytes that are not UTF-8: {value!r}; use .hex()') from error


def _check_request(value: Any) -> dict[str, Any]:
    if type(value) is dict and type(value.get('fp')) is str:
        # The usual case, kept short: a crawler adds every link.
        return value
    if not isinstance(value, Mapping):
        raise TypeError(f"a request should be a dict with a fingerprint 'fp', got {value!r}")
    if 'fp' not in value:
        raise ValueError(f"a request should have a fingerprint 'fp', got {value!r}")
    return {**value, 'fp': _check_fingerprint(value['fp'])}
