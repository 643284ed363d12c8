"""Streams of the dash: the one mechanism, asked through the chain from a job up to its connection."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import requests

from scrapinghub.exceptions import APIError
from scrapinghub.hubstorage.retrier import one_loop
from scrapinghub.hubstorage.streaming import as_dict, stream_attempts
from scrapinghub.legacy.calls import NO_STATUS, check_status
from scrapinghub.transport import codec
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.retries import Attempts, steady_policy
from scrapinghub.transport.http.transport import Transport
from scrapinghub.transport.streams.cursor import Pairs, Plan
from scrapinghub.transport.streams.cursors import ByKeys
from scrapinghub.transport.streams.stream import Source


class _Lines(Source):
    """A source of JSON lines that raises the errors of ``requests``."""

    def decoder(self, call: Call, response: requests.Response) -> codec.Decoder:
        """Return a new decoder for an answer."""
        # The format stands in the URL; what the header says about it does not matter.
        return codec.JsonLinesDecoder(self._transport.max_record)

    def explain(self, error: requests.RequestException, attempts: Attempts, plan: Plan) -> Exception:
        """Return the failure itself."""
        return error


class Answered(_Lines):
    """The source of a stream whose one answer is there already."""

    def __init__(self, transport: Transport, response: requests.Response) -> None:
        super().__init__(transport)
        self._response: requests.Response | None = response

    def open(self, call: Call, number: int) -> requests.Response:
        """Return the answer, once."""
        response, self._response = self._response, None
        if response is None:
            raise requests.ConnectionError('the answer broke off; it has to be asked for anew')
        return response

    def attempts(self, call: Call, delivered: int) -> Attempts:
        """Return a loop of a single attempt."""
        return self._transport.attempts(call, partial(steady_policy, 1, 0))


class Asking(_Lines):
    """The source of a stream that asks through the chain of an object, and again after its answer has broken off."""

    def __init__(
        self,
        transport: Transport,
        ask: Callable[[dict[str, Any]], requests.Response],
        limits: tuple[int, float],
        first: requests.Response | None = None,
    ) -> None:
        super().__init__(transport)
        self._ask = ask
        self._limits = limits
        self._first = first
        self._told: Exception | None = None
        self._failure: requests.RequestException | None = None

    def open(self, call: Call, number: int) -> requests.Response:
        """Return an answer of good status, its body not read."""
        response, self._first = self._first, None
        if response is not None:
            return response
        try:
            with one_loop():
                return self._ask(as_dict(call.params))
        except Exception as error:
            failure = _http_failure(error)
            if failure is None or failure is error:
                raise
            self._told, self._failure = error, failure
        # The loop of the stream knows the errors of requests; who gives up tells the other one. Not raised above: that
        # would cut the chain between the two.
        raise failure

    def attempts(self, call: Call, delivered: int) -> Attempts:
        """Return the retry loop."""
        return stream_attempts(self._transport, self._transport.retries, call, delivered, self._limits)

    def explain(self, error: requests.RequestException, attempts: Attempts, plan: Plan) -> Exception:
        """Return what the chain made of the failure, or the failure itself."""
        return self._told if self._told is not None and error is self._failure else error


def _http_failure(error: BaseException | None) -> requests.RequestException | None:
    """Return the failed request behind an exception."""
    while error is not None and not isinstance(error, requests.RequestException):
        error = error.__cause__ or error.__context__
    return error


class JobList(ByKeys):
    """The plan of a list of jobs: a line with the status stands before them."""

    def __init__(self, params: Pairs) -> None:
        super().__init__(params, field='id')
        self._begun = False

    @property
    def direct(self) -> bool:
        """Whether nothing but jobs comes any more."""
        return self._begun and super().direct

    def ask(self) -> Pairs | None:
        """Return the parameters of the next request."""
        self._begun = False
        return super().ask()

    def take(self, block: list[Any]) -> list[Any]:
        """Take the status off, and return the jobs that are to be delivered."""
        if block and not self._begun:
            self._begun = True
            check_status(block[0])
            block = block[1:]
        return super().take(block)

    def complete(self) -> None:
        """Note that an answer was complete.

        Raises:
            APIError: It held no status.
        """
        if not self._begun:
            raise APIError(NO_STATUS)
        super().complete()
