"""The properties of a writer that its endpoint family determines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests

MAX_ITEM_BYTES = 1024 * 1024

Callback = Callable[['requests.Response | None'], None]


@dataclass(frozen=True)
class WriterOptions:
    """The properties of a writer that its endpoint family determines.

    Attributes:
        size: Maximum number of records in a request.
        interval: Seconds after which records are sent although the batch is not full.
        qsize: Maximum number of queued records, above which ``write`` blocks; None for twice ``size``.
        content_encoding: ``gzip`` or ``identity``.
        maxitemsize: Maximum size of a record, in bytes of JSON text.
        keyed: Whether records have keys, so that good ones around a refused one can be stored; otherwise they are
            numbered.
        lists: Whether ``write`` takes a list for several records.
        record_type: Type of a record, ``dict`` or ``list``; empty to accept any.
        label: Name of the records in errors.
    """

    size: int = 1000
    interval: float = 15.0
    qsize: int | None = None
    content_encoding: str = 'gzip'
    maxitemsize: int = MAX_ITEM_BYTES
    keyed: bool = False
    lists: bool = False
    record_type: str = ''
    label: str = ''

    def __post_init__(self) -> None:
        for name in ('size', 'qsize', 'maxitemsize'):
            value = getattr(self, name)
            if not (value is None and name == 'qsize') and (not isinstance(value, int) or value < 1):
                raise ValueError(f'{name} must be an integer of at least 1, got {value!r}')
        if self.interval < 0:
            raise ValueError(f'interval must be a number of seconds of at least 0, got {self.interval!r}')
        if self.content_encoding not in ('gzip', 'identity'):
            raise ValueError(f"content_encoding must be 'gzip' or 'identity', got {self.content_encoding!r}")

    def as_dict(self) -> dict[str, Any]:
        """Return the options as keyword arguments of this class."""
        return asdict(self)
