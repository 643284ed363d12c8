"""The jobs of a project, or of one spider of it."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping
from typing import Any, overload

from scrapinghub.client._support.dash import Dash
from scrapinghub.client._support.parameters import pairs, query
from scrapinghub.client._support.responses import field
from scrapinghub.client._support.scheduling import run_form, schedule
from scrapinghub.client.job import Job, JobMeta
from scrapinghub.client.joblisting import JobListing, OneOrMore
from scrapinghub.client.shapes import CancelResult
from scrapinghub.client.utils import get_tags_for_update, parse_job_key
from scrapinghub.config.validation import Expected
from scrapinghub.transport.http.retries import Repeat

__all__ = ['Job', 'JobMeta', 'Jobs']


class Jobs(JobListing):
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

    def _own_keys(self, keys: object) -> Iterator[str]:
        if not isinstance(keys, builtins.list):
            raise ValueError('keys should be a list')
        for key in map(parse_job_key, keys):
            if key.project_id != self.project_id:
                told = f'all keys should belong to project: {self.project_id}'
                raise ValueError(told) from Expected(f'{key} is of another one')
            yield str(key)
