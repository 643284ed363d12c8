"""Periodic jobs: jobs that the platform starts at fixed times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from scrapinghub.client._support.cron import Cron
from scrapinghub.client._support.dash import Dash
from scrapinghub.client._support.lists import listed
from scrapinghub.client._support.parameters import parse_number, suggests_names
from scrapinghub.client._support.resource import Client, Resource
from scrapinghub.client._support.streams import explain_lost_response
from scrapinghub.client._support.validation import expect, expect_field
from scrapinghub.client.utils import parse_project_id
from scrapinghub.transport.http.retries import Repeat
from scrapinghub.transport.streams.stream import ResumableIterator

PAGE_SIZE = 100
SCRIPT_PREFIX = 'py:'

Tags = str | Iterable[str] | None
Tasks = Sequence[Mapping[str, Any]] | None


class PeriodicJobs(Resource):
    """The periodic jobs of a project: ``project.periodic_jobs``. Safe to share between threads.

    HTTP API: https://docs.zyte.com/scrapy-cloud/usage/reference/http/periodicjobs.html

    Args:
        client: The client.
        project_id: Id of the project.

    Attributes:
        key: Id of the project, as text.

    Example:
        >>> daily = project.periodic_jobs.create('spider1', cron='0 9 * * *')
        >>> [periodic.cron for periodic in project.periodic_jobs.iter()]
        ['0 9 * * *']
        >>> daily.delete()
    """

    def __init__(self, client: Client, project_id: int | str) -> None:
        super().__init__(client, parse_project_id(project_id))

    def iter(self) -> Iterator[PeriodicJob]:
        """Iterate over the periodic jobs of the project.

        Sends one request for each 100 periodic jobs.

        Yields:
            A periodic job, with its attributes at the time of the request.

        Example:
            >>> list(project.periodic_jobs.iter())
            []
        """
        return ResumableIterator(_Pages(self._client, self.key))

    list = listed(iter)

    def get(self, id: int) -> PeriodicJob:
        """Return one periodic job; sends one request.

        Args:
            id: Id of the periodic job.

        Returns:
            The periodic job, with its present attributes.

        Raises:
            NotFound: The project has no such periodic job.
            ValueError: ``id`` is not a number.

        Example:
            >>> daily = project.periodic_jobs.create('spider1', cron='0 9 * * *')
            >>> project.periodic_jobs.get(daily.id).cron
            '0 9 * * *'
            >>> daily.delete()
        """
        number = parse_number('id', id)
        if number is None:
            raise ValueError('id should be the number of a periodic job, got None')
        fields = Dash(self._client.transport).call('GET', (*_path(self.key), str(number)))
        return PeriodicJob(self._client, self.key, fields)

    @suggests_names
    def create(
        self,
        spider: str | None = None,
        *,
        cron: str,
        job_args: Mapping[str, Any] | None = None,
        cmd_args: str | None = None,
        priority: int | None = None,
        tasks: Tasks = None,
        add_tag: Tags = None,
        description: str | None = None,
        disabled: bool = False,
    ) -> PeriodicJob:
        """Create a periodic job.

        Args:
            spider: Name of the spider to run, or of a script with the prefix ``py:``.
            cron: When to run, in UTC: ``minute hour day-of-month month day-of-week``. Each field is one number or
                ``*``; the service refuses ranges, steps and lists. If both days are given, either has to match.
                Sunday is 0.
            job_args: Arguments of the spider.
            cmd_args: Arguments of the script.
            priority: Priority of the jobs, from 0 (lowest) to 4; 2 by default.
            tasks: Several spiders or scripts, instead of ``spider``: objects with ``name`` and optionally
                ``priority``, ``spider_args`` (an object) and ``script_args`` (text).
            add_tag: Tags of the jobs that are started.
            description: Description for people.
            disabled: Whether the periodic job is created paused.

        Returns:
            The periodic job.

        Raises:
            ValueError: ``cron`` is not accepted by the service, neither or both of ``spider`` and ``tasks`` are given,
                or ``priority`` is out of range.
            NetworkError: The response was lost. The request is not repeated; ``maybe_applied`` says whether the
                periodic job may exist.

        Example:
            >>> daily = project.periodic_jobs.create('spider1', cron='30 6 * * 1', job_args={'depth': '2'})
            >>> daily.cron, daily.disabled
            ('30 6 * * 1', False)
            >>> daily.delete()
        """
        if (spider is None) == (tasks is None):
            raise ValueError('pass either spider or tasks')
        if tasks is None:
            tasks = [_task(str(spider), job_args, cmd_args, priority)]
        elif job_args is not None or cmd_args is not None or priority is not None:
            raise ValueError('job_args, cmd_args and priority are part of tasks: {"name": …, "priority": …, …}')
        fields = {
            'cron': Cron(cron).text,
            'tasks': [dict(task) for task in tasks],
            'addtags': _tags(add_tag),
            'disabled': _flag(disabled),
            'description': description or '',
        }
        advice = (
            'The service may have created the periodic job although its response was lost, so the request was not '
            'repeated. Look at project.periodic_jobs.list() before you create it again.'
        )
        with explain_lost_response(advice):
            created = Dash(self._client.transport).call('POST', _path(self.key), value=fields, repeat=Repeat.UNRECEIVED)
        return PeriodicJob(self._client, self.key, created)


class PeriodicJob(Resource):
    """A periodic job. Its attributes are those at the time when it was read.

    Use :meth:`PeriodicJobs.get`, :meth:`PeriodicJobs.iter` or :meth:`PeriodicJobs.create` to get one.

    Args:
        client: The client.
        project_id: Id of the project.
        fields: The periodic job as the service returns it.

    Attributes:
        key: ``project/id``, as text.
        id: Id of the periodic job.
        cron: When it runs, in UTC.
        tasks: What it runs, in the form of the service.
        tags: Tags of the jobs that it starts.
        description: Description for people.
        disabled: Whether it is paused.

    Example:
        >>> daily = project.periodic_jobs.create('spider1', cron='0 9 * * *')
        >>> daily.tasks[0]['name'], daily.disabled
        ('spider1', False)
        >>> daily.delete()
    """

    def __init__(self, client: Client, project_id: str, fields: Mapping[str, Any]) -> None:
        self.id = expect_field(fields, 'id', int, 'periodic job')
        super().__init__(client, f'{project_id}/{self.id}')
        self._project_id = project_id
        self._load(fields)

    def _load(self, fields: Mapping[str, Any]) -> None:
        self.cron = expect_field(fields, 'cron', str, f'periodic job {self.key}')
        self.tasks: list[dict[str, Any]] = fields.get('tasks') or []
        self.tags: list[str] = fields.get('addtags') or []
        self.description: str = fields.get('description') or ''
        self.disabled = bool(fields.get('disabled'))

    def _card(self) -> Iterable[tuple[str, str]]:
        names = ', '.join(str(task.get('name')) for task in self.tasks)
        state = 'paused' if self.disabled else 'active'
        return [('key', self.key), ('cron', f'{self.cron} (UTC)'), ('tasks', names), ('state', state)]

    @suggests_names
    def update(
        self,
        *,
        cron: str | None = None,
        tasks: Tasks = None,
        add_tag: Tags = None,
        description: str | None = None,
        disabled: bool | None = None,
    ) -> None:
        """Change the periodic job and load its attributes again.

        Arguments that are None leave their attribute as it is; a list replaces the whole list.

        Args:
            cron: When to run; see :meth:`PeriodicJobs.create`.
            tasks: What to run, in the form of the service.
            add_tag: Tags of the jobs that are started.
            description: Description for people.
            disabled: Whether the periodic job is paused.

        Raises:
            NotFound: The periodic job was deleted.
            ValueError: ``cron`` is not accepted by the service, or no argument is given.

        Example:
            >>> daily = project.periodic_jobs.create('spider1', cron='0 9 * * *')
            >>> daily.update(cron='0 10 * * *', description='after the price update')
            >>> daily.cron
            '0 10 * * *'
            >>> daily.delete()
        """
        values = {
            'cron': None if cron is None else Cron(cron).text,
            'tasks': None if tasks is None else [dict(task) for task in tasks],
            'addtags': None if add_tag is None else _tags(add_tag),
            'description': description,
            'disabled': None if disabled is None else _flag(disabled),
        }
        changes = {name: value for name, value in values.items() if value is not None}
        if not changes:
            raise ValueError('pass at least one of cron, tasks, add_tag, description and disabled')
        fields = Dash(self._client.transport).call('PATCH', self._path(), value=changes, repeat=Repeat.ALWAYS)
        self._load(fields)

    def pause(self) -> None:
        """Stop starting jobs, until :meth:`resume`.

        Example:
            >>> daily = project.periodic_jobs.create('spider1', cron='0 9 * * *')
            >>> daily.pause()
            >>> daily.disabled
            True
            >>> daily.delete()
        """
        self.update(disabled=True)

    def resume(self) -> None:
        """Start jobs again after :meth:`pause`; the times in between are skipped.

        Example:
            >>> daily = project.periodic_jobs.create('spider1', cron='0 9 * * *', disabled=True)
            >>> daily.resume()
            >>> daily.disabled
            False
            >>> daily.delete()
        """
        self.update(disabled=False)

    def delete(self) -> None:
        """Delete the periodic job; the jobs that it started stay.

        Raises:
            NotFound: The periodic job was deleted before.

        Example:
            >>> project.periodic_jobs.create('spider1', cron='0 9 * * *').delete()
            >>> project.periodic_jobs.list()
            []
        """
        Dash(self._client.transport).call('DELETE', self._path())

    @suggests_names
    def next_run(self, after: datetime | None = None) -> datetime | None:
        """Return the next time at which the periodic job starts jobs; sends no request.

        Args:
            after: Return the first time after this one; now by default.

        Returns:
            The time in UTC; None if the periodic job is paused, or does not run within 8 years.

        Raises:
            ValueError: ``after`` has no time zone.

        Example:
            >>> from datetime import datetime, timezone
            >>> daily = project.periodic_jobs.create('spider1', cron='0 9 * * *')
            >>> print(daily.next_run(datetime(2026, 11, 26, 12, 0, tzinfo=timezone.utc)))
            2026-11-27 09:00:00+00:00
            >>> daily.delete()
        """
        if after is not None and after.tzinfo is None:
            raise ValueError(
                f'after should have a time zone, got {after!r}: use after.astimezone() for local time, or '
                'after.replace(tzinfo=timezone.utc) for UTC'
            )
        if self.disabled:
            return None
        return Cron(self.cron).next_after(after or datetime.now(timezone.utc))

    def _path(self) -> tuple[str, ...]:
        return (*_path(self._project_id), str(self.id))


class _Pages:
    """Reads the pages of the listing; one iteration of it is a run of a :class:`ResumableIterator`."""

    def __init__(self, client: Client, project_id: str) -> None:
        self.unfinished = True
        self._client = client
        self._project_id = project_id
        self._position = 0

    def __iter__(self) -> Iterator[PeriodicJob]:
        dash = Dash(self._client.transport)
        while True:
            params = {'count': PAGE_SIZE, 'offset': self._position} if self._position else None
            page = dash.call('GET', _path(self._project_id), params=params)
            rows = expect_field(page, 'results', list, 'GET periodicjobs')
            for row in rows:
                periodic = PeriodicJob(self._client, self._project_id, expect(row, dict, 'GET periodicjobs'))
                self._position += 1
                yield periodic
            if not rows or not page.get('next'):
                break
        self.unfinished = False

    def close(self) -> None:
        """End the iteration; no connection is held between two pages."""
        self.unfinished = False


def _path(project_id: str) -> tuple[str, ...]:
    return ('projects', project_id, 'periodicjobs')


def _task(name: str, job_args: Mapping[str, Any] | None, cmd_args: str | None, priority: int | None) -> dict[str, Any]:
    """Return a task in the form of the service."""
    if not name:
        raise ValueError('spider should be the name of a spider or script, got an empty string')
    if job_args is not None and not isinstance(job_args, Mapping):
        raise TypeError(f'job_args should be a dict, got {job_args!r}')
    is_script = name.startswith(SCRIPT_PREFIX)
    if is_script and job_args is not None:
        raise ValueError(f'job_args are arguments of spiders; pass cmd_args to the script {name!r}')
    if not is_script and cmd_args is not None:
        raise ValueError(f'cmd_args are arguments of scripts (py:name.py); pass job_args to the spider {name!r}')
    if priority is not None and priority not in range(5):
        raise ValueError(f'priority should be a number from 0 to 4, got {priority!r}')
    task: dict[str, Any] = {'name': name, 'priority': 2 if priority is None else priority}
    if is_script:
        task['script_args'] = cmd_args or ''
    else:
        task['spider_args'] = {key: str(value) for key, value in (job_args or {}).items()}
    return task


def _flag(disabled: Any) -> bool:
    if not isinstance(disabled, bool):
        raise TypeError(f'disabled should be True or False, got {disabled!r}')
    return disabled


def _tags(value: Tags) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())
