"""The jobs of a project, or of one spider."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping
from typing import Any, overload

from scrapinghub.client._support.dash import Dash
from scrapinghub.client._support.job_listing import SUMMARY_ALIASES, JobListing, OneOrMore
from scrapinghub.client._support.parameters import Time, encode_pairs, merge_parameters
from scrapinghub.client._support.scheduling import build_run_form, schedule_job
from scrapinghub.client._support.spider_ids import find_spider_id
from scrapinghub.client._support.streams import read_stream
from scrapinghub.client._support.validation import expect, expect_field, parse_number
from scrapinghub.client.job import Job, JobMeta
from scrapinghub.client.shapes import CancelResult, JobSummary, StateSummary
from scrapinghub.client.utils import AnyJobKey, get_tags_for_update, parse_job_key
from scrapinghub.config.validation import Expected
from scrapinghub.transport import codec
from scrapinghub.transport.http.retries import Repeat
from scrapinghub.transport.streams.cursors import DedupeCursor

__all__ = ['Job', 'JobMeta', 'Jobs']


class Jobs(JobListing):
    """The jobs of a project or of one spider: ``project.jobs`` or ``spider.jobs``. Safe to share between threads.

    HTTP API: https://docs.zyte.com/scrapy-cloud/usage/reference/http/jobs.html,
    https://docs.zyte.com/scrapy-cloud/usage/reference/http/jobq.html

    Args:
        client: The client.
        project_id: Id of the project.
        spider: The spider that has the jobs; None for all jobs of the project.

    Attributes:
        key: Key of the spider, or id of the project.
        project_id: Id of the project, as text.
        spider: The :class:`~scrapinghub.client.spiders.Spider`, or None.

    Example:
        >>> [job['key'] for job in spider.jobs.iter()]
        ['123/1/3', '123/1/2', '123/1/1']
    """

    def get(self, job_key: AnyJobKey) -> Job:
        """Return one of these jobs, without a request.

        Args:
            job_key: ``project/spider/job``, the three as a tuple, or the URL of the job in the web interface.

        Returns:
            The job, whether it exists or not.

        Raises:
            ValueError: The key is malformed, or belongs to another project or spider.

        Example:
            >>> project.jobs.get('123/1/2').key
            '123/1/2'
        """
        key = parse_job_key(job_key)
        if key.project_id != self.project_id:
            raise ValueError('Please use same project id') from Expected(f'{key} is not of project {self.project_id}')
        if self.spider is not None and f'{key.project_id}/{key.spider_id}' != self.spider.key:
            raise ValueError('Please use same spider id') from Expected(f'{key} is not of spider {self.spider.key}')
        return Job(self._client, str(key))

    def run(
        self,
        spider: str | None = None,
        units: int | None = None,
        priority: int | None = None,
        meta: Mapping[str, Any] | str | None = None,
        add_tag: OneOrMore = None,
        job_args: Mapping[str, Any] | None = None,
        job_settings: Mapping[str, Any] | str | None = None,
        cmd_args: str | None = None,
        environment: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> Job:
        """Schedule a job.

        Args:
            spider: Name of the spider. The jobs of a spider use that spider by default.
            units: Number of units for the job, 1 to 6.
            priority: 0 (lowest) to 4 (highest), 2 by default.
            meta: Metadata of the job, as a dict or JSON text.
            add_tag: Tag or tags of the job.
            job_args: Arguments of the spider.
            job_settings: Scrapy settings of the job, as a dict or JSON text.
            cmd_args: Command line of a script.
            environment: Environment variables of the job.
            **params: Further arguments of the spider. They override ``job_args``.

        Returns:
            The job.

        Raises:
            ValueError: An argument is missing or of the wrong type, or an argument of the spider has the name of
                another field of the request.
            DuplicateJobError: The same spider with the same arguments is already pending or running.
            BadRequest: The service refuses the request.

        Example:
            >>> job = project.jobs.run('spider1', units=1, add_tag=['daily'], job_args={'page': 1})
            >>> job.metadata['spider_args']
            {'page': '1'}
        """
        name = self._spider_name(spider)
        if not name:
            raise ValueError('Please provide `spider` name')
        if job_args and not isinstance(job_args, Mapping):
            raise ValueError('job_args should be a dictionary') from Expected(f'got {type(job_args).__name__}')
        if environment and not isinstance(environment, Mapping):
            raise ValueError('environment should be a dictionary') from Expected(f'got {type(environment).__name__}')
        options = {
            'units': units,
            'priority': priority,
            'add_tag': add_tag,
            'cmd_args': cmd_args,
            'job_settings': job_settings,
            'meta': meta,
            'environment': environment,
        }
        form = build_run_form(self.project_id, name, options, job_args, params)
        return Job(self._client, schedule_job(Dash(self._client.transport), form))

    @overload
    def cancel(self, keys: builtins.list[Any], count: None = None, **params: Any) -> CancelResult: ...

    @overload
    def cancel(self, keys: None = None, *, count: int, **params: Any) -> CancelResult: ...

    def cancel(self, keys: builtins.list[Any] | None = None, count: int | None = None, **params: Any) -> CancelResult:
        """Ask jobs to stop: those with the given keys, or, for administrators, any ``count`` of them.

        Args:
            keys: Keys of jobs of this project, about 1000 at most.
            count: Number of jobs.
            **params: Further parameters of the service.

        Returns:
            ``{'count': N}``: the number of jobs that were found.

        Raises:
            ValueError: Both or neither of the arguments are given, or a key is malformed or of another project.

        Example:
            >>> project.jobs.cancel(['123/1/8'])
            {'count': 0}
        """
        if keys and count:
            raise ValueError("keys and count can't be defined simultaneously")
        if not keys and (keys is not None or not count):
            raise ValueError('keys or count should be defined')
        path = ('jobq', self.project_id, 'cancel')
        transport = self._client.transport
        if keys:
            body = [{'key': key} for key in self._check_keys(keys)]
            pairs = encode_pairs(merge_parameters({}, params))
            answer = transport.post(path, value=body, params=pairs, repeat=Repeat.ALWAYS)
        else:
            if not isinstance(count, int) or isinstance(count, bool):
                raise ValueError('count should be an int') from Expected(f'got {count!r}')
            pairs = encode_pairs(merge_parameters({'count': count}, params))
            answer = transport.post(path, params=pairs, repeat=Repeat.UNRECEIVED)
        return {'count': expect_field(answer.value, 'count', int, f'POST {"/".join(path)}')}

    def _check_keys(self, keys: object) -> Iterator[str]:
        if not isinstance(keys, builtins.list):
            raise ValueError('keys should be a list') from Expected(f'got {keys!r}')
        for key in map(parse_job_key, keys):
            if key.project_id != self.project_id:
                message = f'all keys should belong to project: {self.project_id}'
                raise ValueError(message) from Expected(f'{key} belongs to another project')
            yield str(key)

    def update_tags(
        self,
        add: builtins.list[str] | None = None,
        remove: builtins.list[str] | None = None,
        spider: str | None = None,
    ) -> int | None:
        """Add and remove tags of all jobs of a spider.

        Args:
            add: Tags to add.
            remove: Tags to remove.
            spider: Name of the spider. The jobs of a spider use that spider by default.

        Returns:
            The number of jobs of the spider; None without tags to add or remove.

        Raises:
            ValueError: No spider is given, or ``add`` or ``remove`` is not a list.

        Example:
            >>> spider.jobs.update_tags(add=['consumed'])
            3
        """
        name = self._spider_name(spider)
        if not name:
            raise ValueError('Please provide spider')
        tags = get_tags_for_update(add_tag=add, remove_tag=remove)
        if not tags:
            return None
        form = {**tags, 'project': self.project_id, 'spider': name}
        response = Dash(self._client.transport).post(('jobs', 'update.json'), form, repeat=Repeat.ALWAYS)
        return expect_field(response, 'count', int, 'POST jobs/update.json')

    def count(
        self,
        spider: str | None = None,
        state: OneOrMore = None,
        has_tag: OneOrMore = None,
        lacks_tag: OneOrMore = None,
        startts: Time = None,
        endts: Time = None,
        **params: Any,
    ) -> int:
        """Return the number of jobs.

        Args:
            spider: Only jobs of the spider with this name.
            state: Only jobs in this state, or these; finished jobs by default.
            has_tag: Only jobs with this tag, or with any of these.
            lacks_tag: Only jobs without this tag, or without all of these.
            startts: Only jobs that entered their state at or after this time: milliseconds since the epoch, a
                ``datetime`` with a time zone, or a ``timedelta`` (that long ago).
            endts: Only jobs that entered their state before this time.
            **params: Further parameters of the service.

        Example:
            >>> spider.jobs.count()
            3
        """
        values = merge_parameters(self._filters(spider, state, has_tag, lacks_tag, startts, endts), params)
        path = ('jobq', self.project_id, 'count')
        answer = self._client.transport.get(path, encode_pairs(values), expects=codec.JSON)
        return expect(answer.value, int, f'GET {"/".join(path)}')

    @overload
    def summary(self, state: str, *args: Any, **params: Any) -> StateSummary | None: ...

    @overload
    def summary(self, state: None = None, *args: Any, **params: Any) -> builtins.list[StateSummary]: ...

    def summary(
        self,
        state: str | None = None,
        spider: str | None = None,
        *,
        count: int | None = None,
        start: int | None = None,
        meta: OneOrMore = None,
        **params: Any,
    ) -> builtins.list[StateSummary] | StateSummary | None:
        """Return the number of jobs in each state, and summaries of the newest of them.

        Args:
            state: Only this state: ``'pending'``, ``'running'`` or ``'finished'``.
            spider: Only jobs of the spider with this name.
            count: Maximum number of summaries for each state, 5 by default.
            start: Number of summaries to skip.
            meta: Fields of the metadata to return instead of the usual ones; also spelt ``jobmeta``.
            **params: Further parameters of the service.

        Returns:
            A list with one dict for each state. With ``state`` one dict, or None if the response is empty.

        Raises:
            NotFound: The spider does not exist.
            ValueError: These are the jobs of another spider.

        Example:
            >>> spider.jobs.summary('finished')['count']
            3
        """
        named = {'count': parse_number('count', count), 'start': parse_number('start', start), 'meta': meta}
        pairs = encode_pairs(merge_parameters(named, params, aliases=SUMMARY_ALIASES))
        path = ('jobq', *self._spider_path(spider), 'summary', *(() if state is None else (state,)))
        values = self._client.transport.get(path, pairs, max_record=codec.MAX_VALUE_BYTES).values
        if state is None:
            return values
        return values[0] if values else None

    def iter_last(
        self,
        start: int | None = None,
        start_after: int | None = None,
        count: int | None = None,
        spider: str | None = None,
        **params: Any,
    ) -> Iterator[JobSummary]:
        """Iterate over the last finished job of each spider.

        Args:
            start: Position in the list of spiders at which to begin.
            start_after: Position in the list of spiders after which to begin; also spelt ``startafter``.
            count: Maximum number of jobs.
            spider: Only the spider with this name.
            **params: Further parameters of the service.

        Yields:
            A summary of a job.

        Raises:
            NotFound: The spider does not exist.
            ValueError: These are the jobs of another spider.
            StreamInterrupted: The connection broke and could not be resumed.

        Example:
            >>> [job['spider'] for job in project.jobs.iter_last()]
            ['spider1']
        """
        named = {'start': start, 'start_after': start_after, 'count': count, 'spider': None}
        values = merge_parameters(named, params)
        limit = parse_number('count', values.pop('count', None))

        path = ('spiders', *self._spider_path(spider), 'lastjobsummary')
        cursor = DedupeCursor(encode_pairs(values), limit, field='key', identity=_spider_key)
        return read_stream(self._client.transport, path, cursor, codec.ANY, eager=True)

    def _spider_name(self, spider: str | None) -> str | None:
        return spider or (None if self.spider is None else self.spider.name)

    def _spider_path(self, spider: str | None) -> tuple[str, ...]:
        """Return the path segments of the project, or of the spider, whose id is requested."""
        if spider is None:
            return tuple(self.key.split('/'))
        key = f'{self.project_id}/{find_spider_id(self._client.transport, self.project_id, spider)}'
        if self.spider is not None and key != self.spider.key:
            message = f'These are the jobs of {self.spider.name!r}; use project.jobs for those of {spider!r}.'
            raise ValueError('Please use same spider') from Expected(message)
        return tuple(key.split('/'))


def _spider_key(job_key: str) -> str:
    return job_key.rpartition('/')[0]
