"""Credentials: what they are, and where they are found.

Functions of this module pass keys inside :class:`Hidden`, because many tools print the local variables of a traceback.
"""

from __future__ import annotations

import binascii
import inspect
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from scrapinghub.config.validation import Expected
from scrapinghub.redaction import remember

KEY_VARIABLES = ('SH_APIKEY', 'SHUB_APIKEY')
JOB_VARIABLE = 'SHUB_JOBAUTH'

WRONG = 'Wrong authentication credentials'

Kind = Literal['an API key', 'an empty API key', 'job credentials', 'a user and a password']


class Hidden:
    """Holds a value that must not be shown.

    Args:
        value: The value.
    """

    __slots__ = ('value',)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return '<hidden>'


class Credentials(tuple[str, str]):
    """User and password, as ``requests`` takes them; never shown.

    Args:
        user: User, or API key.
        password: Password; empty for an API key.

    Raises:
        ValueError: One of them has characters that an HTTP header cannot hold.
    """

    __slots__ = ()

    def __new__(cls, user: str, password: str = '') -> Credentials:
        """Pair a user with a password."""
        pair = super().__new__(cls, (user, password))
        remember(str(user), str(password))
        # The traceback of the error below must not show them; the UnicodeEncodeError of a later place would.
        del user, password
        if not _fit_a_header(pair):
            raise ValueError(f'{WRONG}: user or password contain characters beyond Latin-1')
        return pair

    def __getnewargs__(self) -> tuple[str, str]:
        return self[0], self[1]

    def __repr__(self) -> str:
        return 'Credentials(...)'

    __str__ = __repr__


def _fit_a_header(texts: Iterable[str]) -> bool:
    return all(max(str(text), default='') < '\u0100' for text in texts)


class Found(NamedTuple):
    """Credentials with a description that can be shown.

    Attributes:
        credentials: User and password.
        kind: Their kind.
        origin: Their source.
    """

    credentials: Credentials
    kind: Kind
    origin: str

    @property
    def hint(self) -> str:
        """Help for the error if the service refuses them."""
        used = f'The client used {self.kind}, given by {self.origin}.'
        if self.kind == 'job credentials':
            return (
                f'{used} They give access to the data of this job while it runs; scheduling and the dash need an API '
                'key.'
            )
        return (
            f'{used} Use the Scrapy Cloud API key of the account settings; the key of the Zyte API is a different key '
            'and does not work.'
        )


def find_credentials(auth: Hidden, dotenv_path: str | os.PathLike[str] | None = None) -> Found:
    """Return the credentials to use.

    Args:
        auth: The argument ``auth``, hidden.
        dotenv_path: A ``.env`` file; None for the nearest one above the current directory.

    Returns:
        Credentials, with their kind and origin.

    Raises:
        ValueError: The credentials are malformed.
        RuntimeError: No credentials were found.
        ImportError: ``dotenv_path`` is given and python-dotenv is not installed.
    """
    if auth.value is not None:
        return _from_argument(auth)
    found = _from_variables(os.environ, 'the environment variable {}')
    if found is not None:
        return found
    path = Path(dotenv_path) if dotenv_path else nearest_dotenv()
    values = read_dotenv(path, required=bool(dotenv_path))
    found = _from_variables(values, f'{{}} in the file {path}')
    if found is not None:
        return found
    names = ', '.join((*KEY_VARIABLES, JOB_VARIABLE))
    raise RuntimeError(
        f'No API key provided and none found: pass auth=..., or set one of the environment variables {names}'
        f'{_why_dotenv_was_not_read(path)}'
    )


def _from_argument(auth: Hidden) -> Found:
    value = auth.value
    is_pair = isinstance(value, tuple) and len(value) == 2 and all(isinstance(part, str) for part in value)
    is_text = isinstance(value, str)
    kind = f'a tuple of {len(value)}' if isinstance(value, tuple) else type(value).__name__
    # The traceback of the error below must not show it.
    del value
    if is_pair:
        return _described(Credentials(*auth.value), 'the argument auth')
    if not is_text:
        told = f"auth should be an API key, 'user:password', the value of SHUB_JOBAUTH or a pair of texts; got {kind}."
        raise ValueError(WRONG) from Expected(told)
    return _from_text(auth, 'the argument auth')


def _from_text(text: Hidden, origin: str) -> Found:
    job = decode_job_credentials(text)
    if job is not None:
        return Found(job, 'job credentials', origin)
    return _described(Credentials(*text.value.split(':', 1)), origin)


def _described(credentials: Credentials, origin: str) -> Found:
    user, password = credentials
    kind: Kind = 'a user and a password' if password else 'an API key' if user else 'an empty API key'
    if password and is_job_key(user):
        kind = 'job credentials'
    return Found(credentials, kind, origin)


def _from_variables(values: Mapping[str, str | None], origin: str) -> Found | None:
    for name in KEY_VARIABLES:
        if values.get(name):
            return _from_text(Hidden(values[name]), origin.format(name))
    if not values.get(JOB_VARIABLE):
        return None
    place = origin.format(JOB_VARIABLE)
    job = decode_job_credentials(Hidden(values[JOB_VARIABLE]))
    if job is None:
        raise ValueError(
            f'{WRONG}: {place} should hold the hexadecimal form of project/spider/job:token, as the platform sets it'
        )
    warnings.warn(
        f'The only credentials found are those of a job ({place}): they give access to its own data, and to little '
        'else of the API.',
        UserWarning,
        stacklevel=user_level(),
    )
    return Found(job, 'job credentials', place)


def user_level() -> int:
    """Return the stack level at which a warning shows the line of the user."""
    level = 1
    frame = inspect.currentframe()
    frame = frame.f_back if frame else None
    while frame and frame.f_back and frame.f_globals.get('__name__', '').partition('.')[0] == 'scrapinghub':
        frame = frame.f_back
        level += 1
    return level


def decode_job_credentials(text: Hidden) -> Credentials | None:
    """Return the credentials of a job in hexadecimal form; None for any other text."""
    try:
        decoded = Hidden(binascii.unhexlify(text.value).decode('ascii'))
    except ValueError:
        return None
    key, _, token = decoded.value.partition(':')
    return Credentials(key, token) if token and is_job_key(key) else None


def is_job_key(text: str) -> bool:
    """Return whether a text is a job key ``P/S/J``."""
    parts = text.split('/')
    return len(parts) == 3 and all(part.isascii() and part.isdigit() for part in parts)


def nearest_dotenv() -> Path | None:
    """Return the ``.env`` file in the current directory or the nearest of its parents that has one."""
    return next((path for path in _dotenv_places() if path.is_file()), None)


def _dotenv_places() -> Iterator[Path]:
    here = Path.cwd()
    for folder in (here, *here.parents):
        yield folder / '.env'


def read_dotenv(path: Path | None, *, required: bool) -> Mapping[str, str | None]:
    """Return the variables of a ``.env`` file; the environment of the process stays as it is.

    Args:
        path: The file, or None.
        required: Whether the user named this file.

    Returns:
        Values by name; an empty dict if the user did not name the file and it cannot be read.

    Raises:
        ImportError: The user named the file, and python-dotenv is not installed.
        ValueError: The user named a file that does not exist.
    """
    if path is None:
        return {}
    if required and not path.is_file():
        raise ValueError(f'dotenv_path should be the path of a file, but there is none at {path}')
    try:
        from dotenv import dotenv_values
    except ImportError as error:
        if not required:
            return {}
        raise ImportError(
            'dotenv_path needs python-dotenv: install it with pip install "scrapinghub[dotenv]"', name='dotenv'
        ) from error
    return dotenv_values(path)


def _why_dotenv_was_not_read(path: Path | None) -> str:
    if path is None:
        return '.'
    try:
        import dotenv  # noqa: F401
    except ImportError:
        return (
            f'. There is a file {path}, which was not read because python-dotenv is not installed: '
            'pip install "scrapinghub[dotenv]".'
        )
    return f'. The file {path} holds none of them.'
