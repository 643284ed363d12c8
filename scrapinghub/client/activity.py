"""The events of a project."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from scrapinghub.client._support.lists import listed
from scrapinghub.client._support.parameters import RECORD_PARAMETERS, encode_pairs, merge_parameters
from scrapinghub.client._support.resource import Client, Resource
from scrapinghub.client._support.streams import explain_filters, explain_lost_response, read_stream
from scrapinghub.client._support.validation import parse_number
from scrapinghub.client.shapes import ActivityEvent
from scrapinghub.client.utils import parse_job_key, parse_project_id
from scrapinghub.config.validation import Expected
from scrapinghub.transport import codec
from scrapinghub.transport.http.retries import Repeat
from scrapinghub.transport.streams.cursors import NewestFirstCursor


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
        return read_stream(
            self._client.transport,
            ('activity', self.key),
            NewestFirstCursor(encode_pairs(values), parse_number('count', count)),
            codec.ANY,
            explain=explain_filters(values.get('filter', ())),
        )

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
