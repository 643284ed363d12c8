"""The jobs of a project, or of one spider of it."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, overload

from scrapinghub.client.answers import field, owed
from scrapinghub.client.expectations import Expected
from scrapinghub.client.job import Job, JobMeta
from scrapinghub.client.keywords import number, pairs, query
from scrapinghub.client.listing import Deferred, listed
from scrapinghub.client.resources import Resource
from scrapinghub.client.scheduling import run_form, schedule
from scrapinghub.client.shapes import CancelResult, JobSummary, StateSummary
from scrapinghub.client.spiderids import spider_id
from scrapinghub.client.utils import get_tags_for_update, parse_job_key, parse_project_id
from scrapinghub.transport import codec
from scrapinghub.transport.dash import Dash
from scrapinghub.transport.plans import ByKeys
from scrapinghub.transport.retries import Repeat
from scrapinghub.transport.session import Call
from scrapinghub.transport.streams import RecordStream
from scrapinghub.transport.walks import JobWalk

if TYPE_CHECKING:
    from scrapinghub.client import ScrapinghubClient
    from scrapinghub.client.spiders import Spider

__all__ = ['Job', 'JobMeta', 'Jobs']

# The service's name of the fields to show in a listing of jobs.
_FIELDS = {'meta': 'jobmeta'}

OneOrMore = str | Iterable[str] | None
Time = int | datetime | None


class Jobs(Resource):
    """The jobs of a project, or those of one spider.

    Got as :attr:`Project.jobs <scrapinghub.client.projects.Project.jobs>` or :attr:`Spider.jobs
    <scrapinghub.client.spiders.Spider.jobs>`. Safe to share between threads.

    Args:
        client: The client.
        project_id: Id of the project.
        spider: The spider whose jobs these are; None for all of the project.

    Attributes:
        key: Key of the spider, or id of the project.
        project_id: Id of the project, as text.
        spider: The :class:`~scrapinghub.client.spiders.Spider`, or None.

    Example:
        >>> [job['key'] for job in spider.jobs.iter()]
        ['123/1/3', '123/1/2', '123/1/1']
    """

    def __init__(self, client: ScrapinghubClient, project_id: int | str, spider: Spider | None = None) -> None:
        self.project_id = parse_project_id(project_id)
        super().__init__(client, self.project_id if spider is None else spider.key)
        self.spider = spider

    # Looking

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
        """Count jobs.

        Args:
            spider: Only jobs of the spider of this name.
            state: Only jobs in this state, or these; finished ones by default.
            has_tag: Only jobs with this tag, or with any of these.
            lacks_tag: Only jobs without this tag, or without all of these.
            startts: Only jobs that entered their state at or after this time, in milliseconds since the epoch.
            endts: Only jobs that entered their state before this time.
            **params: What the service may add.

        Returns:
            How many there are.

        Example:
            >>> spider.jobs.count()
            3
        """
        values = query(
            {
                'spider': self._bound(spider),
                'state': state,
                'has_tag': has_tag,
                'lacks_tag': lacks_tag,
                'startts': startts,
                'endts': endts,
            },
            params,
        )
        answer = self._client.transport.get(('jobq', self.project_id, 'count'), pairs(values), accept=codec.JSON)
        return owed(answer.value, int, f'GET jobq/{self.project_id}/count')

    def iter(
        self,
        count: int | None = None,
        start: int | None = None,
        spider: str | None = None,
        state: OneOrMore = None,
        has_tag: OneOrMore = None,
        lacks_tag: OneOrMore = None,
        startts: Time = None,
        endts: Time = None,
        meta: OneOrMore = None,
        **params: Any,
    ) -> Iterator[JobSummary]:
        """Iterate over summaries of jobs, the one that entered its state last first.

        At most 1000 come unless ``count`` asks for more, which then takes several requests; :meth:`iter_all` gives all.

        Args:
            count: Stop after this many.
            start: Skip this many.
            spider: Only jobs of the spider of this name.
            state: Only jobs in this state, or these: ``'pending'``, ``'running'``, ``'finished'``, ``'deleted'``;
                finished ones by default.
            has_tag: Only jobs with this tag, or with any of these.
            lacks_tag: Only jobs without this tag, or without all of these.
            startts: Only jobs that entered their state at or after this time, in milliseconds since the epoch.
            endts: Only jobs that entered their state before this time.
            meta: Fields of the metadata to show instead of the usual ones; also spelt ``jobmeta``.
            **params: What the service may add.

        Yields:
            A summary; :class:`Job(client, summary['key']) <Job>` is the job.

        Raises:
            TypeError: A keyword looks misspelt, or is given in both spellings.
            StreamInterrupted: The connection broke and could not be resumed.

        Example:
            >>> [job['state'] for job in project.jobs.iter(spider='spider1', count=2)]
            ['finished', 'finished']
        """
        named = self._filters(spider, state, has_tag, lacks_tag, startts, endts, meta)
        return self._walk(query(named, params, _FIELDS), number('count', count), number('start', start))

    list = listed(iter)

    def iter_all(
        self,
        spider: str | None = None,
        state: OneOrMore = None,
        has_tag: OneOrMore = None,
        lacks_tag: OneOrMore = None,
        startts: Time = None,
        endts: Time = None,
        meta: OneOrMore = None,
        **params: Any,
    ) -> Iterator[JobSummary]:
        """Iterate over summaries of all jobs, however many there are and whatever happens to them meanwhile.

        A job that matches during the whole walk comes exactly once; one that starts or stops to match meanwhile, at
        most once.

        Args:
            spider: As of :meth:`iter`, like all the others.
            state: In which state.
            has_tag: With which tag.
            lacks_tag: Without which tag.
            startts: Since when in it.
            endts: Before when in it.
            meta: Which fields to show.
            **params: What the service may add.

        Yields:
            A summary.

        Raises:
            TypeError: A keyword looks misspelt, or is given in both spellings.
            StreamInterrupted: The connection broke and could not be resumed.

        Example:
            >>> len({job['key'] for job in project.jobs.iter_all(state=['finished', 'pending'])})
            4
        """
        named = self._filters(spider, state, has_tag, lacks_tag, startts, endts, meta)
        return self._walk(query(named, params, _FIELDS), None, None, everything=True)

    def get(self, job_key: str | tuple[int | str, int | str, int | str]) -> Job:
        """Return one of these jobs; no request is made.

        Args:
            job_key: ``project/spider/job``, or the three as a tuple.

        Returns:
            The job, whether it exists or not.

        Raises:
            ValueError: It is no job key, or one of another project or spider.

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

    @overload
    def summary(self, state: None = None, spider: str | None = None, **params: Any) -> builtins.list[StateSummary]: ...

    @overload
    def summary(self, state: str, spider: str | None = None, **params: Any) -> StateSummary | None: ...

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
        """Tell how many jobs are in each state, with the newest of them.

        Args:
            state: Only this state: ``'pending'``, ``'running'`` or ``'finished'``.
            spider: Only jobs of the spider of this name.
            count: How many summaries of jobs to show in each state, 5 by default.
            start: Skip this many of them.
            meta: Fields of the metadata to show instead of the usual ones; also spelt ``jobmeta``.
            **params: What the service may add.

        Returns:
            One object for ``state``, None if the service has nothing to say; else a list of three.

        Raises:
            NotFound: There is no such spider.
            ValueError: These are the jobs of another spider.

        Example:
            >>> spider.jobs.summary('finished')['count']
            3
        """
        named = {'count': number('count', count), 'start': number('start', start), 'meta': meta}
        values = query(named, params, _FIELDS)
        path = ('jobq', *self._path_of(spider), 'summary', *(() if state is None else (state,)))
        found = self._client.transport.get(path, pairs(values)).values
        if state is None:
            return found
        return found[0] if found else None

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
            start: Where in the list of spiders to begin.
            start_after: After what in the list of spiders to begin; also spelt ``startafter``.
            count: Stop after this many.
            spider: Only the spider of this name.
            **params: What the service may add.

        Yields:
            A summary of a job.

        Raises:
            NotFound: There is no such spider.
            ValueError: These are the jobs of another spider.
            StreamInterrupted: The connection broke and could not be resumed.

        Example:
            >>> [job['spider'] for job in project.jobs.iter_last()]
            ['spider1']
        """
        values = query({'start': start, 'start_after': start_after}, params)
        limit = number('count', count)

        def fetch() -> Iterator[JobSummary]:
            transport = self._client.transport
            call = Call('GET', transport.url(('spiders', *self._path_of(spider), 'lastjobsummary')))
            return RecordStream(transport, call, ByKeys(pairs(values), limit, field='key', identity=_spider_of))

        return Deferred(fetch)

    # Doing

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
            spider: Name of the spider; for the jobs of a spider, that spider by default.
            units: How many units the job may use, 1 to 6.
            priority: 0 for the lowest to 4 for the highest, 2 by default.
            meta: Metadata of one's own, as a dict or its JSON text.
            add_tag: Tag or tags of the job.
            job_args: Arguments of the spider.
            job_settings: Settings of the job, as a dict or its JSON text.
            cmd_args: Command line of a script.
            environment: Environment variables of the job.
            **params: Further arguments of the spider; they win over ``job_args``.

        Returns:
            The job.

        Raises:
            ValueError: An argument is missing or of the wrong type, or an argument of the spider has the name of
                something else.
            DuplicateJobError: The same spider with the same arguments is waiting or running.
            BadRequest: The service refuses.

        Example:
            >>> job = project.jobs.run('spider1', units=1, add_tag=['daily'], job_args={'page': 1})
            >>> job.metadata['spider_args']
            {'page': '1'}
        """
        name = spider or (None if self.spider is None else self.spider.name)
        if not name:
            raise ValueError('Please provide `spider` name')
        if job_args and not isinstance(job_args, Mapping):
            raise ValueError('job_args should be a dictionary')
        if environment and not isinstance(environment, Mapping):
            raise ValueError('environment should be a dictionary')
        options = {
            'units': units,
            'priority': priority,
            'add_tag': add_tag,
            'cmd_args': cmd_args,
            'job_settings': job_settings,
            'meta': meta,
            'environment': environment,
        }
        form = run_form(self.project_id, name, options, job_args, params)
        return Job(self._client, schedule(Dash(self._client.transport), form))

    @overload
    def cancel(self, keys: builtins.list[Any], count: None = None, **params: Any) -> CancelResult: ...

    @overload
    def cancel(self, keys: None = None, *, count: int, **params: Any) -> CancelResult: ...

    def cancel(self, keys: builtins.list[Any] | None = None, count: int | None = None, **params: Any) -> CancelResult:
        """Ask for jobs to be stopped: those with the given keys, or, for administrators, any ``count`` of them.

        Args:
            keys: A list of job keys of this project, about 1000 at most.
            count: How many jobs.
            **params: What the service may add.

        Returns:
            ``{'count': N}``: how many jobs were reached; unknown ones do not count.

        Raises:
            ValueError: The arguments are not as above.

        Example:
            >>> project.jobs.cancel(['123/1/8'])
            {'count': 0}
        """
        if keys and count:
            raise ValueError("keys and count can't be defined simultaneously")
        if not keys and not count:
            raise ValueError('keys or count should be defined')
        path = ('jobq', self.project_id, 'cancel')
        transport = self._client.transport
        if keys:
            body = [{'key': key} for key in self._own_keys(keys)]
            answer = transport.post(path, value=body, params=pairs(query({}, params)), repeat=Repeat.ALWAYS)
        else:
            if not isinstance(count, int) or isinstance(count, bool):
                raise ValueError('count should be an int')
            values = query({'count': count}, params)
            answer = transport.post(path, params=pairs(values), repeat=Repeat.UNRECEIVED)
        return {'count': field(answer.value, 'count', int, f'POST jobq/{self.project_id}/cancel')}

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
            spider: Name of the spider; for the jobs of a spider, that spider by default.

        Returns:
            How many jobs there are; None if there was nothing to do.

        Raises:
            ValueError: No spider is given, or an argument is no list.

        Example:
            >>> spider.jobs.update_tags(add=['consumed'])
            3
        """
        name = spider or (None if self.spider is None else self.spider.name)
        if not name:
            raise ValueError('Please provide spider')
        tags = get_tags_for_update(add_tag=add, remove_tag=remove)
        if not tags:
            return None
        form = {**tags, 'project': self.project_id, 'spider': name}
        answer = Dash(self._client.transport).post(('jobs', 'update.json'), form, repeat=Repeat.ALWAYS)
        return field(answer, 'count', int, 'POST jobs/update.json')

    # Shared by them

    def _bound(self, spider: str | None) -> str | None:
        return spider if self.spider is None else self.spider.name

    def _filters(
        self,
        spider: str | None,
        state: OneOrMore,
        has_tag: OneOrMore,
        lacks_tag: OneOrMore,
        startts: Time,
        endts: Time,
        meta: OneOrMore,
    ) -> dict[str, Any]:
        return {
            'spider': self._bound(spider),
            'state': state,
            'has_tag': has_tag,
            'lacks_tag': lacks_tag,
            'startts': startts,
            'endts': endts,
            'meta': meta,
        }

    def _walk(
        self, values: Mapping[str, Any], count: int | None, start: int | None, *, everything: bool = False
    ) -> Iterator[JobSummary]:
        transport = self._client.transport
        call = Call('GET', transport.url(('jobq', self.project_id, 'list')))
        return RecordStream(transport, call, JobWalk(pairs(values), count, start=start, everything=everything))

    def _path_of(self, spider: str | None) -> tuple[str, ...]:
        """Return the part of a path that names the project, or the spider, whose id is asked for."""
        if spider is None:
            return tuple(self.key.split('/'))
        key = f'{self.project_id}/{spider_id(self._client.transport, self.project_id, spider)}'
        if self.spider is not None and key != self.spider.key:
            told = f'These are the jobs of {self.spider.name!r}; those of {spider!r} are asked of project.jobs.'
            raise ValueError('Please use same spider') from Expected(told)
        return tuple(key.split('/'))

    def _own_keys(self, keys: object) -> Iterator[str]:
        if not isinstance(keys, builtins.list):
            raise ValueError('keys should be a list')
        for key in map(parse_job_key, keys):
            if key.project_id != self.project_id:
                told = f'all keys should belong to project: {self.project_id}'
                raise ValueError(told) from Expected(f'{key} is of another one')
            yield str(key)


def _spider_of(key: str) -> str:
    return key.rpartition('/')[0]
