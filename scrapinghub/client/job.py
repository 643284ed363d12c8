"""One job: its state, its data and its metadata."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from typing import Any

from scrapinghub.client._support.dash import Dash
from scrapinghub.client._support.mapping import Fields, StoredFields
from scrapinghub.client._support.parameters import refuse_dry_run, suggests_names
from scrapinghub.client._support.resource import Client, Resource, build_page_url
from scrapinghub.client._support.streams import explain_lost_response
from scrapinghub.client._support.validation import expect_field
from scrapinghub.client._support.waiting import wait_for_job
from scrapinghub.client.comments import Comments
from scrapinghub.client.items import Items
from scrapinghub.client.logs import Logs
from scrapinghub.client.requests import Requests
from scrapinghub.client.samples import Samples
from scrapinghub.client.utils import AnyJobKey, get_tags_for_update, parse_job_key
from scrapinghub.exceptions import NotFound
from scrapinghub.transport.http.retries import Repeat

# Fields that the service maintains itself, and that a client never writes back.
_READ_ONLY_FIELDS = ('auth', '_key', 'state')


class JobMeta(StoredFields):
    """The metadata of a job: ``job.metadata``. Safe to share between threads.

    HTTP API: https://docs.zyte.com/scrapy-cloud/usage/reference/http/jobmeta.html

    In addition to ``get``, ``set``, ``update``, ``delete``, ``iter`` and ``list`` it is a mapping without a cache:
    ``metadata['state']``, ``in`` and ``len()`` send a request each time. Use ``dict(metadata.iter())`` to read all
    fields with one request.

    Args:
        cls: Ignored; kept for programs that pass it.
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

    def __init__(self, cls: object, client: Client, key: str) -> None:
        parts = parse_job_key(key)
        super().__init__(client, str(parts), ('jobs', *parts))

    def set(self, key: str, value: Any) -> None:
        """Set one field.

        Args:
            key: Name of the field.
            value: Any JSON value.

        Example:
            >>> job.metadata.set('tags', ['obsolete'])
        """
        self._client.transport.post(self._field_path(key), value=value, repeat=Repeat.ALWAYS)

    def _read_for_update(self) -> Fields:
        fields = self._read()
        if not fields:
            # Every job has metadata. Writing some would create a job that is not in the queue.
            raise NotFound(f"Job {self.key} doesn't exist")
        return fields

    def _write(self, fields: Fields) -> None:
        super()._write({name: value for name, value in fields.items() if name not in _READ_ONLY_FIELDS})


class Job(Resource):
    """A job: one run of a spider.

    Use :meth:`ScrapinghubClient.get_job <scrapinghub.client.ScrapinghubClient.get_job>`, :meth:`Jobs.get` or
    :meth:`Jobs.run` to get one; creating the object sends no request. Safe to share between threads.

    HTTP API: https://docs.zyte.com/scrapy-cloud/usage/reference/http/jobs.html

    Args:
        client: The client.
        job_key: ``project/spider/job``, the three as a tuple, or the URL of the job in the web interface.

    Attributes:
        key: The key, as text.
        project_id: Id of the project, as text.
        url: URL of the page of the job in the web interface.
        items: The items: :class:`~scrapinghub.client.items.Items`.
        logs: The log: :class:`~scrapinghub.client.logs.Logs`.
        requests: The requests: :class:`~scrapinghub.client.requests.Requests`.
        samples: The runtime statistics: :class:`~scrapinghub.client.samples.Samples`.
        metadata: The metadata: :class:`JobMeta`.

    Example:
        >>> job = client.get_job('123/1/2')
        >>> job.key
        '123/1/2'
    """

    __module__ = 'scrapinghub.client.jobs'

    def __init__(self, client: Client, job_key: AnyJobKey) -> None:
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
        """The runtime statistics of the job."""
        return Samples(None, self._client, self.key)

    @cached_property
    def comments(self) -> Comments:
        """The comments on the items of the job."""
        return Comments(self._client, self.key)

    @cached_property
    def metadata(self) -> JobMeta:
        """The metadata of the job."""
        return JobMeta(None, self._client, self.key)

    @property
    def url(self) -> str:
        """URL of the page of the job in the web interface."""
        return build_page_url(self._client, self.key)

    def _card(self) -> list[tuple[str, str]]:
        project, spider, number = self.key.split('/')
        return [('key', self.key), ('project', project), ('spider', spider), ('job', number)]

    def update(self, state: str, **params: Any) -> str:
        """Change the state of the job.

        Args:
            state: ``'pending'``, ``'running'``, ``'finished'`` or ``'deleted'``.
            **params: Metadata to set at the same time.

        Returns:
            The previous state.

        Raises:
            NotFound: The job does not exist.

        Example:
            >>> job.update('finished', close_reason='no_reason')
            'finished'
        """
        path = ('jobq', self.project_id, 'update')
        change = {'state': state, **params, 'key': self.key}
        advice = (
            f'The service may have changed the state of job {self.key} although its response was lost, so the request '
            "was not repeated. Look at job.metadata['state'], and repeat the call if necessary."
        )
        with explain_lost_response(advice):
            answer = self._client.transport.post(path, lines=[change], repeat=Repeat.UNRECEIVED)
        if answer.value is None:
            raise NotFound(f"Job {self.key} doesn't exist")
        return expect_field(answer.value, 'prevstate', str, f'POST {"/".join(path)}')

    def start(self, **params: Any) -> str:
        """Change the state to ``running``.

        Args:
            **params: Metadata to set at the same time.

        Returns:
            The previous state.

        Raises:
            NotFound: The job does not exist.

        Example:
            >>> job = project.jobs.run('spider1', job_args={'page': 4})
            >>> job.start()
            'pending'
        """
        return self.update('running', **params)

    def finish(self, **params: Any) -> str:
        """Change the state to ``finished``.

        Args:
            **params: Metadata to set at the same time, such as ``close_reason``.

        Returns:
            The previous state.

        Raises:
            NotFound: The job does not exist.

        Example:
            >>> job.finish(close_reason='finished')
            'finished'
        """
        return self.update('finished', **params)

    def delete(self, **params: Any) -> str:
        """Delete the job with its data.

        The job disappears from listings immediately. Its metadata can be read until the platform cleans up.

        Args:
            **params: Metadata to set at the same time.

        Returns:
            The previous state.

        Raises:
            NotFound: The job does not exist.
            TypeError: ``dry_run`` is given.

        Example:
            >>> job.delete()
            'finished'
        """
        refuse_dry_run(params, f'delete(), which deletes job {self.key}')
        return self.update('deleted', **params)

    def cancel(self) -> None:
        """Ask the job to stop.

        A pending job finishes immediately; a running job is asked to stop and continues until it does. A job that does
        not exist or is finished is ignored.

        Example:
            >>> job.cancel()
        """
        path = ('jobq', *self.key.split('/'), 'cancel')
        self._client.transport.post(path, repeat=Repeat.ALWAYS)

    @suggests_names
    def wait(self, timeout: float | None = None) -> Job:
        """Wait until the job is finished.

        Polls the state of the job, first after 1 second, later every 30 seconds. Transient errors do not end the wait.

        Args:
            timeout: Maximum time to wait, in seconds. Waits without limit by default.

        Returns:
            This job, so that calls can be chained.

        Raises:
            WaitTimeout: The job is not finished after ``timeout`` seconds.
            NotFound: The job does not exist, or was deleted.
            ValueError: ``timeout`` is negative.

        Example:
            >>> job.wait(timeout=3600).metadata['close_reason']
            'finished'
        """
        wait_for_job(self._client, self.key, timeout)
        return self

    def update_tags(self, add: list[str] | None = None, remove: list[str] | None = None) -> None:
        """Add and remove tags in one request.

        Args:
            add: Tags to add. Tags that the job has already are ignored.
            remove: Tags to remove. Tags that the job does not have are ignored.

        Raises:
            ValueError: An argument is not a list.

        Example:
            >>> job.update_tags(add=['consumed'], remove=['new'])
        """
        tags = get_tags_for_update(add_tag=add, remove_tag=remove)
        form = {**tags, 'project': self.project_id, 'job': self.key}
        Dash(self._client.transport).post(('jobs', 'update.json'), form, repeat=Repeat.ALWAYS)

    def close_writers(self) -> None:
        """Send the queued items, logs, requests and samples of the job, and close their writers.

        Raises:
            UploadError: The service refuses records; the error holds them.

        Example:
            >>> number = job.items.write({'name': 'third'})
            >>> job.close_writers()
        """
        with ExitStack() as stack:
            # A writer that raises does not prevent the others from being closed.
            for records in (self.samples, self.requests, self.logs, self.items):
                stack.callback(records.close)
