"""Projects: what an account has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from scrapinghub.client._support.dash import Dash
from scrapinghub.client._support.lists import Deferred, listed
from scrapinghub.client._support.mapping import StoredFields
from scrapinghub.client._support.parameters import pairs, query
from scrapinghub.client._support.resource import Resource
from scrapinghub.client._support.responses import field, owed
from scrapinghub.client.activity import Activity
from scrapinghub.client.collections import Collections
from scrapinghub.client.frontiers import Frontiers
from scrapinghub.client.jobs import Jobs
from scrapinghub.client.shapes import ProjectSummary
from scrapinghub.client.spiders import Spiders
from scrapinghub.client.utils import parse_project_id
from scrapinghub.transport import codec

if TYPE_CHECKING:
    from scrapinghub.client import ScrapinghubClient

Summaries = list[ProjectSummary]


class Projects:
    """The projects that the credentials can see, as ``client.projects``; safe to share between threads.

    Args:
        client: The client.

    Example:
        >>> client.projects.list()
        [123]
    """

    def __init__(self, client: ScrapinghubClient) -> None:
        self._client = client

    def __repr__(self) -> str:
        return '<scrapinghub.client.projects.Projects>'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Projects)

    def __hash__(self) -> int:
        return hash(Projects)

    def get(self, project_id: int | str) -> Project:
        """Return a project; no request is made.

        Args:
            project_id: Its id.

        Returns:
            The project, whether it exists or not.

        Raises:
            ValueError: ``project_id`` is no integer.

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
        return Deferred(self._fetch)

    list = listed(iter)

    def summary(self, state: str | Iterable[str] | None = None, **params: Any) -> Summaries:
        """Tell how many jobs each project has in each state.

        Args:
            state: Only this state, or these.
            **params: What the service may add.

        Returns:
            A list with one object for each project.

        Example:
            >>> [project['finished'] for project in client.projects.summary()]
            [3]
        """
        path = ('projects', 'jobsummaries')
        answer = self._client.transport.get(path, pairs(query({'state': state}, params)), expects=codec.JSON)
        return [] if answer.value is None else owed(answer.value, list, 'GET projects/jobsummaries')

    def _fetch(self) -> Iterator[int]:
        answer = Dash(self._client.transport).get(('scrapyd', 'listprojects.json'))
        return iter(field(answer, 'projects', list, 'GET scrapyd/listprojects.json'))


class Project(Resource):
    """A project, got from :meth:`ScrapinghubClient.get_project <scrapinghub.client.ScrapinghubClient.get_project>`.

    Making one sends nothing. Safe to share between threads.

    Args:
        client: The client.
        project_id: Its id.

    Attributes:
        key: Its id, as text.

    Example:
        >>> project = client.get_project(123)
        >>> project.key
        '123'
    """

    def __init__(self, client: ScrapinghubClient, project_id: int | str) -> None:
        super().__init__(client, parse_project_id(project_id))
        # Not made at its first use: of two threads that come together, one would count what nobody sees.
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
    def settings(self) -> Settings:
        """The settings of the project."""
        return Settings(None, self._client, self.key)


class Settings(StoredFields):
    """The settings of a project, as :attr:`Project.settings`; safe to share between threads.

    Beside ``get``, ``set``, ``update``, ``delete``, ``iter`` and ``list`` it reads like a mapping, without a cache:
    ``settings['job_runtime_limit']``, ``in``, ``len()`` and ``dict(settings)`` ask the service each time.

    Args:
        cls: Ignored; a leftover of older releases.
        client: The client.
        key: Id of the project.

    Attributes:
        key: Id of the project, as text.

    Example:
        >>> project.settings.list()
        [('default_job_units', 2), ('job_runtime_limit', 24)]
    """

    def __init__(self, cls: object, client: ScrapinghubClient, key: int | str) -> None:
        project_id = parse_project_id(key)
        super().__init__(client, project_id, ('projects', project_id, 'settings'))

    def set(self, key: str, value: Any) -> None:
        """Set one setting, as :meth:`update` does.

        Args:
            key: Name of the setting.
            value: Any JSON value.

        Example:
            >>> project.settings.set('job_runtime_limit', 20)
        """
        self.update({key: value})
