"""The responses of a stream: how they are requested and decoded, and their records in batches."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any

import requests

from scrapinghub.exceptions import ScrapinghubAPIError, StreamInterrupted
from scrapinghub.transport import codec
from scrapinghub.transport.http.body import Body
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.responses import undecodable
from scrapinghub.transport.http.retries import Attempts, is_transient
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.streams.collector import decoding
from scrapinghub.transport.streams.cursor import Cursor, Pairs

# How much is decoded into one list. Of a longer one, the first records have left the caches of the processor before the
# last one is decoded, and so many objects are alive at once that the garbage collector runs over them each time.
PART_SIZE = 16 * 1024


class BadRecord(requests.exceptions.ContentDecodingError):
    """A record cannot be decoded. Transmission may have damaged it, so it is requested once more."""


class Damaged(BadRecord):
    """The same in a compressed response, of whose last piece nothing was delivered.

    Args:
        place: Number of records before the bad one, and what is wrong with it.
        response: The response.
    """

    def __init__(self, place: tuple[int, str], response: requests.Response) -> None:
        super().__init__(place[1], response=response)
        self.place = place


class CutRecord(requests.exceptions.ChunkedEncodingError):
    """A body ends inside a record, although its framing says that it is complete."""


class Source:
    """How a stream requests and decodes its responses, and which errors the user gets.

    Args:
        transport: Sends the requests.
        call: What to request; its parameters are those of the cursor.
        hint: Returns what helps after an error, or None.
        raw: Whether to deliver records as the bytes that the service sent.

    Attributes:
        raw: As given.
        on_progress: Called with the number of records delivered after each batch; None for no call.
        continues_other: Whether the stream has the retry budget of one that has returned records.
        callback_error: The error that ``on_progress`` raised, if it looks like a failure of the stream.
    """

    on_progress: Callable[[int], object] | None = None
    continues_other: bool = False
    callback_error: Exception | None = None

    def __init__(
        self,
        transport: Transport,
        call: Call,
        hint: Callable[[ScrapinghubAPIError], str | None] | None = None,
        *,
        raw: bool = False,
    ) -> None:
        self.transport = transport
        self.call = call
        self.raw = raw
        self._hint = hint
        self._reported = 0

    @property
    def max_record(self) -> int:
        """Maximum size of a record, in bytes."""
        return max(self.call.max_record, self.transport.max_record)

    @property
    def name(self) -> str:
        """Path of the resource, such as ``items/1/2/3``."""
        return str(self.call).partition(' ')[2].strip('/')

    def open(self, params: Pairs, number: int) -> requests.Response:
        """Return a response of good status, its body not read; ``number`` counts the attempts."""
        return self.transport.open(replace(self.call, params=params), number)

    def attempts(self, delivered: int, since: float) -> Attempts:
        """Return a new retry loop, which counts the time from ``since``: after a failure without progress before it."""
        policy = self.transport.retries.for_stream if delivered or self.continues_other else None
        return self.transport.attempts(self.call, policy, since)

    def decoder(self, response: requests.Response) -> codec.Decoder:
        """Return a new decoder for a response.

        Raises:
            Malformed: The response has a type that no call requests.
        """
        content_type = response.headers.get('Content-Type')
        asked, limit = self.call.expects or self.call.accept, self.max_record
        kinds = codec.RAW_DECODERS if self.raw else codec.DECODERS
        return codec.decoder_for(content_type, asked=asked, max_record=limit, spread=True, kinds=kinds)

    def explain(self, error: requests.RequestException, attempts: Attempts, cursor: Cursor) -> Exception:
        """Return the exception that the user gets for a failure; it may be the failure itself."""
        ours = self.transport.translate_error(error, attempts)
        if self._hint is not None:
            ours.add_hint(self._hint(ours))
        if not is_transient(error):
            return ours
        return StreamInterrupted.caused_by(ours, delivered=cursor.delivered, last_key=cursor.last_key)

    def report(self, delivered: int) -> None:
        """Call ``on_progress``, once for each number."""
        if self.on_progress is None or delivered == self._reported:
            return
        self._reported = delivered
        try:
            self.on_progress(delivered)
        except requests.RequestException as error:
            self.callback_error = error
            raise


class ResponseReader:
    """The records of one response; iterating yields an iterator over the records of each batch.

    Args:
        source: Chooses the decoder.
        cursor: Says which records are new, and how many of them were delivered.
        response: The response, its body not read.
        params: The parameters that were requested.
        requested_at: When they were, by the clock of the transport.
        withheld: The last piece that was withheld, see :class:`Damaged`.
        lazy: Whether an iterator may decode each record when it is needed.

    Attributes:
        body: The body.
        params: As given.
        requested_at: As given.
        before: Number of records delivered before this response.
        failures: What an iterator over records may raise where it cannot decode.
    """

    def __init__(
        self,
        source: Source,
        cursor: Cursor,
        response: requests.Response,
        params: Pairs,
        *,
        requested_at: float = 0.0,
        withheld: tuple[int, str] | None = None,
        lazy: bool = True,
    ) -> None:
        self.body = Body(response)
        self.params = params
        self.requested_at = requested_at
        self.before = cursor.delivered
        self.failures = codec.Decoder.failures
        self._source = source
        self._cursor = cursor
        self._response = response
        self._may_be_lazy = lazy
        self._withheld = withheld
        self._decoder: codec.Decoder | None = None
        self._batch: Iterator[Any] = iter(())
        # What decodes the present batch, if it may fail.
        self._failing: codec.Decoder | None = None
        self._recovered: Iterator[Any] | None = None
        self._arrived = False
        self._error: codec.Malformed | None = None
        self._closed = False
        self._process = os.getpid()
        self._waiting_since = 0.0
        # Bytes since the last record.
        self._incomplete = 0

    def __iter__(self) -> Iterator[Iterator[Any]]:
        """Yield the batches; whoever iterates exhausts each before the next."""
        cursor = self._cursor
        self._waiting_since = self._source.transport.clock.monotonic()
        for piece in self.body:
            decoder = self._decoder or self._choose_decoder(piece)
            lazy = self._may_be_lazy and decoder.lazy and not (self.body.compressed or cursor.selecting or cursor.full)
            # A compressed piece with a bad record is withheld as a whole; raw records need no memory for objects.
            size = len(piece) or 1 if lazy or self.body.compressed or self._source.raw else PART_SIZE
            for start in range(0, len(piece) or 1, size):
                part, before = piece[start : start + size], cursor.delivered
                with decoding.pause:
                    yield self._read_lazily(part, decoder) if lazy else self._read(part, decoder)
                    if self._recovered is not None:
                        yield self._recovered
                if self._closed:
                    return
                if self._arrived and cursor.delivered == before and cursor.full:
                    # There is more than was asked for: not worth waiting for the end.
                    return
                self._check(before, len(part))
        if self._decoder is not None and not cursor.full:
            yield self._finish(self._decoder)
            self._check_end(self._decoder)

    def _choose_decoder(self, piece: bytes) -> codec.Decoder:
        """Choose the decoder when the body begins: an empty body may be of any type."""
        try:
            decoder = self._decoder = self._source.decoder(self._response)
        except codec.Malformed as error:
            raise undecodable(self._source.call, self._response, piece, error) from error
        self.failures = decoder.failures
        return decoder

    def _read_lazily(self, part: bytes, decoder: codec.Decoder) -> Iterator[Any]:
        """Return an iterator that decodes the records that a part of the body completes."""
        self._failing = decoder
        return self._limit(decoder.iterate(part))

    def _read(self, part: bytes, decoder: codec.Decoder) -> Iterator[Any]:
        """Return an iterator over the new records that a part of the body completes."""
        block = decoder.feed(part)
        self._arrived = bool(block)
        if block and self._cursor.selecting:
            block = self._cursor.select(block)
        if self.body.compressed:
            self._check_compressed(block, decoder.error)
        return self._limit(iter(block))

    def _finish(self, decoder: codec.Decoder) -> Iterator[Any]:
        """Return an iterator over the new records that the end of the body completes."""
        block = decoder.finish()
        if block and self._cursor.selecting:
            block = self._cursor.select(block)
        return self._limit(iter(block))

    def _limit(self, records: Iterator[Any]) -> Iterator[Any]:
        """Return an iterator over as many records as are wanted."""
        cursor = self._cursor
        self._batch = records if cursor.count is None else islice(records, max(0, cursor.count - cursor.delivered))
        return self._batch

    def _check_compressed(self, block: list[Any], error: codec.Malformed | None) -> None:
        """Withhold a block with a bad record: its compression may be damaged, and records before it may be wrong.

        If the same record has the same error a second time, the record itself is bad.

        Args:
            block: The new records.
            error: What is wrong with the one after them, if it cannot be decoded.
        """
        cursor, good = self._cursor, len(block)
        if cursor.field is not None and not cursor.raw and not {dict}.issuperset(map(type, block)):
            good = len(cursor.keys_of(block))
            error = cursor.error_of(block[good])
        if error is None:
            return
        place = cursor.delivered + good, str(error)
        if place != self._withheld:
            self.body.withdraw()
            raise Damaged(place, self._response) from error

    def recover(self, failure: Exception) -> None:
        """Continue after an iterator over records has failed.

        Raises:
            Exception: The failure itself, if it is not one of decoding.
        """
        decoder, self._failing = self._failing, None
        if decoder is None:
            raise failure
        self._recovered = self._limit(decoder.recover(failure))

    def reject(self, record: Any) -> None:
        """Note that a record cannot belong to the stream."""
        self._error = self._cursor.error_of(record)

    def _check(self, before: int, size: int) -> None:
        """Raise if a record was bad, or if none arrives."""
        source, cursor, clock = self._source, self._cursor, self._source.transport.clock
        error = self._error or (None if self._decoder is None else self._decoder.error)
        if error is not None:
            raise BadRecord(str(error), response=self._response) from error
        if self._arrived or cursor.delivered > before:
            # The consumer may take its time; only the wait for the server counts.
            self._waiting_since = clock.monotonic()
            self._incomplete = 0
            source.report(cursor.delivered)
        else:
            timeout, limit = source.transport.body_timeout, source.max_record
            if clock.monotonic() - self._waiting_since > timeout:
                text = f'no complete record within {timeout:.0f} seconds'
                raise requests.ReadTimeout(text, response=self._response)
            self._incomplete += size
            if self._incomplete > limit:
                raise BadRecord(str(codec.too_large(limit)), response=self._response)
        self._arrived = False
        self._failing = self._recovered = None
        if os.getpid() != self._process:
            raise requests.ConnectionError('the process was forked; the connection belongs to its parent')

    def _check_end(self, decoder: codec.Decoder) -> None:
        """Raise if the body ended inside a record, or the last record was bad."""
        error = decoder.error
        if error is not None:
            raise CutRecord(f'the body ends inside a record: {error}', response=self._response) from error
        if self._error is not None:
            raise BadRecord(str(self._error), response=self._response) from self._error
        self._source.report(self._cursor.delivered)

    def release(self) -> None:
        """Give the connection back, or close it if the body was not read to its end."""
        self._response.close()

    def close(self) -> None:
        """End the iteration now."""
        self._closed = True
        self.release()
        # Whoever iterates over the batch finds its end.
        with suppress(*self.failures):
            deque(self._batch, maxlen=0)
