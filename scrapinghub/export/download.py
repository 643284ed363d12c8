"""Downloads of records to files, which a later process continues."""

from __future__ import annotations

import errno
import json
import os
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from scrapinghub.exceptions import (
    DecodeError,
    DownloadIncomplete,
    NotFound,
    SchemaMismatch,
    ScrapinghubAPIError,
)
from scrapinghub.export.formats import LOG_LINES, Format, Options, find_format
from scrapinghub.export.part_file import Notes, PartFile, damaged
from scrapinghub.export.progress import Progress, check_progress, reporting
from scrapinghub.transport.codec import Malformed
from scrapinghub.transport.http.retries import waits_for_contact
from scrapinghub.transport.streams.collector import pause_while_decoding

if TYPE_CHECKING:
    import pyarrow as pa


class Source(Protocol):
    """Records that can be downloaded.

    Attributes:
        name: Path of the records, such as ``items/123/1/2``.
        arguments: Filters and other parameters of the read.
        keyed: Whether reading continues after the key of a record; otherwise it continues by position.
        formats: Names of the file formats that suit the records.
    """

    @property
    def name(self) -> str:
        """See above."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """See above."""

    @property
    def keyed(self) -> bool:
        """See above."""

    @property
    def formats(self) -> Sequence[str]:
        """See above."""

    @property
    def total(self) -> Callable[[], int | None]:
        """Returns the number of records, as far as it is known."""

    def blocks(self, position: int, last_key: str | None, notes: Notes) -> Generator[bytes, None, None]:
        """Yield JSON lines in blocks of whole lines, from a position on, or after a key.

        Each block is stored before the next one is requested.

        Raises:
            DownloadIncomplete: After the last block, if records are missing.
            Gone: The record at the position, which was stored before, is not there.
        """


def download(
    source: Source,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    fields: Sequence[str] | None = None,
    schema: pa.Schema | None = None,
    default_schema: pa.Schema | None = None,
    progress: Progress = False,
    overwrite: bool = False,
) -> Path:
    """Store records in a file.

    The records are stored in ``NAME.part`` first. When a program is killed and started again, the download continues
    there. The file gets its final name when it is complete.

    Args:
        source: What to read.
        path: Path of the file; its suffix determines the format.
        format: Name of the format, instead of the suffix.
        fields: Fields to write, in this order.
        schema: Arrow schema of a Parquet file.
        default_schema: Arrow schema of a Parquet file if ``schema`` is None; other formats ignore it.
        progress: Whether to show a progress bar, or a function of ``(done, total)``.
        overwrite: Whether to replace an existing file.

    Returns:
        The path of the file.

    Raises:
        DownloadConflict: Another process downloads to this path, or an unfinished download of something else is there.
        DownloadIncomplete: The job has another number of records than were read; ``NAME.part`` stays.
        FileExistsError: The file exists, and ``overwrite`` is False.
        IsADirectoryError: The path is a folder.
        ValueError: The format is unknown or does not suit the records.
    """
    target = Path(path)
    chosen = find_format(target, format, source.formats)
    options = _check_options(chosen, fields, schema)
    if chosen.name == 'parquet' and schema is None:
        options = replace(options, schema=default_schema)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, 'the path is a folder', str(target))
    if target.exists() and not overwrite:
        message = 'the file exists; pass overwrite=True to replace it'
        raise FileExistsError(errno.EEXIST, message, str(target))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, 'the folder does not exist', str(target.parent))
    check_progress(progress)
    part = PartFile(target, {'records': source.name, 'arguments': dict(source.arguments)})
    token = waits_for_contact.set(True)
    try:
        with reporting(progress, source.name, source.total) as report:
            _fill(part, source, report)
        if chosen.is_plain and options.fields is None:
            part.publish(target)
        else:
            _convert(part, target, chosen, options, source.name)
    finally:
        waits_for_contact.reset(token)
        part.close()
    return target


def _check_options(chosen: Format, fields: Sequence[str] | None, schema: pa.Schema | None) -> Options:
    if schema is not None and chosen.name != 'parquet':
        raise ValueError(f'schema is only for Parquet files, and the format is {chosen.name}')
    if isinstance(fields, (str, bytes)) or (fields is not None and not all(isinstance(name, str) for name in fields)):
        raise TypeError(f'fields should be a list of names, got {fields!r}')
    if fields is not None and not fields:
        raise ValueError('fields should not be empty: pass None for all fields')
    if fields is not None and chosen.name in LOG_LINES:
        raise ValueError(f'fields cannot be chosen for the format {chosen.name}: its lines are time, level and message')
    if chosen.name == 'parquet':
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            message = f'the format {chosen.name} needs pyarrow: install it with pip install "scrapinghub[arrow]"'
            raise ImportError(message, name='pyarrow') from error
        if schema is not None:
            from scrapinghub.export.types import check_schema

            check_schema(schema)
    return Options(None if fields is None else list(fields), schema)


def _fill(part: PartFile, source: Source, report: Callable[[int], object]) -> None:
    """Read the records that the part file lacks."""
    try:
        _read_rest(part, source, report)
    except Replaced:
        warnings.warn(
            f'{source.name} has other records than {part.path} holds: they were replaced on the service. '
            'The download starts again.',
            stacklevel=4,
        )
        part.cut(0)
        report(0)
        _read_rest(part, source, report)
    except Gone as gone:
        raise DownloadIncomplete(
            f'{gone} has fewer records than before: {part.path} holds {part.count}, and the last one is no longer on '
            'the service. To download the records that are left, delete that file and start again.'
        ) from None


class Replaced(Exception):
    """The last record stored is not the one that the service sends."""


class Gone(Exception):
    """The service does not have the last record stored; the argument names the records."""


def _read_rest(part: PartFile, source: Source, report: Callable[[int], object]) -> None:
    last = None if part.last_line is None else _parse(part)
    size = part.size()
    if last is None or source.keyed:
        blocks = source.blocks(part.count, None if last is None else last['_key'], part.notes)
    else:
        # The last record is read again, to compare it.
        blocks = source.blocks(part.count - 1, None, part.notes)
    report(part.count)
    try:
        with closing(blocks):
            for block in blocks if last is None or source.keyed else _compare_first(blocks, last, source.name):
                part.append(block)
                report(part.count)
    except DecodeError:
        # The records of this attempt may be damaged.
        part.cut(size)
        raise
    except ScrapinghubAPIError as error:
        kept = f'{part.path} holds the {part.count} records read before'
        if isinstance(error, NotFound):
            error.add_hint(f'{kept}. To download the records that are left, delete it and start again.')
        else:
            error.add_hint(f'{kept}: the next download continues there.')
        raise


def _value(line: bytes) -> Any:
    """Return the value of a line; integers as text, since Python refuses to parse very long ones."""
    return json.loads(line, parse_int=lambda digits: f'\0{digits}')


def _parse(part: PartFile) -> Any:
    """Return the last record stored."""
    assert part.last_line is not None
    try:
        return _value(part.last_line)
    except ValueError as error:
        raise damaged(part.path, error) from None


def _compare_first(blocks: Iterable[bytes], last: Any, name: str) -> Iterable[bytes]:
    """Yield the lines after the first one, which has to be the last one stored; the order of fields may differ."""
    for block in blocks:
        if not block:
            continue
        line, _, rest = block.partition(b'\n')
        # In Python, 1 equals True.
        if json.dumps(_value(line), sort_keys=True) != json.dumps(last, sort_keys=True):
            raise Replaced
        yield rest
        yield from blocks
        return
    raise Gone(name)


def _convert(part: PartFile, target: Path, chosen: Format, options: Options, name: str) -> None:
    """Write the file from the part file, then remove the part file."""
    temporary = target.with_name(f'{target.name}.part.tmp')
    try:
        with temporary.open('wb') as file:
            with pause_while_decoding():
                try:
                    chosen.convert(part.blocks, file, options)
                except Malformed as error:
                    raise damaged(part.path, error) from None
                except SchemaMismatch as error:
                    error.add_hint(f'{part.path} holds the records of {name}: call download again with another schema.')
                    raise
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    part.remove()
