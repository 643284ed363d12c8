"""Records to bytes and back: JSON, JSON lines and MessagePack. Pure and incremental, no I/O."""

from scrapinghub.transport.codec.content_types import DECODERS, RAW_DECODERS
from scrapinghub.transport.codec.decoders import (
    ANY,
    JSON,
    JSON_LINES,
    MAX_RECORD_BYTES,
    MAX_VALUE_BYTES,
    MSGPACK,
    PIECE_SIZE,
    Decoder,
    Malformed,
    MsgpackDecoder,
    decoder_for,
    too_large,
)
from scrapinghub.transport.codec.encoder import EPOCH, encode_json, encode_lines, jsondefault
from scrapinghub.transport.codec.json_decoders import JsonDecoder, JsonLinesDecoder, decode_json
from scrapinghub.transport.codec.raw import count_lines, raw_field
from scrapinghub.transport.codec.typed import typed_decoder

__all__ = [
    'ANY',
    'DECODERS',
    'EPOCH',
    'JSON',
    'JSON_LINES',
    'MAX_RECORD_BYTES',
    'MAX_VALUE_BYTES',
    'MSGPACK',
    'PIECE_SIZE',
    'RAW_DECODERS',
    'Decoder',
    'JsonDecoder',
    'JsonLinesDecoder',
    'Malformed',
    'MsgpackDecoder',
    'count_lines',
    'decode_json',
    'decoder_for',
    'encode_json',
    'encode_lines',
    'jsondefault',
    'raw_field',
    'too_large',
    'typed_decoder',
]
