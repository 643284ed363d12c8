"""Starts the pending jobs by priority, and records how they end."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from scrapinghub.sandbox.modes import INSTANT_VARIABLE
from scrapinghub.sandbox.runner.process import JobProcess
from scrapinghub.sandbox.runner.project import CANNOT_RUN, ScrapyProject
from scrapinghub.sandbox.server.local_client import LocalCallError, LocalClient
from scrapinghub.sandbox.store import job_lifecycle
from scrapinghub.sandbox.store.database import Store
from scrapinghub.sandbox.store.jobs import Job

#: Seconds after which the queue is looked at without a request that changes it.
TICK = 1.0
#: Seconds that each job has to end when the sandbox is closed.
CLOSE_SECONDS = 10.0
#: The platform sets these; values of the terminal in which the sandbox runs would be those of something else.
_HIDDEN = ('SHUB_', 'SCRAPY_JOB', 'SCRAPY_PROJECT_ID', 'SCRAPY_SPIDER', INSTANT_VARIABLE)
_WORKER = 'sandbox-runner'
#: Most characters of a log entry; the service refuses entries of more than 1 MiB.
MAX_MESSAGE = 20_000


class Runner:
    """Runs jobs on this machine; one thread starts and finishes them.

    Args:
        project: The Scrapy project.
        store: The data.
        client: A client of the Scrapy Cloud API of the sandbox.
        environ: Variables that select the sandbox.
        units: Number of units that jobs use at the same time.
        catch_up: Starts the jobs of periodic jobs that are due.
    """

    def __init__(
        self,
        project: ScrapyProject,
        store: Store,
        client: LocalClient,
        *,
        environ: Mapping[str, str],
        units: int,
        catch_up: Callable[[], object],
    ) -> None:
        self._project = project
        self._store = store
        self._client = client
        # An outage of a crawl lasts as long as it does: without pauses, its retries would be spent in a second.
        self._environ = {name: value for name, value in environ.items() if name != INSTANT_VARIABLE}
        self._spools = tempfile.TemporaryDirectory(prefix='scrapinghub-jobs-')
        self._units = units
        self._catch_up = catch_up
        self._processes: dict[JobProcess, Job] = {}
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._closed = False
        self._fail_interrupted()
        self._thread = threading.Thread(target=self._work, name='scrapinghub-runner', daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look at the queue and at the jobs: they may have changed."""
        self._changed.set()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stop all jobs, and start none while the block runs."""
        with self._lock:
            processes = list(self._processes)
            for process in processes:
                process.stop()
            for process in processes:
                process.wait(CLOSE_SECONDS)
            self._finish_ended()
            yield

    def close(self) -> None:
        """Start no further job, and stop those that run. Can be called twice."""
        self._closed = True
        self.wake()
        self._thread.join()
        with self.paused():
            self._spools.cleanup()

    def _work(self) -> None:
        while not self._closed:
            with self._lock:
                self._catch_up()
                self._finish_ended()
                self._stop_cancelled()
                self._start_pending()
            self._changed.wait(TICK)
            self._changed.clear()

    # Start

    def _start_pending(self) -> None:
        while self._start_next():
            if self._closed:
                break

    def _start_next(self) -> bool:
        """Start the pending job with the highest priority, unless it has to wait for units."""
        # Most looks find nothing, and need no transaction.
        if job_lifecycle.next_pending(self._store.read()) is None:
            return False
        used = sum(_units_of(job, self._units) for job in self._processes.values())
        with self._store.write() as connection:
            pending = job_lifecycle.next_pending(connection)
            if pending is None or used + _units_of(pending, self._units) > self._units:
                return False
            fields = {'_shub_worker': _WORKER}
            job = job_lifecycle.start(connection, pending, fields, user='jobrunner', now=self._store.now())
        try:
            process = JobProcess(
                job.key,
                self._project.command('run'),
                self._project.folder,
                self._environment(job),
                on_line=lambda line: self._log(job.key, logging.INFO, line) if _is_script(job) else None,
                on_end=self.wake,
            )
        except (OSError, TypeError, ValueError) as error:
            # There is no such interpreter, or the metadata of the job are not what the platform stores.
            self._finish(job.key, 'failed', f'The job cannot be started: {error}')
            return True
        self._processes[process] = job
        return True

    def _environment(self, job: Job) -> dict[str, str]:
        """Return the environment of a job: that of this process, with what the platform sets."""
        meta = job.meta
        tags, arguments = job.tags, meta.get('spider_args') or {}
        job_settings = meta.get('job_settings') or {}
        credentials = f'{job.key}:{job.token}'.encode().hex()
        data: dict[str, Any] = {
            **{name: meta[name] for name in ('cmd_args', 'units', 'priority', 'version') if name in meta},
            'key': job.key,
            'project': job.project,
            'spider': job.spider,
            'spider_args': arguments,
            'tags': tags,
            'settings': {'job_settings': job_settings},
            'auth': job.token,
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)}
        exempt = [value for value in (kept.get('NO_PROXY') or kept.get('no_proxy'), '127.0.0.1') if value]
        environment = dict(meta.get('environment') or {})
        return {
            **kept,
            'NO_PROXY': ','.join(exempt),
            'no_proxy': ','.join(exempt),
            'PYTHONUNBUFFERED': '1',
            **self._environ,
            'SCRAPINGHUB_SPOOL': self._spools.name,
            **{str(name): str(value) for name, value in environment.items()},
            'SHUB_JOBKEY': job.key,
            'SHUB_JOBAUTH': credentials,
            'SHUB_JOBNAME': job.spider,
            'SHUB_JOB_DATA': json.dumps(data),
            'SHUB_JOB_TAGS': ','.join(tags),
            'SHUB_HS_USER_AGENT': 'scrapinghub-sandbox',
            'SHUB_SETTINGS': json.dumps({'job_settings': job_settings}),
            'SHUB_SPIDER_TYPE': str(meta.get('spider_type', 'manual')),
            'SCRAPY_JOB': job.key,
            'SCRAPY_PROJECT_ID': str(job.project),
            'SCRAPY_SPIDER': job.spider,
        }

    # Stop

    def _stop_cancelled(self) -> None:
        """Stop the jobs that were cancelled, finished or deleted by something else."""
        for process in self._processes:
            meta = self._read(process.key)
            if meta.get('cancelled_by') or meta.get('state') != 'running':
                process.stop()

    def _finish_ended(self) -> None:
        for process in [process for process in self._processes if process.returncode is not None]:
            job = self._processes.pop(process)
            meta = self._read(process.key)
            if meta.get('state') != 'running':
                continue
            status = process.returncode or 0
            if meta.get('cancelled_by'):
                self._finish(job.key, 'cancelled')
            elif status == CANNOT_RUN:
                self._finish(job.key, 'failed', '\n'.join(process.last_lines))
            elif status:
                # The output of a script is in its log already.
                output = [] if _is_script(job) else process.last_lines
                self._finish(job.key, 'failed', '\n'.join([*output, _describe(status)]))
            else:
                self._finish(job.key, meta.get('close_reason') or 'finished')

    def _finish(self, key: str, reason: str, message: str | None = None) -> None:
        if message is not None:
            self._log(key, logging.ERROR, message)
        update = {'key': key, 'state': 'finished', 'close_reason': reason}
        self._client.post(f'/jobq/{key.partition("/")[0]}/update', [update])

    def _fail_interrupted(self) -> None:
        """Finish the jobs that ran when an earlier sandbox with these data ended."""
        for project in self._client.value('/api/scrapyd/listprojects.json')['projects']:
            for row in self._client.lines(f'/jobq/{project}/list', state='running'):
                if self._read(row['key']).get('_shub_worker') == _WORKER:
                    self._finish(row['key'], 'failed', 'The sandbox ended while this job ran')

    # Data

    def _read(self, key: str) -> dict[str, Any]:
        """Return the metadata of a job; an empty dict if it does not exist."""
        found = self._client.lines(f'/jobs/{key}')
        return dict(found[0]) if found else {}

    def _log(self, key: str, level: int, message: str) -> None:
        line = {'time': self._store.now(), 'level': level, 'message': message[-MAX_MESSAGE:]}
        # A job that was deleted has no log.
        with contextlib.suppress(LocalCallError):
            number = self._client.value(f'/logs/{key}/stats')['totals']['input_values']
            self._client.request('POST', f'/logs/{key}', json.dumps(line).encode(), start=number)


def _units_of(job: Job, limit: int) -> int:
    """Return how many units a job uses: not more than there are, or it would never run."""
    return min(int(job.meta.get('units') or 1), limit)


def _is_script(job: Job) -> bool:
    return job.spider.startswith('py:')


def _describe(status: int) -> str:
    if status >= 0:
        return f'The job ended with exit status {status}'
    try:
        return f'The job was killed by the signal {signal.Signals(-status).name}'
    except ValueError:
        return f'The job was killed by the signal {-status}'
