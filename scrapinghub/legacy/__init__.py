"""The client of the first releases, which speaks to the dash only; new programs use :mod:`scrapinghub.client`.

It stands on the transport of everything else, and nothing in the rest of the package needs it.
"""

from __future__ import annotations

from scrapinghub.exceptions import APIError
from scrapinghub.legacy.calls import RequestProxyMixin
from scrapinghub.legacy.connection import Connection
from scrapinghub.legacy.projects import Job, JobSet, Project

__all__ = ['APIError', 'Connection', 'Job', 'JobSet', 'Project', 'RequestProxyMixin']
