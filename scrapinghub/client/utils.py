"""Functions for keys, log levels and credentials."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

import six

from scrapinghub.config.credentials import find_credentials
from scrapinghub.config.validation import Expected
from scrapinghub.redaction import Hidden
from scrapinghub.transport.codec import encode_json

__all__ = [
    'JobKey',
    'LogLevel',
    'get_tags_for_update',
    'parse_auth',
    'parse_job_key',
    'parse_project_id',
    'update_kwargs',
]


# A page of a job in the web interface, or below it.
_JOB_URL = re.compile(r'https?://[^/?#]+/p/(\d+/\d+/\d+)(?![^/?#])')


class LogLevel(IntEnum):
    """Log levels: those of :mod:`logging`, and ``SILENT``."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40
    CRITICAL = 50
    SILENT = 51


class JobKey(NamedTuple):
    """The three parts of a job key, as text. ``str()`` returns the key.

    Attributes:
        project_id: Id of the project.
        spider_id: Id of the spider.
        job_id: Number of the job of this spider.

    Example:
        >>> str(JobKey('123', '1', '2'))
        '123/1/2'
    """

    project_id: str
    spider_id: str
    job_id: str

    def __str__(self) -> str:
        return '/'.join(map(str, self))


def parse_auth(
    auth: str | tuple[str, str] | None, dotenv_path: str | os.PathLike[str] | None = None
) -> tuple[str, str]:
    """Return the user and password that ``auth`` represents.

    Args:
        auth: An API key, ``user:password``, the value of ``SHUB_JOBAUTH``, or a pair of user and password. With None,
            ``SH_APIKEY``, ``SHUB_APIKEY`` and ``SHUB_JOBAUTH`` are looked up, in the environment and then in a ``.env``
            file, and then the API key in ``scrapinghub.yml`` and ``~/.scrapinghub.yml``, which ``shub`` writes.
        dotenv_path: That file; None for the nearest ``.env`` in the current directory and its parents. Needs the extra
            ``dotenv``.

    Returns:
        User and password, as a tuple whose ``repr`` does not show them. The user is the API key, or the key of a job.

    Raises:
        ValueError: ``auth``, or the variable that was found, is malformed.
        RuntimeError: No credentials were found.
        ImportError: ``dotenv_path`` is given and python-dotenv is not installed.

    Example:
        >>> user, password = parse_auth('name:secret')
        >>> user
        'name'
    """
    given, auth = Hidden(auth), None
    return find_credentials(given, dotenv_path).credentials


def parse_project_id(project_id: int | str) -> str:
    """Return a project id as text.

    Args:
        project_id: An integer, or its text.

    Returns:
        The id as text.

    Raises:
        ValueError: The id is not an integer.
        TypeError: The id is None.

    Example:
        >>> parse_project_id(123)
        '123'
    """
    if project_id is None:
        raise TypeError('Project id should be convertible to integer, got None')
    text = _parse_integer(project_id)
    if text is None:
        raise ValueError('Project id should be convertible to integer') from Expected(f'got {project_id!r}')
    return text


class _HasKey(Protocol):
    """Something with the key of a job, such as a :class:`~scrapinghub.client.jobs.Job`."""

    @property
    def key(self) -> str:
        """The key."""


AnyJobKey = str | bytes | tuple[int | str, int | str, int | str] | _HasKey | Mapping[str, Any]


def parse_job_key(job_key: AnyJobKey) -> JobKey:
    """Return the parts of a job key.

    Args:
        job_key: A string ``project/spider/job``, a tuple of the three, a job, its summary from a listing, or the
            URL of a job in the web interface.

    Returns:
        The parts as text.

    Raises:
        ValueError: The key is malformed.

    Example:
        >>> parse_job_key('123/1/2').spider_id
        '1'
        >>> parse_job_key('https://app.zyte.com/p/123/1/2/items').job_id
        '2'
    """
    found = find_job_key(job_key)
    if isinstance(found, bytes):
        found = six.ensure_text(found)
    if isinstance(found, str):
        parts: tuple[Any, ...] = tuple(found.split('/'))
    elif isinstance(found, tuple):
        parts = found
    else:
        raise ValueError(f'Job key should be a string or a tuple, got {type(job_key)}: {job_key!r}')
    if len(parts) != 3:
        raise ValueError(f'Job key should consist of project_id/spider_id/job_id, got {job_key!r}')
    texts = [text for part in parts if isinstance(part, (str, bytes, int)) and (text := _parse_integer(part))]
    if len(texts) != 3:
        raise ValueError(f'Job key parts should be integers, got {job_key!r}')
    return JobKey(*texts)


def find_job_key(value: Any) -> Any:
    """Return the key of a job, of its summary, or in its URL; any other value unchanged."""
    if isinstance(value, str):
        match = _JOB_URL.match(value.strip())
        return match[1] if match else value
    key = value.get('key') if isinstance(value, Mapping) else getattr(value, 'key', None)
    return key if isinstance(key, str) else value


def _parse_integer(value: Any) -> str | None:
    """Return the text of an integer as the service writes it; None if the value is not an integer."""
    if isinstance(value, bytes):
        value = six.ensure_text(value, errors='replace')
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if isinstance(value, bool) or (isinstance(value, float) and value != number):
        return None
    return str(number)


def get_tags_for_update(**kwargs: Any) -> dict[str, list[str]]:
    """Return the lists of tags that are not empty.

    Args:
        **kwargs: Lists of tags by the name of the field. None and empty lists are omitted.

    Returns:
        The other lists. Tags that are bytes are decoded.

    Raises:
        ValueError: A value is not a list.

    Example:
        >>> get_tags_for_update(add_tag=['new'], remove_tag=[])
        {'add_tag': ['new']}
    """
    found: dict[str, list[str]] = {}
    for name, tags in kwargs.items():
        if not tags:
            continue
        if not isinstance(tags, list):
            raise ValueError('Add/remove field value must be a list') from Expected(f'got {name}={tags!r}')
        found[name] = [six.ensure_text(tag) if isinstance(tag, bytes) else tag for tag in tags]
    return found


def update_kwargs(kwargs: MutableMapping[str, Any], **params: Any) -> None:
    """Add parameters to ``kwargs`` in place. None is omitted, and dicts become JSON text.

    Args:
        kwargs: The dict to change.
        **params: The parameters to add.

    Example:
        >>> kwargs = {'spider': 'news'}
        >>> update_kwargs(kwargs, units=None, meta={'source': 'feed'})
        >>> kwargs
        {'spider': 'news', 'meta': '{"source": "feed"}'}
    """
    for name, value in params.items():
        if value is not None:
            kwargs[name] = encode_json(value) if isinstance(value, dict) else value
