"""Types of the fields of records, for Arrow tables.

A :class:`ValueType` collects the types of the values of one field, batch by batch, and returns the Arrow type that
holds all of them without loss. Fields that no single type can hold become JSON text.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, TypeAlias

import pyarrow as pa

from scrapinghub.transport.streams.collector import decoding

MAX_KEYS = 256
MAX_DEPTH = 32

# json.dumps creates an encoder for each value.
_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode
_JSON_METADATA = {b'scrapinghub': b'json'}
_INT64 = range(-(2**63), 2**63)
# Every integer in this range is exact as a double.
_EXACT_AS_DOUBLE = range(-(2**53), 2**53 + 1)


def check_schema(schema: Any) -> None:
    """Raise an error if an argument is not a schema, or one with several fields of a name: records are objects."""
    if not isinstance(schema, pa.Schema):
        raise TypeError(f'schema should be a pyarrow.Schema, got {schema!r}')
    repeated = next((name for name, count in Counter(schema.names).items() if count > 1), None)
    if repeated is not None:
        raise ValueError(f'schema should have one field of each name, and has several fields {repeated!r}')


def json_field(name: str) -> pa.Field:
    """Return a text field whose values are JSON text."""
    return pa.field(name, pa.string(), metadata=_JSON_METADATA)


def is_json_field(field: pa.Field) -> bool:
    """Return whether the values of a field are JSON text."""
    return bool(field.metadata) and field.metadata.get(b'scrapinghub') == b'json'


def json_text(value: Any) -> str:
    """Return a value as JSON text; values that JSON does not know become their ``str()``."""
    try:
        text = _encode(value)
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, default=str)
    except TypeError:
        # MessagePack has maps whose keys are not text.
        return json.dumps(repr(value))
    return text


Columns: TypeAlias = 'dict[str, Sequence[Any]]'


def columns_of(dicts: Sequence[dict[Any, Any]]) -> Columns:
    """Return the values of each key, None where a dict lacks it; keys are in the order in which they appear first."""
    layouts = set(map(tuple, dicts))
    if len(layouts) == 1:
        # All dicts have the same keys in the same order, which is much faster.
        return dict(zip(layouts.pop(), zip(*map(dict.values, dicts), strict=True), strict=True))
    names = dict.fromkeys(chain.from_iterable(dicts))
    return {name: [value.get(name) for value in dicts] for name in names}


class ValueType:
    """What the values at one place are: the kinds seen so far, and the types of their parts.

    Args:
        depth: Number of dicts and lists around the values; 0 for records.
        deep: Whether to look into nested values.

    Attributes:
        kinds: Python types of the values; None is left out, since a missing value and null are the same.
        keys: Types of the values of each key, if some values are dicts.
        item: Type of the elements, if some values are lists.
    """

    def __init__(self, depth: int = 0, *, deep: bool = True) -> None:
        self.kinds: set[type] = set()
        self.keys: dict[str, ValueType] = {}
        self.item: ValueType | None = None
        self._depth = depth
        self._deep = deep
        self._beyond_64_bit = False
        self._inexact_as_double = False
        self._not_unicode = False
        self._not_a_struct = False

    def add(self, values: Sequence[Any]) -> None:
        """Add values; None counts as missing."""
        kinds = set(map(type, values))
        self.kinds |= kinds - {type(None)}
        if int in kinds:
            self._add_integers(_of_type(int, kinds, values))
        if str in kinds and not self._not_unicode:
            try:
                ''.join(_of_type(str, kinds, values)).encode()
            except UnicodeEncodeError:
                self._not_unicode = True
        if self._depth and not self._deep:
            return
        if list in kinds:
            self.item = self.item or ValueType(self._depth + 1)
            if self._depth < MAX_DEPTH:
                self.item.add(list(chain.from_iterable(_of_type(list, kinds, values))))
        if dict in kinds:
            self._add_dicts(_of_type(dict, kinds, values))

    def _add_integers(self, values: Sequence[int]) -> None:
        low, high = min(values), max(values)
        if low not in _INT64 or high not in _INT64:
            self._beyond_64_bit = True
        elif low not in _EXACT_AS_DOUBLE or high not in _EXACT_AS_DOUBLE:
            self._inexact_as_double = self._inexact_as_double or any(int(float(value)) != value for value in values)

    def _add_dicts(self, values: Sequence[dict[Any, Any]]) -> None:
        if self._not_a_struct:
            return
        columns = columns_of(values)
        too_many = self._depth > 0 and len(self.keys.keys() | columns.keys()) > MAX_KEYS
        if too_many or self._depth >= MAX_DEPTH or not all(type(name) is str for name in columns):
            self._not_a_struct = True
        else:
            self.add_columns(columns)

    def add_columns(self, columns: Columns) -> None:
        """Add the values of each key of dicts."""
        for name, values in columns.items():
            if name not in self.keys:
                self.keys[name] = ValueType(self._depth + 1, deep=self._deep)
            self.keys[name].add(values)

    @property
    def is_plain(self) -> bool:
        """Whether all values seen are of one scalar kind, so that an Arrow array gives them back unchanged."""
        return len(self.kinds) == 1 and self.kinds < {bool, int, float, str, bytes} and self.arrow_type() is not None

    @property
    def is_nested(self) -> bool:
        """Whether all values seen are dicts, or all are lists."""
        return self.kinds in ({dict}, {list})

    def arrow_type(self) -> pa.DataType | None:
        """Return the Arrow type that holds all values without loss; None if there is none."""
        if not self.kinds:
            return pa.null()
        if self.kinds == {int, float}:
            return None if self._beyond_64_bit or self._inexact_as_double else pa.float64()
        if len(self.kinds) > 1:
            return None
        (kind,) = self.kinds
        if kind is int:
            return None if self._beyond_64_bit else pa.int64()
        if kind is str:
            return None if self._not_unicode else pa.string()
        if kind is list:
            return self._list_type()
        if kind is dict:
            return pa.struct(self.fields()) if self.keys and not self._not_a_struct else None
        return {bool: pa.bool_(), float: pa.float64(), bytes: pa.binary()}.get(kind)

    def _list_type(self) -> pa.DataType | None:
        element = self.item.arrow_type() if self.item is not None and self._depth < MAX_DEPTH else None
        return None if element is None else pa.list_(element)

    def fields(self) -> list[pa.Field]:
        """Return a field for each key, in the order in which the keys appeared first."""
        types = ((name, value.arrow_type()) for name, value in self.keys.items())
        return [json_field(name) if kind is None else pa.field(name, kind) for name, kind in types]

    def fits(self, field: pa.Field) -> bool:
        """Return whether all values fit a field: Arrow would cut some values instead of refusing them."""
        kind = field.type
        if is_json_field(field) or not self.kinds:
            return True
        if pa.types.is_dictionary(kind):
            return self.fits(pa.field(field.name, kind.value_type))
        if pa.types.is_struct(kind):
            known = {child.name: child for child in kind}
            return self.kinds == {dict} and not self._not_a_struct and self.fit(known)
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            return self.kinds == {list} and self.item is not None and self.item.fits(kind.value_field)
        return all(self.kinds <= kinds for test, kinds in _ACCEPTED if test(kind))

    def fit(self, known: dict[str, pa.Field]) -> bool:
        """Return whether every key is one of the known fields, and its values fit it."""
        return all(name in known and value.fits(known[name]) for name, value in self.keys.items())


_ACCEPTED: tuple[tuple[Callable[[pa.DataType], bool], set[type]], ...] = (
    (pa.types.is_null, set()),
    (pa.types.is_boolean, {bool}),
    (pa.types.is_integer, {int}),
    (pa.types.is_temporal, {int}),
    (pa.types.is_floating, {int, float}),
    (pa.types.is_string, {str}),
    (pa.types.is_large_string, {str}),
    (pa.types.is_binary, {bytes}),
    (pa.types.is_large_binary, {bytes}),
    (pa.types.is_map, {dict}),
)


def _of_type(kind: type, kinds: set[type], values: Sequence[Any]) -> Sequence[Any]:
    """Return the values of one kind; ``kinds`` are those of all values."""
    return values if len(kinds) == 1 else [value for value in values if type(value) is kind]


def infer(batches: Iterable[Sequence[Any]]) -> pa.Schema:
    """Return the schema that holds all records of all batches without loss."""
    record = ValueType()
    for batch in batches:
        with decoding.pause:
            record.add(batch)
    return pa.schema(record.fields())
