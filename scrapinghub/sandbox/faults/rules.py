"""Rules that decide which requests a fault applies to, and a record of the applied faults."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Protocol

from werkzeug.wrappers import Request

from scrapinghub.sandbox.faults.definition import AppliedFault, Fault
from scrapinghub.sandbox.faults.schedule import Schedule
from scrapinghub.sandbox.server.request_log import public_query, raw_path

#: Default timeout of ``wait_met`` and ``wait_held``, in seconds.
DEFAULT_TIMEOUT = 10.0


class Source(Protocol):
    """A source of faults: a schedule, or a class with this method."""

    def draw(self, method: str, path: str) -> Fault | None:
        """Return the fault for the next request of this method and path, ``None`` for no fault."""
        ...


class ConstantSource:
    """A source of the same fault for every request."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault

    def draw(self, method: str, path: str) -> Fault | None:
        """Return the fault."""
        return self.fault


class Rule:
    """Which requests a fault applies to. Created by :meth:`Faults.add`; safe to share between threads.

    Attributes:
        number: Number of the rule, counted from 1.
        times: Number of requests to affect; ``None`` for no limit.
        skip: Number of matching requests to let through first.
        about: Conditions and fault in the JSON form of the control interface.
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
        self._met: list[AppliedFault] = []
        self._passed = 0
        self._released = threading.Event()
        self._held = threading.Event()

    @property
    def met(self) -> list[AppliedFault]:
        """The applied faults of this rule, in order."""
        with self._guard:
            return list(self._met)

    @property
    def spent(self) -> bool:
        """Whether it affects no further request."""
        with self._guard:
            return self._is_spent()

    @property
    def held(self) -> bool:
        """Whether a request waits at its ``hold`` or ``stall``."""
        return self._held.is_set() and not self._released.is_set()

    def apply(self, request: Request) -> AppliedFault | None:
        """Return the fault to apply to a request, ``None`` for no fault."""
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
            met = AppliedFault(
                fault, request.method, path, public_query(request), released=self._released, held=self._held
            )
            self._met.append(met)
            self._guard.notify_all()
            return met

    def release(self) -> None:
        """End the ``hold`` and ``stall`` of its requests, current and future."""
        self._released.set()

    def wait_met(self, times: int = 1, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Wait until the fault was applied ``times`` times.

        Raises:
            TimeoutError: It was not after ``timeout`` seconds.
        """
        with self._guard:
            if not self._guard.wait_for(lambda: len(self._met) >= times, timeout):
                raise TimeoutError(f'rule {self.number} was applied {len(self._met)} times in {timeout} s, not {times}')

    def wait_held(self, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Wait until a request waits at its ``hold`` or ``stall``.

        Raises:
            TimeoutError: No request does after ``timeout`` seconds.
        """
        if not self._held.wait(timeout):
            raise TimeoutError(f'no request was held by rule {self.number} in {timeout} s')

    def _is_spent(self) -> bool:
        return self.times is not None and len(self._met) >= self.times


def _conditions(
    method: str | None, path: str | re.Pattern[str], query: Mapping[str, str | None] | None
) -> dict[str, Any]:
    conditions: dict[str, Any] = {'path': path} if isinstance(path, str) else {'path_regex': path.pattern}
    if method is not None:
        conditions['method'] = method
    if query:
        conditions['query'] = dict(query)
    return conditions


class Faults:
    """The rules and applied faults of a sandbox. Safe to share between threads.

    Example:
        >>> from scrapinghub.sandbox import At, Fault
        >>> rule = cloud.faults.add(method='GET', path='/items/*', times=2, status=503)
        >>> rule = cloud.faults.add(Fault(cut=At(record=3, plus=5)), path='/logs/*', skip=1)
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._rules: list[Rule] = []
        self._met: list[AppliedFault] = []
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
        """Apply a fault to matching requests.

        Rules are checked in the order in which they were added, and the first that applies decides. A request that a
        rule lets through, because of ``skip`` or ``times``, is checked by the next rule.

        Args:
            fault: A fault, or a schedule that draws one for each request.
            method: Only requests with this method.
            path: Only requests with this path as sent, percent-encoded: text in which ``*`` matches any characters,
                slashes included, or a compiled pattern that must match the whole path. Paths of the dash begin with
                ``/api/``.
            query: Only requests with these query parameters; ``*`` in a value matches any characters, and ``None``
                requires that the parameter is absent.
            when: Only requests for which this function returns true.
            times: Number of requests to affect; ``None`` for no limit.
            skip: Number of matching requests to let through first.
            effects: Attributes of :class:`Fault`, in place of ``fault``.

        Returns:
            The rule, which records the applied faults and releases held requests.

        Raises:
            ValueError: A value is wrong, or the fault has no effect.
            TypeError: An effect is unknown, or both a fault and effects are given.

        Example:
            >>> rule = cloud.faults.add(method='POST', path='/collections/*', drop='reset', apply=True)
        """
        if fault is None:
            fault = Fault(**effects)
        elif effects:
            raise TypeError(f'give either a fault or effects, not both: {", ".join(sorted(effects))}')
        if isinstance(fault, Fault) and fault == Fault(name=fault.name):
            raise ValueError('the fault has no effect: set an attribute, for example status=503 or cut=100')
        for name, value, least in (('times', times, 1), ('skip', skip, 0)):
            if value is not None and value < least:
                raise ValueError(f'{name} must be an integer from {least} up, not {value!r}')
        source = ConstantSource(fault) if isinstance(fault, Fault) else fault
        matches = matcher(method, path, query or {}, when)
        described = fault.to_json() if isinstance(fault, Fault | Schedule) else {'source': repr(fault)}
        about = {**_conditions(method, path, query), **described}
        with self._guard:
            self._count += 1
            rule = Rule(self._count, source, matches, about=about, times=times, skip=skip)
            self._rules.append(rule)
        return rule

    @property
    def rules(self) -> list[Rule]:
        """The rules, in the order in which they are checked."""
        with self._guard:
            return list(self._rules)

    @property
    def met(self) -> list[AppliedFault]:
        """All applied faults, in order, since the last :meth:`clear`."""
        with self._guard:
            return list(self._met)

    def remove(self, rule: Rule) -> None:
        """Remove a rule, if it exists, and release the requests that it holds."""
        with self._guard:
            self._rules = [other for other in self._rules if other is not rule]
        rule.release()

    def clear(self) -> None:
        """Remove all rules and the record of applied faults, and release all held requests."""
        with self._guard:
            rules, self._rules, self._met = self._rules, [], []
        for rule in rules:
            rule.release()

    def release(self) -> None:
        """Release all held requests."""
        for rule in self.rules:
            rule.release()

    def decide(self, request: Request) -> AppliedFault | None:
        """Return the fault to apply to a request, ``None`` for no fault."""
        if not self._rules:
            return None
        # One request at a time, so that a schedule draws in the order of the recorded faults.
        with self._guard:
            for rule in self._rules:
                met = rule.apply(request)
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
    """Return a function that checks whether a request matches; arguments as for :meth:`Faults.add`.

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
    """Escape ``?`` and ``[``, which are special in :mod:`fnmatch`."""
    return re.sub(r'([?[])', r'[\1]', pattern)
