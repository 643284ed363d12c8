"""The content types of the service, and the decoder of each.

A new content type is one entry in :data:`DECODERS`, and its decoder one in ``_RAW``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scrapinghub.transport.codec.decoders import (
    ANY,
    JSON,
    JSON_LINES,
    MAX_RECORD_BYTES,
    MSGPACK,
    Decoder,
    Malformed,
    MsgpackDecoder,
)
from scrapinghub.transport.codec.json_decoders import JsonDecoder, JsonLinesDecoder
from scrapinghub.transport.codec.raw import RawLinesDecoder, RawMsgpackDecoder

DECODERS: dict[str, type[Decoder]] = {
    MSGPACK: MsgpackDecoder,
    'application/msgpack': MsgpackDecoder,
    ANY: JsonLinesDecoder,
    JSON_LINES: JsonLinesDecoder,
    'application/jsonlines': JsonLinesDecoder,
    'application/x-ndjson': JsonLinesDecoder,
    JSON: JsonDecoder,
}
"""The values of ``Accept`` and the content types of responses, with their decoders."""

# Mocks label lines as one JSON value.
_RAW: Mapping[type[Decoder], type[Decoder]] = {
    MsgpackDecoder: RawMsgpackDecoder,
    JsonLinesDecoder: RawLinesDecoder,
    JsonDecoder: RawLinesDecoder,
}

RAW_DECODERS: dict[str, type[Decoder]] = {content_type: _RAW[decoder] for content_type, decoder in DECODERS.items()}
"""The decoders of raw records, by content type."""

# A response of such a type is decoded as the type that was requested.
_UNKNOWN = frozenset({'', 'application/octet-stream', 'text/plain'})


def decoder_for(
    content_type: str | None,
    *,
    asked: str,
    max_record: int = MAX_RECORD_BYTES,
    max_json: int | None = None,
    spread: bool = False,
    kinds: Mapping[str, type[Decoder]],
) -> Decoder:
    """Return a new decoder for a response.

    Args:
        content_type: The header of the response, or None. Without a type, and with a general one such as
            ``text/plain``, the response is taken for what was requested.
        asked: Content type that was requested.
        max_record: Maximum size of a record, in bytes.
        max_json: Maximum size of a body that is one JSON value, in bytes; ``max_record`` by default.
        spread: Whether the elements of a JSON array are the records, as in a stream.
        kinds: The decoder classes to choose from, by content type.

    Returns:
        A decoder.

    Raises:
        Malformed: The response has a type that no call requests, such as ``text/html``.
    """
    kind = (content_type or '').partition(';')[0].strip().lower()
    if kind == 'text/plain' and asked == MSGPACK:
        # A program that stands in for the service, and does not know the format.
        asked = JSON_LINES
    decoder = kinds.get(asked if kind in _UNKNOWN else kind)
    if decoder is None:
        raise Malformed(f'the response is {kind}, not records')
    if decoder.is_one_value:
        of_one_value: Any = decoder
        return of_one_value(max_record if max_json is None else max_json, spread=spread)  # type: ignore[no-any-return]
    return decoder(max_record)
