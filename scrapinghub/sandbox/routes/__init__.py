"""The routes of the Scrapy Cloud API, one module for each section of it."""
