"""What can go wrong with one request: the words in which tests of the whole project ask for faults."""

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


def _is_place(value: object) -> bool:
    return _is_number(value) or (isinstance(value, float) and 0 <= value < 1)


def _is_positive(value: object) -> bool:
    return _is_number(value) and value != 0


def _is_seconds(value: object) -> bool:
    return _is_number(value) or (isinstance(value, float) and 0 <= value < float('inf'))


def _is_line(value: object) -> bool:
    """Tell whether this can stand in the head of an answer and leaves the rest of it alone."""
    return isinstance(value, str) and not set(value) & set('\r\n\0') and all(letter <= '\xff' for letter in value)


def _is_headers(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        name and _is_line(name) and (text is None or _is_line(text)) for name, text in value.items()
    )


#: Attributes of :class:`Fault`, what they must be, and whether a value is that.
_CHECKS: tuple[tuple[tuple[str, ...], str, Callable[[Any], bool]], ...] = (
    (('name',), 'text', lambda value: isinstance(value, str)),
    (('delay', 'pause'), 'a number of seconds', _is_seconds),
    (('hold', 'apply', 'hangup'), 'true or false', lambda value: isinstance(value, bool)),
    (('chunk',), 'a positive number of bytes', _is_positive),
    (('trickle',), 'a positive number of bytes', lambda value: value is None or _is_positive(value)),
    (
        ('truncate', 'corrupt', 'cut', 'stall'),
        'a number of bytes, a fraction below 1, or a place in the text',
        lambda value: value is None or isinstance(value, At) or _is_place(value),
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
    (('body',), 'text, bytes or an iterable of bytes', lambda value: value is None or isinstance(value, Iterable)),
    (('headers',), 'names with one line of Latin-1 text, or with nothing to remove them', _is_headers),
)


@dataclass(frozen=True)
class At:
    """A place in the body of an answer, counted before compression. Give one of the two arguments.

    The compressed stream is flushed at that place, so what comes before it can be unpacked when the rest is missing.

    Args:
        record: After so many whole records; a fraction of 1 stands for that part of all records. Records are lines, or
            MessagePack values; any other body is one record.
        plus: So many bytes into the next record. It stays inside that record: a larger number means its last byte.
        text: After so many bytes.
    """

    record: int | float | None = None
    plus: int = 0
    text: int | None = None

    def __post_init__(self) -> None:
        if (self.record is None) == (self.text is None):
            raise ValueError('At needs either record or text')
        if self.record is not None and not _is_place(self.record):
            raise ValueError(f'record must be a number of records, or a fraction below 1, not {self.record!r}')
        for name, value in (('plus', self.plus), ('text', self.text)):
            if value is not None and not _is_number(value):
                raise ValueError(f'{name} must be a number of bytes, not {value!r}')


#: A place in the body: a number of bytes as they travel (compressed if they are; framing not counted), a fraction of 1
#: of all those bytes, or an :class:`At`.
Place = int | float | At


@dataclass(frozen=True)
class Fault:
    """What goes otherwise with one request. The default of every attribute is: nothing.

    Attributes:
        name: How the record of faults calls it; without one it is named after what it does.
        delay: Seconds to wait before anything else.
        hold: Whether to wait, before anything else, until the fault is released.
        drop: End the connection without an answer: ``'close'`` in order, or ``'reset'``.
        apply: Whether the service handles the request although its own answer is not sent: before ``drop``, or before
            an answer of this fault's own.
        ignore: Query parameters that are taken away before the service sees the request.
        status: Answer this status instead of the service's answer.
        reason: Reason phrase of that answer.
        body: Body of that answer. Without one 502, 503 and 504 show the load balancer's page, others their reason. An
            iterable of bytes is sent while it is produced; it can be used once.
        headers: Headers to set on whatever is answered, lies about length and encoding included; ``None`` removes one.
        truncate: End the body here, although everything around it says that it is complete.
        corrupt: Flip all bits of the byte at this place, as it travels.
        cut: End the connection here, with all promises of the framing unkept.
        ending: How a cut ends the connection: ``'close'`` in order, or ``'reset'``.
        stall: Send the body up to here, then nothing until the fault is released.
        framing: How the body is delimited: ``'length'``, ``'chunked'``, or ``'close'`` (by the end of the connection).
        chunk: Bytes in a chunk.
        trickle: Send so many bytes at a time ...
        pause: ... and wait so many seconds after each.
        hangup: Whether to close the connection after a complete answer without having said so.
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
    truncate: Place | None = None
    corrupt: Place | None = None
    cut: Place | None = None
    ending: Ending = 'close'
    stall: Place | None = None
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
        if self.apply and self.drop is None and not self.answers:
            raise ValueError('apply needs drop, status or body: otherwise the service handles the request anyway')
        if self.drop is not None and (self.answers or self.shapes or self.hangup):
            raise ValueError('drop ends the connection without an answer: nothing can be said about the answer')

    @property
    def answers(self) -> bool:
        """Whether the answer is the fault's own and not the service's."""
        return self.status is not None or self.body is not None

    @property
    def certain(self) -> bool:
        """Whether it makes a difference whatever the request and the answer are."""
        chosen = (self.drop, self.stall, self.framing, self.trickle)
        simple = bool(self.delay or self.hold or self.answers or self.headers or self.hangup)
        return simple or any(value is not None for value in chosen)

    @property
    def shapes(self) -> bool:
        """Whether the way in which the answer's body travels is changed."""
        places = (self.truncate, self.corrupt, self.cut, self.stall, self.framing, self.trickle)
        return any(value is not None for value in places)

    @property
    def label(self) -> str:
        """The name, or one made of what the fault does."""
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

        Names are those of the attributes; a place is a number or ``{"record": K, "plus": B}`` or ``{"text": N}``, and
        ``body_base64`` may stand for ``body``.

        Raises:
            ValueError: Something in it is unknown or wrong; the text says what.
        """
        fields = dict(value)
        known = {item.name for item in dataclasses.fields(cls)} | {'body_base64'}
        unknown = sorted(set(fields) - known)
        if unknown:
            raise ValueError(f'unknown in a fault: {", ".join(unknown)}; known are {", ".join(sorted(known))}')
        for name in ('name', 'reason', 'body'):
            if not isinstance(fields.get(name, ''), str):
                raise ValueError(f'{name} must be text')
        if 'body_base64' in fields:
            encoded = fields.pop('body_base64')
            if 'body' in fields or not isinstance(encoded, str):
                raise ValueError('body_base64 must be text, and stands in place of body')
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
        """Return the JSON form, without what is at its default."""
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
class Met:
    """A fault that one request met.

    Attributes:
        fault: What was to go otherwise.
        method: Method of the request.
        path: Its path as it was sent, percent-encoded.
        query: Its query parameters as pairs, without credentials.
        happened: Whether it made any difference: a cut behind the end of an answer, say, makes none.
        released: Set to end ``hold`` and ``stall``.
        held: Set when the request has come to its ``hold`` or ``stall``.
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
        """The fault's name."""
        return self.fault.label
