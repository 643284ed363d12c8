"""Complete responses: reading a whole body within limits, and decoding its values."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests

from scrapinghub.exceptions import DecodeError
from scrapinghub.redaction import redact, redact_bytes, strip_secrets
from scrapinghub.transport import codec
from scrapinghub.transport.http.body import Body
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.waits import Clock

VALUE_BYTES = 256 * 1024 * 1024
# The smallest values take many times their bytes in memory, and hardly any when compressed: what is decoded at once has
# a lower limit than what is read.
JSON_BYTES = codec.MAX_VALUE_BYTES
MAX_VALUES = 4 * 1024 * 1024


@dataclass
class DecodedResponse:
    """A complete response and its values.

    Attributes:
        response: The response of ``requests``, with its body.
        values: The values of the body, decoded by its content type.
    """

    response: requests.Response
    values: list[Any]

    @property
    def value(self) -> Any:
        """The first value; None if there is none."""
        return self.values[0] if self.values else None


def read_body(body: Body, limit: int, clock: Clock, timeout: float) -> bytes:
    """Return a whole body, or at least its first ``limit`` bytes if it is longer.

    Args:
        body: The body.
        limit: Number of bytes after which reading stops.
        clock: Measures.
        timeout: Seconds that it may take.

    Raises:
        requests.ReadTimeout: It took longer, although bytes kept arriving.
        requests.RequestException: The body is not complete.
    """
    return b''.join(read_pieces(body, limit, clock, timeout))


def read_pieces(body: Body, limit: int, clock: Clock, timeout: float) -> Iterator[bytes]:
    """Yield what :func:`read_body` returns, as it arrives."""
    deadline = clock.monotonic() + timeout
    size = 0
    for piece in body:
        yield piece
        size += len(piece)
        if size > limit:
            return
        if clock.monotonic() > deadline:
            raise requests.ReadTimeout(f'the response did not arrive within {timeout:.0f} seconds')


def set_body(response: requests.Response, body: bytes) -> None:
    """Give a response the body that was read from it, so that ``.content``, ``.text`` and ``.json()`` return it."""
    response.raw = io.BytesIO(body)


def conceal(response: requests.Response) -> None:
    """Remove credentials that a server has sent back from a response that becomes part of an error."""
    if isinstance(response.raw, io.BytesIO):
        set_body(response, redact_bytes(response.content))
        vars(response).update(_content=False, _content_consumed=False)
    response.reason = redact(response.reason or '')
    response.url = strip_secrets(response.url)
    for name, value in response.headers.items():
        response.headers[name] = redact(value)
    for cookie in response.cookies:
        cookie.value = redact(cookie.value or '')


def decode(call: Call, response: requests.Response, max_record: int) -> list[Any]:
    """Return the values of a complete response.

    Args:
        call: The request.
        response: The response with its body.
        max_record: Largest record to accept, in bytes.

    Raises:
        DecodeError: The body is not of a type that the call can return.
    """
    body = response.content
    if not body:
        return []
    content_type = response.headers.get('Content-Type')
    asked, limit = call.expects or call.accept, max(call.max_record, max_record)
    try:
        decoder = codec.decoder_for(
            content_type, asked=asked, max_record=limit, max_json=JSON_BYTES, kinds=codec.DECODERS
        )
    except codec.Malformed as error:
        raise undecodable(call, response, body, error) from None
    values: list[Any] = []
    for start in range(0, len(body), codec.PIECE_SIZE):
        values += decoder.feed(body[start : start + codec.PIECE_SIZE])
        if len(values) > MAX_VALUES:
            raise DecodeError(f'the response to {call} has more than {MAX_VALUES} values')
    values += decoder.finish()
    if decoder.error is not None:
        raise undecodable(call, response, body, decoder.error) from None
    return values


def undecodable(call: Call, response: requests.Response, body: bytes, error: Exception) -> DecodeError:
    """Return the error for a complete response that cannot be decoded; it shows how the body begins."""
    conceal(response)
    start = redact_bytes(body)[:200].decode('utf-8', 'replace')
    failure = DecodeError(
        f'the response to {call} cannot be decoded ({error}); it begins: {start!r}',
        requests.HTTPError(str(error), response=response),
    )
    failure.original = error
    return failure
