"""Compare what the sandbox answers with what the service answered, up to job numbers, times and other names of the day.

A recorded value and the sandbox's value for the same thing are bound to each other when they first appear, and must go
together from then on: in later answers, and in the paths, queries and bodies of later requests.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

import msgpack
import requests

PROJECT = '2222222'
#: Response headers that are recorded and compared.
HEADERS = (
    'content-type', 'content-encoding', 'vary', 'allow', 'www-authenticate', 'access-control-allow-origin',
    'cache-control',
)  # fmt: skip
KEY = re.compile(rf'\b{PROJECT}/([0-9]+)(?:/([0-9]+))?')
TIME = re.compile(r'\b1[45][0-9]{11}\b')
MOMENT = re.compile(r'20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z')
TOKEN = '.SIGNATURE-REMOVED'
BATCH = re.compile(r'[0-9a-f]{2}[0-9a-f]{16}(?:[0-9]{2})?')
LARGE = 1048576

Exchange = dict[str, Any]


def sequences(folder: Path) -> dict[str, list[Exchange]]:
    """Return the recorded exchanges by sequence, in order."""
    found: dict[str, list[tuple[int, Exchange]]] = {}
    for path in sorted(folder.glob('*.jsonl')):
        for line in path.read_text().splitlines():
            exchange = json.loads(line)
            name, place = exchange['sequence'].split(', ')
            found.setdefault(name, []).append((int(place), exchange))
    return {name: [exchange for _, exchange in sorted(found[name], key=lambda one: one[0])] for name in sorted(found)}


class Difference(AssertionError):
    """The sandbox answered something else.

    Attributes:
        aspect: ``status``, ``headers`` or ``body``.
    """

    def __init__(self, aspect: str, text: str) -> None:
        super().__init__(f'{aspect}: {text}')
        self.aspect = aspect


@dataclass
class Bindings:
    """Which value of the sandbox stands for which recorded one."""

    values: dict[str, str] = field(default_factory=dict)
    #: Recorded values that the client itself sent first; they stand for themselves.
    pinned: set[str] = field(default_factory=set)

    def bind(self, recorded: str, actual: str, where: str) -> None:
        """Let two values stand for each other.

        Raises:
            Difference: The recorded value already stands for another one.
        """
        known = self.values.setdefault(recorded, actual)
        if known != actual:
            raise Difference('body', f'{where}: {recorded} stood for {known}, now for {actual}')

    def bind_key(self, recorded: str, actual: str, where: str) -> None:
        """Bind job keys, with or without a record number after them."""
        theirs, ours = recorded.split('/'), actual.split('/')
        if len(theirs) != len(ours) or theirs[3:] != ours[3:]:
            raise Difference('body', f'{where}: {recorded} and {actual}')
        for parts in (2, 3, 4):
            self.bind('/'.join(theirs[:parts]), '/'.join(ours[:parts]), where)

    def pin(self, text: str) -> None:
        """Let what the client sends without having received it stand for itself."""
        for found in [*KEY.finditer(text), *TIME.finditer(text)]:
            if found.group() not in self.values:
                self.values[found.group()] = found.group()
                self.pinned.add(found.group())

    def translate(self, text: str) -> str:
        """Put the sandbox's values in place of the recorded ones."""

        def key(found: re.Match[str]) -> str:
            spider = f'{PROJECT}/{found.group(1)}'
            if found.group() in self.values:
                return self.values[found.group()]
            return self.values.get(spider, spider) + found.group()[len(spider) :]

        text = KEY.sub(key, text)
        text = TIME.sub(lambda found: self.values.get(found.group(), found.group()), text)
        return BATCH.sub(lambda found: self.values.get(found.group(), found.group()), text)

    def times(self) -> list[tuple[int, int]]:
        """Return the pairs of times that were given by the servers, in recorded order."""
        pairs = [(recorded, actual) for recorded, actual in self.values.items() if recorded not in self.pinned]
        return sorted((int(recorded), int(actual)) for recorded, actual in pairs if TIME.fullmatch(recorded))

    def expected(self, recorded: Any, actual: Any, where: str = 'body', name: str = '') -> Any:
        """Return the recorded value with the sandbox's values in it, in the recorded order of keys.

        Raises:
            Difference: The sandbox's value is another one.
        """
        if isinstance(recorded, dict) and isinstance(actual, dict):
            if recorded.keys() != actual.keys():
                raise Difference('body', f'{where} has {sorted(actual)} instead of {sorted(recorded)}')
            self._bind_names(recorded, actual, where)
            return {key: self.expected(value, actual[key], f'{where}.{key}', key) for key, value in recorded.items()}
        if isinstance(recorded, list) and isinstance(actual, list):
            if len(recorded) != len(actual):
                raise Difference('body', f'{where} has {len(actual)} entries instead of {len(recorded)}: {actual}')
            pairs = enumerate(zip(recorded, actual, strict=True))
            return [self.expected(theirs, ours, f'{where}[{place}]') for place, (theirs, ours) in pairs]
        if type(recorded) is not type(actual):
            raise Difference('body', f'{where} is {actual!r} instead of {recorded!r}')
        if isinstance(recorded, str):
            self._bind_text(recorded, actual, where)
        elif TIME.fullmatch(str(recorded)):
            self.bind(str(recorded), str(actual), where)
        known = self.values.get(str(recorded))
        if actual in (recorded, known) or str(actual) == known or (name == 'elapsed' and actual >= 0):
            return actual
        raise Difference('body', f'{where} is {actual!r} instead of {recorded!r}, which stands for {known}')

    def _bind_text(self, recorded: str, actual: str, where: str) -> None:
        if recorded.endswith(TOKEN):
            theirs, ours = ([_unpadded(part) for part in token.split('.')[:2]] for token in (recorded, actual))
            same = self.translate(json.dumps(theirs, sort_keys=True)) == json.dumps(ours, sort_keys=True)
            if actual.count('.') != 2 or not same:
                raise Difference('body', f'{where}: token of {ours} instead of {theirs}')
            self.values[recorded] = actual
        elif KEY.match(recorded):
            self.bind_key(recorded, actual, where)
        elif MOMENT.fullmatch(recorded) and MOMENT.fullmatch(actual):
            self.bind(recorded, actual, where)

    def _bind_names(self, recorded: Mapping[str, Any], actual: Mapping[str, Any], where: str) -> None:
        """Bind what only its place among other fields tells to be a name of the day."""
        free: list[str] = []
        if 'jobq_id' in recorded:
            self.bind(recorded['project']['name'], actual['project']['name'], where)
            free = ['id']
        if 'portia_url' in recorded:
            free = ['portia_url', 'api_url']
        if 'requests' in recorded and BATCH.fullmatch(str(recorded.get('id'))):
            if not BATCH.fullmatch(str(actual['id'])) or len(actual['id']) != len(recorded['id']):
                raise Difference('body', f'{where}: batch id {actual["id"]} instead of one as {recorded["id"]}')
            free = ['id']
        for name in free:
            if type(recorded[name]) is not type(actual[name]):
                raise Difference('body', f'{where}.{name} is {actual[name]!r} instead of {recorded[name]!r}')
            self.bind(str(recorded[name]), str(actual[name]), f'{where}.{name}')


def _unpadded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + '=' * (-len(part) % 4)))


def _styles() -> Iterator[Callable[[Any], str]]:
    for escaped in (True, False):
        yield json.JSONEncoder(ensure_ascii=escaped).encode
        yield json.JSONEncoder(ensure_ascii=escaped, separators=(',', ':')).encode
    yield json.JSONEncoder(indent=2).encode


def style_of(text: str) -> Callable[[Any], str] | None:
    """Return the encoder that spells a JSON text as it is, None when there is none."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return next((encode for encode in _styles() if encode(value) == text), None)


@dataclass
class Replay:
    """One sequence, sent to a sandbox.

    Attributes:
        url: Base URL of the sandbox.
        apikey: Its API key.
        bindings: What stands for what so far.
    """

    url: str
    apikey: str
    session: requests.Session
    bindings: Bindings = field(default_factory=Bindings)

    def seed(self, method: str, path: str, body: str) -> None:
        """Send a request that makes what existed before a sequence."""
        self.bindings.pin(body)
        url = self.url + path.lstrip('/')
        response = self.session.request(method, url, data=body.encode() or None, auth=(self.apikey, ''), timeout=30)
        response.raise_for_status()

    def send(self, exchange: Exchange) -> requests.Response:
        """Send a recorded request."""
        bindings = self.bindings
        text = exchange['request_text']
        if 'request_note' in exchange:
            text = text.replace('...', 'x' * (LARGE - text.count('x')))
        pairs = [tuple(pair) for pair in exchange.get('query_pairs', [])]
        assert urlencode(pairs) == exchange['query'], 'the recorded query is not spelled as it will be sent'
        for sent in (exchange['path'], text, unquote_plus(text), *(value for _, value in pairs)):
            bindings.pin(sent)
        query = urlencode([(name, bindings.translate(value)) for name, value in pairs])
        if 'x-www-form-urlencoded' in exchange['request_headers'].get('content-type', ''):
            fields = parse_qsl(text, keep_blank_values=True)
            assert urlencode(fields) == text, 'the recorded form is not spelled as it will be sent'
            body = urlencode([(name, bindings.translate(value)) for name, value in fields]).encode()
        else:
            body = bindings.translate(text).encode()
        headers = {name: value for name, value in exchange['request_headers'].items() if name != 'user-agent'}
        if headers.get('content-encoding') == 'gzip':
            body = gzip.compress(body)
        url = self.url + bindings.translate(exchange['path']).lstrip('/') + ('?' + query if query else '')
        request = requests.Request(exchange['method'], url, headers=headers, data=body or None)
        if exchange['authenticated']:
            request.auth = (self.apikey, '')
        return self.session.send(self.session.prepare_request(request), allow_redirects=False, timeout=30)

    def compare(self, exchange: Exchange, response: requests.Response) -> bool:
        """Compare an answer with the recorded one.

        Returns:
            Whether the body is the same to the byte once the values bound are put in; else the order of keys differs.

        Raises:
            Difference: Anything else differs.
        """
        status = (exchange['status'], exchange['status_text'])
        if (response.status_code, response.reason) != status:
            actual = f'{response.status_code} {response.reason}'
            raise Difference('status', f'{actual} instead of {status}: {response.text[:300]}')
        exact = self._compare_body(exchange, response)
        wanted = exchange['response_headers']
        for name in HEADERS:
            if response.headers.get(name) != wanted.get(name):
                raise Difference('headers', f'{name} is {response.headers.get(name)!r} instead of {wanted.get(name)!r}')
        return exact

    def _compare_body(self, exchange: Exchange, response: requests.Response) -> bool:
        if 'response_base64' in exchange:
            return self._compare_packed(base64.b64decode(exchange['response_base64']), response.content)
        recorded, actual = exchange['response_text'], response.content.decode()
        if recorded == actual:
            return True
        style = style_of(recorded)
        if style is not None:
            return self._compare_line(style, recorded, actual)
        theirs, ours = recorded.split('\n'), actual.split('\n')
        if len(theirs) != len(ours):
            raise Difference('body', f'{len(ours)} lines instead of {len(theirs)}: {actual[:600]}')
        exact = True
        for their, our in zip(theirs, ours, strict=True):
            line_style = style_of(their)
            if line_style is not None:
                exact &= self._compare_line(line_style, their, our)
            elif their != our:
                raise Difference('body', f'{our!r} instead of {their!r}')
        return exact

    def _compare_line(self, style: Callable[[Any], str], recorded: str, actual: str) -> bool:
        try:
            ours = json.loads(actual)
        except ValueError as error:
            raise Difference('body', f'{actual!r} instead of {recorded!r}') from error
        expected = self.bindings.expected(json.loads(recorded), ours)
        if style(ours) != actual:
            raise Difference('body', f'{actual!r} is not spaced as {recorded!r}')
        return style(expected) == actual

    def _compare_packed(self, recorded: bytes, actual: bytes) -> bool:
        theirs, ours = unpacked(recorded), unpacked(actual)
        expected = self.bindings.expected(theirs, ours)
        assert packed(theirs) == recorded, 'the recorded values are not packed as supposed'
        if packed(ours) != actual:
            raise Difference('body', 'values are not packed in the smallest forms')
        return packed(expected) == actual


def unpacked(data: bytes) -> list[Any]:
    """Decode concatenated MessagePack values."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(data)
    return list(unpacker)


def packed(values: list[Any]) -> bytes:
    """Concatenate the MessagePack encodings of values, in their smallest forms."""
    return b''.join(msgpack.packb(value) for value in values)
