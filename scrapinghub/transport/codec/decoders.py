"""Choose a decoder by content type.

:data:`DECODERS` maps content types to decoders, both for requests (``Accept``) and for responses (``Content-Type``). A
new content type is one entry there.
"""

from __future__ import annotations

from collections.abc import Mapping

from scrapinghub.transport.codec.decoder import MAX_RECORD_BYTES, Decoder, Malformed
from scrapinghub.transport.codec.json_decoders import JsonDecoder, JsonLinesDecoder
from scrapinghub.transport.codec.msgpack_decoder import MsgpackDecoder, new_msgpack_decoder

# Sent as ``Accept`` where the service chooses the format: JSON lines for records, JSON for values.
ANY = '*/*'
JSON = 'application/json'
JSON_LINES = 'application/x-jsonlines'
MSGPACK = 'application/x-msgpack'

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

# A response of such a type is decoded as the type that was requested.
_UNKNOWN = frozenset({'', 'application/octet-stream', 'text/plain'})


def decoder_for(
    content_type: str | None,
    *,
    asked: str,
    max_record: int = MAX_RECORD_BYTES,
    max_json: int | None = None,
    spread: bool = False,
    kinds: Mapping[str, type[Decoder]] = DECODERS,
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
    if decoder is JsonDecoder:
        return JsonDecoder(max_record if max_json is None else max_json, spread=spread)
    if decoder is MsgpackDecoder:
        return new_msgpack_decoder(max_record)
    return decoder(max_record)
