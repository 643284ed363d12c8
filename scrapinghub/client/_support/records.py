"""Read and write the numbered records of a job: items, logs, requests and samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from scrapinghub.client._support.families import Family, choose_cursor
from scrapinghub.client._support.lists import listed
from scrapinghub.client._support.parameters import Time, encode_pairs, merge_parameters, parse_number
from scrapinghub.client._support.partitions import PartitionedRecords
from scrapinghub.client._support.record_exports import ExportedRecords
from scrapinghub.client._support.resource import Client, Resource
from scrapinghub.client._support.validation import expect, parse_name, parse_path
from scrapinghub.client.shapes import Stats
from scrapinghub.config.validation import Expected
from scrapinghub.export.progress import Progress
from scrapinghub.transport import codec
from scrapinghub.transport.streams.stream import RecordStream
from scrapinghub.transport.uploads.uploader import Writer

R = TypeVar('R')

RelativePath = str | int | Sequence[Any] | None
Names = str | Iterable[str] | None
Filters = str | tuple[Any, ...] | list[Any] | None
RequestsParams = Mapping[str, Any] | None


class Records(Resource, ExportedRecords[R]):
    """The records of one family that belong to a job.

    Safe to share between threads; an iterator is not.

    Args:
        cls: Ignored; kept for programs that pass it.
        client: The client.
        key: Key of the job.

    Attributes:
        key: Key of the job.
    """

    _family: ClassVar[Family]

    def __init__(self, cls: Any, client: Client, key: str) -> None:
        super().__init__(client, str(key))
        self._path = (self._family.name, *self.key.split('/'))
        self._writer: Writer | None = None
        self._appending = False

    def get(self, key: int | str, *, meta: Names = None, **params: Any) -> R | None:
        """Return one record.

        Args:
            key: Number of the record, or its key as ``meta='_key'`` returns it.
            meta: Further fields of the service to return: ``_key``, ``_ts``.
            **params: Further parameters of the service.

        Returns:
            The record; None if the response of the service is empty.

        Raises:
            NotFound: The record or the job does not exist.

        Example:
            >>> job.items.get(1)
            {'name': 'second'}
        """
        number = parse_name('key', key).removeprefix(f'{self.key}/')
        values = self._parse({'meta': meta}, params)
        transport = self._client.transport
        accept = self._family.accept(transport.use_msgpack, values)
        record: R | None = transport.get((*self._path, number), encode_pairs(values), accept=accept).value
        return record

    def stats(self, *, all: bool | int | None = None, **params: Any) -> Stats:
        """Return the number of records, and how often each field occurs in them.

        Args:
            all: Count the fields whose names begin with ``_``, too.
            **params: Further parameters of the service.

        Returns:
            ``counts`` by field, and ``totals`` with ``input_values`` (number of records) and ``input_bytes``.

        Raises:
            NotImplementedError: The service keeps no statistics of samples.

        Example:
            >>> job.items.stats()['totals']['input_values']
            2
        """
        if not self._family.has_stats:
            raise NotImplementedError('Resource does not expose stats') from Expected(f'{self._family.name} have none')
        path = (*self._path, 'stats')
        pairs = encode_pairs(merge_parameters({'all': all}, params))
        stats: Stats = self._client.transport.get(path, pairs, expects=codec.JSON).value
        expect(stats, dict, f'GET {"/".join(path)}')
        return stats

    def __getstate__(self) -> dict[str, Any]:
        writer = self._writer
        if writer is not None and writer.offset < writer.next_number:
            raise TypeError(f'{self!r} has records that are not stored: call flush() before copying it')
        return {**vars(self), '_writer': None}

    # Reading

    def _read(
        self,
        path: RelativePath,
        count: int | None,
        requests_params: RequestsParams,
        named: Mapping[str, Any],
        params: Mapping[str, Any],
        progress: Progress = False,
    ) -> RecordStream[R]:
        segments = () if path is None else parse_path(path)
        stream = self._begin(self._parse(named, params), count, requests_params, segments)
        if progress is False:
            return stream
        return self._report(stream, progress, {**named, **params, 'count': count, 'path': path})

    def _stream(self, filters: Mapping[str, Any], convert: Callable[[R], R] | None) -> RecordStream[R]:
        """Return the stream of :meth:`iter` for these arguments; it delivers what ``convert`` returns."""
        values = self._parse_filters(filters)
        return self._begin(values, values.pop('count', None), values.pop('requests_params', None), (), convert)

    def _begin(
        self,
        values: dict[str, Any],
        count: int | None,
        requests_params: RequestsParams,
        segments: tuple[str, ...],
        convert: Callable[[R], R] | None = None,
    ) -> RecordStream[R]:
        limit = parse_number('count', count)
        accept = self._family.accept(self._client.transport.use_msgpack, values)
        cursor = choose_cursor(self._family, self.key, values, limit, depth=len(segments), accept=accept)
        return self._open(cursor, segments, values, accept, requests_params, convert)

    def _parse_filters(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        return self._parse(filters, {})

    def _parse(self, named: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a read in the form of the service."""
        values = merge_parameters(named, params, self._family.parameters)
        for name in ('start', 'startafter'):
            value = values.get(name)
            if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()):
                values[name] = self._key_of(parse_number(name, value))
        if 'index' in values:
            index = values['index']
            is_list = isinstance(index, Iterable) and not isinstance(index, str)
            values['index'] = [parse_number('index', number) for number in (index if is_list else [index])]
            if not values['index']:
                del values['index']
        if self._family.has_offset and 'offset' in values:
            self._replace_offset(values)
        return values

    def _replace_offset(self, values: dict[str, Any]) -> None:
        """Replace an offset, which the storage server does not know, by the key of the first record."""
        offset = parse_number('offset', values.pop('offset'))
        if not offset:
            return
        for name in ('start', 'startafter'):
            if name in values:
                raise TypeError(f"'offset' and {name!r} both say where to begin: give one of them")
        values['start'] = self._key_of(offset)

    def _key_of(self, number: int | None) -> str:
        return f'{self.key}/{number}'

    # Writing

    def writer(self, *, start: int | None = None, append: bool = False) -> Writer:
        """Return the batch writer of these records, positioned where you choose.

        There is one writer for each job, family and client; :meth:`write` uses the same one. By default it begins at
        number 0, so **a job that already has records is overwritten from its first record**. To continue a job, use
        ``append=True``, or ``start`` with the number of the next record.

        Args:
            start: Number of the first record to write.
            append: Begin after the stored records. Two programs that append to the same job at the same time overwrite
                each other's records.

        Returns:
            The writer.

        Raises:
            TypeError: Both arguments are given.
            ValueError: The writer is already open, at another position.

        Example:
            >>> writer = job.items.writer(append=True)
            >>> writer.write({'name': 'third'})
            2
            >>> writer.flush()
        """
        if append and start is not None:
            raise TypeError("'start' and 'append' both say where to begin: give one of them")
        if append:
            return self._append()
        number = parse_number('start', start)
        return self._use(self._create_writer(number or 0), number)

    def _create_writer(self, start: int | Callable[[], int] = 0) -> Writer:
        return self._client.uploader.writer(self._path, self._family.upload, start=start)

    def _append(self) -> Writer:
        self._appending = True
        writer = self._find_writer()
        if writer is None:
            return self._use(self._create_writer(self._count_stored), None)
        return self._use(writer, max(self._count_stored(), writer.next_number))

    def _use(self, writer: Writer, number: int | None) -> Writer:
        if number is not None and writer.next_number != number:
            raise ValueError(
                f'the open writer of {self.key} is at number {writer.next_number}: close it before writing from number '
                f'{number}'
            )
        self._writer = writer
        return writer

    def _find_writer(self) -> Writer | None:
        """Return the open writer of these records, whichever object opened it."""
        if self._writer is not None:
            return None if self._writer.closed else self._writer
        url = self._client.transport.url(self._path)
        return next((writer for writer in self._client.uploader.writers if writer.url == url), None)

    def _count_stored(self) -> int:
        """Return the number of stored records."""
        if not self._family.has_stats:
            return sum(1 for _ in self._read(None, None, None, {}, {}))
        return self._count_in_stats()

    def write(self, item: R) -> int:
        """Queue a record for storing. It is sent within 15 seconds, or by :meth:`flush`.

        Blocks while two thousand records are queued. See :meth:`writer` about jobs that already have records.

        Args:
            item: The record.

        Returns:
            The number of the record, counted from 0.

        Raises:
            TypeError: The record is not a dict, or for samples not a list.
            ValueTooLarge: The JSON text of the record is larger than 1 MiB.
            UploadError: Earlier records could not be stored; the error holds them.
            AssertionError: The writer is closed.

        Example:
            >>> job.items.write({'name': 'first'})
            0
        """
        writer = self._writer
        if writer is None:
            writer = self._create_writer()
            if not writer.closed:
                self._writer = writer
        return writer.write(item)

    def flush(self) -> None:
        """Wait until all records written so far are stored.

        Raises:
            UploadError: Some records cannot be stored; the error holds them.

        Example:
            >>> number = job.items.write({'name': 'third'})
            >>> job.items.flush()
        """
        writer = self._find_writer()
        if writer is not None:
            writer.flush()

    def close(self, block: bool = True) -> None:
        """Send the queued records, and accept no more.

        Args:
            block: Wait until all records are stored. Otherwise they are sent in the background.

        Raises:
            UploadError: Some records cannot be stored; the error holds them.

        Example:
            >>> job.items.close()
        """
        writer = self._find_writer()
        if writer is not None:
            self._writer = writer
            writer.close(block)


class KeyedRecords(Records[R], PartitionedRecords[R]):
    """Records without parameters of their own: items and requests. The arguments are those of :class:`Records`."""

    def iter(
        self,
        _path: RelativePath = None,
        count: int | None = None,
        requests_params: RequestsParams = None,
        *,
        start: int | str | None = None,
        startafter: str | None = None,
        offset: int | None = None,
        index: int | Iterable[int] | None = None,
        filter: Filters = None,
        meta: Names = None,
        startts: Time = None,
        endts: Time = None,
        nodata: bool | None = None,
        progress: Progress = False,
        **params: Any,
    ) -> Iterator[R]:
        """Iterate over the records in the order in which they were written.

        Records are streamed: each one is returned as soon as it arrives, and memory does not grow with the job.

        Args:
            _path: Path below the job to read instead of all records: the number of one.
            count: Maximum number of records.
            requests_params: Options of ``requests`` for this call: ``timeout`` (seconds), ``headers``,
                ``proxies``, ...
            start: Number or key of the first record.
            startafter: Key of the record before the first one.
            offset: Number of records to skip.
            index: Numbers of the records to return.
            filter: Only matching records: a condition ``(field, operator, argument)``, or a list of them.
            meta: Further fields of the service to return: ``_key``, ``_ts``.
            startts: Only records stored at or after this time: milliseconds since the epoch, a ``datetime`` with a
                time zone, or a ``timedelta`` (that long ago).
            endts: Only records stored before this time.
            nodata: Return only the fields named by ``meta``.
            progress: Whether to show a progress bar (needs the extra ``progress``), or a function that is called with
                ``(done, total)``; ``total`` is None if it is unknown.
            **params: Further parameters of the service.

        Yields:
            A record, without ``_key`` unless ``meta`` requests it.

        Raises:
            BadRequest: The service does not accept a parameter.
            StreamInterrupted: The connection broke and could not be resumed. Iterating again continues after the last
                record.

        Example:
            >>> [item['name'] for item in job.items.iter(filter=('name', 'contains', ['ir']))]
            ['first']
        """
        named = {
            'start': start,
            'startafter': startafter,
            'offset': offset,
            'index': index,
            'filter': filter,
            'meta': meta,
            'startts': startts,
            'endts': endts,
            'nodata': nodata,
        }
        return self._read(_path, count, requests_params, named, params, progress)

    list = listed(iter)
