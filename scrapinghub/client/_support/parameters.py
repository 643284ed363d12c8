"""Query parameters: merge the spellings of a parameter, check its value, and encode it."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from itertools import chain
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, cast

import six

from scrapinghub.client._support.spelling import suggest_parameter, warn_user
from scrapinghub.client._support.validation import check_format, encode_filters, parse_names, parse_time
from scrapinghub.transport.codec import encode_json

Pairs = list[tuple[str, Any]]
F = TypeVar('F', bound=Callable[..., Any])

# Milliseconds since the epoch, a datetime with a time zone, or the time that has passed since.
Time = int | float | datetime | timedelta | None

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

# What the service knows at the endpoints that return records, as far as it has an effect on records: not the options of
# CSV, such as ``fields``.
RECORD_PARAMETERS = frozenset(
    {'count', 'start', 'startafter', 'startts', 'endts', 'offset', 'filter', 'meta', 'nodata', 'format'}
)

# Parameters that select what is returned: in a new method, an empty one is an error instead of "no filter".
_SELECTIONS = ('key', 'has_tag', 'lacks_tag', 'state')


def merge_parameters(
    named: Mapping[str, Any],
    extra: Mapping[str, Any],
    known: Collection[str] = (),
    *,
    aliases: Mapping[str, str] | None = None,
    strict: bool = False,
) -> dict[str, Any]:
    """Merge the named arguments of a call with its further keywords, under the names that the service uses.

    Args:
        named: The arguments that the method names in its signature.
        extra: Its ``**params``.
        known: Further parameters that the service knows at this endpoint.
        aliases: Spellings of this method only, such as ``meta`` for ``jobmeta``.
        strict: Raise for unknown parameters and empty selections. Methods that exist since release 2 pass unknown
            parameters on, with a warning.

    Returns:
        Checked values by the service's name of the parameter, without those that are None.

    Raises:
        TypeError: A parameter is given in two spellings; or, with ``strict``, it is unknown.
        ValueError: A value is malformed.

    Example:
        >>> merge_parameters({'count': 5, 'state': None}, {'start_after': 'a'}, {'startafter'})
        {'count': 5, 'startafter': 'a'}
    """
    table = {**ALIASES, **aliases} if aliases else ALIASES
    if extra:
        check_names(extra, {*(table.get(name, name) for name in named), *known}, table, strict=strict)
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
    for name in _PARSERS.keys() & merged.keys():
        merged[name] = _PARSERS[name](spelling[name], merged[name], strict)
    if strict:
        _refuse_empty(merged, spelling)
    return merged


def check_names(
    extra: Mapping[str, Any],
    accepted: Collection[str],
    table: Mapping[str, str] = MappingProxyType({}),
    *,
    strict: bool,
) -> None:
    """Check the names of further keywords of a call.

    Args:
        extra: The keywords.
        accepted: Names that the endpoint accepts.
        table: Names of the service by their other spellings.
        strict: Raise for unknown names, instead of a warning.

    Raises:
        TypeError: A name is unknown, and ``strict`` is set.
    """
    for name, value in extra.items():
        if table.get(name, name) in accepted or (value is None and not strict):
            continue
        error = UnknownParameter(name, accepted)
        if strict:
            raise error
        warn_user(f'{error} The service ignores parameters that it does not know.')


def refuse_dry_run(params: Mapping[str, Any], method: str) -> None:
    """Raise for ``dry_run``, which a method without it would ignore.

    Args:
        params: Further keywords of the call.
        method: Name of the method, and what it does.

    Raises:
        TypeError: ``dry_run`` is one of the keywords.
    """
    if 'dry_run' in params:
        raise TypeError(f"'dry_run' is not a parameter of {method}: project.jobs.select(key=…) has dry runs")


class UnknownParameter(TypeError):
    """An unknown keyword of a call; :func:`suggests_names` turns it into a plain ``TypeError``.

    Args:
        name: The keyword.
        accepted: Names that are accepted.
    """

    def __init__(self, name: str, accepted: Iterable[str]) -> None:
        self.name = name
        self.accepted = frozenset(accepted)
        meant = suggest_parameter(name, self.accepted)
        super().__init__(f'unknown parameter {name!r}' + (f', did you mean {meant!r}?' if meant else '.'))


def suggests_names(method: F) -> F:
    """Make a method suggest the keyword that is meant by an unknown one.

    A method with ``**filters`` checks these itself; this adds the other parameters of the method to the suggestions.
    """
    code = cast('FunctionType', method).__code__
    names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    takes_filters = bool(code.co_flags & inspect.CO_VARKEYWORDS)

    @functools.wraps(method)
    def checked(*args: Any, **options: Any) -> Any:
        try:
            if not takes_filters:
                check_names(options, names, strict=True)
            return method(*args, **options)
        except UnknownParameter as error:
            raise TypeError(*UnknownParameter(error.name, {*error.accepted, *names}).args) from None

    return cast('F', checked)


class _InitSignature:
    """The signature of a class: that of its ``__init__``, although the class has a ``__new__``."""

    def __get__(self, instance: object, owner: type) -> inspect.Signature:
        signature = inspect.signature(owner.__init__)  # type: ignore[misc]
        return signature.replace(parameters=[*signature.parameters.values()][1:])


class ChecksNames:
    """A class whose constructor suggests the keyword that is meant by an unknown one."""

    if not TYPE_CHECKING:
        __signature__ = _InitSignature()

        def __new__(cls, *args: Any, **options: Any) -> Any:
            names = dict.fromkeys(options)
            # The traceback of an error must not show a key among the local variables.
            del args, options
            if names:
                accepted = inspect.signature(cls).parameters
                if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in accepted.values()):
                    try:
                        check_names(names, accepted.keys(), strict=True)
                    except UnknownParameter as error:
                        raise TypeError(*error.args) from None
            return super().__new__(cls)


def _refuse_empty(merged: dict[str, Any], spelling: Mapping[str, str]) -> None:
    for name in _SELECTIONS:
        if name not in merged:
            continue
        value = merged[name]
        if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
            value = merged[name] = [element for element in value if element is not None]
        if value in ([], '', b'') or (isinstance(value, list) and '' in value):
            raise ValueError(f'{spelling[name]} should not be empty: pass None for no filter')


_PARSERS: Mapping[str, Callable[[str, Any, bool], Any]] = {
    'startts': lambda name, value, strict: parse_time(name, value, strict=strict),
    'endts': lambda name, value, strict: parse_time(name, value, strict=strict),
    'filter': lambda name, value, strict: encode_filters(value),
    'format': lambda name, value, strict: check_format(value),
    'meta': lambda name, value, strict: parse_names(value),
    'jobmeta': lambda name, value, strict: parse_names(value),
}


def parse_number(name: str, value: Any) -> int | None:
    """Return an argument that counts records or rows.

    Args:
        name: Name of the argument, for the error.
        value: An integer, a string of digits, or None.

    Returns:
        The integer; None for None.

    Raises:
        ValueError: The value is not an integer, or is negative.
    """
    if value is None:
        return None
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f'{name} should be an integer, got {value!r}') from None
    if number < 0 or isinstance(value, bool):
        raise ValueError(f'{name} should be a number of at least 0, got {value!r}')
    return number


def encode_pairs(values: Mapping[str, Any]) -> Pairs:
    """Encode parameters as pairs of a query.

    Args:
        values: Values by name. Iterables are repeated, None and False are left out, mappings become JSON text, True
            becomes 1.

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
                pairs.append((name, element if type(element) in (str, int) else _encode_value(name, element)))
    return pairs


def _encode_value(name: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return six.ensure_text(value)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (datetime, timedelta)):
        return parse_time(name, value)
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
