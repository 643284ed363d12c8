"""When a failed request is repeated, how long the pauses are, and when to give up.

The policy is an object of ``retrying``; the one loop that asks it is :class:`Attempts`. Single calls, streams and
uploads use the same loop, each with a budget of its own.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Protocol

import requests
import retrying
from urllib3 import exceptions as urllib3_errors

from scrapinghub.transport.http.network_errors import causes, describe, in_handshake

logger = logging.getLogger(__name__)

RETRY_STATUSES = frozenset({408, 429, 502, 503, 504})

DEFAULT_MAX_RETRIES = 3
DEFAULT_MAX_RETRY_TIME = 60.0
JITTER_MS = 500
BACKOFF_MS = 500

STREAM_OUTAGE_SECONDS = 3 * 3600.0
STREAM_PAUSE_LIMIT_MS = 60_000
UPLOAD_OUTAGE_SECONDS = 30 * 3600.0
UPLOAD_PAUSE_LIMIT_MS = 30_000
UPLOAD_FIRST_PAUSE_MS = 250

# Where the user gave no limit of time, an answer still cannot make a program sleep for ever.
MAX_RETRY_AFTER_SECONDS = UPLOAD_OUTAGE_SECONDS


MAYBE_APPLIED_HINT = (
    'The service may have carried this request out although its answer was lost, so it was not repeated. '
    'Look first (list the jobs, read the record back), then decide whether to send it again.'
)


class Clock(Protocol):
    """What waiting needs to know of time; tests put a clock of their own in its place."""

    def monotonic(self) -> float:
        """Return seconds from a clock that never goes back."""
        ...

    def time(self) -> float:
        """Return seconds since the epoch."""
        ...

    def wait(self, seconds: float, wake: threading.Event | None = None) -> bool:
        """Pause; return True if ``wake`` was set before the time was over."""
        ...


class SystemClock:
    """The clock of the machine."""

    def monotonic(self) -> float:
        """Return seconds from a clock that never goes back."""
        return time.monotonic()

    def time(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def wait(self, seconds: float, wake: threading.Event | None = None) -> bool:
        """Pause; return True if ``wake`` was set before the time was over."""
        if wake is None:
            time.sleep(seconds)
            return False
        return wake.wait(seconds)


class Repeat(Enum):
    """Which failures of a request allow to send it once more."""

    ALWAYS = 'repeated like a GET'
    UNRECEIVED = 'repeated only if it was certainly never received'


@dataclass(frozen=True)
class RetrySettings:
    """What the user said about retries.

    Attributes:
        max_retries: How often a failed request is repeated; None if not given, 0 for a single attempt.
        max_retry_time: Seconds since the first attempt after which nothing is repeated; None if not given, and 0
            counts as the default.
        default_retries: What ``max_retries`` is if it is not given.
        default_retry_time: What ``max_retry_time`` is if neither is given.
        backoff_ms: Half of the first pause if only ``max_retries`` is given, in milliseconds.
        jitter_ms: Upper limit of the random part of a pause, in milliseconds.
    """

    max_retries: int | None = None
    max_retry_time: float | None = None
    default_retries: int = DEFAULT_MAX_RETRIES
    default_retry_time: float = DEFAULT_MAX_RETRY_TIME
    backoff_ms: float = BACKOFF_MS
    jitter_ms: float = JITTER_MS

    def __post_init__(self) -> None:
        for name in ('max_retries', 'max_retry_time'):
            value = getattr(self, name)
            if value is None:
                continue
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value < 0:
                raise ValueError(f'{name} should be a finite number of at least 0, got {value!r}')

    @property
    def given(self) -> bool:
        """Whether the user asked for limits of his own."""
        return self.max_retries is not None or bool(self.max_retry_time)

    def for_call(self) -> retrying.Retrying:
        """Return the policy of a single call, and of a stream before its first record."""
        retries = self.default_retries if self.max_retries is None else int(self.max_retries)
        if retries == 0:
            return _policy(attempts=1, backoff_ms=0)
        if self.max_retries is not None and self.max_retry_time is None:
            return _policy(attempts=retries + 1, backoff_ms=self.backoff_ms, jitter_ms=self.jitter_ms)
        seconds = self.max_retry_time or self.default_retry_time
        # All pauses together last as long as the time that was given: m * (2 + 4 + ... + 2**(R+1)) = T.
        backoff = 1000.0 * seconds / (2 ** (min(retries, 60) + 2) - 2)
        return _policy(attempts=retries + 1, seconds=seconds, backoff_ms=backoff, jitter_ms=self.jitter_ms)

    def for_stream(self) -> retrying.Retrying:
        """Return the policy of a stream that has delivered records; it begins anew with every record."""
        if self.given:
            return self.for_call()
        return _policy(
            seconds=STREAM_OUTAGE_SECONDS,
            backoff_ms=BACKOFF_MS,
            jitter_ms=JITTER_MS,
            limit_ms=STREAM_PAUSE_LIMIT_MS,
        )

    @staticmethod
    def for_upload(max_outage: float | None = None) -> retrying.Retrying:
        """Return the policy of a writer: ``max_outage`` seconds without one successful post end it."""
        return _policy(
            seconds=UPLOAD_OUTAGE_SECONDS if max_outage is None else max_outage,
            backoff_ms=UPLOAD_FIRST_PAUSE_MS,
            jitter_ms=JITTER_MS / 2,
            limit_ms=UPLOAD_PAUSE_LIMIT_MS,
            passing=may_pass_for_upload,
        )


def steady_policy(attempts: int, seconds: float) -> retrying.Retrying:
    """Return a policy of so many attempts, with equal pauses of so many seconds between them."""
    return _policy(attempts=attempts, backoff_ms=seconds * 1000, limit_ms=seconds * 1000)


def _policy(
    *,
    attempts: int | None = None,
    seconds: float | None = None,
    backoff_ms: float,
    jitter_ms: float = 0,
    limit_ms: float = float('inf'),
    passing: Callable[[BaseException], bool] | None = None,
) -> retrying.Retrying:
    def pause(number: int, _elapsed_ms: float) -> float:
        # 2**number overflows a float after a thousand attempts in a long outage.
        return min(backoff_ms * float(2 ** min(number, 64)), limit_ms) + random.random() * jitter_ms

    return retrying.Retrying(
        stop_max_attempt_number=attempts,
        stop_max_delay=None if seconds is None else seconds * 1000,
        wait_func=pause,
        retry_on_exception=passing or may_pass,
    )


class Attempts:
    """The retry loop: made before the first attempt, told of every failure.

    Args:
        policy: Says when to stop and how long to wait.
        clock: Measures and waits.
        what: Names the request in log lines; never holds credentials.
        repeat: Which failures allow another attempt.
        wake: Ends a pause early; the pause then counts as over.

    Attributes:
        number: Number of the present attempt, from 1.
        maybe_applied: True if the loop gave up because the service may have carried the request out.
        hint: Why the loop gave up before its budget was spent, or None.
    """

    def __init__(
        self,
        policy: retrying.Retrying,
        clock: Clock,
        what: str,
        *,
        repeat: Repeat = Repeat.ALWAYS,
        wake: threading.Event | None = None,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._what = what
        self._repeat = repeat
        self._wake = wake
        self._started = clock.monotonic()
        self.number = 1
        self.maybe_applied = False
        self.hint: str | None = None

    def pause_after(self, error: requests.RequestException) -> float:
        """Return how long to wait before the next attempt, and count it.

        Args:
            error: Why the last attempt failed.

        Returns:
            Seconds.

        Raises:
            requests.RequestException: ``error`` itself, if it does not allow another attempt or the budget is spent.
        """
        if not self._policy.should_reject(retrying.Attempt((type(error), error, None), self.number, True)):
            raise error
        if self._repeat is Repeat.UNRECEIVED and not never_received(error):
            self.maybe_applied = True
            self.hint = MAYBE_APPLIED_HINT
            raise error
        elapsed_ms = max(0.0, self._clock.monotonic() - self._started) * 1000
        if self._policy.stop(self.number, elapsed_ms):
            raise error
        pause: float = self._policy.wait(self.number, elapsed_ms) / 1000
        asked = retry_after(error.response, self._clock) if error.response is not None else None
        if asked is not None:
            pause = max(pause, asked)
            if asked > MAX_RETRY_AFTER_SECONDS or self._policy.stop(0, elapsed_ms + asked * 1000):
                self.hint = (
                    f'The service asks to wait {asked:.6g} seconds (Retry-After), which is more than the retry budget '
                    'leaves: not repeated.'
                )
                raise error
        logger.warning(
            '%s failed (attempt %d), next attempt in %.1f s: %s', self._what, self.number, pause, describe(error)
        )
        self.number += 1
        return pause

    def wait_after(self, error: requests.RequestException) -> None:
        """Wait until the next attempt is due; raise as :meth:`pause_after` does."""
        self._clock.wait(self.pause_after(error), self._wake)


def retry(attempt: Callable[[], requests.Response], attempts: Attempts) -> requests.Response:
    """Run ``attempt`` until it succeeds or the budget of ``attempts`` is spent."""
    while True:
        try:
            return attempt()
        except requests.RequestException as error:
            attempts.wait_after(error)


def may_pass(error: BaseException) -> bool:
    """Return whether a failure is of the kind that another attempt may not meet."""
    if isinstance(error, requests.HTTPError):
        return error.response is not None and error.response.status_code in RETRY_STATUSES
    if isinstance(error, requests.exceptions.SSLError):
        return 'CERTIFICATE_VERIFY_FAILED' not in repr(list(causes(error))) and 'certificate' not in str(error).lower()
    return isinstance(
        error,
        (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ContentDecodingError,
        ),
    )


def may_pass_for_upload(error: BaseException) -> bool:
    """Return whether a writer waits for the end of a failure: a broken server is repaired within hours, so any 5xx is.

    501 is not: it says that the service does not know such a request.
    """
    if isinstance(error, requests.HTTPError) and error.response is not None:
        status = error.response.status_code
        return status in RETRY_STATUSES or (500 <= status <= 599 and status != 501)
    return may_pass(error)


def never_received(error: requests.RequestException) -> bool:
    """Return whether the service certainly did not receive the request that failed."""
    if isinstance(error, requests.HTTPError):
        return error.response is not None and error.response.status_code == 429
    if isinstance(error, requests.ConnectTimeout):
        return True
    if isinstance(error, requests.exceptions.SSLError):
        return 'HANDSHAKE' in str(error).upper() or 'WRONG_VERSION_NUMBER' in str(error)
    # NameResolutionError is a NewConnectionError: the look-up, the refusal and the missing route all end here. A
    # handshake that takes too long is reported as a read time-out.
    return any(isinstance(cause, urllib3_errors.NewConnectionError) or in_handshake(cause) for cause in causes(error))


def retry_after(response: requests.Response, clock: Clock) -> float | None:
    """Return the pause that an answer asks for in ``Retry-After``, in seconds; None if it does not."""
    value = response.headers.get('Retry-After', '').strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return max(0.0, date.timestamp() - clock.time())
