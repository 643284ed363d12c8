"""Faults on request: which requests meet them, how often, and a record of those that were met."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Protocol

from werkzeug.wrappers import Request

from scrapinghub.sandbox.faults.effects import Fault, Met
from scrapinghub.sandbox.faults.schedule import Schedule
from scrapinghub.sandbox.server.request_log import public_query, raw_path

#: How long a test waits at most for something that must happen.
PATIENCE = 10.0


class Source(Protocol):
    """What decides about a request: a :class:`Fault` that is always the same, or a schedule."""

    def draw(self, method: str, path: str) -> Fault | None:
        """Return the fault that the next request of this method and path meets."""
        ...


class Always:
    """The same fault for every request."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault

    def draw(self, method: str, path: str) -> Fault | None:
        """Return the fault."""
        return self.fault


class Rule:
    """Requests that match, and what they meet. Made by :meth:`Faults.add`; safe to share between threads.

    Attributes:
        number: Its number, counted from 1.
        times: How many requests it strikes; ``None`` for every one.
        skip: How many matching requests it lets pass first.
        about: Which requests match, and what they meet, in the JSON form of the control interface.
    """

    def __init__(
        self,
        number: int,
        source: Source,
        matches: Callable[[Request], bool],
        *,
        about: dict[str, Any],
        times: int | None,
        skip: int,
    ) -> None:
        self.number = number
        self.times = times
        self.skip = skip
        self.about = about
        self._source = source
        self._matches = matches
        self._guard = threading.Condition()
        self._met: list[Met] = []
        self._passed = 0
        self._released = threading.Event()
        self._held = threading.Event()

    @property
    def met(self) -> list[Met]:
        """The faults of this rule that requests have met, in order."""
        with self._guard:
            return list(self._met)

    @property
    def spent(self) -> bool:
        """Whether it strikes no further request."""
        with self._guard:
            return self._is_spent()

    @property
    def held(self) -> bool:
        """Whether a request has come to its ``hold`` or ``stall`` and was not released."""
        return self._held.is_set() and not self._released.is_set()

    def strike(self, request: Request) -> Met | None:
        """Decide about a request."""
        if not self._matches(request):
            return None
        with self._guard:
            if self._is_spent():
                return None
            if self._passed < self.skip:
                self._passed += 1
                return None
            path = raw_path(request)
            fault = self._source.draw(request.method, path)
            if fault is None:
                return None
            met = Met(fault, request.method, path, public_query(request), released=self._released, held=self._held)
            self._met.append(met)
            self._guard.notify_all()
            return met

    def release(self) -> None:
        """End the ``hold`` and ``stall`` of its requests: those that wait now, and those to come."""
        self._released.set()

    def wait_met(self, times: int = 1, timeout: float = PATIENCE) -> None:
        """Wait until requests have met it so many times.

        Raises:
            TimeoutError: They have not after ``timeout`` seconds.
        """
        with self._guard:
            if not self._guard.wait_for(lambda: len(self._met) >= times, timeout):
                raise TimeoutError(f'rule {self.number} was met {len(self._met)} times in {timeout} s, not {times}')

    def wait_held(self, timeout: float = PATIENCE) -> None:
        """Wait until a request has come to its ``hold`` or ``stall``.

        Raises:
            TimeoutError: None has after ``timeout`` seconds.
        """
        if not self._held.wait(timeout):
            raise TimeoutError(f'no request was held by rule {self.number} in {timeout} s')

    def _is_spent(self) -> bool:
        return self.times is not None and len(self._met) >= self.times


def _told(method: str | None, path: str | re.Pattern[str], query: Mapping[str, str | None] | None) -> dict[str, Any]:
    told: dict[str, Any] = {'path': path} if isinstance(path, str) else {'path_regex': path.pattern}
    if method is not None:
        told['method'] = method
    if query:
        told['query'] = dict(query)
    return told


class Faults:
    """The faults of a sandbox. Safe to share between threads.

    Example:
        >>> from scrapinghub.sandbox import At, Fault
        >>> rule = cloud.faults.add(method='GET', path='/items/*', times=2, status=503)
        >>> rule = cloud.faults.add(Fault(cut=At(record=3, plus=5)), path='/logs/*', skip=1)
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._rules: list[Rule] = []
        self._met: list[Met] = []
        self._count = 0

    def add(
        self,
        fault: Fault | Source | None = None,
        *,
        method: str | None = None,
        path: str | re.Pattern[str] = '*',
        query: Mapping[str, str | None] | None = None,
        when: Callable[[Request], bool] | None = None,
        times: int | None = 1,
        skip: int = 0,
        **effects: Any,
    ) -> Rule:
        """Let matching requests meet a fault.

        Rules are asked in the order in which they were added; the first that strikes decides. A request that a rule
        lets pass, for ``skip`` or because it is spent, is offered to the next.

        Args:
            fault: What they meet: a fault, or a schedule that draws one for each request.
            method: Only requests of this method.
            path: Only requests of this path as it was sent, percent-encoded: a text in which ``*`` stands for anything,
                slashes included, or a compiled pattern that must match the whole path. The dash is below ``/api/``.
            query: Only requests with these query parameters; ``*`` in a value stands for anything, and ``None``
                means that the parameter must be absent.
            when: Only requests for which this is true.
            times: How many requests meet it, ``None`` for every one from now on.
            skip: How many matching requests pass before.
            effects: Attributes of :class:`Fault`, in place of ``fault``.

        Returns:
            The rule: it tells what was met, and releases what is held.

        Raises:
            ValueError: A value is wrong, or the fault does nothing.
            TypeError: An effect has no such name, or both a fault and effects are given.

        Example:
            >>> rule = cloud.faults.add(method='POST', path='/collections/*', drop='reset', apply=True)
        """
        if fault is None:
            fault = Fault(**effects)
        elif effects:
            raise TypeError(f'give either a fault or its effects, not both: {", ".join(sorted(effects))}')
        if isinstance(fault, Fault) and fault == Fault(name=fault.name):
            raise ValueError('this fault does nothing: say what goes otherwise, e.g. status=503 or cut=100')
        for name, value, least in (('times', times, 1), ('skip', skip, 0)):
            if value is not None and value < least:
                raise ValueError(f'{name} must be an integer from {least} up, not {value!r}')
        source = Always(fault) if isinstance(fault, Fault) else fault
        matches = matcher(method, path, query or {}, when)
        met = fault.to_json() if isinstance(fault, Fault | Schedule) else {'source': repr(fault)}
        about = {**_told(method, path, query), **met}
        with self._guard:
            self._count += 1
            rule = Rule(self._count, source, matches, about=about, times=times, skip=skip)
            self._rules.append(rule)
        return rule

    @property
    def rules(self) -> list[Rule]:
        """The rules, in the order in which they are asked."""
        with self._guard:
            return list(self._rules)

    @property
    def met(self) -> list[Met]:
        """All faults that requests have met, in order, since the last :meth:`clear`."""
        with self._guard:
            return list(self._met)

    def remove(self, rule: Rule) -> None:
        """Take a rule away and release what it holds; one that is not there is fine."""
        with self._guard:
            self._rules = [other for other in self._rules if other is not rule]
        rule.release()

    def clear(self) -> None:
        """Take all rules away, release what they hold, forget what was met."""
        with self._guard:
            rules, self._rules, self._met = self._rules, [], []
        for rule in rules:
            rule.release()

    def release(self) -> None:
        """End every ``hold`` and ``stall``."""
        for rule in self.rules:
            rule.release()

    def decide(self, request: Request) -> Met | None:
        """Return the fault that a request meets."""
        if not self._rules:
            return None
        # One request at a time, so that a schedule draws in the order of the record.
        with self._guard:
            for rule in self._rules:
                met = rule.strike(request)
                if met is not None:
                    self._met.append(met)
                    return met
        return None


def matcher(
    method: str | None,
    path: str | re.Pattern[str],
    query: Mapping[str, str | None],
    when: Callable[[Request], bool] | None,
) -> Callable[[Request], bool]:
    """Build the question whether a request matches; the arguments are those of :meth:`Faults.add`.

    Raises:
        ValueError: A value is wrong.
    """
    if isinstance(path, str) and not path.startswith(('/', '*')):
        raise ValueError(f'path must begin with / or *, not {path!r}')

    def matches(request: Request) -> bool:
        if method is not None and request.method != method.upper():
            return False
        sent = raw_path(request)
        if not (fnmatchcase(sent, _stars_only(path)) if isinstance(path, str) else path.fullmatch(sent)):
            return False
        for name, wanted in query.items():
            values = request.args.getlist(name)
            if wanted is None and values:
                return False
            if wanted is not None and not any(fnmatchcase(value, _stars_only(wanted)) for value in values):
                return False
        return when is None or when(request)

    return matches


def _stars_only(pattern: str) -> str:
    """Let ``?`` and ``[`` stand for themselves."""
    return re.sub(r'([?[])', r'[\1]', pattern)
