"""Log to a job with a handler that misbehaves; print which lines must be stored."""

from __future__ import annotations

import contextlib
import json
import logging
import logging.config
import sys
import threading
from random import Random

from scrapinghub import ScrapinghubClient

seed, count, job_key = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
random = Random(seed)
failures, flushes = random.choice([0, 0.02, 0.5]), random.choice([True, False])
level = random.choice([logging.DEBUG, logging.INFO])
reconfigured, explicit_shutdown, explicit_close = (random.random() < 0.5 for _ in range(3))
client = ScrapinghubClient()
job = client.get_job(job_key)
certain: set[str] = set()
#: Errors of a handler are printed by default.
logging.raiseExceptions = False


class HandlerFailed(Exception):
    """The handler failed."""


class JobHandler(logging.Handler):
    """Stores log records in the job; fails now and then."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if random.random() < failures:
            raise HandlerFailed
        job.logs.log(text, record.levelno)
        if text.startswith('line '):
            certain.add(text)

    def flush(self) -> None:
        if flushes:
            job.logs.flush()


def log_lines(name: str) -> None:
    for number in range(count):
        with contextlib.suppress(HandlerFailed):
            logging.getLogger(name).info('line %s %s', name, number)


logging.getLogger().setLevel(level)
logging.getLogger().addHandler(JobHandler())
threads = [threading.Thread(target=log_lines, args=(name,)) for name in 'ab']
for thread in threads:
    thread.start()
log_lines('main')
if reconfigured:
    logging.config.dictConfig({'version': 1, 'disable_existing_loggers': False})
for thread in threads:
    thread.join()
if explicit_shutdown:
    logging.shutdown()
if explicit_close:
    client.close()
sys.stdout.write(json.dumps({'certain': sorted(certain), 'possible': sorted(certain)}))
