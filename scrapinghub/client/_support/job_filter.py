"""The filter of a job selection, checked on the client: the service may ignore parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from itertools import chain
from typing import Any

from scrapinghub.client._support.validation import parse_time
from scrapinghub.client.utils import parse_job_key
from scrapinghub.transport.streams.stream import RecordStream

_is_job_key = re.compile(r'[0-9]+/[0-9]+/[0-9]+').fullmatch

STATES = ('pending', 'running', 'finished', 'deleted')
DEFAULT_STATES = STATES[:3]


@dataclass(frozen=True)
class JobFilter:
    """Which jobs a selection holds; None means any.

    Attributes:
        project_id: Id of the project.
        spider: Name of the spider.
        states: States; by default all but ``deleted``.
        has_tag: Tags of which a job has at least one.
        lacks_tag: Tags of which a job has none.
        startts: Earliest time of the last change of state, in milliseconds since the epoch.
        endts: Time before which the state changed last, in milliseconds since the epoch.
        keys: Keys of jobs.
        ages: Times that were given as "that long ago", by name of the argument.
    """

    project_id: str
    spider: str | None = None
    states: tuple[str, ...] | None = None
    has_tag: tuple[str, ...] | None = None
    lacks_tag: tuple[str, ...] | None = None
    startts: int | None = None
    endts: int | None = None
    keys: tuple[str, ...] | None = None
    ages: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _key_set(self) -> frozenset[str] | None:
        return None if self.keys is None else frozenset(self.keys)

    @property
    def narrows(self) -> bool:
        """Whether there is a filter besides the state."""
        filters = (self.spider, self.has_tag, self.lacks_tag, self.startts, self.endts, self.keys)
        return any(value is not None for value in filters)

    @property
    def holds_deleted(self) -> bool:
        """Whether deleted jobs match."""
        return 'deleted' in (self.states or ())

    def arguments(self) -> dict[str, Any]:
        """Return the filter as it was given: a program that is started again gives the same."""
        given = {**vars(self), **self.ages}
        return {name: given[name] for name in self.__dataclass_fields__ if name != 'ages' and given[name] is not None}

    @property
    def fields(self) -> list[str]:
        """Fields of a summary that :meth:`matches` needs and that are only returned if they are requested."""
        by_tag = self.has_tag is not None or self.lacks_tag is not None
        return [*(['spider'] if self.spider is not None else []), *(['tags'] if by_tag else [])]

    def parameters(self) -> list[tuple[str, Any]]:
        """Return the query parameters of a listing."""
        values = {
            'spider': self.spider,
            'state': self.states or DEFAULT_STATES,
            'has_tag': self.has_tag,
            'lacks_tag': self.lacks_tag,
            'startts': self.startts,
            'endts': self.endts,
        }
        return [
            (name, one)
            for name, value in values.items()
            if value is not None
            for one in (value if isinstance(value, tuple) else (value,))
        ]

    def matches(self, summary: Mapping[str, Any]) -> bool | None:
        """Return whether a job matches; None if its summary cannot be checked.

        Args:
            summary: A row of a listing for which :attr:`fields` were requested.
        """
        key, state, ts = summary.get('key'), summary.get('state'), summary.get('ts')
        by_time = self.startts is not None or self.endts is not None
        if not _is_job_key(str(key)) or str(key).partition('/')[0] != self.project_id:
            # The service takes the key of a spider for all its jobs.
            return None
        if state is None or (self.spider is not None and 'spider' not in summary):
            return None
        if by_time and not isinstance(ts, int):
            return None
        moment = ts or 0
        # The service leaves out the tags of a job that has none.
        tags = set(summary.get('tags') or ())
        return (
            state in (self.states or DEFAULT_STATES)
            and (self._key_set is None or key in self._key_set)
            and (self.spider is None or summary['spider'] == self.spider)
            and (self.has_tag is None or not tags.isdisjoint(self.has_tag))
            and (self.lacks_tag is None or tags.isdisjoint(self.lacks_tag))
            and (self.startts is None or moment >= self.startts)
            and (self.endts is None or moment < self.endts)
        )

    def describe(self) -> list[tuple[str, str]]:
        """Return name and value of each condition, for people."""
        conditions = {
            'spider': self.spider,
            'state': _any_of(self.states),
            'tags': _any_of(self.has_tag),
            'without': _any_of(self.lacks_tag),
            'from': self.startts,
            'before': self.endts,
            'key': _any_of(self.keys),
        }
        return [(name, str(value)) for name, value in conditions.items() if value is not None]


def _any_of(values: tuple[str, ...] | None) -> str | None:
    if values is None:
        return None
    shown = [*values[:3], *([f'{len(values) - 3} more'] if len(values) > 3 else [])]
    return values[0] if len(values) == 1 else f'any of {", ".join(shown)}'


class Matching:
    """The rows of a listing that match a filter; one iteration of it is a run of a :class:`ResumableIterator`.

    Args:
        rows: The rows.
        job_filter: The filter.
        count: Maximum number of rows that match; None for all.
        convert: Called with each row that matches; what it returns is delivered.

    Attributes:
        unfinished: Whether there may be another run.
    """

    def __init__(
        self,
        rows: Iterator[dict[str, Any]],
        job_filter: JobFilter,
        count: int | None,
        convert: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        self.unfinished = True
        self._convert = convert
        self._rows = rows
        self._filter = job_filter
        self._left = count
        # The row being checked: an interruption does not lose it.
        self._row: dict[str, Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        rows = self._rows if self._row is None else chain([self._row], self._rows)
        for self._row in rows:
            if self._left == 0:
                break
            if self._filter.matches(self._row):
                row = self._row if self._convert is None else self._convert(self._row)
                if self._left is not None:
                    self._left -= 1
                self._row = None
                yield row
        self.unfinished = False

    def close(self) -> None:
        """Release the connection and end the iteration."""
        self.unfinished = False
        if isinstance(self._rows, RecordStream):
            self._rows.close()


def parse_filter(
    project_id: str, *, spider: Any, state: Any, has_tag: Any, lacks_tag: Any, startts: Any, endts: Any, key: Any
) -> JobFilter:
    """Return a filter for the arguments of :meth:`Jobs.select <scrapinghub.client.jobs.Jobs.select>`.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is empty, unknown, malformed or ambiguous.
    """
    times = {'startts': startts, 'endts': endts}
    return JobFilter(
        project_id,
        spider=parse_name('spider', spider),
        states=parse_states(state),
        has_tag=parse_choices('has_tag', has_tag),
        lacks_tag=parse_choices('lacks_tag', lacks_tag),
        startts=None if startts is None else parse_time('startts', startts, strict=True),
        endts=None if endts is None else parse_time('endts', endts, strict=True),
        keys=parse_keys(project_id, key),
        ages={name: f'{age} ago' for name, age in times.items() if isinstance(age, timedelta)},
    )


def parse_choices(name: str, value: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """Return one or several names of a filter as a tuple; None for no filter.

    Args:
        name: Name of the argument, for the error.
        value: A name, or an iterable of names.

    Raises:
        TypeError: A name is not a string.
        ValueError: There are no names, or one is empty.
    """
    if value is None:
        return None
    names = tuple(as_list(name, value, 'a string or a list of strings'))
    for one in names:
        if not isinstance(one, str):
            raise TypeError(f'{name} should be a string or a list of strings, got {one!r}')
    if not names or '' in names:
        raise ValueError(f'{name} should not be empty, got {value!r}: pass None for no filter')
    return tuple(dict.fromkeys(names))


def as_list(name: str, value: Any, accepted: str) -> Iterable[Any]:
    """Return one value, or several, as an iterable."""
    if isinstance(value, (str, bytes, Mapping)) or hasattr(value, 'key'):
        return [value]
    if not isinstance(value, Iterable):
        raise TypeError(f'{name} should be {accepted}, got {value!r}')
    return value


def parse_name(name: str, value: Any) -> str | None:
    """Return one name of a filter; None for no filter.

    Raises:
        TypeError: The value is not a string.
        ValueError: The value is empty.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f'{name} should be one name, or None for no filter, got {value!r}')
    if not value:
        raise ValueError(f'{name} should not be empty: pass None for no filter')
    # The text of a member of an enumeration is its value, and not its name.
    return str.__str__(value)


def parse_states(value: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """Return the states of a filter; see :func:`parse_choices`."""
    states = parse_choices('state', value)
    unknown = [state for state in states or () if state not in STATES]
    if unknown:
        raise ValueError(f'state should be one of {", ".join(STATES)}, got {unknown[0]!r}')
    return states


def parse_keys(project_id: str, value: Any) -> tuple[str, ...] | None:
    """Return the keys of jobs of one project; None for no filter.

    Raises:
        ValueError: There are no keys, or one is malformed or of another project.
    """
    if value is None:
        return None
    given = as_list('key', value, 'a job key, a Job, or a list of them')
    keys = tuple(dict.fromkeys(str(parse_job_key(key)) for key in given))
    if not keys:
        raise ValueError(f'key should not be empty, got {value!r}: pass None for no filter')
    for key in keys:
        if key.partition('/')[0] != project_id:
            raise ValueError(f'key should be of project {project_id}, got {key}')
    return keys
