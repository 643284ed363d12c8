"""Keep credentials out of texts: errors, log lines, and copies of what a server sends back."""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import quote, unquote_plus, urlsplit, urlunsplit

HIDDEN = '***'

# Shorter ones, and words, are not keys: to hide them would garble ordinary messages.
_SHORTEST = 8
# Programs may use a token for each job: only the latest are kept.
_MOST_SECRETS = 1000

_secrets: dict[str, None] = {}
# The same as bytes, in the same order.
secret_bytes: list[bytes] = []


class Hidden:
    """Holds a value that must not be shown.

    Args:
        value: The value.
    """

    __slots__ = ('value',)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return '<hidden>'


def remember(user: str, password: str = '') -> None:
    """Hide credentials from now on wherever :func:`redact` is applied.

    Args:
        user: User, or API key.
        password: Password; empty for an API key.
    """
    pair = f'{user}:{password}'.encode('latin-1', 'replace')
    texts = [password, binascii.hexlify(pair).decode()] if password else [user]
    basic = base64.b64encode(pair).decode()
    # JSON may escape slashes, and addresses hold neither these nor equals signs.
    texts += [basic, basic.replace('/', '\\/'), quote(basic, safe=''), quote(texts[0], safe='')]
    for text in texts:
        if len(text) >= _SHORTEST and not text.isalpha() and text not in _secrets:
            _secrets[text] = None
            secret_bytes.append(text.encode('latin-1', 'replace'))
    while len(_secrets) > _MOST_SECRETS:
        _secrets.pop(next(iter(_secrets), ''), None)
        del secret_bytes[:1]


def redact(text: str) -> str:
    """Return a text without credentials: each is replaced by asterisks.

    Args:
        text: Any text.

    Example:
        >>> remember('0123456789abcdef')
        >>> redact('apikey=0123456789abcdef')
        'apikey=***'
    """
    # A copy: another thread may remember a secret meanwhile.
    if any(map(text.__contains__, list(_secrets))):
        # The longest first: one may be a part of another.
        for secret in sorted(_secrets, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
    return text


def redact_bytes(data: bytes) -> bytes:
    """Return bytes without credentials, see :func:`redact`."""
    text = data.decode('latin-1')
    shown = redact(text)
    return data if shown == text else shown.encode('latin-1')


def strip_credentials(url: str | None) -> str | None:
    """Return a URL without user, password, query or fragment, so that it may be shown.

    Args:
        url: Any URL, or None.

    Returns:
        The URL up to its path; None for None, and for what cannot be parsed.
    """
    if not url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return urlunsplit((parts.scheme, parts.netloc.rpartition('@')[2], parts.path, '', ''))


def strip_secrets(url: str) -> str:
    """Return a URL as errors of ``requests`` show it, with its query, but without user, password and API key.

    Args:
        url: The URL of a response.
    """
    parts = urlsplit(url)
    pairs = [pair for pair in parts.query.split('&') if unquote_plus(pair.partition('=')[0]).lower() != 'apikey']
    return urlunsplit((parts.scheme, parts.netloc.rpartition('@')[2], parts.path, '&'.join(pairs), ''))
