"""Crawls of the real Scrapy, each in a process of its own, against a sandbox and a small site."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scrapinghub import ScrapinghubClient
from scrapinghub.client.jobs import Job
from scrapinghub.sandbox import Sandbox
from support.scripted_server import Reply, Request, Server, reply

ROOT = Path(__file__).parents[2]
PROJECT = 123
ADDONS = {'scrapinghub.scrapy.Addon': 500}
ASYNCIO = 'twisted.internet.asyncioreactor.AsyncioSelectorReactor'
# An empty setting is the default reactor of Twisted.
REACTORS = (ASYNCIO, '')
# The settings of a developer's shell must not reach the crawl.
HIDDEN = ('SHUB_', 'SCRAPY_', 'SCRAPINGHUB_')
TIMEOUT = 120


def page(request: Request) -> Reply:
    """Answer with a page, or with the redirect or status that the path names."""
    name = request.path.strip('/')
    if name == 'redirect':
        return reply(status=302, headers={'Location': '/target'}, content_type=None)
    status = int(name) if name.isdecimal() else 200
    return reply(f'<html>{name}</html>'.encode(), status=status, content_type='text/html')


@contextmanager
def site() -> Iterator[Server]:
    """Serve a small web site."""
    with Server(page) as server:
        yield server


class Crawls:
    """Runs spiders in a folder.

    Args:
        cloud: The sandbox.
        folder: Where the spiders and the spool are.
    """

    def __init__(self, cloud: Sandbox, folder: Path) -> None:
        self.cloud = cloud
        self.folder = folder
        self.client = ScrapinghubClient(cloud.apikey, cloud.dash_url, endpoint=cloud.url)
        self.project = self.client.get_project(PROJECT)
        self.spools = folder / '.scrapy' / 'scrapinghub'
        self._running: list[subprocess.Popen[str]] = []

    def start(
        self,
        code: str,
        *arguments: str,
        settings: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start a spider.

        Args:
            code: The module with the spider; ``scrapy`` is imported.
            arguments: Arguments of ``scrapy runspider``.
            settings: Settings of the crawl, beside the add-on.
            environ: Environment variables, beside those of the sandbox.
        """
        path = self.folder / 'spider.py'
        path.write_text(f'import scrapy\n{textwrap.dedent(code)}', encoding='utf-8')
        options = {'ADDONS': ADDONS, 'TELNETCONSOLE_ENABLED': False, 'LOG_LEVEL': 'INFO', **(settings or {})}
        texts = {
            name: json.dumps(value) if isinstance(value, dict | list) else str(value) for name, value in options.items()
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN)}
        process = subprocess.Popen(
            [
                sys.executable, '-m', 'scrapy', 'runspider', path.name,
                *(part for name, text in texts.items() for part in ('-s', f'{name}={text}')),
                *arguments,
            ],
            cwd=self.folder,
            env={
                **inherited, 'PYTHONPATH': os.pathsep.join([str(ROOT), str(self.folder)]), 'NO_PROXY': '127.0.0.1',
                'SCRAPINGHUB_PROJECT': str(PROJECT), **self.cloud.environ, **(environ or {}),
            },
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self._running.append(process)
        return process

    def run(self, code: str, *arguments: str, **options: Any) -> str:
        """Run a spider to its end; return what it wrote to the standard error."""
        return self.end(self.start(code, *arguments, **options))

    def end(self, process: subprocess.Popen[str]) -> str:
        """Wait until a crawl ends; return what it wrote to the standard error."""
        _, text = process.communicate(timeout=TIMEOUT)
        return text

    def kill(self, process: subprocess.Popen[str]) -> None:
        """Kill a crawl."""
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=TIMEOUT)

    def jobs(self) -> list[Job]:
        """Return all jobs, the oldest first."""
        rows = self.project.jobs.iter(state=['pending', 'running', 'finished'])
        return sorted((self.client.get_job(row['key']) for row in rows), key=lambda job: job.key)

    def close(self) -> None:
        """Kill what is still running."""
        for process in self._running:
            if process.poll() is None:
                self.kill(process)
        self.client.close()
