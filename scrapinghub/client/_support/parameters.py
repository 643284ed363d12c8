"""Query parameters: merge the spellings of a parameter, and encode its value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from itertools import chain
from typing import Any

import six

from scrapinghub.transport.codec import encode_json

Pairs = list[tuple[str, Any]]

# Milliseconds since the epoch, or a datetime; one without a time zone is read as UTC.
Time = int | datetime | None

# Python spellings of names that the service writes as one word.
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

# Every query parameter that the service documents.
KNOWN = frozenset(
    (  # noqa: SIM905 - one name a line would hide the table
        'botgroup count create endts escape fields filter format has_tag include_headers index jobmeta key lacks_tag '
        'lineend meta mincount nodata offset pcount prefix prefixcount quote saveas sep spider start startafter '
        'startts state stop'
    ).split()
)


def merge_parameters(
    named: Mapping[str, Any], extra: Mapping[str, Any], aliases: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Merge the named arguments of a call with its further keywords, under the names that the service uses.

    Args:
        named: The arguments that the method names in its signature.
        extra: Its ``**params``.
        aliases: Spellings of this method only, such as ``meta`` for ``jobmeta``.

    Returns:
        Values by the service's name of the parameter, without those that are None.

    Raises:
        TypeError: A parameter is given in two spellings, or a keyword looks misspelt.

    Example:
        >>> merge_parameters({'count': 5, 'state': None}, {'start_after': 'a'})
        {'count': 5, 'startafter': 'a'}
    """
    table = {**ALIASES, **(aliases or {})}
    for name in extra:
        _refuse_misspelt(name, named, table)
    merged: dict[str, Any] = {}
    spelling: dict[str, str] = {}
    for name, value in chain(named.items(), extra.items()):
        if value is None:
            continue
        service_name = table.get(name, name)
        if service_name in merged:
            raise TypeError(
                f'{spelling[service_name]!r} and {name!r} are two spellings of the same parameter: give one of them'
            )
        merged[service_name] = value
        spelling[service_name] = name
    return merged


def encode_pairs(values: Mapping[str, Any]) -> Pairs:
    """Encode parameters as pairs of a query.

    Args:
        values: Values by name. Iterables are repeated, None and False are left out, mappings become JSON text,
            datetimes become milliseconds since the epoch, True becomes 1.

    Returns:
        Pairs of name and value.

    Example:
        >>> encode_pairs({'state': ['pending', 'running'], 'count': 5})
        [('state', 'pending'), ('state', 'running'), ('count', 5)]
    """
    pairs: Pairs = []
    for name, value in values.items():
        is_list = isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))
        for element in value if is_list else (value,):
            if element is not None and element is not False:
                pairs.append((name, element if type(element) in (str, int) else _encode_value(element)))
    return pairs


def _encode_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return six.ensure_text(value)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        return round(aware.timestamp() * 1000)
    if isinstance(value, Mapping):
        return encode_json(value)
    return value


def encode_form_value(value: Any) -> Any:
    """Encode a value of a form: lists are repeated, mappings become JSON text, anything else its ``str()``.

    Example:
        >>> encode_form_value([1, None, True])
        ['1', 'True']
    """
    if isinstance(value, (str, bytes)):
        return value
    if isinstance(value, Mapping):
        return encode_json(value)
    if isinstance(value, Iterable):
        return [encode_form_value(element) for element in value if element is not None]
    return str(value)


def _refuse_misspelt(name: str, named: Iterable[str], aliases: Mapping[str, str]) -> None:
    known = {*KNOWN, *named, *aliases}
    if name in known:
        return
    similar = sorted(candidate for candidate in known if len(candidate) > 2 and within_one_edit(name, candidate))
    if similar:
        raise TypeError(f'unknown keyword {name!r}: did you mean {" or ".join(map(repr, similar))}?')


def within_one_edit(one: str, other: str) -> bool:
    """Return whether two words differ by at most one letter: added, left out, replaced, or swapped with the next one.

    Example:
        >>> within_one_edit('cuont', 'count')
        True
    """
    if len(one) > len(other):
        one, other = other, one
    if len(other) - len(one) > 1:
        return False
    differences = (mine != yours for mine, yours in zip(one, other, strict=False))
    index = next((index for index, different in enumerate(differences) if different), len(one))
    if len(one) < len(other):
        return one[index:] == other[index + 1 :]
    if one[index + 1 :] == other[index + 1 :]:
        return True
    swapped = one[index + 1 : index + 2] + one[index : index + 1]
    return swapped == other[index : index + 2] and one[index + 2 :] == other[index + 2 :]
