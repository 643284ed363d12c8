"""Routes of ``comments`` on the dash: comments on items and on their fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scrapinghub.sandbox.routes._support import dash
from scrapinghub.sandbox.routes._support.call import Call
from scrapinghub.sandbox.server.response import Response
from scrapinghub.sandbox.store import comments, jobs
from scrapinghub.sandbox.store.comments import Comment
from scrapinghub.sandbox.store.validation import storable

AVATAR = 'https://www.gravatar.com/avatar/00000000000000000000000000000000?d=mm'


def read_job(call: Call, project: int, spider: int, job: int) -> Response:
    """Return the comments of a job, by item and field."""
    grouped: dict[str, list[dict[str, Any]]] = {}
    for comment in comments.of_job(call.store.read(), (project, spider, job)):
        grouped.setdefault(comment.target, []).append(_shown(comment))
    return dash.spaced(grouped)


def _shown(comment: Comment) -> dict[str, Any]:
    return {
        'id': comment.id,
        'created': dash.iso(comment.created),
        'archived': dash.iso(comment.archived),
        'author': comment.author,
        'avatar': AVATAR,
        'text': comment.text,
        'editable': True,
    }


def read_stats(call: Call, project: int) -> Response:
    """Return how many items of each job have comments that are not archived."""
    return dash.spaced(comments.commented_items(call.store.read(), project))


def read_item(call: Call, project: int, spider: int, job: int, item: int, field: str = '') -> Response:
    """Return the comments on an item or one of its fields."""
    found = comments.of_item(call.store.read(), (project, spider, job), item, field)
    return dash.spaced([_shown(comment) for comment in found])


def add(call: Call, project: int, spider: int, job: int, item: int, field: str = '') -> Response:
    """Store a comment."""
    text = _text(call)
    with call.store.write() as connection:
        if jobs.fetch(connection, project, spider, job) is None:
            call.fail(404)
        number = comments.add(
            connection,
            (project, spider, job),
            item,
            field,
            text=text,
            author=call.identity.user,
            now=call.store.now(),
        )
        comment = comments.find(connection, number)
        assert comment is not None
    return dash.spaced(_shown(comment))


def _text(call: Call) -> str:
    text = dash.text(call, 'text')
    if not storable(text):
        call.fail(400, 'text holds a lone surrogate')
    return text


def archive_item(call: Call, project: int, spider: int, job: int, item: int, field: str = '') -> Response:
    """Archive the comments on an item or one of its fields."""
    with call.store.write() as connection:
        for comment in comments.of_item(connection, (project, spider, job), item, field):
            comments.archive(connection, comment.id, call.store.now())
    return read_item(call, project, spider, job, item, field)


def edit(call: Call, number: int) -> Response:
    """Replace the text of a comment."""
    text = _text(call)
    _find(call, number)
    with call.store.write() as connection:
        comments.edit(connection, number, text)
    return dash.spaced(_shown(_find(call, number)))


def archive(call: Call, number: int) -> Response:
    """Archive a comment."""
    _find(call, number)
    with call.store.write() as connection:
        comments.archive(connection, number, call.store.now())
    return dash.spaced(_shown(_find(call, number)))


def _find(call: Call, number: int) -> Comment:
    comment = comments.find(call.store.read(), number)
    if comment is None:
        call.fail(404)
    return comment


_JOB = '/api/comments/<int:project>/<int:spider>/<int:job>'
ROUTES: list[tuple[str, tuple[str, ...], Callable[..., Response]]] = [
    ('/api/comments/<int:number>', ('PUT',), edit),
    ('/api/comments/<int:number>', ('DELETE',), archive),
    ('/api/comments/<int:project>/stats', ('GET',), read_stats),
    (_JOB, ('GET',), read_job),
]
for _path in (f'{_JOB}/<int:item>', f'{_JOB}/<int:item>/<path:field>'):
    ROUTES += [(_path, ('GET',), read_item), (_path, ('POST',), add), (_path, ('DELETE',), archive_item)]
