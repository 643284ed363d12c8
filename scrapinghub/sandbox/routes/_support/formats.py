"""Formats of records: JSON lines, JSON, MessagePack, CSV, XML, text.

Routes pass pages of rows ``(key, ts, packed record)``. MessagePack responses consist of the stored bytes with the key
inserted, so that no record is decoded.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from scrapinghub.sandbox.routes._support.call import Call
from scrapinghub.sandbox.routes._support.services import CORS, compact
from scrapinghub.sandbox.server.response import Response
from scrapinghub.sandbox.store.packing import EMPTY_MAP, FIXMAP, FIXMAP_END, extend_map, is_map, pack, unpack
from scrapinghub.sandbox.store.reading import Page, Row

#: Names of the fields that ``meta=`` can add to a record.
META = ('_key', '_ts', '_project')

CONTENT_TYPES = {
    'jl': 'application/x-jsonlines',
    'json': 'application/json',
    'msgpack': 'application/x-msgpack',
    'csv': 'text/csv',
    'xml': 'application/xml',
    'text': 'text/plain',
}
#: Values of ``format=``; MessagePack is selected with the Accept header only.
FORMATS = ('jl', 'json', 'xml', 'text', 'csv')


@dataclass(frozen=True)
class Style:
    """How records of one kind are written.

    Attributes:
        key_first: Whether added fields precede the fields of the record (JSON).
        final_newline: Whether the last line ends with a newline (JSON lines).
        msgpack: Whether MessagePack is offered; otherwise a request for it returns JSON lines.
        msgpack_key: Whether ``_key`` is added in MessagePack: the logs of the real service lack it.
    """

    key_first: bool = False
    final_newline: bool = True
    msgpack: bool = True
    msgpack_key: bool = True


def negotiate(call: Call, style: Style, default: str = 'jl') -> str:
    """Return the format: ``format=``, otherwise the best offered one of the Accept header, otherwise the default.

    Raises:
        ServiceError: 400 for an unknown ``format=``.
    """
    asked = call.args().get('format')
    if asked is not None:
        if asked not in FORMATS:
            call.fail(400, f'Invalid format, use one of: {" ".join(FORMATS)}')
        return asked
    header = call.request.headers.get('Accept', '*/*')
    if header == '*/*':
        return default
    offered = [default, *(name for name in CONTENT_TYPES if name != default and (style.msgpack or name != 'msgpack'))]
    best = call.request.accept_mimetypes.best_match([CONTENT_TYPES[name] for name in offered])
    return next((name for name in offered if CONTENT_TYPES[name] == best), default)


def meta_of(call: Call) -> tuple[str, ...]:
    """Return the fields to add, in the requested order; unknown names are ignored."""
    return tuple(dict.fromkeys(name for name in call.args().getlist('meta') if name in META))


def records_response(
    call: Call,
    pages: Iterable[Page],
    style: Style,
    *,
    project: int,
    default: str = 'jl',
    project_of: Callable[[Row], int] | None = None,
) -> Response:
    """Return a response with a stream of records in the requested format.

    Args:
        call: The request; ``meta``, ``nodata`` and the parameters of formats are used.
        pages: The records.
        style: How they are written.
        project: The project's id, for ``meta=_project``.
        default: The default format.
        project_of: Returns the project of a row where a stream has records of several projects.
    """
    name = negotiate(call, style, default)
    meta = meta_of(call)
    nodata = call.flag('nodata')
    if name == 'msgpack' and not style.msgpack_key:
        meta = tuple(field for field in meta if field != '_key')
    added = _Added(meta, project, project_of)
    if call.modes.shuffle_fields:
        pages = _shuffle_fields(pages)
    if nodata:
        pages = ([(key, ts, EMPTY_MAP if is_map(data) else data) for key, ts, data in page] for page in pages)
    body: Iterable[bytes]
    if name == 'msgpack':
        body = map(added.packed, pages)
    elif name == 'jl':
        body = _json_lines(pages, added, style)
    elif name == 'json':
        body = _json_array(pages, added, style)
    elif name == 'csv':
        body = _csv(_csv_options(call), pages, added)
    elif name == 'xml':
        body = _xml(pages, added)
    else:
        body = _text(pages, added)
    headers = {'Content-Type': f'{CONTENT_TYPES[name]}; charset=UTF-8', **CORS}
    filename = call.args().get('saveas')
    if filename:
        if not filename.isprintable():
            call.fail(400, 'Invalid value for saveas: a file name is needed')
        headers['Content-Disposition'] = f'Attachment; filename={filename}'
    return Response(headers=headers, body=body, compress=True)


#: The order of fields that ``shuffle_fields`` returns.
_random = Random(0)


def _shuffle_fields(pages: Iterable[Page]) -> Iterator[Page]:
    for page in pages:
        yield [(key, ts, pack(_shuffled(unpack(data)))) for key, ts, data in page]


def _shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        names = list(value)
        _random.shuffle(names)
        return {name: _shuffled(value[name]) for name in names}
    if isinstance(value, list):
        return [_shuffled(inner) for inner in value]
    return value


class _Added:
    """The fields added to each record."""

    def __init__(self, meta: tuple[str, ...], project: int, project_of: Callable[[Row], int] | None) -> None:
        self._meta = meta
        self._project = project
        self._project_of = project_of

    def fields(self, row: Row) -> dict[str, Any]:
        key, ts, _ = row
        values: dict[str, Any] = {}
        for name in self._meta:
            if name == '_key':
                values[name] = key.decode()
            elif name == '_ts':
                values[name] = ts
            else:
                values[name] = self._project if self._project_of is None else self._project_of(row)
        return values

    def packed(self, page: Page) -> bytes:
        """Write a page in MessagePack."""
        if not self._meta:
            return b''.join([row[2] for row in page])
        parts: list[bytes] = []
        plain = self._meta == ('_key',)
        for row in page:
            key, _, data = row
            # The usual case without a function call: a small record and a short key.
            if plain and FIXMAP <= data[0] < FIXMAP_END and len(key) < 32:
                parts.append(b'%c%b\xa4_key%c%b' % (data[0] + 1, data[1:], 0xA0 + len(key), key))
            elif is_map(data):
                pairs = b''.join(pack(name) + pack(value) for name, value in self.fields(row).items())
                parts.append(extend_map(data, pairs, len(self._meta)))
            else:
                parts.append(data)
        return b''.join(parts)

    def json(self, row: Row, *, first: bool) -> bytes:
        """Write one record as JSON; a field that the record has too appears twice."""
        text = compact(unpack(row[2]))
        if not self._meta or not is_map(row[2]):
            return text
        own, extra = text[1:-1], compact(self.fields(row))[1:-1]
        if not own:
            return b'{%b}' % extra
        return b'{%b,%b}' % ((extra, own) if first else (own, extra))

    def value(self, row: Row) -> Any:
        """Return one record as an object, added fields included."""
        value = unpack(row[2])
        return {**value, **self.fields(row)} if isinstance(value, dict) and self._meta else value


def _json_lines(pages: Iterable[Page], added: _Added, style: Style) -> Iterator[bytes]:
    separator = b''
    for page in pages:
        lines = b'\n'.join([added.json(row, first=style.key_first) for row in page])
        if style.final_newline:
            yield lines + b'\n' if page else b''
        elif page:
            yield separator + lines
            separator = b'\n'


def _json_array(pages: Iterable[Page], added: _Added, style: Style) -> Iterator[bytes]:
    separator = b'['
    for page in pages:
        if page:
            yield separator + b','.join([added.json(row, first=style.key_first) for row in page])
            separator = b','
    yield b']' if separator == b',' else b'[]'


def _plain(value: Any) -> str:
    """Return a value as text: strings unchanged, nothing for null, JSON for other values."""
    if value is None:
        return ''
    return value if isinstance(value, str) else compact(value).decode()


def _text(pages: Iterable[Page], added: _Added) -> Iterator[bytes]:
    for page in pages:
        yield ''.join([f'{_plain(added.value(row))}\n' for row in page]).encode()


@dataclass(frozen=True)
class _CsvOptions:
    fields: list[str]
    headers: bool
    separator: str
    quote: str
    escape: str
    line_end: str


def _csv_options(call: Call) -> _CsvOptions:
    args = call.args()
    fields = [name for name in args.get('fields', '').split(',') if name]
    if not fields:
        call.fail(400, 'CSV needs fields=, a comma-separated list of field names')
    single = {'sep': args.get('sep', ','), 'quote': args.get('quote', '"'), 'escape': args.get('escape', '"')}
    for name, value in single.items():
        if len(value) != 1 or value in '\r\n\0':
            call.fail(400, f'Invalid value for {name}: one character is needed')
    if single['sep'] in (single['quote'], single['escape']):
        call.fail(400, 'Invalid value for sep: it must differ from quote and escape')
    headers, line_end = call.flag('include_headers'), args.get('lineend', '\n')
    return _CsvOptions(fields, headers, single['sep'], single['quote'], single['escape'], line_end)


def _csv(options: _CsvOptions, pages: Iterable[Page], added: _Added) -> Iterator[bytes]:
    doubled = options.escape == options.quote
    buffer = io.StringIO()
    writer = csv.writer(
        buffer,
        delimiter=options.separator,
        quotechar=options.quote,
        escapechar=None if doubled else options.escape,
        doublequote=doubled,
        lineterminator=options.line_end,
    )
    if options.headers:
        writer.writerow(options.fields)
    for page in pages:
        for row in page:
            value = added.value(row)
            record = value if isinstance(value, dict) else {}
            writer.writerow([_plain(record.get(name)) for name in options.fields])
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue().encode()


#: Characters that XML 1.0 cannot hold.
_NOT_XML = re.compile('[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')
_XML_TYPES = {bool: 'boolean', int: 'integer', float: 'number', str: 'string', list: 'array', dict: 'object'}


def _xml_text(text: str) -> str:
    return _NOT_XML.sub('\ufffd', text)


def _xml_element(tag: str, value: Any, name: str | None = None) -> str:
    kind = _XML_TYPES.get(type(value), 'null')
    named = '' if name is None else f' name={quoteattr(_xml_text(name))}'
    if isinstance(value, dict):
        inner = ''.join(_xml_element('field', inner, key) for key, inner in value.items())
    elif isinstance(value, list):
        inner = ''.join(_xml_element('value', inner) for inner in value)
    else:
        inner = escape(_xml_text(_plain(value)))
    return f'<{tag}{named} type="{kind}">{inner}</{tag}>'


def _xml(pages: Iterable[Page], added: _Added) -> Iterator[bytes]:
    yield b'<?xml version="1.0" encoding="UTF-8"?>\n<records>\n'
    for page in pages:
        yield ''.join([_xml_element('record', added.value(row)) + '\n' for row in page]).encode()
    yield b'</records>\n'
