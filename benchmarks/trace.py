"""Count the calls within the package that a read and a first write need, and the files that they are in.

``python benchmarks/trace.py`` prints both counts; with ``--calls`` it also prints every call in order.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType

import scrapinghub
from scrapinghub import ScrapinghubClient
from scrapinghub.sandbox import Sandbox

PACKAGE = Path(scrapinghub.__file__).parent
PROJECT = 123


def trace(run: Callable[[], object]) -> list[CodeType]:
    """Return the functions of the package that are called, in order and in any thread; the sandbox is left out."""
    calls: list[CodeType] = []

    def note(frame: FrameType, event: str, arg: object) -> None:
        path = frame.f_code.co_filename
        if event == 'call' and path.startswith(str(PACKAGE)) and not path.startswith(str(PACKAGE / 'sandbox')):
            calls.append(frame.f_code)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return calls


def report(title: str, calls: list[CodeType], *, show_calls: bool) -> None:
    """Print how many calls there were and in how many files."""
    files = Counter(str(Path(call.co_filename).relative_to(PACKAGE)) for call in calls)
    print(f'{title}: {len(calls)} calls, {len(set(calls))} functions, {len(files)} files')
    for name, number in files.most_common():
        print(f'    {number:4} {name}')
    if show_calls:
        for call in calls:
            print(f'        {Path(call.co_filename).relative_to(PACKAGE)}: {call.co_qualname}')  # type: ignore[attr-defined]


def main() -> None:
    """Trace a read with a warm client, and the first write of a job with its flush."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--calls', action='store_true', help='print every call')
    arguments = parser.parse_args()
    with Sandbox(projects=[PROJECT]) as cloud, cloud_client(cloud) as client:
        jobs = client.get_project(PROJECT).jobs
        filled, warm, empty = (jobs.run(name, meta={'state': 'running'}) for name in ('filled', 'warm', 'empty'))
        for job in (filled, warm):
            for number in range(3):
                job.items.write({'number': number})
            job.items.flush()
            list(job.items.iter(count=2))
        read = trace(lambda: list(filled.items.iter(count=2)))
        report('list(job.items.iter(count=2))', read, show_calls=arguments.calls)

        def write() -> None:
            empty.items.write({'number': 0})
            empty.items.flush()

        report('job.items.write(item); job.items.flush()', trace(write), show_calls=arguments.calls)


def cloud_client(cloud: Sandbox) -> ScrapinghubClient:
    """Return a client of the sandbox."""
    return ScrapinghubClient(cloud.apikey, cloud.dash_url, endpoint=cloud.url)


if __name__ == '__main__':
    main()
