"""Parameters that several routes read in the same way."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from werkzeug.datastructures import MultiDict

from scrapinghub.sandbox.routes._support.call import Call
from scrapinghub.sandbox.store.filters import OPERATORS, Predicate, condition
from scrapinghub.sandbox.store.job_listing import JobFilter
from scrapinghub.sandbox.store.jobs import STATES, parse_key
from scrapinghub.sandbox.store.reading import ReadOptions
from scrapinghub.sandbox.store.validation import InvalidValue

#: Filters of jobs that the service may ignore: see :class:`Modes`.
IGNORED_FILTERS = frozenset(('endts', 'key', 'lacks_tag'))


@contextlib.contextmanager
def reject_invalid(call: Call) -> Iterator[None]:
    """Turn :class:`InvalidValue` into a 400; use it around a write transaction, which is then rolled back."""
    try:
        yield
    except InvalidValue as error:
        raise call.error(400, str(error)) from error


def objects(call: Call) -> list[dict[str, Any]]:
    """Return the JSON objects of a JSON-lines body."""
    values = call.json_lines()
    for number, value in enumerate(values, 1):
        if not isinstance(value, dict):
            call.fail(400, f'line {number} should be a JSON object')
    return values


def one_object(call: Call) -> dict[str, Any]:
    """Return the JSON object that is the whole body."""
    value = call.json_value()
    if not isinstance(value, dict):
        call.fail(400, 'the body should be one JSON object')
    return value


def state(call: Call, name: str) -> str:
    """Return the name of a state if it is valid."""
    if name not in STATES:
        call.fail(400, f'state should be one of {", ".join(STATES)}, got {name[:64]!r}')
    return name


def states(call: Call, default: tuple[str, ...]) -> tuple[str, ...]:
    """Return the requested states, without repetitions."""
    given = tuple(dict.fromkeys(state(call, name) for name in call.args().getlist('state')))
    return given or default


def job_keys(call: Call, name: str, keys: list[str], project: int) -> tuple[str, ...] | None:
    """Return job keys of a project if they are valid; None when there are none."""
    for key in keys:
        numbers = parse_key(key)
        if numbers is None or numbers[0] != project:
            call.fail(400, f'{name} should be a job key of project {project}, such as {project}/1/2, got {key[:64]!r}')
    return tuple(keys) or None


def queue_filter(call: Call, project: int) -> JobFilter:
    """Read the filter of ``/jobq/P/list`` and ``/jobq/P/count``."""
    args = call.args()
    if call.modes.ignore_filters:
        args = MultiDict(pair for pair in args.items(multi=True) if pair[0] not in IGNORED_FILTERS)
    keys = job_keys(call, 'key', args.getlist('key'), project)
    stop = job_keys(call, 'stop', args.getlist('stop')[:1], project)
    endts = args.get('endts')
    return JobFilter(
        project,
        # Named jobs are listed in every state.
        states=states(call, ('finished',) if keys is None else STATES[:3]),
        spider=args.get('spider'),
        keys=keys,
        has_tags=tuple(args.getlist('has_tag')),
        lacks_tags=tuple(args.getlist('lacks_tag')),
        startts=call.integer('startts'),
        endts=None if endts is None else call.parse_integer('endts', endts),
        stop=None if stop is None else stop[0],
    )


def read_options(call: Call) -> ReadOptions:
    """Return the parameters that all reads of records share.

    Raises:
        ServiceError: 400 for an invalid value.
    """
    return ReadOptions(
        call.integer('count'),
        call.integer('offset') or 0,
        call.integer('startts'),
        call.integer('endts'),
        _predicate(call),
    )


def _predicate(call: Call) -> Predicate | None:
    """Return the conjunction of all ``filter`` parameters, ``None`` when there are none."""
    conditions: list[Predicate] = []
    for text in call.args().getlist('filter'):
        value = call.parse_json(text, 'filter')
        match value:
            case [str(field), str(name), list(arguments)] if arguments:
                if name not in OPERATORS:
                    call.fail(400, f'Invalid filter operator {name!r}, use one of: {" ".join(OPERATORS)}')
                conditions.append(condition(field, name, arguments))
            case _:
                call.fail(400, 'Invalid filter, it must be a JSON array ["field", "operator", [argument, ...]]')
    if not conditions:
        return None
    return lambda record: all(matches(record) for matches in conditions)
