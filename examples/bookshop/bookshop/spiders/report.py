"""Report on the books of the collection."""

import scrapy
from scrapy.utils.defer import maybe_deferred_to_future
from twisted.internet.threads import deferToThread

from bookshop.items import Report
from scrapinghub.scrapy import get_project


class ReportOnBooks(scrapy.Spider):
    """Read the collection that the spider ``books`` fills, and store one item with figures."""

    name = 'report'
    start_urls = ['data:,']

    async def parse(self, response):
        """Make the report."""
        books = await maybe_deferred_to_future(deferToThread(self.read_books))
        prices = {book['title']: book['price'] for book in books}
        yield Report(
            books=len(books),
            in_stock=sum(book['in_stock'] for book in books),
            cheapest=min(prices, key=prices.get),
            average_price=round(sum(prices.values()) / len(prices), 2),
        )

    def read_books(self):
        """Return the records of the collection. Runs in a thread, since it waits for the network."""
        return get_project(self.crawler).collections.get_store('books').list()
