"""Decode records into the types of the user, without objects in between."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any, is_typeddict

from scrapinghub.exceptions import DecodeError
from scrapinghub.transport.codec.raw import raw_field

# Where msgspec says that a value does not fit: ``$.offers[0].price``, or a field that is missing.
_FIELD = re.compile(r'`\$\.?([^`]*)`$')
_MISSING = re.compile(r'required field `([^`]*)`')

# A JSON text begins with an ASCII character, a map of MessagePack with another byte.
_FIRST_NOT_ASCII = 0x80


def typed_decoder(kind: Any) -> Callable[[bytes], Any]:
    """Return a function that decodes a record, JSON or MessagePack, into a type.

    Args:
        kind: A ``msgspec.Struct``, dataclass or ``TypedDict``.

    Raises:
        ImportError: msgspec is not installed.
        TypeError: The type is of another kind, or has fields that cannot be decoded.
        ValueError: The type forbids unknown fields.
    """
    try:
        import msgspec
    except ImportError as error:
        message = 'type= needs msgspec: install it with pip install "scrapinghub[fast]"'
        raise ImportError(message, name='msgspec') from error
    config = getattr(kind, '__struct_config__', None)
    # An object of a dataclass is one, too.
    is_dataclass = inspect.isclass(kind) and dataclasses.is_dataclass(kind)
    if not (is_dataclass or is_typeddict(kind) or (inspect.isclass(kind) and config)):
        raise TypeError(f'type should be a msgspec.Struct, a dataclass or a TypedDict, got {kind!r}')
    if config is not None and config.forbid_unknown_fields:
        raise ValueError(f'{kind.__name__} forbids unknown fields, but each record has the field _key while it is read')
    from_json = msgspec.json.Decoder(kind).decode
    from_msgpack = msgspec.msgpack.Decoder(kind).decode

    def decode(record: bytes) -> Any:
        try:
            return from_msgpack(record) if record[0] >= _FIRST_NOT_ASCII else from_json(record)
        except Exception as error:
            raise _mismatch(record, kind.__name__, error) from error

    return decode


def _mismatch(record: bytes, name: str, cause: Exception) -> DecodeError:
    text = str(cause)
    found = _FIELD.search(text) or _MISSING.search(text)
    key: Any = None
    try:
        key = raw_field(record, '_key', None)
    except TypeError:
        # The cause describes what is wrong.
        text = f'{text}: {record[:80]!r}'
    error = DecodeError(f'the record {key or "without a key"} does not fit {name}: {text}')
    error.key, error.field = key, None if found is None else found[1]
    return error
