"""The process of one job."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

#: Seconds from the request to stop until the process is killed.
STOP_SECONDS = 30.0
LAST_LINES = 100


class JobProcess:
    """The process of one job. One thread reads what it prints, another one waits for its end.

    Args:
        key: Key of the job.
        command: The command.
        folder: Directory in which it runs.
        environ: The whole environment.
        on_line: Called with each line of output.
        on_end: Called when the process has ended.

    Attributes:
        key: Key of the job.
        returncode: Exit status; None while the process runs.
        last_lines: The last lines of its output.
    """

    def __init__(
        self,
        key: str,
        command: Sequence[str],
        folder: Path,
        environ: Mapping[str, str],
        *,
        on_line: Callable[[str], object],
        on_end: Callable[[], object],
    ) -> None:
        self.key = key
        self.returncode: int | None = None
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._on_line = on_line
        self._on_end = on_end
        self._kill_at: float | None = None
        # In a separate session: Ctrl-C in the terminal of the sandbox does not reach it.
        self._process = subprocess.Popen(  # noqa: S603 - the project of the user
            command,
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding='utf-8',
            errors='replace',
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f'scrapinghub-job-{key}', daemon=True)
        self._reader.start()
        self._waiter = threading.Thread(target=self._wait, name=f'scrapinghub-job-{key}-end', daemon=True)
        self._waiter.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.last_lines.append(line.rstrip('\n'))
                self._on_line(self.last_lines[-1])

    def _wait(self) -> None:
        status = self._process.wait()
        # Programs that the job started would keep its output open.
        self._kill()
        self._reader.join()
        self.returncode = status
        self._on_end()

    def _kill(self) -> None:
        """Kill the process and those that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, 'killpg'):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def stop(self) -> None:
        """Request the process to end gracefully; after some time, another call kills it."""
        now = time.monotonic()
        if self._kill_at is None:
            self._kill_at = now + STOP_SECONDS
            # Windows has no SIGINT for another process.
            self._process.send_signal(signal.SIGINT if os.name == 'posix' else signal.SIGTERM)
        elif now >= self._kill_at:
            self._kill()

    def wait(self, seconds: float) -> None:
        """Wait until the process ends, and kill it if that takes longer."""
        self._waiter.join(seconds)
        if self._waiter.is_alive():
            self._kill()
            self._waiter.join()
