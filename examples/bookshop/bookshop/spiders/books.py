"""Scrape all books from the catalogue."""

import scrapy

from bookshop.items import Book


class Books(scrapy.Spider):
    """Follow the pages of the catalogue.

    Each book is also stored in the collection ``books``, and the spider ``report`` is scheduled afterwards.
    """

    name = 'books'
    custom_settings = {'SCRAPINGHUB_NEXT_SPIDER': {'spider': 'report', 'add_tag': ['scheduled-by-books']}}

    @classmethod
    def from_crawler(cls, crawler, *args, **kwargs):
        """Start at the shop that the settings name."""
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.start_urls = [f'{crawler.settings["BOOKSHOP_URL"]}/catalogue/1']
        return spider

    def parse(self, response):
        """Scrape the books of a page, and go to the next one."""
        for book in response.css('article.book'):
            yield Book(
                isbn=book.attrib['data-isbn'],
                title=book.css('h2::text').get(),
                author=book.css('.author::text').get(),
                price=float(book.css('.price::text').re_first(r'[\d.]+')),
                in_stock=book.css('.stock::text').get() == 'In stock',
            )
        yield from response.follow_all(css='a.next')
