"""A project and its resources."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from scrapinghub.hubstorage.activity import Activity
from scrapinghub.hubstorage.collectionsrt import Collections
from scrapinghub.hubstorage.frontier import Frontier
from scrapinghub.hubstorage.job import Job
from scrapinghub.hubstorage.jobq import JobQ
from scrapinghub.hubstorage.resourcetype import MappingResourceType, ResourceType, hidden
from scrapinghub.hubstorage.utils import urlpathjoin

if TYPE_CHECKING:
    from scrapinghub.hubstorage.client import HubstorageClient


class Project:
    """A project.

    Args:
        client: The low-level client.
        projectid: Its id.
        auth: Credentials instead of the client's own.

    Attributes:
        client: The client.
        projectid: The id, as text.
        auth: User and password, or None.
        jobs: Metadata of its jobs.
        items: Items of its jobs.
        logs: Logs of its jobs.
        samples: Samples of its jobs.
        jobq: Its job queue.
        activity: Its events.
        collections: Its collections.
        frontier: Its frontiers.
        ids: Ids of its spiders.
        settings: Its settings.
        reports: A resource of the service without operations.
        spiders: Its spiders.

    Raises:
        AssertionError: The id has more than one part.
    """

    def __init__(self, client: HubstorageClient, projectid: Any, auth: Any = None) -> None:
        self.client = client
        self.projectid = urlpathjoin(projectid) or ''
        if not self.projectid or '/' in self.projectid:
            raise AssertionError(f'projectkey must be just one id: {self.projectid}')
        self.auth = hidden(auth) or client.auth
        self.jobs = Jobs(client, self.projectid, self.auth)
        self.items = Items(client, self.projectid, self.auth)
        self.logs = Logs(client, self.projectid, self.auth)
        self.samples = Samples(client, self.projectid, self.auth)
        self.jobq = JobQ(client, self.projectid, self.auth)
        self.activity = Activity(client, self.projectid, self.auth)
        self.collections = Collections(client, self.projectid, self.auth)
        self.frontier = Frontier(client, self.projectid, self.auth)
        self.ids = Ids(client, self.projectid, self.auth)
        self.settings = Settings(client, self.projectid, self.auth)
        self.reports = Reports(client, self.projectid, self.auth)
        self.spiders = Spiders(client, self.projectid, self.auth)

    def get_job(self, _key: Any, *args: Any, **kwargs: Any) -> Job:
        """Return a job of this project, without a request.

        Args:
            _key: ``spider/job``, ``project/spider/job``, or a tuple of the parts.
            *args: Further arguments of :class:`~scrapinghub.hubstorage.job.Job`.
            **kwargs: Further arguments of :class:`~scrapinghub.hubstorage.job.Job`.

        Raises:
            ValueError: The key does not belong to this project.
        """
        key = urlpathjoin(_key) or ''
        if key.count('/') == 1:
            key = f'{self.projectid}/{key}'
        if key.count('/') != 2 or not key.startswith(f'{self.projectid}/'):
            raise ValueError(f'Invalid jobkey {key} for project {self.projectid}')
        kwargs.setdefault('auth', self.auth)
        return Job(self.client, key, *args, **kwargs)

    def get_jobs(self, **kwargs: Any) -> Iterator[Job]:
        """Return an iterator over jobs: deprecated, use :meth:`JobQ.list` and :meth:`get_job`."""
        warnings.warn(
            'Method `project.get_jobs()` is deprecated, use `project.jobq.list()` instead', Warning, stacklevel=2
        )
        return (self.get_job(summary['key'], metadata=summary) for summary in self.jobq.list(**kwargs))

    def push_job(self, spidername: str, **jobparams: Any) -> Job:
        """Add a job to the queue.

        Args:
            spidername: Name of the spider.
            **jobparams: Metadata of the job, such as ``state``, ``priority`` and ``tags``.

        Returns:
            The job.
        """
        pushed = self.jobq.push(spidername, **jobparams)
        return Job(self.client, pushed['key'], auth=self.auth, metadata=None)

    def jobsummary(self, **params: Any) -> Any:
        """Return the number of jobs by state."""
        projects = ProjectPlace(self.client, self.projectid, self.auth)
        return next(projects.apiget('jobsummary', params=params), None)


class ProjectPlace(ResourceType):
    """The resource of the project itself."""

    resource_type = 'projects'


class _WholeProject(ResourceType):
    """Data of all jobs of a project."""

    def list(self, _key: Any = None, **params: Any) -> Iterator[Any]:
        """Return an iterator over records. The whole response is loaded first.

        Args:
            _key: Path below the project.
            **params: Query parameters.
        """
        return self.apiget(_key, params=params)


class Jobs(_WholeProject):
    """Metadata of the jobs of a project."""

    resource_type = 'jobs'


class Items(_WholeProject):
    """Items of the jobs of a project."""

    resource_type = 'items'
    offers_msgpack = True


class Logs(_WholeProject):
    """Logs of the jobs of a project."""

    resource_type = 'logs'
    offers_msgpack = True


class Samples(_WholeProject):
    """Samples of the jobs of a project."""

    resource_type = 'samples'
    offers_msgpack = True


class Ids(ResourceType):
    """Ids of the spiders of a project."""

    resource_type = 'ids'

    def spider(self, spidername: str, **params: Any) -> Any:
        """Return the id of a spider; None if no spider has this name.

        Args:
            spidername: The name.
            **params: Query parameters. ``create=1`` creates the spider.
        """
        return next(self.apiget(('spider', spidername), params=params), None)


class Spiders(ResourceType):
    """Spiders of a project."""

    resource_type = 'spiders'

    def lastjobsummary(self, spiderid: Any = None, **params: Any) -> Iterator[Any]:
        """Return an iterator over summaries of the last finished job of each spider.

        Args:
            spiderid: Only the spider with this id.
            **params: Query parameters.
        """
        return self.apiget((spiderid, 'lastjobsummary'), params=params)


class Settings(MappingResourceType):
    """Settings of a project, cached until :meth:`expire`."""

    resource_type = 'projects'
    key_suffix = 'settings'


class Reports(ResourceType):
    """A resource of the service without operations."""

    resource_type = 'projects'
    key_suffix = 'reports'
