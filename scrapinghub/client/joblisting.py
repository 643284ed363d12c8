"""What jobs there are: the questions that a project, or a spider of it, answers about its jobs."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, overload

from scrapinghub.client._support.lists import Deferred, listed
from scrapinghub.client._support.parameters import Time, number, pairs, query
from scrapinghub.client._support.resource import Resource
from scrapinghub.client._support.responses import owed
from scrapinghub.client._support.spider_ids import spider_id
from scrapinghub.client.shapes import JobSummary, StateSummary
from scrapinghub.client.utils import parse_project_id
from scrapinghub.config.validation import Expected
from scrapinghub.transport import codec
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.streams.cursors import ByKeys
from scrapinghub.transport.streams.job_pages import JobWalk
from scrapinghub.transport.streams.stream import RecordStream

if TYPE_CHECKING:
    from scrapinghub.client import ScrapinghubClient
    from scrapinghub.client.spiders import Spider

OneOrMore = str | Iterable[str] | None

# The service's name of the fields to show in a listing of jobs.
_FIELDS = {'meta': 'jobmeta'}


class JobListing(Resource):
    """The part of :class:`~scrapinghub.client.jobs.Jobs` that only looks.

    Args:
        client: The client.
        project_id: Id of the project.
        spider: The spider whose jobs these are; None for all of the project.
    """

    def __init__(self, client: ScrapinghubClient, project_id: int | str, spider: Spider | None = None) -> None:
        self.project_id = parse_project_id(project_id)
        super().__init__(client, self.project_id if spider is None else spider.key)
        self.spider = spider

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
        answer = self._client.transport.get(('jobq', self.project_id, 'count'), pairs(values), expects=codec.JSON)
        return owed(answer.value, int, f'GET jobq/{self.project_id}/count')

    @overload
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
        meta: None = None,
        *,
        key: OneOrMore = None,
        stop: str | None = None,
        **params: Any,
    ) -> Iterator[JobSummary]: ...

    @overload
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
        *,
        meta: str | Iterable[str],
        key: OneOrMore = None,
        stop: str | None = None,
        **params: Any,
    ) -> Iterator[dict[str, Any]]: ...

    @overload
    def iter(
        self,
        count: int | None,
        start: int | None,
        spider: str | None,
        state: OneOrMore,
        has_tag: OneOrMore,
        lacks_tag: OneOrMore,
        startts: Time,
        endts: Time,
        meta: str | Iterable[str],
        *,
        key: OneOrMore = None,
        stop: str | None = None,
        **params: Any,
    ) -> Iterator[dict[str, Any]]: ...

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
        *,
        key: OneOrMore = None,
        stop: str | None = None,
        **params: Any,
    ) -> Iterator[Any]:
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
            key: Only the job with this key, or those with these.
            stop: End before the job with this key.
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
        named.update(key=key, stop=stop)
        return self._walk(query(named, params, _FIELDS), number('count', count), number('start', start))

    list = listed(iter)

    @overload
    def iter_all(
        self,
        spider: str | None = None,
        state: OneOrMore = None,
        has_tag: OneOrMore = None,
        lacks_tag: OneOrMore = None,
        startts: Time = None,
        endts: Time = None,
        meta: None = None,
        **params: Any,
    ) -> Iterator[JobSummary]: ...

    @overload
    def iter_all(
        self,
        spider: str | None = None,
        state: OneOrMore = None,
        has_tag: OneOrMore = None,
        lacks_tag: OneOrMore = None,
        startts: Time = None,
        endts: Time = None,
        *,
        meta: str | Iterable[str],
        **params: Any,
    ) -> Iterator[dict[str, Any]]: ...

    @overload
    def iter_all(
        self,
        spider: str | None,
        state: OneOrMore,
        has_tag: OneOrMore,
        lacks_tag: OneOrMore,
        startts: Time,
        endts: Time,
        meta: str | Iterable[str],
        **params: Any,
    ) -> Iterator[dict[str, Any]]: ...

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
    ) -> Iterator[Any]:
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

    @overload
    def summary(
        self,
        state: None = None,
        spider: str | None = None,
        *,
        count: int | None = None,
        start: int | None = None,
        meta: OneOrMore = None,
        **params: Any,
    ) -> builtins.list[StateSummary]: ...

    @overload
    def summary(
        self,
        state: str,
        spider: str | None = None,
        *,
        count: int | None = None,
        start: int | None = None,
        meta: OneOrMore = None,
        **params: Any,
    ) -> StateSummary | None: ...

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


def _spider_of(key: str) -> str:
    return key.rpartition('/')[0]
