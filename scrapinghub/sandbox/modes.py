"""Optional behaviour of the service that clients must be able to handle."""

from __future__ import annotations

from dataclasses import dataclass

#: Makes clients skip the pauses between retries.
INSTANT_VARIABLE = 'SCRAPINGHUB_INSTANT_RETRIES'


@dataclass
class Modes:
    """Modes of one sandbox; they can be changed at any time.

    Attributes:
        ignore_filters: Whether lists and counts of jobs ignore ``endts``, ``key`` and ``lacks_tag``.
        shuffle_fields: Whether each read returns the fields of records, nested ones included, in another order.
    """

    ignore_filters: bool = False
    shuffle_fields: bool = False
