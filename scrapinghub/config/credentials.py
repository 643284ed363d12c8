"""Credentials: what they are, and where they are found.

Functions of this module pass keys inside :class:`Hidden`, because many tools print the local variables of a traceback.
"""

from __future__ import annotations

import binascii
import inspect
import os
import warnings
from collections.abc import Iterable
from typing import Literal, NamedTuple

from scrapinghub.config.files import SHUB_KEY, read_files
from scrapinghub.config.validation import Expected
from scrapinghub.redaction import Hidden, remember

KEY_VARIABLES = ('SH_APIKEY', 'SHUB_APIKEY')
JOB_VARIABLE = 'SHUB_JOBAUTH'

WRONG = 'Wrong authentication credentials'

Kind = Literal['an API key', 'an empty API key', 'job credentials', 'a user and a password']


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
                f'{used} They give access to the data of this job while it runs; scheduling and the dash API need an '
                'API key.'
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
        ValueError: The credentials, or a file that may hold them, are malformed.
        RuntimeError: No credentials were found.
        ImportError: ``dotenv_path`` is given and python-dotenv is not installed.
    """
    if auth.value is not None:
        return _from_argument(auth)
    found = _from_variables(Hidden(os.environ), 'the environment variable {}')
    if found is not None:
        return found
    problems = []
    for file in read_files(dotenv_path):
        found = _from_variables(file.values, f'{{}} in the file {file.path}')
        if found is not None:
            return found
        problems.append(file.problem)
    message = (
        f'No API key provided and none found: set the environment variable {KEY_VARIABLES[0]} (or '
        f"{', '.join((*KEY_VARIABLES[1:], JOB_VARIABLE))}), or pass auth='YOUR_API_KEY' to the client."
    )
    raise RuntimeError(' '.join([message, *problems]))


def _from_argument(auth: Hidden) -> Found:
    value = auth.value
    is_pair = isinstance(value, tuple) and len(value) == 2 and all(isinstance(part, str) for part in value)
    is_text = isinstance(value, str)
    kind = f'a tuple of {len(value)}' if isinstance(value, tuple) else type(value).__name__
    # The traceback of the error below must not show it.
    del value
    if is_pair:
        has_password = bool(auth.value[1])
        credentials = Credentials(*auth.value) if has_password else Credentials(auth.value[0].strip())
        return _described(credentials, 'the argument auth')
    if not is_text:
        told = (
            f"auth should be an API key, 'user:password', the value of SHUB_JOBAUTH or a pair of strings; got {kind}."
        )
        raise ValueError(WRONG) from Expected(told)
    return _from_text(auth, 'the argument auth')


def _from_text(text: Hidden, origin: str) -> Found:
    text = Hidden(text.value.strip())
    job = decode_job_credentials(text)
    if job is not None:
        return Found(job, 'job credentials', origin)
    return _described(Credentials(*text.value.split(':', 1)), origin)


def _described(credentials: Credentials, origin: str) -> Found:
    user, password = credentials
    if not password and user != user.strip():
        user, password = credentials = Credentials(user.strip())
    kind: Kind = 'a user and a password' if password else 'an API key' if user else 'an empty API key'
    if password and is_job_key(user):
        kind = 'job credentials'
    return Found(credentials, kind, origin)


def _from_variables(values: Hidden, origin: str) -> Found | None:
    """Return the credentials of the first variable that is set, of a mapping, hidden."""
    for name in (*KEY_VARIABLES, SHUB_KEY):
        text = Hidden((values.value.get(name) or '').strip())
        if text.value:
            return _from_text(text, origin.replace('{}', name, 1))
    text = Hidden((values.value.get(JOB_VARIABLE) or '').strip())
    if not text.value:
        return None
    place = origin.replace('{}', JOB_VARIABLE, 1)
    job = decode_job_credentials(text)
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
