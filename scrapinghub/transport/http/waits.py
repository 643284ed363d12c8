"""Pauses between attempts: what is logged about them, and how tests of programs skip them."""

from __future__ import annotations

import ipaddress
import logging
import os
import threading
import time
from typing import Protocol
from urllib.parse import urlsplit

logger = logging.getLogger(__name__)

# A longer wait is logged as a warning, and again each minute.
SILENT_SECONDS = 2.0
REMINDER_SECONDS = 60.0

INSTANT_VARIABLE = 'SCRAPINGHUB_INSTANT_RETRIES'
# Long enough that retries without end do not keep a processor busy.
INSTANT_PAUSE = 0.01


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


class WaitLog:
    """Logs the waits of one operation: each pause, and long waits as warnings.

    Args:
        clock: Measures and waits.
        operation: Its ``str()`` names the request.
        url: Address of the request, whose host is named.
    """

    def __init__(self, clock: Clock, operation: object, url: str) -> None:
        self._clock = clock
        self._operation = operation
        self._host = urlsplit(url).hostname or 'the service'
        self._warned: float | None = None
        self._message = ''

    def failed(self, number: int, waiting: float, pause: float, reason: str, limits: str) -> None:
        """Log a failed attempt that is repeated.

        Args:
            number: Number of the attempt.
            waiting: Seconds since the first attempt began.
            pause: Seconds until the next attempt.
            reason: Why the attempt failed.
            limits: How long it is repeated, and how to change that.
        """
        logger.info('%s failed (attempt %d), next attempt in %.1f s: %s', self._operation, number, pause, reason)
        self._message = f'{reason} (attempt {number}). {limits}'
        if waiting + pause >= SILENT_SECONDS:
            self._warn(waiting)

    def wait(self, seconds: float, waiting: float) -> None:
        """Wait, and log a reminder each minute.

        Args:
            seconds: How long.
            waiting: Seconds since the first attempt began.
        """
        while seconds > REMINDER_SECONDS:
            self._clock.wait(REMINDER_SECONDS)
            seconds -= REMINDER_SECONDS
            waiting += REMINDER_SECONDS
            self._warn(waiting)
        self._clock.wait(seconds)

    def _warn(self, waiting: float) -> None:
        now = self._clock.monotonic()
        if self._warned is None or now - self._warned >= REMINDER_SECONDS:
            self._warned = now
            logger.warning('%s: waiting for %s for %.0f s: %s', self._operation, self._host, waiting, self._message)


def instant(url: str) -> bool:
    """Return whether pauses before requests to an address are skipped, as tests of programs want it.

    ``SCRAPINGHUB_INSTANT_RETRIES`` in the environment skips them, for servers on this machine only.

    Args:
        url: Address of the request.
    """
    if os.environ.get(INSTANT_VARIABLE, '') in ('', '0') or not _is_loopback(urlsplit(url).hostname or ''):
        return False
    _log_once(f'pauses before retries on this machine are skipped, because {INSTANT_VARIABLE} is set')
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'


_logged: set[str] = set()


def _log_once(message: str) -> None:
    if message not in _logged:
        _logged.add(message)
        logger.info(message)
