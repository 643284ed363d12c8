"""Types of the fixed shapes in which the service answers, for type checkers and readers.

At run time each of them is a plain dict.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

JobState = Literal['pending', 'running', 'finished', 'deleted']


class _JobSummaryAlways(TypedDict):
    key: str
    state: JobState
    ts: int
    elapsed: int


class JobSummary(_JobSummaryAlways, total=False):
    """A job in a listing; with ``meta``, the fields that were asked for instead of the optional ones.

    ``ts`` and the times are milliseconds since the epoch: ``ts`` is when the job entered its present state. ``elapsed``
    is how many milliseconds have passed since then.
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
    """The jobs of a project or spider that are in one state."""

    name: JobState
    count: int
    summary: list[JobSummary]


class ProjectSummary(TypedDict, total=False):
    """How many jobs a project has in each state."""

    project: int
    pending: int
    running: int
    finished: int
    has_capacity: bool


class SpiderInfo(TypedDict):
    """A spider in the list of a project; ``id`` is its name."""

    id: str
    tags: list[str]
    type: str
    version: str | None


class CancelResult(TypedDict):
    """How many jobs a cancellation reached."""

    count: int


class ActivityEvent(TypedDict, total=False):
    """An event of a project, as the platform writes them; events of one's own may have any fields."""

    event: str
    job: str
    user: str
    _ts: int
    _key: str
    _project: Any


class StatsTotals(TypedDict, total=False):
    """How much a job has stored of one family of records."""

    input_values: int
    input_bytes: int


class Stats(TypedDict, total=False):
    """How many records there are: by field, of log lines by level as text, and in total."""

    counts: dict[str, int]
    totals: StatsTotals


class _Meta(TypedDict, total=False):
    _key: str
    _ts: int


class LogRecord(_Meta):
    """A log line; ``time`` is in milliseconds since the epoch. ``_key`` and ``_ts`` come if ``meta`` asks for them."""

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
    """A request that a job made: times in milliseconds, ``rs`` in bytes. The service leaves out what is null."""

    parent: int | None
    fp: str | None


class CollectionInfo(TypedDict):
    """A collection in the list of a project; ``type`` is ``s``, ``cs``, ``vs`` or ``vcs``."""

    type: str
    name: str


class _FrontierRequestAlways(TypedDict):
    fp: str


class FrontierRequest(_FrontierRequestAlways, total=False):
    """A request to add: ``qdata`` goes with it, ``fdata`` with its fingerprint; a lower priority ``p`` comes first."""

    qdata: Any
    fdata: Any
    p: int


class FrontierBatch(TypedDict):
    """A batch of a queue; each request is a pair of its fingerprint and its ``qdata``, or None."""

    id: str
    requests: list[list[Any]]
