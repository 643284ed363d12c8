"""Items, log lines, requests and samples: accepted values, stored form, and statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from scrapinghub.sandbox.store.packing import pack

#: Fields of a request in the order of the recordings, with the types that they may have.
_REQUEST_FIELDS: dict[str, type] = {
    'time': int,
    'parent': int,
    'duration': int,
    'status': int,
    'method': str,
    'rs': int,
    'url': str,
    'fp': str,
}
_REQUEST_MEASURED = ('url', 'status', 'rs', 'duration', 'parent', 'fp')
#: An array header and a one-byte code of the method.
_REQUEST_FRAME = 2


@dataclass(frozen=True)
class Kind:
    """One kind of job data.

    Attributes:
        name: First segment of its path.
        keep: Converts a posted value into the stored one.
        fields: Names under which a stored record counts in the statistics; ``None`` where there are none.
        size: Bytes that a stored record counts, given also its packed form.
    """

    name: str
    keep: Callable[[Any], Any]
    fields: Callable[[Any], Iterable[str]] | None
    size: Callable[[Any, bytes], int]


def _whole(value: Any, name: str) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f'{name} must be an integer')
    return value


def _item(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError('an item must be an object')
    return value


def _log(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError('a log line must be an object')
    message = value.get('message')
    if not isinstance(message, str):
        raise ValueError('message must be a string')
    return {'time': _whole(value.get('time'), 'time'), 'level': _whole(value.get('level'), 'level'), 'message': message}


def _request(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError('a request must be an object')
    kept: dict[str, Any] = {}
    for name, kind in _REQUEST_FIELDS.items():
        given = value.get(name)
        if given is None:
            continue
        if kind is int:
            given = _whole(given, name)
        elif not isinstance(given, str):
            raise ValueError(f'{name} must be a string')
        kept[name] = given
    if 'url' not in kept:
        raise ValueError('url must be a string')
    return kept


def _sample(value: Any) -> Any:
    if not isinstance(value, list) or not all(
        isinstance(number, (int, float)) and not isinstance(number, bool) for number in value
    ):
        raise ValueError('a sample must be an array of numbers')
    return value


def _request_size(record: Any, packed: bytes) -> int:
    return _REQUEST_FRAME + sum(len(pack(record.get(name))) for name in _REQUEST_MEASURED)


ITEMS = Kind('items', _item, tuple, lambda record, packed: len(packed))
LOGS = Kind(
    'logs',
    _log,
    lambda record: (str(record['level']),),
    lambda record, packed: len(pack(record['message'])),
)
REQUESTS = Kind(
    'requests',
    _request,
    lambda record: [name for name in record if name != 'time'],
    _request_size,
)
SAMPLES = Kind('samples', _sample, None, lambda record, packed: len(packed))
KINDS = {kind.name: kind for kind in (ITEMS, LOGS, REQUESTS, SAMPLES)}
