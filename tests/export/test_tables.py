"""Arrow tables and pandas frames of records: no value is lost or guessed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub import SchemaMismatch
from scrapinghub.export.tables import to_batches, to_frame, to_table
from scrapinghub.export.types import MAX_KEYS, infer, is_json_field

NAMES = st.sampled_from(['a', 'b', 'c', 'price'])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1])
    | st.floats(allow_nan=False)
    | st.text(st.characters(), max_size=5)
    | st.sampled_from(['2026-11-26', '2026-11-26T10:00:00Z', '\ud800', '12'])
    | st.binary(max_size=3)
)
VALUES = st.recursive(
    SCALARS, lambda parts: st.lists(parts, max_size=3) | st.dictionaries(NAMES, parts, max_size=3), max_leaves=8
)
RECORDS = st.lists(st.dictionaries(NAMES, VALUES, max_size=4), max_size=6)
# Records whose fields are uniform, so that not nearly everything becomes JSON text.
UNIFORM = st.lists(
    st.fixed_dictionaries(
        {'id': st.integers(-(2**63), 2**63 - 1)},
        optional={
            'name': st.text(max_size=5),
            'price': st.none() | st.floats(allow_nan=False) | st.integers(-10, 10),
            'offers': st.lists(
                st.fixed_dictionaries({'n': st.integers(0, 9)}, optional={'x': st.integers(0, 9) | st.text(max_size=2)})
            ),
            'brand': st.fixed_dictionaries({}, optional={'a': st.booleans(), 'b': st.lists(st.floats(0, 1))}),
        },
    ),
    max_size=6,
)


def in_batches(records: list[dict[str, Any]], size: int) -> list[list[dict[str, Any]]]:
    return [records[start : start + size] for start in range(0, len(records), size)]


def no_key(index: int) -> None:
    return None


def plain(value: Any) -> Any:
    """Return a value as JSON text shows it."""
    return json.loads(json.dumps(value, default=str))


def check(value: Any, stored: Any, field: pa.Field) -> None:
    """Compare a value of a record with what a column holds; missing and null are the same."""
    kind = field.type
    if value is None:
        assert stored is None
    elif is_json_field(field):
        assert json.loads(stored) == plain(value)
    elif pa.types.is_struct(kind):
        assert value.keys() <= {child.name for child in kind}
        for child in kind:
            check(value.get(child.name), stored[child.name], child)
    elif pa.types.is_list(kind):
        assert len(stored) == len(value)
        for one, other in zip(value, stored, strict=True):
            check(one, other, kind.value_field)
    else:
        assert stored == value
        assert type(stored) is type(value) or (type(stored) is float and type(value) is int)


@given(RECORDS | UNIFORM, st.integers(1, 4))
def test_a_table_holds_every_value(records: list[dict[str, Any]], size: int) -> None:
    batches = in_batches(records, size)
    table = to_table(batches)
    schema = infer(batches)
    assert table.schema.equals(schema, check_metadata=True)
    for name in table.schema.names:
        values = [record.get(name) for record in records]
        for value, stored in zip(values, table.column(name).to_pylist(), strict=True):
            check(value, stored, table.schema.field(name))


@given(RECORDS | UNIFORM, st.integers(1, 4))
def test_batches_with_the_schema_hold_the_same(records: list[dict[str, Any]], size: int) -> None:
    batches = in_batches(records, size)
    schema = infer(batches)
    table = pa.Table.from_batches(to_batches(batches, schema, no_key), schema)
    assert table.to_pylist() == to_table(batches).to_pylist() or not schema.names


@given(RECORDS | UNIFORM, st.integers(1, 4))
def test_a_frame_holds_every_value(records: list[dict[str, Any]], size: int) -> None:
    batches = in_batches(records, size)
    schema = infer(batches)
    frame, typed = to_frame(batches), to_frame(batches, schema)
    assert list(frame.columns) == list(typed.columns) == schema.names
    for name in schema.names:
        field = schema.field(name)
        for record, found in zip(records, typed[name].tolist(), strict=True):
            value = record.get(name)
            if isinstance(value, dict | list) and not is_json_field(field):
                assert found == value
            elif value is None:
                assert pd.isna(found)
            else:
                check(value, found, field)


def test_types() -> None:
    rows = [
        {'text': '2026-11-26', 'whole': 1, 'real': 1, 'flag': True, 'nothing': None, 'big': 2**70, 'mixed': 1},
        {'text': 'x', 'whole': 2**62, 'real': 0.5, 'flag': None, 'mixed': 'a', 'inexact': 2**53 + 1},
        {'inexact': 0.5, 'list': [1, None], 'items': [{'a': 1}], 'empty': {}, 'odd': [1, 'a'], 'struct': {'a': [0.5]}},
    ]
    schema = infer([rows])
    found = {field.name: 'json' if is_json_field(field) else str(field.type) for field in schema}
    assert found == {
        'text': 'string',
        'whole': 'int64',
        'real': 'double',
        'flag': 'bool',
        'nothing': 'null',
        'big': 'json',
        'mixed': 'json',
        'inexact': 'json',
        'list': 'list<item: int64>',
        'items': 'list<item: struct<a: int64>>',
        'empty': 'json',
        'odd': 'json',
        'struct': 'struct<a: list<item: double>>',
    }


def test_structs_have_at_most_256_keys() -> None:
    def found(count: int) -> bool:
        return is_json_field(infer([[{'a': {str(number): 1}} for number in range(count)]]).field('a'))

    assert not found(MAX_KEYS)
    assert found(MAX_KEYS + 1)


def test_deep_nesting_becomes_json_text() -> None:
    value: Any = 1
    for _ in range(200):
        value = {'a': [value]}
    table = to_table([[{'deep': value}]])

    def only(stored: Any, field: pa.Field) -> Any:
        return json.loads(stored) if is_json_field(field) else stored

    check(value, only(table.column('deep')[0].as_py(), table.schema.field('deep')), table.schema.field('deep'))


MISMATCHES: Sequence[tuple[dict[str, Any], str]] = [
    ({'a': 'x'}, 'a'),
    ({'a': 1.5}, 'a'),
    ({'a': True}, 'a'),
    ({'a': 2**63}, 'a'),
    ({'b': 1}, 'b'),
    ({'s': {'x': 1, 'y': 2}}, 's'),
    ({'s': [('x', 1)]}, 's'),
    ({'t': 1}, 't'),
    ({'t': b'x'}, 't'),
    ({'l': 'ab'}, 'l'),
    ({'l': [1]}, 'l'),
    ({'other': 1}, 'other'),
]
SCHEMA = pa.schema(
    [
        ('a', pa.int64()),
        ('b', pa.bool_()),
        ('s', pa.struct([('x', pa.int64())])),
        ('t', pa.string()),
        ('l', pa.list_(pa.string())),
    ]
)


@pytest.mark.parametrize(('record', 'field'), MISMATCHES)
def test_a_record_that_does_not_fit_is_named(record: dict[str, Any], field: str) -> None:
    records = [{'a': 1}, {}, record, {'a': 'later'}]
    for convert in (
        lambda: list(to_batches([records], SCHEMA, '1/2/3/{}'.format)),
        lambda: to_frame([records[:1], records[1:]], SCHEMA, '1/2/3/{}'.format),
    ):
        with pytest.raises(SchemaMismatch) as caught:
            convert()
        assert (caught.value.key, caught.value.field) == ('1/2/3/2', field)
        assert '1/2/3/2' in str(caught.value)
        assert repr(field) in str(caught.value)


def test_column_types_of_a_frame_do_not_depend_on_the_values() -> None:
    schema = infer([[{'n': 1, 'flag': True, 't': 'x', 'r': 0.5}]])
    batches: list[list[dict[str, Any]]] = [[{'n': 1, 'flag': True, 't': 'x', 'r': 0.5}], [{}], []]
    frames = [to_frame([records], schema) for records in batches]
    assert len({str(frame.dtypes.to_dict()) for frame in frames}) == 1
    assert to_frame([[{'n': 2**62 + 1}, {}]])['n'][0] == 2**62 + 1


def test_numbers_that_are_not_finite_are_kept() -> None:
    table = to_table([[{'x': math.nan}, {'x': math.inf}, {'x': 1}]])
    values = table.column('x').to_pylist()
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, 1.0]
