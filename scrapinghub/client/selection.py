"""Selections of jobs: list them, and change or delete all of them."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from scrapinghub.client._support.dash import Dash
from scrapinghub.client._support.html import render_card
from scrapinghub.client._support.job_filter import JobFilter, Matching, parse_choices
from scrapinghub.client._support.parameters import suggests_names
from scrapinghub.client._support.records import Records
from scrapinghub.client._support.resource import Client
from scrapinghub.client._support.selected_records import SelectedRecords
from scrapinghub.client._support.validation import expect_field
from scrapinghub.client.bulk import BulkResult
from scrapinghub.client.items import Item, Items
from scrapinghub.client.logs import Logs
from scrapinghub.client.requests import Requests
from scrapinghub.client.shapes import JobSummary, LogRecord, RequestRecord
from scrapinghub.client.utils import get_tags_for_update
from scrapinghub.exceptions import DecodeError, NetworkError, NotFound, ScrapinghubAPIError, ServerError
from scrapinghub.export.progress import Progress, reporting
from scrapinghub.transport.http.call import Call
from scrapinghub.transport.http.retries import Repeat
from scrapinghub.transport.streams.cursors_without_keys import split_names
from scrapinghub.transport.streams.job_pages import JobPages
from scrapinghub.transport.streams.source import Source
from scrapinghub.transport.streams.stream import RecordStream, ResumableIterator

R = TypeVar('R')

# The fields of a summary that the service returns without ``jobmeta``.
SUMMARY_FIELDS = (
    *('spider', 'pending_time', 'running_time', 'finished_time', 'close_reason', 'version'),
    *('items', 'logs', 'pages', 'errors', 'tags'),
)
DELETE_CHUNK = 500
CANCEL_CHUNK = 1000
TAGS_CHUNK = 100


class JobSelection:
    """The jobs that match a filter: the result of :meth:`Jobs.select`. Safe to share between threads.

    The selection sends requests when it is used, and matches the jobs at that time. Every row of a listing is checked
    on the client too, since the service may ignore a filter.

    Example:
        >>> selection = project.jobs.select(spider='spider1', state='finished', count=2)
        >>> selection
        <JobSelection of project 123: spider spider1, state finished, at most 2>
        >>> selection.keys()
        ['123/1/3', '123/1/2']
    """

    def __init__(self, client: Client, job_filter: JobFilter, count: int | None) -> None:
        self._client = client
        self._filter = job_filter
        self._count = count

    def __repr__(self) -> str:
        conditions = [f'{name} {value}' for name, value in self._filter.describe()]
        if self._count is not None:
            conditions.append(f'at most {self._count}')
        return f'<JobSelection of project {self._filter.project_id}: {", ".join(conditions) or "all jobs"}>'

    def _repr_html_(self) -> str:
        rows = [('project', self._filter.project_id), *self._filter.describe()]
        return render_card('JobSelection', rows)

    # Read their records

    @property
    def items(self) -> SelectedRecords[Item]:
        """The items of all jobs, job by job.

        Example:
            >>> project.jobs.select(spider='spider1').items.list(job_key='_job')
            [{'_job': '123/1/2', 'name': 'first'}, {'_job': '123/1/2', 'name': 'second'}]
        """
        return self._records(Items)

    @property
    def logs(self) -> SelectedRecords[LogRecord]:
        """The log entries of all jobs, job by job."""
        return self._records(Logs)

    @property
    def requests(self) -> SelectedRecords[RequestRecord]:
        """The requests of all jobs, job by job."""
        return self._records(Requests)

    def _records(self, family: type[Records[R]]) -> SelectedRecords[R]:
        wanted = {**self._filter.arguments(), 'count': self._count}
        return SelectedRecords(self._client, family, self.keys, wanted, repr(self), deleted=self._filter.holds_deleted)

    # Look at the jobs

    def __iter__(self) -> Iterator[JobSummary]:
        """Iterate over summaries of the jobs, beginning with the job that changed its state last.

        A job that matches during the whole iteration is returned exactly once; a job that begins or ceases to match in
        the meantime is returned at most once.
        """
        return self._matching(SUMMARY_FIELDS)

    def list(self) -> builtins.list[JobSummary]:
        """Return summaries of the jobs.

        Example:
            >>> [job['state'] for job in project.jobs.select(spider='spider1', count=1).list()]
            ['finished']
        """
        return list(self)

    def keys(self) -> builtins.list[str]:
        """Return the keys of the jobs.

        Example:
            >>> project.jobs.select(spider='spider1').keys()
            ['123/1/3', '123/1/2', '123/1/1']
        """
        return [row['key'] for row in self._matching(())]

    def count(self) -> int:
        """Return the number of jobs; lists them, since the service may ignore a filter when it counts.

        Example:
            >>> project.jobs.select(spider='spider1', state='finished').count()
            3
        """
        return len(self.keys())

    def iter_metadata(self, *fields: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Iterate over metadata of the jobs; one request returns the metadata of up to 1000 jobs.

        Args:
            *fields: Names of the fields.

        Yields:
            The key of a job, and a dict of those fields that the job has.

        Raises:
            ValueError: No field is given.

        Example:
            >>> for key, metadata in project.jobs.select(spider='spider1').iter_metadata('close_reason'):
            ...     print(key, metadata.get('close_reason'))
            123/1/3 finished
            123/1/2 finished
            123/1/1 finished
        """
        if not fields:
            raise ValueError(f'fields should be one name or more, got {fields!r}')

        def convert(row: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
            return row['key'], {name: row[name] for name in fields if name in row}

        return self._matching(fields, convert)

    def _matching(self, fields: Iterable[str], convert: Callable[[dict[str, Any]], Any] | None = None) -> Iterator[Any]:
        """Iterate over the rows that match, as many as wanted."""
        return ResumableIterator(Matching(self._rows(fields), self._filter, self._count, convert))

    def _rows(self, fields: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Iterate over the rows of the listing, whether they match or not."""
        if self._count == 0:
            return iter(())
        wanted = dict.fromkeys([*(fields or ['state']), *self._filter.fields])
        meta = [('jobmeta', name) for name in wanted]
        transport = self._client.transport
        if self._filter.keys is not None:
            return self._rows_of(self._filter.keys, meta)
        call = Call('GET', transport.url(('jobq', self._filter.project_id, 'list')))
        return RecordStream(Source(transport, call), JobPages([*self._filter.parameters(), *meta], everything=True))

    def _rows_of(self, keys: Sequence[str], meta: builtins.list[tuple[str, Any]]) -> Iterator[dict[str, Any]]:
        """Iterate over the rows of jobs with given keys; those that do not exist are left out."""
        path = ('jobq', self._filter.project_id, 'jobsummary')
        for chunk in split_names('key', keys):
            yield from self._client.transport.get(path, [*(('key', key) for key in chunk), *meta]).values

    # Change the jobs

    @suggests_names
    def update_tags(
        self,
        add: builtins.list[str] | None = None,
        remove: builtins.list[str] | None = None,
        *,
        dry_run: bool = False,
        progress: Progress = False,
    ) -> BulkResult:
        """Add and remove tags of the jobs.

        Args:
            add: Tags to add.
            remove: Tags to remove.
            dry_run: Whether to list the jobs only.
            progress: Whether to show a progress bar, or a function of ``(done, total)``.

        Returns:
            What was done, by key.

        Raises:
            ValueError: No tags are given, an argument is not a list, or a tag is empty.
            TypeError: A tag is not a string.

        Example:
            >>> project.jobs.select(spider='spider1').update_tags(add=['checked'])
            <BulkResult: 3 planned, 3 done>
        """
        tags = get_tags_for_update(add_tag=add, remove_tag=remove)
        if not tags:
            raise ValueError('pass tags to add or remove')
        for name, names in tags.items():
            parse_choices(name, names)

        def update(keys: Sequence[str], result: BulkResult) -> None:
            form = {**tags, 'project': self._filter.project_id, 'job': list(keys)}
            response = Dash(self._client.transport).post(('jobs', 'update.json'), form, repeat=Repeat.ALWAYS)
            if expect_field(response, 'count', int, 'POST jobs/update.json') >= len(keys):
                result.done += keys
            else:
                self._check_tags(keys, set(add or ()), set(remove or ()), result)

        return self._run(update, TAGS_CHUNK, None, 'update tags', dry_run, progress)

    def _check_tags(self, keys: Sequence[str], added: set[str], removed: set[str], result: BulkResult) -> None:
        """Sort jobs by whether they have the tags that they should have."""
        rows = {row['key']: set(row.get('tags') or ()) for row in self._rows_of(keys, [('jobmeta', 'tags')])}
        for key in keys:
            if key not in rows:
                result.failed[key] = NotFound(f'job {key} does not exist')
            elif added <= rows[key] and rows[key].isdisjoint(removed):
                result.done.append(key)
            else:
                result.failed[key] = ScrapinghubAPIError(f'job {key} has the tags {sorted(rows[key])} after the update')

    @suggests_names
    def cancel(self, *, dry_run: bool = False, progress: Progress = False, allow_all: bool = False) -> BulkResult:
        """Ask the jobs that are pending or running to stop.

        A pending job finishes immediately; a running job is asked to stop and continues until it does.

        Args:
            dry_run: Whether to list the jobs only.
            progress: Whether to show a progress bar, or a function of ``(done, total)``.
            allow_all: Whether to allow a selection without a filter. ``state`` and ``count`` are not filters.

        Returns:
            What was done, by key; finished jobs are ``skipped``.

        Raises:
            ValueError: The selection has no filter, and ``allow_all`` is False.

        Example:
            >>> project.jobs.select(has_tag='obsolete').cancel(dry_run=True)
            <BulkResult: 0 planned>
        """
        self._check_filter('cancel', allow_all)

        def cancel(keys: Sequence[str], result: BulkResult) -> None:
            path = ('jobq', self._filter.project_id, 'cancel')
            body = [{'key': key} for key in keys]
            response = self._client.transport.post(path, value=body, repeat=Repeat.ALWAYS)
            if expect_field(response.value, 'count', int, 'POST jobq/cancel') >= len(keys):
                result.done += keys
            else:
                self._cancel_each(keys, result)

        return self._run(cancel, CANCEL_CHUNK, ('pending', 'running'), 'cancel', dry_run, progress)

    def _cancel_each(self, keys: Sequence[str], result: BulkResult) -> None:
        """Cancel those jobs again that are still active; the state of a running job does not show a cancellation."""
        rows = {row['key']: row['state'] for row in self._rows_of(keys, [('jobmeta', 'state')])}
        for key in keys:
            if rows.get(key) not in ('pending', 'running'):
                result.done.append(key)
                continue
            response = self._client.transport.post(('jobq', *key.split('/'), 'cancel'), repeat=Repeat.ALWAYS)
            if expect_field(response.value, 'count', int, f'POST jobq/{key}/cancel'):
                result.done.append(key)
            else:
                result.failed[key] = ScrapinghubAPIError(f'the service did not cancel job {key}')

    @suggests_names
    def delete(self, *, dry_run: bool = False, progress: Progress = False, allow_all: bool = False) -> BulkResult:
        """Delete the finished jobs with their data.

        Jobs in other states are deleted only if the selection names these states.

        Args:
            dry_run: Whether to list the jobs only.
            progress: Whether to show a progress bar, or a function of ``(done, total)``.
            allow_all: Whether to allow a selection without a filter. ``state`` and ``count`` are not filters.

        Returns:
            What was done, by key; jobs in other states are ``skipped``.

        Raises:
            ValueError: The selection has no filter, and ``allow_all`` is False.

        Example:
            >>> from datetime import timedelta
            >>> old = project.jobs.select(spider='spider1', endts=timedelta(days=30))
            >>> old.delete(dry_run=True)
            <BulkResult: 3 planned>
        """
        self._check_filter('delete', allow_all)

        def delete(keys: Sequence[str], result: BulkResult) -> None:
            lines = [{'key': key, 'state': 'deleted'} for key in keys]
            path = ('jobq', self._filter.project_id, 'update')
            response = self._client.transport.post(path, lines=lines, repeat=Repeat.ALWAYS)
            updated = {expect_field(row, 'key', str, 'POST jobq/update') for row in response.values}
            for key in keys:
                if key in updated:
                    result.done.append(key)
                else:
                    result.failed[key] = NotFound(f'job {key} does not exist')

        return self._run(delete, DELETE_CHUNK, self._filter.states or ('finished',), 'delete', dry_run, progress)

    def _check_filter(self, operation: str, allow_all: bool) -> None:
        if allow_all is not True and not self._filter.narrows:
            raise ValueError(
                f'this selection has no filter, and {operation}() would act on all jobs of project '
                f'{self._filter.project_id}: pass allow_all=True, or select by spider, has_tag, lacks_tag, startts, '
                'endts or key'
            )

    def _run(
        self,
        operate: Callable[[Sequence[str], BulkResult], None],
        chunk_size: int,
        states: Sequence[str] | None,
        description: str,
        dry_run: bool,
        progress: Progress,
    ) -> BulkResult:
        """List the jobs, then act on exactly these in chunks.

        Args:
            operate: Acts on a chunk of jobs, and adds each to one of the lists of the result.
            chunk_size: Maximum number of jobs in a chunk.
            states: States to which the operation applies; None for all.
            description: Label of the progress bar.
            dry_run: Whether to list the jobs only.
            progress: Whether to report progress.
        """
        planned, skipped = self._plan(states)
        if dry_run:
            return BulkResult(planned)
        result = BulkResult(planned, skipped=skipped)
        with reporting(progress, description, lambda: len(planned), ' jobs') as report:
            for handled in range(0, len(planned), chunk_size):
                keys = planned[handled : handled + chunk_size]
                try:
                    operate(keys, result)
                except (NetworkError, ServerError, DecodeError) as error:
                    self._stop(planned[handled:], len(keys), error, result)
                    break
                except ScrapinghubAPIError as error:
                    missing = [key for key in keys if key not in result.failed and key not in set(result.done)]
                    result.failed.update(dict.fromkeys(missing, error))
                report(handled + len(keys))
        return result

    @staticmethod
    def _stop(rest: Sequence[str], size: int, error: ScrapinghubAPIError, result: BulkResult) -> None:
        """Record a failure of the service: the outcome of one chunk is unknown, the rest is not attempted."""
        known = {*result.done, *result.failed}
        result.unknown += [key for key in rest[:size] if key not in known]
        result.failed.update(dict.fromkeys(rest[size:], error))

    def _plan(self, states: Sequence[str] | None) -> tuple[builtins.list[str], builtins.list[str]]:
        """Return the keys to act on, and the keys of other jobs that match or that cannot be checked."""
        planned: builtins.list[str] = []
        skipped: builtins.list[str] = []
        matched = 0
        for row in self._rows(()):
            if matched == self._count:
                break
            matches = self._filter.matches(row)
            if matches is False:
                continue
            matched += bool(matches)
            applies = matches and (states is None or row['state'] in states)
            (planned if applies else skipped).append(row['key'])
        return planned, skipped
