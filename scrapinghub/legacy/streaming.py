"""Record streams of the dash: those of the transport, requested through the chain from a job up to its connection."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import requests

from scrapinghub.exceptions import APIError
from scrapinghub.hubstorage.retrier import one_loop
from scrapinghub.hubstorage.streaming import as_dict, stream_policy
from scrapinghub.legacy.calls import NO_STATUS, check_status
from scrapinghub.transport import codec
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.retries import Attempts, steady_policy
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.streams.cursor import Cursor, Pairs
from scrapinghub.transport.streams.cursors_without_keys import DedupeCursor
from scrapinghub.transport.streams.source import Source


class _LinesSource(Source):
    """A source of JSON lines that raises the errors of ``requests``."""

    def decoder(self, response: requests.Response) -> codec.Decoder:
        """Return a new decoder for a response."""
        # The URL names the format; what the header says about it does not matter.
        return codec.JsonLinesDecoder(self.transport.max_record)

    def explain(self, error: requests.RequestException, attempts: Attempts, cursor: Cursor) -> Exception:
        """Return the failure itself."""
        return error


class SingleResponseSource(_LinesSource):
    """The source of a stream whose only response has begun already."""

    def __init__(self, transport: Transport, call: Call, response: requests.Response) -> None:
        super().__init__(transport, call)
        self._response: requests.Response | None = response

    def open(self, params: Pairs, number: int) -> requests.Response:
        """Return the response, once."""
        response, self._response = self._response, None
        if response is None:
            raise requests.ConnectionError('the response broke off; call the method again')
        return response

    def attempts(self, delivered: int, since: float) -> Attempts:
        """Return a loop of a single attempt."""
        return self.transport.attempts(self.call, partial(steady_policy, 1, 0), since)


class ChainSource(_LinesSource):
    """The source of a stream that requests through the chain of an object, and again after its response broke off.

    Args:
        transport: Of the connection.
        call: The request.
        ask: Sends the request through the chain.
        limits: ``MAX_RETRIES`` and ``RETRY_INTERVAL`` of the object.
        first: The first response, if it has begun already.
    """

    def __init__(
        self,
        transport: Transport,
        call: Call,
        ask: Callable[[dict[str, Any]], requests.Response],
        limits: tuple[int, float],
        first: requests.Response | None = None,
    ) -> None:
        super().__init__(transport, call)
        self._ask = ask
        self._limits = limits
        self._first = first
        self._chain_error: Exception | None = None
        self._failure: requests.RequestException | None = None

    def open(self, params: Pairs, number: int) -> requests.Response:
        """Return a response of good status, its body not read."""
        response, self._first = self._first, None
        if response is not None:
            return response
        try:
            with one_loop():
                return self._ask(as_dict(params))
        except Exception as error:
            failure = _http_failure(error)
            if failure is None or failure is error:
                raise
            self._chain_error, self._failure = error, failure
        # The loop of the stream handles the errors of requests; the other error is raised if it gives up. Not raised
        # above: that would break the chain between the two.
        raise failure

    def attempts(self, delivered: int, since: float) -> Attempts:
        """Return a new retry loop."""
        policy = stream_policy(self.transport.retries, delivered, self._limits)
        return self.transport.attempts(self.call, policy, since)

    def explain(self, error: requests.RequestException, attempts: Attempts, cursor: Cursor) -> Exception:
        """Return the error of the chain for the failure, or the failure itself."""
        return self._chain_error if self._chain_error is not None and error is self._failure else error


def _http_failure(error: BaseException | None) -> requests.RequestException | None:
    """Return the failed request behind an exception."""
    while error is not None and not isinstance(error, requests.RequestException):
        error = error.__cause__ or error.__context__
    return error


class JobListCursor(DedupeCursor):
    """The cursor of a list of jobs: a line with the status precedes them."""

    def __init__(self, params: Pairs) -> None:
        super().__init__(params, field='id')
        self.selecting = True
        self._begun = False

    def next_request(self) -> Pairs | None:
        """Return the parameters of the next request."""
        self._begun = False
        self.selecting = True
        return super().next_request()

    def select(self, block: list[Any]) -> list[Any]:
        """Remove the status, and return the jobs that were not delivered."""
        if not self._begun:
            self._begun = True
            check_status(block[0])
            block = block[1:]
            # Only jobs follow.
            self.selecting = self.delivered > 0
        return super().select(block)

    def complete(self) -> None:
        """Note that a response was complete.

        Raises:
            APIError: It had no status.
        """
        if not self._begun:
            raise APIError(NO_STATUS)
        super().complete()
