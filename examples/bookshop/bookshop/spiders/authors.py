"""Scrape all authors, from a frontier."""

import scrapy

from bookshop.items import Author


class Authors(scrapy.Spider):
    """Crawl the pages of the authors.

    The requests are queued in the frontier ``authors``. If the crawl is killed, the next one makes the requests whose
    results are not stored. Pages that were crawled are not crawled again, so a second crawl finds only new authors.
    """

    name = 'authors'
    custom_settings = {
        'SPIDER_MIDDLEWARES': {'scrapinghub.scrapy.FrontierMiddleware': 100},
        'SCRAPINGHUB_FRONTIER': 'authors',
    }

    @classmethod
    def from_crawler(cls, crawler, *args, **kwargs):
        """Start at the shop that the settings name."""
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.start_urls = [f'{crawler.settings["BOOKSHOP_URL"]}/authors']
        return spider

    def parse(self, response):
        """Follow the links to the authors."""
        yield from response.follow_all(css='a.author', callback=self.parse_author)

    def parse_author(self, response):
        """Scrape an author."""
        yield Author(name=response.css('h1::text').get(), books=len(response.css('li.book')))
