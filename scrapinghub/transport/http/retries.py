"""When a failed request is repeated, how long the pauses are, and when to give up.

The policy is an object of ``retrying``; :class:`Attempts` is the only loop that uses it. Single calls, streams and
uploads use the same loop, each with its own budget.
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
# Errors of the request, which another attempt does not change.
FINAL_STATUSES = frozenset(range(400, 500)) - RETRY_STATUSES

DEFAULT_MAX_RETRIES = 3
DEFAULT_MAX_RETRY_TIME = 60.0
JITTER_MS = 500
BACKOFF_MS = 500

STREAM_OUTAGE_SECONDS = 3 * 3600.0
STREAM_PAUSE_LIMIT_MS = 60_000
UPLOAD_OUTAGE_SECONDS = 30 * 3600.0
UPLOAD_PAUSE_LIMIT_MS = 30_000
UPLOAD_FIRST_PAUSE_MS = 250

# Without a time limit of the user, a response still cannot make a program sleep for ever.
MAX_RETRY_AFTER_SECONDS = UPLOAD_OUTAGE_SECONDS


MAYBE_APPLIED_HINT = (
    'The service may have carried this request out although its response was lost, so it was not repeated. '
    'Check first (list the jobs, read the record back), then decide whether to send it again.'
)


class Clock(Protocol):
    """Time, as the retry loop and the writers use it; tests replace it."""

    def monotonic(self) -> float:
        """Return seconds from a clock that never goes back."""
        ...

    def time(self) -> float:
        """Return seconds since the epoch."""
        ...

    def wait(self, seconds: float, wake: threading.Event | None = None) -> bool:
        """Pause; return True if ``wake`` was set before the end of the pause."""
        ...


class SystemClock:
    """The clock of the machine."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    def wait(self, seconds: float, wake: threading.Event | None = None) -> bool:
        """Pause; return True if ``wake`` was set before the end of the pause."""
        if wake is None:
            time.sleep(seconds)
            return False
        return wake.wait(seconds)


Policy = Callable[[], retrying.Retrying]
"""Makes a policy: when to stop, and how long to wait. Policies cannot be pickled, and most calls need none."""


class Repeat(Enum):
    """Which failures of a request allow to send it again."""

    ALWAYS = 'repeated like a GET'
    UNRECEIVED = 'repeated only if it was certainly never received'


@dataclass(frozen=True)
class RetrySettings:
    """The limits of retries, as the user gave them.

    Attributes:
        max_retries: How often a failed request is repeated; None if not given, 0 for a single attempt.
        max_retry_time: Seconds since the first attempt after which nothing is repeated; None if not given, and 0
            counts as the default.
        default_retries: Value of ``max_retries`` if it is not given.
        default_retry_time: Value of ``max_retry_time`` if neither is given.
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
        """Whether the user gave a limit."""
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
        """Return the policy of a stream that has delivered records; it restarts with every record."""
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
        """Return the policy of a writer: it ends after ``max_outage`` seconds without a successful post."""
        return _policy(
            seconds=UPLOAD_OUTAGE_SECONDS if max_outage is None else max_outage,
            backoff_ms=UPLOAD_FIRST_PAUSE_MS,
            jitter_ms=JITTER_MS / 2,
            limit_ms=UPLOAD_PAUSE_LIMIT_MS,
            transient=is_transient_for_upload,
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
    transient: Callable[[BaseException], bool] | None = None,
) -> retrying.Retrying:
    def pause(number: int, _elapsed_ms: float) -> float:
        # 2**number overflows a float after a thousand attempts in a long outage.
        return min(backoff_ms * float(2 ** min(number, 64)), limit_ms) + random.random() * jitter_ms

    return retrying.Retrying(
        stop_max_attempt_number=attempts,
        stop_max_delay=None if seconds is None else seconds * 1000,
        wait_func=pause,
        retry_on_exception=transient or is_transient,
    )


class Attempts:
    """The retry loop of one operation: made before the first attempt, and called after every failure.

    Args:
        policy: Makes the policy, which says when to stop and how long to wait; called after the first failure.
        clock: Measures and waits.
        operation: Its ``str()`` names the request in log lines; it holds no credentials.
        repeat: Which failures allow another attempt.
        started: When the first attempt began, by the clock; now by default.

    Attributes:
        number: Number of the present attempt, from 1.
        maybe_applied: True if the loop gave up because the service may have carried the request out.
        hint: Why the loop gave up before its budget was spent, or None.
    """

    def __init__(
        self,
        policy: Policy,
        clock: Clock,
        operation: object,
        *,
        repeat: Repeat = Repeat.ALWAYS,
        started: float | None = None,
    ) -> None:
        self._make_policy = policy
        self._policy: retrying.Retrying | None = None
        self._clock = clock
        self._operation = operation
        self._repeat = repeat
        self._started = clock.monotonic() if started is None else started
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
        policy = self._policy = self._policy or self._make_policy()
        if not policy.should_reject(retrying.Attempt((type(error), error, None), self.number, True)):
            raise error
        if self._repeat is Repeat.UNRECEIVED and not never_received(error):
            self.maybe_applied = True
            self.hint = MAYBE_APPLIED_HINT
            raise error
        elapsed_ms = max(0.0, self._clock.monotonic() - self._started) * 1000
        if policy.stop(self.number, elapsed_ms):
            raise error
        pause: float = policy.wait(self.number, elapsed_ms) / 1000
        asked = retry_after(error.response, self._clock) if error.response is not None else None
        if asked is not None:
            pause = max(pause, asked)
            if asked > MAX_RETRY_AFTER_SECONDS or policy.stop(0, elapsed_ms + asked * 1000):
                self.hint = (
                    f'The service asks to wait {asked:.6g} seconds (Retry-After), which is more than the retry budget '
                    'leaves: not repeated.'
                )
                raise error
        logger.warning(
            '%s failed (attempt %d), next attempt in %.1f s: %s', self._operation, self.number, pause, describe(error)
        )
        self.number += 1
        return pause

    def wait_after(self, error: requests.RequestException) -> None:
        """Wait until the next attempt is due; raise as :meth:`pause_after` does."""
        self._clock.wait(self.pause_after(error))


def retry(attempt: Callable[[], requests.Response], attempts: Attempts) -> requests.Response:
    """Run ``attempt`` until it succeeds or the budget of ``attempts`` is spent."""
    while True:
        try:
            return attempt()
        except requests.RequestException as error:
            attempts.wait_after(error)


def is_transient(error: BaseException) -> bool:
    """Return whether another attempt may succeed."""
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


def is_transient_for_upload(error: BaseException) -> bool:
    """Return whether a writer retries after a failure: also for any 5xx, because broken servers are repaired in hours.

    501 is the exception: the service does not know such a request.
    """
    if isinstance(error, requests.HTTPError) and error.response is not None:
        status = error.response.status_code
        return status in RETRY_STATUSES or (500 <= status <= 599 and status != 501)
    return is_transient(error)


def never_received(error: requests.RequestException) -> bool:
    """Return whether the service certainly did not receive the request that failed."""
    if isinstance(error, requests.HTTPError):
        return error.response is not None and error.response.status_code == 429
    if isinstance(error, requests.ConnectTimeout):
        return True
    if isinstance(error, requests.exceptions.SSLError):
        return 'HANDSHAKE' in str(error).upper() or 'WRONG_VERSION_NUMBER' in str(error)
    # NameResolutionError is a NewConnectionError: the look-up, the refusal and the missing route are all reported so. A
    # handshake that takes too long is reported as a read time-out.
    return any(isinstance(cause, urllib3_errors.NewConnectionError) or in_handshake(cause) for cause in causes(error))


def retry_after(response: requests.Response, clock: Clock) -> float | None:
    """Return the pause that a response asks for in ``Retry-After``, in seconds; None if it does not."""
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
