"""Random faults, reproducible from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from scrapinghub.sandbox.faults.definition import At, Fault

Kind = Callable[[Random], Fault]


def _record(random: Random) -> At:
    return At(record=random.random(), plus=random.randrange(1, 40))


#: Kinds of faults by name. Each draws the values that it leaves open.
KINDS: dict[str, Kind] = {
    'request-timeout': lambda random: Fault('request-timeout', status=408),
    'too-many-requests': lambda random: Fault('too-many-requests', status=429, headers={'Retry-After': '0'}),
    'bad-gateway': lambda random: Fault('bad-gateway', status=502),
    'unavailable': lambda random: Fault('unavailable', status=503),
    'gateway-timeout': lambda random: Fault('gateway-timeout', status=504),
    'close-before': lambda random: Fault('close-before', drop='close'),
    'reset-before': lambda random: Fault('reset-before', drop='reset'),
    'applied-gateway-timeout': lambda random: Fault('applied-gateway-timeout', status=504, apply=True),
    'close-after': lambda random: Fault('close-after', drop='close', apply=True),
    'reset-after': lambda random: Fault('reset-after', drop='reset', apply=True),
    'hangup': lambda random: Fault('hangup', hangup=True),
    'cut': lambda random: Fault('cut', cut=random.random(), ending=random.choice(('close', 'reset'))),
    'cut-chunked': lambda random: Fault(
        'cut-chunked', cut=random.random(), framing='chunked', chunk=random.choice((1, 7, 100, 4096))
    ),
    'cut-open': lambda random: Fault('cut-open', cut=random.random(), framing='close'),
    'cut-in-record': lambda random: Fault('cut-in-record', cut=_record(random)),
    'cut-after-record': lambda random: Fault('cut-after-record', cut=At(record=random.random()), framing='chunked'),
    'truncate': lambda random: Fault('truncate', truncate=_record(random)),
    'corrupt': lambda random: Fault('corrupt', corrupt=random.random()),
    'chunks': lambda random: Fault('chunks', framing='chunked', chunk=random.choice((1, 2, 3, 50))),
    'dribble': lambda random: Fault('dribble', trickle=random.choice((50, 500, 5000))),
    'ignored-resume': lambda random: Fault('ignored-resume', ignore=('start', 'startafter', 'index', 'offset')),
    'wrong-type': lambda random: Fault('wrong-type', headers={'Content-Type': 'text/html'}),
    'redirect': lambda random: Fault('redirect', status=302, headers={'Location': '/'}),
}

#: The service does not receive the request.
BEFORE = (
    'request-timeout',
    'too-many-requests',
    'bad-gateway',
    'unavailable',
    'gateway-timeout',
    'close-before',
    'reset-before',
)
#: The service handles the request, and the client gets no response that confirms it.
AFTER = ('applied-gateway-timeout', 'close-after', 'reset-after')
#: The response is incomplete, and its framing shows it.
BROKEN = ('cut', 'cut-chunked', 'cut-in-record', 'cut-after-record', 'truncate')
#: The response is complete, and transferred in an unusual way.
UNUSUAL = ('chunks', 'dribble', 'hangup')
#: What a client must handle when it reads a stream. A corrupt byte and a cut of a body without framing are not
#: included: a client can detect them in a compressed stream only.
READING = (*BEFORE, *AFTER, *BROKEN, *UNUSUAL)
#: What a client must handle when it writes and may repeat the request.
WRITING = (*BEFORE, *AFTER, 'hangup')


class Schedule:
    """Draw faults at random, reproducibly.

    The fault of the n-th request of a method and path depends on the seed, the method, the path and n only, so that
    threads that use different paths do not affect each other.

    Args:
        seed: Seed of the random numbers.
        kinds: Names of :data:`KINDS`, or functions that draw a fault from a :class:`random.Random`.
        rate: Share of the requests to which a fault applies, from 0 to 1.
        in_a_row: After this many faults in a row the next request of that method and path succeeds.

    Example:
        >>> rule = cloud.faults.add(Schedule(7, kinds=('cut', 'unavailable'), rate=0.3), path='/items/*', times=None)
    """

    def __init__(
        self, seed: int | str, *, kinds: Iterable[str | Kind] = READING, rate: float = 0.5, in_a_row: int = 3
    ) -> None:
        names = tuple(kinds)
        unknown = [kind for kind in names if isinstance(kind, str) and kind not in KINDS]
        if unknown or not names:
            raise ValueError(f'kinds must be some of {", ".join(KINDS)}, not {", ".join(unknown) or "empty"}')
        if not 0 <= rate <= 1:
            raise ValueError(f'rate must be from 0 to 1, not {rate!r}')
        if in_a_row < 1:
            raise ValueError(f'in_a_row must be at least 1, not {in_a_row!r}')
        self.seed = seed
        self.rate = rate
        self.in_a_row = in_a_row
        self.names = tuple(kind if isinstance(kind, str) else repr(kind) for kind in names)
        self._kinds: list[Kind] = [KINDS[kind] if isinstance(kind, str) else kind for kind in names]
        self._seen: dict[tuple[str, str], tuple[int, int]] = {}

    def draw(self, method: str, path: str) -> Fault | None:
        """Return the fault for the next request of this method and path. Not safe for concurrent calls."""
        number, streak = self._seen.get((method, path), (0, 0))
        random = Random(f'{self.seed} {method} {path} {number}')
        applies = streak < self.in_a_row and random.random() < self.rate
        self._seen[method, path] = (number + 1, streak + 1 if applies else 0)
        return random.choice(self._kinds)(random) if applies else None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, which names kinds that are functions."""
        schedule = {'seed': self.seed, 'kinds': list(self.names), 'rate': self.rate, 'in_a_row': self.in_a_row}
        return {'schedule': schedule}
