"""The items that the spiders scrape."""

from dataclasses import dataclass


@dataclass
class Book:
    """A book that the shop sells."""

    isbn: str
    title: str
    author: str
    price: float
    in_stock: bool


@dataclass
class Author:
    """An author, with the number of books that the shop has of them."""

    name: str
    books: int


@dataclass
class Report:
    """Figures about all books."""

    books: int
    in_stock: int
    cheapest: str
    average_price: float
