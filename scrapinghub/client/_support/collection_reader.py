"""Read a collection: one record, a scan, or the number of records."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import six

from scrapinghub.client._support.export_methods import BATCH_SIZE, Batches, Downloads, InferringTables, report_progress
from scrapinghub.client._support.json_lines import Blocks, describe_ages, join_lines
from scrapinghub.client._support.lists import listed
from scrapinghub.client._support.parameters import (
    RECORD_PARAMETERS,
    Time,
    encode_pairs,
    merge_parameters,
    parse_number,
    suggests_names,
)
from scrapinghub.client._support.partitions import CollectionPartition, parse_bounds
from scrapinghub.client._support.resource import Client, Resource
from scrapinghub.client._support.streams import Explain, count_records, explain_errors, explain_filters, read_stream
from scrapinghub.exceptions import NotFound, ScrapinghubAPIError
from scrapinghub.export.progress import Progress
from scrapinghub.transport import codec
from scrapinghub.transport.http.errors import with_request
from scrapinghub.transport.streams.prefixes import count_requests, scan_cursor
from scrapinghub.transport.streams.stream import RecordStream

if TYPE_CHECKING:
    import pyarrow as pa

    from scrapinghub.export.part_file import Notes

Record = dict[str, Any]
Keys = str | bytes | Iterable[str | bytes]

_PARAMETERS = RECORD_PARAMETERS | {'key', 'prefix', 'prefixcount'}

# Any other key, in a path, would reach a different resource.
_PLAIN_KEY = re.compile(r'(?!(?:count|\.|\.\.)\Z)[A-Za-z0-9_.~-]+')

_BAD_KEYS = 'You should provide string key or iterable object providing string keys'


class CollectionReader(Resource, Downloads, InferringTables):
    """The reads of :class:`~scrapinghub.client.collections.Collection`.

    Args:
        client: The client.
        project_id: Id of the project.
        type_: Type of the collection.
        name: Name of the collection.
    """

    def __init__(self, client: Client, project_id: str, type_: str, name: str) -> None:
        super().__init__(client, f'{project_id}/{type_}/{name}')
        self._path = ('collections', project_id, type_, name)

    def get(self, key: str | bytes, **params: Any) -> Record:
        """Return one record.

        Args:
            key: Key of the record.
            **params: Further parameters of the service.

        Returns:
            The record without its key.

        Raises:
            NotFound: The record does not exist.
            ValueError: The key is None or empty.
            TypeError: The key is a list.

        Example:
            >>> foo_store.get('first')
            {'value': 1}
        """
        if key is None:
            raise ValueError('key cannot be None')
        if isinstance(key, (list, tuple, set, frozenset, Mapping)):
            raise TypeError(f'key should be a string, got {key!r}: use iter(key=[…]) for several records')
        if not (text := six.ensure_text(key) if isinstance(key, bytes) else str(key)):
            raise ValueError('key cannot be empty')
        path: tuple[str, ...] = self._path
        pairs = encode_pairs(merge_parameters({}, params, _PARAMETERS))
        if _PLAIN_KEY.fullmatch(text):
            path = (*path, text)
        else:
            pairs = [('key', text), ('count', 1), *pairs]
        with explain_errors(lambda error: self._explain(error, f'no record {text!r} in')):
            found = self._client.transport.get(path, pairs, accept=self._accept)
            if not found.values:
                raise with_request(NotFound('Not Found'), found.response, 'no record has this key')
        record: Record = found.value
        return record

    @property
    def _accept(self) -> str:
        return codec.MSGPACK if self._client.transport.use_msgpack else codec.ANY

    def _explain(self, error: ScrapinghubAPIError, missing: str = 'no') -> str | None:
        if not isinstance(error, NotFound):
            return None
        return f'There is {missing} collection {self.key}. The first write creates a collection.'

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
        """Return the number of records. A large collection is counted in several requests.

        Args:
            progress: Called after each of these requests but the last, with the number of records so far and the key
                at which the next request begins.
            key: See :meth:`iter`, also for the parameters that follow.
            prefix: Only records whose keys begin with this.
            prefixcount: Maximum number of records for each prefix.
            startts: Only records stored at or after this time.
            endts: Only records stored before this time.
            start: First key.
            startafter: Key before the first one.
            filter: Only matching records.
            **params: Further parameters of the service.

        Raises:
            NotFound: The collection does not exist.

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
        values = self._parse(named, params)
        requests = count_requests(encode_pairs(values))
        if requests is None:
            return sum(1 for _ in self.iter(**values, nodata=True))
        with explain_errors(self._explain_read(values)):
            return count_records(self._client.transport, (*self._path, 'count'), requests, progress)

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
        progress: Progress = False,
        **params: Any,
    ) -> Iterator[Record]:
        """Iterate over records, sorted by the bytes of their keys.

        Records are streamed: each one is returned as soon as it arrives, and memory does not grow with the collection.

        Args:
            key: Only the record with this key, or those with these keys. An empty list means all records.
            prefix: Only records whose keys begin with this, or with one of these.
            prefixcount: Maximum number of records for each prefix.
            startts: Only records stored at or after this time: milliseconds since the epoch, a ``datetime`` with a
                time zone, or a ``timedelta`` (that long ago).
            endts: Only records stored before this time.
            requests_params: Options of ``requests`` for this call: ``timeout`` (seconds), ``headers``,
                ``proxies``, ...
            count: Maximum number of records.
            start: First key.
            startafter: Key before the first one.
            filter: Only matching records: a condition ``(field, operator, argument)``, or a list of them.
            meta: Further fields of the service to return: ``_ts``.
            nodata: Return only the key, and the fields named by ``meta``.
            progress: Whether to show a progress bar (needs the extra ``progress``), or a function that is called with
                ``(done, total)``; ``total`` is None.
            **params: Further parameters of the service.

        Yields:
            A record as a dict, with its key under ``_key``.

        Raises:
            NotFound: The collection does not exist.
            BadRequest: The service does not accept a parameter.
            ValueError: The prefixes given with ``offset`` do not fit into one request.
            StreamInterrupted: The connection broke and could not be resumed. Iterating again continues after the last
                record.

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
        stream = self._scan(self._parse(named, params), count, requests_params, self._accept)
        return report_progress(stream, progress, self.key, _unknown)

    list = listed(iter)

    @suggests_names
    def partitions(
        self,
        *,
        prefixes: Iterable[str] | None = None,
        ranges: Iterable[tuple[str | None, str | None]] | None = None,
        schema: pa.Schema | None = None,
        with_credentials: bool = False,
        **filters: Any,
    ) -> builtins.list[CollectionPartition[Record]]:
        """Divide the records for several threads, processes or machines, by prefixes or by ranges of their keys.

        Records whose keys are in none of them belong to no partition. Other than those of a job, the partitions also
        hold records that are added before they are read.

        Args:
            prefixes: What the keys of each partition begin with; none may begin with another one.
            ranges: Pairs ``(start, stop)`` of keys; the record with the key ``stop`` is not included. None means the
                start or the end of the collection: ``[(None, 'm'), ('m', None)]``. Ranges may not overlap.
            schema: Arrow schema of the tables of each partition, such as ``collection.schema()``. Without it, each
                partition infers the types from its own records, so they can differ between partitions.
            with_credentials: Whether a pickled partition holds the credentials; by default it reads with those of the
                process that uses it.
            **filters: Filters as of :meth:`iter`, but none by key.

        Returns:
            The partitions, each with ``iter``, ``list``, ``to_arrow``, ``iter_arrow``, ``to_pandas`` and ``download``.

        Raises:
            TypeError: Both or none of ``prefixes`` and ``ranges`` are given, or a filter is unknown.
            ValueError: Partitions are empty or overlap.

        Example:
            >>> [part.list() for part in foo_store.partitions(ranges=[(None, 'm'), ('m', None)])]
            [[{'value': 1, '_key': 'first'}], [{'value': 2, '_key': 'second'}]]
        """
        return [
            CollectionPartition(self, schema, filters, **bounds, with_credentials=with_credentials)
            for bounds in parse_bounds(prefixes, ranges)
        ]

    def _open_scan(self, values: Mapping[str, Any], *, stop: str | None) -> RecordStream[Any]:
        """Return the stream of a scan that ends before a key."""
        values = dict(values)
        requests_params = values.pop('requests_params', None)
        return self._scan(values, None, requests_params, self._accept, stop=stop)

    def _scan(
        self,
        values: dict[str, Any],
        count: int | None,
        requests_params: Mapping[str, Any] | None,
        accept: str,
        *,
        raw: bool = False,
        stop: str | None = None,
    ) -> RecordStream[Any]:
        meta_names = values.get('meta', [])
        values['meta'] = meta_names if '_key' in meta_names else [*meta_names, '_key']
        keys = values.pop('key', None)
        return read_stream(
            self._client.transport,
            self._path,
            scan_cursor(encode_pairs(values), parse_number('count', count), keys=keys, stop=stop),
            accept,
            requests_params=requests_params,
            explain=self._explain_read(values),
            raw=raw,
        )

    def _source(self, filters: Mapping[str, Any], max_workers: int, *, stop: str | None = None) -> CollectionSource:
        return CollectionSource(self.key, filters, self._parse, self._scan, stop)

    def _batches(self, filters: Mapping[str, Any], progress: Progress, size: int = BATCH_SIZE) -> Batches:
        stream: Any = self.iter(**filters, progress=progress)
        return Batches(stream, size, strip=False)

    def _parse_filters(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        return self._parse(filters, {})

    @staticmethod
    def _parse(named: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
        values = merge_parameters(named, params, _PARAMETERS)
        if 'key' in values:
            values['key'] = parse_keys(values['key'])
            if not values['key']:
                del values['key']
        return values

    def _explain_read(self, values: Mapping[str, Any]) -> Explain:
        explain = explain_filters(values.get('filter', ()))
        return lambda error: (explain and explain(error)) or self._explain(error)


class CollectionSource:
    """The records of a collection as the source of a download; see :class:`scrapinghub.export.download.Source`.

    Args:
        key: Key of the collection.
        filters: Arguments of the scan.
        parse: Returns the parameters of a scan in the form of the service.
        scan: Opens the stream of a scan.
        stop: The first key that is not read; None for none.
    """

    def __init__(
        self,
        key: str,
        filters: Mapping[str, Any],
        parse: Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]],
        scan: Callable[..., RecordStream[Any]],
        stop: str | None = None,
    ) -> None:
        from scrapinghub.export.formats import OBJECTS

        given = {name: value for name, value in filters.items() if value is not None}
        self.name = f'collections/{key}'
        self.formats = OBJECTS
        self.total = _unknown
        self._requests_params = given.pop('requests_params', None)
        self.arguments: Mapping[str, Any] = {
            **{name: [*value] if isinstance(value, (set, frozenset)) else value for name, value in given.items()},
            **describe_ages(given),
            **({} if stop is None else {'stop': stop}),
        }
        self._filters = given
        self._parse = parse
        self._scan = partial(scan, stop=stop)
        # The service returns the records in the order of their keys, unless a request is for several ranges of them.
        self.keyed = given.keys().isdisjoint({'key', 'prefixcount'}) and isinstance(
            given.get('prefix', ''), (str, bytes)
        )

    def blocks(self, position: int, last_key: str | None, notes: Notes) -> Blocks:
        """Yield JSON lines after a key, or from a position on."""
        parameters = self._parse(self._filters, {})
        count = parse_number('count', parameters.pop('count', None))
        skip = position
        if self.keyed and last_key is not None:
            parameters.pop('start', None)
            parameters['startafter'] = last_key
            skip, count = 0, None if count is None else count - position
        return join_lines(self._scan(parameters, count, self._requests_params, codec.ANY, raw=True), skip)


def _unknown() -> None:
    return None


def parse_keys(keys: Any) -> list[str]:
    """Return one or several keys as a list of strings.

    Raises:
        ValueError: A key is not a string.
    """
    if isinstance(keys, (str, bytes)):
        keys = [keys]
    if not isinstance(keys, Iterable) or isinstance(keys, Mapping):
        raise ValueError(_BAD_KEYS)
    texts: list[str] = []
    for key in sorted(keys) if isinstance(keys, (set, frozenset)) else keys:
        if not isinstance(key, (str, bytes)):
            raise ValueError(f'{_BAD_KEYS}, got {key!r}')
        texts.append(six.ensure_text(key))
    return texts
