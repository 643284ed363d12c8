"""Records to bytes and back: JSON, JSON lines and MessagePack. Pure and incremental, no I/O."""

from scrapinghub.transport.codec.decoder import MAX_RECORD_BYTES, MAX_VALUE_BYTES, Decoder, Malformed, too_large
from scrapinghub.transport.codec.decoders import ANY, DECODERS, JSON, JSON_LINES, MSGPACK, decoder_for
from scrapinghub.transport.codec.encoder import EPOCH, encode_json, encode_lines, jsondefault
from scrapinghub.transport.codec.json_decoders import JsonDecoder, JsonLinesDecoder, decode_json
from scrapinghub.transport.codec.msgpack_decoder import PIECE_SIZE, FastMsgpackDecoder, MsgpackDecoder
from scrapinghub.transport.codec.raw import RAW_DECODERS, raw_field

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
    'FastMsgpackDecoder',
    'JsonDecoder',
    'JsonLinesDecoder',
    'Malformed',
    'MsgpackDecoder',
    'decode_json',
    'decoder_for',
    'encode_json',
    'encode_lines',
    'jsondefault',
    'raw_field',
    'too_large',
]
