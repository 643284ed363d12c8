"""Settings of the project."""

import os

BOT_NAME = 'bookshop'
SPIDER_MODULES = ['bookshop.spiders']
NEWSPIDER_MODULE = 'bookshop.spiders'

# Store each crawl as a job. The number of the project and the API key are in the environment.
ADDONS = {'scrapinghub.scrapy.Addon': 500}

# Keep the latest state of each book and author.
ITEM_PIPELINES = {'scrapinghub.scrapy.CollectionPipeline': 300}
SCRAPINGHUB_COLLECTIONS = {
    'bookshop.items.Book': {'name': 'books', 'key': 'isbn'},
    'bookshop.items.Author': {'name': 'authors', 'key': 'name'},
}

BOOKSHOP_URL = os.environ.get('BOOKSHOP_URL', 'http://127.0.0.1:8100')

ROBOTSTXT_OBEY = True
TELNETCONSOLE_ENABLED = False
LOG_LEVEL = 'INFO'
