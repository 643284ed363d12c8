"""Definitions of faults: what goes wrong with one request."""

from __future__ import annotations

import base64
import dataclasses
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Ending = Literal['close', 'reset']
Framing = Literal['length', 'chunked', 'close']


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_position(value: object) -> bool:
    return _is_number(value) or (isinstance(value, float) and 0 <= value < 1)


def _is_positive(value: object) -> bool:
    return _is_number(value) and value != 0


def _is_seconds(value: object) -> bool:
    return _is_number(value) or (isinstance(value, float) and 0 <= value < float('inf'))


def _is_line(value: object) -> bool:
    """Return whether a value is valid in the head of a response."""
    return isinstance(value, str) and not set(value) & set('\r\n\0') and all(letter <= '\xff' for letter in value)


def _is_headers(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        name and _is_line(name) and (text is None or _is_line(text)) for name, text in value.items()
    )


#: Attributes of :class:`Fault`, a description of their values, and a check of a value.
_CHECKS: tuple[tuple[tuple[str, ...], str, Callable[[Any], bool]], ...] = (
    (('name',), 'text', lambda value: isinstance(value, str)),
    (('delay', 'pause'), 'a number of seconds', _is_seconds),
    (('hold', 'apply', 'hangup'), 'true or false', lambda value: isinstance(value, bool)),
    (('chunk',), 'a positive number of bytes', _is_positive),
    (('trickle',), 'a positive number of bytes', lambda value: value is None or _is_positive(value)),
    (
        ('truncate', 'corrupt', 'cut', 'stall'),
        'a number of bytes, a fraction below 1, or an At',
        lambda value: value is None or isinstance(value, At) or _is_position(value),
    ),
    (('drop',), "'close' or 'reset'", lambda value: value is None or value in get_args(Ending)),
    (('ending',), "'close' or 'reset'", lambda value: value in get_args(Ending)),
    (('framing',), "'length', 'chunked' or 'close'", lambda value: value is None or value in get_args(Framing)),
    (('status',), 'from 200 to 599', lambda value: value is None or (_is_number(value) and 200 <= value <= 599)),
    (
        ('ignore',),
        'names of query parameters',
        lambda value: isinstance(value, tuple | list) and all(isinstance(name, str) for name in value),
    ),
    (('reason',), 'one line of Latin-1 text', lambda value: value is None or _is_line(value)),
    (('body',), 'a string, bytes or an iterable of bytes', lambda value: value is None or isinstance(value, Iterable)),
    (('headers',), 'names with one line of Latin-1 text, or None to remove a header', _is_headers),
)


@dataclass(frozen=True)
class At:
    """A position in the body of a response, counted before compression. Give either ``record`` or ``text``.

    A compressed body is flushed at this position, so that what precedes it can be decompressed without the rest.

    Args:
        record: After this many whole records; a fraction below 1 is that share of all records. Records are lines or
            MessagePack values; any other body is one record.
        plus: Bytes into the next record. A number beyond its end means its last byte.
        text: After this many bytes.
    """

    record: int | float | None = None
    plus: int = 0
    text: int | None = None

    def __post_init__(self) -> None:
        if (self.record is None) == (self.text is None):
            raise ValueError('At needs either record or text')
        if self.record is not None and not _is_position(self.record):
            raise ValueError(f'record must be a number of records, or a fraction below 1, not {self.record!r}')
        for name, value in (('plus', self.plus), ('text', self.text)):
            if value is not None and not _is_number(value):
                raise ValueError(f'{name} must be a number of bytes, not {value!r}')


#: A position in the body: a number of bytes as transferred (compressed if the response is, without framing), a fraction
#: below 1 of all those bytes, or an :class:`At`.
Position = int | float | At


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request. By default nothing does.

    Attributes:
        name: Name of the fault in logs; by default a description of what it does.
        delay: Seconds to wait first.
        hold: Whether to wait, before anything else, until the fault is released.
        drop: End the connection without a response: ``'close'`` normally, or ``'reset'``.
        apply: Whether the service handles the request although its response is not sent: before ``drop``, or before
            the response of the fault.
        ignore: Query parameters to remove before the service handles the request.
        status: Status of the response that replaces the response of the service.
        reason: Reason phrase of that response.
        body: Body of that response. By default 502, 503 and 504 return the page of the load balancer, other statuses
            their reason phrase. An iterable of bytes is sent while it is produced; it can be used once.
        headers: Headers to set on the response, also false values of length and encoding; ``None`` removes a header.
        truncate: End the body at this position, with framing that says that it is complete.
        corrupt: Flip all bits of the byte at this position, as transferred.
        cut: End the connection at this position, with incomplete framing.
        ending: How a cut ends the connection: ``'close'`` normally, or ``'reset'``.
        stall: Send the body up to this position, then wait until the fault is released.
        framing: How the body is delimited: ``'length'``, ``'chunked'``, or ``'close'`` (the end of the connection).
        chunk: Bytes in a chunk.
        trickle: Send this many bytes at a time.
        pause: Seconds to wait after each part of a trickle.
        hangup: Whether to close the connection after a complete response that did not announce it.
    """

    name: str = ''
    delay: float = 0.0
    hold: bool = False
    drop: Ending | None = None
    apply: bool = False
    ignore: tuple[str, ...] = ()
    status: int | None = None
    reason: str | None = None
    body: bytes | str | Iterable[bytes] | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    truncate: Position | None = None
    corrupt: Position | None = None
    cut: Position | None = None
    ending: Ending = 'close'
    stall: Position | None = None
    framing: Framing | None = None
    chunk: int = 1024
    trickle: int | None = None
    pause: float = 0.0
    hangup: bool = False

    def __post_init__(self) -> None:
        for names, wanted, is_right in _CHECKS:
            for name in names:
                value = getattr(self, name)
                if not is_right(value):
                    raise ValueError(f'{name} must be {wanted}, not {value!r}')
        if self.apply and self.drop is None and not self.responds:
            raise ValueError('apply needs drop, status or body: otherwise the service handles the request anyway')
        if self.drop is not None and (self.responds or self.changes_transfer or self.hangup):
            raise ValueError('drop ends the connection without a response, so effects on the response are not allowed')

    @property
    def responds(self) -> bool:
        """Whether the fault responds in place of the service."""
        return self.status is not None or self.body is not None

    @property
    def always_has_effect(self) -> bool:
        """Whether it has an effect on every request and every response."""
        chosen = (self.drop, self.stall, self.framing, self.trickle)
        simple = bool(self.delay or self.hold or self.responds or self.headers or self.hangup)
        return simple or any(value is not None for value in chosen)

    @property
    def changes_transfer(self) -> bool:
        """Whether it changes how the body of the response is transferred."""
        effects = (self.truncate, self.corrupt, self.cut, self.stall, self.framing, self.trickle)
        return any(value is not None for value in effects)

    @property
    def label(self) -> str:
        """The name, or a description of what the fault does."""
        if self.name:
            return self.name
        plain = Fault(chunk=self.chunk)
        names = [item.name for item in dataclasses.fields(self)]
        changed = [name for name in names if getattr(self, name) != getattr(plain, name)]
        words = [f'{name} {getattr(self, name)}' if name in ('status', 'drop') else name for name in changed]
        return ', '.join(words) or 'nothing'

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Fault:
        """Build a fault from its JSON form.

        Names are those of the attributes. A position is a number, ``{"record": K, "plus": B}`` or ``{"text": N}``;
        ``body_base64`` replaces ``body``.

        Raises:
            ValueError: A name is unknown or a value is wrong.
        """
        fields = dict(value)
        known = {item.name for item in dataclasses.fields(cls)} | {'body_base64'}
        unknown = sorted(set(fields) - known)
        if unknown:
            raise ValueError(f'unknown in a fault: {", ".join(unknown)}; known are {", ".join(sorted(known))}')
        for name in ('name', 'reason', 'body'):
            if not isinstance(fields.get(name, ''), str):
                raise ValueError(f'{name} must be a string')
        if 'body_base64' in fields:
            encoded = fields.pop('body_base64')
            if 'body' in fields or not isinstance(encoded, str):
                raise ValueError('body_base64 must be a string, and excludes body')
            fields['body'] = base64.b64decode(encoded, validate=True)
        for name in ('truncate', 'corrupt', 'cut', 'stall'):
            if isinstance(fields.get(name), dict):
                try:
                    fields[name] = At(**fields[name])
                except TypeError as error:
                    raise ValueError(f'{name} must be a number, {{"record": K, "plus": B}} or {{"text": N}}') from error
        if 'headers' in fields and not isinstance(fields['headers'], dict):
            raise ValueError('headers must be an object')
        if 'ignore' in fields:
            if not isinstance(fields['ignore'], list):
                raise ValueError('ignore must be an array')
            fields['ignore'] = tuple(fields['ignore'])
        return cls(**fields)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, without attributes that have their default."""
        plain = Fault()
        result: dict[str, Any] = {}
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if value == getattr(plain, item.name):
                continue
            if isinstance(value, At):
                value = {name: part for name, part in dataclasses.asdict(value).items() if part is not None}
            if item.name == 'body' and not isinstance(value, str):
                if not isinstance(value, bytes):
                    result['body'] = '(produced while it is sent)'
                    continue
                result['body_base64'] = base64.b64encode(value).decode()
                continue
            result[item.name] = list(value) if isinstance(value, tuple) else value
        return result


@dataclass
class AppliedFault:
    """A fault that was applied to one request.

    Attributes:
        fault: The fault.
        method: Method of the request.
        path: Path of the request as it was sent, percent-encoded.
        query: Query parameters of the request as pairs, without credentials.
        happened: Whether the fault had an effect: a cut after the end of a body, for example, has none.
        released: Set to end ``hold`` and ``stall``.
        held: Set when the request reached its ``hold`` or ``stall``.
    """

    fault: Fault
    method: str
    path: str
    query: list[tuple[str, str]]
    happened: bool = True
    released: threading.Event = field(default_factory=threading.Event, repr=False)
    held: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def label(self) -> str:
        """Name of the fault."""
        return self.fault.label
