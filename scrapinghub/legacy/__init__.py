"""The client of the first releases, which uses the dash only; new programs use :mod:`scrapinghub.client`.

It uses the transport of the package. No other part of the package imports it.
"""

from __future__ import annotations

from scrapinghub.exceptions import APIError
from scrapinghub.legacy.calls import RequestProxyMixin
from scrapinghub.legacy.connection import Connection
from scrapinghub.legacy.projects import Job, JobSet, Project

__all__ = ['APIError', 'Connection', 'Job', 'JobSet', 'Project', 'RequestProxyMixin']
