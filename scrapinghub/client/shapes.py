"""Types of the results that have a fixed form, for type checkers and readers. At run time each is a plain dict."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

JobState = Literal['pending', 'running', 'finished', 'deleted']


class _JobSummaryAlways(TypedDict):
    key: str
    state: JobState
    ts: int
    elapsed: int


class JobSummary(_JobSummaryAlways, total=False):
    """A job in a list. With ``meta``, the requested fields replace the optional ones.

    Times are in milliseconds since the epoch. ``ts`` is the time when the job entered its state, and ``elapsed`` the
    time since then, in milliseconds. ``pages`` is the number of requests, ``errors`` the number of log entries of level
    ERROR and above. Numbers that are zero are omitted.
    """

    spider: str
    pending_time: int
    running_time: int
    finished_time: int
    close_reason: str
    version: str
    items: int
    logs: int
    pages: int
    errors: int
    tags: list[str]


class StateSummary(TypedDict):
    """The number of jobs of a project or spider in one state, and summaries of the latest of them."""

    name: JobState
    count: int
    summary: list[JobSummary]


class ProjectSummary(TypedDict, total=False):
    """The number of jobs of a project in each state."""

    project: int
    pending: int
    running: int
    finished: int
    has_capacity: bool


class SpiderInfo(TypedDict):
    """A spider in the list of a project. ``id`` is its name."""

    id: str
    tags: list[str]
    type: str
    version: str | None


class CancelResult(TypedDict):
    """The number of jobs that a cancellation found."""

    count: int


class ActivityEvent(TypedDict, total=False):
    """An event that the platform writes. Other events can have any fields."""

    event: str
    job: str
    user: str
    _ts: int
    _key: str
    _project: Any


class StatsTotals(TypedDict, total=False):
    """The number and the size of the records of one kind in a job."""

    input_values: int
    input_bytes: int


class Stats(TypedDict, total=False):
    """The number of records: by field (for logs: by level), and in total."""

    counts: dict[str, int]
    totals: StatsTotals


class _Meta(TypedDict, total=False):
    _key: str
    _ts: int


class LogRecord(_Meta):
    """A log entry. ``time`` is in milliseconds since the epoch. ``meta`` adds ``_key`` and ``_ts``."""

    time: int
    level: int
    message: str


class _RequestAlways(_Meta):
    time: int
    url: str
    method: str
    status: int
    rs: int
    duration: int


class RequestRecord(_RequestAlways, total=False):
    """A request that a job made: times in milliseconds, ``rs`` in bytes. The service omits fields that are null."""

    parent: int | None
    fp: str | None


class CollectionInfo(TypedDict):
    """A collection in the list of a project. ``type`` is ``s``, ``cs``, ``vs`` or ``vcs``."""

    type: str
    name: str


class _FrontierRequestAlways(TypedDict):
    fp: str


class FrontierRequest(_FrontierRequestAlways, total=False):
    """A request to add: ``qdata`` is returned with it, ``fdata`` is stored with its fingerprint ``fp``.

    Requests with a lower priority ``p`` are returned first.
    """

    qdata: Any
    fdata: Any
    p: int


class FrontierBatch(TypedDict):
    """A batch of a queue. Each request is a pair of its fingerprint and its ``qdata``, which may be None."""

    id: str
    requests: list[list[Any]]


class _CommentAlways(TypedDict):
    item: int
    field: str | None
    id: int
    text: str


class Comment(_CommentAlways, total=False):
    """A comment on an item of a job, or on a field of it.

    ``item`` is the number of the item; ``field`` is None for a comment on the whole item. ``archived`` is the time when
    it was archived, or None.
    """

    author: str
    avatar: str
    created: str
    archived: str | None
    editable: bool
