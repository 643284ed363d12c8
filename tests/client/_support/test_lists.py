from __future__ import annotations

import inspect
from collections.abc import Iterator

from scrapinghub.client._support.lists import ValueIterator, listed


class Letters:
    def iter(self, count: int = 2, *, upper: bool = False) -> Iterator[str]:
        """Iterate over letters.

        Yields:
            A letter.
        """
        return iter(('ABC' if upper else 'abc')[:count])

    list = listed(iter)


def test_list_takes_and_gives_what_iter_does() -> None:
    assert Letters().list() == ['a', 'b']
    assert Letters().list(3, upper=True) == ['A', 'B', 'C']


def test_list_carries_signature_and_docstring_over() -> None:
    ours, theirs = inspect.signature(Letters.list), inspect.signature(Letters.iter)
    assert ours.parameters == theirs.parameters
    assert ours.return_annotation == 'list[str]'
    assert (Letters.list.__name__, Letters.list.__qualname__) == ('list', 'Letters.list')
    assert (Letters.list.__doc__ or '').startswith('Return all')
    assert 'A letter.' in (Letters.list.__doc__ or '')


def test_values_that_have_arrived_have_the_interface_of_a_stream() -> None:
    with ValueIterator([1, 2, 3]) as numbers:
        assert iter(numbers) is iter(numbers)
        assert next(numbers) == 1
        assert next(iter(numbers)) == 2
        numbers.close()
        assert list(numbers) == []
