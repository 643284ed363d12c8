"""Run a job of the local Scrapy Cloud in this process, as the entry point of the platform does.

The job is described by the environment variables that the platform sets.
"""

from __future__ import annotations

import json
import os
import runpy
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scrapy.cmdline import execute
from scrapy.utils.misc import load_object
from scrapy.utils.project import get_project_settings

if TYPE_CHECKING:
    from scrapy.settings import Settings

_ADDON = 'scrapinghub.scrapy.Addon'
_SCRIPT = 'py:'
FLUSH_INTERVAL = 1.0


def main(arguments: Sequence[str]) -> int:
    """Print the spiders of the project in the current directory as JSON, or run the job; return the exit status.

    Args:
        arguments: ``list``, or ``run``.
    """
    if list(arguments) == ['list']:
        settings = get_project_settings()
        names = load_object(settings['SPIDER_LOADER_CLASS']).from_settings(settings).list()
        sys.stdout.write(f'{json.dumps(sorted(names))}\n')
        return 0
    job = json.loads(os.environ['SHUB_JOB_DATA'])
    name: str = job['spider']
    if name.startswith(_SCRIPT):
        run_script(name.removeprefix(_SCRIPT), job.get('cmd_args') or '')
        return 0
    given = [part for pair in (job.get('spider_args') or {}).items() for part in ('-a', '='.join(map(str, pair)))]
    # The add-on and spiders may read the command line.
    sys.argv = ['scrapy', 'crawl', name, *given, *shlex.split(job.get('cmd_args') or '')]
    execute(sys.argv, make_settings(job))
    return 0


def make_settings(job: dict[str, object]) -> Settings:
    """Return the settings of the project, with the add-on and the settings of the job.

    The add-on is merged into ``ADDONS``: setting it on the command line would remove the add-ons of the project.
    """
    settings = get_project_settings()
    addons = dict(settings.getdict('ADDONS'))
    if not any(_path_of(addon).startswith('scrapinghub.scrapy.') for addon in addons):
        addons[_ADDON] = 500
    settings.set('ADDONS', addons, priority='cmdline')
    # The page and follow() show what a job does now.
    settings.set('SCRAPINGHUB_FLUSH_INTERVAL', FLUSH_INTERVAL, priority='default')
    given = job.get('settings') or {}
    assert isinstance(given, dict)
    settings.setdict(given.get('job_settings') or {}, priority='cmdline')
    return settings


def _path_of(addon: object) -> str:
    if isinstance(addon, type):
        return f'{addon.__module__}.{addon.__qualname__}'
    return str(addon)


def run_script(name: str, arguments: str) -> None:
    """Run a script of the project with arguments.

    Raises:
        SystemExit: There is no such script.
    """
    found = sorted(path for path in Path.cwd().rglob(name) if path.is_file())
    if not found:
        sys.exit(f'there is no script {name} in {Path.cwd()}')
    sys.argv = [str(found[0]), *shlex.split(arguments)]
    sys.path.insert(0, str(found[0].parent))
    runpy.run_path(str(found[0]), run_name='__main__')
