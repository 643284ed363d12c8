"""An HTTP server; knows nothing of Scrapy Cloud."""
