"""The web site of the bookshop, on this machine.

Run it with ``python -m bookshop.site``.
"""

import argparse
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 8100
PER_PAGE = 8
AUTHORS = ('Jane Austen', 'Charlotte Brontë', 'Nikolai Gogol', 'Herman Melville', 'Mary Shelley', 'Henry David Thoreau')
WORDS = ('Winter', 'Harbour', 'Letters', 'Mountain', 'Orchard', 'Strangers', 'Tides')
BOOKS = [
    {
        'isbn': f'978-0-00-{number:06}-0',
        'title': f'{WORDS[number % len(WORDS)]}, volume {number // len(WORDS) + 1}',
        'author': AUTHORS[number % len(AUTHORS)],
        'price': f'£{5 + number * 7 % 40 + 0.99:.2f}',
        'stock': 'In stock' if number % 4 else 'Sold out',
    }
    for number in range(60)
]


def catalogue_page(number: int) -> str | None:
    """Return a page of the catalogue; None if there is no such page."""
    books = BOOKS[(number - 1) * PER_PAGE : number * PER_PAGE] if number > 0 else []
    if not books:
        return None
    articles = ''.join(
        f'<article class="book" data-isbn="{book["isbn"]}"><h2>{escape(book["title"])}</h2>'
        f'<span class="author">{escape(book["author"])}</span> <span class="price">{book["price"]}</span> '
        f'<span class="stock">{book["stock"]}</span></article>'
        for book in books
    )
    more = f'<a class="next" href="/catalogue/{number + 1}">next</a>' if number * PER_PAGE < len(BOOKS) else ''
    return f'<h1>Catalogue, page {number}</h1>{articles}{more}'


def author_page(number: int) -> str | None:
    """Return the page of an author; None if there is no such author."""
    if not 0 <= number < len(AUTHORS):
        return None
    name = AUTHORS[number]
    books = ''.join(f'<li class="book">{escape(book["title"])}</li>' for book in BOOKS if book['author'] == name)
    return f'<h1>{name}</h1><ul>{books}</ul>'


def page(path: str) -> str | None:
    """Return the page at a path; None if there is none."""
    family, _, number = path.strip('/').partition('/')
    if family == 'catalogue' and number.isdecimal():
        return catalogue_page(int(number))
    if family == 'authors' and number.isdecimal():
        return author_page(int(number))
    if family == 'authors' and not number:
        links = ''.join(
            f'<a class="author" href="/authors/{number}">{name}</a> ' for number, name in enumerate(AUTHORS)
        )
        return f'<h1>Authors</h1>{links}'
    if not family:
        return '<h1>Bookshop</h1><a href="/catalogue/1">Catalogue</a> <a href="/authors">Authors</a>'
    return None


class Handler(BaseHTTPRequestHandler):
    """Answers with pages."""

    protocol_version = 'HTTP/1.1'

    def do_GET(self) -> None:
        """Answer a GET request."""
        found = page(self.path)
        body = f'<!doctype html><meta charset="utf-8"><title>Bookshop</title>{found or "<h1>Not found</h1>"}'.encode()
        self.send_response(HTTPStatus.NOT_FOUND if found is None else HTTPStatus.OK)
        self.send_header('Content-Type', 'text/html; charset=utf-8')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Write no log: the crawls have one."""


def make_server(port: int = 0) -> ThreadingHTTPServer:
    """Return a server for the site, on a free port by default. Its ``serve_forever()`` answers requests."""
    return ThreadingHTTPServer(('127.0.0.1', port), Handler)


def main() -> None:
    """Serve the site until Ctrl-C."""
    parser = argparse.ArgumentParser(description='Serve the web site of the bookshop.')
    parser.add_argument('--port', type=int, default=PORT, help='the port on 127.0.0.1 (default: %(default)s)')
    with make_server(parser.parse_args().port) as server:
        print(f'The bookshop is open at http://127.0.0.1:{server.server_port}/ (Ctrl-C closes it)')
        server.serve_forever()


if __name__ == '__main__':
    main()
