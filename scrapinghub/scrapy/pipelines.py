"""An item pipeline that stores items in collections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scrapy.exceptions import NotConfigured
from scrapy.utils.misc import load_object

from scrapinghub.exceptions import UploadError
from scrapinghub.scrapy.records import exported
from scrapinghub.scrapy.session import NOT_STORED, Session, close_spider

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.crawler import Crawler
    from typing_extensions import Self

    from scrapinghub.client.collectionwriter import CollectionWriter

TYPES = ('s', 'cs', 'vs', 'vcs')
# Time between looks at a full writer, in seconds.
_PAUSE = 0.1


class Target:
    """A collection, and the field that is the key of its records.

    Args:
        name: Name of the collection.
        key: Name of the field.
        type: Type of the collection: ``s``, ``cs``, ``vs`` or ``vcs``.
    """

    def __init__(self, name: str, key: str, type: str = 's') -> None:
        if type not in TYPES:
            raise ValueError(f'the type of a collection should be one of {", ".join(TYPES)}, got {type!r}')
        self.name = name
        self.key = key
        self.type = type

    def record(self, item: Any) -> dict[str, Any]:
        """Return the record of an item.

        Raises:
            ValueError: The item has no key.
        """
        fields = exported(item)
        key = fields.get(self.key)
        if key is None or key == '':
            raise ValueError(
                f'an item for the collection {self.name} should have the field {self.key!r}, the key of its record'
            )
        return {**fields, '_key': key if isinstance(key, str) else str(key)}


class CollectionPipeline:
    """Store items in a collection, so that a later crawl replaces the records of an earlier one.

    ``SCRAPINGHUB_COLLECTION`` names the collection and ``SCRAPINGHUB_COLLECTION_KEY`` the field that is the key. For
    several collections, ``SCRAPINGHUB_COLLECTIONS`` maps item classes to them. Items of other classes pass unchanged.

    Works in crawls that the add-on stores, and on the platform.

    Args:
        crawler: The crawler.

    Raises:
        NotConfigured: No collection is given.

    Example:
        In ``settings.py`` of a Scrapy project::

            ITEM_PIPELINES = {'scrapinghub.scrapy.CollectionPipeline': 300}
            SCRAPINGHUB_COLLECTIONS = {
                'shop.items.Book': {'name': 'books', 'key': 'isbn'},
                'shop.items.Author': {'name': 'authors', 'key': 'name', 'type': 'vs'},
            }
    """

    def __init__(self, crawler: Crawler) -> None:
        settings = crawler.settings
        self._crawler = crawler
        self._session = Session.of(crawler)
        self._targets: dict[type, Target] = {
            load_object(item_class): _target(options, f'SCRAPINGHUB_COLLECTIONS[{item_class!r}]')
            for item_class, options in settings.getdict('SCRAPINGHUB_COLLECTIONS').items()
        }
        self._default: Target | None = None
        name = settings.get('SCRAPINGHUB_COLLECTION')
        if name:
            options = {'name': name, 'key': settings.get('SCRAPINGHUB_COLLECTION_KEY')}
            self._default = _target(options, 'SCRAPINGHUB_COLLECTION and SCRAPINGHUB_COLLECTION_KEY')
        if not name and not self._targets:
            raise NotConfigured('set SCRAPINGHUB_COLLECTION or SCRAPINGHUB_COLLECTIONS')
        self._writers: dict[tuple[str, str], CollectionWriter] = {}

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Make the pipeline of a crawler."""
        return cls(crawler)

    async def process_item(self, item: Any, spider: Spider | None = None) -> Any:
        """Store an item, and return it unchanged.

        Raises:
            ValueError: The item has no key, or cannot be stored as JSON.
            UploadError: The service refuses records.
        """
        target = self._target_of(item)
        if target is not None:
            writer = self._writer(target)
            while writer.full:
                await self._session.loop.sleep(_PAUSE)
            try:
                writer.write(target.record(item))
            except UploadError:
                close_spider(self._crawler, NOT_STORED)
                raise
        return item

    async def close_spider(self, spider: Spider | None = None) -> None:
        """Wait until everything is stored."""
        for writer in self._writers.values():
            await self._session.loop.in_thread(writer.close)

    def _target_of(self, item: Any) -> Target | None:
        found = self._targets.get(type(item))
        if found is not None:
            return found
        classes = (target for item_class, target in self._targets.items() if isinstance(item, item_class))
        return next(classes, self._default)

    def _writer(self, target: Target) -> CollectionWriter:
        place = (target.type, target.name)
        if place not in self._writers:
            self._writers[place] = self._session.project.collections.get(*place).create_writer()
        return self._writers[place]


def _target(options: Any, setting: str) -> Target:
    allowed = {'name', 'key', 'type'}
    given = options if isinstance(options, Mapping) else {}
    if not {'name', 'key'} <= {name for name, value in given.items() if value} <= allowed:
        raise ValueError(f'{setting} should give the name of a collection and its key field, got {options!r}')
    return Target(**given)
