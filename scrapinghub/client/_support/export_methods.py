"""Downloads, tables and progress of the records of a resource."""

from __future__ import annotations

import builtins
import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapinghub.client._support.parameters import check_names, parse_number, suggests_names
from scrapinghub.export.progress import Progress, make_report
from scrapinghub.transport.streams.collector import pause_while_decoding
from scrapinghub.transport.streams.stream import RecordStream, ResumableIterator

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from scrapinghub.export.download import Source

# Small enough for the caches of the processor.
BATCH_SIZE = 1000


class Batches:
    """Lists of records for tables, and the keys of the records.

    Args:
        stream: The records.
        strip: Whether to remove the keys from the records.
        size: Maximum number of records in a list.
        key_by_index: Returns the key of a record by its index, if records carry no keys; None if they do.
    """

    def __init__(
        self,
        stream: ResumableIterator[Any],
        size: int,
        *,
        strip: bool,
        key_by_index: Callable[[int], str] | None = None,
    ) -> None:
        self._stream = stream
        self._size = size
        self._strip = strip
        self._key_by_index = key_by_index
        self._begin = 0
        self._keys: Sequence[str] = ()

    def __iter__(self) -> Iterator[builtins.list[Any]]:
        read_key = dict.pop if self._strip else dict.get
        with self._stream as stream:
            while batch := list(islice(stream, self._size)):
                if self._key_by_index is None:
                    self._keys = [read_key(record, '_key', None) for record in batch]
                yield batch
                self._begin += len(batch)

    def key_of(self, index: int) -> str | None:
        """Return the key of a record of the last list."""
        if self._key_by_index is not None:
            return self._key_by_index(index)
        return self._keys[index - self._begin]


class Exports:
    """A resource with records."""

    iter: Callable[..., Any]
    # Schema of tables and Parquet files if none is given.
    _default_schema: pa.Schema | None = None

    def _check_filters(self, filters: Mapping[str, Any]) -> None:
        """Raise ``TypeError`` if a filter is unknown."""
        check_filters(filters, self.iter)


class Downloads(Exports):
    """The method ``download`` of resources with records."""

    def _source(self, filters: Mapping[str, Any], max_workers: int) -> Source:
        """Return what to download, over at most ``max_workers`` connections."""
        raise NotImplementedError

    @suggests_names
    def download(
        self,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,
        fields: Sequence[str] | None = None,
        schema: pa.Schema | None = None,
        progress: Progress = False,
        overwrite: bool = False,
        max_workers: int = 1,
        **filters: Any,
    ) -> Path:
        """Store the records in a file.

        The records are stored in ``NAME.part`` first. If the program is killed, call this method again with the same
        arguments: the download continues. The file gets its final name when it is complete.

        Args:
            path: Path of the file. Its suffix determines the format: ``.jl``, ``.jsonl``, ``.ndjson`` (JSON lines),
                ``.json``, ``.csv``, ``.parquet`` (needs the extra ``arrow``), for logs also ``.log`` and ``.txt``.
                JSON lines and CSV can be compressed: ``.jl.gz``.
            format: Name of the format, such as ``'csv'``, instead of the suffix.
            fields: Fields to write, in this order. CSV files have all fields by default, in the order in which they
                appear first.
            schema: Arrow schema of a Parquet file.
            progress: Whether to show a progress bar (needs the extra ``progress``), or a function that is called with
                ``(done, total)``; ``total`` is None if it is unknown.
            overwrite: Whether to replace an existing file.
            max_workers: Maximum number of connections, 1 by default. Items, log entries and requests of a job are
                then read in parts, and several jobs of a selection at the same time; the order in the file remains
                the same. One connection reads everything else: samples, collections, and reads with ``count``,
                ``start``, ``startafter``, ``offset`` or ``index``.
            **filters: Filters as of :meth:`iter`.

        Returns:
            The path of the file.

        Raises:
            DownloadConflict: Another process downloads to this path, or ``NAME.part`` belongs to another download or is
                damaged.
            DownloadIncomplete: The number of records differs from the statistics of the job, or records were deleted
                since the last attempt; ``NAME.part`` stays.
            FileExistsError: The file exists, and ``overwrite`` is False.
            TypeError: A filter is unknown.
            ValueError: The format is unknown, or does not suit the records; or ``max_workers`` is less than 1.

        Example:
            >>> path = job.items.download('items.jl', overwrite=True)
            >>> print(path.read_text(), end='')
            {"name":"first"}
            {"name":"second"}
        """
        # Programs that download nothing do not pay for it.
        from scrapinghub.export.download import download

        self._check_filters(filters)
        workers = parse_number('max_workers', max_workers)
        if not workers:
            raise ValueError(f'max_workers should be at least 1, got {max_workers!r}')
        return download(
            self._source(filters, workers),
            path,
            format=format,
            fields=fields,
            schema=schema,
            default_schema=self._default_schema,
            progress=progress,
            overwrite=overwrite,
        )


class Tables(Exports):
    """The table methods of resources whose records are objects; they need the extras ``arrow`` and ``pandas``."""

    def _batches(self, filters: Mapping[str, Any], progress: Progress, size: int = BATCH_SIZE) -> Batches:
        """Return the records in lists."""
        raise NotImplementedError

    def _choose_schema(self, schema: pa.Schema | None) -> pa.Schema | None:
        if schema is None:
            return self._default_schema
        load_arrow('types').check_schema(schema)
        return schema

    def _infer_schema(self, filters: Mapping[str, Any], progress: Progress = False) -> pa.Schema:
        types = load_arrow('types')
        self._check_filters(filters)
        with pause_while_decoding():
            found: pa.Schema = types.infer(self._batches(filters, progress))
        return found

    @suggests_names
    def iter_arrow(
        self,
        batch_size: int = 50_000,
        schema: pa.Schema | None = None,
        *,
        progress: Progress = False,
        **filters: Any,
    ) -> Iterator[pa.RecordBatch]:
        """Iterate over the records in Arrow record batches; memory does not grow with the job.

        Args:
            batch_size: Maximum number of records in a batch.
            schema: Schema of the batches. By default :meth:`schema` reads all records first, to find it.
            progress: Whether to show a progress bar, or a function that is called with ``(done, total)``.
            **filters: Filters as of :meth:`iter`.

        Yields:
            A record batch.

        Raises:
            SchemaMismatch: A record does not fit the schema; the error names its key and field.

        Example:
            >>> [batch.num_rows for batch in job.items.iter_arrow(batch_size=1)]
            [1, 1]
        """
        tables = load_arrow('tables')
        self._check_filters(filters)
        if not parse_number('batch_size', batch_size):
            raise ValueError(f'batch_size should be at least 1, got {batch_size!r}')
        found = self._choose_schema(schema)
        if found is None:
            found = self._infer_schema(filters)
        batches = self._batches(filters, progress, batch_size)
        converted: Iterator[pa.RecordBatch] = tables.to_batches(batches, found, batches.key_of)
        return converted

    @suggests_names
    def to_arrow(self, schema: pa.Schema | None = None, *, progress: Progress = False, **filters: Any) -> pa.Table:
        """Return the records as an Arrow table.

        Args:
            schema: Schema of the table; found from the records by default.
            progress: Whether to show a progress bar, or a function that is called with ``(done, total)``.
            **filters: Filters as of :meth:`iter`.

        Returns:
            The table; see :doc:`/guides/tables` for the types of its columns.

        Raises:
            SchemaMismatch: A record does not fit the given schema; the error names its key and field.

        Example:
            >>> job.items.to_arrow().column('name').to_pylist()
            ['first', 'second']
        """
        tables = load_arrow('tables')
        self._check_filters(filters)
        batches = self._batches(filters, progress)
        schema = self._choose_schema(schema)
        with pause_while_decoding():
            table: pa.Table = tables.to_table(batches, schema, batches.key_of)
        return table

    @suggests_names
    def to_pandas(self, schema: pa.Schema | None = None, *, progress: Progress = False, **filters: Any) -> pd.DataFrame:
        """Return the records as a pandas DataFrame.

        Args:
            schema: Arrow schema of the records, which makes the types of the columns independent of the values.
            progress: Whether to show a progress bar, or a function that is called with ``(done, total)``.
            **filters: Filters as of :meth:`iter`.

        Returns:
            The frame; see :doc:`/guides/tables` for the types of its columns.

        Raises:
            SchemaMismatch: A record does not fit the given schema; the error names its key and field.

        Example:
            >>> job.items.to_pandas()['name'].tolist()
            ['first', 'second']
        """
        tables = load_arrow('tables', 'pandas')
        self._check_filters(filters)
        batches = self._batches(filters, progress)
        with pause_while_decoding():
            frame: pd.DataFrame = tables.to_frame(batches, self._choose_schema(schema), batches.key_of)
        return frame


class InferringTables(Tables):
    """The table methods, and ``schema``, which infers the schema from the records."""

    @suggests_names
    def schema(self, *, progress: Progress = False, **filters: Any) -> pa.Schema:
        """Return the Arrow schema that holds all records without loss; reads all records once.

        Args:
            progress: Whether to show a progress bar, or a function that is called with ``(done, total)``.
            **filters: Filters as of :meth:`iter`.

        Example:
            >>> job.items.schema()
            name: string
        """
        return self._infer_schema(filters, progress)


def load_arrow(module: str, *libraries: str) -> Any:
    """Import a module of ``scrapinghub.export`` that needs pyarrow.

    Args:
        module: Name of the module.
        *libraries: Further libraries that are needed.

    Raises:
        ImportError: A library is not installed.
    """
    from importlib import import_module

    for library, extra in (('pyarrow', 'arrow'), ('pandas', 'pandas')):
        if library == 'pyarrow' or library in libraries:
            try:
                import_module(library)
            except ImportError as error:
                needed = 'pandas' if 'pandas' in libraries else extra
                message = f'tables need {library}: install it with pip install "scrapinghub[{needed}]"'
                raise ImportError(message, name=library) from error
    return import_module(f'scrapinghub.export.{module}')


def check_filters(
    filters: Mapping[str, Any], iterate: Callable[..., Any], *refused: str, also: Iterable[str] = ()
) -> None:
    """Check that filters are parameters of ``iter``.

    Args:
        filters: The filters.
        iterate: The method ``iter``.
        *refused: Parameters of it that are not accepted.
        also: Further names that are accepted.

    Raises:
        TypeError: A filter is unknown.
    """
    parameters = inspect.signature(iterate).parameters.values()
    names = {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
    accepted = {name for name in names if not name.startswith('_')} - {'progress', 'type', *refused}
    check_names(filters, accepted.union(also), strict=True)


def report_progress(
    stream: RecordStream[Any], progress: Progress, description: str, total: Callable[[], int | None]
) -> RecordStream[Any]:
    """Report the progress of a stream; return the stream."""
    if progress is not False:
        stream.on_progress = make_report(progress, description, total)
    return stream
