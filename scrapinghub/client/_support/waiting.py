"""Wait for jobs: poll their states, longer apart each time."""

from __future__ import annotations

import logging
import math
from collections import deque
from typing import Any, TypeVar

from scrapinghub.client._support.resource import Client
from scrapinghub.exceptions import NetworkError, NotFound, ScrapinghubAPIError, WaitTimeout
from scrapinghub.transport import codec
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.retries import RetrySettings, is_transient_for_upload
from scrapinghub.transport.http.waits import Clock
from scrapinghub.transport.streams.cursors_without_keys import split_names
from scrapinghub.transport.streams.stream import ClosableIterator

T = TypeVar('T')

logger = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
GROWTH = 1.5
# A new job may be unknown to the service for a moment.
POLLS_UNTIL_UNKNOWN = 3
FINAL_STATES = ('finished', 'deleted')


class Poller:
    """Pauses between polls, longer each time, until a deadline.

    Args:
        clock: Measures and waits.
        timeout: Maximum time to wait, in seconds; None for no limit.
        longest: Longest pause, in seconds.

    Raises:
        ValueError: ``timeout`` is not a number of at least 0.
    """

    def __init__(self, clock: Clock, timeout: float | None = None, longest: float = LONGEST_PAUSE) -> None:
        is_number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool) and not math.isnan(timeout)
        if timeout is not None and (not is_number or timeout < 0):
            raise ValueError(f'timeout should be a number of seconds, at least 0, or None, got {timeout!r}')
        self.timeout = timeout
        self._clock = clock
        self._longest = longest
        self._deadline = None if timeout is None else clock.monotonic() + timeout
        self._pause = FIRST_PAUSE
        self._warned_at: float | None = None

    def pause(self) -> bool:
        """Wait until the next poll; return False if the deadline has passed."""
        seconds = min(self._pause, self.remaining())
        if seconds <= 0:
            return False
        self._clock.wait(seconds)
        self._pause = min(self._pause * GROWTH, self._longest)
        return True

    def restart(self) -> None:
        """Begin with the shortest pause again."""
        self._pause = FIRST_PAUSE

    def remaining(self) -> float:
        """Return the seconds until the deadline; infinity if there is none."""
        return math.inf if self._deadline is None else self._deadline - self._clock.monotonic()

    def fetch(self, client: Client, path: tuple[str, ...], params: Any = None, **fields: Any) -> list[Any] | None:
        """Return the values of a response; None after a transient error, which does not end the wait.

        Args:
            client: Sends the request.
            path: Path of a GET request.
            params: Query parameters.
            **fields: Further fields of the :class:`Call`.
        """
        transport = client.transport
        limit = transport.timeout
        if self._deadline is not None:
            # A server that hangs does not extend the wait.
            limit = max(0.1, min(self.remaining(), math.inf if limit is None else limit))
        call = Call('GET', transport.url(path), params=params, timeout=limit, **fields)
        try:
            # The polls are the retries.
            return transport.fetch(call, RetrySettings(max_retries=0).for_call).values
        except ScrapinghubAPIError as error:
            if not is_transient_error(error):
                raise
            self.warn(call, error)
            return None

    def warn(self, operation: object, error: ScrapinghubAPIError) -> None:
        """Log a transient error, at most once a minute."""
        now = self._clock.monotonic()
        if self._warned_at is None or now - self._warned_at >= 60:
            self._warned_at = now
            logger.warning('%s failed while waiting for a job, and is repeated: %s', operation, error)


def is_transient_error(error: ScrapinghubAPIError) -> bool:
    """Return whether a later attempt may succeed."""
    cause = error.http_error if error.http_error is not None else error
    return (isinstance(error, NetworkError) and is_transient_for_upload(cause)) or (error.status_code or 0) >= 500


class JobStates:
    """Polls the state of one job.

    Args:
        key: Key of the job.
        client: Sends the requests.
        poller: Pauses between the polls.

    Attributes:
        state: The last known state; None if there is none.
        poller: As given.
    """

    def __init__(self, key: str, client: Client, poller: Poller) -> None:
        self.state: str | None = None
        self.poller = poller
        self._key = key
        self._client = client
        self._unknown = 0

    def is_final(self) -> bool:
        """Request the state; return whether the job is finished or deleted.

        Raises:
            NotFound: The job is unknown at the third poll.
        """
        values = self.poller.fetch(self._client, ('jobs', *self._key.split('/'), 'state'), expects=codec.JSON)
        if values is not None:
            self.state = values[0] if values else None
            self._unknown = self._unknown + 1 if self.state is None else 0
            if self._unknown >= POLLS_UNTIL_UNKNOWN:
                raise NotFound(f'job {self._key} does not exist')
        return self.state in FINAL_STATES


def wait_for_job(client: Client, key: str, timeout: float | None) -> None:
    """Wait until a job is finished; see :meth:`Job.wait <scrapinghub.client.jobs.Job.wait>`."""
    states = JobStates(key, client, Poller(client.transport.clock, timeout))
    while not states.is_final():
        if not states.poller.pause():
            raise _timeout(f'job {key} is {states.state or "in an unknown state"}', states.poller)
    if states.state == 'deleted':
        raise NotFound(f'job {key} was deleted')


def _timeout(message: str, poller: Poller) -> WaitTimeout:
    return WaitTimeout(f'{message} after {poller.timeout:g} seconds of waiting')


class CompletedJobs(ClosableIterator[T]):
    """Iterator over jobs in the order in which they finish.

    After an error, iterating again continues with the other jobs.

    Args:
        client: Sends the requests.
        project_id: Id of the project.
        jobs: The jobs by key.
        timeout: Maximum time to wait for all jobs, in seconds; None for no limit.
    """

    def __init__(self, client: Client, project_id: str, jobs: dict[str, T], timeout: float | None) -> None:
        self._client = client
        self._path = ('jobq', project_id, 'jobsummary')
        self._poller = Poller(client.transport.clock, timeout)
        # The number of polls that did not return the job; None if one did.
        self._unknown: dict[str, int | None] = dict.fromkeys(jobs, 0)
        self._jobs = jobs
        self._pending = list(jobs)
        self._completed: deque[str] = deque()
        self._polled = False

    def __next__(self) -> T:
        while not self._completed:
            self._check_unknown()
            if not self._pending:
                raise StopIteration
            if self._polled and not self._poller.pause():
                # The next call polls once more.
                self._polled = False
                count = len(self._pending)
                raise _timeout(
                    f'{count} of {len(self._jobs)} jobs, such as {self._pending[0]}, are not finished', self._poller
                )
            self._poll()
        return self._jobs[self._completed.popleft()]

    def close(self) -> None:
        """End the iteration; no connection is held between two polls."""
        self._pending.clear()
        self._completed.clear()

    def _poll(self) -> None:
        """Request the states of the pending jobs, and complete those that are finished or deleted."""
        self._polled = True
        for keys in split_names('key', self._pending):
            rows = self._poller.fetch(self._client, self._path, [('key', key) for key in keys])
            if rows is None:
                continue
            found = {row['key']: row for row in rows}
            final = [key for key in keys if key in found and found[key]['state'] in FINAL_STATES]
            gone = [key for key in keys if key not in found and self._unknown[key] is None]
            for key in keys:
                if key in found:
                    self._unknown[key] = None
                elif key not in gone:
                    self._unknown[key] = (self._unknown[key] or 0) + 1
            self._complete([*sorted(final, key=lambda key: found[key]['ts']), *gone])

    def _check_unknown(self) -> None:
        """Raise for a job that no response has contained."""
        for key in self._pending:
            if (self._unknown[key] or 0) >= POLLS_UNTIL_UNKNOWN:
                self._pending.remove(key)
                raise NotFound(f'job {key} does not exist')

    def _complete(self, keys: list[str]) -> None:
        self._completed.extend(keys)
        done = set(keys)
        self._pending = [key for key in self._pending if key not in done]
