"""The spiders of the bookshop."""
