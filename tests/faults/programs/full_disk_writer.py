"""Write records while the disk of the spool is full now and then; print which records must be stored."""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import sys
from pathlib import Path
from random import Random

from scrapinghub import ScrapinghubClient

seed, count, job_key, spool = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
random = Random(seed)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
certain: set[int] = set()
refused: set[int] = set()


def limit_files(size: int) -> None:
    """Make each write beyond this size fail with EFBIG, as a full disk fails with ENOSPC."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def spool_size() -> int:
    return max(path.stat().st_size for path in Path(spool).parent.glob(f'{Path(spool).name}*'))


def step(number: int) -> None:
    """Call one method of the writer."""
    if random.random() < 0.05:
        taken = [record['n'] for record in writer.take_back()]
        certain.difference_update(taken)
        for record in taken:
            with contextlib.suppress(OSError):
                write(record)
    else:
        write(number)


def write(number: int) -> None:
    refused.add(number)
    writer.write({'n': number, 'text': 'x' * random.randrange(2000)})
    refused.discard(number)
    certain.add(number)


with ScrapinghubClient(spool=spool) as client:
    writer = client.get_job(job_key).items.writer()
    for number in range(count):
        if random.random() < 0.2:
            limit_files(spool_size() + random.choice([-4096, 0, 100, 5000]))
        with contextlib.suppress(OSError):
            step(number)
        if random.random() < 0.3:
            limit_files(resource.RLIM_INFINITY)
    limit_files(resource.RLIM_INFINITY)
    writer.flush()
sys.stdout.write(
    json.dumps({'certain': sorted(certain), 'possible': sorted(certain | refused), 'refused': len(refused)})
)
