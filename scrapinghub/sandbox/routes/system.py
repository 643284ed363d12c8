"""The route of section ``/system``: the service's clock."""

from __future__ import annotations

from scrapinghub.sandbox.server.http import Call, Reply, storage_value


def timestamp(call: Call) -> Reply:
    """Answer the service's time in milliseconds since the epoch."""
    return storage_value(call.store.now())


ROUTES = [('/system/ts', ('GET',), timestamp)]
