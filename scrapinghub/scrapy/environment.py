"""Where a crawl runs: on the platform, for a job that something else started, or on its own."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from scrapy.exceptions import NotConfigured

from scrapinghub.client import ScrapinghubClient
from scrapinghub.client.utils import parse_job_key

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

_KEY_VARIABLES = ('SH_APIKEY', 'SHUB_APIKEY')


def is_stored_by_platform() -> bool:
    """Return whether this process is a job of Scrapy Cloud, whose runner stores what the job produces."""
    return bool(os.environ.get('SHUB_FIFO_PATH'))


def find_job() -> str | None:
    """Return the key of the job to write to; None if the crawl should create one."""
    return os.environ.get('SHUB_JOBKEY') if os.environ.get('SHUB_JOBAUTH') else None


def find_project(settings: BaseSettings) -> int:
    """Return the id of the project.

    Args:
        settings: Settings of the crawl.

    Returns:
        The setting ``SCRAPINGHUB_PROJECT``, the environment variable of this name, or the project of ``SHUB_JOBKEY``.

    Raises:
        NotConfigured: The project is neither in the settings nor in the environment.
        ValueError: The setting or the variable is not a number.
    """
    found = settings.get('SCRAPINGHUB_PROJECT') or os.environ.get('SCRAPINGHUB_PROJECT')
    if found:
        try:
            return int(found)
        except (TypeError, ValueError):
            raise ValueError(f'SCRAPINGHUB_PROJECT should be the number of a project, got {found!r}') from None
    if os.environ.get('SHUB_JOBKEY'):
        return int(parse_job_key(os.environ['SHUB_JOBKEY']).project_id)
    raise NotConfigured('set SCRAPINGHUB_PROJECT to the number of your Scrapy Cloud project')


def make_client(*, as_job: bool, spool: Path | None = None, max_outage: float | None = None) -> ScrapinghubClient:
    """Return a client with the credentials of the environment.

    Args:
        as_job: Whether to use the credentials of the job even if there is an API key.
        spool: Path of the spool file.
        max_outage: Time that an outage may last, in seconds.

    Returns:
        The client. Without an API key it uses the credentials of the job, which reach collections and frontiers.

    Raises:
        RuntimeError: There are no credentials.
    """
    job = os.environ.get('SHUB_JOBAUTH')
    has_key = any(os.environ.get(name) for name in _KEY_VARIABLES)
    with warnings.catch_warnings():
        # The client warns that job credentials do not reach the whole API: here they need not.
        warnings.simplefilter('ignore', UserWarning)
        return ScrapinghubClient(job if job and (as_job or not has_key) else None, spool=spool, max_outage=max_outage)
