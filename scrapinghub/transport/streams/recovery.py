"""What follows a failure of a stream: wait and request again, continue in another way, or raise."""

from __future__ import annotations

import requests

from scrapinghub.exceptions import DecodeError, StreamInterrupted
from scrapinghub.transport.http.body import Body
from scrapinghub.transport.http.retries import Attempts
from scrapinghub.transport.streams.cursor import Cursor, Mismatch
from scrapinghub.transport.streams.source import BadRecord, CutRecord, Damaged, ResponseReader, Source

# A body may end inside the same record that many times before that record is taken for the reason.
_CUTS_AT_ONE_PLACE = 4
# So many responses in a row that do not say where they end have to bring no new record.
_EMPTY_RESPONSES = 2


class Recovery:
    """Decides after each failure of one stream, and after each response that may be incomplete.

    Args:
        source: How to request.
        cursor: What was delivered.

    Attributes:
        withheld: The last piece that was withheld, see :class:`Damaged`.
    """

    def __init__(self, source: Source, cursor: Cursor) -> None:
        self._source = source
        self._cursor = cursor
        self._attempts: Attempts | None = None
        self._progress = cursor.delivered
        self._bad_record = -1
        self._cuts = 0
        self._empty = 0
        self.withheld: tuple[int, str] | None = None
        # A damaged response of which some records were delivered.
        self._unverified: ResponseReader | None = None

    @property
    def attempt(self) -> int:
        """Number of the present attempt."""
        return 1 if self._attempts is None else self._attempts.number

    def restart(self) -> None:
        """Renew the retry budget."""
        self._attempts = None

    def verify(self) -> None:
        """Request a damaged response again, and compare it with what was delivered.

        Raises:
            requests.RequestException: The response failed, too.
            StreamInterrupted: It differs: records that were delivered may be damaged.
        """
        damaged = self._unverified
        if damaged is None:
            return
        response = self._source.open(damaged.params, self.attempt)
        try:
            same = Body(response).begins_like(damaged.body)
        finally:
            response.close()
        if not same:
            text = (
                'a compressed response was damaged in transit, and what was delivered of it differs from a repetition'
            )
            raise self.lost(Mismatch(text))
        self._unverified = None

    def trusts(self, response: ResponseReader) -> bool:
        """Return whether a response that ended was complete."""
        cursor = self._cursor
        self._bad_record = -1
        self._attempts = None
        if response.body.ambiguous and not cursor.full:
            self._empty = self._empty + 1 if cursor.delivered == response.before else 0
            if self._empty < _EMPTY_RESPONSES:
                return False
        self._empty = 0
        return True

    def mismatch(self, error: Mismatch) -> None:
        """Choose another way to continue, or raise."""
        if not self._cursor.fall_back():
            raise self.lost(error) from None
        self._bad_record = -1

    def failed(
        self, error: requests.RequestException, requested_at: float, response: ResponseReader | None = None
    ) -> None:
        """Wait until the next attempt is due, or raise.

        Args:
            error: The failure.
            requested_at: When the request was sent, by the clock of the transport.
            response: The response that failed, if it had begun.
        """
        if error is self._source.callback_error:
            raise error
        cursor, clock = self._cursor, self._source.transport.clock
        damaged = isinstance(error, requests.exceptions.ContentDecodingError)
        if damaged and response is not None and response.body.used and self._unverified is None:
            # Whatever was used of a damaged response must be verified, even if nothing more is wanted of it.
            self._unverified = response
        if cursor.full and self._unverified is None:
            return
        if isinstance(error, (BadRecord, CutRecord)):
            self._count_bad(error)
        if isinstance(error, Damaged):
            self.withheld = error.place
        progress = cursor.delivered > (self._progress if response is None else response.before)
        if self._attempts is None or progress:
            self._progress = cursor.delivered
            since = clock.monotonic() if progress else requested_at
            self._attempts = self._source.attempts(cursor.delivered, since)
        try:
            seconds = self._attempts.pause_after(error)
        except requests.RequestException:
            ours = self._source.explain(error, self._attempts, cursor)
            if ours is error:
                raise
            raise ours from None
        self._attempts.wait(seconds)

    def _count_bad(self, error: BadRecord | CutRecord) -> None:
        """Raise if a record is bad, and not only this copy of it."""
        again = self._bad_record == self._cursor.delivered
        self._bad_record = self._cursor.delivered
        self._cuts = self._cuts + 1 if again and isinstance(error, CutRecord) else 1
        if self._cuts >= _CUTS_AT_ONE_PLACE or (again and type(error) is BadRecord):
            raise self._undecodable(error) from None

    def lost(self, error: Mismatch) -> StreamInterrupted:
        """Return the error of a stream that cannot continue."""
        cause = DecodeError(f'{self._source.call}: {error}')
        cause.original = error
        return StreamInterrupted.caused_by(cause, delivered=self._cursor.delivered, last_key=self._cursor.last_key)

    def _undecodable(self, error: Exception) -> DecodeError:
        cursor = self._cursor
        where = f'record number {cursor.delivered + 1}'
        if cursor.last_key is not None:
            where += f' (the one after key {cursor.last_key})'
        failure = DecodeError(f'{self._source.call}: {where} cannot be decoded, again and again: {error}')
        failure.original = error
        return failure
