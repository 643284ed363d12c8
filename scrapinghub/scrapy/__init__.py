"""Scrapy add-on that stores crawls in Scrapy Cloud, and components that read and write its collections and frontiers.

Needs the extra ``scrapy``. One setting enables the add-on::

    ADDONS = {'scrapinghub.scrapy.Addon': 500}
"""

from scrapinghub.scrapy.addon import Addon
from scrapinghub.scrapy.frontier import FrontierMiddleware
from scrapinghub.scrapy.pipelines import CollectionPipeline
from scrapinghub.scrapy.session import get_project

__all__ = ['Addon', 'CollectionPipeline', 'FrontierMiddleware', 'get_project']
