"""The route of section ``/system``: the service's clock."""

from __future__ import annotations

from scrapinghub.sandbox.routes._support.call import Call
from scrapinghub.sandbox.routes._support.services import storage_value
from scrapinghub.sandbox.server.response import Response


def timestamp(call: Call) -> Response:
    """Return the service's time in milliseconds since the epoch."""
    return storage_value(call.store.now())


ROUTES = [('/system/ts', ('GET',), timestamp)]
