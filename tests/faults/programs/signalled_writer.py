"""Write records while signals interrupt the program at random places; print which records must be stored."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from random import Random
from types import SimpleNamespace
from typing import Any

from scrapinghub import ScrapinghubClient

seed, count, job_key, spool = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4] or None
random = Random(seed)
#: Whether a signal may interrupt the program.
state = SimpleNamespace(armed=False)
certain: set[int] = set()
#: Records whose call was interrupted: they may be stored or not.
uncertain: set[int] = set()
from_handler: list[int] = []


def interrupt(*_: Any) -> None:
    if not state.armed:
        return
    if random.random() < 0.5:
        raise KeyboardInterrupt
    # A handler may write, too.
    number = -len(from_handler) - 1
    from_handler.append(number)
    writer.write({'n': number})
    certain.add(number)


def send_signals() -> None:
    pauses = Random(seed)
    while sending:
        time.sleep(pauses.expovariate(1000))
        os.kill(os.getpid(), signal.SIGUSR1)


def step(number: int) -> None:
    """Call one method of the writer."""
    action = random.choices(['write', 'flush', 'take_back'], [100, 3, 1])[0]
    state.armed = True
    try:
        if action == 'write':
            uncertain.add(number)
            writer.write({'n': number})
            certain.add(number)
        elif action == 'flush':
            writer.flush()
        else:
            state.armed = False
            taken = [record['n'] for record in writer.take_back()]
            certain.difference_update(taken)
            for record in taken:
                writer.write({'n': record})
                certain.add(record)
    except KeyboardInterrupt:
        pass
    finally:
        state.armed = False


signal.signal(signal.SIGUSR1, interrupt)
with ScrapinghubClient(spool=spool) as client:
    writer = client.get_job(job_key).items.writer()
    sending = True
    thread = threading.Thread(target=send_signals, daemon=True)
    thread.start()
    for number in range(count):
        try:
            step(number)
        except KeyboardInterrupt:
            # Between the last call and the end of the step.
            state.armed = False
    sending = False
    thread.join()
    writer.flush()
uncertain |= set(from_handler)
sys.stdout.write(json.dumps({'certain': sorted(certain), 'possible': sorted(uncertain), 'handler': len(from_handler)}))
