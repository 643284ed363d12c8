"""Items as shops have them: fourteen fields, nested objects, text that does not repeat."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

SYLLABLES = ('ba', 'co', 'de', 'fi', 'gu', 'ha', 'ke', 'lo', 'mi', 'na', 'pe', 'ro', 'sa', 'te', 'vi', 'en', 'is', 'ol')


@cache
def words() -> list[str]:
    """Return a long text of invented words."""
    source = random.Random(17)
    vocabulary = [''.join(source.choices(SYLLABLES, k=source.randint(1, 4))) for _ in range(3000)]
    return source.choices(vocabulary, k=50_021)


def text(seed: int, count: int) -> str:
    """Return a part of that text."""
    start = seed * 7919 % (len(words()) - count)
    return ' '.join(words()[start : start + count])


def product(number: int) -> dict[str, Any]:
    """Return a product with a key, of about 1,400 bytes in JSON."""
    name = text(number, 5).title()
    brand = text(number % 200, 1).title()
    price = number % 9973 / 7
    category = number % 40
    url = f'https://shop.example/p/{number:08x}/{name.lower().replace(" ", "-")}'
    return {
        '_type': 'Product',
        'url': url,
        'name': name,
        'sku': f'{number * 2654435761 % 2**32:08X}',
        'brand': {'name': brand, 'url': f'https://shop.example/b/{brand.lower()}'},
        'price': round(price, 2),
        'regularPrice': round(price * 1.2, 2),
        'currency': 'EUR',
        'availability': 'InStock' if number % 5 else 'OutOfStock',
        'breadcrumbs': [
            {'name': text(category + level, 2).title(), 'url': f'https://shop.example/c/{category}/{level}'}
            for level in range(4)
        ],
        'offers': [
            {
                'seller': {'name': text(number + seller, 2).title(), 'rating': 3 + (number + seller) % 20 / 10},
                'price': round(price + seller, 2),
                'shipping': None if seller else 0,
                'condition': 'new',
            }
            for seller in range(number % 4)
        ],
        'images': [f'https://images.example/{number * 31 + image:010x}.jpg' for image in range(3)],
        'description': text(number * 13, 70),
        'aggregateRating': {'ratingValue': number % 50 / 10, 'reviewCount': number % 313},
        '_key': f'1/2/5/{number}',
    }
