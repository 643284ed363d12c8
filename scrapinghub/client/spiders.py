"""The spiders of a project."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scrapinghub.client._support.dash import Dash
from scrapinghub.client._support.lists import ValueIterator, listed
from scrapinghub.client._support.parameters import merge_parameters
from scrapinghub.client._support.resource import Client, Resource, build_page_url
from scrapinghub.client._support.spider_ids import find_spider_id
from scrapinghub.client._support.validation import expect_field, parse_name
from scrapinghub.client.jobs import Jobs
from scrapinghub.client.shapes import SpiderInfo
from scrapinghub.client.utils import get_tags_for_update, parse_project_id
from scrapinghub.exceptions import BadRequest
from scrapinghub.transport.http.retries import Repeat

Tags = list[str]


class Spiders(Resource):
    """The spiders of a project: ``project.spiders``. Safe to share between threads.

    Args:
        client: The client.
        project_id: Id of the project.

    Attributes:
        key: Id of the project, as text.
        project_id: The same.

    Example:
        >>> project.spiders.get('spider1').key
        '123/1'
    """

    def __init__(self, client: Client, project_id: int | str) -> None:
        self.project_id = parse_project_id(project_id)
        super().__init__(client, self.project_id)

    def get(self, spider: str, *, create: bool | None = None, **params: Any) -> Spider:
        """Return a spider. Its id is requested from the service.

        Args:
            spider: Name of the spider.
            create: Create the spider if it does not exist.
            **params: Further parameters of the service.

        Raises:
            NotFound: The project has no spider of this name.

        Example:
            >>> project.spiders.get('spider1').name
            'spider1'
        """
        spider = parse_name('spider name', spider)
        # The service documents the text of a Python boolean.
        values = merge_parameters({'create': str(create) if create else None}, params)
        spider_id = find_spider_id(self._client.transport, self.project_id, spider, values)
        return Spider(self._client, self.project_id, spider_id, spider)

    def get_name(self, spider_id: int | str) -> str:
        """Return the name of a spider, by the number in the keys of its jobs; sends one request.

        Args:
            spider_id: Number of the spider: the second part of the key of a job.

        Raises:
            NotFound: The spider does not exist.

        Example:
            >>> project.spiders.get_name(1)
            'spider1'
        """
        path = ('v2', 'projects', self.project_id, 'spiders', str(spider_id))
        return expect_field(Dash(self._client.transport).call('GET', path), 'name', str, f'GET {"/".join(path)}')

    def iter(self) -> Iterator[SpiderInfo]:
        """Iterate over descriptions of the spiders; ``id`` is the name of a spider.

        Yields:
            A dict with ``id``, ``tags``, ``type`` and ``version``.

        Example:
            >>> [spider['id'] for spider in project.spiders.iter()]
            ['spider1', 'spider2']
        """
        return ValueIterator(self._fetch())

    list = listed(iter)

    def _fetch(self) -> Iterator[SpiderInfo]:
        response = Dash(self._client.transport).get(('spiders', 'list.json'), {'project': self.project_id})
        return iter(expect_field(response, 'spiders', list, 'GET spiders/list.json'))


class Spider(Resource):
    """A spider: ``project.spiders.get('name')``. Safe to share between threads.

    Args:
        client: The client.
        project_id: Id of the project.
        spider_id: Id of the spider in the project.
        spider: Name of the spider.

    Attributes:
        key: ``project/spider``, as text.
        project_id: Id of the project, as text.
        name: Name of the spider.

    Example:
        >>> spider = project.spiders.get('spider1')
        >>> spider.key
        '123/1'
    """

    def __init__(self, client: Client, project_id: int | str, spider_id: int | str, spider: str) -> None:
        self.project_id = parse_project_id(project_id)
        self._id = str(spider_id)
        super().__init__(client, f'{self.project_id}/{self._id}')
        self.name = spider

    @property
    def jobs(self) -> Jobs:
        """The jobs of the spider."""
        # Not cached: a reference cycle would keep the client alive, so that dropping it would not flush its writers.
        return Jobs(self._client, self.project_id, self)

    @property
    def url(self) -> str:
        """URL of the page of the spider in the web interface."""
        return build_page_url(self._client, self.key)

    def _card(self) -> list[tuple[str, str]]:
        return [('key', self.key), ('name', self.name), ('project', self.project_id)]

    def list_tags(self) -> Tags:
        """Return the tags of the spider.

        Example:
            >>> spider.list_tags()
            []
        """
        path = ('v2', 'projects', self.project_id, 'spiders', self._id)
        response = Dash(self._client.transport).call('GET', path)
        return expect_field(response, 'tags', list, f'GET {"/".join(path)}')

    def update_tags(self, add: Tags | None = None, remove: Tags | None = None) -> None:
        """Add and remove tags of the spider.

        Args:
            add: Tags to add. Tags that the spider has already are ignored.
            remove: Tags to remove. Tags that the spider does not have are ignored.

        Raises:
            ValueError: An argument is not a list.
            BadRequest: There are no tags to add or remove.

        Example:
            >>> spider.update_tags(add=['daily'])
        """
        tags = get_tags_for_update(add=add, remove=remove)
        path = ('v2', 'projects', self.project_id, 'spiders', self._id, 'tags')
        try:
            Dash(self._client.transport).call('PATCH', path, value=tags, repeat=Repeat.ALWAYS)
        except BadRequest as error:
            if not tags:
                error.hint = 'Pass a list of tags to add, or a list of tags to remove.'
            raise
