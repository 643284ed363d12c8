"""When a failed request is repeated, how long the pauses are, and when to give up.

The policy is an object of ``retrying``; :class:`Attempts` is the only loop that uses it. Single calls, streams and
uploads use the same loop, each with its own budget.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Container
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import MAXYEAR
from email.utils import mktime_tz, parsedate_tz
from enum import Enum
from urllib.parse import urlsplit

import requests
import retrying
from urllib3 import exceptions as urllib3_errors

from scrapinghub.transport.http.network_errors import causes, describe, in_handshake
from scrapinghub.transport.http.waits import INSTANT_PAUSE, Clock, WaitLog, instant

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

# A writer waits no longer than that, whatever a response asks for.
UPLOAD_RETRY_AFTER_SECONDS = 3600.0

# A host that has never responded: pauses of 0.5, 1 and 2 seconds.
FIRST_CONTACT_SECONDS = 5.0
FIRST_CONTACT_PAUSE = 0.5
# Set during a download, which may start in an outage.
waits_for_contact: ContextVar[bool] = ContextVar('waits_for_contact', default=False)

# Without a time limit of the user, a response still cannot make a program sleep for ever.
MAX_RETRY_AFTER_SECONDS = UPLOAD_OUTAGE_SECONDS

MAYBE_APPLIED_HINT = (
    'The service may have carried this request out although its response was lost, so it was not repeated. '
    'Check first (list the jobs, read the record back), then decide whether to send it again.'
)


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

    def for_call(self) -> Policy:
        """Return the policy of a single call, and of a stream before its first record."""
        retries = self.default_retries if self.max_retries is None else int(self.max_retries)
        if retries == 0:
            return Policy(attempts=1)
        if self.max_retries is not None and self.max_retry_time is None:
            return Policy(attempts=retries + 1, backoff_ms=self.backoff_ms, jitter_ms=self.jitter_ms)
        seconds = self.max_retry_time or self.default_retry_time
        # All pauses together last as long as the time that was given: m * (2 + 4 + ... + 2**(R+1)) = T.
        backoff = 1000.0 * seconds / (2 ** (min(retries, 60) + 2) - 2)
        return Policy(
            attempts=retries + 1,
            seconds=seconds,
            backoff_ms=backoff,
            jitter_ms=self.jitter_ms,
            short_without_contact=not self.given,
        )

    def for_stream(self) -> Policy:
        """Return the policy of a stream that has delivered records; it restarts with every record."""
        if self.given:
            return self.for_call()
        return Policy(
            seconds=STREAM_OUTAGE_SECONDS,
            backoff_ms=BACKOFF_MS,
            jitter_ms=JITTER_MS,
            limit_ms=STREAM_PAUSE_LIMIT_MS,
        )

    @staticmethod
    def for_upload(max_outage: float | None = None) -> Policy:
        """Return the policy of a writer: it ends after ``max_outage`` seconds without a successful post."""
        return Policy(
            seconds=UPLOAD_OUTAGE_SECONDS if max_outage is None else max_outage,
            backoff_ms=UPLOAD_FIRST_PAUSE_MS,
            jitter_ms=JITTER_MS / 2,
            limit_ms=UPLOAD_PAUSE_LIMIT_MS,
            transient=is_transient_for_upload,
            longest_retry_after=UPLOAD_RETRY_AFTER_SECONDS,
            settings='max_outage',
        )


# The first object makes a logger, which needs the lock of logging. A thread that waits for a request may hold it.
retrying.Retrying()


def steady_policy(attempts: int, seconds: float) -> Policy:
    """Return a policy of a number of attempts, with equal pauses of so many seconds between them."""
    return Policy(attempts=attempts, backoff_ms=seconds * 1000, limit_ms=seconds * 1000)


@dataclass(frozen=True)
class Policy:
    """When to stop, and how long to wait. It can be pickled, unlike those of ``retrying``, which are made when used.

    Attributes:
        attempts: Most attempts; None for no limit.
        seconds: Seconds since the first attempt after which there is no other; None for no limit.
        backoff_ms: Half of the first pause, in milliseconds; each pause is twice as long as the one before.
        jitter_ms: Upper limit of the random part of a pause, in milliseconds.
        limit_ms: Longest pause without its random part, in milliseconds.
        transient: Returns whether another attempt may succeed after a failure.
        longest_retry_after: Longest pause that a response can ask for, in seconds; None to give up where it asks for
            more than the budget leaves.
        short_without_contact: Whether a host that cannot be reached, and has never responded, is given up after
            :data:`FIRST_CONTACT_SECONDS`: most often its address is wrong.
        settings: Names of the parameters that change the limits, for log lines.
    """

    attempts: int | None = None
    seconds: float | None = None
    backoff_ms: float = 0.0
    jitter_ms: float = 0.0
    limit_ms: float = math.inf
    transient: Callable[[BaseException], bool] | None = None
    longest_retry_after: float | None = None
    short_without_contact: bool = False
    settings: str = 'max_retries and max_retry_time'

    def build(self) -> retrying.Retrying:
        """Return the policy as an object of ``retrying``."""
        return retrying.Retrying(
            stop_max_attempt_number=self.attempts,
            stop_max_delay=None if self.seconds is None else self.seconds * 1000,
            wait_func=self._pause_ms,
            retry_on_exception=self.transient or is_transient,
        )

    def _pause_ms(self, number: int, _elapsed_ms: float) -> float:
        # 2**number overflows a float after a thousand attempts in a long outage.
        return min(self.backoff_ms * float(2 ** min(number, 64)), self.limit_ms) + random.random() * self.jitter_ms

    @property
    def limits(self) -> str:
        """The limits in words."""
        texts = [] if self.attempts is None else [f'{self.attempts} attempts']
        texts += [] if self.seconds is None else [f'{self.seconds:.0f} s']
        return f'Retries end after {" or ".join(texts)}; to change that, set {self.settings}.'


class Attempts:
    """The retry loop of one operation: made before the first attempt, and called after every failure.

    Args:
        policy: Returns the policy; called after the first failure.
        clock: Measures and waits.
        operation: Its ``str()`` names the request in log lines; it holds no credentials.
        repeat: Which failures allow another attempt.
        url: Address of the request.
        contacted: The hosts that have responded, by their part of the address; None if that does not matter.
        started: When the first attempt began, by the clock; now by default.

    Attributes:
        number: Number of the present attempt, from 1.
        maybe_applied: True if the loop gave up because the service may have carried the request out.
        hint: Why the loop gave up before its budget was spent, or None.
    """

    def __init__(
        self,
        policy: Callable[[], Policy],
        clock: Clock,
        operation: object,
        *,
        repeat: Repeat = Repeat.ALWAYS,
        url: str = '',
        contacted: Container[str] | None = None,
        started: float | None = None,
    ) -> None:
        self._make_policy = policy
        self._policy: Policy | None = None
        self._clock = clock
        self._operation = operation
        self._repeat = repeat
        self._url = url
        self._contacted = contacted
        self._started = clock.monotonic() if started is None else started
        # Pauses that were skipped count as if they had passed.
        self._skipped = 0.0
        self._log: WaitLog | None = None
        self.number = 1
        self.maybe_applied = False
        self.hint: str | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since the first attempt began."""
        return max(0.0, self._clock.monotonic() - self._started) + self._skipped

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
        rules = policy.build()
        if not rules.should_reject(retrying.Attempt((type(error), error, None), self.number, True)):
            raise error
        if self._repeat is Repeat.UNRECEIVED and not never_received(error):
            self.maybe_applied = True
            self.hint = MAYBE_APPLIED_HINT
            raise error
        elapsed = self.elapsed
        if policy.short_without_contact and not waits_for_contact.get() and self._never_reached(error):
            policy = replace(policy, attempts=None, seconds=FIRST_CONTACT_SECONDS)
            pause = self._first_contact_pause(policy, error, elapsed)
        else:
            pause = self._pause(policy, rules, error, elapsed)
        if self._log is None:
            self._log = WaitLog(self._clock, self._operation, self._url)
        self._log.failed(self.number, elapsed, pause, describe(error), policy.limits)
        self.number += 1
        if instant(self._url):
            self._skipped += pause
            pause = min(pause, INSTANT_PAUSE)
        return pause

    def _first_contact_pause(self, policy: Policy, error: requests.RequestException, elapsed: float) -> float:
        pause: float = FIRST_CONTACT_PAUSE * 2 ** (self.number - 1)
        if elapsed + pause > FIRST_CONTACT_SECONDS:
            self.hint = (
                f'{urlsplit(self._url).netloc} has never responded, so retries were limited to '
                f'{FIRST_CONTACT_SECONDS:.0f} seconds: check the address. To wait longer, set {policy.settings}.'
            )
            raise error
        return pause

    def _pause(
        self, policy: Policy, rules: retrying.Retrying, error: requests.RequestException, elapsed: float
    ) -> float:
        if rules.stop(self.number, elapsed * 1000):
            raise error
        pause: float = rules.wait(self.number, elapsed * 1000) / 1000
        asked = retry_after(error.response, self._clock) if error.response is not None else None
        if asked is None:
            return pause
        if policy.longest_retry_after is not None:
            asked = min(asked, policy.longest_retry_after)
        if asked > MAX_RETRY_AFTER_SECONDS or rules.stop(0, (elapsed + asked) * 1000):
            wanted = 'more than 30 hours' if asked > MAX_RETRY_AFTER_SECONDS else f'{asked:.6g} seconds'
            self.hint = (
                f'The service asks to wait {wanted} (Retry-After), which is more than the retry budget leaves: '
                'not repeated.'
            )
            raise error
        return max(pause, asked)

    def _never_reached(self, error: requests.RequestException) -> bool:
        if self._contacted is None or urlsplit(self._url).netloc in self._contacted:
            return False
        return any(isinstance(cause, urllib3_errors.NewConnectionError) for cause in causes(error))

    def wait(self, seconds: float) -> None:
        """Wait for a pause that :meth:`pause_after` returned; long waits are logged."""
        if self._log is None:
            self._clock.wait(seconds)
        else:
            self._log.wait(seconds, self.elapsed)

    def wait_after(self, error: requests.RequestException) -> None:
        """Wait until the next attempt is due; raise as :meth:`pause_after` does."""
        self.wait(self.pause_after(error))


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
    """Return the pause that a response asks for in ``Retry-After``, in seconds; None if it does not.

    It may be infinite, but is never negative.
    """
    value = response.headers.get('Retry-After', '').strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        date = parsedate_tz(value)
        if date is None:
            return None
        # No calendar of Python goes further.
        return math.inf if date[0] > MAXYEAR else max(0.0, mktime_tz(date) - clock.time())
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None
