"""What has happened in a project."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from scrapinghub.client._support.lists import listed
from scrapinghub.client._support.parameters import filters, number, pairs, query
from scrapinghub.client._support.reading import filter_hint, read, uncertain
from scrapinghub.client._support.resource import Resource
from scrapinghub.client.shapes import ActivityEvent
from scrapinghub.client.utils import parse_job_key, parse_project_id
from scrapinghub.config.validation import Expected
from scrapinghub.transport import codec
from scrapinghub.transport.http.retries import Repeat
from scrapinghub.transport.streams.cursors import Growing

if TYPE_CHECKING:
    from scrapinghub.client import ScrapinghubClient


class Activity(Resource):
    """The events of a project, as :attr:`Project.activity <scrapinghub.client.projects.Project.activity>`.

    Safe to share between threads.

    Args:
        cls: Ignored; a leftover of older releases.
        client: The client.
        key: Id of the project.

    Attributes:
        key: Id of the project, as text.

    Example:
        >>> [event['event'] for event in project.activity.iter(count=1)]
        ['job:completed']
    """

    def __init__(self, cls: object, client: ScrapinghubClient, key: int | str) -> None:
        super().__init__(client, parse_project_id(key))

    def iter(
        self,
        count: int | None = None,
        *,
        filter: Any = None,
        meta: str | Iterable[str] | None = None,
        **params: Any,
    ) -> Iterator[ActivityEvent]:
        """Iterate over events, the newest first.

        Args:
            count: Stop after this many.
            filter: Only events that meet a condition, or all of a list: ``('event', '=', ['job:started'])``.
            meta: Fields to add: ``'_ts'``, the time of the event in milliseconds since the epoch.
            **params: What the service may add.

        Yields:
            An event: a dict, usually with ``event``, ``job`` and ``user``.

        Raises:
            ValueError: ``filter`` is no condition.
            TypeError: A keyword looks misspelt.
            StreamInterrupted: The connection broke and could not be resumed.

        Example:
            >>> [event['job'] for event in project.activity.iter(count=2, meta='_ts')]
            ['123/1/3', '123/1/3']
        """
        conditions = filters(filter)
        values = query({'filter': conditions, 'meta': meta}, params)
        return read(
            self._client.transport,
            ('activity', self.key),
            Growing(pairs(values), number('count', count)),
            accept=codec.ANY,
            hint=filter_hint(conditions),
        )

    list = listed(iter)

    def add(self, values: Mapping[str, Any] | Iterable[Mapping[str, Any]], **kwargs: Any) -> None:
        """Add events.

        Args:
            values: An event or several; any fields, of which ``job`` must be the key of a job of this project.
            **kwargs: Query parameters that the service may take.

        Raises:
            ValueError: An event is no dict, or its job is of another project.

        Example:
            >>> project.activity.add({'event': 'job:reviewed', 'job': '123/1/2', 'user': 'john'})
        """
        events = self._checked(values)
        params = pairs(query({}, kwargs))
        told = (
            'The service may have added the events although its answer was lost, so the request was not repeated. Look '
            'at the first of project.activity.iter() before adding them again.'
        )
        with uncertain(told):
            self._client.transport.post(('activity', self.key), lines=events, params=params, repeat=Repeat.UNRECEIVED)

    def _checked(self, values: object) -> tuple[Mapping[str, Any], ...]:
        events = (values,) if isinstance(values, Mapping) or not isinstance(values, Iterable) else tuple(values)
        checked = []
        for event in events:
            if not isinstance(event, Mapping):
                raise ValueError('Please pass events as dictionaries')
            job = event.get('job')
            if job and parse_job_key(job).project_id != self.key:
                told = f'The job {job!r} of an event belongs to another project than {self.key}.'
                raise ValueError('Please use same project id') from Expected(told)
            checked.append(event)
        return tuple(checked)
