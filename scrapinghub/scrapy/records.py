"""Turn what happens in a crawl into the records that the platform stores of a job."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from scrapy.exporters import PythonItemExporter

from scrapinghub.transport.codec import jsondefault

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.http import Response

#: Longest log message, in characters, so that its JSON text is smaller than 1 MiB.
MAX_MESSAGE = 160_000

_exporter = PythonItemExporter(export_empty_fields=False)
_formatter = logging.Formatter('[%(name)s] %(message)s')


def now() -> int:
    """Return the time in milliseconds since the epoch."""
    return int(time.time() * 1000)


def exported(item: Any) -> dict[Any, Any]:
    """Return the fields of an item as Scrapy's own exporters do.

    Serializers of fields are applied, nested items become dictionaries, and bytes become text.
    """
    fields: dict[Any, Any] = _exporter.export_item(item)
    return fields


def item_record(item: Any) -> dict[Any, Any]:
    """Return the record of an item.

    Args:
        item: An item of any type that Scrapy supports.

    Returns:
        Its fields, and the name of its class as ``_type`` unless it has a field of that name.
    """
    record = exported(item)
    record.setdefault('_type', type(item).__name__)
    return record


def request_record(request: Request, response: Response, parent: int | None, fingerprint: bytes) -> dict[str, Any]:
    """Return the record of a request that was answered.

    Args:
        request: The request.
        response: The answer.
        parent: Number of the record of the request from whose answer this one was made.
        fingerprint: The fingerprint of the request.

    Returns:
        The record; ``duration`` is in milliseconds.
    """
    return {
        'url': response.url,
        'status': response.status,
        'method': request.method,
        'rs': len(response.body),
        'duration': int(request.meta.get('download_latency', 0) * 1000),
        'parent': parent,
        'time': now(),
        'fp': fingerprint.hex(),
    }


def log_record(record: logging.LogRecord) -> dict[str, Any]:
    """Return the record of a log line, with its traceback."""
    message = _formatter.format(record)
    if len(message) > MAX_MESSAGE:
        message = f'{message[:MAX_MESSAGE]}... ({len(message)} characters)'
    return {'message': message, 'level': record.levelno, 'time': int(record.created * 1000)}


def stats_record(stats: Mapping[str, Any]) -> dict[str, Any]:
    """Return Scrapy's stats as JSON values: datetimes become milliseconds since the epoch."""
    return {name: value if _is_plain(value) else jsondefault(value) for name, value in stats.items()}


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float, bool, type(None))) and not isinstance(value, datetime)
