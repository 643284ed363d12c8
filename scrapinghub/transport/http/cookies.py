"""The cookies of a session, whose lock stays out of the way of answers that bring none."""

from __future__ import annotations

from typing import Any

from requests.cookies import RequestsCookieJar


class Cookies(RequestsCookieJar):
    """Cookies that the dash sets.

    A lock that is taken for each answer may be left held for ever: where Ctrl-C arrives just after it was taken, or
    where the process is forked meanwhile. Others would wait for it.
    """

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Take the cookies out of an answer, if it has any."""
        if 'Set-Cookie' in response.info():
            super().extract_cookies(response, request)

    def copy(self) -> Cookies:
        """Return the same cookies under a lock of their own."""
        found = Cookies(self.get_policy())
        found.update(self)
        return found
