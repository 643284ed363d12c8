"""The jobs of a project, or of one spider."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, overload

from scrapinghub.client._support.dash import Dash
from scrapinghub.client._support.job_filter import as_list, parse_filter
from scrapinghub.client._support.job_listing import SUMMARY_ALIASES, JobListing, OneOrMore, Spider, parse_spider
from scrapinghub.client._support.parameters import (
    Time,
    check_names,
    encode_pairs,
    merge_parameters,
    parse_number,
    refuse_dry_run,
    suggests_names,
)
from scrapinghub.client._support.scheduling import build_run_form, schedule_job
from scrapinghub.client._support.spelling import warn_user
from scrapinghub.client._support.validation import expect, expect_field
from scrapinghub.client._support.waiting import CompletedJobs
from scrapinghub.client.job import Job, JobMeta
from scrapinghub.client.selection import JobSelection
from scrapinghub.client.shapes import CancelResult, StateSummary
from scrapinghub.client.utils import AnyJobKey, find_job_key, get_tags_for_update, parse_job_key
from scrapinghub.config.validation import Expected
from scrapinghub.transport import codec
from scrapinghub.transport.http.retries import Repeat

__all__ = ['Job', 'JobMeta', 'Jobs']

# The filters of a selection.
_FILTERS = ('spider', 'state', 'has_tag', 'lacks_tag', 'startts', 'endts', 'key')


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

    @suggests_names
    def as_completed(self, jobs: AnyJobKey | Iterable[AnyJobKey], timeout: float | None = None) -> Iterator[Job]:
        """Iterate over jobs in the order in which they finish.

        Polls the states of all jobs together, first after 1 second, later every 30 seconds. A job that was deleted
        counts as finished. After an error, iterating again continues with the other jobs.

        Args:
            jobs: Jobs, their summaries, or keys of jobs.
            timeout: Maximum time to wait for all jobs, in seconds. Waits without limit by default.

        Yields:
            A job that has finished.

        Raises:
            WaitTimeout: A job is not finished after ``timeout`` seconds.
            NotFound: A job does not exist.
            ValueError: A job belongs to another project or spider, or ``timeout`` is negative.

        Example:
            >>> jobs = [client.get_job('123/1/1'), client.get_job('123/1/2')]
            >>> sorted(job.key for job in project.jobs.as_completed(jobs))
            ['123/1/1', '123/1/2']
        """
        found = [self.get(find_job_key(job)) for job in as_list('jobs', jobs, 'jobs or keys of jobs')]
        return CompletedJobs(self._client, self.project_id, {job.key: job for job in found}, timeout)

    @suggests_names
    def select(
        self,
        *,
        spider: str | Spider | None = None,
        state: OneOrMore = None,
        has_tag: OneOrMore = None,
        lacks_tag: OneOrMore = None,
        startts: Time | timedelta = None,
        endts: Time | timedelta = None,
        key: AnyJobKey | Iterable[AnyJobKey] | None = None,
        count: int | None = None,
        **unknown: Any,
    ) -> JobSelection:
        """Select jobs to list, change or delete them, or to read their data; sends no request.

        Args:
            spider: Name of a spider.
            state: A state, or several: ``'pending'``, ``'running'``, ``'finished'``, ``'deleted'``. All but
                ``'deleted'`` by default.
            has_tag: A tag, or several of which a job must have at least one.
            lacks_tag: A tag, or several of which a job must have none.
            startts: Earliest time of the last change of the state: milliseconds since the epoch, a datetime with a
                time zone, or a timedelta, which means that long ago.
            endts: Time before which the state changed last, in the same forms.
            key: A job, or several: keys, job URLs or :class:`Job` objects.
            count: Maximum number of jobs, those that changed their state last.
            **unknown: Raises ``TypeError``, which suggests the right name.

        Returns:
            The selection.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: A list is empty (None means no filter), a state is unknown, a key is malformed or of another
                project, or a time is ambiguous.

        Example:
            >>> project.jobs.select(spider='spider1', state='finished').count()
            3
        """
        spider = parse_spider(spider)
        if self.spider is not None and spider not in (None, self.spider.name):
            raise ValueError(f'these are the jobs of {self.spider.name!r}: use project.jobs for those of {spider!r}')
        check_names(unknown, {*_FILTERS, 'count'}, strict=True)
        job_filter = parse_filter(
            self.project_id,
            spider=spider if self.spider is None else self.spider.name,
            state=state,
            has_tag=has_tag,
            lacks_tag=lacks_tag,
            startts=startts,
            endts=endts,
            key=key,
        )
        return JobSelection(self._client, job_filter, parse_number('count', count))

    @overload
    def cancel(self, keys: builtins.list[Any], count: None = None, **params: Any) -> CancelResult: ...

    @overload
    def cancel(self, keys: None = None, *, count: int, **params: Any) -> CancelResult: ...

    def cancel(self, keys: builtins.list[Any] | None = None, count: int | None = None, **params: Any) -> CancelResult:
        """Ask jobs to stop: those with the given keys, or, for administrators, any ``count`` jobs of the project.

        The service knows no filters here. To cancel jobs by spider, tag or time, use :meth:`select`:
        ``project.jobs.select(has_tag='test').cancel()``.

        Args:
            keys: Keys of jobs of this project, about 1000 at most.
            count: Number of jobs, of any spider.
            **params: Further parameters of the service.

        Returns:
            ``{'count': N}``: the number of jobs that were found.

        Raises:
            ValueError: Both or neither of the arguments are given, or a key is malformed or of another project.
            TypeError: ``dry_run`` is given.

        Example:
            >>> project.jobs.cancel(['123/1/8'])
            {'count': 0}
        """
        if keys and count:
            raise ValueError("keys and count can't be defined simultaneously")
        if not keys and (keys is not None or not count):
            raise ValueError('keys or count should be defined')
        refuse_dry_run(params, 'cancel(), which cancels jobs')
        path = ('jobq', self.project_id, 'cancel')
        transport = self._client.transport
        if keys:
            body = [{'key': key} for key in self._check_keys(keys)]
            pairs = encode_pairs(merge_parameters({}, params))
            answer = transport.post(path, value=body, params=pairs, repeat=Repeat.ALWAYS)
        else:
            if not isinstance(count, int) or isinstance(count, bool):
                raise ValueError('count should be an int') from Expected(f'got {count!r}')
            if self.spider is not None or 'spider' in params:
                warn_user('cancel(count=…) cancels jobs of any spider: select(spider=…).cancel() cancels those of one.')
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
        if self.spider is not None and name != self.spider.name:
            warn_user(f'these are the jobs of {self.spider.name!r}, and those of {name!r} are changed.')
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
            lacks_tag: Only jobs without this tag; with several, jobs that have none of these.
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

    def _spider_name(self, spider: str | None) -> str | None:
        return parse_spider(spider) or (None if self.spider is None else self.spider.name)
