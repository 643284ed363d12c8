"""Iterate over the jobs of a project or spider: filters, paging and the types of the summaries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn, Protocol, overload

from scrapinghub.client._support.lists import listed
from scrapinghub.client._support.parameters import Time, encode_pairs, merge_parameters, parse_number, suggests_names
from scrapinghub.client._support.resource import Client, Resource
from scrapinghub.client._support.spider_ids import find_spider_id
from scrapinghub.client._support.streams import read_stream
from scrapinghub.client.shapes import JobSummary
from scrapinghub.client.utils import find_job_key, parse_project_id
from scrapinghub.config.validation import Expected
from scrapinghub.transport import codec
from scrapinghub.transport.streams.cursors_without_keys import DedupeCursor
from scrapinghub.transport.streams.job_pages import JobPages

OneOrMore = str | Iterable[str] | None

# The service calls the fields of a summary ``jobmeta``.
SUMMARY_ALIASES = {'meta': 'jobmeta'}


class Spider(Protocol):
    """What the jobs of a spider use of their spider."""

    @property
    def key(self) -> str:
        """Key of the spider."""

    @property
    def name(self) -> str:
        """Name of the spider."""


class JobListing(Resource):
    """The listings of :class:`~scrapinghub.client.jobs.Jobs`.

    Args:
        client: The client.
        project_id: Id of the project.
        spider: The spider that has the jobs; None for all jobs of the project.
    """

    def __init__(self, client: Client, project_id: int | str, spider: Spider | None = None) -> None:
        self.project_id = parse_project_id(project_id)
        super().__init__(client, self.project_id if spider is None else spider.key)
        self.spider = spider

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
        """Iterate over summaries of jobs, beginning with the job that changed its state last.

        Returns at most 1000 jobs unless ``count`` is larger, which takes several requests; see :meth:`iter_all`.

        Args:
            count: Maximum number of jobs.
            start: Number of jobs to skip.
            spider: Only jobs of the spider with this name.
            state: Only jobs in this state, or these: ``'pending'``, ``'running'``, ``'finished'``, ``'deleted'``;
                finished jobs by default.
            has_tag: Only jobs with this tag, or with any of these.
            lacks_tag: Only jobs without this tag, or without all of these.
            startts: Only jobs that entered their state at or after this time: milliseconds since the epoch, a
                ``datetime`` with a time zone, or a ``timedelta`` (that long ago).
            endts: Only jobs that entered their state before this time.
            meta: Fields of the metadata to return instead of the usual ones; also spelt ``jobmeta``.
            key: Only the job with this key, or those with these keys.
            stop: Key of a job before which to stop.
            **params: Further parameters of the service.

        Yields:
            A summary of a job. ``client.get_job(summary['key'])`` returns the job itself.

        Raises:
            TypeError: A parameter is given in two spellings.
            StreamInterrupted: The connection broke and could not be resumed.

        Example:
            >>> [job['state'] for job in project.jobs.iter(spider='spider1', count=2)]
            ['finished', 'finished']
        """
        named = self._filters(spider, state, has_tag, lacks_tag, startts, endts, meta)
        named.update(key=_parse_keys(key), stop=_parse_keys(stop), count=count, start=start)
        values = merge_parameters(named, params, aliases=SUMMARY_ALIASES)
        return self._open(
            values, parse_number('count', values.pop('count', None)), parse_number('start', values.pop('start', None))
        )

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
        *,
        key: OneOrMore = None,
        **params: NoReturn,
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
        key: OneOrMore = None,
        **params: NoReturn,
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
        *,
        key: OneOrMore = None,
        **params: NoReturn,
    ) -> Iterator[dict[str, Any]]: ...

    @suggests_names
    def iter_all(
        self,
        spider: str | None = None,
        state: OneOrMore = None,
        has_tag: OneOrMore = None,
        lacks_tag: OneOrMore = None,
        startts: Time = None,
        endts: Time = None,
        meta: OneOrMore = None,
        *,
        key: OneOrMore = None,
        **params: NoReturn,
    ) -> Iterator[Any]:
        """Iterate over summaries of all jobs, however many there are.

        A job that matches during the whole iteration is returned exactly once. A job that begins or ceases to match in
        the meantime is returned at most once.

        Args:
            spider: See :meth:`iter`, also for the other parameters.
            state: Only jobs in this state.
            has_tag: Only jobs with this tag.
            lacks_tag: Only jobs without this tag.
            startts: Only jobs that entered their state at or after this time.
            endts: Only jobs that entered their state before this time.
            meta: Fields of the metadata to return.
            key: Only the job with this key, or those with these keys.
            **params: Not accepted.

        Yields:
            A summary of a job.

        Raises:
            TypeError: A parameter is unknown.
            ValueError: ``key``, ``state``, ``has_tag`` or ``lacks_tag`` is empty, or a time is ambiguous: without a
                time zone, or in seconds.
            StreamInterrupted: The connection broke and could not be resumed.

        Example:
            >>> len({job['key'] for job in project.jobs.iter_all(state=['finished', 'pending'])})
            4
        """
        named = self._filters(spider, state, has_tag, lacks_tag, startts, endts, meta)
        values = merge_parameters({**named, 'key': _parse_keys(key)}, params, aliases=SUMMARY_ALIASES, strict=True)
        return self._open(values, None, None, everything=True)

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

    def _spider_path(self, spider: str | None) -> tuple[str, ...]:
        """Return the path segments of the project, or of the spider, whose id is requested."""
        spider = parse_spider(spider)
        if spider is None:
            return tuple(self.key.split('/'))
        key = f'{self.project_id}/{find_spider_id(self._client.transport, self.project_id, spider)}'
        if self.spider is not None and key != self.spider.key:
            message = f'These are the jobs of {self.spider.name!r}; use project.jobs for those of {spider!r}.'
            raise ValueError('Please use same spider') from Expected(message)
        return tuple(key.split('/'))

    def _filters(
        self,
        spider: str | None,
        state: OneOrMore,
        has_tag: OneOrMore,
        lacks_tag: OneOrMore,
        startts: Time,
        endts: Time,
        meta: OneOrMore = None,
    ) -> dict[str, Any]:
        return {
            'spider': parse_spider(spider) if self.spider is None else self.spider.name,
            'state': state,
            'has_tag': has_tag,
            'lacks_tag': lacks_tag,
            'startts': startts,
            'endts': endts,
            'meta': meta,
        }

    def _open(
        self, values: Mapping[str, Any], count: int | None, start: int | None, *, everything: bool = False
    ) -> Iterator[JobSummary]:
        cursor = JobPages(encode_pairs(values), count, start=start, everything=everything)
        return read_stream(self._client.transport, ('jobq', self.project_id, 'list'), cursor, codec.ANY, eager=True)


def parse_spider(spider: Any) -> Any:
    """Return the name of a spider, which may be given as an object."""
    return spider if spider is None or isinstance(spider, str) else getattr(spider, 'name', spider)


def _parse_keys(keys: Any) -> Any:
    """Replace jobs and URLs of jobs by their keys; other values are passed on."""
    if isinstance(keys, (str, bytes)) or not isinstance(keys, Iterable):
        return find_job_key(keys)
    return [find_job_key(key) for key in keys]


def _spider_key(job_key: str) -> str:
    return job_key.rpartition('/')[0]
