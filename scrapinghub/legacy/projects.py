"""Projects, sets of jobs, and jobs of the dash."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import requests

from scrapinghub.hubstorage.streaming import MAX_RETRIES, RETRY_INTERVAL, as_pairs
from scrapinghub.legacy.calls import RequestProxyMixin
from scrapinghub.legacy.streaming import ChainSource, JobListCursor
from scrapinghub.transport.http.body import Body
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.streams.cursor import Cursor, Pairs
from scrapinghub.transport.streams.cursors_without_keys import SkipCursor
from scrapinghub.transport.streams.stream import RecordStream

if TYPE_CHECKING:
    from scrapinghub.legacy.connection import Connection


class Project(RequestProxyMixin):
    """A project.

    Args:
        connection: The connection.
        projectid: Its id.

    Attributes:
        connection: The connection.
        id: The id.
    """

    def __init__(self, connection: Connection, projectid: Any) -> None:
        self.connection = connection
        self.id = projectid

    def __repr__(self) -> str:
        return f'Project({self.connection!r}, {self.id})'

    @property
    def name(self) -> Any:
        """The id: deprecated, use ``id``."""
        warnings.warn('Project.name is deprecated, use Project.id instead', stacklevel=2)
        return self.id

    @property
    def _request_proxy(self) -> RequestProxyMixin:
        return self.connection

    def _add_params(self, params: dict[str, Any]) -> dict[str, Any]:
        return {**params, 'project': self.id}

    def schedule(self, spider: str, **params: Any) -> Any:
        """Run a spider.

        Args:
            spider: Name of the spider.
            **params: Arguments of the spider, and options such as ``priority`` and ``add_tag``.

        Returns:
            The key of the job.
        """
        return self._post('schedule', 'json', {**params, 'spider': spider})['jobid']

    def jobs(self, **params: Any) -> JobSet:
        """Return a set of jobs; the arguments are filters such as ``state``."""
        return JobSet(self, **params)

    def job(self, id: str) -> Job | None:
        """Return a job; None if no job has this key."""
        return next(iter(self.jobs(job=id, count=1)), None)

    def spiders(self, **params: Any) -> Any:
        """Return the spiders, as dicts with ``id`` (the name), ``tags``, ``type`` and ``version``."""
        return self._get('spiders', 'json', params)['spiders']

    def autoscraping_project_slybot(self, spiders: Iterable[str] = (), outputfile: Any = None) -> Any:
        """Download the project as a zip file.

        Args:
            spiders: Names of the spiders; all if empty.
            outputfile: A file to write into.

        Returns:
            The stream, to be read; None with ``outputfile``.
        """
        params = {'spider': list(spiders)}
        if outputfile is None:
            return self._get('as_project_slybot', 'zip', params, raw=True)
        for piece in Body(self.open_answer('as_project_slybot', 'zip', params)):
            outputfile.write(piece)
        return None

    def autoscraping_spider_properties(self, spider: str, start_urls: Iterable[str] | None = None) -> Any:
        """Return the properties of a spider, or set its start URLs.

        Args:
            spider: Name of the spider.
            start_urls: The start URLs to set.
        """
        params: dict[str, Any] = {'spider': spider}
        if not start_urls:
            return self._get('as_spider_properties', 'json', params)
        return self._post('as_spider_properties', 'json', {**params, 'start_url': start_urls})


class JobSet(RequestProxyMixin):
    """The jobs of a project that match filters. It can be iterated once.

    Args:
        project: The project.
        **params: The filters.

    Attributes:
        project: The project.
        params: The filters.
    """

    def __init__(self, project: Project, **params: Any) -> None:
        self.project = project
        self.params = params
        self._jobs: Iterator[Job] | None = None

    def __repr__(self) -> str:
        filters = ''.join(f', {name}={value}' for name, value in self.params.items())
        return f'JobSet({self.project!r}{filters})'

    def __iter__(self) -> Iterator[Job]:
        if self._jobs is None:
            transport = self.project.connection.transport
            call = Call('GET', transport.url(('jobs', 'list.jl'), dash=True))
            source = ChainSource(transport, call, self._ask, (MAX_RETRIES, RETRY_INTERVAL))
            self._jobs = RecordStream(source, JobListCursor([]), self._job)
        return self._jobs

    def _ask(self, params: dict[str, Any]) -> requests.Response:
        return self.open_answer('jobs_list', 'jl', params)

    def _job(self, info: dict[str, Any]) -> Job:
        return Job(self.project, info['id'], info)

    @property
    def _request_proxy(self) -> RequestProxyMixin:
        return self.project

    def _add_params(self, params: dict[str, Any]) -> dict[str, Any]:
        return {**self.params, **params}

    def count(self) -> Any:
        """Return the number of jobs."""
        return self._get('jobs_count', 'json')['total']

    def update(self, **modifiers: Any) -> Any:
        """Change all jobs, for example with ``add_tag``; return their number."""
        return self._post('jobs_update', 'json', modifiers)['count']

    def stop(self) -> None:
        """Stop all jobs."""
        for job in self:
            job.stop()

    def delete(self) -> None:
        """Delete all jobs."""
        for job in self:
            job.delete()


class Job(RequestProxyMixin):
    """A job.

    Args:
        project: The project.
        id: Its key.
        info: The entry of the list of jobs.

    Attributes:
        project: The project.
        info: As given.
        MAX_RETRIES: Number of attempts to continue an interrupted stream that has returned records. Used if it or
            ``RETRY_INTERVAL`` is changed. By default, a stream waits for up to three hours.
        RETRY_INTERVAL: Time between two attempts, in seconds.
    """

    MAX_RETRIES = MAX_RETRIES
    RETRY_INTERVAL = RETRY_INTERVAL

    def __init__(self, project: Project, id: str, info: Any) -> None:
        self.project = project
        self._id = id
        self.info = info

    def __repr__(self) -> str:
        return f'Job({self.project!r}, {self.id})'

    @property
    def id(self) -> str:
        """The key."""
        return self._id

    @property
    def _request_proxy(self) -> RequestProxyMixin:
        return self.project

    def _add_params(self, params: dict[str, Any]) -> dict[str, Any]:
        return {**params, 'job': self.id}

    def _stream(self, method: str, cursor: Cursor, first: requests.Response | None = None) -> Iterator[Any]:
        transport = self.project.connection.transport
        limits = (self.MAX_RETRIES, self.RETRY_INTERVAL)
        call = Call('GET', transport.url((f'{method}.jl',), dash=True))
        source = ChainSource(transport, call, lambda params: self.open_answer(method, 'jl', params), limits, first)
        return RecordStream(source, cursor)

    def items(self, offset: int = 0, count: int | None = None, meta: Any = None) -> Iterator[Any]:
        """Iterate over the items.

        Args:
            offset: Number of items to skip.
            count: Maximum number of items.
            meta: Names of further fields of the service.
        """
        wanted = as_pairs({'meta': meta})

        def seek(position: int) -> Pairs:
            return [('offset', offset + position), *wanted]

        return self._stream('items', SkipCursor(seek(0), count, seek=seek))

    def log(self, **params: Any) -> Iterator[Any]:
        """Return an iterator over the log; the arguments are parameters such as ``level`` and ``count``."""
        return self._stream('log', SkipCursor(as_pairs(params)), self.open_answer('log', 'jl', params))

    def update(self, **modifiers: Any) -> Any:
        """Change the job, for example with ``add_tag``; return the number of jobs that were found."""
        return self._post('jobs_update', 'json', modifiers)['count']

    def stop(self) -> bool:
        """Stop the job; return whether the service accepts that."""
        return bool(self._post('jobs_stop', 'json')['status'] == 'ok')

    def delete(self) -> Any:
        """Delete the job; return the number of jobs that were found."""
        return self._post('jobs_delete', 'json')['count']

    def add_report(self, key: str, content: str | bytes, content_type: str = 'text/plain') -> None:
        """Attach a report to the job.

        Args:
            key: Its name.
            content: Its text.
            content_type: ``text/plain`` or ``text/x-rst``.
        """
        data = content.encode() if isinstance(content, str) else content
        form = {'project': self.project.id, 'job': self.id, 'key': key, 'content_type': content_type}
        self._post('reports_add', 'json', form, files={'content': ('report', data)})
