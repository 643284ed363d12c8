"""Conditions of the ``filter`` parameter: field, operator and arguments."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

Predicate = Callable[[Any], bool]
_Test = Callable[[Any, Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def same(value: Any, argument: Any) -> bool:
    """Compare two JSON values; unlike in Python, ``true`` is not 1."""
    if _is_number(value) and _is_number(argument):
        return bool(value == argument)
    if isinstance(value, list) and isinstance(argument, list):
        return len(value) == len(argument) and all(map(same, value, argument))
    if isinstance(value, dict) and isinstance(argument, dict):
        return value.keys() == argument.keys() and all(same(value[name], argument[name]) for name in value)
    return type(value) is type(argument) and bool(value == argument)


def _ordered(compare: Callable[[Any, Any], bool]) -> _Test:
    def test(value: Any, argument: Any) -> bool:
        comparable = (_is_number(value) and _is_number(argument)) or (
            isinstance(value, str) and isinstance(argument, str)
        )
        return comparable and compare(value, argument)

    return test


def _contains(value: Any, argument: Any) -> bool:
    return isinstance(value, str) and isinstance(argument, str) and argument in value


def _icontains(value: Any, argument: Any) -> bool:
    return isinstance(value, str) and isinstance(argument, str) and argument.casefold() in value.casefold()


def _has_element(value: Any, argument: Any) -> bool:
    return isinstance(value, list) and any(same(element, argument) for element in value)


#: Operators that match when any argument matches.
_ANY: Mapping[str, _Test] = {
    '=': same,
    '==': same,
    '>': _ordered(operator.gt),
    '>=': _ordered(operator.ge),
    '<': _ordered(operator.lt),
    '<=': _ordered(operator.le),
    'contains': _contains,
    'icontains': _icontains,
    'haselement': _has_element,
}
#: Operators that match when every argument matches.
_ALL: Mapping[str, _Test] = {
    '!=': lambda value, argument: not same(value, argument),
    'hasnotelement': lambda value, argument: isinstance(value, list) and not _has_element(value, argument),
}
OPERATORS = (*_ANY, *_ALL)


def condition(field: str, name: str, arguments: list[Any]) -> Predicate:
    """Build the test of one filter. A record that lacks the field does not match.

    Args:
        field: Name of the record's field.
        name: One of :data:`OPERATORS`.
        arguments: What the field is compared with.

    Example:
        >>> condition('level', '>=', [40])({'level': 50})
        True
    """
    test, decide = (_ANY[name], any) if name in _ANY else (_ALL[name], all)

    def holds(record: Any) -> bool:
        if not isinstance(record, dict) or field not in record:
            return False
        value = record[field]
        return decide(test(value, argument) for argument in arguments)

    return holds
