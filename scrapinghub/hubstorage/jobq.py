"""The job queue."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from scrapinghub.hubstorage.resourcetype import ResourceType


class DuplicateJobError(Exception):
    """A job with the same ``unique`` is pending or running."""


class JobQ(ResourceType):
    """The job queue of a project.

    Args:
        client: The low-level client.
        key: Id of the project.
        auth: Credentials instead of the client's own.
    """

    resource_type = 'jobq'

    PRIO_LOWEST = 0
    PRIO_LOW = 1
    PRIO_NORMAL = 2
    PRIO_HIGH = 3
    PRIO_HIGHEST = 4

    def push(self, spider: str, **jobparams: Any) -> Any:
        """Add a job to the queue.

        Args:
            spider: Name of the spider.
            **jobparams: ``state``, ``priority``, ``units``, ``unique``, ``tags``, and metadata of the job.

        Returns:
            A dict with ``key`` and ``auth``; None if the response is empty.

        Raises:
            scrapinghub.hubstorage.jobq.DuplicateJobError: A job with the same ``unique`` is pending or running.
            requests.HTTPError: The service refuses the job.
        """
        try:
            answer = next(self.apipost('push', jl={**jobparams, 'spider': spider}), None)
        except requests.HTTPError as error:
            if error.response is not None and error.response.status_code == 409:
                raise DuplicateJobError(error.response.text or str(error)) from error
            raise
        if isinstance(answer, Mapping) and 'error' in answer:
            text = str(answer['error'])
            if 'Active job' in text:
                raise DuplicateJobError(text)
            raise self.client.translate_error(requests.HTTPError(text))
        return answer

    def start(self, job: Any = None, **start_params: Any) -> Any:
        """Set jobs to ``running``. Without ``job``, start the next pending job.

        Args:
            job: As for :meth:`update`.
            **start_params: Metadata to set.

        Returns:
            Without ``job``, the metadata of the started job, with ``key`` and ``auth``, or None if no job is pending;
            otherwise the same as :meth:`update`.
        """
        if job:
            return self.update(job, state='running', **start_params)
        return next(self.apipost('startjob', jl=start_params), None)

    def update(self, job: Any, **extra_args: Any) -> Iterator[Any]:
        """Change the state of jobs, and metadata with it.

        Args:
            job: A job key, a spider key (for all jobs of the spider), a dict with ``key``, an object with ``key``, or
                a list of these.
            **extra_args: ``state``, and metadata.

        Returns:
            An iterator over dicts with ``key`` and ``prevstate``.
        """
        jobs = job if isinstance(job, list) else [job]
        return self.apipost('update', jl=[{**extra_args, 'key': _key_of(one)} for one in jobs])

    def finish(self, job: Any, **params: Any) -> Iterator[Any]:
        """Set jobs to ``finished``, see :meth:`update`."""
        return self.update(job, state='finished', **params)

    def delete(self, job: Any, **params: Any) -> Iterator[Any]:
        """Set jobs to ``deleted``, see :meth:`update`."""
        return self.update(job, state='deleted', **params)

    def request_cancel(self, job: Any) -> None:
        """Cancel a job.

        Args:
            job: An object with ``key``.
        """
        self.apipost((job.key.partition('/')[2], 'cancel'))

    def jobsummary(self, jobkeys: Any, jobmeta: Any) -> Iterator[Any]:
        """Return summaries of some jobs.

        Args:
            jobkeys: List or tuple of job keys.
            jobmeta: Names of metadata to return.

        Raises:
            TypeError: ``jobkeys`` is not a list or a tuple.
        """
        if not isinstance(jobkeys, (list, tuple)):
            raise TypeError('jobkeys must be a list or a tuple')
        return self.apiget('jobsummary', params={'key': jobkeys, 'jobmeta': jobmeta})

    def summary(
        self,
        _queuename: str | None = None,
        spiderid: Any = None,
        count: Any = None,
        start: Any = None,
        jobmeta: Any = None,
    ) -> Any:
        """Return the number of jobs in each state, and summaries of the newest jobs.

        Args:
            _queuename: The state; all three if None.
            spiderid: Only jobs of the spider with this id.
            count: Maximum number of jobs of each state.
            start: Number of jobs to skip.
            jobmeta: Names of metadata to return.

        Returns:
            With a state a dict, or None if the response is empty; otherwise a list of dicts.
        """
        named = {'count': count, 'start': start, 'jobmeta': jobmeta}
        params = {name: value for name, value in named.items() if value is not None}
        found = list(self.apiget((spiderid, 'summary', _queuename), params=params))
        if _queuename is None:
            return found
        return found[0] if found else None

    def list(
        self,
        spider: Any = None,
        count: Any = None,
        stop: Any = None,
        state: Any = None,
        has_tag: Any = None,
        lacks_tag: Any = None,
        startts: Any = None,
        endts: Any = None,
        **params: Any,
    ) -> Iterator[Any]:
        """Return an iterator over job summaries, newest first; at most 1000.

        Args:
            spider: Name of the spider.
            count: Maximum number of jobs.
            stop: Stop before this job.
            state: One state or several; ``finished`` by default.
            has_tag: Only jobs with one of these tags.
            lacks_tag: Only jobs without any of these tags.
            startts: Only jobs that entered their state at or after this time, in milliseconds since the epoch.
            endts: Only jobs that entered their state before this time.
            **params: Further parameters. ``filter``, an old form of the arguments above, replaces them.
        """
        if 'filter' in params:
            return self._list_by_filter(params)
        named = {
            'state': state,
            'spider': spider,
            'count': count,
            'stop': stop,
            'startts': startts,
            'endts': endts,
            'has_tag': has_tag,
            'lacks_tag': lacks_tag,
        }
        return self.apiget('list', params={**params, **{k: v for k, v in named.items() if v is not None}})

    def _list_by_filter(self, params: dict[str, Any]) -> Iterator[Any]:
        given = params['filter']
        finished_only = False
        texts = [given] if isinstance(given, str) else [_condition_text(condition) for condition in given]
        params['filter'] = texts
        for text in texts:
            field, operator, values = json.loads(text)
            name = _PARAMETERS.get((field, operator))
            if name is not None:
                params[name] = values
            finished_only = finished_only or (field, operator, values) == ('close_reason', '=', ['finished'])
        if not finished_only:
            return self.apiget('list', params=params)
        meta = params.get('jobmeta') or []
        names = [meta] if isinstance(meta, str) else [*meta]
        params['jobmeta'] = names if 'close_reason' in names else [*names, 'close_reason']
        found = self.apiget('list', params=params)
        return (summary for summary in found if summary.get('close_reason') == 'finished')


# Parameters that replace the old form of a filter. The service ignores other filters.
_PARAMETERS = {
    ('tags', 'haselement'): 'has_tag',
    ('tags', 'hasnotelement'): 'lacks_tag',
    ('state', '='): 'state',
    ('spider', '='): 'spider',
}


def _condition_text(condition: Any) -> str:
    return condition if isinstance(condition, str) else json.dumps(condition)


def _key_of(job: Any) -> str:
    if isinstance(job, Mapping):
        job = job['key']
    key = getattr(job, 'key', job)
    if not isinstance(key, str):
        raise TypeError(f'a job should be a key, a dict with key, or an object with key, got {job!r}')
    return key
