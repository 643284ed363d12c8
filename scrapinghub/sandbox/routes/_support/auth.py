"""Who calls: an API key by HTTP Basic or ``apikey=``, or a job by its key and token."""

from __future__ import annotations

import hmac
import re
import sqlite3

from werkzeug.wrappers import Request

from scrapinghub.sandbox.routes._support.call import Identity
from scrapinghub.sandbox.store import jobs

#: The user whom the API key stands for, as in the recordings.
ADMIN = 'admin'
JOB_KEY = re.compile(r'[0-9]{1,18}/[0-9]{1,18}/[0-9]{1,18}')
#: First path segments whose second, third and fourth name a job's own data.
JOB_DATA = frozenset(('items', 'logs', 'requests', 'samples', 'jobs'))
#: First path segments whose second names a project that its jobs may use.
PROJECT_DATA = frozenset(('collections', 'hcf'))


def same(given: str, expected: str) -> bool:
    """Compare secrets in a time that does not depend on where they differ."""
    return hmac.compare_digest(given.encode('utf-8', 'surrogatepass'), expected.encode('utf-8', 'surrogatepass'))


def identify(connection: sqlite3.Connection, request: Request, apikey: str) -> Identity | None:
    """Return who sent the request, ``None`` for absent or wrong credentials.

    Args:
        connection: A connection, to look up the token of a job.
        request: The request.
        apikey: The API key that opens everything.
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
    """Tell whether the caller may do this: a job token opens that job's data and its project's shared data only.

    Args:
        identity: Who calls.
        method: The method of the request.
        segments: The path, split at its slashes and decoded.
    """
    if identity.job is None:
        return True
    own = identity.job.split('/')
    if method == 'DELETE' and segments == ['jobs', *own]:
        # Removing a whole job for good is administration.
        return False
    if segments[0] in JOB_DATA:
        return segments[1:4] == own
    return segments[0] in PROJECT_DATA and segments[1:2] == own[:1]
