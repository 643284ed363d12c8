"""Log records of the upload workers, held back until the result of a request has been recorded.

A log handler is code of the user: it may raise, block, or write to the very job whose records are being sent. So no
handler runs while a batch is being sent, and a handler that blocks keeps no batch waiting.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Any

# Everything that logs while a batch is sent.
_LOGGERS = tuple(
    logging.getLogger(name)
    for name in (
        'charset_normalizer',
        'py.warnings',
        'scrapinghub.transport.http.retries',
        'scrapinghub.transport.http.transport',
        'scrapinghub.transport.http.waits',
        'scrapinghub.transport.uploads.pool',
        'scrapinghub.transport.uploads.sending',
        'urllib3.connection',
        'urllib3.connectionpool',
        'urllib3.poolmanager',
        'urllib3.response',
        'urllib3.util.retry',
        'urllib3.util.ssl_',
    )
)
_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
_error_handler = logging.NullHandler()


class _Thread(threading.local):
    """The state of one thread.

    Attributes:
        buffer: Where log records of this thread go; None to handle them at once.
    """

    buffer: deque[logging.LogRecord] | None = None


_thread = _Thread()


def _is_handled_now(record: logging.LogRecord) -> bool:
    buffer = _thread.buffer
    if buffer is None:
        return True
    buffer.append(record)
    return False


def install() -> None:
    """Add the filter that holds records back; adding it again changes nothing."""
    for logger in _LOGGERS:
        logger.addFilter(_is_handled_now)


def fill_level_caches() -> None:
    """Make the loggers remember which levels are enabled, if this thread holds the lock that they need for it.

    That is so in ``Handler.flush`` during ``logging.config.dictConfig``. A worker would wait for the lock while this
    thread waits for the worker. Elsewhere the worker takes it: before Python 3.13, Ctrl-C may leave it locked for ever
    in the main thread.
    """
    lock: Any = vars(logging)['_lock']
    if not lock._is_owned():  # noqa: SLF001 - as threading.Condition calls it
        return
    for logger in _LOGGERS:
        for level in _LEVELS:
            logger.isEnabledFor(level)


class LogBuffer:
    """Holds log records of threads that send batches, and passes them on afterwards."""

    def __init__(self) -> None:
        self._records: deque[logging.LogRecord] = deque()
        self._emitting = False

    def __bool__(self) -> bool:
        return bool(self._records)

    def hold(self) -> None:
        """Hold the log records of this thread from now on."""
        _thread.buffer = self._records

    def resume(self) -> None:
        """Handle the log records of this thread at once again."""
        _thread.buffer = None

    def emit(self) -> None:
        """Handle the records that are held, unless another thread does that already.

        What a handler raises is printed, as :mod:`logging` does it.
        """
        if self._emitting:
            return
        self._emitting = True
        try:
            while self._records:
                record = self._records.popleft()
                try:
                    logging.getLogger(record.name).handle(record)
                except Exception:  # noqa: BLE001  # it is the user's code
                    _error_handler.handleError(record)
        finally:
            self._emitting = False
