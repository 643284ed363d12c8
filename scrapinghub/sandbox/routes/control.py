"""Control of the sandbox over HTTP, below ``/_sandbox/``, for programs in other processes and languages.

It needs no credentials, so it listens to this machine only, and not to web pages of others that a browser here shows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from werkzeug.wrappers import Request

from scrapinghub.sandbox.faults.effects import Fault, Met
from scrapinghub.sandbox.faults.faults import PATIENCE, Rule
from scrapinghub.sandbox.faults.schedule import READING, Schedule
from scrapinghub.sandbox.server.http import Call, Reply, ServiceError
from scrapinghub.sandbox.server.request_log import raw_path
from scrapinghub.sandbox.server.routing import Route

if TYPE_CHECKING:
    from scrapinghub.sandbox.cloud import Sandbox
    from scrapinghub.sandbox.server.routing import Route

BASE = '/_sandbox'
LOCAL_NAMES = frozenset(('127.0.0.1', 'localhost', '::1'))
MATCHING = frozenset(('method', 'path', 'path_regex', 'query', 'times', 'skip'))
LONGEST_WAIT = 60.0


def is_own(request: Request) -> bool:
    """Tell whether a request is meant for the sandbox itself and not for the service."""
    path = raw_path(request)
    return path in ('/', BASE) or path.startswith(f'{BASE}/')


def require_local(request: Request) -> None:
    """Refuse a request that a web page of another host makes, under its own name or one that it points at this machine.

    Raises:
        ServiceError: 403.
    """
    named = urlsplit(f'//{request.headers.get("Host", "")}').hostname
    origin = request.headers.get('Origin')
    if named not in LOCAL_NAMES or (origin is not None and urlsplit(origin).hostname not in LOCAL_NAMES):
        fail(403, 'the sandbox is controlled from this machine only: use 127.0.0.1 or localhost')


def fail(status: int, message: str) -> NoReturn:
    """Answer an error.

    Raises:
        ServiceError: Always.
    """
    raise ServiceError(status, as_json({'error': message}), {'Content-Type': 'application/json'})


def as_json(value: Any) -> bytes:
    """Encode a value, readably."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode('utf-8', 'replace') + b'\n'


def answer(value: Any, status: int = 200) -> Reply:
    """Answer a value."""
    return Reply(status, headers={'Content-Type': 'application/json'}, body=as_json(value))


def met_json(met: Met) -> dict[str, Any]:
    """Return the JSON form of a fault that was met."""
    return {
        'fault': met.label,
        'method': met.method,
        'path': met.path,
        'query': [list(pair) for pair in met.query],
        'happened': met.happened,
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
        'met': [met_json(met) for met in rule.met],
    }


class Control:
    """The control interface of one sandbox."""

    def __init__(self, cloud: Sandbox) -> None:
        self._cloud = cloud

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
        ]
        return [(BASE + path, methods, guarded(handler)) for path, methods, handler in routes]

    def list_faults(self, call: Call) -> Reply:
        """Answer all rules, and all faults that were met."""
        faults = self._cloud.faults
        return answer({
            'rules': [rule_json(rule) for rule in faults.rules],
            'met': [met_json(met) for met in faults.met],
        })  # fmt: skip

    def add_fault(self, call: Call) -> Reply:
        """Add a rule."""
        body = read_object(call)
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
            rule = self._cloud.faults.add(drawn, **matching)
        except (ValueError, TypeError) as error:
            fail(400, str(error))
        return answer(rule_json(rule), 201)

    def clear_faults(self, call: Call) -> Reply:
        """Take all rules away and forget what was met."""
        self._cloud.faults.clear()
        return answer({})

    def get_fault(self, call: Call, number: int) -> Reply:
        """Answer a rule, on request after it was met so many times or holds a request."""
        rule = self._rule(number)
        args = call.args()
        try:
            timeout = min(float(args.get('timeout', PATIENCE)), LONGEST_WAIT)
            if 'met' in args:
                rule.wait_met(int(args['met']), timeout)
            if 'held' in args:
                rule.wait_held(timeout)
        except ValueError:
            fail(400, 'met and timeout must be numbers')
        except TimeoutError as error:
            fail(408, str(error))
        return answer(rule_json(rule))

    def remove_fault(self, call: Call, number: int) -> Reply:
        """Take a rule away."""
        self._cloud.faults.remove(self._rule(number))
        return answer({})

    def release_fault(self, call: Call, number: int) -> Reply:
        """End what a rule holds."""
        rule = self._rule(number)
        rule.release()
        return answer(rule_json(rule))

    def reset(self, call: Call) -> Reply:
        """Forget data, faults and requests, let the clock run."""
        self._cloud.reset()
        return answer({})

    def get_log(self, call: Call) -> Reply:
        """Answer the latest requests, oldest first."""
        log = self._cloud.requests
        return answer({'dropped': log.dropped, 'requests': [entry.to_json() for entry in log]})

    def clear_log(self, call: Call) -> Reply:
        """Forget all requests."""
        self._cloud.requests.clear()
        return answer({})

    def get_clock(self, call: Call) -> Reply:
        """Answer the service's time."""
        return answer({'now': self._cloud.clock(), 'frozen': self._cloud.clock.frozen})

    def set_clock(self, call: Call) -> Reply:
        """Set, move, stop or start the service's time; several in the order in which they stand here."""
        body = read_object(call)
        clock = self._cloud.clock
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
        return self.get_clock(call)

    def _rule(self, number: int) -> Rule:
        for rule in self._cloud.faults.rules:
            if rule.number == number:
                return rule
        fail(404, f'there is no rule {number}')


def guarded(handler: Callable[..., Reply]) -> Callable[..., Reply]:
    """Let a handler answer this machine only."""

    def handle(call: Call, **arguments: Any) -> Reply:
        require_local(call.request)
        return handler(call, **arguments)

    return handle


def read_object(call: Call) -> dict[str, Any]:
    """Return the body of a request, which must be a JSON object.

    Raises:
        ServiceError: 400.
    """
    try:
        value = json.loads(call.body())
    except (ValueError, RecursionError) as error:
        fail(400, f'the body must be a JSON object: {error}')
    if not isinstance(value, dict):
        fail(400, 'the body must be a JSON object')
    return value


def check_matching(matching: dict[str, Any]) -> None:
    """Refuse wrong types of what says which requests meet a fault.

    Raises:
        ServiceError: 400.
    """
    for name in ('method', 'path', 'path_regex'):
        if not isinstance(matching.get(name, ''), str):
            fail(400, f'{name} must be text')
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
        ValueError: Something in it is unknown or wrong.
    """
    given = body['schedule']
    if len(body) > 1 or not isinstance(given, dict) or not set(given) <= {'seed', 'kinds', 'rate', 'in_a_row'}:
        raise ValueError('schedule must be an object of seed, kinds, rate and in_a_row, and stands alone')
    kinds = given.get('kinds', list(READING))
    if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
        raise ValueError('kinds must be an array of names')
    rate, in_a_row, seed = given.get('rate', 0.5), given.get('in_a_row', 3), given.get('seed', 0)
    if not isinstance(rate, int | float) or not isinstance(in_a_row, int) or not isinstance(seed, int | str):
        raise ValueError('rate must be a number, in_a_row an integer, seed an integer or text')
    return Schedule(seed, kinds=kinds, rate=rate, in_a_row=in_a_row)
