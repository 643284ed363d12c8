"""What every ``iter`` and ``list`` of the client is made with."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, ParamSpec, TypeVar

from scrapinghub.transport.streams.stream import Ending, Pieces

P = ParamSpec('P')
T = TypeVar('T')


class Deferred(Pieces[T]):
    """An iterator over one answer, which is asked for at the first ``next()``.

    After an error, iterating again asks again: it never ends in silence. After Ctrl-C it goes on: no record passes
    through a function written in Python, where an interruption would lose it.

    Args:
        fetch: Asks, and returns the records of the answer.
    """

    __slots__ = ('answer',)
    answer: _Answer[T]

    def __new__(cls, fetch: Callable[[], Iterable[T]]) -> Deferred[T]:
        """Make the iterator."""
        answer = _Answer(fetch)
        deferred = super().__new__(cls, answer.deliver)
        deferred.answer = answer
        return deferred

    def offer(self, records: Iterable[T]) -> None:
        """Use records that have just been fetched for something else, if nothing was asked for yet."""
        self.answer.offer(records)


class _Answer(Generic[T]):
    """The records of an answer, once it was asked for."""

    def __init__(self, fetch: Callable[[], Iterable[T]]) -> None:
        self._fetch = fetch
        self._records: Iterator[T] | None = None

    def deliver(self, ending: Ending) -> Iterator[Iterator[T]]:
        """Yield the iterator over the records that have not been delivered."""
        with ending:
            if self._records is None:
                self._records = iter(self._fetch())
            yield self._records

    def offer(self, records: Iterable[T]) -> None:
        """Use these records, if nothing was asked for yet."""
        if self._records is None:
            self._records = iter(records)


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
