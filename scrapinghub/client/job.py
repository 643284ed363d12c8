"""One job: its life, its data and its metadata."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any

from scrapinghub.client._support.dash import Dash
from scrapinghub.client._support.mapping import Fields, StoredFields
from scrapinghub.client._support.reading import uncertain
from scrapinghub.client._support.resource import Resource
from scrapinghub.client._support.responses import field
from scrapinghub.client.items import Items
from scrapinghub.client.logs import Logs
from scrapinghub.client.requests import Requests
from scrapinghub.client.samples import Samples
from scrapinghub.client.utils import get_tags_for_update, parse_job_key
from scrapinghub.exceptions import NotFound
from scrapinghub.transport.http.retries import Repeat

if TYPE_CHECKING:
    from scrapinghub.client import ScrapinghubClient

# What the service keeps by itself and a client never writes back.
_KEPT_BY_THE_SERVICE = ('auth', '_key', 'state')


class JobMeta(StoredFields):
    """The metadata of a job, as :attr:`Job.metadata`; safe to share between threads.

    Beside ``get``, ``set``, ``update``, ``delete``, ``iter`` and ``list`` it reads like a mapping, without a cache:
    ``metadata['state']``, ``in``, ``len()`` and ``dict(metadata)`` ask the service each time.

    Args:
        cls: Ignored; a leftover of older releases.
        client: The client.
        key: Key of the job.

    Attributes:
        key: Key of the job.

    Example:
        >>> job.metadata['state']
        'finished'
        >>> 'no such field' in job.metadata
        False
    """

    __module__ = 'scrapinghub.client.jobs'

    def __init__(self, cls: object, client: ScrapinghubClient, key: str) -> None:
        parts = parse_job_key(key)
        super().__init__(client, str(parts), ('jobs', *parts))

    def set(self, key: str, value: Any) -> None:
        """Set one field; the others are not touched.

        Args:
            key: Name of the field.
            value: Any JSON value.

        Example:
            >>> job.metadata.set('tags', ['obsolete'])
        """
        self._handout = None
        self._client.transport.post(self._field(key), value=value, repeat=Repeat.ALWAYS)

    def _read_for_update(self) -> Fields:
        fields = self._read()
        if not fields:
            # Every job has metadata; writing some would make a job that the queue knows nothing of.
            raise NotFound(f"Job {self.key} doesn't exist")
        return fields

    def _write(self, fields: Fields) -> None:
        super()._write({name: value for name, value in fields.items() if name not in _KEPT_BY_THE_SERVICE})


class Job(Resource):
    """A job: one run of a spider.

    Got from :meth:`ScrapinghubClient.get_job <scrapinghub.client.ScrapinghubClient.get_job>`, :meth:`Jobs.get` or
    :meth:`Jobs.run`; making one sends nothing. Safe to share between threads.

    Args:
        client: The client.
        job_key: ``project/spider/job``, or the three as a tuple.

    Attributes:
        key: The key, as text.
        project_id: Id of the project, as text.
        items: What the job scraped: :class:`~scrapinghub.client.items.Items`.
        logs: What it logged: :class:`~scrapinghub.client.logs.Logs`.
        requests: What it asked for: :class:`~scrapinghub.client.requests.Requests`.
        samples: What it measured of itself: :class:`~scrapinghub.client.samples.Samples`.
        metadata: All else that is known of it: :class:`JobMeta`.

    Example:
        >>> job = client.get_job('123/1/2')
        >>> job.key
        '123/1/2'
    """

    __module__ = 'scrapinghub.client.jobs'

    def __init__(self, client: ScrapinghubClient, job_key: str | tuple[int | str, int | str, int | str]) -> None:
        parts = parse_job_key(job_key)
        super().__init__(client, str(parts))
        self.project_id = parts.project_id

    @cached_property
    def items(self) -> Items:
        """The items that the job scraped."""
        return Items(None, self._client, self.key)

    @cached_property
    def logs(self) -> Logs:
        """The log of the job."""
        return Logs(None, self._client, self.key)

    @cached_property
    def requests(self) -> Requests:
        """The requests that the job made."""
        return Requests(None, self._client, self.key)

    @cached_property
    def samples(self) -> Samples:
        """The samples that the job took of its own state."""
        return Samples(None, self._client, self.key)

    @cached_property
    def metadata(self) -> JobMeta:
        """The metadata of the job."""
        return JobMeta(None, self._client, self.key)

    def _card(self) -> list[tuple[str, str]]:
        project, spider, number = self.key.split('/')
        return [('key', self.key), ('project', project), ('spider', spider), ('job', number)]

    # Its life

    def update(self, state: str, **params: Any) -> str:
        """Bring the job into a state.

        Args:
            state: ``'pending'``, ``'running'``, ``'finished'`` or ``'deleted'``.
            **params: Metadata to set at the same time.

        Returns:
            The state before.

        Raises:
            NotFound: The job does not exist.

        Example:
            >>> job.update('finished', close_reason='no_reason')
            'finished'
        """
        path = ('jobq', self.project_id, 'update')
        change = {'state': state, **params, 'key': self.key}
        told = (
            f'The service may have changed the state of job {self.key} although its answer was lost, so the request '
            "was not repeated. Look at job.metadata['state'], and send it again if need be."
        )
        with uncertain(told):
            answer = self._client.transport.post(path, lines=[change], repeat=Repeat.UNRECEIVED)
        if answer.value is None:
            raise NotFound(f"Job {self.key} doesn't exist")
        return field(answer.value, 'prevstate', str, f'the update of job {self.key}')

    def start(self, **params: Any) -> str:
        """Bring the job into the state ``running``; arguments, return value and errors as of :meth:`update`."""
        return self.update('running', **params)

    def finish(self, **params: Any) -> str:
        """Bring the job into the state ``finished``; arguments, return value and errors as of :meth:`update`.

        Example:
            >>> job.finish(close_reason='finished')
            'finished'
        """
        return self.update('finished', **params)

    def delete(self, **params: Any) -> str:
        """Delete the job with its data; arguments, return value and errors as of :meth:`update`.

        It vanishes from the listings at once; its metadata can be read until the platform cleans up.
        """
        return self.update('deleted', **params)

    def cancel(self) -> None:
        """Ask for the job to be stopped.

        A waiting job is finished at once; a running one is told, and goes on until it has stopped. Nothing happens if
        the job does not exist or is over.

        Example:
            >>> job.cancel()
        """
        path = ('jobq', *self.key.split('/'), 'cancel')
        self._client.transport.post(path, repeat=Repeat.ALWAYS)

    def update_tags(self, add: list[str] | None = None, remove: list[str] | None = None) -> None:
        """Add and remove tags of the job, in one step.

        Args:
            add: Tags to add; those that are there already stay once.
            remove: Tags to remove; those that are not there do not matter.

        Raises:
            ValueError: An argument is no list.

        Example:
            >>> job.update_tags(add=['consumed'], remove=['new'])
        """
        tags = get_tags_for_update(add_tag=add, remove_tag=remove)
        form = {**tags, 'project': self.project_id, 'job': self.key}
        Dash(self._client.transport).post(('jobs', 'update.json'), form, repeat=Repeat.ALWAYS)

    def close_writers(self) -> None:
        """Send what was written to items, logs, requests and samples of the job, and close their writers.

        Raises:
            UploadError: The service refuses records; the error holds them.
        """
        with ExitStack() as stack:
            # One that raises does not keep the others open.
            for written in (self.samples, self.requests, self.logs, self.items):
                stack.callback(written.close)
