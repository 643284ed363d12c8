"""Spider names and spider ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scrapinghub.client._support.parameters import pairs
from scrapinghub.client._support.responses import owed
from scrapinghub.exceptions import NotFound
from scrapinghub.transport.http.transport import Transport


def spider_id(transport: Transport, project_id: str, name: str, params: Mapping[str, Any] | None = None) -> str:
    """Ask for the id of a spider.

    Args:
        transport: The way to the wire.
        project_id: Id of the project.
        name: Name of the spider.
        params: Query parameters, such as ``create``.

    Returns:
        The id, as text.

    Raises:
        NotFound: The project has no spider of this name.
    """
    value = transport.get(('ids', project_id, 'spider', name), pairs(params or {})).value
    if value is None:
        raise NotFound(f"Spider {name} doesn't exist.")
    return str(owed(value, int, f'GET ids/{project_id}/spider/{name}'))
