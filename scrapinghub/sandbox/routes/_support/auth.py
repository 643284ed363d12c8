"""Authentication: an API key in HTTP Basic or ``apikey=``, or the key and token of a job."""

from __future__ import annotations

import hmac
import re
import sqlite3

from werkzeug.wrappers import Request

from scrapinghub.sandbox.routes._support.call import Identity
from scrapinghub.sandbox.store import jobs

#: The user of the API key, as recorded.
ADMIN = 'admin'
JOB_KEY = re.compile(r'[0-9]{1,18}/[0-9]{1,18}/[0-9]{1,18}')
#: First path segments that are followed by a job key.
JOB_DATA = frozenset(('items', 'logs', 'requests', 'samples', 'jobs'))
#: First path segments that are followed by a project that its jobs may use.
PROJECT_DATA = frozenset(('collections', 'hcf'))


def same(given: str, expected: str) -> bool:
    """Compare secrets in constant time."""
    return hmac.compare_digest(given.encode('utf-8', 'surrogatepass'), expected.encode('utf-8', 'surrogatepass'))


def identify(connection: sqlite3.Connection, request: Request, apikey: str) -> Identity | None:
    """Return the sender of a request, ``None`` for missing or wrong credentials.

    Args:
        connection: A connection, to look up the token of a job.
        request: The request.
        apikey: The API key that gives access to everything.
    """
    authorization = request.authorization
    user = password = ''
    if authorization is not None and authorization.type == 'basic':
        user, password = authorization.username or '', authorization.password or ''
    if not user:
        user = request.args.get('apikey', '')
    if JOB_KEY.fullmatch(user):
        token = jobs.job_token(connection, user)
        return Identity(user, job=user) if token is not None and same(password, token) else None
    if user and same(user, apikey):
        return Identity(ADMIN)
    return None


def permitted(identity: Identity, method: str, segments: list[str]) -> bool:
    """Return whether a request is allowed: a job token gives access to the data of the job and of its project only.

    Args:
        identity: The sender.
        method: The method of the request.
        segments: The path, split at its slashes and decoded.
    """
    if identity.job is None:
        return True
    own = identity.job.split('/')
    if method == 'DELETE' and segments == ['jobs', *own]:
        # Only the API key may remove a whole job.
        return False
    if segments[0] in JOB_DATA:
        return segments[1:4] == own
    return segments[0] in PROJECT_DATA and segments[1:2] == own[:1]
