"""Read and write the numbered records of a job: items, logs, requests and samples."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

from scrapinghub.client._support.lists import listed
from scrapinghub.client._support.parameters import Time, parse_number, suggests_names
from scrapinghub.client._support.partitions import PartitionedRecords
from scrapinghub.client._support.record_exports import ExportedRecords
from scrapinghub.client._support.record_families import Family, choose_cursor, parse_parameters
from scrapinghub.client._support.record_source import RecordSource
from scrapinghub.client._support.resource import Client, Resource
from scrapinghub.client._support.streams import explain_filters, read_stream
from scrapinghub.client._support.validation import parse_path
from scrapinghub.export.progress import Progress
from scrapinghub.transport import codec
from scrapinghub.transport.streams.cursor import Cursor
from scrapinghub.transport.streams.stream import RecordStream
from scrapinghub.transport.uploads.uploader import Writer

R = TypeVar('R')
T = TypeVar('T')

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
        type: type[Any] | None = None,
    ) -> RecordStream[Any]:
        segments = () if path is None else parse_path(path)
        values = parse_parameters(self._family, self.key, named, params)
        if type is None:
            stream = self._begin(values, count, requests_params, segments)
        else:
            stream = self._begin(values, count, requests_params, segments, codec.typed_decoder(type), raw=True)
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
        convert: Callable[[Any], R] | None = None,
        *,
        raw: bool = False,
    ) -> RecordStream[R]:
        limit = parse_number('count', count)
        accept = self._family.accept(self._client.transport.use_msgpack, values, len(segments))
        cursor = choose_cursor(self._family, self.key, values, limit, depth=len(segments), accept=accept)
        return self._open(cursor, segments, values, accept, requests_params, convert, raw=raw)

    def _open(
        self,
        cursor: Cursor,
        segments: tuple[str, ...],
        values: Mapping[str, Any],
        accept: str,
        requests_params: Mapping[str, Any] | None,
        convert: Callable[[Any], Any] | None = None,
        *,
        raw: bool = False,
    ) -> RecordStream[Any]:
        """Return the stream of a cursor."""
        return read_stream(
            self._client.transport,
            (*self._path, *segments),
            cursor,
            accept,
            requests_params=requests_params,
            explain=explain_filters(values['filter']) if 'filter' in values else None,
            convert=convert,
            eager=self._family.is_eager and not raw,
            raw=raw,
        )

    def _source(self, filters: Mapping[str, Any], max_workers: int) -> RecordSource:
        return RecordSource(self, filters, max_workers)

    # Writing

    @suggests_names
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

    @overload
    def iter(
        self,
        _path: RelativePath = None,
        count: int | None = None,
        requests_params: RequestsParams = None,
        *,
        type: type[T],
        **params: Any,
    ) -> Iterator[T]: ...

    @overload
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
        type: None = None,
        **params: Any,
    ) -> Iterator[R]: ...

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
        type: type[Any] | None = None,
        **params: Any,
    ) -> Iterator[Any]:
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
            type: A ``msgspec.Struct``, dataclass or ``TypedDict`` to decode the records into, in place of dicts (needs
                the extra ``fast``). Fields that it does not have are left out, and cost nothing.
            **params: Further parameters of the service.

        Yields:
            A record, without ``_key`` unless ``meta`` requests it.

        Raises:
            BadRequest: The service does not accept a parameter.
            DecodeError: A record does not fit ``type``; the error has its ``key`` and the ``field``. Iterating again
                continues with the next record.
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
        return self._read(_path, count, requests_params, named, params, progress, type)

    if TYPE_CHECKING:

        @overload
        def list(
            self,
            _path: RelativePath = None,
            count: int | None = None,
            requests_params: RequestsParams = None,
            *,
            type: type[T],
            **params: Any,
        ) -> builtins.list[T]: ...

        @overload
        def list(
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
            type: None = None,
            **params: Any,
        ) -> builtins.list[R]: ...

        def list(self, *args: Any, **kwargs: Any) -> Any: ...

    else:
        list = listed(iter)
