"""Look up the id of a spider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scrapinghub.client._support.parameters import encode_pairs
from scrapinghub.client._support.validation import expect
from scrapinghub.exceptions import NotFound
from scrapinghub.transport.http.transport import Transport


def find_spider_id(transport: Transport, project_id: str, name: str, params: Mapping[str, Any] | None = None) -> str:
    """Request the id of a spider.

    Args:
        transport: Sends the request.
        project_id: Id of the project.
        name: Name of the spider.
        params: Query parameters, such as ``create``.

    Returns:
        The id, as text.

    Raises:
        NotFound: The project has no spider of this name.
    """
    path = ('ids', project_id, 'spider', name)
    value = transport.get(path, encode_pairs(params or {})).value
    if value is None:
        raise NotFound(f"Spider {name} doesn't exist.")
    return str(expect(value, int, f'GET {"/".join(path)}'))
