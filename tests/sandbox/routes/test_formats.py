from __future__ import annotations

import csv
import io
import json
from typing import Any
from xml.etree import ElementTree as ET

import msgpack
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub.sandbox.store.packing import extend_map, pack, unpack
from support.caller import START, Caller

ITEMS: list[dict[str, Any]] = [
    {'name': 'plain', 'n': 1, 'tags': ['a', 'b'], 'deep': {'x': None}},
    {'name': 'with "quotes", commas\nand lines é', 'n': -2.5, 'ok': True, 'none': None},
    {'n': 2**64 - 1, 'low': -(2**63), '<&>"': '<&>'},
]


@pytest.fixture
def path(caller: Caller) -> str:
    key = caller.push()
    caller.post(f'items/{key}?start=0', *ITEMS)
    return f'items/{key}'


@pytest.mark.parametrize(
    ('accept', 'query', 'expected'),
    [
        ('*/*', '', 'application/x-jsonlines'),
        ('', '', 'application/x-jsonlines'),
        ('application/x-jsonlines', '', 'application/x-jsonlines'),
        ('application/json', '', 'application/json'),
        ('application/xml', '', 'application/xml'),
        ('text/plain', '', 'text/plain'),
        ('text/csv', '?fields=n', 'text/csv'),
        ('application/x-msgpack', '', 'application/x-msgpack'),
        ('application/x-msgpack;q=0.5, application/json', '', 'application/json'),
        ('application/*', '', 'application/x-jsonlines'),
        ('image/png', '', 'application/x-jsonlines'),
        ('complete nonsense;;;', '', 'application/x-jsonlines'),
        ('application/x-msgpack', '?format=json', 'application/json'),
        ('*/*', '?format=jl', 'application/x-jsonlines'),
        ('*/*', '?format=xml', 'application/xml'),
        ('*/*', '?format=text', 'text/plain'),
        ('*/*', '?format=csv&fields=n', 'text/csv'),
    ],
)
def test_the_format_is_chosen_by_parameter_then_by_accept(
    caller: Caller, path: str, accept: str, query: str, expected: str
) -> None:
    answer = caller.get(path + query, headers={'Accept': accept})
    assert answer.status_code == 200
    assert answer.headers['Content-Type'] == f'{expected}; charset=UTF-8'


def test_json_is_one_array(caller: Caller, path: str) -> None:
    assert caller.get(f'{path}?format=json').json() == ITEMS
    assert caller.get(f'{path}?format=json&meta=_key&count=1').json() == [{**ITEMS[0], '_key': f'{path[6:]}/0'}]
    assert caller.get(f'{path}?format=json&start={path[6:]}/3').text == '[]'


def test_every_value_survives_both_encodings(caller: Caller, path: str) -> None:
    assert caller.read(path) == caller.read_packed(path) == ITEMS
    kinds = [type(value) for item in caller.read_packed(path) for value in item.values()]
    assert kinds == [type(value) for item in ITEMS for value in item.values()]


def test_csv(caller: Caller, path: str) -> None:
    answer = caller.get(f'{path}?format=csv&fields=n,name,tags,ok,none,_key&include_headers=1&meta=_key')
    assert list(csv.reader(io.StringIO(answer.text, newline=''))) == [
        ['n', 'name', 'tags', 'ok', 'none', '_key'],
        ['1', 'plain', '["a","b"]', '', '', f'{path[6:]}/0'],
        ['-2.5', ITEMS[1]['name'], '', 'true', '', f'{path[6:]}/1'],
        ['18446744073709551615', '', '', '', '', f'{path[6:]}/2'],
    ]
    options = {'fields': 'n,name', 'sep': ';', 'quote': "'", 'escape': '\\', 'lineend': '\r\n', 'count': '2'}
    assert caller.get(path, params={'format': 'csv', **options}).text == (
        '1;plain\r\n-2.5;\'with "quotes", commas\nand lines é\'\r\n'
    )


@pytest.mark.parametrize(
    'query', ['', '&fields=', '&fields=n&sep=', '&fields=n&sep=ab', '&fields=n&quote=%0A', '&fields=n&sep=%22']
)
def test_csv_options_must_make_sense(caller: Caller, path: str, query: str) -> None:
    assert caller.get(f'{path}?format=csv{query}').status_code == 400


def test_xml_is_well_formed_whatever_is_in_it(caller: Caller, path: str) -> None:
    caller.post(f'{path}?start=3', {'control \x00\ufffe': '\x07'})
    root = ET.fromstring(caller.get(f'{path}?format=xml').content)
    assert [record.tag for record in root] == ['record'] * 4
    fields = {field.get('name'): (field.get('type'), field.text) for field in root[1]}
    assert fields == {
        'name': ('string', ITEMS[1]['name']),
        'n': ('number', '-2.5'),
        'ok': ('boolean', 'true'),
        'none': ('null', None),
    }
    tags = root[0].find('./field[@name="tags"]')
    assert tags is not None
    assert [(value.tag, value.text) for value in tags] == [('value', 'a'), ('value', 'b')]
    assert root[2][2].get('name') == root[2][2].text + '"' == '<&>"'  # type: ignore[operator]
    assert (root[3][0].get('name'), root[3][0].text) == ('control \ufffd\ufffd', '\ufffd')


def test_text_is_one_line_each(caller: Caller, path: str) -> None:
    assert [json.loads(line) for line in caller.get(f'{path}?format=text').text.splitlines()] == ITEMS


def test_saveas_names_a_file(caller: Caller, path: str) -> None:
    assert caller.get(f'{path}?saveas=items.jl').headers['Content-Disposition'] == 'Attachment; filename=items.jl'
    assert 'Content-Disposition' not in caller.get(path).headers
    assert caller.get(f'{path}?saveas=a%0D%0AX-Evil:1').status_code == 400


def test_unknown_names_of_meta_add_nothing(caller: Caller, path: str) -> None:
    assert caller.read(path, meta=['nothing', '_', 't'], count=1) == ITEMS[:1]
    assert caller.read(path, meta=['_ts', '_ts'], count=1) == [{**ITEMS[0], '_ts': START}]


def test_an_unknown_format_is_refused(caller: Caller, path: str) -> None:
    answer = caller.get(f'{path}?format=yaml')
    assert (answer.status_code, answer.text) == (400, 'Invalid format, use one of: jl json xml text csv\n')


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=['Cs'])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=['Cs'])), inner),
    max_leaves=20,
)


@given(JSON)
def test_packing_is_exact(value: Any) -> None:
    assert unpack(pack(value)) == value


@given(st.integers(0, 70_000), st.integers(1, 20))
def test_a_map_is_extended_as_if_it_had_been_packed_so(size: int, added: int) -> None:
    value = dict.fromkeys(range(size), 0)
    extra = dict.fromkeys(range(size, size + added), 0)
    pairs = b''.join(pack(key) + pack(item) for key, item in extra.items())
    assert extend_map(msgpack.packb(value), pairs, added) == msgpack.packb({**value, **extra})


@pytest.mark.parametrize('value', [2**64, -(2**63) - 1, '\ud800', {'\udfff': 1}])
def test_what_cannot_be_packed_is_an_error(value: Any) -> None:
    with pytest.raises(ValueError, match=r'64|surrogate'):
        pack(value)


@pytest.mark.parametrize(('opening', 'closing'), [('[', ']'), ('{"a":', '}'), ('[{"a":1},', ']')])
def test_what_is_accepted_can_be_written_in_every_format(caller: Caller, opening: str, closing: str) -> None:
    key = caller.push()

    def post(depth: int) -> requests.Response:
        return caller.call('POST', f'items/{key}', f'{{"f": {opening * depth}0{closing * depth}}}')

    for depth in (200, 900, 5_000, 100_000):
        refused = post(depth)
        assert refused.status_code == 400
        assert 'nested deeper than 200 levels' in refused.text
    assert post(198).status_code == 200
    for query in ('json', 'jl', 'xml', 'text', 'csv&fields=f'):
        assert caller.get(f'items/{key}?format={query}').status_code == 200
    assert caller.read_packed(f'items/{key}') == caller.read(f'items/{key}')
