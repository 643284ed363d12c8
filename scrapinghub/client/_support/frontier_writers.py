"""What sends to frontiers, and counts how much of it was new."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from scrapinghub.client._support.validation import expect_field
from scrapinghub.exceptions import UploadError
from scrapinghub.transport.codec import decode_json
from scrapinghub.transport.uploads.uploader import Writer, WriterOptions

if TYPE_CHECKING:
    import requests

    from scrapinghub.client._support.resource import Client

_OPTIONS = WriterOptions(size=5000, interval=60.0, qsize=6000, content_encoding='identity', keyed=True, lists=True)


# No object here has a lock: a signal handler that writes, too, would wait for the caller that it interrupts.


class FrontierWriters:
    """The writers of all slots that were reached through one :class:`~scrapinghub.client.frontiers.Frontiers`.

    Safe to share between threads, and with signal handlers.

    Args:
        client: The client.
        project: Id of the project.
    """

    def __init__(self, client: Client, project: str) -> None:
        self._client = client
        self._project = project
        self._slots: dict[tuple[str, str], SlotWriter] = {}

    def of_slot(self, frontier: str, slot: str) -> SlotWriter:
        """Return the one writer of a slot."""
        path = ('hcf', self._project, frontier, 's', slot)
        return self._slots.setdefault((frontier, slot), SlotWriter(self._client, path))

    def _of(self, frontier: str | None) -> list[SlotWriter]:
        return [writer for (name, _), writer in list(self._slots.items()) if frontier in (None, name)]

    def newcount(self, frontier: str | None = None) -> int:
        """Return how many requests were new in the slots of one frontier, or of all.

        Raises:
            UploadError: Some of the requests cannot be stored.
        """
        return sum(writer.newcount for writer in self._of(frontier))

    def close(self) -> None:
        """Wait until everything is stored, and take no more.

        Raises:
            UploadError: Some of it cannot be stored.
        """
        _for_all(writer.close for writer in self._of(None))


class SlotWriter:
    """The writer of one slot, made when something is added first.

    Args:
        client: The client.
        path: Path of the slot on the storage server.
    """

    _writer: Writer | None = None

    def __init__(self, client: Client, path: tuple[str, ...]) -> None:
        self._client = client
        self._path = path
        self._tally = _Tally(f'POST {"/".join(path)}')

    def __reduce__(self) -> tuple[Any, ...]:
        writer = self._writer
        if writer is not None and writer.offset < writer.next_number:
            raise TypeError(f'{writer} has requests that are not stored: call flush() before copying it')
        return SlotWriter, (self._client, self._path)

    @property
    def newcount(self) -> int:
        """How many requests were new.

        Raises:
            UploadError: Some requests cannot be stored; the error holds them.
        """
        if self._writer is not None:
            self._writer.check()
        return self._tally.total

    def forget(self) -> None:
        """Begin to count at 0."""
        self._tally.reset()

    def add(self, requests: list[dict[str, Any]]) -> None:
        """Queue requests, all or none; wait while the queue is full."""
        (self._writer or self._make_writer()).write(requests)

    def _make_writer(self) -> Writer:
        # A separate writer, not shared with other objects for the same slot: each counts what it added.
        writer = self._client.uploader.writer(self._path, _OPTIONS, callback=self._tally.add, shared=False)
        # Another thread or a signal handler may have made one meanwhile.
        made: Writer = vars(self).setdefault('_writer', writer)
        return made

    def take_back(self) -> list[Any]:
        """Return everything that was added and is not stored, and forget it; the writer can go on after an error.

        Returns:
            Requests, in the order in which they were added.
        """
        return [] if self._writer is None else self._writer.take_back()

    def close(self) -> None:
        """Wait until everything added is stored, and take no more."""
        if self._writer is not None:
            self._writer.close()


class _Tally:
    """Adds up what the service calls new; knows no client, so that the thread that calls it keeps none alive.

    Args:
        what: Name of the call that is answered, for errors.
    """

    def __init__(self, what: str) -> None:
        self._numbers: list[int] = []
        self._what = what

    @property
    def total(self) -> int:
        """The sum."""
        return sum(self._numbers)

    def add(self, response: requests.Response | None) -> None:
        """Count an answer; None stands for a batch that was given up."""
        if response is not None:
            self._numbers.append(expect_field(decode_json(response.content), 'newcount', int, self._what))

    def reset(self) -> None:
        """Begin at 0."""
        self._numbers = []


def _for_all(actions: Iterable[Callable[[], None]]) -> None:
    """Do all of it, and raise the first error then; it has the others."""
    errors: list[UploadError] = []
    for action in actions:
        try:
            action()
        except UploadError as error:
            errors.append(error)
    if errors:
        errors[0].others = (*errors[0].others, *errors[1:])
        raise errors[0]
