"""The content types of the service, and the decoder of each.

A new content type is one entry in :data:`DECODERS`, and its decoder one in ``_RAW``.
"""

from __future__ import annotations

from collections.abc import Mapping

from scrapinghub.transport.codec.decoders import (
    ANY,
    JSON,
    JSON_LINES,
    MSGPACK,
    Decoder,
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
