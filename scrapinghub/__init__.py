"""A client for the Scrapy Cloud HTTP API."""

__version__ = '3.0.0'
