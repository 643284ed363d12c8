"""The events of a project."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from scrapinghub.client._support.lists import listed
from scrapinghub.client._support.parameters import (
    RECORD_PARAMETERS,
    encode_pairs,
    merge_parameters,
    parse_number,
    suggests_names,
)
from scrapinghub.client._support.resource import Client, Resource
from scrapinghub.client._support.streams import explain_filters, explain_lost_response, read_stream
from scrapinghub.client.shapes import ActivityEvent
from scrapinghub.client.utils import parse_job_key, parse_project_id
from scrapinghub.config.validation import Expected
from scrapinghub.transport import codec
from scrapinghub.transport.http.retries import Repeat
from scrapinghub.transport.streams.cursors_without_keys import NewestFirstCursor

AnyProject = int | str | Resource


class Activity(Resource):
    """The events of a project: ``project.activity``. Safe to share between threads.

    HTTP API: https://docs.zyte.com/scrapy-cloud/usage/reference/http/activity.html

    Args:
        cls: Ignored; kept for programs that pass it.
        client: The client.
        key: Id of the project.

    Attributes:
        key: Id of the project, as text.

    Example:
        >>> [event['event'] for event in project.activity.iter(count=1)]
        ['job:completed']
    """

    def __init__(self, cls: object, client: Client, key: int | str) -> None:
        super().__init__(client, parse_project_id(key))

    def iter(
        self,
        count: int | None = None,
        *,
        filter: Any = None,
        meta: str | Iterable[str] | None = None,
        **params: Any,
    ) -> Iterator[ActivityEvent]:
        """Iterate over events, newest first.

        Args:
            count: Maximum number of events.
            filter: Only matching events: a condition ``('event', '=', 'job:started')``, or a list of them.
            meta: Further fields of the service to return: ``'_ts'``, the time of the event in milliseconds since the
                epoch.
            **params: Further parameters of the service.

        Yields:
            An event: a dict, usually with ``event``, ``job`` and ``user``.

        Raises:
            ValueError: ``filter`` is malformed.
            StreamInterrupted: The connection broke and could not be resumed.

        Example:
            >>> [event['job'] for event in project.activity.iter(count=2, meta='_ts')]
            ['123/1/3', '123/1/3']
        """
        values = merge_parameters({'filter': filter, 'meta': meta}, params, RECORD_PARAMETERS)
        return _read_events(self._client, self.key, values, count)

    list = listed(iter)

    def add(self, values: Mapping[str, Any] | Iterable[Mapping[str, Any]], **kwargs: Any) -> None:
        """Add events.

        Args:
            values: One event or several. An event may have any fields; ``job`` must be the key of a job of this
                project.
            **kwargs: Query parameters of the service.

        Raises:
            ValueError: An event is not a dict, or its job belongs to another project.

        Example:
            >>> project.activity.add({'event': 'job:reviewed', 'job': '123/1/2', 'user': 'john'})
        """
        events = self._check_events(values)
        pairs = encode_pairs(merge_parameters({}, kwargs))
        advice = (
            'The service may have added the events although its response was lost, so the request was not repeated. '
            'Look at the first events of project.activity.iter() before adding them again.'
        )
        with explain_lost_response(advice):
            self._client.transport.post(('activity', self.key), lines=events, params=pairs, repeat=Repeat.UNRECEIVED)

    def _check_events(self, values: Any) -> Iterable[Mapping[str, Any]]:
        is_one = isinstance(values, Mapping) or not isinstance(values, Iterable)
        events: list[Any] = [values] if is_one else [*values]
        for event in events:
            if not isinstance(event, Mapping):
                raise ValueError('Please pass events as dictionaries') from Expected(f'got {event!r}')
            job = event.get('job')
            if job and parse_job_key(job).project_id != self.key:
                message = f'The job {job!r} of an event does not belong to project {self.key}.'
                raise ValueError('Please use same project id') from Expected(message)
        return events


class AccountActivity:
    """The events of several projects together: ``client.activity``. Safe to share between threads.

    Args:
        client: The client.

    Example:
        >>> [event['event'] for event in client.activity.iter(projects=[123], count=1)]
        ['job:completed']
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def __repr__(self) -> str:
        return f'<{type(self).__module__}.{type(self).__qualname__}>'

    @suggests_names
    def iter(
        self,
        projects: AnyProject | Iterable[AnyProject],
        *,
        per_project: int | None = None,
        count: int | None = None,
        filter: Any = None,
        meta: str | Iterable[str] | None = None,
        **params: NoReturn,
    ) -> Iterator[ActivityEvent]:
        """Iterate over the events of several projects, newest first.

        Args:
            projects: The projects, or their ids.
            per_project: Maximum number of events of each project.
            count: Maximum number of events.
            filter: Only matching events: a condition ``('event', '=', 'job:started')``, or a list of them.
            meta: Further fields of the service to return: ``'_project'`` and ``'_ts'``.
            **params: Not accepted.

        Yields:
            An event: a dict, usually with ``event``, ``job`` and ``user``.

        Raises:
            ValueError: There are no projects, an id is malformed, or ``filter`` is.
            TypeError: A parameter is unknown.
            StreamInterrupted: The connection broke and could not be resumed.

        Example:
            >>> [event['job'] for event in client.activity.iter(projects=[123], per_project=1)]
            ['123/1/3']
        """
        limit = parse_number('per_project', per_project)
        named = {'p': _parse_projects(projects), 'pcount': limit, 'filter': filter, 'meta': meta}
        values = merge_parameters(named, params, strict=True)
        return _read_events(self._client, 'projects', values, count)

    list = listed(iter)


def _parse_projects(projects: Any) -> list[str]:
    """Return the ids of one or several projects."""
    is_one = isinstance(projects, (int, str)) or not isinstance(projects, Iterable)
    ids = [parse_project_id(getattr(project, 'key', project)) for project in ([projects] if is_one else projects)]
    if not ids:
        raise ValueError('projects should not be empty')
    return ids


def _read_events(client: Client, name: str, values: dict[str, Any], count: int | None) -> Iterator[ActivityEvent]:
    return read_stream(
        client.transport,
        ('activity', name),
        NewestFirstCursor(encode_pairs(values), parse_number('count', count)),
        codec.ANY,
        explain=explain_filters(values.get('filter', ())),
        eager=True,
    )
