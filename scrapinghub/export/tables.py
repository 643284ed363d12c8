"""Arrow tables from batches of records.

Every record is a dict. No value is lost or guessed: see :mod:`scrapinghub.export.types` for the types.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from scrapinghub.exceptions import SchemaMismatch
from scrapinghub.export.types import ValueType, columns_of, is_json_field, json_text
from scrapinghub.transport.streams.collector import decoding, pause_while_decoding

if TYPE_CHECKING:
    import pandas as pd

Records: TypeAlias = 'Sequence[dict[str, Any]]'


def to_batches(
    batches: Iterable[Records],
    schema: pa.Schema,
    key_of: Callable[[int], str | None] = lambda index: None,
    *,
    inferred: bool = False,
) -> Iterator[pa.RecordBatch]:
    """Convert records to record batches of one schema.

    Args:
        batches: Lists of records.
        schema: Schema of all batches.
        key_of: Returns the key of a record, by its index over all batches, for the error.
        inferred: Whether the schema was inferred from these records: their types are not checked then.

    Raises:
        SchemaMismatch: A record has a field that the schema lacks, or a value that does not fit its field.
    """
    index = 0
    for records in batches:
        try:
            # Not around the whole loop: the program runs between two batches.
            with pause_while_decoding(), decoding.pause:
                batch = _to_batch(records, schema) if inferred or _fit(records, schema) else None
        except _NOT_CONVERTIBLE:
            batch = None
        if batch is None:
            raise _mismatch(records, schema, index, key_of)
        yield batch
        index += len(records)


# What pyarrow raises for a value that does not fit.
_NOT_CONVERTIBLE = (pa.ArrowException, TypeError, ValueError, OverflowError)


def _to_batch(records: Records, schema: pa.Schema) -> pa.RecordBatch:
    columns = [_to_array([record.get(field.name) for record in records], field) for field in schema]
    for field, column in zip(schema, columns, strict=True):
        if not field.nullable and column.null_count:
            raise pa.ArrowInvalid(f'{field.name} is not nullable')
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _fit(records: Records, schema: pa.Schema) -> bool:
    """Return whether the types of all values fit a schema."""
    found = ValueType()
    found.add(records)
    return found.fit({field.name: field for field in schema})


def _mismatch(records: Records, schema: pa.Schema, index: int, key_of: Callable[[int], str | None]) -> SchemaMismatch:
    """Return the error for the first record of a batch that does not fit the schema."""
    required = {field.name: None for field in schema if not field.nullable}
    for offset, record in enumerate(records):
        for name, value in {**required, **record}.items():
            position = schema.get_field_index(name)
            field = schema.field(position) if position >= 0 else None
            if field is not None and _fits(value, field):
                continue
            key = key_of(index + offset) or record.get('_key')
            which = f'record {index + offset}' if key is None else f'record {key}'
            reason = 'is not in the schema' if field is None else f'does not fit the type {field.type}'
            error = SchemaMismatch(f'{which}: field {name!r} {reason}: {_shorten(value)}')
            error.key, error.field = key, name
            return error
    return SchemaMismatch(f'the records from number {index} on do not fit the schema')


def _fits(value: Any, field: pa.Field) -> bool:
    if value is None:
        return bool(field.nullable)
    found = ValueType(1)
    found.add([value])
    if not found.fits(field):
        return False
    try:
        _to_array([value], field)
    except _NOT_CONVERTIBLE:
        return False
    return True


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f'{text[:97]}...'


def _to_array(values: Sequence[Any], field: pa.Field) -> pa.Array:
    """Return values as an array of the field's type; values of a JSON field become JSON text."""
    if is_json_field(field):
        return pa.array([None if value is None else json_text(value) for value in values], field.type)
    kind = field.type
    if not _holds_json(kind):
        return pa.array(values, kind)
    missing = pa.array([value is None for value in values], pa.bool_())
    if pa.types.is_struct(kind):
        dicts = [{} if value is None else value for value in values]
        children = [_to_array([value.get(child.name) for value in dicts], child) for child in kind]
        return pa.StructArray.from_arrays(children, fields=list(kind), mask=missing)
    lists = [() if value is None else value for value in values]
    offsets = pa.array([0, *accumulate(map(len, lists))], pa.int32())
    items = _to_array(list(chain.from_iterable(lists)), kind.value_field)
    return pa.ListArray.from_arrays(offsets, items, type=kind, mask=missing)


def _holds_json(kind: pa.DataType) -> bool:
    """Return whether a part of a struct or list is a JSON field."""
    children = list(kind) if pa.types.is_struct(kind) else [kind.value_field] if pa.types.is_list(kind) else []
    return any(is_json_field(child) or _holds_json(child.type) for child in children)


class _Columns:
    """The columns of records that are read in one pass, whose schema is not known beforehand.

    Values of plain fields are stored as Arrow arrays immediately; values that may still become JSON text are kept as
    objects until all records are known.
    """

    def __init__(self, *, deep: bool, text: pa.DataType) -> None:
        self._text = text
        self.record = ValueType(deep=deep)
        self._chunks: dict[str, list[pa.Array | Sequence[Any]]] = {}
        self._counts: list[int] = []

    def add(self, records: Records) -> None:
        """Add a batch of records."""
        columns = columns_of(records)
        self.record.add_columns(columns)
        missing = [None] * len(records)
        for name, kind in self.record.keys.items():
            if name not in self._chunks:
                self._chunks[name] = [pa.nulls(count) for count in self._counts]
            values = columns.get(name, missing)
            self._chunks[name].append(pa.array(values, self._storage(kind)) if kind.is_plain else values)
        self._counts.append(len(records))

    def _storage(self, kind: ValueType) -> pa.DataType | None:
        return self._text if kind.kinds == {str} else kind.arrow_type()

    def take_array(self, field: pa.Field) -> pa.ChunkedArray:
        """Remove the values of a field and return them as an array."""
        arrays = []
        chunks = self._chunks.pop(field.name)
        while chunks:
            chunk = chunks.pop(0)
            if not isinstance(chunk, pa.Array):
                arrays.append(_to_array(chunk, field))
            elif is_json_field(field):
                arrays.append(_to_array(chunk.to_pylist(), field))
            else:
                arrays.append(chunk.cast(field.type))
        return pa.chunked_array(arrays, field.type)

    def take_objects(self, name: str) -> list[Any]:
        """Remove the values of a field and return them as they were read."""
        chunks = self._chunks.pop(name)
        return list(
            chain.from_iterable(chunk.to_pylist() if isinstance(chunk, pa.Array) else chunk for chunk in chunks)
        )


def to_table(
    batches: Iterable[Records],
    schema: pa.Schema | None = None,
    key_of: Callable[[int], str | None] = lambda index: None,
) -> pa.Table:
    """Return a table of all records.

    Args:
        batches: Lists of records.
        schema: Schema of the records; found on the way if None.
        key_of: Returns the key of a record, by its index over all batches, for the error.

    Raises:
        SchemaMismatch: A record does not fit the given schema.
    """
    if schema is not None:
        return pa.Table.from_batches(to_batches(batches, schema, key_of), schema)
    columns = _Columns(deep=True, text=pa.string())
    for records in batches:
        with decoding.pause:
            columns.add(records)
    with decoding.pause:
        schema = pa.schema(columns.record.fields())
        return pa.Table.from_arrays([columns.take_array(field) for field in schema], schema=schema)


def _shifted(key_of: Callable[[int], str | None], first: int, index: int) -> str | None:
    return key_of(first + index)


def to_frame(
    batches: Iterable[Records],
    schema: pa.Schema | None = None,
    key_of: Callable[[int], str | None] = lambda index: None,
) -> pd.DataFrame:
    """Return a pandas DataFrame of all records.

    Nested values stay the dicts and lists that were read. Integers and booleans get the nullable types of pandas, so
    that missing values do not turn integers into floats.

    Args:
        batches: Lists of records.
        schema: Schema of the records, which makes the types of the columns independent of the values; found on the way
            if None.
        key_of: Returns the key of a record, by its index over all batches, for the error.

    Raises:
        SchemaMismatch: A record does not fit the given schema.
    """
    import pandas as pd

    sizes = (8, 16, 32, 64)
    signed = {getattr(pa, f'int{size}')(): getattr(pd, f'Int{size}Dtype')() for size in sizes}
    unsigned = {getattr(pa, f'uint{size}')(): getattr(pd, f'UInt{size}Dtype')() for size in sizes}
    types = {**signed, **unsigned, pa.bool_(): pd.BooleanDtype()}
    text = pd.Series(['']).dtype
    if isinstance(text, pd.StringDtype):
        # Since pandas 3; a column without any text would become one of objects.
        types[pa.large_string()] = text
    columns = _Columns(deep=False, text=pa.large_string())
    index = 0
    for records in batches:
        if schema is not None:
            deque(to_batches([records], schema, partial(_shifted, key_of, index)), maxlen=0)
        with decoding.pause:
            columns.add(records)
        index += len(records)
    fields = columns.record.fields() if schema is None else list(schema)
    frame = {}
    for field in fields:
        found = columns.record.keys.get(field.name)
        if pa.types.is_string(field.type):
            # What pandas stores; Arrow's usual text would be copied.
            field = field.with_type(pa.large_string())
        if found is None:
            frame[field.name] = pa.nulls(index, field.type).to_pandas(types_mapper=types.get)
        elif found.is_nested and not (schema is not None and is_json_field(field)):
            frame[field.name] = pd.Series(columns.take_objects(field.name), dtype=object)
        else:
            frame[field.name] = columns.take_array(field).to_pandas(types_mapper=types.get)
    return pd.DataFrame(frame, copy=False)
