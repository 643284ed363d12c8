"""The job of a crawl in the queue: create it, finish it, and finish those that killed crawls left."""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scrapinghub.client import ScrapinghubClient
from scrapinghub.client.jobs import Job
from scrapinghub.exceptions import ScrapinghubAPIError
from scrapinghub.scrapy.job_storage import FAMILIES
from scrapinghub.scrapy.record_queue import read_records
from scrapinghub.transport.http.retries import Repeat

logger = logging.getLogger(__name__)

OpenClient = Callable[[Path | None], ScrapinghubClient]

#: Name of the spool file in the folder of a crawl.
SPOOL = 'records.spool'


def push_job(client: ScrapinghubClient, project_id: int, spider: str, arguments: dict[str, str]) -> Job:
    """Create a running job.

    Args:
        client: The client.
        project_id: Id of the project.
        spider: Name of the spider.
        arguments: Arguments of the spider.

    Returns:
        The job.

    Raises:
        ScrapinghubAPIError: The service refuses the job, or cannot be reached.
    """
    fields = {'spider': spider, 'state': 'running', 'spider_type': 'manual', 'spider_args': arguments}
    # Not run.json: it refuses a second crawl with the same arguments, also after one that was killed.
    answer = client.transport.post(('jobq', str(project_id), 'push'), lines=[fields], repeat=Repeat.UNRECEIVED).value
    if not isinstance(answer, dict) or not answer.get('key'):
        raise ScrapinghubAPIError(f'the service did not create a job: {answer!r}')
    return client.get_job(answer['key'])


def spider_arguments(command_line: Sequence[str] | None = None) -> dict[str, str]:
    """Return the arguments that the command line gives to a spider: ``-a name=value``.

    Example:
        >>> spider_arguments(['scrapy', 'crawl', 'books', '-a', 'page=1'])
        {'page': '1'}
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument('-a', action='append', default=[])
    known, _ = parser.parse_known_args(list(sys.argv if command_line is None else command_line)[1:])
    return dict(argument.split('=', 1) for argument in known.a if '=' in argument)


def is_cancelled(job: Job) -> bool:
    """Return whether the job was cancelled, or finished or deleted by something else."""
    fields = dict(job.metadata.iter())
    return bool(fields.get('cancelled_by')) or fields.get('state') in ('finished', 'deleted')


class JobFile:
    """The file that names the job of a crawl, for a later crawl that finds its records.

    Args:
        folder: Folder of the crawl.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / 'job.json'

    def write(self, key: str, *, created: bool, **fields: Any) -> None:
        """Write the file.

        Args:
            key: Key of the job.
            created: Whether the crawl created the job, and so has to finish it.
            fields: Metadata to store at the end.
        """
        text = json.dumps({'key': key, 'created': created, 'fields': fields})
        new = self._path.with_suffix('.new')
        new.write_text(text, encoding='utf-8')
        new.replace(self._path)

    def read(self) -> tuple[str, bool, dict[str, Any]] | None:
        """Return key, ``created`` and metadata; None if there is no file."""
        try:
            content = json.loads(self._path.read_text(encoding='utf-8'))
        except FileNotFoundError:
            return None
        return content['key'], content['created'], content['fields']


def finish_job(client: ScrapinghubClient, key: str, *, created: bool, fields: Mapping[str, Any]) -> None:
    """Store the last metadata of a job, and finish it if the crawl created it.

    A job that was given is finished by the program that started it, which finds the close reason in the metadata.

    Args:
        client: The client.
        key: Key of the job.
        created: Whether the crawl created the job.
        fields: The metadata.

    Raises:
        ScrapinghubAPIError: The service refuses, or cannot be reached.
    """
    job = client.get_job(key)
    if created:
        # Unlike Job.finish this is repeated after a lost answer: nothing else changes the state of this job.
        line = {**fields, 'key': key, 'state': 'finished'}
        client.transport.post(('jobq', job.project_id, 'update'), lines=[line], repeat=Repeat.ALWAYS)
    else:
        for name, value in fields.items():
            job.metadata.set(name, value)


def recover_jobs(folders: Path, open_client: OpenClient) -> None:
    """Store what earlier crawls could not store, and finish their jobs.

    Args:
        folders: Folder with a folder for each crawl. Those of crawls that are running are left out.
        open_client: Makes a client with the spool at a path, or without one.
    """
    for folder in sorted(path for path in folders.iterdir() if (path / SPOOL).exists()):
        found = JobFile(folder).read()
        if found is not None:
            _recover_job(folder, *found, open_client)


def _recover_job(folder: Path, key: str, created: bool, fields: dict[str, Any], open_client: OpenClient) -> None:
    try:
        # It stores what the spool has, and holds the folder.
        spooled = open_client(folder / SPOOL)
    except RuntimeError:
        # The crawl is running.
        return
    except (OSError, ValueError) as error:
        logger.warning('The records in %s cannot be stored: %s', folder, error)
        return
    client = open_client(None)
    job = client.get_job(key)
    try:
        for family in FAMILIES:
            _send_again(getattr(job, family), read_records(folder, family))
        job.close_writers()
        spooled.uploader.flush()
        finish_job(client, key, created=created, fields={'close_reason': 'failed', **fields})
    except ScrapinghubAPIError as error:
        logger.warning('The records of job %s in %s cannot be stored: %s', key, folder, error)
        return
    finally:
        client.close(timeout=0)
        spooled.close(timeout=0)
    shutil.rmtree(folder)
    logger.info('Stored the rest of job %s, which an earlier crawl left', key)


def _send_again(family: Any, records: Iterator[tuple[int, Any]]) -> None:
    """Send records to their numbers, where the service may have them already."""
    writer = None
    for number, record in records:
        if writer is None:
            writer = family.writer(start=number)
        writer.write(record)
