"""The requests of writers: their bodies, and what the responses mean for the queue."""

from __future__ import annotations

import logging
import threading
import zlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import requests

from scrapinghub.exceptions import DecodeError, ScrapinghubAPIError
from scrapinghub.transport.http.call import UNSET, Call
from scrapinghub.transport.http.gzip import zlib_library

if TYPE_CHECKING:
    from scrapinghub.transport.http.transport import Transport
    from scrapinghub.transport.uploads.batch import Batch
    from scrapinghub.transport.uploads.queue import WriteQueue

logger = logging.getLogger(__name__)

# Higher levels take several times as long as encoding the records, for a tenth of the size.
GZIP_LEVEL = 1
# Refusals that may concern a single record.
DIVIDED_STATUSES = (400, 413)


def send(
    queue: WriteQueue, batch: Batch, transport: Transport, timeout: float | None = None, *, in_worker: bool = True
) -> Callable[[float], None]:
    """Send a batch once.

    Args:
        queue: Where the records are from.
        batch: The batch.
        transport: Sends the request.
        timeout: Seconds instead of the transport's own; None for the latter.
        in_worker: Whether an unexpected exception counts as a failure of the request. In a thread of the user, a signal
            handler may have raised it.

    Returns:
        A function that records the result in the queue. It takes the present time on the clock of the pool, and is
        called with the lock held.
    """
    try:
        response = _post(queue, batch, transport, timeout)
    except requests.RequestException as error:
        status = error.response.status_code if error.response is not None else None
        if status in DIVIDED_STATUSES and len(batch.texts) > 1:
            return partial(queue.divide, batch)
        return _repeat_or_reject(queue, batch, error, transport, alone=status in DIVIDED_STATUSES)
    except ScrapinghubAPIError as error:
        return _reject(queue, batch, error)
    except Exception as error:
        if not in_worker:
            raise
        logger.exception('sending %d records to %s failed', len(batch.texts), queue.shown_url)
        return _repeat_or_reject(queue, batch, requests.ConnectionError(error), transport, unexpected=error)
    return partial(queue.store, batch, response)


def _post(queue: WriteQueue, batch: Batch, transport: Transport, timeout: float | None) -> requests.Response:
    body = '\n'.join([*batch.texts, '']).encode()
    if queue.content_encoding == 'gzip':
        body = _compress(body)
    call = Call(
        'POST',
        queue.url,
        params={'start': batch.offset},
        data=body,
        # Sent for 'identity', too, as older releases did.
        headers={'Content-Encoding': queue.content_encoding},
        auth=UNSET if queue.auth is None else queue.auth,
        timeout=UNSET if timeout is None else timeout,
    )
    response = transport.complete(call, batch.attempts.number)
    content_type = response.headers.get('Content-Type') or ''
    if content_type.partition(';')[0].strip().lower() == 'text/html':
        beginning = response.content[:200].decode('utf-8', 'replace')
        raise DecodeError(
            f'POST {queue.shown_url} was answered with a page ({content_type}), not by the service; '
            f'it begins: {beginning!r}'
        )
    return response


def _compress(body: bytes) -> bytes:
    # wbits 31 is a gzip header without time and name. zlib releases the interpreter lock.
    compressor = zlib_library().compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)
    return bytes(compressor.compress(body) + compressor.flush())


def _repeat_or_reject(
    queue: WriteQueue,
    batch: Batch,
    failure: requests.RequestException,
    transport: Transport,
    *,
    alone: bool = False,
    unexpected: Exception | None = None,
) -> Callable[[float], None]:
    attempts = batch.attempts
    try:
        pause = attempts.pause_after(failure)
    except requests.RequestException:
        return _reject(queue, batch, unexpected or transport.translate_error(failure, attempts), alone=alone)
    return partial(queue.postpone, unexpected or transport.translate_error(failure, attempts), pause)


def _reject(queue: WriteQueue, batch: Batch, error: Exception, *, alone: bool = False) -> Callable[[float], None]:
    logger.error('%d records for %s are not stored: %s', len(batch.texts), queue.shown_url, error)
    return partial(queue.reject, batch, error, alone)


def call_back(queue: WriteQueue, lock: threading.RLock) -> None:
    """Pass the responses of a queue to its callback, unless another thread does that already.

    Args:
        queue: The queue.
        lock: The lock of the pool.
    """
    while queue.callback is not None and queue.answers and queue.reporting is None:
        queue.reporting = queue.answers[0][0]
        try:
            queue.callback(queue.answers.popleft()[1])
        except Exception:
            logger.exception('the callback of the writer for %s failed', queue.shown_url)
        finally:
            queue.reporting = None
            with lock:
                queue.notify()
