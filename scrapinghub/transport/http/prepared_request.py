"""Requests made ready for the wire: as ``requests`` does it, without the work that changes nothing."""

from __future__ import annotations

import re
from http.cookiejar import CookieJar
from typing import Any

import requests

# What ``requests`` leaves as it is: a host in small letters, and segments with nothing to be quoted that are no dots.
_PLAIN = re.compile(
    r'https?://[a-z0-9][a-z0-9.-]*(?::[1-9][0-9]{0,3}|:[1-5][0-9]{4})?(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+'
).fullmatch


class Prepared(requests.PreparedRequest):
    """A request that knows its time limits.

    Attributes:
        timeout: Seconds, or a pair of seconds for opening the connection and for each wait; None for no limit.
        own_timeout: Whether the limits were given for this call, and not for the client.
    """

    timeout: Any = None
    own_timeout: bool = False

    def prepare_url(self, url: Any, params: Any) -> None:
        """Set the address; a plain one is not taken to pieces and put together again."""
        if params or not isinstance(url, str) or not _PLAIN(url):
            super().prepare_url(url, params)
        else:
            self.url = url

    def prepare_cookies(self, cookies: Any) -> None:
        """Set the cookies; an empty jar is not asked which of them fit."""
        if isinstance(cookies, CookieJar) and not len(cookies):
            self._cookies = cookies
        else:
            super().prepare_cookies(cookies)
