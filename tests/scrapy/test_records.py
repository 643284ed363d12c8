from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
import scrapy
from hypothesis import given
from hypothesis import strategies as st
from scrapy.exporters import PythonItemExporter

from scrapinghub.scrapy.records import exported, item_record, log_record, request_record, stats_record


@dataclass
class Shop:
    name: Any


class Book(scrapy.Item):
    title = scrapy.Field()
    price = scrapy.Field(serializer=str)
    missing = scrapy.Field()


@pytest.mark.parametrize(
    ('item', 'record'),
    [
        ({'title': 'Emma'}, {'title': 'Emma', '_type': 'dict'}),
        (Book(title='Emma', price=3), {'title': 'Emma', 'price': '3', '_type': 'Book'}),
        (Shop('Books'), {'name': 'Books', '_type': 'Shop'}),
        ({'shop': Shop('Books'), 'tags': {'a'}}, {'shop': {'name': 'Books'}, 'tags': ['a'], '_type': 'dict'}),
        ({'title': b'Caf\xc3\xa9'}, {'title': 'Café', '_type': 'dict'}),
        ({'_type': 'mine'}, {'_type': 'mine'}),
        ({'title': 'half \ud83d'}, {'title': 'half \ufffd', '_type': 'dict'}),
        ({'title': 'whole \ud83d\ude00'}, {'title': 'whole \U0001f600', '_type': 'dict'}),
    ],
)
def test_an_item_is_exported_as_scrapy_exports_it(item: Any, record: dict[str, Any]) -> None:
    assert item_record(item) == record


@pytest.mark.parametrize('value', [2**64, -(2**63) - 1, b'\xff'])
def test_a_value_that_the_service_refuses_is_refused_before(value: Any) -> None:
    with pytest.raises(ValueError, match=r'2\*\*64|utf-8'):
        item_record({'pages': [value]})


def test_a_request_record_has_the_fields_of_the_platform() -> None:
    request = scrapy.Request('https://example.com/a', method='POST', meta={'download_latency': 0.0129})
    response = scrapy.http.Response('https://example.com/b', status=404, body=b'abc')
    record = request_record(request, response, 3, b'\x01\xff')
    assert record.pop('time') > 1_500_000_000_000
    assert record == {
        'url': 'https://example.com/b', 'status': 404, 'method': 'POST', 'rs': 3, 'duration': 12, 'parent': 3,
        'fp': '01ff',
    }  # fmt: skip


def line(message: str, *arguments: object, **options: Any) -> logging.LogRecord:
    return logging.getLogger('books').makeRecord(
        'books', 30, 'file', 1, message, arguments, **{'exc_info': None, **options}
    )


def test_a_log_line_names_its_logger() -> None:
    record = line('%s pages', 3)
    assert log_record(record) == {'message': '[books] 3 pages', 'level': 30, 'time': int(record.created * 1000)}


def test_a_log_line_has_its_traceback() -> None:
    try:
        raise ValueError('broken')
    except ValueError:
        message = log_record(line('Error', exc_info=sys.exc_info()))['message']
    assert message.startswith('[books] Error\nTraceback')
    assert message.endswith('ValueError: broken')


@pytest.mark.parametrize('letter', ['a', 'é', '\U0001f600', '\0'])
def test_a_log_line_is_cut_where_the_service_would_refuse_it(letter: str) -> None:
    message = log_record(line(letter * 1_100_000))['message']
    assert message.startswith(f'[books] {letter * 100}')
    assert message.endswith('(1100008 characters)')
    assert len(json.dumps(message)) < 2**20
    shorter = letter * 70_000
    assert log_record(line(shorter))['message'] == f'[books] {shorter}'


def test_stats_are_json_values() -> None:
    stats = {'start_time': datetime(2016, 10, 18, 1, 2, 3, 456000), 'count': 3, 'rate': None, 'pages': [1]}
    unlike = {'ratio': float('nan'), 'pairs': {(1, 2): 3}}
    assert stats_record({**stats, **unlike}) == {
        **stats, 'start_time': 1476752523456.0, 'ratio': 'nan', 'pairs': '{(1, 2): 3}',
    }  # fmt: skip


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.dates(),
        lambda values: (
            st.lists(values)
            | st.dictionaries(st.text(), values)
            | st.tuples(values)
            | st.builds(Shop, values)
            | st.builds(lambda value: Book(title=value, price=3), values)
        ),
    )
)
def test_any_value_is_exported_as_scrapy_exports_it(value: Any) -> None:
    item = {'value': value}
    assert repr(exported(item)) == repr(PythonItemExporter().export_item(item))
