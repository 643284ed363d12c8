"""Schedule the next spider when one closes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scrapinghub.exceptions import DuplicateJobError, ScrapinghubAPIError
from scrapinghub.scrapy.environment import make_client

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

logger = logging.getLogger(__name__)

#: Keys of the setting, in addition to the name of the spider: arguments of ``jobs.run``.
OPTIONS = ('add_tag', 'environment', 'job_args', 'job_settings', 'priority', 'units')


class NextSpider:
    """The job that the setting ``SCRAPINGHUB_NEXT_SPIDER`` describes.

    Args:
        spider: Name of the spider.
        options: Arguments of :meth:`Jobs.run <scrapinghub.client.jobs.Jobs.run>`.
    """

    def __init__(self, spider: str, options: Mapping[str, Any]) -> None:
        self.spider = spider
        self.options = options

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> NextSpider | None:
        """Return the job, or None if the setting is not set.

        Raises:
            ValueError: The setting is neither the name of a spider nor a dictionary with one.
        """
        value = settings.get('SCRAPINGHUB_NEXT_SPIDER')
        if not value:
            return None
        if isinstance(value, str) and not value.lstrip().startswith('{'):
            return cls(value, {})
        given = settings.getdict('SCRAPINGHUB_NEXT_SPIDER') if isinstance(value, str | Mapping) else {}
        spider = given.pop('spider', None)
        if not isinstance(spider, str) or not spider or not set(given) <= set(OPTIONS):
            raise ValueError(
                'SCRAPINGHUB_NEXT_SPIDER should be the name of a spider, or a dictionary with the name as `spider` and '
                f'any of {", ".join(OPTIONS)}; got {value!r}'
            )
        return cls(spider, given)

    def schedule(self, project_id: int) -> None:
        """Schedule the job. Failures are logged.

        Args:
            project_id: Id of the project.
        """
        try:
            # The credentials of a job cannot schedule another one.
            with make_client(as_job=False) as client:
                job = client.get_project(project_id).jobs.run(self.spider, **self.options)
        except DuplicateJobError:
            logger.info('The next spider, %s, is scheduled already', self.spider)
        except ScrapinghubAPIError as error:
            logger.error('The next spider, %s, is not scheduled: %s', self.spider, error)
        else:
            logger.info('The next spider, %s, is job %s', self.spider, job.key)
