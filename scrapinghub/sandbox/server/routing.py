"""URL routing. Paths are split before they are decoded: an encoded slash is part of a name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import unquote

from werkzeug.routing import BaseConverter, Map, Rule, ValidationError

from scrapinghub.sandbox.server.response import Response

Handler = Callable[..., Response]
Route = tuple[str, tuple[str, ...], Handler]


class Number(BaseConverter):
    """An id or a record number: decimal, without leading zeros, small enough for the store."""

    regex = r'(?:0|[1-9][0-9]{0,17})'

    def to_python(self, value: str) -> int:
        """Return the number."""
        return int(value)


class Segment(BaseConverter):
    """One path segment, percent-decoded after the path was split."""

    regex = r'[^/]+'

    def to_python(self, value: str) -> str:
        """Return the text."""
        try:
            return unquote(value, errors='strict')
        except UnicodeDecodeError as error:
            raise ValidationError from error


class Rest(Segment):
    """The rest of the path, slashes included."""

    regex = r'[^/].*?'
    part_isolating = False


CONVERTERS = {'int': Number, 'default': Segment, 'string': Segment, 'path': Rest}


def build_map(routes: Iterable[Route]) -> Map:
    """Build a map whose endpoints are the handlers.

    Args:
        routes: Rule, methods and handler of each; the handler gets the call and the parts of the path by name.
    """
    return Map(
        [Rule(rule, methods=methods, endpoint=handler) for rule, methods, handler in routes],
        converters=CONVERTERS,
        strict_slashes=False,
        merge_slashes=False,
    )
