"""A Scrapy project that crawls a small bookshop and stores its crawls in Scrapy Cloud."""
