"""Control of the sandbox over HTTP, below ``/_sandbox/``, for programs in other processes and languages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, NoReturn

from werkzeug.wrappers import Request

from scrapinghub.sandbox.clock import Clock
from scrapinghub.sandbox.faults.definition import AppliedFault, Fault
from scrapinghub.sandbox.faults.rules import DEFAULT_TIMEOUT, Faults, Rule
from scrapinghub.sandbox.faults.schedule import READING, Schedule
from scrapinghub.sandbox.modes import Modes
from scrapinghub.sandbox.server.request_log import RequestLog
from scrapinghub.sandbox.server.response import Response, ServiceError
from scrapinghub.sandbox.server.routing import Route
from scrapinghub.sandbox.web.site import BASE

MATCHING = frozenset(('method', 'path', 'path_regex', 'query', 'times', 'skip'))
MAX_WAIT = 60.0


def fail(status: int, message: str) -> NoReturn:
    """Raise an error that becomes the response."""
    raise ServiceError(status, as_json({'error': message}), {'Content-Type': 'application/json'})


def as_json(value: Any) -> bytes:
    """Encode a value as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode('utf-8', 'replace') + b'\n'


def json_response(value: Any, status: int = 200) -> Response:
    """Return a response with a JSON value."""
    return Response(status, headers={'Content-Type': 'application/json'}, body=as_json(value))


def applied_json(applied: AppliedFault) -> dict[str, Any]:
    """Return the JSON form of an applied fault."""
    return {
        'fault': applied.label,
        'method': applied.method,
        'path': applied.path,
        'query': [list(pair) for pair in applied.query],
        'happened': applied.happened,
    }


def rule_json(rule: Rule) -> dict[str, Any]:
    """Return the JSON form of a rule."""
    return {
        'id': rule.number,
        **rule.about,
        'times': rule.times,
        'skip': rule.skip,
        'spent': rule.spent,
        'held': rule.held,
        'met': [applied_json(applied) for applied in rule.met],
    }


class Control:
    """The control interface of one sandbox.

    Args:
        faults: The faults.
        requests: The log of requests.
        clock: The clock.
        modes: The modes.
        reset: Resets the sandbox.
    """

    def __init__(
        self, faults: Faults, requests: RequestLog, clock: Clock, modes: Modes, reset: Callable[[], None]
    ) -> None:
        self._faults = faults
        self._requests = requests
        self._clock = clock
        self._modes = modes
        self._reset = reset

    def routes(self) -> list[Route]:
        """Return the routes."""
        routes: list[Route] = [
            ('/faults', ('GET',), self.list_faults),
            ('/faults', ('POST',), self.add_fault),
            ('/faults', ('DELETE',), self.clear_faults),
            ('/faults/<int:number>', ('GET',), self.get_fault),
            ('/faults/<int:number>', ('DELETE',), self.remove_fault),
            ('/faults/<int:number>/release', ('POST',), self.release_fault),
            ('/reset', ('POST',), self.reset),
            ('/log', ('GET',), self.get_log),
            ('/log', ('DELETE',), self.clear_log),
            ('/clock', ('GET',), self.get_clock),
            ('/clock', ('POST',), self.set_clock),
            ('/modes', ('GET',), self.get_modes),
            ('/modes', ('POST',), self.set_modes),
        ]
        return [(BASE + path, methods, handler) for path, methods, handler in routes]

    def list_faults(self, request: Request) -> Response:
        """Return all rules and all applied faults."""
        faults = self._faults
        return json_response({
            'rules': [rule_json(rule) for rule in faults.rules],
            'met': [applied_json(applied) for applied in faults.met],
        })  # fmt: skip

    def add_fault(self, request: Request) -> Response:
        """Add a rule."""
        body = read_object(request)
        matching = {name: body.pop(name) for name in MATCHING & set(body)}
        check_matching(matching)
        if 'path_regex' in matching:
            try:
                matching['path'] = re.compile(matching.pop('path_regex'))
            except re.error as error:
                fail(400, f'path_regex is no regular expression: {error}')
        try:
            drawn = Fault.from_json(body) if 'schedule' not in body else read_schedule(body)
            if isinstance(drawn, Schedule):
                matching.setdefault('times', None)
            rule = self._faults.add(drawn, **matching)
        except (ValueError, TypeError) as error:
            fail(400, str(error))
        return json_response(rule_json(rule), 201)

    def clear_faults(self, request: Request) -> Response:
        """Remove all rules and the record of applied faults."""
        self._faults.clear()
        return json_response({})

    def get_fault(self, request: Request, number: int) -> Response:
        """Return a rule; with ``met`` or ``held``, wait until it was applied that often or holds a request."""
        rule = self._rule(number)
        args = request.args
        try:
            timeout = min(float(args.get('timeout', DEFAULT_TIMEOUT)), MAX_WAIT)
            if 'met' in args:
                rule.wait_met(int(args['met']), timeout)
            if 'held' in args:
                rule.wait_held(timeout)
        except ValueError:
            fail(400, 'met and timeout must be numbers')
        except TimeoutError as error:
            fail(408, str(error))
        return json_response(rule_json(rule))

    def remove_fault(self, request: Request, number: int) -> Response:
        """Remove a rule."""
        self._faults.remove(self._rule(number))
        return json_response({})

    def release_fault(self, request: Request, number: int) -> Response:
        """Release the requests that a rule holds."""
        rule = self._rule(number)
        rule.release()
        return json_response(rule_json(rule))

    def reset(self, request: Request) -> Response:
        """Remove data, faults and logged requests, and reset the clock."""
        self._reset()
        return json_response({})

    def get_log(self, request: Request) -> Response:
        """Return the latest requests, oldest first."""
        log = self._requests
        return json_response({'dropped': log.dropped, 'requests': [entry.to_json() for entry in log]})

    def clear_log(self, request: Request) -> Response:
        """Remove all logged requests."""
        self._requests.clear()
        return json_response({})

    def get_clock(self, request: Request) -> Response:
        """Return the service's time."""
        return json_response({'now': self._clock(), 'frozen': self._clock.frozen})

    def set_clock(self, request: Request) -> Response:
        """Reset, set, advance, freeze or thaw the service's time, in this order."""
        body = read_object(request)
        clock = self._clock
        unknown = sorted(set(body) - {'reset', 'set', 'advance', 'frozen'})
        if unknown or not body:
            fail(400, f'reset, set, advance or frozen is needed, not {", ".join(unknown) or "nothing"}')
        for name in ('set', 'advance'):
            if name in body and (not isinstance(body[name], int) or isinstance(body[name], bool)):
                fail(400, f'{name} must be an integer of milliseconds')
        for name in ('reset', 'frozen'):
            if name in body and not isinstance(body[name], bool):
                fail(400, f'{name} must be true or false')
        try:
            if body.get('reset'):
                clock.reset()
            if 'set' in body:
                clock.set(body['set'])
            if 'advance' in body:
                clock.advance(body['advance'])
        except ValueError as error:
            fail(400, str(error))
        if 'frozen' in body:
            (clock.freeze if body['frozen'] else clock.thaw)()
        return self.get_clock(request)

    def get_modes(self, request: Request) -> Response:
        """Return the modes."""
        return json_response(asdict(self._modes))

    def set_modes(self, request: Request) -> Response:
        """Change modes."""
        body = read_object(request)
        for name, value in body.items():
            if not isinstance(getattr(self._modes, name, None), bool) or not isinstance(value, bool):
                fail(400, f'{", ".join(asdict(self._modes))} can be true or false, got {name}: {json.dumps(value)}')
        for name, value in body.items():
            setattr(self._modes, name, value)
        return self.get_modes(request)

    def _rule(self, number: int) -> Rule:
        for rule in self._faults.rules:
            if rule.number == number:
                return rule
        fail(404, f'there is no rule {number}')


def read_object(request: Request) -> dict[str, Any]:
    """Return the body of a request, which must be a JSON object.

    Raises:
        ServiceError: 400.
    """
    try:
        value = json.loads(request.get_data(cache=True))
    except (ValueError, RecursionError) as error:
        fail(400, f'the body must be a JSON object: {error}')
    if not isinstance(value, dict):
        fail(400, 'the body must be a JSON object')
    return value


def check_matching(matching: dict[str, Any]) -> None:
    """Check the types of the conditions of a rule.

    Raises:
        ServiceError: 400.
    """
    for name in ('method', 'path', 'path_regex'):
        if not isinstance(matching.get(name, ''), str):
            fail(400, f'{name} must be a string')
    if 'path' in matching and 'path_regex' in matching:
        fail(400, 'give either path or path_regex')
    for name in ('times', 'skip'):
        value = matching.get(name, 1)
        if not (isinstance(value, int) and not isinstance(value, bool)) and (value is not None or name == 'skip'):
            fail(400, f'{name} must be an integer')
    query = matching.get('query', {})
    if not isinstance(query, dict) or not all(isinstance(value, str | None) for value in query.values()):
        fail(400, 'query must map names of parameters to text, or to null where they must be absent')


def read_schedule(body: dict[str, Any]) -> Schedule:
    """Build a schedule from its JSON form.

    Raises:
        ValueError: A name is unknown or a value is wrong.
    """
    given = body['schedule']
    if len(body) > 1 or not isinstance(given, dict) or not set(given) <= {'seed', 'kinds', 'rate', 'in_a_row'}:
        raise ValueError('schedule must be an object of seed, kinds, rate and in_a_row, and excludes other effects')
    kinds = given.get('kinds', list(READING))
    if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
        raise ValueError('kinds must be an array of names')
    rate, in_a_row, seed = given.get('rate', 0.5), given.get('in_a_row', 3), given.get('seed', 0)
    if not isinstance(rate, int | float) or not isinstance(in_a_row, int) or not isinstance(seed, int | str):
        raise ValueError('rate must be a number, in_a_row an integer, seed an integer or text')
    return Schedule(seed, kinds=kinds, rate=rate, in_a_row=in_a_row)
