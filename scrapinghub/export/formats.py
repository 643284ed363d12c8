"""File formats of downloads; each is written from the JSON lines of a finished download."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import chain, islice
from logging import getLevelName
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from scrapinghub.transport.codec import JsonLinesDecoder
from scrapinghub.transport.streams.collector import decoding

if TYPE_CHECKING:
    import pyarrow as pa

GZIP_LEVEL = 6
# json.dumps creates an encoder for each value.
_encode = json.JSONEncoder(ensure_ascii=False).encode
ROW_GROUP_SIZE = 50_000
# Records that exist as Python objects at the same time.
BATCH_SIZE = 5_000

Blocks = Iterable[bytes]


@dataclass(frozen=True)
class Options:
    """What a format may use.

    Attributes:
        fields: Fields to write, in order; None for all in the order in which they appear first.
        schema: Arrow schema of the records; None to find it.
    """

    fields: Sequence[str] | None = None
    schema: pa.Schema | None = None


# Writes what the first argument, which can be called repeatedly, yields.
Write = Callable[[Callable[[], Blocks], IO[bytes], Options], None]


def records(blocks: Blocks) -> Iterator[list[Any]]:
    """Yield the records of JSON lines, in lists."""
    decoder = JsonLinesDecoder()
    for block in blocks:
        with decoding.pause:
            batch = decoder.feed(block)
        yield batch
        if decoder.error is not None:
            raise decoder.error


def _selected(blocks: Blocks, fields: Sequence[str]) -> Iterator[list[Any]]:
    """Yield the records with some of their fields, in lists."""
    for batch in records(blocks):
        yield [{name: record[name] for name in fields if name in record} for record in batch]


def _lines(read: Callable[[], Blocks], options: Options) -> Blocks:
    """Return the JSON lines to write, in blocks."""
    if options.fields is None:
        return read()
    batches = _selected(read(), options.fields)
    return (''.join(f'{json.dumps(row)}\n' for row in batch).encode() for batch in batches)


def write_lines(read: Callable[[], Blocks], file: IO[bytes], options: Options) -> None:
    """Write JSON lines."""
    file.writelines(_lines(read, options))


def write_json(read: Callable[[], Blocks], file: IO[bytes], options: Options) -> None:
    """Write one JSON array, a record on each line."""
    file.write(b'[\n')
    held = b''
    for block in _lines(read, options):
        # A line feed separates two records only if another record follows.
        lines = held + block
        file.write(lines[:-1].replace(b'\n', b',\n'))
        held = lines[-1:]
    file.write(held + b']\n')


def write_csv(read: Callable[[], Blocks], file: IO[bytes], options: Options) -> None:
    """Write CSV with a header; text as it is, other values as JSON text, missing values empty."""
    fields = list(options.fields or _field_names(read()))
    header: list[list[Any]] = [fields]
    batches = ([[_cell(record.get(name)) for name in fields] for record in batch] for batch in records(read()))
    for rows in chain([header], batches):
        text = io.StringIO(newline='')
        csv.writer(_Rows(text), lineterminator=_ROW_END).writerows(rows)
        file.write(text.getvalue().encode('utf-8', 'surrogatepass'))


# A field with a character of it is quoted: without the carriage return, readers would end the row there.
_ROW_END = '\r\n'


class _Rows:
    """Ends the rows of a CSV writer with a line feed."""

    def __init__(self, text: io.StringIO) -> None:
        self._text = text

    def write(self, row: str) -> int:
        """Write one row."""
        return self._text.write(f'{row[: -len(_ROW_END)]}\n')


def _field_names(blocks: Blocks) -> Iterable[str]:
    names: dict[str, None] = {}
    for batch in records(blocks):
        for record in batch:
            if record.keys() - names.keys():
                names.update(dict.fromkeys(record))
    return names


def _cell(value: Any) -> Any:
    if value is None:
        return ''
    return value if type(value) in (str, int) else _encode(value)


def write_parquet(read: Callable[[], Blocks], file: IO[bytes], options: Options) -> None:
    """Write a Parquet file; needs pyarrow."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from scrapinghub.export.tables import to_batches
    from scrapinghub.export.types import infer

    def batches() -> Iterator[list[Any]]:
        return records(read()) if options.fields is None else _selected(read(), options.fields)

    schema = options.schema or infer(batches())
    if options.fields is not None:
        found = {field.name: field for field in schema}
        schema = pa.schema([found.get(name, pa.field(name, pa.null())) for name in options.fields])
    with pq.ParquetWriter(file, schema) as writer:
        converted = to_batches(_groups(batches(), BATCH_SIZE), schema, inferred=options.schema is None)
        while group := list(islice(converted, ROW_GROUP_SIZE // BATCH_SIZE)):
            writer.write_table(pa.Table.from_batches(group), ROW_GROUP_SIZE)


def write_log(read: Callable[[], Blocks], file: IO[bytes], options: Options) -> None:
    """Write log entries as lines of ``time level message``."""
    for batch in records(read()):
        file.write(''.join(map(_log_line, batch)).encode('utf-8', 'surrogatepass'))


def _log_line(entry: dict[str, Any]) -> str:
    seconds, milliseconds = divmod(int(entry['time']), 1000)
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return f'{moment:%Y-%m-%d %H:%M:%S},{milliseconds:03} {getLevelName(entry["level"])} {entry["message"]}\n'


def _groups(batches: Iterable[list[Any]], size: int) -> Iterator[list[Any]]:
    """Yield the same records in lists of one size."""
    everything = chain.from_iterable(batches)
    while group := list(islice(everything, size)):
        yield group


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        name: Name, which is also the suffix of files.
        write: Writes the file.
        compressed: Whether the file is compressed with gzip.
    """

    name: str
    write: Write
    compressed: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the JSON lines of a download are the file."""
        return self.write is write_lines and not self.compressed

    def convert(self, read: Callable[[], Blocks], file: IO[bytes], options: Options) -> None:
        """Write a file from JSON lines; the same lines give the same bytes."""
        if not self.compressed:
            self.write(read, file, options)
            return
        with gzip.GzipFile('', 'wb', GZIP_LEVEL, file, mtime=0) as packed:
            self.write(read, cast('IO[bytes]', packed), options)


FORMATS: dict[str, Format] = {
    format_.name: format_
    for format_ in (
        *(Format(name, write_lines) for name in ('jl', 'jsonl', 'ndjson')),
        *(Format(f'{name}.gz', write_lines, compressed=True) for name in ('jl', 'jsonl', 'ndjson')),
        Format('json', write_json),
        Format('csv', write_csv),
        Format('csv.gz', write_csv, compressed=True),
        Format('parquet', write_parquet),
        Format('log', write_log),
        Format('txt', write_log),
    )
}


# Names of the formats for records of any kind, for JSON objects, and for log entries.
LINES = ('jl', 'jsonl', 'ndjson', 'jl.gz', 'jsonl.gz', 'ndjson.gz', 'json')
OBJECTS = (*LINES, 'csv', 'csv.gz', 'parquet')
LOG_LINES = ('log', 'txt')
LOG_ENTRIES = (*OBJECTS, *LOG_LINES)


def find_format(path: Path, name: str | None, allowed: Iterable[str]) -> Format:
    """Return the format of a file.

    Args:
        path: The file.
        name: Name of the format; None to take the suffix of the file.
        allowed: Names of the formats that the records can be written in.

    Raises:
        TypeError: ``name`` is not a string.
        ValueError: The format is unknown, or does not suit the records.
    """
    if name is not None and not isinstance(name, str):
        raise TypeError(f'format should be the name of a format, got {name!r}')
    suffixes = [suffix.lstrip('.').lower() for suffix in path.suffixes[-2:]]
    candidates = ['.'.join(suffixes), *suffixes[-1:]] if name is None else [name.lower().lstrip('.')]
    for candidate in candidates:
        if candidate in allowed:
            return FORMATS[candidate]
    given = f'the suffix of {path.name!r}' if name is None else f'format {name!r}'
    raise ValueError(f'{given} is not one of the formats of these records: {", ".join(allowed)}')
