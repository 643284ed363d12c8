"""What every ``iter`` and ``list`` of the client is made with."""

from __future__ import annotations

import functools
import inspect
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import ParamSpec, TypeVar

from scrapinghub.transport.streams.collector import pause_while_decoding
from scrapinghub.transport.streams.stream import ClosableIterator

P = ParamSpec('P')
T = TypeVar('T')


class ValueIterator(ClosableIterator[T]):
    """An iterator over values that have arrived, with the interface of a record stream.

    Args:
        values: The values.
    """

    def __init__(self, values: Iterable[T]) -> None:
        self._values = iter(values)

    def __iter__(self) -> Iterator[T]:
        """Return an iterator without a function in Python, inside which Ctrl-C would lose a value."""
        return self._values

    def __next__(self) -> T:
        """Return the next value."""
        return next(self._values)

    def close(self) -> None:
        """End the iteration."""
        deque(self._values, maxlen=0)


def listed(iterate: Callable[P, Iterable[T]]) -> Callable[P, list[T]]:
    """Make the method ``list`` of a class from its method ``iter``.

    Args:
        iterate: The method ``iter``.

    Returns:
        A method with the same parameters that returns all records as a list. Its docstring is the one of ``iter``
        under another first line.

    Example:
        >>> class Letters:
        ...     def iter(self, count: int = 2):
        ...         '''Iterate over letters.'''
        ...         return iter('abc'[:count])
        ...     list = listed(iter)
        >>> Letters().list(count=1)
        ['a']
    """

    @functools.wraps(iterate)
    def list_(*args: P.args, **kwargs: P.kwargs) -> list[T]:
        with pause_while_decoding():
            return list(iterate(*args, **kwargs))

    list_.__name__ = 'list'
    list_.__qualname__ = f'{iterate.__qualname__.rpartition(".")[0]}.list'
    list_.__doc__ = _docstring(inspect.getdoc(iterate) or '')
    signature = inspect.signature(iterate)
    # The stated return type is a string here, as every annotation of the package is.
    vars(list_)['__signature__'] = signature.replace(return_annotation=_list_type(signature.return_annotation))
    return list_


def _docstring(doc: str) -> str:
    _, separator, rest = doc.partition('\n\n')
    first = 'Return all that :meth:`iter` gives for the same arguments, as a list.'
    return f'{first}{separator}{rest}'.replace('\nYields:\n', '\nReturns:\n    A list, each element:\n')


def _list_type(annotation: object) -> object:
    text = str(annotation) if isinstance(annotation, str) else ''
    return text.replace('Iterator[', 'list[', 1) if text.startswith('Iterator[') else 'list'
