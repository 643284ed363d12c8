"""Turn requests of Scrapy into requests of a frontier, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from zlib import crc32

from scrapy import Request
from scrapy.utils.request import request_from_dict

if TYPE_CHECKING:
    from scrapy import Spider

#: Keys of ``request.meta`` that say whether and where a request is queued.
ENABLED_KEY, SLOT_KEY, PRIORITY_KEY = 'frontier', 'frontier_slot', 'frontier_priority'
# What a request is made of again. Its class is not needed: a form or JSON request has its data in the body.
_FIELDS = (
    'url',
    'callback',
    'errback',
    'method',
    'headers',
    'body',
    'cookies',
    'meta',
    'encoding',
    'flags',
    'cb_kwargs',
    'dont_filter',
)
# Meta that means something in the crawl only that the request was made in.
_OWN_META = frozenset(
    (
        ENABLED_KEY, SLOT_KEY, PRIORITY_KEY, 'download_latency', 'download_slot', 'redirect_reasons', 'redirect_times',
        'redirect_ttl', 'redirect_urls', 'retry_times', 'scrapinghub_request', 'scrapinghub_work',
    )
)  # fmt: skip


def to_queue(request: Request, spider: Spider, fingerprint: bytes) -> dict[str, Any]:
    """Return the form in which a request is queued.

    Args:
        request: The request. Its callback and errback should be methods of the spider.
        spider: The spider.
        fingerprint: The fingerprint of the request.

    Returns:
        A dictionary with the fingerprint ``fp``, the priority ``p`` and the fields that differ from those of a plain
        request as ``qdata``.

    Raises:
        ValueError: A callback is not a method of the spider, or the request holds values that are not JSON.
    """
    try:
        fields = request.to_dict(spider=spider)
    except ValueError as error:
        raise ValueError(f'{request} cannot be queued: {error}') from error
    plain = Request(request.url).to_dict(spider=spider)
    fields['meta'] = {name: value for name, value in request.meta.items() if name not in _OWN_META}
    data = {name: fields[name] for name in _FIELDS if name == 'url' or fields.get(name) != plain[name]}
    if 'headers' in data:
        data['headers'] = {
            name.decode('latin-1'): [value.decode('latin-1') for value in values]
            for name, values in data['headers'].items()
        }
    if 'body' in data:
        # Any bytes have a text in this encoding.
        data['body'] = data['body'].decode('latin-1')
    try:
        changed = json.loads(json.dumps(data)) != data
    except TypeError as error:
        raise ValueError(f'{request} cannot be queued: {error}') from error
    if changed:
        raise ValueError(f'{request} cannot be queued: it holds values, such as tuples, that are not JSON')
    priority = request.meta.get(PRIORITY_KEY)
    return {'fp': fingerprint.hex(), 'p': max(0, -request.priority) if priority is None else priority, 'qdata': data}


def from_queue(fingerprint: str, data: Any, spider: Spider) -> Request:
    """Return a request that was queued.

    Args:
        fingerprint: The fingerprint, which is the URL if ``data`` has none.
        data: The ``qdata`` of the request.
        spider: The spider.

    Returns:
        The request.

    Raises:
        ValueError: There is no URL, or the spider does not have the callback or errback.
    """
    given = data if isinstance(data, Mapping) else {}
    fields = {'url': fingerprint, **{name: given[name] for name in _FIELDS if name in given}}
    if 'headers' in fields:
        fields['headers'] = {
            name.encode('latin-1'): [value.encode('latin-1') for value in values]
            for name, values in fields['headers'].items()
        }
    if 'body' in fields:
        fields['body'] = fields['body'].encode('latin-1')
    return request_from_dict(fields, spider=spider)


def slot_of(url: str, slots: int) -> str:
    """Return the slot of a URL, which all URLs of its host have.

    Args:
        url: The URL.
        slots: Number of slots.

    Example:
        >>> slot_of('https://books.example/emma', 8) == slot_of('https://books.example/walden', 8)
        True
    """
    return str(crc32(urlsplit(url).netloc.encode()) % slots)
