"""Routes of ``/collections``."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from scrapinghub.sandbox.routes._support import parameters
from scrapinghub.sandbox.routes._support.call import Call
from scrapinghub.sandbox.routes._support.formats import Style, records_response
from scrapinghub.sandbox.routes._support.posted_records import MAX_RECORD, TOO_LARGE, pack_value, parse_lines, text_key
from scrapinghub.sandbox.routes._support.services import storage_empty, storage_value
from scrapinghub.sandbox.server.response import Response
from scrapinghub.sandbox.store import collections
from scrapinghub.sandbox.store.collections import Selection
from scrapinghub.sandbox.store.packing import pack, unpack

NAME = re.compile(r'[A-Za-z0-9_]+')
MISSING_KEY = 'Error parsing data, missing value for _key field'
STYLE = Style()
LIST_STYLE = Style(final_newline=False, msgpack=False)
#: A deletion needs one of these.
SELECTING = frozenset(('key', 'prefix', 'prefixcount', 'startts', 'endts', 'start', 'startafter'))
#: ``count`` scans this many records before it returns the key at which to continue.
COUNT_SCAN = 10_000


def listing(call: Call, project: int) -> Response:
    """Return type and name of each collection."""
    found = collections.listing(call.store.read(), project)
    page = [(b'', 0, pack({'type': kind, 'name': name})) for kind, name in found]
    return records_response(call, parameters.read_options(call).apply([page]), LIST_STYLE, project=project)


def write(call: Call, project: int, kind: str, name: str) -> Response:
    """Store the posted records, all of them or none."""
    _check_name(call, name)
    records: list[tuple[bytes, bytes]] = []
    for number, value in parse_lines(call):
        several = isinstance(value, list)
        for record in value if several else (value,):
            records.append(_record(call, number, record))
            if several and len(records[-1][1]) > MAX_RECORD:
                call.fail(413, TOO_LARGE)
    with call.store.write() as connection:
        collections.write(connection, project, kind, name, records, call.store.now())
    return storage_empty()


def _check_name(call: Call, name: str) -> None:
    if NAME.fullmatch(name) is None:
        call.fail(400, 'Invalid collection name, only letters, digits and underscores are allowed')


def _record(call: Call, number: int, record: Any) -> tuple[bytes, bytes]:
    """Return key and packed rest of a posted record."""
    if not isinstance(record, dict):
        call.fail(400, f'Error parsing data, line {number}: a record must be an object')
    if record.get('_key') in (None, ''):
        call.fail(400, MISSING_KEY)
    key = text_key(call, number, record['_key'], '_key')
    return key, pack_value(call, number, {name: value for name, value in record.items() if name != '_key'})


def write_one(call: Call, project: int, kind: str, name: str, key: str) -> Response:
    """Store one record under the key in the path."""
    _check_name(call, name)
    if len(call.body()) > MAX_RECORD:
        call.fail(413, TOO_LARGE)
    value = call.json_value()
    if not isinstance(value, dict):
        call.fail(400, 'Error parsing data, a record must be an object')
    if value.get('_key', key) != key:
        call.fail(400, f'Error parsing data, _key must be absent or {key!r} as in the path')
    record = _record(call, 1, {**value, '_key': key})
    with call.store.write() as connection:
        collections.write(connection, project, kind, name, [record], call.store.now())
    return storage_empty()


def scan(call: Call, project: int, kind: str, name: str) -> Response:
    """Return the records selected."""
    collection = _known(call, project, kind, name)
    selection = _selection(call)
    pages = collections.pages(call.store, collection, selection)
    return records_response(call, selection.options.apply(pages), STYLE, project=project)


def _known(call: Call, project: int, kind: str, name: str) -> int:
    _check_name(call, name)
    collection = collections.find(call.store.read(), project, kind, name)
    if collection is None:
        call.fail(404, f'unknown collection {name}')
    return collection


def _selection(call: Call) -> Selection:
    args = call.args()
    after = args.get('startafter')
    return Selection(
        keys=frozenset(_bytes(call, 'key', key) for key in args.getlist('key')) if 'key' in args else None,
        prefixes=tuple(dict.fromkeys(_bytes(call, 'prefix', prefix) for prefix in args.getlist('prefix'))),
        per_prefix=call.integer('prefixcount'),
        start=_bytes(call, 'start', args.get('start', '')),
        after=None if after is None else _bytes(call, 'startafter', after),
        options=parameters.read_options(call),
    )


def _bytes(call: Call, name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        call.fail(400, f'Invalid value for {name}: it is not UTF-8')


def read_one(call: Call, project: int, kind: str, name: str, key: str) -> Response:
    """Return one record."""
    ts, data = _one(call, project, kind, name, key)
    return records_response(call, [[(key.encode(), ts, data)]], STYLE, project=project)


def read_field(call: Call, project: int, kind: str, name: str, key: str, field: str) -> Response:
    """Return one field of one record, by default as text."""
    ts, data = _one(call, project, kind, name, key)
    record = unpack(data)
    if field not in record:
        call.fail(404)
    return records_response(call, [[(b'', ts, pack(record[field]))]], STYLE, project=project, default='text')


def _one(call: Call, project: int, kind: str, name: str, key: str) -> tuple[int, bytes]:
    _check_name(call, name)
    connection = call.store.read()
    collection = collections.find(connection, project, kind, name)
    if collection is None:
        call.fail(404)
    found = collections.get(connection, collection, key.encode(), call.store.now())
    if found is None:
        call.fail(404)
    return found


def count(call: Call, project: int, kind: str, name: str) -> Response:
    """Return how many of the scanned records are selected, and the key at which to continue."""
    collection = _known(call, project, kind, name)
    selection = _selection(call)
    most = selection.options.count if selection.options.count is not None else COUNT_SCAN
    selection = replace(selection, options=replace(selection.options, count=None, offset=0))
    scanned = matched = 0
    for page in collections.pages(call.store, collection, selection):
        part = page[: most - scanned]
        scanned += len(part)
        matched += len(selection.options.matching(part))
        if len(part) < len(page):
            following = page[len(part)][0].decode()
            return storage_value({'count': matched, 'scanned': scanned, 'nextstart': following})
    return storage_value({'count': matched, 'scanned': scanned})


def delete_some(call: Call, project: int, kind: str, name: str) -> Response:
    """Delete the records that keys, prefixes and times select."""
    _check_name(call, name)
    if SELECTING.isdisjoint(call.args()):
        call.fail(400, 'key, prefix, prefixcount, startts or endts is needed; POST delete?name= drops a collection')
    selection = _selection(call)
    with call.store.write() as connection:
        collection = collections.find(connection, project, kind, name)
        if collection is not None:
            found = selection.options.apply(collections.pages(call.store, collection, selection))
            collections.delete(connection, collection, [row[0] for page in found for row in page])
    return storage_empty()


def delete_keys(call: Call, project: int, kind: str, name: str) -> Response:
    """Delete the records whose keys are posted."""
    _check_name(call, name)
    keys: list[bytes] = []
    for number, value in parse_lines(call):
        keys.extend(text_key(call, number, key, 'a key') for key in (value if isinstance(value, list) else (value,)))
    _delete(call, project, kind, name, keys)
    return storage_empty()


def delete_one(call: Call, project: int, kind: str, name: str, key: str) -> Response:
    """Delete one record."""
    _check_name(call, name)
    _delete(call, project, kind, name, [key.encode()])
    return storage_empty()


def _delete(call: Call, project: int, kind: str, name: str, keys: list[bytes]) -> None:
    with call.store.write() as connection:
        collection = collections.find(connection, project, kind, name)
        if collection is not None:
            collections.delete(connection, collection, keys)


def drop(call: Call, project: int) -> Response:
    """Drop the collections of a name."""
    name = _named(call, 'name')
    with call.store.write() as connection:
        collections.drop(connection, project, name)
    return storage_value({'status': 'success', 'deleted': name}, 202)


def rename(call: Call, project: int) -> Response:
    """Rename the collections of a name."""
    name, new_name = _named(call, 'name'), _named(call, 'new_name')
    with call.store.write() as connection:
        if not collections.is_used(connection, project, name):
            call.fail(404, f'unknown collection {name}')
        if collections.is_used(connection, project, new_name):
            call.fail(400, f'Invalid value for new_name: collection {new_name} exists')
        collections.rename(connection, project, name, new_name)
    return storage_value({'status': 'success', 'renamed': new_name}, 202)


def _named(call: Call, parameter: str) -> str:
    name = call.args().get(parameter)
    if name is None:
        call.fail(400, f'{parameter} is needed')
    _check_name(call, name)
    return name


_COLLECTION = '/collections/<int:project>/<any(s, cs, vs, vcs):kind>/<name>'
ROUTES = [
    ('/collections/<int:project>/list', ('GET',), listing),
    ('/collections/<int:project>/delete', ('POST',), drop),
    ('/collections/<int:project>/rename', ('POST',), rename),
    (_COLLECTION, ('GET',), scan),
    (_COLLECTION, ('POST',), write),
    (_COLLECTION, ('DELETE',), delete_some),
    (f'{_COLLECTION}/count', ('GET',), count),
    (f'{_COLLECTION}/deleted', ('POST',), delete_keys),
    (f'{_COLLECTION}/<key>', ('GET',), read_one),
    (f'{_COLLECTION}/<key>', ('POST',), write_one),
    (f'{_COLLECTION}/<key>', ('DELETE',), delete_one),
    (f'{_COLLECTION}/<key>/<field>', ('GET',), read_field),
]
