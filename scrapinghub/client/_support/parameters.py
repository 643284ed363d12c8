"""Keyword arguments on their way into a query: one table of spellings, one check, one form on the wire."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from itertools import chain
from typing import Any

import six

from scrapinghub.transport.codec import encode_json

Pairs = list[tuple[str, Any]]

# Milliseconds since the epoch, or the time itself; one without a zone is taken to be in UTC.
Time = int | datetime | None

# How Python would spell the names of the service that are two words.
ALIASES: Mapping[str, str] = {
    'end_ts': 'endts',
    'job_meta': 'jobmeta',
    'min_count': 'mincount',
    'no_data': 'nodata',
    'p_count': 'pcount',
    'prefix_count': 'prefixcount',
    'save_as': 'saveas',
    'start_after': 'startafter',
    'start_ts': 'startts',
}

# Every query parameter that the service documents; anything else is passed on unless it looks like one of them.
KNOWN = frozenset(
    {
        'botgroup',
        'count',
        'create',
        'endts',
        'escape',
        'fields',
        'filter',
        'format',
        'has_tag',
        'include_headers',
        'index',
        'jobmeta',
        'key',
        'lacks_tag',
        'lineend',
        'meta',
        'mincount',
        'nodata',
        'offset',
        'pcount',
        'prefix',
        'prefixcount',
        'quote',
        'saveas',
        'sep',
        'spider',
        'start',
        'startafter',
        'startts',
        'state',
        'stop',
    }
)


def query(
    named: Mapping[str, Any], params: Mapping[str, Any], aliases: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Merge the named arguments of a call with its further keywords, under the names of the service.

    Args:
        named: The arguments that the method names in its signature.
        params: Its ``**params``.
        aliases: Spellings that hold for this call only, such as ``meta`` for ``jobmeta``.

    Returns:
        Values by the service's name of the parameter; what is None counts as not given and is left out.

    Raises:
        TypeError: A parameter is given in two spellings, or a keyword looks like a misspelt one.

    Example:
        >>> query({'count': 5, 'state': None}, {'start_after': 'a'})
        {'count': 5, 'startafter': 'a'}
    """
    table = {**ALIASES, **(aliases or {})}
    for name in params:
        _refuse_misspelt(name, named, table)
    merged: dict[str, Any] = {}
    spelt: dict[str, str] = {}
    for name, value in chain(named.items(), params.items()):
        if value is None:
            continue
        service_name = table.get(name, name)
        if service_name in merged:
            raise TypeError(
                f'{spelt[service_name]!r} and {name!r} are two spellings of the same parameter: give one of them'
            )
        merged[service_name] = value
        spelt[service_name] = name
    return merged


def pairs(values: Mapping[str, Any]) -> Pairs:
    """Turn parameters into the pairs of a query, as they go over the wire.

    Args:
        values: Values by name; lists, tuples and other iterables are repeated, None is left out, mappings become
            JSON text, times become milliseconds since the epoch, True and False become 1 and 0.

    Returns:
        Pairs of name and value.

    Example:
        >>> pairs({'state': ['pending', 'running'], 'count': 5})
        [('state', 'pending'), ('state', 'running'), ('count', 5)]
    """
    found: Pairs = []
    for name, value in values.items():
        several = isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))
        found.extend((name, _plain(element)) for element in (value if several else (value,)) if _given(element))
    return found


def _given(value: Any) -> bool:
    return value is not None and value is not False


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return six.ensure_text(value)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, datetime):
        # The service counts in UTC; so a time without a zone is taken to be.
        aware = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        return round(aware.timestamp() * 1000)
    if isinstance(value, Mapping):
        return encode_json(value)
    return value


def form_value(value: Any) -> Any:
    """Return a value as a form carries it: lists are repeated, mappings become JSON text, anything else its ``str()``.

    Example:
        >>> form_value([1, None, True])
        ['1', 'True']
    """
    if isinstance(value, (str, bytes)):
        return value
    if isinstance(value, Mapping):
        return encode_json(value)
    if isinstance(value, Iterable):
        return [form_value(element) for element in value if element is not None]
    return str(value)


def number(name: str, value: Any) -> int | None:
    """Return an argument that is a number of records or a place in a listing.

    Args:
        name: Its name, for the error.
        value: An integer, digits, or None.

    Returns:
        The integer; None for None.

    Raises:
        ValueError: It is none, or negative.
    """
    if value is None:
        return None
    wrong = f'{name} should be an integer, got {value!r}'
    if isinstance(value, str):
        if not value.isdecimal():
            raise ValueError(wrong)
        return int(value)
    try:
        whole = operator.index(value)
    except TypeError:
        raise ValueError(wrong) from None
    if whole < 0 or isinstance(value, bool):
        raise ValueError(f'{name} should be a number of at least 0, got {value!r}')
    return whole


def filters(value: Any) -> list[str]:
    """Return the ``filter`` parameters of a read, each as its JSON text.

    Args:
        value: None, one condition as JSON text or as a tuple ``(field, operator, [argument, …])``, or a list of
            conditions, each a text, a tuple or a list.

    Returns:
        One text a condition.

    Raises:
        ValueError: A condition is something else.

    Example:
        >>> filters([('size', '>', [3])])
        ['["size", ">", [3]]']
    """
    if value is None:
        return []
    if isinstance(value, (str, bytes)) or (isinstance(value, tuple) and _is_condition(value)):
        value = [value]
    if not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise ValueError('Filter condition must be string, tuple or list')
    return [_filter_text(condition) for condition in value]


def _is_condition(value: tuple[Any, ...]) -> bool:
    return len(value) == 3 and isinstance(value[0], str) and isinstance(value[2], (list, tuple))


def _filter_text(condition: Any) -> str:
    if isinstance(condition, (str, bytes)):
        return six.ensure_text(condition)
    if isinstance(condition, (list, tuple)):
        return encode_json(list(condition))
    raise ValueError('Filter condition must be string, tuple or list')


def _refuse_misspelt(name: str, named: Iterable[str], aliases: Mapping[str, str]) -> None:
    known = {*KNOWN, *named, *aliases}
    if name in known:
        return
    meant = sorted(candidate for candidate in known if len(candidate) > 2 and within_one_edit(name, candidate))
    if meant:
        raise TypeError(f'unknown keyword {name!r}: did you mean {" or ".join(map(repr, meant))}?')


def within_one_edit(one: str, other: str) -> bool:
    """Return whether two words differ by at most one letter: added, left out, replaced, or swapped with its neighbour.

    Example:
        >>> within_one_edit('cuont', 'count')
        True
    """
    if len(one) > len(other):
        one, other = other, one
    if len(other) - len(one) > 1:
        return False
    differ = (mine != yours for mine, yours in zip(one, other, strict=False))
    place = next((place for place, different in enumerate(differ) if different), len(one))
    if len(one) < len(other):
        return one[place:] == other[place + 1 :]
    if one[place + 1 :] == other[place + 1 :]:
        return True
    swapped = one[place + 1 : place + 2] + one[place : place + 1]
    return swapped == other[place : place + 2] and one[place + 2 :] == other[place + 2 :]
