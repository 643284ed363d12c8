"""Files that may hold credentials: ``.env``, and the configuration files of the command line tool ``shub``."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scrapinghub.redaction import Hidden

SHUB_FILE = 'scrapinghub.yml'
SHUB_HOME_FILE = '~/.scrapinghub.yml'
SHUB_KEY = 'apikeys: default'


class Variables(NamedTuple):
    """What a file says about credentials.

    Attributes:
        path: The file.
        values: Values by name, hidden.
        problem: Why no credentials were found there, if none were.
    """

    path: Path
    values: Hidden
    problem: str


def read_files(dotenv_path: str | os.PathLike[str] | None = None) -> Iterator[Variables]:
    """Read the files that may hold credentials, one after the other.

    Args:
        dotenv_path: A ``.env`` file; None for the nearest one above the current directory.

    Yields:
        The contents of ``.env``, of the nearest ``scrapinghub.yml``, and of ``.scrapinghub.yml`` in the home directory,
        of those that exist.

    Raises:
        ImportError: ``dotenv_path`` is given and python-dotenv is not installed.
        ValueError: ``dotenv_path`` is not a file, or a file cannot be decoded.
    """
    path = Path(dotenv_path) if dotenv_path else _nearest('.env')
    if path is not None:
        yield _read_dotenv(path, required=bool(dotenv_path))
    for path in (_nearest(SHUB_FILE), _in_home()):
        if path is not None and path.is_file():
            yield _read_shub_file(path)


def _nearest(name: str) -> Path | None:
    """Return the file in the current directory or the nearest of its parents that has one."""
    try:
        here = Path.cwd()
        return next((folder / name for folder in (here, *here.parents) if (folder / name).is_file()), None)
    except OSError:
        # The current directory was deleted, or one of its parents must not be read.
        return None


def _in_home() -> Path | None:
    try:
        return Path(SHUB_HOME_FILE).expanduser()
    except RuntimeError:
        # The user has no home directory.
        return None


def _read_dotenv(path: Path, *, required: bool) -> Variables:
    if required and not path.is_file():
        raise ValueError(f'dotenv_path should be the path of a file, but there is none at {path}')
    try:
        from dotenv import dotenv_values
    except ImportError as error:
        if not required:
            return _unread(path, 'python-dotenv', 'dotenv')
        raise ImportError(
            'dotenv_path needs python-dotenv: install it with pip install "scrapinghub[dotenv]"', name='dotenv'
        ) from error
    values = Hidden(dotenv_values(stream=io.StringIO(_decode(path))))
    return Variables(path, values, f'The file {path} holds none of these variables.')


def _decode(path: Path) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 as PowerShell writes it."""
    content = Hidden(path.read_bytes())
    encoding = 'utf-16' if content.value.startswith((b'\xff\xfe', b'\xfe\xff')) else 'utf-8-sig'
    try:
        return str(content.value, encoding)
    except UnicodeDecodeError:
        # It holds the content: the error below must not refer to it.
        pass
    raise ValueError(f'The file {path} is not encoded in UTF-8: save it in this encoding')


def _read_shub_file(path: Path) -> Variables:
    """Read the default API key, and nothing else: an endpoint in a file of another person must not receive a key."""
    try:
        import yaml
    except ImportError:
        return _unread(path, 'PyYAML', 'yaml')
    problem = f'The file {path} holds no API key ({SHUB_KEY}).'
    try:
        # This loader keeps each value as the text that it is: a key of digits is no number.
        content = Hidden(yaml.BaseLoader(path.read_bytes()).get_single_data() or {})
        keys = Hidden(content.value.get('apikeys') or {})
        key = Hidden(keys.value.get('default') or content.value.get('apikey') or '')
    except (yaml.YAMLError, AttributeError, RecursionError):
        key = Hidden(None)
    if not isinstance(key.value, str):
        # The error of the parser would show the line, which may hold a key.
        raise ValueError(f'The file {path} cannot be read: write the API key as shub does, "{SHUB_KEY}: KEY" in YAML')
    return Variables(path, Hidden({SHUB_KEY: key.value}), problem)


def _unread(path: Path, library: str, extra: str) -> Variables:
    problem = (
        f'There is a file {path}, which was not read because {library} is not installed: '
        f'pip install "scrapinghub[{extra}]".'
    )
    return Variables(path, Hidden({}), problem)
