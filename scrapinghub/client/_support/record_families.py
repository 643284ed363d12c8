"""The families of job data (items, logs, requests, samples): their differences, and how a read of each resumes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scrapinghub.client._support.parameters import (
    RECORD_PARAMETERS,
    Pairs,
    encode_pairs,
    merge_parameters,
    parse_number,
)
from scrapinghub.transport import codec
from scrapinghub.transport.streams.cursor import Cursor, KeysetCursor
from scrapinghub.transport.streams.cursors_without_keys import PendingKeysCursor, SkipCursor
from scrapinghub.transport.uploads.uploader import WriterOptions

# Parameters that select a range of records: partitions, follow() and tail() set the range themselves.
POSITIONS = ('count', 'index', 'offset', 'start', 'startafter')
# Parameters with which the number of the record at a position is known.
_POSITION_PARAMETERS = frozenset({'start', 'startafter', 'meta', 'nodata'})
# Parameters that change the fields of records, and not which records are read.
_FIELD_PARAMETERS = frozenset({'meta', 'nodata', 'requests_params'})


def reads_all(filters: Mapping[str, Any]) -> bool:
    """Return whether a read with these filters returns all records."""
    return _FIELD_PARAMETERS.issuperset(name for name, value in filters.items() if value is not None)


@dataclass(frozen=True)
class Family:
    """The differences between the kinds of job data.

    Attributes:
        name: First segment of the paths.
        has_msgpack: Whether the service offers MessagePack.
        has_keys: Whether records carry ``_key`` if it is requested.
        has_msgpack_keys: Whether they carry it in MessagePack, too.
        parameters: Parameters of a read that the service knows.
        has_offset: Whether ``offset`` becomes the key of the first record; otherwise it is passed on.
        has_stats: Whether the service keeps statistics.
        is_eager: Whether ``iter`` sends its first request at the call, as it did before release 3.
        has_log_lines: Whether files can have lines of time, level and message.
        record_type: Type of a record that is written, ``dict`` or ``list``.
        content_encoding: Encoding of written batches, ``gzip`` or ``identity``.
        upload: Options of the batch writer.
    """

    name: str
    has_msgpack: bool = True
    has_keys: bool = True
    has_msgpack_keys: bool = True
    parameters: frozenset[str] = RECORD_PARAMETERS | {'index'}
    has_offset: bool = False
    has_stats: bool = True
    is_eager: bool = False
    has_log_lines: bool = False
    record_type: str = 'dict'
    content_encoding: str = 'gzip'
    upload: WriterOptions = field(init=False)

    def __post_init__(self) -> None:
        options = WriterOptions(content_encoding=self.content_encoding, record_type=self.record_type, label=self.name)
        object.__setattr__(self, 'upload', options)

    def accept(self, use_msgpack: bool, values: Mapping[str, Any], depth: int = 0) -> str:
        """Return the content type to request.

        Args:
            use_msgpack: Whether the client wants MessagePack.
            values: Parameters of the request.
            depth: Number of path segments after the key of the job.
        """
        keys_missing = not self.has_msgpack_keys and '_key' in values.get('meta', ())
        if use_msgpack and self.has_msgpack and not keys_missing:
            return codec.MSGPACK
        # One field of a record is plain text if the service may choose.
        return codec.JSON_LINES if depth > 1 else codec.ANY


def parse_parameters(
    family: Family, job_key: str, named: Mapping[str, Any], params: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the parameters of a read in the form of the service.

    Args:
        family: The kind of records.
        job_key: Key of the job.
        named: The arguments that the method names.
        params: Its further arguments.
    """
    values = merge_parameters(named, params, family.parameters)
    for name in ('start', 'startafter'):
        value = values.get(name)
        if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()):
            values[name] = f'{job_key}/{parse_number(name, value)}'
    if 'index' in values:
        index = values['index']
        is_list = isinstance(index, Iterable) and not isinstance(index, str)
        values['index'] = [parse_number('index', number) for number in (index if is_list else [index])]
        if not values['index']:
            del values['index']
    if family.has_offset and 'offset' in values:
        _replace_offset(values, job_key)
    return values


def _replace_offset(values: dict[str, Any], job_key: str) -> None:
    """Replace an offset, which the storage server does not know, by the key of the first record."""
    offset = parse_number('offset', values.pop('offset'))
    if not offset:
        return
    for name in ('start', 'startafter'):
        if name in values:
            raise TypeError(f"'offset' and {name!r} both say where to begin: give one of them")
    values['start'] = f'{job_key}/{offset}'


def choose_cursor(
    family: Family, job_key: str, values: dict[str, Any], count: int | None, *, depth: int, accept: str
) -> Cursor:
    """Return the cursor of a read.

    Args:
        family: The kind of records.
        job_key: Key of the job.
        values: Parameters of the request.
        count: Maximum number of records; None for all.
        depth: Number of path segments below the job: 0 for all records, 1 for one record, 2 for a field of it.
        accept: Content type of the request.
    """
    if not family.has_keys or depth > 1:
        return SkipCursor(encode_pairs(values), count)
    meta = values.get('meta', [])
    strip = '_key' not in meta
    if strip:
        values = {**values, 'meta': [*meta, '_key']}
    if depth == 1:
        # A single record comes without its key, even if it is requested.
        return SkipCursor(encode_pairs(values), count, strip='_key' if strip else None)
    if accept == codec.MSGPACK and not family.has_msgpack_keys:
        return SkipCursor(encode_pairs(values), count, seek=seek_position(job_key, values), strip='_key')
    if 'index' in values:
        index = values.pop('index')
        return PendingKeysCursor(encode_pairs(values), 'index', index, count, name_of=parse_record_number, strip=strip)
    return KeysetCursor(encode_pairs(values), count, strip=strip)


def first_number(job_key: str, values: Mapping[str, Any]) -> int | None:
    """Return the number of the first record of a read, if the numbers of the others follow; None if not."""
    if not _POSITION_PARAMETERS.issuperset(values) or ('start' in values and 'startafter' in values):
        return None
    for name, step in (('start', 0), ('startafter', 1)):
        if name in values:
            job, _, number = str(values[name]).rpartition('/')
            return int(number) + step if job == job_key and number.isdecimal() else None
    return 0


def start_at(job_key: str, values: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return the parameters of a read that begins with the record of a number."""
    rest = {name: value for name, value in values.items() if name != 'startafter'}
    return {**rest, 'start': f'{job_key}/{number}'}


def seek_position(job_key: str, values: Mapping[str, Any]) -> Callable[[int], Pairs] | None:
    """Return a function that requests the records from a position on; None if their numbers are not known."""
    first = first_number(job_key, values)
    if first is None:
        return None
    return lambda position: encode_pairs(start_at(job_key, values, first + position))


def parse_record_number(key: str) -> str:
    """Return the number of a record from its key.

    Example:
        >>> parse_record_number('123/1/2/7')
        '7'
    """
    return key.rpartition('/')[2]
