"""Projects and their settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from scrapinghub.client._support.dash import Dash
from scrapinghub.client._support.lists import ValueIterator, listed
from scrapinghub.client._support.mapping import StoredFields
from scrapinghub.client._support.parameters import encode_pairs, merge_parameters
from scrapinghub.client._support.resource import Client, Resource, build_page_url
from scrapinghub.client._support.validation import expect, expect_field
from scrapinghub.client.activity import Activity
from scrapinghub.client.collections import Collections
from scrapinghub.client.frontiers import Frontiers
from scrapinghub.client.jobs import Jobs
from scrapinghub.client.periodic_jobs import PeriodicJobs
from scrapinghub.client.shapes import ProjectSummary
from scrapinghub.client.spiders import Spiders
from scrapinghub.client.utils import parse_project_id
from scrapinghub.transport import codec

Summaries = list[ProjectSummary]


class Projects:
    """The projects that the credentials have access to: ``client.projects``. Safe to share between threads.

    Args:
        client: The client.

    Example:
        >>> client.projects.list()
        [123]
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def __repr__(self) -> str:
        return '<scrapinghub.client.projects.Projects>'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Projects)

    def __hash__(self) -> int:
        return hash(Projects)

    def get(self, project_id: int | str) -> Project:
        """Return a project, without a request.

        Args:
            project_id: Id of the project.

        Returns:
            The project, whether it exists or not.

        Raises:
            ValueError: ``project_id`` is not an integer.

        Example:
            >>> client.projects.get(123).key
            '123'
        """
        return Project(self._client, parse_project_id(project_id))

    def iter(self) -> Iterator[int]:
        """Iterate over the ids of the projects.

        Yields:
            An id.

        Example:
            >>> list(client.projects.iter())
            [123]
        """
        return ValueIterator(self._fetch())

    list = listed(iter)

    def summary(self, state: str | Iterable[str] | None = None, **params: Any) -> Summaries:
        """Return the number of jobs of each project in each state.

        Args:
            state: Only this state, or these.
            **params: Further parameters of the service.

        Returns:
            A list with one dict for each project.

        Example:
            >>> [project['finished'] for project in client.projects.summary()]
            [3]
        """
        path = ('projects', 'jobsummaries')
        answer = self._client.transport.get(
            path,
            encode_pairs(merge_parameters({'state': state}, params)),
            expects=codec.JSON,
            max_record=codec.MAX_VALUE_BYTES,
        )
        return [] if answer.value is None else expect(answer.value, list, 'GET projects/jobsummaries')

    def _fetch(self) -> Iterator[int]:
        response = Dash(self._client.transport).get(('scrapyd', 'listprojects.json'))
        return iter(expect_field(response, 'projects', list, 'GET scrapyd/listprojects.json'))


class Project(Resource):
    """A project.

    Use :meth:`ScrapinghubClient.get_project <scrapinghub.client.ScrapinghubClient.get_project>` to get one; creating
    the object sends no request. Safe to share between threads.

    Args:
        client: The client.
        project_id: Id of the project.

    Attributes:
        key: Id of the project, as text.
        url: URL of the page of the project in the web interface.

    Example:
        >>> project = client.get_project(123)
        >>> project.key
        '123'
    """

    def __init__(self, client: Client, project_id: int | str) -> None:
        super().__init__(client, parse_project_id(project_id))
        # Not created at its first use: two threads at once would create two, with separate counts of new requests.
        self._frontiers = Frontiers(None, client, self.key)

    @cached_property
    def jobs(self) -> Jobs:
        """The jobs of the project."""
        return Jobs(self._client, self.key)

    @cached_property
    def spiders(self) -> Spiders:
        """The spiders of the project."""
        return Spiders(self._client, self.key)

    @cached_property
    def activity(self) -> Activity:
        """The events of the project."""
        return Activity(None, self._client, self.key)

    @cached_property
    def collections(self) -> Collections:
        """The collections of the project."""
        return Collections(None, self._client, self.key)

    @property
    def frontiers(self) -> Frontiers:
        """The frontiers of the project."""
        return self._frontiers

    @cached_property
    def periodic_jobs(self) -> PeriodicJobs:
        """The periodic jobs of the project."""
        return PeriodicJobs(self._client, self.key)

    @cached_property
    def settings(self) -> Settings:
        """The settings of the project."""
        return Settings(None, self._client, self.key)

    @property
    def url(self) -> str:
        """URL of the page of the project in the web interface."""
        return build_page_url(self._client, self.key)

    def info(self) -> dict[str, Any]:
        """Return the description of the project.

        Returns:
            The object of the service, unchanged.

        Raises:
            NotFound: The project does not exist.
            Forbidden: The API key has no access to the project.

        Example:
            >>> project.info()['id']
            123
        """
        path = ('v2', 'projects', self.key)
        return expect(Dash(self._client.transport).call('GET', path), dict, f'GET {"/".join(path)}')


class Settings(StoredFields):
    """The settings of a project: ``project.settings``. Safe to share between threads.

    In addition to ``get``, ``set``, ``update``, ``delete``, ``iter`` and ``list`` they are a mapping without a cache:
    ``settings['job_runtime_limit']``, ``in`` and ``len()`` send a request each time. Use ``dict(settings.iter())`` to
    read all settings with one request.

    Args:
        cls: Ignored; kept for programs that pass it.
        client: The client.
        key: Id of the project.

    Attributes:
        key: Id of the project, as text.

    Example:
        >>> project.settings.list()
        [('default_job_units', 2), ('job_runtime_limit', 24)]
    """

    def __init__(self, cls: object, client: Client, key: int | str) -> None:
        project_id = parse_project_id(key)
        super().__init__(client, project_id, ('projects', project_id, 'settings'))

    def set(self, key: str, value: Any) -> None:
        """Set one setting; see :meth:`update`.

        Args:
            key: Name of the setting.
            value: Any JSON value.

        Example:
            >>> project.settings.set('job_runtime_limit', 20)
        """
        self.update({key: value})
